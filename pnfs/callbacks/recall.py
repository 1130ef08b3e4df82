# -*- test-case-name: tests.callbacks.test_recall -*-
"""
Recalling layouts (RFC 8881, sections 12.5.5 and 20.3).

Whoever changes where a file's bytes are, or takes them away, has its layouts
recalled first. A recall of a file goes through these stages; as long as it is in
one of them, C{FileState.recall} is set and LAYOUTGET answers RECALLCONFLICT:

  - B{recalling}: each holder is sent CB_LAYOUTRECALL until it has answered that it
    will return the layout, or has none. It is sent again after DELAY, and while
    there is no way to reach the client. At the deadline the layout is revoked.
  - B{settling}: nobody holds anything any more. If a layout was revoked, or its
    client has vanished, the file is fenced: no handle given out before works at
    a data server from then on. If a holder went without LAYOUTRETURN, the data
    servers are asked for the file's size. Only then do those who wait learn of it.
  - B{holding}: operations do not wait for a recall but answer DELAY, and their
    clients ask again, at growing intervals. A busy writer would have its next
    layout long before, and the other would never get its turn. So no layout is
    given for about as long as the recall took, since clients double the
    interval; or until shortly after the operation has come back. Who changes where
    the bytes are holds for as long as that takes instead (L{LayoutRecaller.keep}).

What was rejected: to fence at once instead of recalling (clients would lose the
I/O under way for every truncation), and to keep RECALLCONFLICT only until the last
LAYOUTRETURN (starves whoever has asked for the recall).
"""

from __future__ import annotations

from typing import Any, Iterable, Optional

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from pnfs.backends.errors import BackendError, NoSuchObject
from pnfs.callbacks.holder import Holder, Send, sendOver
from pnfs.callbacks.pacing import Deadlines, RecallQueues, Turns
from pnfs.interfaces import IRecaller
from pnfs.nfs4.context import ServerContext
from pnfs.nfs4.ops.unlinked import settleFile
from pnfs.rpc.coroutines import drive
from pnfs.state.files import WRITER_GONE, FileState, askLater
from pnfs.state.layouts import LayoutState

DATA_SERVER_LOST = "data server lost"
"""A reason: clients shall not try to flush to the old data server."""

DATA_SERVER_MOVED = "data server moved"
"""Likewise: nothing answers at the old address."""

FENCE_DELAY = 1.0
HOLD_AT_LEAST = 0.25
HOLD_AT_MOST = 15.0
HOLD_AFTER_RETRY = 0.1
"""Seconds: between attempts to fence, of holding."""

_log = Logger()


class FileRecall:
    """
    The recall of a file's layouts; see the module.

    @ivar reason: what it was begun for.
    @ivar fence: the file is to be fenced; refresh: its size is to be asked for.
    @ivar keepers: how many hold it until they say that it may end.
    """

    def __init__(self, recaller: LayoutRecaller, file: FileState, reason: str) -> None:
        self.recaller = recaller
        self.file = file
        self.reason = reason
        self.fence = False
        self.refresh = False
        self.keepers = 0
        self._holders: dict[LayoutState, Holder] = {}
        self._waiters: list[Deferred[None]] = []
        self._asked = False
        self._settling = False
        self._started: float = recaller.clock.seconds()
        self._timer: Optional[IDelayedCall] = None
        self._until = 0.0
        self._paused: Optional[IDelayedCall] = None
        file.recall = self
        recaller.active.add(self)

    @property
    def changed(self) -> bool:
        """
        Clients shall not try to flush to where the bytes were.
        """
        return self.reason in (DATA_SERVER_LOST, DATA_SERVER_MOVED)

    @property
    def holding(self) -> bool:
        """
        It is done, but no layout is to be given yet.
        """
        return not self._holders and not self._settling

    @property
    def settled(self) -> bool:
        """
        Whoever has lost a layout by it can write no more, and the size that he has left
        has been asked for, or is being.
        """
        return not (self.fence or self.refresh)

    def join(self, layouts: Iterable[LayoutState], hold: bool = True) -> Deferred[None]:
        """
        Recall some layouts (as well).

        @param hold: an operation will come back for its turn.
        @return: fires when everything is settled.
        """
        self._asked |= hold
        new = [layout for layout in layouts if layout not in self._holders]
        if not new and self.holding:
            if hold:
                self._hold(HOLD_AFTER_RETRY)
            return succeed(None)
        if self.holding:
            self._stopTimer()
            self._started = self.recaller.clock.seconds()
        waiter: Deferred[None] = Deferred()
        self._waiters.append(waiter)
        holders = [Holder(self, layout) for layout in new]
        for holder in holders:
            self._holders[holder.layout] = holder
        for holder in holders:
            if holder.layout in self._holders:
                holder.send()
        return waiter

    def gone(self, layout: LayoutState) -> None:
        """
        A layout of the file is held no more; told by the table of layouts.
        """
        holder = self._holders.pop(layout, None)
        if holder is not None:
            if holder.expected:
                self.recaller.counts["returned"] += 1
            holder.stop()
            self.check()

    def forgotten(self, layout: LayoutState) -> None:
        """
        The client says that it has no such layout (any more).
        """
        if layout.mayHaveWritten():
            self.refresh = True
        self.recaller.counts["forgotten"] += 1
        self.recaller.server.layouts.drop(layout)

    def revoke(self, layout: LayoutState) -> None:
        """
        The deadline has passed.
        """
        recaller = self.recaller
        _log.warn(
            "client {client!r} has not returned its layout of fileid {fileid} after "
            "{seconds} s ({reason}): revoked",
            client=layout.client.owner,
            fileid=self.file.inode.fileid,
            seconds=recaller.deadlineSeconds,
            reason=self.reason,
        )
        recaller.counts["revoked"] += 1
        self.fence = True
        self.refresh = True
        recaller.server.layouts.revoke(layout)
        recaller.freeLater(layout)

    def check(self) -> None:
        """
        Go on if nobody holds anything.
        """
        if self._holders or self._settling:
            return
        self._stopTimer()
        self._settling = True
        drive(self._settle(), self._settled, self._failed)

    async def _settle(self) -> None:
        data = self.recaller.server.data
        file = self.file
        while self.fence or self.refresh:
            if self.fence:
                try:
                    await data.fence(file.export, file.inode)
                except NoSuchObject:
                    # The file is gone, and its data files with it.
                    self.fence = self.refresh = False
                except BackendError as error:
                    _log.error(
                        "fileid {fileid} cannot be fenced, trying again: {error}",
                        fileid=file.inode.fileid,
                        error=error,
                    )
                    await self._pause(FENCE_DELAY)
                else:
                    self.fence = False
                continue
            self.refresh = False
            try:
                await data.refresh(file.export, file.inode)
            except NoSuchObject:
                # The file is gone, and nobody will want to know its size.
                pass
            except BackendError as error:
                _log.warn(
                    "the size of fileid {fileid} may be out of date: {error}",
                    fileid=file.inode.fileid,
                    error=error,
                )
                askLater(self.recaller.server, file.inode)
            else:
                if file.reclaimed == WRITER_GONE and not self.fence:
                    file.reclaimed = 0

    def _pause(self, seconds: float) -> Deferred[None]:
        paused: Deferred[None] = Deferred()
        self._paused = self.recaller.clock.callLater(seconds, paused.callback, None)
        return paused

    def _settled(self, result: None) -> None:
        self._settling = False
        if self._holders:
            return
        waiters, self._waiters = self._waiters, []
        if self._asked:
            elapsed = self.recaller.clock.seconds() - self._started
            self._hold(min(HOLD_AT_MOST, elapsed + HOLD_AT_LEAST))
        else:
            self._end()
        for waiter in waiters:
            waiter.callback(None)

    def _failed(self, error: Exception) -> None:
        """
        A defect. Whether the file is fenced is not known: keep its layouts away,
        and whoever wanted them back.
        """
        _log.failure(
            "the recall of fileid {fileid} is stuck",
            Failure(error),  # type: ignore[no-untyped-call]
            fileid=self.file.inode.fileid,
        )

    def _hold(self, seconds: float) -> None:
        """
        Hold for so long, or as long as is held anyway if that is shorter.
        """
        if self.keepers:
            return
        clock = self.recaller.clock
        until = clock.seconds() + seconds
        if self._timer is not None and self._timer.active():
            if self._until <= until:
                return
            self._timer.cancel()
        # Not the timer's getTime(): that is by the reactor's clock.
        self._until = until
        self._timer = clock.callLater(seconds, self._end)

    def free(self) -> None:
        """
        One of those that keep it does not any more.
        """
        self.keepers -= 1
        if not self.keepers and self.holding:
            self._stopTimer()
            self._end()

    def _end(self) -> None:
        self._timer = None
        if self.keepers:
            return
        file = self.file
        file.recall = None
        self.recaller.active.discard(self)
        self.recaller.settle(file)

    def _stopTimer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def stop(self) -> None:
        """
        The server stops: no more timers.
        """
        self._stopTimer()
        if self._paused is not None and self._paused.active():
            self._paused.cancel()
        for holder in self._holders.values():
            holder.stop()


@implementer(IRecaller)
class LayoutRecaller:
    """
    L{IRecaller} over the back channels of the clients.

    @ivar deadlineSeconds: how long a client may take to return a layout.
    @ivar active: the L{FileRecall}s under way.
    @ivar queues: what is to be sent; turns: what is to be done when many have to be
        recalled; deadlines: when holders lose their layouts.
    @ivar counts: layouts recalled so far by how that ended.
    """

    def __init__(
        self,
        server: ServerContext,
        send: Optional[Send] = None,
        deadlineSeconds: Optional[float] = None,
    ) -> None:
        """
        @param server: its C{layouts}, C{data} and C{channels} may be set later.
        @param send: over the back channels of the server's clients if not given.
        @param deadlineSeconds: two leases if not given.
        """
        self.server = server
        self.clock = server.clock
        self.send = sendOver(server) if send is None else send
        self.active: set[FileRecall] = set()
        self.deadlineSeconds = (
            2 * server.leaseSeconds if deadlineSeconds is None else deadlineSeconds
        )
        self.queues = RecallQueues(self.clock)
        self.turns = Turns(self.clock)
        self.deadlines = Deadlines(self.clock)
        self.counts = {"returned": 0, "forgotten": 0, "revoked": 0}
        self._freeing: dict[LayoutState, IDelayedCall] = {}

    def recallLayouts(
        self, file: FileState, reason: str, exclude: Any = None
    ) -> Deferred[None]:
        """
        See L{IRecaller.recallLayouts}. A recall under way is joined. A client whose
        lease is over is not asked but gives way: it loses all it holds. Where a data
        server is lost nobody waits, and who had layouts is to have others at once.
        """
        clients = self.server.clients
        now = self.clock.seconds()
        holders = [layout.client for layout in file.layouts.values()]
        silent = [
            client
            for client in holders
            if client is not exclude and clients.silent(client, now)
        ]
        if silent:
            clients.giveWay(silent, now)
        held = [
            layout for layout in file.layouts.values() if layout.client is not exclude
        ]
        recall: Optional[FileRecall] = file.recall
        if recall is None:
            if not held:
                return succeed(None)
            recall = FileRecall(self, file, reason)
        return recall.join(held, reason != DATA_SERVER_LOST)

    def keep(self, file: FileState, reason: str) -> FileRecall:
        """
        Give no layout of a file from now on, until L{FileRecall.free} is called. Those
        that are held are recalled by L{recallLayouts}, which can be waited for.
        """
        recall: FileRecall = file.recall or FileRecall(self, file, reason)
        recall.keepers += 1
        return recall

    def recallDataServer(
        self, uuid: bytes, reason: str = DATA_SERVER_LOST
    ) -> Deferred[None]:
        """
        Recall every layout that names a data server, bit by bit.

        @return: fires when none is left.
        """
        files = {
            id(held.file): held.file for held in self.server.layouts.onServer(uuid)
        }
        done: Deferred[None] = Deferred()
        left = len(files)
        if not left:
            return succeed(None)

        def over(result: None) -> None:
            nonlocal left
            left -= 1
            if not left:
                done.callback(None)

        self.turns.each(
            lambda file: self.recallLayouts(file, reason).addCallback(over),
            files.values(),
        )
        return done

    def clientGone(self, client: Any) -> None:
        """
        A listener for L{pnfs.state.clients.ClientTable}: the client's lease is over
        or it has restarted. What it may still write must not reach the data
        servers any more.
        """
        layouts = self.server.layouts
        files = []
        for layout in list(client.layouts.values()):
            file = layout.file
            files.append(file)
            if layout.mayHaveWritten():
                recall = file.recall or FileRecall(self, file, "client gone")
                recall.fence = recall.refresh = True
                # Until that is done, whoever asks for the size has it asked for.
                file.reclaimed = file.reclaimed or WRITER_GONE
        for layout in list(self._freeing):
            if layout.client is client:
                self._freeing.pop(layout).cancel()
        layouts.dropClient(client)
        for file in files:
            if file.recall is not None:
                self.turns.add(file.recall.check)
            else:
                self.settle(file)

    def freeLater(self, layout: LayoutState) -> None:
        """
        Forget a revoked layout after another lease. Linux does not free the
        stateids of revoked layouts, and as long as there is one, SEQUENCE makes
        it throw all its layouts away.
        """

        def free() -> None:
            del self._freeing[layout]
            self.server.layouts.free(layout)

        self._freeing[layout] = self.clock.callLater(self.server.leaseSeconds, free)

    def settle(self, file: FileState) -> None:
        """
        Layouts of a file have gone; maybe that was all that was held on it.
        """
        if file.idle:
            drive(settleFile(self.server, file), _done, _unsettled)

    def stop(self) -> None:
        """
        The server stops: no more timers.
        """
        for timer in self._freeing.values():
            timer.cancel()
        self._freeing.clear()
        self.turns.stop()
        for recall in self.active:
            recall.stop()
        self.active.clear()


def _done(result: None) -> None:
    """
    Nobody waits for it.
    """


def _unsettled(error: Exception) -> None:
    _log.failure(
        "state of a file could not be settled",
        Failure(error),  # type: ignore[no-untyped-call]
    )
