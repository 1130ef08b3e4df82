# -*- test-case-name: tests.command.test_remote -*-
"""
C{pnfs cat}.
"""

from __future__ import annotations

import argparse

from pnfs.client.transfer import download, streamSink
from pnfs.client.url import URL
from pnfs.command.remote import (
    URL_HELP,
    Mounts,
    addRemoteOptions,
    forEach,
    remoteURL,
    runRemote,
)


def configure(parser: argparse.ArgumentParser) -> None:
    """
    Add the command's options.
    """
    parser.add_argument("urls", nargs="+", type=remoteURL, metavar="URL", help=URL_HELP)
    addRemoteOptions(parser)


def run(args: argparse.Namespace) -> int:
    """
    Do it. @return: the exit status.
    """
    return runRemote(args, lambda mounts: printAll(mounts, args.urls))


async def printAll(mounts: Mounts, urls: list[URL], fd: int = 1) -> int:
    """
    Write files to a file descriptor, one after the other.
    """

    async def one(url: URL) -> None:
        file = await (await mounts.of(url)).open(url.path)
        try:
            await download(file, streamSink(fd))
        finally:
            await file.close()

    return await forEach("cat", urls, one)
