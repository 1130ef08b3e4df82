# -*- test-case-name: tests.mds.test_repair -*-
"""
Giving a data server what it lacks of a file.

A file is in one place and is to be in another one: a stale mirror is to be good again,
or the file has other data servers, or is striped otherwise. Of the bytes that a data
server is to have then and does not have now, data servers tell checksums, and copy
among themselves what differs, in two goes: L{Transfer.ahead} while clients read and
write, and L{Transfer.complete} while nobody does, of what has changed meanwhile: the
data servers that are copied from keep track of that. What has been copied is compared
before it counts, while the next bytes are copied: by the data server that copies, as
far as it can (L{CheckedCopy}), else by order.

A data server that has some of the file already (it is in use) is given the rest beside
that. Nobody reads it there before the file is said to be in the other place; but the
length of its data file counts, so nothing is copied there behind the end of the file,
and nobody shortens the file while a piece is being copied.
"""

from __future__ import annotations

from typing import Any, Callable, Iterable, Iterator, Mapping, Optional, Sequence

import attrs
from twisted.internet.defer import DeferredSemaphore

from pnfs.backends.ds.remote import gather
from pnfs.backends.errors import IOFailed, Unreachable, Unsupported
from pnfs.mds.comparing import MUCH, Comparing, Extents
from pnfs.mds.copying import Copying
from pnfs.mds.dataservers import DataServers
from pnfs.mds.lacking import Source, Task
from pnfs.mds.pace import UNLIMITED
from pnfs.mds.ranges import EVERYTHING, RANGES, Range, behind, coarse, merged, steps
from pnfs.mds.turns import Turns
from pnfs.values import Inode, ObjectAttributes, Placement, SetAttributes, Stable

SMALL = 1 << 20
"""Bytes of a file that is not copied ahead: that takes longer than it saves."""

PASSES = 8
"""How often what has changed meanwhile is copied ahead."""

LITTLE = 32 << 20
"""Bytes that are left to be compared while nobody may write."""

STEP = 256 << 20
"""Bytes that a data server is told to copy and compare at a time, at least."""

PARTS = 8
"""Steps of a long file, so that some are compared while others are copied."""

LONG_STEP = 1 << 30
"""Bytes of a step at most."""

SHARED_STEP = 16 << 20
"""Bytes of a step while which nobody may truncate the file."""

STEPS = 4
"""Steps under way for a data server of a file."""

SCRAPS = 16
"""As many instead if they are small pieces (L{Task.scraps})."""

HOLES = 16
"""Holes of a step that are made one by one."""


class Transfer:
    """
    Has data servers copy what others lack.
    """

    def __init__(self, servers: DataServers, turns: Turns, copying: Copying) -> None:
        self._servers = servers
        self._turns = turns
        self._copying = copying
        self._comparing = Comparing(servers)

    async def ahead(
        self, task: Task, there: Optional[ObjectAttributes]
    ) -> list[Source]:
        """
        Copy while clients go on.

        @param there: what the data file is like that is to be filled; None if it is in
            use.
        @return: what is left to be done.
        @raise BackendError: it cannot be done now.
        """
        live = task.live
        found = await self._servers.askAll(live)
        size = _size(found)
        sources = [
            Source(column, _longest(live.columns[column], found), b"")
            for column in task.columns()
        ]
        if sources:
            await self._resize(task, there, size)
        empty = _isEmpty(there)
        sources = await gather(
            [self._catchUp(task, each, size, empty) for each in sources]
        )
        if len(sources) > 1:
            # Some have waited for others, and have changed meanwhile.
            sources = await gather([self._catchUp(task, each) for each in sources])
        return sources

    async def _catchUp(
        self, task: Task, source: Source, least: int = 0, empty: bool = False
    ) -> Source:
        """
        @param least: how long the file is, which has columns that are longer perhaps.
        @param empty: nothing has been copied yet.
        """
        name = task.live.name
        for _ in range(PASSES):
            if await self._almost(task, source):
                break
            token, size = await self._track(source.uuid, name)
            size, least = max(size, least), 0
            wanted = await self._ranges(task, source)
            source = attrs.evolve(source, token=token)
            todo = list(merged(wanted, size))
            left = await self._copy(task, source, todo, empty)
            # What lies behind the end will be compared as well: the file may have been
            # longer, and get a hole there when it grows.
            left += behind(wanted, size)
            source = attrs.evolve(source, todo=left)
            empty = False
        return source

    async def _almost(self, task: Task, source: Source) -> bool:
        """
        Is what is left little, or cannot become less while clients go on?
        """
        if source.todo is None:
            return False
        if not source.token:
            return True
        changed = [] if task.idle() else await self._changed(task, source)
        if changed is None:
            return False
        left = [(at, n) for at, n in source.todo if at + n < EVERYTHING]
        ranges = merged([*left, *changed], EVERYTHING)
        return sum(length for _, length in ranges) <= LITTLE

    async def complete(
        self,
        task: Task,
        ready: Sequence[Source],
        found: Mapping[bytes, ObjectAttributes],
        there: Optional[ObjectAttributes],
    ) -> list[ObjectAttributes]:
        """
        Give a data server all that it lacks. To be called while nobody writes.

        @param ready: what L{ahead} has told.
        @param found: what the data files are like where the file is. It is durable
            there: what clients have not committed would be so in the copy alone, and
            might be lost where it was copied from.
        @param there: as for L{ahead}, but now.
        @return: those copied from.
        @raise IOFailed: it is not what was copied there.
        """
        earlier = {source.column: source for source in ready}
        size = _size(found)
        await self._resize(task, there, size)
        empty = _isEmpty(there)
        if empty:
            # Made anew: nothing of what has been copied is there.
            earlier = {}
        told = []
        for column in task.columns():
            origin = _longest(task.live.columns[column], found)
            told.append(found[origin])
            source = earlier.get(column)
            if source is None or source.uuid != origin:
                source = Source(column, origin, b"")
            todo = list(merged(await self._ranges(task, source), size))
            if await self._copy(task, source, todo, empty):
                raise IOFailed("the mirror differs although it has just been copied")
        return told

    # -- data servers ----------------------------------------------------------------

    async def _resize(
        self, task: Task, there: Optional[ObjectAttributes], size: int
    ) -> None:
        """
        Make a data file that nobody uses yet as long as the file.
        """
        if there is None or there.size == size:
            return
        await self._servers.onFile(
            task.uuid, lambda ds: ds.setattr(task.live.name, SetAttributes(size=size))
        )

    async def ask(self, uuid: bytes, name: bytes) -> ObjectAttributes:
        """
        What a data file is like.
        """
        return await self._servers.onFile(  # type: ignore[no-any-return]
            uuid, lambda ds: ds.getattr(name)
        )

    async def _track(self, uuid: bytes, name: bytes) -> tuple[bytes, int]:
        """
        A token, empty if it cannot be had, and a size that is not older. What made the
        file longer between an older one and the token would lie behind that size, and
        be older than the token.
        """
        try:
            return await self._servers.onFile(  # type: ignore[no-any-return]
                uuid, lambda ds: ds.track(name)
            )
        except Unsupported:
            return b"", (await self.ask(uuid, name)).size

    async def _ranges(self, task: Task, source: Source) -> list[Range]:
        """
        What has to be compared: what has been copied or changed, or all; of these
        ranges what is lacking of a column, up to the end of the file.
        """
        changed = await self._changed(task, source)
        if changed is None or source.todo is None:
            return [(0, EVERYTHING)]
        return list(merged([*source.todo, *changed], EVERYTHING))

    async def _changed(self, task: Task, source: Source) -> Optional[list[Range]]:
        """
        What has changed since the token was given; None: that is not known, or not of
        use.
        """
        if not source.token or source.todo is None:
            return None
        return await self._servers.onFile(  # type: ignore[no-any-return]
            source.uuid, lambda ds: ds.changes(task.live.name, source.token)
        )

    def _portions(
        self, task: Task, column: int, ranges: Iterable[Range]
    ) -> Iterator[Range]:
        """
        What is lacking of a column in ranges of the file.
        """
        for offset, length in ranges:
            for origin, at, part in task.lacking(offset, length):
                if origin == column:
                    yield at, part

    async def differing(
        self, name: bytes, first: bytes, second: bytes, ranges: Iterable[Range]
    ) -> list[Range]:
        """
        See L{Comparing.differing}.
        """
        return await self._comparing.differing(name, first, second, ranges)

    async def _copy(
        self, task: Task, source: Source, ranges: Sequence[Range], empty: bool
    ) -> list[Range]:
        """
        Make ranges of a column what they are at their source, durably, copying what
        differs.

        @param empty: nothing is there yet of this column.
        @return: where they differ still, as the source has changed meanwhile, or have
            not been looked at.
        """
        name, uuid = task.live.name, task.uuid

        async def commit() -> bytes:
            return await self._servers.onFile(  # type: ignore[no-any-return]
                uuid, lambda ds: ds.commit(name, 0, 0)
            )

        if not ranges:
            return []
        total = sum(length for _, length in ranges)
        extents = Extents(self._servers, source.uuid, name)
        there = Extents(self._servers, uuid, name, empty)
        verifiers: set[bytes] = set()
        if not empty and (total < MUCH or not await there.isEmpty()):
            # What an earlier attempt has left there, and is found equal, must not be
            # lost either.
            verifiers.add(await commit())
        running = DeferredSemaphore(SCRAPS if task.scraps else STEPS)
        left: list[Range] = []

        async def step(offset: int, count: int) -> None:
            await running.acquire()
            try:
                if task.key is None:
                    await copy(offset, count)
                else:
                    await shared(offset, count)
            finally:
                running.release()

        async def shared(offset: int, count: int) -> None:
            """
            Not behind the end of what is in use: that may be the end of the file.
            """
            done = 0
            until = await task.pace.begin(count)
            await self._turns.share(task.key)
            try:
                room = max(0, (await self.ask(uuid, name)).size - offset)
                if room < count:
                    left.append((offset + room, count - room))
                    count = room
                if count:
                    done = await copy(offset, count)
            finally:
                self._turns.unshare(task.key)
            await task.told(done)
            await task.pace.end(until)

        async def copy(offset: int, count: int) -> int:
            done = 0
            todo: list[Range] = []
            pieces = [(offset, count)]
            compared = True
            try:
                lacks = await self._comparing.lacks(extents, there, offset, count)
                pieces = lacks.all
                done = await clear(list(merged(lacks.zeros, EVERYTHING)))
                if done:
                    pieces = list(merged(lacks.data, EVERYTHING))
                    todo += lacks.zeros
            except Unsupported:
                compared = False
            for at, length in pieces:
                while length:
                    part = min(length, piece)
                    until = await pace.begin(part)
                    copied = await self._copying.piece(
                        uuid, only, source.column, at, part
                    )
                    result = copied.written
                    # Where it is in use others may have written meanwhile.
                    known = copied.compared if task.key is None else 0
                    if known:
                        left.extend(copied.unequal)
                    if known < result.count:
                        todo.append((at + known, result.count - known))
                    if not result.count:
                        raise IOFailed("nothing can be copied")
                    if result.committed == Stable.UNSTABLE:
                        verifiers.update((result.verifier, await commit()))
                    at += result.count
                    length -= result.count
                    done += result.count
                    if task.key is None:
                        await task.told(result.count)
                    await pace.end(until)
            if compared and todo:
                todo = list(merged(todo, EVERYTHING))
                left.extend(await self.differing(name, source.uuid, uuid, todo))
            return done

        async def clear(zeros: Sequence[Range]) -> int:
            """
            Have holes there. Each of them takes a while, so not of very many.

            @return: bytes; 0 if they are to be copied.
            """
            if not zeros or len(zeros) > HOLES:
                return 0
            for at, length in zeros:
                try:
                    await self._servers.onFile(uuid, _deallocating(name, at, length))
                except Unsupported:
                    return 0
            verifiers.add(await commit())
            cleared = sum(length for _, length in zeros)
            if task.key is None:
                await task.told(cleared)
            return cleared

        only = _only(task.live, source)
        size = min(LONG_STEP, max(STEP, total // PARTS // STEP * STEP))
        piece = task.pace.piece(size)
        # Truncations wait for a step that is made in a shared turn, so rest before it.
        pace = task.pace
        if task.key is not None:
            pace = UNLIMITED
            size = min(SHARED_STEP, piece)
        todo = steps(self._portions(task, source.column, ranges), size)
        while some := [each for _, each in zip(range(8 * SCRAPS), todo)]:
            await gather([step(*each) for each in some])
            if len(left) > 2 * RANGES:
                left[:] = coarse(left)
            if source.token and len(some) == 8 * SCRAPS:
                # What is not asked about is not kept track of for ever.
                await self._servers.onFile(
                    source.uuid, lambda ds: ds.changes(name, source.token)
                )
        # Who had nothing, and has told that all it got is durable, can lose none of it.
        if verifiers:
            verifiers.add(await commit())
        if len(verifiers) > 1:
            raise Unreachable("the data server has restarted; what it got may be lost")
        return sorted(left)


def isSmall(inode: Inode) -> bool:
    """
    Is a file not worth being copied ahead?
    """
    return inode.size <= SMALL


def _deallocating(name: bytes, offset: int, length: int) -> Callable[[Any], Any]:
    return lambda ds: ds.deallocate(name, offset, length)


def _isEmpty(there: Optional[ObjectAttributes]) -> bool:
    """
    Is nothing in a data file?
    """
    return there is not None and not there.size


def _size(found: Mapping[bytes, ObjectAttributes]) -> int:
    return max(attributes.size for attributes in found.values())


def _longest(
    mirrors: Sequence[bytes], found: Mapping[bytes, ObjectAttributes]
) -> bytes:
    """
    Whom to copy from. Mirrors may differ in what nobody has been told is there, and the
    file is as long as the longest of them: a shorter one with zeros behind would be a
    third content.
    """
    return max([u for u in mirrors if u in found], key=lambda u: found[u].size)


def _only(live: Placement, source: Source) -> Placement:
    """
    As if one data server alone had a column.
    """
    columns = list(live.columns)
    columns[source.column] = (source.uuid,)
    return attrs.evolve(live, columns=tuple(columns))
