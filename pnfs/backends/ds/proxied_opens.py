# -*- test-case-name: tests.backends.ds.test_proxied -*-
"""
Stateids for READ and WRITE at a server that does not take the anonymous one.

Each file in use is opened once; the least recently used are closed when there are
too many. Only servers that insist on it get this: state is work for both sides.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Optional

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from pnfs.backends.errors import BackendError
from pnfs.nfs4 import requests
from pnfs.nfs4.status import NFSError
from pnfs.rpc.errors import CallFailed
from pnfs.xdr.errors import XDRError

_OWNER = b"pnfs data"
_log = Logger()


class Opens:
    """
    Opened files by filehandle.
    """

    def __init__(self, client: Any, limit: int = 512) -> None:
        """
        @param client: L{pnfs.nfs4.client.SessionClient}.
        @param limit: files kept open.
        """
        self._client = client
        self._limit = limit
        self._stateids: OrderedDict[bytes, bytes] = OrderedDict()
        self._opening: dict[bytes, list[Deferred[None]]] = {}

    async def stateid(self, fh: bytes, deadline: float) -> bytes:
        """
        The stateid of a file, which is opened if it is not.

        @param deadline: seconds for that.
        """
        while True:
            stateid = self._stateids.get(fh)
            if stateid is not None:
                self._stateids.move_to_end(fh)
                return stateid
            waiting = self._opening.get(fh)
            if waiting is None:
                return await self._open(fh, deadline)
            waiter: Deferred[None] = Deferred()
            waiting.append(waiter)
            await waiter

    async def _open(self, fh: bytes, deadline: float) -> bytes:
        waiting = self._opening[fh] = []
        try:
            results = await self._client.compound(
                [requests.putfh(fh), requests.openAgain(_OWNER, requests.SHARE_BOTH)],
                2,
                cache=True,
                deadline=deadline,
            )
            results.operation(22)
            results.operation(18)
            stateid: bytes = results.opened()
            self._stateids[fh] = stateid
        finally:
            del self._opening[fh]
            # If it failed, the next one tries, with its own deadline.
            for waiter in waiting:
                waiter.callback(None)
        while len(self._stateids) > self._limit:
            self._closeLater(*self._stateids.popitem(last=False))
        return stateid

    def forget(self, fh: bytes, stateid: Optional[bytes] = None) -> None:
        """
        The server does not know a stateid any more.

        @param stateid: the one that failed: a newer one is kept. None: any.
        """
        if stateid is None or self._stateids.get(fh) == stateid:
            self._stateids.pop(fh, None)

    def forgetAll(self) -> None:
        """
        The server has forgotten us.
        """
        self._stateids.clear()

    def closeFile(self, fh: bytes) -> None:
        """
        A file is not going to be used any more.
        """
        stateid = self._stateids.pop(fh, None)
        if stateid is not None:
            self._closeLater(fh, stateid)

    def _closeLater(self, fh: bytes, stateid: bytes) -> None:
        running = Deferred.fromCoroutine(self._close(fh, stateid))
        running.addErrback(self._notClosed)

    async def _close(self, fh: bytes, stateid: bytes) -> None:
        # I/O under way with it may come too late: it gets a new one.
        results = await self._client.compound(
            [requests.putfh(fh), requests.close(stateid)], 2, cache=True
        )
        results.operation(22)
        results.operation(4)

    def _notClosed(self, failure: Failure) -> None:
        # The server closes it itself when we give the client ID back.
        reason = failure.value
        if isinstance(reason, (NFSError, BackendError, CallFailed, XDRError)):
            _log.debug("a file upstream is not closed: {reason}", reason=reason)
        else:
            _log.failure("closing a file upstream", failure)
