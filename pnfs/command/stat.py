# -*- test-case-name: tests.command.test_remote -*-
"""
C{pnfs stat}.
"""

from __future__ import annotations

import argparse
import json
from datetime import datetime
from typing import Any

from pnfs.client.attributes import Attributes
from pnfs.client.url import URL
from pnfs.command.remote import (
    URL_HELP,
    Mounts,
    addRemoteOptions,
    forEach,
    remoteURL,
    runRemote,
)
from pnfs.values import FileType

_KINDS = {
    FileType.REG: "regular file",
    FileType.DIR: "directory",
    FileType.BLK: "block device",
    FileType.CHR: "character device",
    FileType.LNK: "symbolic link",
    FileType.SOCK: "socket",
    FileType.FIFO: "fifo",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """
    Add the command's options.
    """
    parser.add_argument("urls", nargs="+", type=remoteURL, metavar="URL", help=URL_HELP)
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument(
        "-L",
        dest="follow",
        action="store_true",
        help="of what a symbolic link points to",
    )
    addRemoteOptions(parser)


def run(args: argparse.Namespace) -> int:
    """
    Do it. @return: the exit status.
    """
    return runRemote(args, lambda mounts: statAll(mounts, args))


async def statAll(mounts: Mounts, args: argparse.Namespace) -> int:
    """
    Show each of C{args.urls}.
    """

    async def one(url: URL) -> None:
        mount = await mounts.of(url)
        told = describe(url, await mount.getattr(url.path, args.follow))
        if args.json:
            print(json.dumps(told), flush=True)
        else:
            width = max(map(len, told))
            for key, value in told.items():
                print(f"{key.ljust(width)}  {value}", flush=True)

    return await forEach("stat", args.urls, one)


def describe(url: URL, found: Attributes) -> dict[str, Any]:
    """
    The attributes by name.
    """
    try:
        kind = _KINDS[FileType(found.ftype)]
    except ValueError:
        kind = f"type {found.ftype}"
    return {
        "url": str(url),
        "type": kind,
        "size": found.size,
        "used": found.used,
        "mode": f"{found.mode:04o} {found.permissions}",
        "owner": found.owner.decode("utf-8", "replace"),
        "group": found.group.decode("utf-8", "replace"),
        "links": found.nlink,
        "fileid": found.fileid,
        "change": found.change,
        "accessed": _time(found.atime),
        "modified": _time(found.mtime),
        "changed": _time(found.ctime),
    }


def _time(nanoseconds: int) -> str:
    try:
        moment = datetime.fromtimestamp(nanoseconds // 10**9).astimezone()
    except (ValueError, OverflowError, OSError):
        return f"{nanoseconds} ns"
    return moment.isoformat(" ")
