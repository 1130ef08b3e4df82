# -*- test-case-name: tests.mds.test_pace -*-
"""
How fast something may go that is limited to so many bytes in a second, however many
take part in it: one after the other, so that there are no bursts beside which clients
would have to wait. And how many files at the same time.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import AsyncIterator, Callable, Optional

from twisted.internet.defer import DeferredSemaphore
from twisted.internet.interfaces import IReactorTime

from pnfs.mds.withdrawal import pause

SHARE = 8
"""A piece is no more than this part of what may be copied in a second."""

SMALLEST = 256 << 10
"""Bytes of a piece in any case; larger ones are multiples of it."""

FILES = 16
"""
Files that are worked on at the same time, if there is no limit: each waits for answers
mostly.
"""

LARGE = 4
"""Files of which much is copied at the same time; all, if there is a limit."""


class Pace:
    """
    For all that share a limit.
    """

    def __init__(self, clock: Optional[IReactorTime], limit: Callable[[], int]) -> None:
        """
        @param clock: None: there never is a limit.
        @param limit: bytes in a second, as it is now; 0: as many as possible.
        """
        self._clock = clock
        self._limit = limit
        self._free = 0.0
        self._large = DeferredSemaphore(LARGE)

    @property
    def files(self) -> int:
        """
        How many to work on at the same time.
        """
        return LARGE if self._limit() else FILES

    @asynccontextmanager
    async def large(self) -> AsyncIterator[None]:
        """
        While much of a file is copied: small ones go past those that wait for that.
        """
        if self._clock is None:
            yield
            return
        await self._large.acquire()
        try:
            yield
        finally:
            self._large.release()

    def piece(self, count: int) -> int:
        """
        How many bytes to copy at a time, if it were C{count} without a limit.
        """
        limit = self._limit()
        if not limit:
            return count
        return min(count, max(SMALLEST, limit // SHARE // SMALLEST * SMALLEST))

    async def begin(self, count: int) -> float:
        """
        Wait until so many bytes may be copied.

        @return: for L{end}: when others may go on.
        """
        limit = self._limit()
        if not limit or self._clock is None:
            return 0.0
        now = self._clock.seconds()
        start = max(self._free, now)
        self._free = end = start + count / limit
        if start > now:
            await pause(self._clock, start - now)
        return end

    async def spent(self, count: int) -> None:
        """
        So many bytes have been copied without asking: wait as long as that may take.
        """
        await self.end(await self.begin(count))

    async def end(self, when: float) -> None:
        """
        They have been: wait until that would be over at the limit.
        """
        if when and self._clock is not None:
            left = when - self._clock.seconds()
            if left > 0:
                await pause(self._clock, left)


UNLIMITED = Pace(None, lambda: 0)
"""As fast as possible."""
