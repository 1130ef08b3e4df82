# -*- test-case-name: tests.command.test_remote -*-
"""
C{pnfs ls}.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Sequence

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


def configure(parser: argparse.ArgumentParser) -> None:
    """
    Add the command's options.
    """
    parser.add_argument("urls", nargs="+", type=remoteURL, metavar="URL", help=URL_HELP)
    parser.add_argument("-l", dest="long", action="store_true", help="with attributes")
    parser.add_argument(
        "-a", dest="all", action="store_true", help="also names that begin with a dot"
    )
    addRemoteOptions(parser)


def run(args: argparse.Namespace) -> int:
    """
    Do it. @return: the exit status.
    """
    return runRemote(args, lambda mounts: listAll(mounts, args))


async def listAll(mounts: Mounts, args: argparse.Namespace) -> int:
    """
    List each of C{args.urls}.
    """

    async def one(url: URL) -> None:
        mount = await mounts.of(url)
        attributes = await mount.getattr(url.path)
        if attributes.ftype != FileType.DIR:
            entries = [(url.name, attributes)]
        else:
            entries = sorted(await mount.listdir(url.path), key=lambda each: each[0])
            if len(args.urls) > 1:
                print(f"{url}:")
        if not args.all:
            entries = [each for each in entries if not each[0].startswith(b".")]
        for line in lines(entries, args.long):
            print(line)

    status = await forEach("ls", args.urls, one)
    sys.stdout.flush()
    return status


def lines(entries: Sequence[tuple[bytes, Attributes]], long: bool) -> list[str]:
    """
    What to print for the entries of a directory.
    """
    if not long:
        return [shown(name) for name, _ in entries]
    rows = [
        (
            each.permissions,
            str(each.nlink),
            each.owner.decode("utf-8", "replace"),
            each.group.decode("utf-8", "replace"),
            str(each.size),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(each.mtime // 10**9)),
            shown(name),
        )
        for name, each in entries
    ]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [
        " ".join(
            [
                row[0],
                row[1].rjust(widths[1]),
                row[2].ljust(widths[2]),
                row[3].ljust(widths[3]),
                row[4].rjust(widths[4]),
                row[5],
                row[6],
            ]
        )
        for row in rows
    ]


def shown(name: bytes) -> str:
    """
    A name that cannot upset a terminal.
    """
    text = os.fsdecode(name)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
