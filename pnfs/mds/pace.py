# -*- test-case-name: tests.mds.test_pace -*-
"""
How fast something may go that is limited to so many bytes in a second, however many
take part in it: one after the other, so that there are no bursts beside which clients
would have to wait.
"""

from __future__ import annotations

from typing import Callable, Optional

from twisted.internet.interfaces import IReactorTime

from pnfs.mds.withdrawal import pause

SHARE = 8
"""A piece is no more than this part of what may be copied in a second."""

SMALLEST = 256 << 10
"""Bytes of a piece in any case."""


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

    def piece(self, count: int) -> int:
        """
        How many bytes to copy at a time, if it were C{count} without a limit.
        """
        limit = self._limit()
        return min(count, max(SMALLEST, limit // SHARE)) if limit else count

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
