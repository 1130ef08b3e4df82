# -*- test-case-name: tests.nfs4.ops.test_copy -*-
"""
A copy at work, in the name of a COPY: it may end before the answer to that, or go
on behind it.
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable, Optional

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from pnfs.backends.errors import BackendError, IOFailed, Unreachable
from pnfs.nfs4.status import nfsstat4, statusOf
from pnfs.state.copies import CopyState
from pnfs.values import Inode, Stable, WriteResult

PATIENCE_SECONDS = 60.0
"""
How long a copy that goes on behind its answer waits for a data server to come back.
"""

PAUSE_SECONDS = 1.0

_log = Logger()


class CopyJob:
    """
    Copies slice after slice (L{pnfs.interfaces.IFileData.copy}).

    @ivar done: bytes, from the start of the range on.
    @ivar ended: nothing is done any more.
    @ivar error: why it ended early, or None.
    """

    def __init__(
        self,
        server: Any,
        slice: Callable[[int], Awaitable[WriteResult]],
        total: int,
        finish: Callable[[], Awaitable[None]],
    ) -> None:
        """
        @param slice: copies what comes after that many bytes.
        @param finish: called when something has been copied and no more will be.
        """
        self._server = server
        self._slice = slice
        self._finish = finish
        self._total = total
        self._stopped = False
        self._waiting: list[Deferred[None]] = []
        self._copy: Optional[CopyState] = None
        self._release: Callable[[], Awaitable[None]] = _nothing
        self.done = 0
        self.committed = int(Stable.FILE_SYNC)
        self.verifier = bytes(8)
        self.ended = False
        self.error: Optional[Exception] = None
        self._running: Optional[Deferred[None]] = None

    def start(self) -> None:
        """
        Begin.
        """
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(self._failed)
        self._running.addCallback(self._end)

    def _failed(self, failure: Failure) -> None:
        error = failure.value
        assert isinstance(error, Exception)
        self.error = error
        if isinstance(error, CancelledError):
            self.error = Unreachable("the copy was cancelled")
        elif not isinstance(error, BackendError):
            _log.failure("a copy failed", failure)

    async def _run(self) -> None:
        try:
            await self._copyAll()
        finally:
            try:
                if self.done:
                    await self._finish()
            finally:
                await self._release()

    async def _copyAll(self) -> None:
        first = True
        patience = PATIENCE_SECONDS
        while self.done < self._total and not self._stopped:
            try:
                result = await self._slice(self.done)
            except Unreachable:
                patience -= PAUSE_SECONDS
                if self._copy is None or patience < 0:
                    raise
                await self._pause()
                continue
            if not result.count:
                raise IOFailed("nothing can be copied")
            patience = PATIENCE_SECONDS
            if not first and result.verifier != self.verifier:
                # A data server has restarted: what it had may be lost.
                first = True
                self.done = 0
                self.committed = int(Stable.FILE_SYNC)
                continue
            first = False
            self.verifier = result.verifier
            self.committed = min(self.committed, result.committed)
            self.done += result.count
            if self._copy is not None:
                self._copy.done = self.done

    def _pause(self) -> Deferred[None]:
        def cancelled(_: Deferred[None]) -> None:
            timer.cancel()

        waiter: Deferred[None] = Deferred(cancelled)
        timer = self._server.clock.callLater(PAUSE_SECONDS, waiter.callback, None)
        return waiter

    def _end(self, _: None) -> None:
        self.ended = True
        copy = self._copy
        if copy is not None:
            copy.done = self.done
            copy.committed = self.committed
            copy.verifier = self.verifier
            copy.status = self._status()
            self._server.offloads.copyEnded(copy)
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(None)

    def _status(self) -> int:
        """
        What the client is told: DELAY would mean nothing in a callback.
        """
        if self.error is None:
            return nfsstat4.NFS4_OK
        status = statusOf(self.error)
        if status is None or status == nfsstat4.NFS4ERR_DELAY:
            return nfsstat4.NFS4ERR_IO
        return status

    def goOn(self, copy: CopyState, release: Callable[[], Awaitable[None]]) -> None:
        """
        It has got a stateid: tell the client when it has ended.

        @param release: to be called then.
        """
        self._copy = copy
        self._release = release
        copy.done = self.done

    def stop(self) -> None:
        """
        End after the slice that is under way.
        """
        self._stopped = True

    def cancel(self) -> None:
        """
        End now; what data servers have been told they may still do.
        """
        self._stopped = True
        if self._running is not None and not self.ended:
            self._running.cancel()

    async def end(self) -> None:
        """
        Wait until it has ended.
        """
        if not self.ended:
            waiter: Deferred[None] = Deferred(self._waiting.remove)
            self._waiting.append(waiter)
            await waiter

    async def endWithin(self, seconds: float) -> bool:
        """
        Wait for so long. @return: it has ended.
        """
        if self.ended:
            return True
        waiter: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        timer = self._server.clock.callLater(seconds, waiter.cancel)
        try:
            await waiter
        except CancelledError:
            if timer.active():
                # It was not the timer: whoever asked is to stop.
                raise
        finally:
            if timer.active():
                timer.cancel()
        return self.ended


async def _nothing() -> None:
    """
    Nothing is to be released.
    """
