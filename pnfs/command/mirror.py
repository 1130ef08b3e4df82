# -*- test-case-name: tests.command.test_mirror -*-
"""
C{pnfs mirror}: the copies of mirrored files.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any, Optional

from pnfs.command.administer import (
    addControlOptions,
    bar,
    control,
    size,
    table,
)
from pnfs.command.moves import addJobOptions, addPaths, duration, runJob
from pnfs.configvalues import parseSize


def configure(parser: argparse.ArgumentParser) -> None:
    """
    Add the command's options.
    """
    parser.description = "Show, repair, compare, add and remove copies of files."
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    status = actions.add_parser(
        "status",
        help="show what is to be repaired",
        description="Show by data server how many files have a stale copy there, about "
        "how long these are, what has been repaired since it has returned, how fast that "
        "is and how long it is going to take.",
    )
    addControlOptions(status, "pnfs mirror status")
    repair = actions.add_parser(
        "repair",
        help="repair stale copies",
        description="Copy what stale copies have missed, and wait until that is done. "
        "The metadata server does it: after Ctrl-C it goes on, 'pnfs mirror stop' ends "
        "it. What is not repaired then stays stale, and is repaired later.",
    )
    repair.add_argument(
        "name", nargs="?", default="", metavar="NAME", help="only on this data server"
    )
    repair.add_argument(
        "--full",
        action="store_true",
        help="it has lost files: take everything there for stale that has another copy",
    )
    repair.add_argument(
        "--limit",
        metavar="SIZE",
        help="copy so much in a second, such as 200MiB; 0: as much as possible (stays so "
        "until the metadata server is restarted)",
    )
    addControlOptions(repair, "pnfs mirror repair ds1 --limit 200MiB")
    stop = actions.add_parser(
        "stop",
        help="end the repair that is under way",
        description="Repair nothing more until the next data server returns, or "
        "'pnfs mirror repair'.",
    )
    addControlOptions(stop, "pnfs mirror stop")
    verify = actions.add_parser(
        "verify",
        help="compare all copies",
        description="Have data servers compare checksums of all copies, and list the "
        "files where they differ; the exit status is 1 then. Nothing is changed. "
        "Ctrl-C ends it.",
    )
    addControlOptions(verify, "pnfs mirror verify")
    _configureCount(actions)


def _configureCount(actions: Any) -> None:
    """
    More copies, or fewer.
    """
    for action, copies, where, most in (
        ("add", 2, "to", "at least"),
        ("remove", 1, "from", "at most"),
    ):
        one = actions.add_parser(
            action,
            help=f"{action} copies of files",
            description=f"{action.capitalize()} copies of files while they are used, "
            "and wait until that is done. After Ctrl-C the metadata server goes on; "
            "'pnfs jobs' shows how far it is, and calls it off.",
        )
        addPaths(one)
        one.add_argument(
            "--copies",
            type=int,
            default=copies,
            metavar="N",
            help=f"each file is to have {most} so many (%(default)s)",
        )
        one.add_argument(
            f"--{where}",
            dest="where",
            default="",
            metavar="DS",
            help=f"instead: the one {'to be ' if where == 'to' else ''}on this server",
        )
        addJobOptions(one, f"pnfs mirror {action} /export/home --copies {copies}")


def run(args: argparse.Namespace) -> int:
    """
    Do it. @return: the exit status.
    """
    values: dict[str, Any] = {}
    if args.action in ("add", "remove"):
        where = "to" if args.action == "add" else "from"
        values = {"paths": args.paths, "copies": args.copies, where: args.where}
        return runJob(f"mirror {args.action}", args, f"mirror.{args.action}", values)
    if args.action == "verify":
        return control(
            "mirror verify",
            args,
            "mirror.verify",
            values,
            _verified,
            status=lambda found: int(found["wrong"] > 0),
        )
    if args.action == "repair":
        values = {"name": args.name, "full": args.full}
        if args.limit is not None:
            try:
                values["limit"] = parseSize(args.limit.removesuffix("/s"))
            except ValueError as error:
                print(f"pnfs mirror repair: --limit: {error}", file=sys.stderr)
                return 2
    return control(
        f"mirror {args.action}",
        args,
        f"mirror.{args.action}",
        values,
        _status,
        _progress,
    )


def _status(found: Any) -> str:
    rows = [["NAME", "STALE", "LEFT", "REPAIRED", "COPIED", "RATE", "ETA", "FAILED"]]
    problems = []
    for server in found["servers"]:
        rows.append(
            [
                server["name"] + ("" if server["answers"] else " (silent)"),
                str(server["stale"]),
                size(server["left_bytes"]) if server["stale"] else "-",
                str(server["files"]),
                size(server["bytes"]),
                size(server["rate"]) + "/s" if server["repairing"] else "-",
                _span(server["seconds"]) if server["repairing"] else "-",
                str(server["failed"]),
            ]
        )
        if server["failed"]:
            problems.append(f"{server['name']}: {server['problem']}")
    how = "automatic" if found["automatic"] else "only by command"
    if found["limit"]:
        how += f", at most {size(found['limit'])} in a second"
    running = "under way" if found["running"] else "none under way"
    return "\n".join([table(rows), *problems, f"repair: {how}; {running}"])


def _progress(found: Any) -> str:
    servers = found["servers"]
    files = sum(server["files"] for server in servers)
    left = sum(server["stale"] for server in servers)
    copied = sum(server["bytes"] for server in servers)
    rate = sum(server["rate"] for server in servers if server["repairing"])
    known = [server["seconds"] for server in servers if server["repairing"]]
    seconds = None if None in known else max(known, default=None)
    return (
        f"{bar(files, files + left)} {files} of {files + left} files, {size(copied)} "
        f"copied, {size(rate)}/s, {_span(seconds)} left"
    )


def _span(seconds: Optional[float]) -> str:
    return "-" if seconds is None else duration(seconds)


def _verified(found: Any) -> str:
    lines = list(found["problems"])
    if found["wrong"] > len(lines):
        lines.append(f"and {found['wrong'] - len(lines)} more")
    lines.append(
        f"{found['files']} files compared, {found['stale']} of them with a stale copy "
        f"that was left out; {found['wrong']} wrong"
    )
    return "\n".join(lines)
