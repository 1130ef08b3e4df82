# -*- test-case-name: tests.command.test_remote -*-
"""
C{pnfs file show}: where the bytes of a file are.
"""

from __future__ import annotations

import argparse
import json

from pnfs.client.placement import Where, addressText, describe
from pnfs.client.url import URL
from pnfs.command.remote import (
    URL_HELP,
    Mounts,
    addRemoteOptions,
    forEach,
    remoteURL,
    runRemote,
)


def configure(parser: argparse.ArgumentParser) -> None:
    """
    Add the command's options.
    """
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser(
        "show",
        help="show a file's layout",
        description="Ask for a layout of the file and print it: the layout type, the "
        "stripe unit, and which data servers hold which stripes or copies. The object "
        "is the name of the data file in a data server's data folder.",
    )
    show.add_argument("urls", nargs="+", type=remoteURL, metavar="URL", help=URL_HELP)
    show.add_argument("--json", action="store_true", help="one JSON object per line")
    addRemoteOptions(show)


def run(args: argparse.Namespace) -> int:
    """
    Do it. @return: the exit status.
    """
    return runRemote(args, lambda mounts: showAll(mounts, args))


async def showAll(mounts: Mounts, args: argparse.Namespace) -> int:
    """
    Show each of C{args.urls}.
    """

    async def one(url: URL) -> None:
        file = await (await mounts.of(url)).open(url.path)
        try:
            where = describe(await file.placement())
            size = file.size
        finally:
            await file.close()
        if args.json:
            told = {"url": str(url), "size": size} | where.describe()
            print(json.dumps(told), flush=True)
        else:
            print("\n".join(lines(url, size, where)), flush=True)

    return await forEach("file", args.urls, one)


def lines(url: URL, size: int, where: Where) -> list[str]:
    """
    For people.
    """
    found = [f"file         {url}", f"size         {size} bytes"]
    if not where.layout:
        return found + ["layout       none: all I/O goes through the metadata server"]
    found.append(f"layout       {where.layout}")
    if where.unit:
        found.append(f"stripe unit  {where.unit} bytes")
    found.append(f"stripes      {len(where.columns)}")
    found.append(f"copies       {max(map(len, where.columns))}")
    for number, column in enumerate(where.columns):
        for copy in column:
            addresses = ", ".join(map(addressText, copy.addresses))
            name = copy.name or f"filehandle {copy.fh.hex()}"
            found.append(f"stripe {number:<5} {addresses}  object {name}")
    return found
