"""
A site to measure: C{python -m benchmarks.site DIRECTORY DATA_SERVERS} runs one until
its standard input ends, and prints what L{pnfs.admin.site.Site.describe} says.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.stdio import StandardIO

from pnfs.admin.site import Site, SiteOptions


class _UntilEnd(Protocol):
    """
    Waits for the end of the input.
    """

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred()

    def connectionLost(self, reason: Any = None) -> None:
        self.ended.callback(None)


async def serve(reactor: Any, directory: str, dataServers: int) -> None:
    """
    Run a site until nobody wants it any more.
    """
    site = Site(reactor, SiteOptions(directory=directory, dataServers=dataServers))
    try:
        await site.start()
        print(json.dumps(site.describe()), flush=True)
        end = _UntilEnd()
        StandardIO(end)  # type: ignore[no-untyped-call]
        await end.ended
    finally:
        await site.stop()


def main() -> None:
    """
    The program.
    """
    directory, dataServers = sys.argv[1:]
    task.react(
        lambda reactor: Deferred.fromCoroutine(
            serve(reactor, directory, int(dataServers))
        )
    )


if __name__ == "__main__":
    main()
