# -*- test-case-name: tests.command.test_moves -*-
"""
C{pnfs rebalance}: data servers become equally full.
"""

from __future__ import annotations

import argparse
from typing import Any

from pnfs.command.administer import control, size, table
from pnfs.command.moves import addJobOptions, runJob


def configure(parser: argparse.ArgumentParser) -> None:
    """
    Add the command's options.
    """
    parser.description = (
        "Move files from data servers that are fuller than the average to those that "
        "are emptier, such as new ones, while they are used, and wait until that is "
        "done. After Ctrl-C the metadata server goes on; 'pnfs jobs' shows how far it "
        "is, and calls it off."
    )
    parser.add_argument(
        "--within",
        type=int,
        default=5,
        metavar="PERCENT",
        help="of its size that each may be fuller than the average (%(default)s)",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="only tell what would be moved, and how full they would be then",
    )
    addJobOptions(parser, "pnfs rebalance --dry-run")


def run(args: argparse.Namespace) -> int:
    """
    Do it. @return: the exit status.
    """
    values: dict[str, Any] = {"within": args.within}
    if args.dry_run:
        return control("rebalance", args, "rebalance", values | {"dry": True}, _show)
    return runJob("rebalance", args, "rebalance", values)


def _show(plan: Any) -> str:
    rows = [["NAME", "SIZE", "USED", "THEN"]]
    for server in plan["servers"]:
        rows.append(
            [
                server["name"],
                size(server["total"]),
                f"{100 * server['used'] / server['total']:.0f} %",
                f"{100 * server['then'] / server['total']:.0f} %",
            ]
        )
    return "\n".join(
        [
            table(rows),
            f"{plan['files']} files would be moved, {size(plan['bytes'])}",
        ]
    )
