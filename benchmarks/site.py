"""
A site to measure: C{python -m benchmarks.site DIRECTORY DATA_SERVERS LAYOUT
MIRRORS} runs one until its standard input ends, and prints what L{pnfs.admin.site.Site.describe} says.
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


async def serve(reactor: Any, options: SiteOptions) -> None:
    """
    Run a site until nobody wants it any more.
    """
    site = Site(reactor, options)
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
    directory, dataServers, layout, mirrors = sys.argv[1:]
    options = SiteOptions(
        directory=directory,
        dataServers=int(dataServers),
        layout=layout,
        mirrors=int(mirrors),
    )
    task.react(lambda reactor: Deferred.fromCoroutine(serve(reactor, options)))


if __name__ == "__main__":
    main()
