"""
What was measured, as Markdown.
"""

from __future__ import annotations

import datetime
import os
import platform
from statistics import median
from typing import Callable, Optional, Sequence

import attrs

from benchmarks.load import Outcome


@attrs.frozen
class Row:
    """
    One line of a table: medians over the rounds.

    @ivar ours: what our servers did; theirs: Ganesha, if it was there.
    """

    name: str
    load: str
    ours: Sequence[Outcome]
    theirs: Sequence[Outcome]


def machine() -> str:
    """
    What this was measured on, and when.
    """
    processor = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            names = [line for line in stream if line.startswith("model name")]
        if names:
            processor = names[0].split(":", 1)[1].strip()
    except OSError:
        pass
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        f"{now:%Y-%m-%d %H:%M} UTC; {os.cpu_count()} processors {processor}; "
        f"{platform.system()} {platform.release()}; "
        f"{platform.python_implementation()} {platform.python_version()}; "
        f"load average {os.getloadavg()[0]:.1f}"
    )


def _number(value: Optional[float], digits: int = 1) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def table(lines: Sequence[Sequence[str]]) -> str:
    """
    A Markdown table; the first line is its head, the first two columns are text.
    """
    head, *rest = lines
    align = ["---" if column < 2 else "--:" for column in range(len(head))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, align, *rest))


def _line(row: Row, scale: Callable[[Outcome], float], rate: float) -> list[str]:
    def mid(
        outcomes: Sequence[Outcome], value: Callable[[Outcome], float]
    ) -> Optional[float]:
        return median(value(outcome) for outcome in outcomes) if outcomes else None

    ours, theirs = mid(row.ours, scale), mid(row.theirs, scale)
    ratio = ours / theirs if ours is not None and theirs else None

    def speed(outcome: Outcome) -> float:
        return outcome.operations / outcome.seconds * rate

    return [
        row.name,
        row.load,
        _number(ours),
        _number(theirs),
        _number(ratio, 2),
        _number(mid(row.ours, speed), 0),
        _number(mid(row.theirs, speed), 0),
        _number(mid(row.ours, lambda outcome: outcome.p99), 0),
        _number(mid(row.theirs, lambda outcome: outcome.p99), 0),
    ]


def metadataTable(rows: Sequence[Row]) -> str:
    """
    Operations of the metadata server.
    """
    head = "operation,slots × connections,CPU µs,Ganesha,ratio,per s,Ganesha"
    lines = [[*head.split(","), "p99 µs", "Ganesha"]]
    lines += [_line(row, lambda outcome: outcome.microseconds, 1.0) for row in rows]
    return table(lines)


def dataTable(rows: Sequence[Row], size: Callable[[Row], int]) -> str:
    """
    READ and WRITE.
    """
    head = "operation,slots × data server,CPU µs,Ganesha,ratio,MB/s,Ganesha"
    lines = [[*head.split(","), "p99 µs", "Ganesha"]]
    lines += [
        _line(row, lambda outcome: outcome.microseconds, size(row) / 1e6)
        for row in rows
    ]
    return table(lines)
