# -*- test-case-name: tests.command.test_remote -*-
"""
What the commands on remote files share: options, a mount per server, one line for
each thing that goes wrong.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any, Awaitable, Callable, Coroutine

from twisted.internet.defer import CancelledError, Deferred

from pnfs.client.errors import FAILURES, explain
from pnfs.client.mount import Mount
from pnfs.client.url import URL, BadURL, parseURL
from pnfs.command.reactor import runUntilDone

URL_HELP = "pnfs://HOST[:PORT]/PATH; the port is 2049 if not given"
_EXPECTED = (*FAILURES, OSError, BadURL)

MakeMount = Callable[[Any, URL, argparse.Namespace], Mount]


def remoteURL(text: str) -> URL:
    """
    For C{argparse}: a URL, or an error that says why not.
    """
    try:
        return parseURL(text)
    except BadURL as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def addRemoteOptions(parser: argparse.ArgumentParser) -> None:
    """
    Options of every command that talks to a server.
    """
    parser.add_argument(
        "--minor",
        type=int,
        choices=(1, 2),
        default=2,
        help="minor version of NFSv4 (%(default)s)",
    )
    parser.add_argument(
        "--proxied",
        action="store_true",
        help="no layouts: all bytes through the metadata server",
    )


def makeMount(reactor: Any, url: URL, args: argparse.Namespace) -> Mount:
    """
    A mount of the server that a URL names, as the user of this process.
    """
    return Mount(
        reactor, url.host, url.port, minor=args.minor, useLayouts=not args.proxied
    )


class Mounts:
    """
    The servers that a command talks to, each connected when first needed.
    """

    def __init__(
        self, reactor: Any, args: argparse.Namespace, make: MakeMount = makeMount
    ) -> None:
        self._reactor = reactor
        self._args = args
        self._make = make
        self._mounts: dict[tuple[str, int], Mount] = {}

    async def of(self, url: URL) -> Mount:
        """
        The one that a URL names.

        @raise BackendError: it does not answer.
        """
        key = (url.host, url.port)
        found = self._mounts.get(key)
        if found is None:
            found = self._mounts[key] = self._make(self._reactor, url, self._args)
            await found.connect()
        return found

    async def close(self) -> None:
        """
        Leave all of them.
        """
        for mount in self._mounts.values():
            await mount.close()


def complain(command: str, what: object, error: Exception) -> int:
    """
    Tell what went wrong in one line. @return: the exit status.
    """
    if isinstance(error, BrokenPipeError):
        # Whoever reads our output has seen enough.
        return 1
    if isinstance(error, BadURL):
        print(f"pnfs {command}: {error}", file=sys.stderr)
    else:
        print(f"pnfs {command}: {what}: {explain(error)}", file=sys.stderr)
    return 1


def runRemote(
    args: argparse.Namespace,
    work: Callable[[Mounts], Coroutine[Any, Any, int]],
) -> int:
    """
    Run a command's coroutine to its end, or until Ctrl-C; then leave the servers.

    @param work: returns the exit status.
    """

    async def main(reactor: Any, stop: Deferred[None]) -> int:
        mounts = Mounts(reactor, args)
        running = Deferred.fromCoroutine(work(mounts))
        stop.addCallback(lambda _: running.cancel())
        try:
            return await running
        except CancelledError:
            return 130
        finally:
            await mounts.close()

    return runUntilDone(main)


async def forEach(
    command: str, urls: list[URL], work: Callable[[URL], Awaitable[None]]
) -> int:
    """
    Do something for each URL; what goes wrong with one does not stop the others.

    @return: 0 if all went well.
    """
    status = 0
    for url in urls:
        try:
            await work(url)
        except _EXPECTED as error:
            status = complain(command, url, error)
    return status
