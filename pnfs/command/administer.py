# -*- test-case-name: tests.command.test_administer -*-
"""
What the commands of the administration share: options, a call, tables.

The exit status is 0 if it was done, 1 if it was refused or failed, 2 if the command
line was wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any, Callable, Mapping, Optional, Sequence

from pnfs.admin.client import ControlClient, ControlFailed, findServer

Show = Callable[[Any], str]
"""Says a result in words."""


def addControlOptions(parser: argparse.ArgumentParser, example: str) -> None:
    """
    Options of every command of the administration.

    @param example: a command line, for C{--help}.
    """
    parser.epilog = f"Example: {example}"
    parser.add_argument(
        "--socket",
        metavar="PATH",
        help="control socket of the metadata server",
    )
    parser.add_argument(
        "--config",
        metavar="MDS.toml",
        help="its configuration file (default: PNFS_MDS in the environment, "
        "/etc/pnfs/pnfs-mds.toml, or the demo that runs)",
    )
    parser.add_argument(
        "--server",
        metavar="tls://HOST:PORT",
        help="a metadata server elsewhere, with --certificate, --key and --ca "
        "(or PNFS_MDS, PNFS_CERTIFICATE, PNFS_KEY and PNFS_CA in the environment)",
    )
    parser.add_argument(
        "--certificate", metavar="FILE", help="yours, in PEM, for --server"
    )
    parser.add_argument("--key", metavar="FILE", help="its private key")
    parser.add_argument(
        "--ca", metavar="FILE", help="authority of the server's certificate"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def addSelection(parser: argparse.ArgumentParser) -> None:
    """
    Options of commands that list what clients hold.
    """
    parser.add_argument(
        "--client",
        default="",
        metavar="ADDRESS",
        help="only of this one (default: all)",
    )
    parser.add_argument(
        "--limit", type=int, default=1000, metavar="N", help="so many (%(default)s)"
    )


def connect(args: argparse.Namespace) -> ControlClient:
    """
    The connection that the options ask for.

    @raise ControlFailed: there is none.
    """
    files = {"certificate": args.certificate, "key": args.key, "ca": args.ca}
    return ControlClient(
        findServer(args.server, args.socket, args.config, files, os.environ)
    )


def control(
    name: str,
    args: argparse.Namespace,
    command: str,
    values: Mapping[str, Any],
    show: Show,
    progress: Optional[Callable[[Any], str]] = None,
    status: Callable[[Any], int] = lambda result: 0,
) -> int:
    """
    Have a command carried out, and print its result.

    @param name: of the program's command, for messages.
    @param progress: says how far it is; shown on a terminal only.
    @param status: the exit status of a result.
    @return: the exit status.
    """
    told = False

    def tell(how: Any) -> None:
        nonlocal told
        if progress is not None and sys.stderr.isatty():
            told = True
            print(f"\r{progress(how)}\x1b[K", end="", file=sys.stderr, flush=True)

    try:
        client = connect(args)
        try:
            result = client.call(command, values, tell)
        finally:
            client.close()
            if told:
                print(file=sys.stderr)
        print(json.dumps(result) if args.json else show(result), flush=True)
    except ControlFailed as error:
        print(f"pnfs {name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever reads our output has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status(result)


def table(rows: Sequence[Sequence[str]]) -> str:
    """
    Rows in columns; the first one is the head.
    """
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
        for row in rows
    )


def size(count: Optional[int]) -> str:
    """
    Bytes for people.
    """
    if count is None:
        return "-"
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def bar(done: int, total: int, width: int = 20) -> str:
    """
    How far something is, for a terminal.
    """
    filled = width if done >= total else done * width // total
    return f"[{'#' * filled}{'.' * (width - filled)}]"
