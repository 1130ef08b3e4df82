# -*- test-case-name: tests.command.test_main -*-
"""
The program C{pnfs}.

Every subcommand is a module of this package with C{configure(parser)} and
C{run(args)}, which returns the exit status. Only the one that is wanted is imported.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from typing import Any, Optional, Sequence

COMMANDS = {
    "demo": "run a whole site on this machine and show that it works",
    "key": "make a cluster key",
    "ls": "list a directory",
    "cat": "print files",
    "cp": "copy files to, from or between servers",
    "stat": "show the attributes of files",
    "mkdir": "make directories",
    "rm": "remove files and directories",
    "ds": "show, add, drain and remove data servers",
    "clients": "list the clients of a metadata server",
    "layouts": "list the layouts that clients hold",
    "opens": "list the files that clients have open",
    "top": "show what a metadata server is doing",
    "why": "say why a client does or does not use pNFS",
    "restripe": "stripe files otherwise while they are used",
    "rebalance": "make data servers equally full",
    "jobs": "list, call off or wait for what is being moved",
    "mirror": "show, repair and compare the copies of mirrored files",
    "file": "show where the bytes of files are, and say where new ones go",
    "scrub": "look for copies that are missing or differ, and for orphans",
}

_DESCRIPTION = """\
Talk to a pNFS service, as a client that needs no mount and no privileges, or to
administer it. Remote files are written pnfs://HOST[:PORT]/PATH, for example
pnfs://localhost:2049/export/readme.txt.
"""


def makeParser(wanted: Optional[str]) -> tuple[argparse.ArgumentParser, Any]:
    """
    The parser of the command line, with the options of one subcommand.

    @return: it, and the module of the subcommand.
    """
    parser = argparse.ArgumentParser(
        prog="pnfs",
        description=_DESCRIPTION,
        epilog="pnfs COMMAND --help explains each command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="commands"
    )
    module = None
    for name, summary in COMMANDS.items():
        command = commands.add_parser(
            name, help=summary, description=summary[0].upper() + summary[1:] + "."
        )
        if name == wanted:
            module = import_module(f"pnfs.command.{name}")
            module.configure(command)
    return parser, module


def main(argv: Optional[Sequence[str]] = None) -> int:
    """
    Run the subcommand named on the command line.

    @param argv: without the program's name; by default from C{sys.argv}.
    @return: the exit status.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser, module = makeParser(arguments[0] if arguments else None)
    args = parser.parse_args(arguments)
    status: int = module.run(args)
    return status
