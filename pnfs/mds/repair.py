# -*- test-case-name: tests.mds.test_repair -*-
"""
Repairing a stale mirror of one file.

While its data server was away the file has changed. Data servers tell checksums of what
they have, and copy among themselves what differs, in two goes: L{FileRepair.ahead}
while clients read and write, and L{FileRepair.finish} while nobody does, of what has
changed meanwhile: the data server that is copied from keeps track of that. What has
been copied is compared again before it counts.

That the mirror is stale is in the file's placement until the very end; one placement
stored is the switch. Whatever happens before leaves a stale mirror, which is repaired
again, and what has been copied already does not differ any more.

What was rejected: to give clients layouts with the stale mirror, so that it gets what
is written meanwhile: what is copied over it is older.
"""

from __future__ import annotations

from typing import (
    Any,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Optional,
    Sequence,
)

import attrs
from twisted.internet.defer import DeferredSemaphore

from pnfs.backends.ds.remote import gather
from pnfs.backends.errors import IOFailed, Unreachable, Unsupported
from pnfs.layouts.mirrors import readOrder
from pnfs.layouts.striping import pieces
from pnfs.mds.copying import Copying
from pnfs.mds.dataservers import DataServers
from pnfs.mds.placing import Placing, dataMode
from pnfs.mds.turns import Turns
from pnfs.values import Inode, ObjectAttributes, Placement, SetAttributes, Stable

SMALL = 1 << 20
"""Bytes of a file that is not copied ahead: that takes longer than it saves."""

PASSES = 8
"""How often what has changed meanwhile is copied ahead."""

LITTLE = 32 << 20
"""Bytes that are left to be compared while nobody may write."""

STEP = 16 << 20
"""Bytes that a data server is told to compare or to copy at a time."""

STEPS = 4
"""Of them under way for a file."""

UNIT = 256 << 10
"""Bytes that are copied if one of them differs."""

Told = Callable[[int], Awaitable[None]]
"""Is told how many bytes have been copied; may take its time."""

Range = tuple[int, int]
"""Offset and length."""


@attrs.frozen
class Source:
    """
    Where a column of the file is right.

    @ivar token: of the moment from which on its data server tells what has changed;
        empty: it does not.
    @ivar todo: ranges of the column to be compared, as well as what has changed; None:
        all of it.
    """

    column: int
    uuid: bytes
    token: bytes
    todo: Optional[Sequence[Range]] = None


class FileRepair:
    """
    Has data servers bring a stale mirror up to date.
    """

    def __init__(
        self, servers: DataServers, placing: Placing, turns: Turns, copying: Copying
    ) -> None:
        self._servers = servers
        self._placing = placing
        self._turns = turns
        self._copying = copying

    async def ahead(
        self, export: Any, inode: Inode, uuid: bytes, told: Told
    ) -> list[Source]:
        """
        Copy while clients go on.

        @return: what is left to be done.
        @raise BackendError: it cannot be done now.
        """
        placement = await export.backend.loadPlacement(inode)
        if placement is None or uuid not in placement.stale or inode.size <= SMALL:
            return []
        await self._create(inode, placement, uuid)
        sources = []
        for column, mirrors in enumerate(placement.columns):
            if uuid in mirrors:
                source, found = await self._source(placement.live, column)
                sources.append(
                    await self._catchUp(placement, uuid, column, source, found, told)
                )
        return sources

    async def _catchUp(
        self,
        placement: Placement,
        uuid: bytes,
        column: int,
        origin: bytes,
        found: ObjectAttributes,
        told: Told,
    ) -> Source:
        name = placement.name
        await self._resize(placement, uuid, found.size)
        source = Source(column, origin, await self._track(origin, name))
        for _ in range(PASSES if source.token else 1):
            token = await self._track(origin, name)
            # Not before: what makes the file longer between the two would lie
            # behind this size, and be older than the token.
            size = (await self._ask(origin, name)).size
            todo = await self._ranges(placement, source, size)
            if source.todo is not None and sum(n for _, n in todo) <= LITTLE:
                break
            # What is copied now will be compared again.
            copied = await self._copy(placement, uuid, source, todo, told)
            source = Source(column, origin, token, copied)
        return source

    async def finish(
        self, export: Any, inode: Inode, uuid: bytes, ready: list[Source], told: Told
    ) -> bool:
        """
        Copy what is missing, and count the mirror as good again. To be called while
        nobody holds a layout of the file, nor can write with one that he had. Who
        writes through the metadata server waits meanwhile.

        @param ready: what L{ahead} has told.
        @return: it was stale.
        @raise BackendError: it is stale still.
        """
        key = (export.id, inode.handle)
        await self._turns.take(key)
        try:
            placement = await export.backend.loadPlacement(inode)
            if placement is None or uuid not in placement.stale:
                return False
            await self._create(inode, placement, uuid)
            earlier = {source.column: source for source in ready}
            mtime = 0
            for column, mirrors in enumerate(placement.columns):
                if uuid in mirrors:
                    found = await self._complete(
                        placement, uuid, column, earlier.get(column), told
                    )
                    mtime = max(mtime, found.mtime)
            # Or to users the file would have been modified now.
            await self._servers.onFile(
                uuid, lambda ds: ds.setattr(placement.name, SetAttributes(mtime=mtime))
            )
            await self._placing.change(export, inode, lambda old: _repaired(old, uuid))
            return True
        finally:
            self._turns.give(key)

    async def compare(
        self,
        export: Any,
        inode: Inode,
        suspected: Optional[Mapping[bytes, Sequence[Range]]] = None,
    ) -> dict[bytes, list[Range]]:
        """
        Where mirrors that are not stale differ from the first of their column.

        @param suspected: look there only, while nobody writes through the metadata
            server.
        @return: by data server, of those that do.
        @raise BackendError: they cannot be compared.
        """
        key = (export.id, inode.handle)
        if suspected is not None:
            await self._turns.take(key)
        try:
            return await self._compare(export, inode, suspected)
        finally:
            if suspected is not None:
                self._turns.give(key)

    async def _compare(
        self,
        export: Any,
        inode: Inode,
        suspected: Optional[Mapping[bytes, Sequence[Range]]],
    ) -> dict[bytes, list[Range]]:
        placement = await export.backend.loadPlacement(inode)
        differing: dict[bytes, list[Range]] = {}
        if placement is None:
            return differing
        name = placement.name
        for column, (first, *others) in enumerate(placement.live.columns):
            for uuid in others:
                if suspected is None:
                    sizes = [(await self._ask(u, name)).size for u in (first, uuid)]
                    wanted: Sequence[Range] = [(0, max(sizes))]
                else:
                    wanted = suspected.get(uuid, ())
                ranges = [
                    (at, part)
                    for offset, length in wanted
                    for number, at, part in pieces(placement, offset, length)
                    if number == column
                ]
                found = await self._differing(name, first, uuid, ranges)
                if found:
                    differing.setdefault(uuid, []).extend(found)
        return differing

    async def _complete(
        self,
        placement: Placement,
        uuid: bytes,
        column: int,
        earlier: Optional[Source],
        told: Told,
    ) -> ObjectAttributes:
        """
        Make a column what it is at its source.

        @return: of the data file there.
        """
        origin, found = await self._source(placement.live, column)
        if earlier is None or earlier.uuid != origin:
            earlier = Source(column, origin, b"")
        await self._resize(placement, uuid, found.size)
        todo = await self._ranges(placement, earlier, found.size)
        copied = await self._copy(placement, uuid, earlier, todo, told)
        if copied and await self._differing(placement.name, origin, uuid, copied):
            raise IOFailed("the mirror differs although it has just been copied")
        return found

    # -- data servers ----------------------------------------------------------------

    async def _create(self, inode: Inode, placement: Placement, uuid: bytes) -> None:
        """
        Make the data file if it is not there, and give it owner and mode.
        """
        await self._servers.on(
            uuid,
            lambda ds: ds.create(
                placement.name, inode.uid, inode.gid, dataMode(inode), placement.epoch
            ),
        )

    async def _resize(self, placement: Placement, uuid: bytes, size: int) -> None:
        await self._servers.onFile(
            uuid, lambda ds: ds.setattr(placement.name, SetAttributes(size=size))
        )

    async def _ask(self, uuid: bytes, name: bytes) -> ObjectAttributes:
        return await self._servers.onFile(  # type: ignore[no-any-return]
            uuid, lambda ds: ds.getattr(name)
        )

    async def _source(
        self, live: Placement, column: int
    ) -> tuple[bytes, ObjectAttributes]:
        """
        @raise Unreachable: nobody answers who has it right.
        """
        mirrors = live.columns[column]
        problem: Exception = Unreachable("no mirror to repair from")
        for uuid in readOrder(mirrors, [u for u in mirrors if not self._servers.up(u)]):
            try:
                return uuid, await self._ask(uuid, live.name)
            except (Unreachable, IOFailed) as error:
                problem = error
        raise problem

    async def _track(self, uuid: bytes, name: bytes) -> bytes:
        try:
            return await self._servers.onFile(  # type: ignore[no-any-return]
                uuid, lambda ds: ds.track(name)
            )
        except Unsupported:
            return b""

    async def _ranges(
        self, placement: Placement, source: Source, size: int
    ) -> list[Range]:
        """
        What has to be compared of a column: what has been copied or changed, or all.
        """
        wanted: Sequence[Range] = [(0, size)]
        if source.token and source.todo is not None:
            changed = await self._servers.onFile(
                source.uuid, lambda ds: ds.changes(placement.name, source.token)
            )
            if changed is not None:
                wanted = list(_merged([*source.todo, *changed], size))
        return [
            (at, part)
            for offset, length in wanted
            for column, at, part in pieces(placement, offset, length)
            if column == source.column
        ]

    async def _differing(
        self, name: bytes, first: bytes, second: bytes, ranges: Iterable[Range]
    ) -> list[Range]:
        """
        Where two data servers have different bytes.

        @raise Unsupported: one of them cannot tell.
        """
        found: list[Range] = []
        for offset, length in _steps(ranges):
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
                for number in range(count):
                    if sums[0][number] != sums[1][number]:
                        at = number * UNIT
                        found.append((offset + at, min(UNIT, length - at)))
                done = min(count * UNIT, length)
                offset += done
                length -= done
        return list(_merged(found, 1 << 63))

    async def _copy(
        self,
        placement: Placement,
        uuid: bytes,
        source: Source,
        ranges: Sequence[Range],
        told: Told,
    ) -> list[Range]:
        """
        Make ranges of a column what they are at their source, durably, copying what
        differs.

        @return: what has been copied, and can be compared.
        """
        name = placement.name
        verifiers: set[bytes] = set()
        running = DeferredSemaphore(STEPS)
        compared = True
        copied: list[Range] = []

        async def step(offset: int, count: int) -> None:
            nonlocal compared
            await running.acquire()
            try:
                todo = [(offset, count)]
                try:
                    todo = await self._differing(name, source.uuid, uuid, todo)
                except Unsupported:
                    compared = False
                copied.extend(todo)
                for at, left in todo:
                    while left:
                        result = await self._copying.piece(
                            uuid, only, source.column, at, left
                        )
                        if not result.count:
                            raise IOFailed("nothing can be copied")
                        if result.committed == Stable.UNSTABLE:
                            verifiers.add(result.verifier)
                        await told(result.count)
                        at += result.count
                        left -= result.count
            finally:
                running.release()

        only = _only(placement, source)
        todo = _steps(ranges)
        while some := [each for _, each in zip(range(8 * STEPS), todo)]:
            await gather([step(*each) for each in some])
            if source.token:
                # What is not asked about is not kept track of for ever.
                await self._servers.onFile(
                    source.uuid, lambda ds: ds.changes(name, source.token)
                )
        verifiers.add(
            await self._servers.onFile(uuid, lambda ds: ds.commit(name, 0, 0))
        )
        if len(verifiers) > 1:
            raise Unreachable("the data server has restarted; what it got may be lost")
        return sorted(copied) if compared else []


def _steps(ranges: Iterable[Range]) -> Iterator[Range]:
    """
    The same in pieces that do not take long.
    """
    for offset, length in ranges:
        end = offset + length
        for start in range(offset, end, STEP):
            yield start, min(STEP, end - start)


def _merged(ranges: Iterable[Range], size: int) -> Iterator[Range]:
    """
    In order, apart from each other, and up to the end of the file.
    """
    begin = end = 0
    for offset, length in sorted(ranges):
        if offset >= size:
            break
        if offset > end:
            if end > begin:
                yield begin, end - begin
            begin = offset
        end = max(end, min(offset + length, size))
    if end > begin:
        yield begin, end - begin


def _only(placement: Placement, source: Source) -> Placement:
    """
    As if one data server alone had a column.
    """
    columns = list(placement.columns)
    columns[source.column] = (source.uuid,)
    return attrs.evolve(placement, columns=tuple(columns), stale=(), next=None)


def _repaired(old: Placement, uuid: bytes) -> Placement:
    return attrs.evolve(old, stale=tuple(each for each in old.stale if each != uuid))
