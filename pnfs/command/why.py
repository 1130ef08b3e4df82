# -*- test-case-name: tests.command.test_clients -*-
"""
C{pnfs why}: why a client does or does not use pNFS.
"""

from __future__ import annotations

import argparse
from typing import Any

from pnfs.command.administer import addControlOptions, control


def configure(parser: argparse.ArgumentParser) -> None:
    """
    Add the command's options.
    """
    parser.description = (
        "Say why a client does or does not use pNFS, for one file or at all: what it "
        "asked for, what it is offered, what it holds and was refused. Lines with '!' "
        "speak against pNFS."
    )
    parser.add_argument(
        "--client", required=True, metavar="ADDRESS", help="its numeric address"
    )
    parser.add_argument(
        "path", nargs="?", default="", metavar="PATH", help="such as /export/a/b"
    )
    addControlOptions(parser, "pnfs why --client 192.0.2.7 /export/data/run1")


def run(args: argparse.Namespace) -> int:
    """
    Do it. @return: the exit status.
    """
    values = {"client": args.client, "path": args.path}
    return control("why", args, "why", values, _show)


def _show(found: Any) -> str:
    return "\n".join(
        f"{'!' if finding['against'] else ' '} {finding['text']}"
        for finding in found["findings"]
    )
