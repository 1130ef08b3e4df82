# -*- test-case-name: tests.command.test_remote -*-
"""
C{pnfs file}: where the bytes of files are, and are to be.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from pnfs.client.placement import Where, addressText, describe
from pnfs.client.url import URL
from pnfs.command.administer import addControlOptions, control
from pnfs.command.moves import addJobOptions, addPaths, runJob
from pnfs.command.remote import (
    URL_HELP,
    Mounts,
    addRemoteOptions,
    forEach,
    remoteURL,
    runRemote,
)
from pnfs.configvalues import parseSize

_PATH_HELP = "as clients see it, such as /export/home"


def configure(parser: argparse.ArgumentParser) -> None:
    """
    Add the command's options.
    """
    parser.description = "Show where the bytes of files are, and say where new ones go."
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser(
        "show",
        help="show where a file's bytes are",
        description="Of a URL: ask for a layout of the file, as any client may, and "
        "print it: the layout type, the stripe unit, and which data servers hold which "
        "stripes or copies. Of a PATH: ask the metadata server, also what counts for "
        "new files there, and where that has been said. The object is the name of the "
        "data file in a data server's data folder.",
    )
    show.add_argument(
        "urls",
        nargs="+",
        type=_urlOrPath,
        metavar="URL|PATH",
        help=f"{URL_HELP}; or a path {_PATH_HELP}",
    )
    addRemoteOptions(show)
    addControlOptions(show, "pnfs file show /export/home/notes.txt")
    _configureSet(actions)
    move = actions.add_parser(
        "move",
        help="have files go to other data servers",
        description="Have files go to the data servers that are named while they are "
        "used, and wait until that is done. After Ctrl-C the metadata server goes on; "
        "'pnfs jobs' shows how far it is, and calls it off.",
    )
    addPaths(move)
    move.add_argument(
        "--to",
        required=True,
        metavar="DS[,DS]",
        help="the data servers, as many as a file is on; with --from those that may "
        "take its place",
    )
    move.add_argument(
        "--from",
        dest="leaving",
        default="",
        metavar="DS",
        help="only what is on this one",
    )
    addJobOptions(move, "pnfs file move /export/home/a --from ds1 --to ds4")


def _configureSet(actions: Any) -> None:
    set_ = actions.add_parser(
        "set",
        help="say what new files of a directory are to be like",
        description="Say what new files below a directory are to be like. What is not "
        "said counts as said of the directory above, and at last of the export. Files "
        "that have bytes stay as they are.",
    )
    set_.add_argument("path", metavar="PATH", help=_PATH_HELP)
    set_.add_argument("--mirrors", type=int, metavar="N", help="copies of each byte")
    set_.add_argument(
        "--stripe-count", type=int, metavar="N", help="data servers per file; 0: all"
    )
    set_.add_argument(
        "--stripe-unit", metavar="SIZE", help="bytes on one of them, such as 1MiB"
    )
    set_.add_argument(
        "--chunk",
        metavar="SIZE",
        help="bytes of a mirrored file on the same data servers, such as 1GiB; 0: all",
    )
    set_.add_argument(
        "--class",
        dest="label",
        metavar="CLASS",
        help="only data servers of this class; 'any': of all",
    )
    set_.add_argument(
        "--data-server",
        action="append",
        metavar="NAME",
        help="only this one (repeat it for several); 'any': all",
    )
    set_.add_argument("--policy", metavar="NAME", help="the placement policy")
    set_.add_argument("--layout", metavar="NAME", help="the layout driver that places")
    set_.add_argument(
        "--clear",
        action="store_true",
        help="forget what has been said of this directory before",
    )
    addControlOptions(set_, "pnfs file set /export/scratch --mirrors 2 --class nvme")


def _urlOrPath(text: str) -> Any:
    return text if text.startswith("/") else remoteURL(text)


def run(args: argparse.Namespace) -> int:
    """
    Do it. @return: the exit status.
    """
    if args.action == "move":
        values = {
            "paths": args.paths,
            "to": [name for name in args.to.split(",") if name],
            "from": args.leaving,
        }
        return runJob("file move", args, "file.move", values)
    if args.action == "set":
        return _set(args)
    status = 0
    for path in [path for path in args.urls if isinstance(path, str)]:
        status = max(
            status, control("file show", args, "file.show", {"path": path}, _shown)
        )
    args.urls = [url for url in args.urls if isinstance(url, URL)]
    if args.urls:
        status = max(status, runRemote(args, lambda mounts: showAll(mounts, args)))
    return status


def _set(args: argparse.Namespace) -> int:
    values: dict[str, Any] = {
        "path": args.path,
        "clear": args.clear,
        "mirrors": args.mirrors,
        "stripe_count": args.stripe_count,
        "class": args.label,
        "placement": args.policy,
        "layout": args.layout,
        "data_servers": args.data_server,
    }
    if args.mirrors is not None and args.mirrors < 1:
        print("pnfs file set: --mirrors: write 1 or more", file=sys.stderr)
        return 2
    if args.stripe_count is not None and args.stripe_count < 0:
        print("pnfs file set: --stripe-count: write 0 or more", file=sys.stderr)
        return 2
    for option, key, least in (
        ("--stripe-unit", "stripe_unit", 1),
        ("--chunk", "chunk", 0),
    ):
        text = getattr(args, key)
        if text is None:
            continue
        try:
            values[key] = parseSize(text)
        except ValueError as error:
            print(f"pnfs file set: {option}: {error}", file=sys.stderr)
            return 2
        if values[key] < least:
            print(f"pnfs file set: {option}: write 64KiB or more", file=sys.stderr)
            return 2
    said = {key: value for key, value in values.items() if value is not None}
    return control("file set", args, "file.set", said, _shown)


def _shown(found: Any) -> str:
    """
    For people.
    """
    lines = [f"path          {found['path']}"]
    placement = found["placement"]
    if placement is not None:
        lines.append(f"layout        {placement['layout']}")
        if placement["stripe_unit"]:
            lines.append(f"stripe unit   {placement['stripe_unit']} bytes")
        if placement["chunk"]:
            lines.append(f"chunk         {placement['chunk']} bytes")
        for number, column in enumerate(placement["columns"]):
            names = ", ".join(
                copy["name"] + (" (stale)" if copy["stale"] else "") for copy in column
            )
            what = "chunk" if placement["chunk"] else "stripe"
            lines.append(f"{f'{what} {number}':<13} {names}")
        lines.append(f"object        {placement['object']}")
    elif not found["directory"]:
        lines.append("data files    none yet: the first write makes them")
    if placement is None:
        lines.append("new files     ")
        for key, said in found["settings"].items():
            lines.append(
                f"  {key:<14}{_value(key, said['value']):<14} ({said['from']})"
            )
    return "\n".join(line.rstrip() for line in lines)


def _value(key: str, value: Any) -> str:
    if key == "stripe_count" and value == 0:
        return "all"
    if key == "chunk" and value == 0:
        return "none"
    if isinstance(value, list):
        return ", ".join(value) or "any"
    return str(value) if value != "" else "any"


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
    if where.chunk:
        found.append(f"chunk        {where.chunk} bytes")
    what = "chunk" if where.chunk else "stripe"
    found.append(f"{what + 's':<12} {len(where.columns)}")
    found.append(f"copies       {max(map(len, where.columns))}")
    for number, column in enumerate(where.columns):
        for copy in column:
            addresses = ", ".join(map(addressText, copy.addresses))
            name = copy.name or f"filehandle {copy.fh.hex()}"
            found.append(
                f"{what} {number:<{11 - len(what)}} {addresses}  object {name}"
            )
    return found
