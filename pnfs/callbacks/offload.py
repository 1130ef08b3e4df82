# -*- test-case-name: tests.callbacks.test_offload -*-
"""
CB_OFFLOAD (RFC 7862, section 16.1): a client is told what has come of its copy.

Linux before 6.14 never asks by itself, and its caller waits until it hears: so this
is tried as long as the client lives.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from pnfs.callbacks.channel import CallbackFailed, NoBackChannel
from pnfs.callbacks.ops import cbOffload
from pnfs.nfs4.status import nfsstat4
from pnfs.state.copies import CopyState

PAUSE_SECONDS = 2.0
ATTEMPTS = 5
"""How often a client may say DELAY, or something that makes no sense."""

_log = Logger()


class OffloadReporter:
    """
    Reports the ends of copies.
    """

    def __init__(self, server: Any) -> None:
        """
        @param server: L{pnfs.nfs4.context.ServerContext}.
        """
        self._server = server

    def copyEnded(self, copy: CopyState) -> None:
        """
        Tell the client, and forget the copy when it has heard.
        """
        if not self._server.copies.holds(copy):
            return
        done = Deferred.fromCoroutine(self._report(copy))
        done.addErrback(lambda failure: _log.failure("CB_OFFLOAD failed", failure))

    async def _report(self, copy: CopyState) -> None:
        server = self._server
        assert copy.status is not None
        op = cbOffload(
            copy.file.fh,
            copy.stateid,
            copy.status,
            copy.done,
            copy.committed,
            copy.verifier,
        )
        channel = server.channels.channelOf(copy.client)
        attempts = ATTEMPTS
        while server.copies.holds(copy) and attempts:
            try:
                status = await channel.call(
                    op, timeout=server.leaseSeconds, referring=copy
                )
            except NoBackChannel:
                # It may come back yet.
                continue
            except CallbackFailed as error:
                status = nfsstat4.NFS4ERR_DELAY
                _log.info("CB_OFFLOAD was not understood: {error}", error=error)
            if status != nfsstat4.NFS4ERR_DELAY:
                server.copies.drop(copy)
                return
            attempts -= 1
            waiter: Deferred[None] = Deferred()
            server.clock.callLater(PAUSE_SECONDS, waiter.callback, None)
            await waiter
