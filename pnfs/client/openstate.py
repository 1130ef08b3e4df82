# -*- test-case-name: tests.client.test_file -*-
"""
The state of an open file at the metadata server, which may lose it.
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable

from twisted.internet.defer import DeferredLock

from pnfs.client.errors import STATE_LOST
from pnfs.nfs4 import requests
from pnfs.nfs4.results import OperationFailed

_REOPENED = 10
"""
How often for one request: while the server says DELAY to it, it may restart again and
again.
"""


class OpenState:
    """
    An OPEN.

    @ivar fh: the file's filehandle.
    @ivar stateid: as the server gave it last.
    """

    def __init__(
        self, mount: Any, fh: bytes, owner: bytes, stateid: bytes, share: int
    ) -> None:
        """
        @param mount: L{pnfs.client.mount.Mount}.
        @param owner: the open owner; C{share}: the access.
        """
        self._mount = mount
        self.fh = fh
        self.stateid = stateid
        self._owner = owner
        self._share = share
        self._reopening = DeferredLock()

    async def withStateid(self, attempt: Callable[[], Awaitable[Any]]) -> Any:
        """
        Do what needs the open stateid; if the server does not know it any more, open
        the file again and repeat.
        """
        for _ in range(_REOPENED):
            stateid = self.stateid
            try:
                return await attempt()
            except OperationFailed as failure:
                if failure.status not in STATE_LOST:
                    raise
            await self.reopen(stateid)
        return await attempt()

    async def reopen(self, stateid: bytes) -> None:
        """
        Open the file again by its filehandle: the server has restarted, or has
        taken our state away.

        @param stateid: the one that did not work; nothing is done if we have
            another one by now.
        """
        async with self._reopening:
            if self.stateid != stateid:
                return
            results = await self._mount.compound(
                [
                    requests.putfh(self.fh),
                    requests.openAgain(self._owner, self._share),
                ],
                2,
                cache=True,
            )
            results.operation(22)
            results.operation(18)
            self.stateid = results.opened()
