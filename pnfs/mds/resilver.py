# -*- test-case-name: tests.mds.test_resilver -*-
"""
Making mirrors the same again whose writer has gone in the middle of a write.

Its layouts have been taken from it and the file fenced, so it does not write any more.
What it had been told is safe is on all mirrors; where they differ nobody was told
anything, and what the first mirror has is as good as what the others have. They are
compared as for C{pnfs mirror verify}, and who differs is stale and gets repaired.

Those of clients that have not come back after a restart of this server follow when they
have been fenced off (L{pnfs.mds.absent}).
"""

from __future__ import annotations

from typing import Any, Callable, Optional

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from pnfs.backends.errors import BackendError, NoSuchObject
from pnfs.mds.datafiles import DataFiles
from pnfs.mds.intents import Intent, WriteIntents
from pnfs.mds.placed import alone, pinned
from pnfs.mds.withdrawal import pause
from pnfs.nfs4.context import ServerContext
from pnfs.values import Inode

REASON = "writer gone"

RETRY_SECONDS = 30.0
"""After mirrors could not be compared."""

_log = Logger()


class Resilvering:
    """
    Compares one file after the other.

    @ivar found: files whose mirrors differed.
    """

    def __init__(
        self,
        server: ServerContext,
        data: DataFiles,
        intents: WriteIntents,
        nameOf: Callable[[bytes], str],
    ) -> None:
        """
        @param nameOf: of a data server with a UUID.
        """
        self._server = server
        self._data = data
        self._intents = intents
        self._nameOf = nameOf
        self._running: Optional[Deferred[None]] = None
        self.found = 0
        intents.onSuspected = self.begin

    def begin(self) -> None:
        """
        There is something to do, or may be soon.
        """
        if self._running is None and self._intents.suspected:
            self._running = Deferred.fromCoroutine(self._run())
            self._running.addErrback(_failed)
            self._running.addCallback(self._ended)

    def _ended(self, result: None) -> None:
        self._running = None

    def stop(self) -> None:
        """
        End at once. What has not been compared is known after the next start.
        """
        self._intents.onSuspected = lambda: None
        if self._running is not None:
            self._running.cancel()

    async def _run(self) -> None:
        server = self._server
        intents = self._intents
        # Whoever has begun this is in the middle of taking a layout away.
        await pause(server.clock, 0)
        while intents.suspected:
            failed = False
            for intent in list(intents.suspected):
                failed |= not await self._resilver(intent)
            if failed:
                await pause(server.clock, RETRY_SECONDS)

    async def _resilver(self, intent: Intent) -> bool:
        """
        @return: nothing is to be done for this one any more.
        """
        export = self._server.exports.byId.get(intent.export)
        if export is None:
            # It is not configured now.
            return False
        try:
            inode = await export.backend.byHandle(intent.handle)
            await self._compare(export, inode)
        except NoSuchObject:
            # Removed, or its data file is gone, which is another matter.
            pass
        except BackendError as error:
            _log.warn(
                "mirrors whose writer is gone cannot be compared yet: {error}",
                error=error,
            )
            return False
        self._intents.settle([intent])
        return True

    async def _compare(self, export: Any, inode: Inode) -> None:
        placement = await export.backend.loadPlacement(inode)
        if placement is None or all(len(c) < 2 for c in placement.live.columns):
            return
        repair = self._data.repair
        suspected = await repair.compare(export, inode)
        if not suspected:
            return
        with pinned(self._server, export, inode) as file:
            async with alone(self._server, file, REASON):
                differing = await repair.compare(export, inode, suspected)
                for uuid, ranges in differing.items():
                    _log.warn(
                        "fileid {fileid} differs in {bytes} bytes at data server "
                        "{name} as its writer is gone: it is made the same again",
                        fileid=inode.fileid,
                        bytes=sum(length for _, length in ranges),
                        name=self._nameOf(uuid),
                    )
                    await self._data.degrading.markStale(export, inode, uuid, True)
        self.found += bool(differing)


def _failed(failure: Failure) -> None:
    """
    The edge of the reactor.
    """
    if not isinstance(failure.value, CancelledError):
        _log.failure("comparing mirrors whose writers are gone failed", failure)
