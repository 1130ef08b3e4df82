# -*- test-case-name: tests.command.test_moves -*-
"""
What the commands that move data have in common: they begin a job of the metadata
server, and watch it.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Callable, Mapping, Optional

from pnfs.admin.client import ControlFailed
from pnfs.command import administer
from pnfs.command.administer import size
from pnfs.configvalues import parseSize

PATH_HELP = "as clients see it, such as /export/home; a directory: all files below it"
BAR = 20
"""Characters of a progress bar."""


def limitOf(text: str) -> int:
    """
    Bytes in a second.
    """
    try:
        return parseSize(text.removesuffix("/s"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def addJobOptions(parser: argparse.ArgumentParser, example: str) -> None:
    """
    Options of commands that move data.

    @param example: a command line, for C{--help}.
    """
    parser.add_argument(
        "--limit",
        type=limitOf,
        default=0,
        metavar="SIZE",
        help="copy so much in a second, such as 200MiB (default: as much as possible)",
    )
    parser.add_argument(
        "--background",
        action="store_true",
        help="do not wait: 'pnfs jobs' shows how far it is",
    )
    administer.addControlOptions(parser, example)


def addPaths(parser: argparse.ArgumentParser) -> None:
    """
    What is to be moved.
    """
    parser.add_argument("paths", nargs="+", metavar="PATH", help=PATH_HELP)


def runJob(
    name: str,
    args: argparse.Namespace,
    command: str,
    values: Mapping[str, Any],
    jobOf: Callable[[Any], Any] = lambda result: result,
) -> int:
    """
    Begin a job, and wait for its end unless that is not wanted.

    @param name: of the program's command, for messages.
    @param jobOf: what the result of C{command} says of the job.
    @return: the exit status: 1 if not everything was done.
    """
    job: Optional[Any] = None
    bar = ProgressBar()
    try:
        client = administer.connect(args)
        try:
            limited = {"limit": args.limit} if args.limit else {}
            job = jobOf(client.call(command, {**values, **limited}, bar.tell))
            if not args.background:
                job = client.call("jobs.wait", {"id": job["id"]}, bar.tell)
        finally:
            client.close()
            bar.end()
        print(json.dumps(job) if args.json else showJob(job), flush=True)
    except ControlFailed as error:
        print(f"pnfs {name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        if job is not None:
            print(
                f"pnfs {name}: job {job['id']} goes on without you; 'pnfs jobs' shows "
                f"it, 'pnfs jobs cancel {job['id']}' calls it off",
                file=sys.stderr,
            )
        return 130
    return status(job)


def status(job: Any) -> int:
    """
    The exit status for a job.
    """
    return int(job["state"] in ("failed", "cancelled"))


class ProgressBar:
    """
    A line on a terminal that says how far a job is; elsewhere nothing.
    """

    def __init__(self) -> None:
        self._shown = False

    def tell(self, job: Any) -> None:
        """
        So far.
        """
        if sys.stderr.isatty():
            self._shown = True
            print(f"\r{progress(job)}\x1b[K", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """
        No further.
        """
        if self._shown:
            print(file=sys.stderr)


def progress(job: Any) -> str:
    """
    How far a job is, in a line.
    """
    text = f"{job['files']} files"
    if job["total"]:
        done = min(1.0, job["files"] / job["total"])
        filled = round(done * BAR)
        text = f"[{'#' * filled}{'.' * (BAR - filled)}] {text} of {job['total']}"
    text += f", {size(job['bytes'])} copied, {size(job['rate'])}/s"
    if job["left"] is not None:
        text += f", {duration(job['left'])} left"
    if job["failed"]:
        text += f"; {job['failed']} failed: {job['problem']}"
    return text


def showJob(job: Any) -> str:
    """
    A job that has ended, or has just begun.
    """
    text = f"job {job['id']}, {job['what']}: {job['state']}"
    if job["state"] != "running":
        text += (
            f"; {job['files']} files moved, {size(job['bytes'])} copied in "
            f"{duration(job['seconds'])}"
        )
    if job["failed"]:
        text += f"\n{job['failed']} files were not moved: {job['problem']}"
    return text


def duration(seconds: float) -> str:
    """
    For people.
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
