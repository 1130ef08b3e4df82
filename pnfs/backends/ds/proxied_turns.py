# -*- test-case-name: tests.backends.ds.test_proxied -*-
"""
Who may go on: turns on one object, and room on the way to the server upstream.
"""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from pnfs.backends.errors import Unreachable


class _Waiter(Deferred[None]):
    """
    @ivar alone: wants to be the only one; for L{Turns}.
    @ivar size: bytes wanted; for L{Flow}.
    """

    alone = False
    size = 0


class _Lock:
    """
    @ivar holders: how many have the turn; C{alone}: the one that has it is alone.
    """

    __slots__ = ("holders", "alone", "waiting")

    def __init__(self) -> None:
        self.holders = 0
        self.alone = False
        self.waiting: deque[_Waiter] = deque()


class Turns:
    """
    Per object: many at a time, or one alone, in the order of asking. So who comes
    alone comes after all that asked before.
    """

    def __init__(self) -> None:
        self._locks: dict[bytes, _Lock] = {}

    async def share(self, name: bytes) -> None:
        """
        Wait for a turn among others; L{done} ends it.
        """
        await self._take(name, False)

    async def alone(self, name: bytes) -> None:
        """
        Wait for a turn without others; L{done} ends it.
        """
        await self._take(name, True)

    async def _take(self, name: bytes, alone: bool) -> None:
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = _Lock()
        if lock.waiting or lock.alone or (alone and lock.holders):
            # Whoever is cancelled while waiting leaves the queue.
            waiter = _Waiter(lambda waiter: self._leave(name, waiter))
            waiter.alone = alone
            lock.waiting.append(waiter)
            await waiter
            return
        lock.holders += 1
        lock.alone = alone

    def _leave(self, name: bytes, waiter: Deferred[None]) -> None:
        lock = self._locks[name]
        assert isinstance(waiter, _Waiter)
        lock.waiting.remove(waiter)
        self._next(name, lock)

    def done(self, name: bytes) -> None:
        """
        Give the turn back.
        """
        lock = self._locks[name]
        lock.holders -= 1
        lock.alone = False
        self._next(name, lock)

    def _next(self, name: bytes, lock: _Lock) -> None:
        while lock.waiting and not lock.alone:
            waiter = lock.waiting[0]
            if waiter.alone and lock.holders:
                return
            lock.waiting.popleft()
            lock.holders += 1
            lock.alone = waiter.alone
            waiter.callback(None)
        if not lock.holders and not lock.waiting:
            self._locks.pop(name, None)


class Flow:
    """
    Bounds what is on its way to the server upstream: calls and bytes. Who finds no
    room waits, in the order of asking, until its deadline.
    """

    def __init__(self, clock: IReactorTime, calls: int, limitBytes: int) -> None:
        self._clock = clock
        self._calls = calls
        self._bytes = limitBytes
        self._limitBytes = limitBytes
        self._waiting: deque[_Waiter] = deque()
        self._pauses: dict[Deferred[None], IDelayedCall] = {}
        self._closed = False

    def _fits(self, size: int) -> bool:
        # What is larger than all the room goes when nothing else does.
        return self._calls > 0 and (
            size <= self._bytes or self._bytes == self._limitBytes
        )

    async def take(self, size: int, until: float) -> None:
        """
        Wait for room for a call that carries C{size} bytes, one way or the other;
        L{give} it back.

        @raise Unreachable: there is none before C{until}.
        """
        if self._closed:
            raise Unreachable("the gateway is stopping")
        if self._waiting or not self._fits(size):
            waiter = _Waiter(self._leave)
            waiter.size = size
            self._waiting.append(waiter)
            wait = max(0.0, until - self._clock.seconds())
            timer = self._clock.callLater(wait, self._late, waiter)
            try:
                await waiter
            finally:
                if timer.active():
                    timer.cancel()
            return
        self._calls -= 1
        self._bytes -= size

    def _leave(self, waiter: Deferred[None]) -> None:
        assert isinstance(waiter, _Waiter)
        self._waiting.remove(waiter)
        self._next()

    def _late(self, waiter: _Waiter) -> None:
        self._waiting.remove(waiter)
        waiter.errback(Unreachable("too much waits for the server upstream"))
        self._next()

    def give(self, size: int) -> None:
        """
        A call has ended.
        """
        self._calls += 1
        self._bytes += size
        self._next()

    def _next(self) -> None:
        while self._waiting and self._fits(self._waiting[0].size):
            waiter = self._waiting.popleft()
            self._calls -= 1
            self._bytes -= waiter.size
            waiter.callback(None)

    async def pause(self, seconds: float) -> None:
        """
        Wait a while before the next attempt.

        @raise Unreachable: everything ends.
        """
        if self._closed:
            raise Unreachable("the gateway is stopping")
        pause: Deferred[None] = Deferred(self._forget)
        self._pauses[pause] = self._clock.callLater(seconds, self._over, pause)
        await pause

    def _forget(self, pause: Deferred[None]) -> None:
        self._pauses.pop(pause).cancel()

    def _over(self, pause: Deferred[None]) -> None:
        del self._pauses[pause]
        pause.callback(None)

    def close(self) -> None:
        """
        Nobody waits any longer.
        """
        self._closed = True
        waiting, self._waiting = self._waiting, deque()
        pauses, self._pauses = self._pauses, {}
        for timer in pauses.values():
            timer.cancel()
        for waiter in [*waiting, *pauses]:
            waiter.errback(Unreachable("the gateway is stopping"))
