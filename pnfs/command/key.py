# -*- test-case-name: tests.command.test_main -*-
"""
C{pnfs key new}: the secret that all servers of a cluster share.
"""

from __future__ import annotations

import argparse
import os
import sys

from pnfs.client.errors import explain

KEY_BYTES = 32


def configure(parser: argparse.ArgumentParser) -> None:
    """
    Add the command's options.
    """
    parser.description = (
        "Cluster keys. Whoever has the key can read and write everything on all data "
        "servers: keep it secret, and put the same file on every server."
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    new = actions.add_parser(
        "new",
        help="make a new key",
        description=f"Write {KEY_BYTES} random bytes to a new file that only its owner "
        "can read. An existing file is never overwritten.",
    )
    new.add_argument("file", metavar="FILE", help="the file to make")


def run(args: argparse.Namespace) -> int:
    """
    Do it. @return: the exit status.
    """
    try:
        fd = os.open(args.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.fchmod(fd, 0o600)
            os.write(fd, os.urandom(KEY_BYTES))
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        print(f"pnfs key: {args.file}: {explain(error)}", file=sys.stderr)
        return 1
    return 0
