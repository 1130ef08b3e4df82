# -*- test-case-name: tests.nfs4.ops.test_lock -*-
"""
Who waits for a byte-range lock (RFC 8881, section 9.6).

A blocking LOCK is denied like any other, and its client asks again. Meanwhile it
stands in the file's queue. When the locks in its way have gone it has its turn:
its client is told, by CB_NOTIFY_LOCK if that can be sent, and for a short time
nobody else gets the range. Who does not come in that time loses the place, and the
next has its turn.

The queue makes locks fair and quick, not correct, so it may forget: it is bounded
per file and per client, and a waiter whose client has not asked for long is taken
to have given up. Nothing on the wire says so: a process that was killed while it
waited leaves its waiter behind until its file is closed.

What has been released is looked at once per turn of the reactor, or when the next
lock is asked for, so that a client that goes with a thousand locks costs no more
than one. Files nobody waits for have no queue: C{FileState.waiters} is None.
"""

from __future__ import annotations

from typing import Any, Callable, Optional

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from pnfs.state.files import FileState
from pnfs.state.locks import conflict
from pnfs.state.opens import OpenState

TURN_SECONDS = 1.0
"""How long a range is kept for whose turn it is; a lease at most."""

KEEP_SECONDS = 60.0
"""At least so long, or a lease, a waiter is kept that does not ask again."""

PER_FILE = 256
PER_CLIENT = 4096


@attrs.define(eq=False)
class Waiter:
    """
    One blocking lock request.

    @ivar open: the L{OpenState} it was made through: with that it ends.
    @ivar owner: the lock owner, without its clientid.
    @ivar start: and C{end}: as in L{pnfs.state.locks}.
    @ivar asked: when it was last asked for.
    @ivar turn: the end of its turn, or None while it has none.
    """

    open: OpenState
    owner: bytes
    exclusive: bool
    start: int
    end: int
    asked: float
    turn: Optional[IDelayedCall] = None

    @property
    def key(self) -> tuple[int, bytes]:
        """
        The lock owner as in C{FileState.locks}.
        """
        return self.open.client.clientid, self.owner

    def meets(self, exclusive: bool, start: int, end: int) -> bool:
        """
        Could not be held at the same time as this.
        """
        return (self.exclusive or exclusive) and self.start < end and start < self.end


class LockQueue:
    """
    Who waits for locks of one file, in the order they have come.
    """

    __slots__ = ("file", "waiters", "_table", "_look")

    def __init__(self, file: FileState, table: "WaitingTable") -> None:
        self.file = file
        self.waiters: list[Waiter] = []
        self._table = table
        self._look: Optional[IDelayedCall] = None

    def wait(
        self, open: OpenState, owner: bytes, exclusive: bool, start: int, end: int
    ) -> None:
        """
        A lock has been denied: queue it, unless it stands there already.
        """
        table = self._table
        now = table.clock.seconds()
        for waiter in self.waiters:
            if (
                waiter.open is open
                and waiter.owner == owner
                and waiter.exclusive is exclusive
                and waiter.start == start
                and waiter.end == end
            ):
                waiter.asked = now
                return
        if len(self.waiters) >= PER_FILE:
            self._forgetOld(now)
        if len(self.waiters) < PER_FILE and table.admit(open.client):
            self.waiters.append(Waiter(open, owner, exclusive, start, end, now))

    def inTheWay(
        self, key: tuple[int, bytes], exclusive: bool, start: int, end: int
    ) -> Optional[Waiter]:
        """
        Somebody else whose turn it is for a range.
        """
        if self._look is not None:
            self._lookNow()
        for waiter in self.waiters:
            if (
                waiter.turn is not None
                and waiter.meets(exclusive, start, end)
                and waiter.key != key
            ):
                return waiter
        return None

    def locked(self, key: tuple[int, bytes], start: int, end: int) -> None:
        """
        A lock owner has got a range: it does not wait for it any more. What it held
        there before may have been more than that.
        """
        for waiter in list(self.waiters):
            if waiter.start < end and start < waiter.end and waiter.key == key:
                self._remove(waiter)
        self.released()

    def released(self) -> None:
        """
        A lock, or somebody's turn, has ended.
        """
        if self._look is None and self.waiters:
            self._look = self._table.clock.callLater(0, self._lookNow)
        elif not self.waiters:
            self._end()

    def openGone(self, open: OpenState) -> None:
        """
        An open has ended, and its locks with it.
        """
        for waiter in list(self.waiters):
            if waiter.open is open:
                self._remove(waiter)
        self.released()

    def withdraw(self, waiter: Waiter) -> None:
        """
        A waiter does not want its turn, or has let it pass.
        """
        if waiter in self.waiters:
            self._remove(waiter)
            self.released()

    def _lookNow(self) -> None:
        """
        Give their turn to those who have nothing in their way: neither a lock nor
        somebody else's turn.
        """
        if self._look is not None and self._look.active():
            self._look.cancel()
        self._look = None
        table = self._table
        self._forgetOld(table.clock.seconds())
        turns = [waiter for waiter in self.waiters if waiter.turn is not None]
        for waiter in list(self.waiters):
            if waiter.turn is not None:
                continue
            exclusive, start, end = waiter.exclusive, waiter.start, waiter.end
            if any(
                other.meets(exclusive, start, end) and other.key != waiter.key
                for other in turns
            ):
                continue
            if conflict(self.file, waiter.key, exclusive, start, end) is None:
                waiter.turn = table.clock.callLater(
                    table.turnSeconds, self._passed, waiter
                )
                turns.append(waiter)
                table.onTurn(waiter)
        if not self.waiters:
            self._end()

    def _passed(self, waiter: Waiter) -> None:
        self.withdraw(waiter)

    def _forgetOld(self, now: float) -> None:
        limit = now - self._table.keepSeconds
        for waiter in list(self.waiters):
            if waiter.turn is None and waiter.asked < limit:
                self._remove(waiter)

    def _remove(self, waiter: Waiter) -> None:
        self.waiters.remove(waiter)
        self._table.dismiss(waiter.open.client)
        if waiter.turn is not None and waiter.turn.active():
            waiter.turn.cancel()

    def _end(self) -> None:
        """
        Nobody is left.
        """
        if self._look is not None and self._look.active():
            self._look.cancel()
        self._look = None
        if self.file.waiters is self:
            self.file.waiters = None
        self._table.queues.discard(self)

    def stop(self) -> None:
        """
        No more timers.
        """
        for waiter in list(self.waiters):
            self._remove(waiter)
        self._end()


class WaitingTable:
    """
    The queues of all files.

    @ivar clock: the monotonic clock.
    @ivar onTurn: called with each L{Waiter} whose turn it is.
    @ivar queues: those that are not empty.
    """

    def __init__(self, clock: IReactorTime, leaseSeconds: float) -> None:
        self.clock = clock
        self.turnSeconds = min(TURN_SECONDS, leaseSeconds)
        self.keepSeconds = max(KEEP_SECONDS, leaseSeconds)
        self.onTurn: Callable[[Waiter], None] = lambda waiter: None
        self.queues: set[LockQueue] = set()
        self._counts: dict[int, int] = {}

    def wait(
        self, open: OpenState, owner: bytes, exclusive: bool, start: int, end: int
    ) -> None:
        """
        A blocking lock has been denied.
        """
        file = open.file
        queue = file.waiters
        if queue is None:
            queue = file.waiters = LockQueue(file, self)
            self.queues.add(queue)
        queue.wait(open, owner, exclusive, start, end)
        if not queue.waiters:
            queue.stop()

    def admit(self, client: Any) -> bool:
        """
        Count one more waiter of a client, if it may have one.
        """
        count = self._counts.get(client.clientid, 0)
        if count >= PER_CLIENT:
            return False
        self._counts[client.clientid] = count + 1
        return True

    def dismiss(self, client: Any) -> None:
        """
        Count one less.
        """
        count = self._counts[client.clientid] - 1
        if count:
            self._counts[client.clientid] = count
        else:
            del self._counts[client.clientid]

    def stop(self) -> None:
        """
        The server stops: no more timers.
        """
        for queue in list(self.queues):
            queue.stop()
