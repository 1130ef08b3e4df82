# -*- test-case-name: tests.command.test_remote -*-
"""
C{pnfs mkdir}.
"""

from __future__ import annotations

import argparse
import os

from pnfs.client.url import URL
from pnfs.command.remote import (
    URL_HELP,
    Mounts,
    addRemoteOptions,
    forEach,
    remoteURL,
    runRemote,
)
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.values import FileType


def configure(parser: argparse.ArgumentParser) -> None:
    """
    Add the command's options.
    """
    parser.add_argument("urls", nargs="+", type=remoteURL, metavar="URL", help=URL_HELP)
    parser.add_argument(
        "-p",
        dest="parents",
        action="store_true",
        help="also the directories above, and do not mind if it is there already",
    )
    addRemoteOptions(parser)


def run(args: argparse.Namespace) -> int:
    """
    Do it. @return: the exit status.
    """
    return runRemote(args, lambda mounts: makeAll(mounts, args))


async def makeAll(mounts: Mounts, args: argparse.Namespace) -> int:
    """
    Make each of C{args.urls}, with the permissions that the umask leaves.
    """
    mask = os.umask(0)
    os.umask(mask)
    mode = 0o777 & ~mask

    async def one(url: URL) -> None:
        mount = await mounts.of(url)
        if not args.parents:
            await mount.mkdir(url.path, mode)
            return
        for length in range(1, len(url.path) + 1):
            part = url.path[:length]
            try:
                found = await mount.getattr(part)
            except NFSError as error:
                if error.status != nfsstat4.NFS4ERR_NOENT:
                    raise
                await mount.mkdir(part, mode)
            else:
                if found.ftype != FileType.DIR:
                    raise NFSError(nfsstat4.NFS4ERR_NOTDIR)

    return await forEach("mkdir", args.urls, one)
