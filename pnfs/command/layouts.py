# -*- test-case-name: tests.command.test_clients -*-
"""
C{pnfs layouts}: who holds layouts.
"""

from __future__ import annotations

import argparse
from typing import Any

from pnfs.command.administer import addControlOptions, addSelection, control, table


def configure(parser: argparse.ArgumentParser) -> None:
    """
    Add the command's options.
    """
    parser.description = "List the layouts that clients hold: what they may read and write at data servers."
    addSelection(parser)
    addControlOptions(parser, "pnfs layouts --client 192.0.2.7")


def run(args: argparse.Namespace) -> int:
    """
    Do it. @return: the exit status.
    """
    values = {"client": args.client, "limit": args.limit}
    return control("layouts", args, "layouts.list", values, _show)


def _show(found: Any) -> str:
    rows = [["ADDRESS", "EXPORT", "FOLDER", "FILEID", "TYPE", "TO", "DATA SERVERS"]]
    for layout in found:
        rows.append(
            [
                ",".join(layout["addresses"]) or "-",
                layout["export"],
                layout["folder"] or "-",
                str(layout["fileid"]),
                layout["type"],
                layout["access"] + (", being recalled" if layout["recall"] else ""),
                " ".join(layout["data_servers"]),
            ]
        )
    return table(rows)
