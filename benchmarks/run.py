"""
C{make bench}: measure our servers, and nfs-ganesha beside them if it is installed.

What is compared is the servers' CPU time, which depends less on what else the machine
does than the throughput; client and servers share its processors. Both servers are
measured in turn in each cell, in rounds, and the medians are shown.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Callable, Optional, Sequence

from benchmarks.cells import Metadata
from benchmarks.data import MIB, DataLoad
from benchmarks.load import Outcome, run
from benchmarks.memory import perClient, perOpenFile
from benchmarks.moving import lines as movingLines
from benchmarks.report import Row, dataTable, machine, metadataTable, table
from benchmarks.servers import Ganesha, OurSite, startGanesha

CELLS = "null getattr access lookup readdir openclose create remove".split()
OURS = ["layout to read", "layout to write"]
SHAPES = ((1, 1), (16, 1), (16, 4))
SIZES = {"4 KiB": 4096, "64 KiB": 65536, "1 MiB": MIB}
MOVED = 3072 * MIB
RESULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "RESULTS.md")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def measureCell(
    server: Metadata,
    pids: Sequence[int],
    cell: str,
    slots: int,
    connections: int,
    seconds: float,
) -> Outcome:
    """
    One operation of a metadata server.
    """
    sessions = [server.session(slots) for _ in range(connections)]
    pairs = [
        (session, [server.task(cell, session, slot) for slot in range(slots)])
        for session in sessions
    ]
    # There are only so many files to remove.
    outcome = run(pairs, pids, 0.0 if cell == "remove" else seconds)
    for session in sessions:
        session.socket.close()
    return outcome


def inTurn(
    rounds: int,
    ours: Callable[[], Outcome],
    theirs: Optional[Callable[[], Outcome]],
) -> tuple[list[Outcome], list[Outcome]]:
    """
    Measure both, one after the other, so many times.
    """
    first, second = [], []
    for _ in range(rounds):
        first.append(ours())
        if theirs is not None:
            second.append(theirs())
    return first, second


def metadataRows(
    site: OurSite, ganesha: Optional[Ganesha], rounds: int, seconds: float
) -> list[Row]:
    """
    The operations of the metadata server.
    """
    ours = Metadata(site.host, site.port, site.export)
    theirs = Metadata(ganesha.host, ganesha.port, ganesha.export) if ganesha else None
    rows = []
    for cell in CELLS + OURS:
        for slots, connections in SHAPES:
            _say(f"{cell}, {slots} x {connections}")
            shape = (cell, slots, connections, seconds)
            pids = ganesha.pids if ganesha else []
            other = (
                None
                if theirs is None or cell in OURS
                else lambda: measureCell(theirs, pids, *shape)
            )
            found = inTurn(rounds, lambda: measureCell(ours, [site.mds], *shape), other)
            rows.append(Row(cell, f"{slots} × {connections}", *found))
    return rows


def dataRows(
    site: OurSite, ganesha: Optional[Ganesha], rounds: int, seconds: float
) -> list[Row]:
    """
    READ and WRITE at three data servers, and at Ganesha without pNFS.
    """
    ours = DataLoad(Metadata(site.host, site.port, site.export), site.pids, True)
    theirs = None
    if ganesha is not None:
        plain = Metadata(ganesha.host, ganesha.port, ganesha.disk)
        theirs = DataLoad(plain, ganesha.pids, False)
    rows = []
    for operation in ("read", "write"):
        for name, size in SIZES.items():
            for slots in (1, 16):
                _say(f"{operation} {name}, {slots} slots")
                load = (operation, size, slots, seconds)
                other = theirs and (lambda: theirs.measure(*load))
                found = inTurn(rounds, lambda: ours.measure(*load), other or None)
                rows.append(Row(f"{operation} {name}", str(slots), *found))
    return rows


def scaleLines(sites: Sequence[int], rounds: int, seconds: float) -> list[list[str]]:
    """
    1 MiB over one, two and three data servers.
    """
    lines = [["operation", "data servers", "CPU ms per GB", "MB/s"]]
    for count in sites:
        site = OurSite(count)
        try:
            load = DataLoad(
                Metadata(site.host, site.port, site.export), site.pids, True
            )
            for operation in ("read", "write"):
                _say(f"{operation} 1 MiB, {count} data servers")
                found = sorted(
                    (load.measure(operation, MIB, 4, seconds) for _ in range(rounds)),
                    key=lambda outcome: outcome.microseconds,
                )[rounds // 2]
                cost = found.microseconds * 1e6 / MIB
                rate = found.operations * MIB / 1e6 / found.seconds
                line = [operation, str(count), f"{cost:,.0f}", f"{rate:,.0f}"]
                lines.append(line)
        finally:
            site.stop()
    return lines


def memoryLines(count: int) -> list[list[str]]:
    """
    Memory per idle client and per open file with a layout.
    """
    found = []
    for what, measureMemory in (("idle clients", perClient), ("files", perOpenFile)):
        # Each in a new process: what the other has let go would be used again.
        site = OurSite(1)
        try:
            _say(f"{count} {what}")
            server = Metadata(site.host, site.port, site.export)
            found.append(measureMemory(server, site.mds, count) / 1024)
        finally:
            site.stop()
    return [
        ["state", "how many", "KiB each"],
        ["idle client with a session", f"{count:,}", f"{found[0]:.1f}"],
        ["open file with a layout", f"{count:,}", f"{found[1]:.1f}"],
    ]


def measure(rounds: int, seconds: float, held: int) -> str:
    """
    Everything. @return: the report.
    """
    ganesha = startGanesha()
    try:
        site = OurSite(3)
        try:
            metadata = metadataRows(site, ganesha, rounds, seconds)
            data = dataRows(site, ganesha, rounds, seconds)
        finally:
            site.stop()
    finally:
        if ganesha is not None:
            ganesha.stop()
    scale = scaleLines((1, 2, 3), rounds, seconds)
    _say("repair and drain")
    moved = MOVED if seconds >= 1 else MOVED // 8
    moving = movingLines(moved, rounds, seconds)
    memory = memoryLines(held)
    peer = (
        "nfs-ganesha (VFS)" if ganesha else "nfs-ganesha is not installed, or no root"
    )
    sizes = {f"{op} {name}": SIZES[name] for op in ("read", "write") for name in SIZES}
    return "\n\n".join(
        (
            "# Results of `make bench`",
            f"{machine()}. Beside ours: {peer}. Medians of {rounds} rounds of "
            f"{seconds} s; CPU is that of the servers alone, loopback.",
            "## Metadata server, metadata in memory\n\n"
            + metadataTable(metadata)
            + "\n\nA layout is one LAYOUTGET with its LAYOUTRETURN. When one to write "
            "comes back, the data servers are asked for the size of the file.",
            "## READ and WRITE, three data servers (all processes) against plain "
            "NFSv4.1\n\n" + dataTable(data, lambda row: sizes[row.name]),
            "## More data servers, 1 MiB, 4 slots each\n\n" + table(scale),
            "## Bytes that move between data servers\n\n"
            + "\n\n".join(table(each) for each in moving)
            + "\n\nThree data servers with two mirrors: what is repaired goes to one, "
            "what is drained to two of them. Where disks are limited, nothing is in "
            "memory when it begins.",
            "## Memory of the metadata server\n\n" + table(memory),
        )
    )


def main() -> None:
    """
    The program.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument(
        "--full", action="store_true", help="100,000 clients and files held, not 10,000"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    held = 100_000 if options.full else 10_000
    if options.quick:
        report = measure(1, 0.3, 1000)
    else:
        report = measure(options.rounds, options.seconds, held)
    print(report)
    if not options.quick:
        with open(RESULTS, "w", encoding="utf-8") as stream:
            stream.write(report + "\n")


if __name__ == "__main__":
    main()
