# -*- test-case-name: tests.command.test_remote -*-
"""
C{pnfs rm}.
"""

from __future__ import annotations

import argparse

from pnfs.client.mount import Mount
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
        "-d", dest="directories", action="store_true", help="also empty directories"
    )
    parser.add_argument(
        "-r",
        dest="recursive",
        action="store_true",
        help="also directories with everything in them",
    )
    parser.add_argument(
        "-f", dest="force", action="store_true", help="do not mind what is not there"
    )
    addRemoteOptions(parser)


def run(args: argparse.Namespace) -> int:
    """
    Do it. @return: the exit status.
    """
    return runRemote(args, lambda mounts: removeAll(mounts, args))


async def removeAll(mounts: Mounts, args: argparse.Namespace) -> int:
    """
    Remove each of C{args.urls}.
    """

    async def one(url: URL) -> None:
        mount = await mounts.of(url)
        try:
            found = await mount.getattr(url.path, follow=False)
            if found.ftype == FileType.DIR:
                if args.recursive:
                    await _empty(mount, url.path)
                elif not args.directories:
                    raise NFSError(nfsstat4.NFS4ERR_ISDIR)
            await mount.remove(url.path)
        except NFSError as error:
            if not args.force or error.status != nfsstat4.NFS4ERR_NOENT:
                raise

    return await forEach("rm", args.urls, one)


async def _empty(mount: Mount, path: tuple[bytes, ...]) -> None:
    """
    Remove everything in a directory. Links are removed, not followed.
    """
    for name, attributes in await mount.listdir(path):
        if attributes.ftype == FileType.DIR:
            await _empty(mount, path + (name,))
        await mount.remove(path + (name,))
