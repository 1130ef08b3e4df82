# -*- test-case-name: tests.command.test_scrub -*-
"""
C{pnfs scrub}: is everything where it should be?
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from pnfs.command.administer import addControlOptions, bar, control, size
from pnfs.configvalues import parseSize

_PHASES = {
    "list": "listing data files",
    "compare": "comparing files",
    "wait": "looking again at data files that belong to nothing",
    "name": "looking up the names of files",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """
    Add the command's options.
    """
    parser.description = (
        "Look in the background whether all copies of all files are there and the "
        "same, and for data files that belong to nothing."
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    start = actions.add_parser(
        "start",
        help="begin one, or go on",
        description="Begin a scrub, or go on with the one that was stopped. The metadata "
        "server does it, also after its restart; nothing is changed unless that is "
        "asked for.",
    )
    start.add_argument(
        "--repair",
        action="store_true",
        help="repair copies that are missing, too short, or not as two others are",
    )
    start.add_argument(
        "--remove-orphans",
        action="store_true",
        help="remove data files that belong to nothing",
    )
    start.add_argument(
        "--limit",
        metavar="SIZE",
        help="read so much in a second from a data server, such as 200MiB; 0: as much "
        "as possible (default: scrub_limit of the configuration)",
    )
    start.add_argument(
        "--again", action="store_true", help="a new one, even if one was stopped"
    )
    start.add_argument(
        "--wait",
        action="store_true",
        help="wait for its end; the exit status is 1 if anything is wrong",
    )
    addControlOptions(start, "pnfs scrub start --repair --limit 200MiB")
    stop = actions.add_parser(
        "stop",
        help="stop it for now",
        description="Stop the scrub that is under way; 'pnfs scrub start' goes on.",
    )
    addControlOptions(stop, "pnfs scrub stop")
    status = actions.add_parser(
        "status",
        help="show how far it is",
        description="Show how far the scrub is, or what the last one was like.",
    )
    addControlOptions(status, "pnfs scrub status")
    report = actions.add_parser(
        "report",
        help="list what it has found",
        description="List files that something is wrong with, and data files that "
        "belong to nothing, as far as the scrub has come; the exit status is 1 if there "
        "are any.",
    )
    addControlOptions(report, "pnfs scrub report")


def run(args: argparse.Namespace) -> int:
    """
    Do it. @return: the exit status.
    """
    values: dict[str, Any] = {}
    if args.action == "start":
        values = {
            "repair": args.repair,
            "remove_orphans": args.remove_orphans,
            "again": args.again,
            "wait": args.wait,
        }
        if args.limit is not None:
            try:
                values["limit"] = parseSize(args.limit.removesuffix("/s"))
            except ValueError as error:
                print(f"pnfs scrub start: --limit: {error}", file=sys.stderr)
                return 2
    judged = args.action == "report" or (args.action == "start" and args.wait)
    return control(
        f"scrub {args.action}",
        args,
        f"scrub.{args.action}",
        values,
        _report if args.action == "report" else _status,
        _progress,
        status=lambda found: int(judged and _wrong(found)),
    )


def _wrong(found: Any) -> bool:
    return bool(found["wrong"] or found["orphans"] > found["removed"])


def _progress(found: Any) -> str:
    return (
        f"{bar(found['files'], found['total'])} "
        f"{_PHASES.get(found['phase'], 'done')}: {found['files']} of {found['total']} "
        f"files, {size(found['bytes'])} compared, {found['wrong']} wrong"
    )


def _status(found: Any) -> str:
    if found["running"]:
        state = f"under way: {_PHASES.get(found['phase'], 'ending')}"
    elif found["phase"] != "done":
        state = "stopped; 'pnfs scrub start' goes on"
    elif found["began"] is None:
        return "there has been no scrub yet; 'pnfs scrub start' begins one"
    else:
        state = f"ended {_when(found['ended'])}"
    lines = [
        f"scrub      {state}",
        f"begun      {_when(found['began'])}",
        f"files      {found['files']} of {found['total']}, "
        f"{size(found['bytes'])} compared",
        f"wrong      {found['wrong']}, of which {found['repaired']} given to repair",
        f"not seen   {found['busy']}, as they were being repaired, moved or could not "
        "be reached",
        f"orphans    {found['orphans']} data files belong to nothing, of which "
        f"{found['removed']} removed",
    ]
    if found["foreign"]:
        lines.append(
            f"foreign    {found['foreign']} data files of exports not served here"
        )
    if found["silent"]:
        lines.append(f"silent     {', '.join(found['silent'])}")
    return "\n".join(lines)


def _report(found: Any) -> str:
    lines = []
    for problem in found["problems"]:
        name = problem["path"] or f"a file of handle {problem['handle']}"
        repaired = " (given to repair)" if problem["repaired"] else ""
        lines.append(f"{name}: {problem['problem']}{repaired}")
    if found["wrong"] > len(found["problems"]):
        lines.append(f"and {found['wrong'] - len(found['problems'])} more")
    for orphan in found["orphan_files"]:
        removed = ", removed" if orphan["removed"] else ""
        lines.append(
            f"{orphan['data_server']}: {orphan['name']} belongs to nothing, "
            f"{size(orphan['size'])}{removed}"
        )
    return "\n".join([*lines, _status(found)])


def _when(seconds: Any) -> str:
    if seconds is None:
        return "-"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
