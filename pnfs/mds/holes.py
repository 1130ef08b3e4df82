# -*- test-case-name: tests.mds.test_holes -*-
"""
Holes in a metadata server's files: found, made, filled with reserved space.

The object of a stripe column has holes where the other columns' bytes are; so has that
of a chunk. So what is a hole in the file is found by asking, for each stripe unit, the
column that it is in; and looking for data, a column may say that it has none for a long
way, which makes all its units on that way uninteresting.
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable, Iterator, Optional, TypeVar

from pnfs.backends.ds.remote import gather, gatherOutcomes
from pnfs.backends.ds.segments import SMALLEST_HOLE
from pnfs.backends.errors import IOFailed, NoSpace, Unreachable
from pnfs.layouts.mirrors import readOrder
from pnfs.layouts.striping import pieces
from pnfs.mds.dataattributes import DataAttributes
from pnfs.mds.turns import Turns
from pnfs.values import Inode, Placement, Segment, SegmentsResult

_T = TypeVar("_T")

_RANGES = 1024
"""Stripe units of a column whose space is reserved by one call."""

_PIECE = 16 << 30
"""
Bytes whose space is reserved or given back by one call: file systems do that with
each of their extents, and a data server that takes too long counts as down.
"""

_LOOKS = 64
"""Stripe units looked into at the same time for a hole."""


class SparseFiles(DataAttributes):
    """
    The part of L{pnfs.mds.datafiles.DataFiles} that is about holes.
    """

    _stores: Turns
    _wallTime: Callable[[], int]

    async def _anyMirror(
        self,
        placement: Placement,
        column: int,
        call: Callable[[Any], Awaitable[_T]],
    ) -> _T:
        """
        Ask the first mirror of a column that answers.
        """
        mirrors = placement.columns[column]
        problem: Exception = Unreachable("no data server answers")
        for uuid in readOrder(mirrors, [u for u in mirrors if not self._servers.up(u)]):
            try:
                return await self._servers.onFile(uuid, call)  # type: ignore[no-any-return]
            except (Unreachable, IOFailed) as error:
                problem = error
        raise self._servers.lost(mirrors, problem)

    async def _steadily(
        self,
        export: Any,
        inode: Inode,
        call: Callable[[Placement], Awaitable[_T]],
    ) -> Optional[_T]:
        """
        Look into a file where it is.

        @return: None if it has no data files.
        @raise Unreachable: it has gone elsewhere meanwhile.
        """
        placing = self._placing
        switches = placing.switches
        placement = await export.backend.loadPlacement(inode)
        if placement is None:
            return None
        try:
            return await call(placement.live)
        finally:
            if switches != placing.switches:
                await placing.requireSteady(export, inode, placement)

    # -- seeking -------------------------------------------------------------------

    async def seek(
        self, export: Any, inode: Inode, offset: int, hole: bool
    ) -> Optional[int]:
        """
        See L{IFileData.seek}.
        """
        size = inode.size
        if offset >= size:
            return None
        if not inode.hasPlacement:
            return offset if hole else None

        async def look(placement: Placement) -> Optional[int]:
            if hole:
                return min(size, await self._seekHole(placement, offset, size))
            if placement.chunk:
                return await self._seekInChunks(placement, offset, size)
            found = await self._seekData(placement, offset)
            return None if found is None or found >= size else found

        return await self._steadily(export, inode, look)

    def _ask(
        self, placement: Placement, column: int, offset: int, hole: bool
    ) -> Awaitable[Optional[int]]:
        return self._anyMirror(
            placement, column, lambda ds: ds.seek(placement.name, offset, hole)
        )

    async def _seekData(self, placement: Placement, offset: int) -> Optional[int]:
        """
        The column that has the first byte is asked alone first: mostly it has data
        there.
        """
        width = len(placement.columns)
        if width == 1:
            return await self._ask(placement, 0, offset, False)
        unit = placement.stripeUnit
        first = offset // unit % width
        found = await self._columnData(placement, first, offset)
        if found is not None and found // unit == offset // unit:
            return found
        others = await gather(
            [
                self._columnData(placement, column, offset)
                for column in range(width)
                if column != first
            ]
        )
        return min((x for x in (found, *others) if x is not None), default=None)

    async def _seekInChunks(
        self, placement: Placement, offset: int, size: int
    ) -> Optional[int]:
        """
        The first data, chunk by chunk. A data server may have other chunks in the
        same data file.
        """
        columns = len(placement.columns)
        ahead: dict[int, Optional[int]] = {}
        while offset < size:
            column, at, length = next(pieces(placement, offset, size - offset))
            found = ahead.get(column, -1)
            if found is not None and found < at:
                found = await self._ask(placement, column, at, False)
                ahead[column] = found
            if found is not None and found < at + length:
                return found if found < size else None
            offset = at + length
            if len(ahead) == columns:
                # Nothing is before the first that any of them has.
                left = [found for found in ahead.values() if found is not None]
                offset = max(offset, min(left, default=size))
        return None

    async def _columnData(
        self, placement: Placement, column: int, offset: int
    ) -> Optional[int]:
        """
        The first data in stripe units of a column. Its object may know holes so
        roughly that it has data in other columns' units.
        """
        unit, width = placement.stripeUnit, len(placement.columns)
        position = offset
        while True:
            number = position // unit
            ahead = (column - number) % width
            if ahead:
                position = (number + ahead) * unit
            found = await self._ask(placement, column, position, False)
            if found is None or found // unit % width == column:
                return found
            position = found

    async def _seekHole(self, placement: Placement, offset: int, size: int) -> int:
        """
        Stripe units in order, more of them at a time the longer there is no hole.

        @return: C{size}, or more, if there is none.
        """
        units = pieces(placement, offset, size - offset)
        if len(placement.columns) == 1:
            found = await self._ask(placement, 0, offset, True)
            return offset if found is None else found
        looks = 1
        while some := _take(units, looks):
            answers = await gather(
                [self._ask(placement, column, at, True) for column, at, _ in some]
            )
            for (_, at, length), found in zip(some, answers):
                # The object may be shorter than the file: that is a hole.
                hole: int = at if found is None else found
                if hole < at + length:
                    return hole
            looks = min(2 * looks, _LOOKS)
        return size

    # -- reading -------------------------------------------------------------------

    async def readSegments(
        self, export: Any, inode: Inode, offset: int, count: int
    ) -> SegmentsResult:
        """
        See L{IFileData.readSegments}.
        """
        size = inode.size
        if offset >= size or count == 0:
            return SegmentsResult([], 0, offset + count >= size)
        count = min(count, size - offset)
        eof = offset + count >= size

        async def read(placement: Placement) -> list[list[Segment]]:
            return await gather(
                [
                    self._segmentsOf(placement, column, start, length)
                    for column, start, length in pieces(placement, offset, count)
                ]
            )

        results = await self._steadily(export, inode, read)
        if results is None:
            return SegmentsResult([Segment(offset, count, None)], count, eof)
        segments: list[Segment] = []
        for found in results:
            for segment in found:
                _append(segments, segment)
        return SegmentsResult(segments, count, eof)

    async def _segmentsOf(
        self, placement: Placement, column: int, offset: int, count: int
    ) -> list[Segment]:
        """
        A range within a stripe unit, filled up if the object is shorter.
        """
        result: SegmentsResult = await self._anyMirror(
            placement, column, lambda ds: ds.readSegments(placement.name, offset, count)
        )
        segments = list(result.segments)
        left = count - result.count
        if left:
            zeros = None if left >= SMALLEST_HOLE else [bytes(left)]
            segments.append(Segment(offset + result.count, left, zeros))
        return segments

    # -- space ---------------------------------------------------------------------

    async def allocate(
        self, export: Any, inode: Inode, offset: int, length: int
    ) -> None:
        """
        See L{IFileData.allocate}. Each column reserves its own units only.
        """
        placement = await self._placing.share(export, inode, offset + length)
        key = (export.id, inode.handle)
        try:
            self._requireRoom(placement, length - inode.used)
            end = offset + length
            with self.noted(export, inode, placement):
                await self._reserve(placement, offset, length)
                if end > inode.size:
                    await self._servers.onAll(
                        placement, lambda ds: ds.extend(placement.name, end)
                    )
            await self._servers.onAll(
                placement, lambda ds: ds.commit(placement.name, 0, 0)
            )
            await self._changed(export, inode, max(inode.size, end))
        finally:
            self._turns.unshare(key)
        await self.refresh(export, inode)

    def _requireRoom(self, placement: Placement, missing: int) -> None:
        """
        Refuse at once what cannot be: to find that out at the data servers would
        take all their space first.

        @param missing: bytes to be found, at least.
        @raise NoSpace:
        """
        free = 0
        for column in dict.fromkeys(frozenset(each) for each in placement.columns):
            spaces = [self._servers.byUUID(uuid).space for uuid in column]
            known = [space.spaceFree for space in spaces if space is not None]
            if len(known) < len(column):
                return
            free += min(known)
        if missing > free:
            raise NoSpace(f"{missing} bytes are wanted, {free} are free")

    async def _reserve(self, placement: Placement, offset: int, length: int) -> None:
        width = len(placement.columns)
        units = pieces(placement, offset, length)
        if width > 1 and not placement.chunk:
            count = _RANGES * width
        else:
            count = 1
            units = (
                (column, *part)
                for column, start, whole in units
                for part in _pieces(start, whole)
            )
        while some := _take(units, count):
            ranges: dict[int, list[tuple[int, int]]] = {}
            for column, start, part in some:
                ranges.setdefault(column, []).append((start, part))
            await gather(
                [
                    self._servers.onFile(uuid, _allocator(placement.name, wanted))
                    for column, wanted in ranges.items()
                    for uuid in placement.columns[column]
                ]
            )

    async def deallocate(
        self, export: Any, inode: Inode, offset: int, length: int
    ) -> None:
        """
        See L{IFileData.deallocate}. What a column's object has in other columns'
        units may go, too.
        """
        key = (export.id, inode.handle)
        await self._turns.share(key)
        try:
            placement = await self._placing.writable(export, inode)
            if placement is not None:
                # Behind the end as it is known here there may be what has been
                # written through a layout, but not much.
                known = max(0, min(length, inode.size - offset))
                with self.noted(export, inode, placement):
                    for start, part in _pieces(offset, known):
                        await self._punch(placement, start, part)
                    if known < length:
                        await self._punch(placement, offset + known, length - known)
            await self._changed(export, inode, inode.size)
        finally:
            self._turns.unshare(key)
        await self.refresh(export, inode)

    async def _punch(self, placement: Placement, offset: int, length: int) -> None:
        await self._servers.onAll(
            placement, lambda ds: ds.deallocate(placement.name, offset, length)
        )

    async def _changed(self, export: Any, inode: Inode, size: int) -> None:
        """
        The bytes have changed, now; what space they take will be asked for.
        """
        key = (export.id, inode.handle)
        await self._stores.take(key)
        try:
            await export.backend.storeDataAttributes(
                inode, max(inode.size, size), inode.used, self._wallTime(), None
            )
        finally:
            self._stores.give(key)

    async def advise(
        self, export: Any, inode: Inode, offset: int, length: int, hints: int
    ) -> int:
        """
        See L{IFileData.advise}. A data server that does not answer is not missed.
        """
        placement = await export.backend.loadPlacement(inode)
        if placement is None:
            return 0
        answers = await gatherOutcomes(
            [
                self._servers.on(
                    uuid, lambda ds: ds.advise(placement.name, offset, length, hints)
                )
                for uuid in placement.live.dataServers
            ]
        )
        for answer in answers:
            hints &= answer if isinstance(answer, int) else 0
        return hints


def _take(
    units: Iterator[tuple[int, int, int]], count: int
) -> list[tuple[int, int, int]]:
    """
    The next ones, if there are any left.
    """
    return [unit for _, unit in zip(range(count), units)]


def _pieces(offset: int, length: int) -> Iterator[tuple[int, int]]:
    """
    A range in pieces that do not take long.
    """
    end = offset + length
    while offset < end:
        part = min(_PIECE, end - offset)
        yield offset, part
        offset += part


def _append(segments: list[Segment], segment: Segment) -> None:
    """
    Add a segment, to the last one if that is of the same kind.
    """
    last = segments[-1] if segments else None
    if last is None or (last.pieces is None) != (segment.pieces is None):
        segments.append(segment)
        return
    last.count += segment.count
    if last.pieces is not None and segment.pieces is not None:
        last.pieces = [*last.pieces, *segment.pieces]


def _allocator(name: bytes, ranges: list[tuple[int, int]]) -> Any:
    return lambda ds: ds.allocate(name, ranges)
