# -*- test-case-name: tests.command.test_clients -*-
"""
C{pnfs opens}: who has what open.
"""

from __future__ import annotations

import argparse
from typing import Any

from pnfs.command.administer import addControlOptions, addSelection, control, table


def configure(parser: argparse.ArgumentParser) -> None:
    """
    Add the command's options.
    """
    parser.description = "List the files that clients have open."
    addSelection(parser)
    addControlOptions(parser, "pnfs opens --client 192.0.2.7")


def run(args: argparse.Namespace) -> int:
    """
    Do it. @return: the exit status.
    """
    values = {"client": args.client, "limit": args.limit}
    return control("opens", args, "opens.list", values, _show)


def _show(found: Any) -> str:
    rows = [["ADDRESS", "EXPORT", "FOLDER", "FILEID", "TO", "DENYING", "LOCKS"]]
    for state in found:
        rows.append(
            [
                ",".join(state["addresses"]) or "-",
                state["export"],
                state["folder"] or "-",
                str(state["fileid"]),
                state["access"],
                state["deny"],
                str(state["locks"]),
            ]
        )
    return table(rows)
