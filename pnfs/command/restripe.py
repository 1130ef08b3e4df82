# -*- test-case-name: tests.command.test_moves -*-
"""
C{pnfs restripe}: other stripes, or chunks, for files that are there.
"""

from __future__ import annotations

import argparse
from typing import Any

from pnfs.command.moves import addJobOptions, addPaths, runJob
from pnfs.configvalues import parseSize


def configure(parser: argparse.ArgumentParser) -> None:
    """
    Add the command's options.
    """
    parser.description = (
        "Stripe files over another number of data servers while they are used, or give "
        "files of flexfiles layouts chunks, and wait until that is done. The data servers that have a file are used again as "
        "far as possible. After Ctrl-C the metadata server goes on; 'pnfs jobs' shows "
        "how far it is, and calls it off."
    )
    addPaths(parser)
    parser.add_argument(
        "--stripe-count",
        type=int,
        default=0,
        metavar="N",
        help="over so many data servers; 1: not striped",
    )
    parser.add_argument(
        "--stripe-unit",
        type=_size,
        default=0,
        metavar="SIZE",
        help="bytes of a stripe unit, such as 1MiB (default: as it is, or as the "
        "export says)",
    )
    parser.add_argument(
        "--chunk",
        type=_size,
        metavar="SIZE",
        help="in chunks of so many bytes, each on other data servers, such as 1GiB; "
        "0: in none",
    )
    addJobOptions(parser, "pnfs restripe /export/runs --stripe-count 4")


def run(args: argparse.Namespace) -> int:
    """
    Do it. @return: the exit status.
    """
    values: dict[str, Any] = {
        "paths": args.paths,
        "count": args.stripe_count,
        "unit": args.stripe_unit,
    }
    if args.chunk is not None:
        values["chunk"] = args.chunk
    return runJob("restripe", args, "restripe", values)


def _size(text: str) -> int:
    try:
        return parseSize(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
