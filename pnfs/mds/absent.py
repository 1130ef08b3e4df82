# -*- test-case-name: tests.mds.test_absent -*-
"""
Fencing off clients that have not come back after a restart of the metadata server.

With a layout from before the restart a client can go on writing at the data servers: one
that has died does not, but one that is cut off from the metadata server alone does.
What it held, opens, locks and layouts, may be others' when the grace period is over
(RFC 8881, sections 8.4.2.1 and 12.7.4). So the files that it may be writing to, as
noted (L{pnfs.mds.intents}), are fenced then, and until that is done nobody opens or
locks them or gets a layout or a delegation
(L{pnfs.state.layouts.LayoutTable.requireFenced}). A fence that a data server does not
hear of, since it does not answer, waits for it as any other one.

What was rejected: to fence them when the server starts. Clients that come back write
on meanwhile, and would have to stop.
"""

from __future__ import annotations

from typing import Optional

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from pnfs.backends.ds.remote import gather
from pnfs.backends.errors import BackendError, NoSuchObject
from pnfs.mds.datafiles import DataFiles
from pnfs.mds.intents import WriteIntents, whoIs
from pnfs.mds.withdrawal import pause
from pnfs.nfs4.context import ServerContext

GRACE_SECONDS = 0.1
"""How often it is looked whether the grace period is over."""

RETRY_SECONDS = 5.0
"""After files could not be fenced."""

AT_ONCE = 64
"""Files that are fenced at the same time."""

_log = Logger()


class Absentees:
    """
    Waits for the end of the grace period, and fences.

    @ivar found: files of clients that have not come back.
    """

    def __init__(
        self, server: ServerContext, data: DataFiles, intents: WriteIntents
    ) -> None:
        self._server = server
        self._data = data
        self._intents = intents
        self._running: Optional[Deferred[None]] = None
        self.found = 0

    def begin(self) -> None:
        """
        The server has started.
        """
        if self._intents.left:
            self._running = Deferred.fromCoroutine(self._run())
            self._running.addErrback(_failed)

    def stop(self) -> None:
        """
        End at once. Who is not fenced off yet will be after the next start.
        """
        if self._running is not None:
            self._running.cancel()

    async def _run(self) -> None:
        server = self._server
        intents = self._intents
        recovery = server.recovery
        while recovery is not None and recovery.inGrace(server.clock.seconds()):
            await pause(server.clock, GRACE_SECONDS)
        intents.resume({whoIs(client) for client in server.clients})
        self.found = len(intents.absent)
        away = {export for export, _ in intents.absent} - server.exports.byId.keys()
        if away:
            _log.warn(
                "writers of {exports} exports that are not configured have not come "
                "back: their files are fenced when those are configured again",
                exports=len(away),
            )
        while intents.absent:
            known = server.exports.byId
            # Those of an export that is not configured now have to wait until it is.
            files = [file for file in intents.absent if file[0] in known]
            for at in range(0, len(files), AT_ONCE):
                await gather([self._fence(*file) for file in files[at : at + AT_ONCE]])
            if intents.absent:
                await pause(server.clock, RETRY_SECONDS)

    async def _fence(self, exportId: int, handle: bytes) -> None:
        export = self._server.exports.byId[exportId]
        try:
            inode = await export.backend.byHandle(handle)
            await self._data.fence(export, inode)
        except NoSuchObject:
            # Removed.
            pass
        except BackendError as error:
            _log.warn(
                "a file whose writer has not come back cannot be fenced yet: {error}",
                error=error,
            )
            return
        self._intents.fenced((exportId, handle))


def _failed(failure: Failure) -> None:
    """
    The edge of the reactor.
    """
    if not isinstance(failure.value, CancelledError):
        _log.failure("fencing off clients that have not come back failed", failure)
