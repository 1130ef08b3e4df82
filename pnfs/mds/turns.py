# -*- test-case-name: tests.mds.test_turns -*-
"""
Who may do something to a file's data now: many that share, or one alone.
"""

from __future__ import annotations

from collections import deque
from contextlib import asynccontextmanager
from typing import Any, AsyncIterator

from twisted.internet.defer import Deferred


class _Line:
    """
    Those at work on one key, and those who wait, in order.
    """

    __slots__ = ("alone", "sharing", "waiting")

    def __init__(self) -> None:
        self.alone = False
        self.sharing = 0
        self.waiting: deque[tuple[bool, Deferred[None]]] = deque()


class Turns:
    """
    First come, first served, per key: nobody who waits is overtaken.

    Each L{take} is followed by one L{give}, each L{share} by one L{unshare}. A wait
    may be cancelled.
    """

    def __init__(self) -> None:
        self._lines: dict[Any, _Line] = {}

    def __len__(self) -> int:
        """
        Keys that somebody works on.
        """
        return len(self._lines)

    async def take(self, key: Any) -> None:
        """
        Wait until nobody else is at work, and keep all others out.
        """
        line = self._lines.get(key)
        if line is None:
            self._lines[key] = line = _Line()
            line.alone = True
            return
        await self._wait(key, line, True)

    async def share(self, key: Any) -> bool:
        """
        Wait until nobody is alone at work, and keep out whoever wants to be.

        @return: it was necessary to wait.
        """
        line = self._lines.get(key)
        if line is None:
            self._lines[key] = line = _Line()
        elif line.alone or line.waiting:
            await self._wait(key, line, False)
            return True
        line.sharing += 1
        return False

    @asynccontextmanager
    async def alone(self, key: Any) -> AsyncIterator[None]:
        """
        As L{take} and L{give} with what is done between them.
        """
        await self.take(key)
        try:
            yield
        finally:
            self.give(key)

    def give(self, key: Any) -> None:
        """
        The end of what L{take} began.
        """
        line = self._lines[key]
        line.alone = False
        self._next(key, line)

    def unshare(self, key: Any) -> None:
        """
        The end of what L{share} began.
        """
        line = self._lines[key]
        line.sharing -= 1
        if not line.sharing:
            self._next(key, line)

    def _wait(self, key: Any, line: _Line, alone: bool) -> Deferred[None]:
        def cancelled(waiter: Deferred[None]) -> None:
            line.waiting.remove((alone, waiter))
            self._next(key, line)

        waiter: Deferred[None] = Deferred(cancelled)
        line.waiting.append((alone, waiter))
        return waiter

    def _next(self, key: Any, line: _Line) -> None:
        """
        Let those begin whose turn it is.
        """
        ready = []
        while line.waiting and not line.alone:
            alone, waiter = line.waiting[0]
            if alone:
                if line.sharing:
                    break
                line.alone = True
            else:
                line.sharing += 1
            line.waiting.popleft()
            ready.append(waiter)
        if not (line.waiting or line.alone or line.sharing):
            self._lines.pop(key, None)
        for waiter in ready:
            waiter.callback(None)
