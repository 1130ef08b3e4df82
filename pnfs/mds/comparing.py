# -*- test-case-name: tests.mds.test_repair -*-
"""
What data servers have of a file, without reading it: they tell checksums, and where
they have holes.
"""

from __future__ import annotations

from typing import Iterable, Optional, Sequence

import attrs
from twisted.internet.defer import DeferredLock

from pnfs.backends.ds.digests import UNIT
from pnfs.backends.ds.remote import gather
from pnfs.backends.errors import IOFailed, Unsupported
from pnfs.mds.dataservers import DataServers
from pnfs.mds.ranges import EVERYTHING, Range, merged, steps, without

PORTION = 256 << 20
"""Bytes whose checksums are asked for at a time."""

HEAD = 8 << 20
"""Bytes that are compared to know whether comparing is worth while."""

MUCH = 16 << 20
"""Bytes of which it is worth knowing where a data server has none of them."""

EXTENTS = 16
"""Pieces of data, with holes between them, that are asked for one by one."""


@attrs.frozen
class Differences:
    """
    Where a data server differs from the one that is right.

    @ivar data: what that one has there; C{zeros}: where it has nothing else.
    """

    data: Sequence[Range]
    zeros: Sequence[Range]

    @property
    def all(self) -> list[Range]:
        """
        Both.
        """
        return list(merged([*self.data, *self.zeros], EVERYTHING))

    def __add__(self, other: Differences) -> Differences:
        return Differences([*self.data, *other.data], [*self.zeros, *other.zeros])


@attrs.define
class Extents:
    """
    Where a data server has data in a file. What it has told last is remembered for as
    long as this is used. Somebody may write there meanwhile: who copies has that told,
    and compares in the end.

    @ivar empty: it is known to have nothing but a hole.
    """

    _servers: DataServers
    uuid: bytes
    name: bytes
    empty: bool = False
    _known: Optional[Range] = None
    _end: int = attrs.field(init=False)
    _asking: DeferredLock = attrs.field(factory=DeferredLock, init=False)

    @_end.default
    def _nothing(self) -> int:
        return 0 if self.empty else EVERYTHING

    async def isEmpty(self) -> bool:
        """
        Has it nothing but a hole, as far as it can tell?
        """
        if not self.empty:
            try:
                self.empty = await self._begin() is None
            except Unsupported:
                pass
        return self.empty

    async def within(self, offset: int, count: int) -> Optional[list[Range]]:
        """
        @return: None if it has so many holes that it is better compared.
        @raise Unsupported: it cannot tell.
        """
        found: list[Range] = []
        end = offset + count
        # Who comes meanwhile need not ask, mostly.
        await self._asking.acquire()
        try:
            if self._known is None:
                await self._begin()
            for _ in range(EXTENTS):
                start, length = self._known or (0, 0)
                if not start <= offset < start + length:
                    data = await self._learn(offset)
                    if data is None or data[0] >= end:
                        return found
                    start, length = data
                    offset = start
                until = min(start + length, end)
                found.append((offset, until - offset))
                offset = until
                if offset == end:
                    return found
        finally:
            self._asking.release()
        return None

    async def _begin(self) -> Optional[Range]:
        """
        The first data. Mostly it is data from the beginning to the end: then to ask for
        the first hole is enough.
        """
        if not self._end:
            return None
        hole = await self._seek(0, True)
        if hole == 0:
            return await self._learn(0)
        if hole is None:
            self._end = 0
        else:
            self._known = 0, hole
        return self._known

    async def _learn(self, offset: int) -> Optional[Range]:
        """
        Where there is data again, up to the next hole.
        """
        if offset >= self._end:
            return None
        data = await self._seek(offset, False)
        if data is None:
            self._end = offset
            return None
        hole = await self._seek(data, True)
        self._known = data, (EVERYTHING if hole is None else hole) - data
        return self._known

    async def _seek(self, offset: int, hole: bool) -> Optional[int]:
        return await self._servers.onFile(  # type: ignore[no-any-return]
            self.uuid, lambda ds: ds.seek(self.name, offset, hole)
        )


class Comparing:
    """
    Compares what data servers have.
    """

    def __init__(self, servers: DataServers) -> None:
        self._servers = servers

    async def differing(
        self, name: bytes, first: bytes, second: bytes, ranges: Iterable[Range]
    ) -> list[Range]:
        """
        Where two data servers have different bytes.

        @raise Unsupported: one of them cannot tell.
        """
        return (await self._compare(name, first, second, ranges)).all

    async def lacks(
        self, source: Extents, there: Extents, offset: int, count: int
    ) -> Differences:
        """
        What a data server needs of another one: where they have different bytes, or
        all of much that has no holes, of which nothing at the beginning is alike.

        @param there: of the one that needs it.
        """
        if there.empty or count >= MUCH:
            needed = await self._besides(source, there, offset, count)
            if needed is not None:
                return needed
        name, uuid = source.name, there.uuid
        head = HEAD if count > 2 * HEAD else count
        found = await self._compare(name, source.uuid, uuid, [(offset, head)])
        if head == count:
            return found
        if found.all == [(offset, head)] and await _isFull(source, offset, count):
            return Differences([(offset, count)], [])
        rest = [(offset + head, count - head)]
        return found + await self._compare(name, source.uuid, uuid, rest)

    async def _besides(
        self, source: Extents, there: Extents, offset: int, count: int
    ) -> Optional[Differences]:
        """
        The same of what is a hole there for the most part: what the source has beside
        the rest needs not be compared. None: it is no such hole, or that is not known.
        """
        try:
            some = await there.within(offset, count)
            if some is None or 2 * sum(length for _, length in some) > count:
                return None
            data = await source.within(offset, count)
        except Unsupported:
            return None
        if data is None:
            return None
        found = await self._compare(source.name, source.uuid, there.uuid, some)
        return found + Differences(list(without(data, some)), [])

    async def _compare(
        self, name: bytes, first: bytes, second: bytes, ranges: Iterable[Range]
    ) -> Differences:
        data: list[Range] = []
        zeros: list[Range] = []
        for offset, length in steps(ranges, PORTION):
            while length:
                sums = await gather(
                    [
                        self._servers.onFile(
                            uuid, lambda ds: ds.checksums(name, offset, length, UNIT)
                        )
                        for uuid in (first, second)
                    ]
                )
                count = min(len(sums[0]), len(sums[1]))
                if not count:
                    raise IOFailed("nothing can be compared")
                for number, (one, other) in enumerate(zip(*sums)):
                    if one != other:
                        at = number * UNIT
                        found = data if one else zeros
                        found.append((offset + at, min(UNIT, length - at)))
                done = min(count * UNIT, length)
                offset += done
                length -= done
        return Differences(data, zeros)


async def _isFull(source: Extents, offset: int, count: int) -> bool:
    """
    Has it no hole there?
    """
    try:
        return await source.within(offset, count) == [(offset, count)]
    except Unsupported:
        return False
