# -*- test-case-name: tests.command.test_moves -*-
"""
C{pnfs jobs}: what is being moved.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from pnfs.command.administer import addControlOptions, control, size, table
from pnfs.command.moves import duration, progress, showJob, status


def configure(parser: argparse.ArgumentParser) -> None:
    """
    Add the command's options.
    """
    parser.description = (
        "List what is being moved, and what has been, since the metadata server was "
        "started. 'cancel' calls a job off: files that are half-way stay where they "
        "were, and nothing is left elsewhere. 'wait' waits for its end."
    )
    parser.add_argument(
        "action", nargs="?", choices=("list", "cancel", "wait"), default="list"
    )
    parser.add_argument("id", nargs="?", type=int, metavar="ID", help="of a job")
    addControlOptions(parser, "pnfs jobs cancel 3")


def run(args: argparse.Namespace) -> int:
    """
    Do it. @return: the exit status.
    """
    if args.action == "list":
        return control("jobs", args, "jobs.list", {}, _showAll)
    if args.id is None:
        print(f"pnfs jobs {args.action}: say which: its ID", file=sys.stderr)
        return 2
    return control(
        f"jobs {args.action}",
        args,
        f"jobs.{args.action}",
        {"id": args.id},
        showJob,
        progress,
        status if args.action == "wait" else lambda job: 0,
    )


def _showAll(jobs: Any) -> str:
    rows = [["ID", "STATE", "FILES", "COPIED", "RATE", "LEFT", "WHAT"]]
    problems = []
    for job in jobs:
        # The index that counts files is a little behind.
        known = job["total"] is not None and job["total"] >= job["files"]
        total = f" of {job['total']}" if known else ""
        rows.append(
            [
                str(job["id"]),
                job["state"],
                f"{job['files']}{total}",
                size(job["bytes"]),
                f"{size(job['rate'])}/s",
                "-" if job["left"] is None else duration(job["left"]),
                job["what"],
            ]
        )
        if job["failed"]:
            problems.append(
                f"job {job['id']}: {job['failed']} files were not moved: {job['problem']}"
            )
    return "\n".join([table(rows), *problems])
