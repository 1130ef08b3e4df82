# -*- test-case-name: tests.command.test_clients -*-
"""
C{pnfs clients}: who is connected.
"""

from __future__ import annotations

import argparse
from typing import Any

from pnfs.command.administer import addControlOptions, addSelection, control, table


def configure(parser: argparse.ArgumentParser) -> None:
    """
    Add the command's options.
    """
    parser.description = (
        "List the clients that a metadata server knows, and how much each holds."
    )
    addSelection(parser)
    addControlOptions(parser, "pnfs clients --client 192.0.2.7")


def run(args: argparse.Namespace) -> int:
    """
    Do it. @return: the exit status.
    """
    values = {"client": args.client, "limit": args.limit}
    return control("clients", args, "clients.list", values, _show)


def _show(found: Any) -> str:
    rows = [["ADDRESS", "CLIENT", "OPENS", "LOCKS", "LAYOUTS", "DELEGATIONS", "STATE"]]
    for client in found:
        state = "silent" if client["silent"] else "alive"
        rows.append(
            [
                ",".join(client["addresses"]) or "-",
                client["owner"],
                str(client["opens"]),
                str(client["locks"]),
                str(client["layouts"]),
                str(client["delegations"]),
                state if client["callbacks"] else f"{state}, no callbacks",
            ]
        )
    return table(rows)
