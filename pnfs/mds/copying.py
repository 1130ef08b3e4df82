# -*- test-case-name: tests.mds.test_copying -*-
"""
Copying between files: the data servers do it, each for what it holds.

Where both files have a column on the same data server, that one copies within
itself; else the one with the destination reads from the one with the source. Only
if neither can be had do the bytes pass through the metadata server.

A copy is made slice by slice, each in parallel on all columns. So everything before
a slice is there when the next one begins, progress is known, and a copy can be
stopped between two slices.
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable, Iterator, Sequence

import attrs
from twisted.internet.defer import DeferredSemaphore

from pnfs.backends.ds.carrying import carry
from pnfs.backends.ds.partners import MUCH
from pnfs.backends.ds.remote import gather, gatherOutcomes
from pnfs.backends.errors import (
    BackendError,
    CrossDevice,
    PartnerFailed,
    Unreachable,
    Unsupported,
)
from pnfs.layouts.mirrors import readOrder
from pnfs.layouts.striping import pairs
from pnfs.mds.dataservers import DataServers
from pnfs.values import (
    CheckedCopy,
    CopySource,
    IOMode,
    Placement,
    ReadResult,
    Stable,
    WriteResult,
)

SLICE = 16 << 20
"""Bytes of a slice per column."""

SECONDS = 2.0
"""After which a slice ends where it is: a copy can be stopped between two."""

CALLS = 16
"""
Orders to copy for clients that are under way at data servers at the same time, in all;
and as many in which files are repaired and moved, which must not hold up clients.
"""

ORDERS = 2
"""
Orders to read much that are under way for a data server: of more, each would take longer
than an order may, and would have to be given again.
"""


@attrs.define
class _Run:
    """
    What one data server has to copy in a slice: a range of the file, of which it
    holds all or its stripes.

    @ivar uuid: the data server; column: of the source.
    @ivar done: bytes of the range.
    """

    uuid: bytes
    column: int
    offset: int
    sourceOffset: int
    count: int
    done: int = 0


@attrs.define
class Slice:
    """
    What has come of a slice.

    @ivar offset: where it begins.
    @ivar until: when it is to end.
    @ivar done: bytes from its start on.
    @ivar told: verifiers by data server; one that is none if it has changed.
    """

    offset: int
    until: float
    done: int = 0
    committed: int = int(Stable.FILE_SYNC)
    told: dict[bytes, bytes] = attrs.Factory(dict)

    def add(self, uuid: bytes, result: WriteResult) -> None:
        """
        A data server has done something.
        """
        self.committed = min(self.committed, result.committed)
        before = self.told.setdefault(uuid, result.verifier)
        if before != result.verifier:
            # It restarted in between: this must equal nothing later.
            self.told[uuid] = before + result.verifier


class Copying:
    """
    Has data servers copy.
    """

    def __init__(
        self,
        servers: DataServers,
        mint: Callable[[Placement, int], bytes],
        readColumn: Callable[[Placement, int, int, int], Awaitable[list[Any]]],
        seconds: Callable[[], float],
    ) -> None:
        """
        @param mint: makes a capability filehandle for a placement and iomode.
        @param readColumn: gives the pieces of a range of a column.
        @param seconds: the monotonic clock.
        """
        self._seconds = seconds
        self._servers = servers
        self._mint = mint
        self._readColumn = readColumn
        self._calls = DeferredSemaphore(CALLS)
        self._pieces = DeferredSemaphore(CALLS)
        self._large: dict[bytes, DeferredSemaphore] = {}

    async def slice(
        self,
        placement: Placement,
        offset: int,
        source: Placement,
        sourceOffset: int,
        count: int,
    ) -> Slice:
        """
        Copy the beginning of a range.

        @raise BackendError: nothing of it could be copied.
        """
        width = 1 if placement.chunk else len(placement.columns)
        count = min(count, SLICE * width)
        found = Slice(offset, self._seconds() + SECONDS)
        runs = list(_runs(placement, offset, source, sourceOffset, count))
        outcomes = await gatherOutcomes(
            [self._finish(found, placement, source, run) for run in runs]
        )
        failures = [each for each in outcomes if isinstance(each, Exception)]
        found.done = (
            min(
                [run.offset + run.done for run in runs if run.done < run.count],
                default=offset + count,
            )
            - offset
        )
        for failure in failures:
            if not found.done or not isinstance(failure, BackendError):
                raise failure
        return found

    async def _finish(
        self, found: Slice, placement: Placement, source: Placement, run: _Run
    ) -> None:
        """
        Have one data server do its part, as far as time allows. Whoever has the
        beginning of the slice does some of it in any case.
        """
        while run.done < run.count:
            await self._calls.acquire()
            try:
                if (
                    run.done or run.offset > found.offset
                ) and self._seconds() >= found.until:
                    return
                result = await self._step(placement, source, run)
            finally:
                self._calls.release()
            found.add(run.uuid, result)
            run.done += result.count

    async def piece(
        self, uuid: bytes, source: Placement, column: int, offset: int, count: int
    ) -> CheckedCopy:
        """
        Copy some of a column to its place in the data file that another data server has
        of the same file.
        """
        if count < MUCH:
            return await self._piece(uuid, source, column, offset, count)
        large = self._large.setdefault(uuid, DeferredSemaphore(ORDERS))
        await large.acquire()
        try:
            return await self._piece(uuid, source, column, offset, count)
        finally:
            large.release()

    async def _piece(
        self, uuid: bytes, source: Placement, column: int, offset: int, count: int
    ) -> CheckedCopy:
        run = _Run(uuid, column, offset, offset, count)
        await self._pieces.acquire()
        try:
            copied = await self._order(
                source,
                run,
                lambda ds, origin: ds.copyChecked(
                    source.name, offset, origin, offset, count
                ),
            )
            return copied or CheckedCopy(await self._carry(source, source, run))
        finally:
            self._pieces.release()

    async def _step(
        self, placement: Placement, source: Placement, run: _Run
    ) -> WriteResult:
        """
        Some of it, from any mirror that can be had.
        """
        copied = await self._order(
            source,
            run,
            lambda ds, origin: ds.copy(
                placement.name,
                run.offset + run.done,
                origin,
                run.sourceOffset + run.done,
                run.count - run.done,
            ),
        )
        return copied or await self._carry(placement, source, run)

    async def _order(
        self,
        source: Placement,
        run: _Run,
        order: Callable[[Any, CopySource], Awaitable[Any]],
    ) -> Any:
        """
        Have a data server copy from the best origin that it can.

        @return: what it says; None: it cannot from any.
        """
        for origin in self._origins(source, run):
            try:
                return await self._servers.onFile(
                    run.uuid, lambda ds: order(ds, origin)
                )
            except (PartnerFailed, Unsupported):
                continue
        return None

    async def _carry(
        self, placement: Placement, source: Placement, run: _Run
    ) -> WriteResult:
        """
        Some of it, through the metadata server.
        """

        async def read(at: int, length: int) -> ReadResult:
            pieces = await self._readColumn(source, run.column, at, length)
            return ReadResult(pieces, length, False)

        async def write(at: int, data: memoryview) -> WriteResult:
            return await self._servers.onFile(  # type: ignore[no-any-return]
                run.uuid,
                lambda ds: ds.write(placement.name, at, data, Stable.UNSTABLE),
            )

        return await carry(
            read,
            write,
            run.offset + run.done,
            run.sourceOffset + run.done,
            run.count - run.done,
            self._seconds,
        )

    def _origins(self, source: Placement, run: _Run) -> Iterator[CopySource]:
        """
        Where a data server may get the bytes from, best first.
        """
        mirrors = source.columns[run.column]
        if run.uuid in mirrors:
            yield CopySource(source.name)
            return
        handle = self._mint(source, IOMode.READ)
        for uuid in readOrder(mirrors, [u for u in mirrors if not self._servers.up(u)]):
            if self._servers.up(uuid):
                member = self._servers.byUUID(uuid)
                config = member.config
                addresses = tuple(dict.fromkeys((*config.advertise, config.address)))
                yield CopySource(source.name, member.identity, addresses, handle)

    async def clone(
        self,
        placement: Placement,
        offset: int,
        source: Placement,
        sourceOffset: int,
        count: int,
    ) -> None:
        """
        Have each data server share what it has of a range.

        @raise CrossDevice: the bytes are not where they are to be.
        @raise Unreachable: a data server does not answer; if that was known before,
            nothing has been done.
        """
        if placement.chunk or source.chunk:
            await self._cloneChunks(placement, offset, source, sourceOffset, count)
            return
        if not alike(placement, offset, source, sourceOffset):
            raise CrossDevice("the stripes of the files do not lie alike")
        await self._servers.onAll(
            placement,
            lambda ds: ds.clone(
                placement.name, offset, source.name, sourceOffset, count
            ),
        )

    async def _cloneChunks(
        self,
        placement: Placement,
        offset: int,
        source: Placement,
        sourceOffset: int,
        count: int,
    ) -> None:
        """
        As L{clone}, each data server its chunks.
        """
        todo = list(pairs(source, sourceOffset, placement, offset, count))
        for there, here, _, _ in todo:
            if not set(placement.columns[here]) <= set(source.columns[there]):
                raise CrossDevice("the chunks of the files do not lie alike")
        uuids = dict.fromkeys(
            u for _, here, _, _ in todo for u in placement.columns[here]
        )
        for uuid in uuids:
            if not self._servers.up(uuid):
                raise Unreachable("a data server does not answer")
        await gather(
            [
                self._servers.onFile(
                    uuid,
                    _cloner(
                        placement.name,
                        offset + start,
                        source.name,
                        sourceOffset + start,
                        length,
                    ),
                )
                for _, here, start, length in todo
                for uuid in placement.columns[here]
            ]
        )


def _cloner(
    name: bytes, offset: int, source: bytes, sourceOffset: int, count: int
) -> Any:
    return lambda ds: ds.clone(name, offset, source, sourceOffset, count)


def _runs(
    placement: Placement,
    offset: int,
    source: Placement,
    sourceOffset: int,
    count: int,
) -> Iterator[_Run]:
    """
    Who copies what of a range.

    If the stripes of both files lie alike, each data server can be given the whole
    range: what is not in its stripes is a hole in both of its data files.
    """
    if (
        not (placement.chunk or source.chunk)
        and count > placement.stripeUnit * len(placement.columns)
        and alike(placement, offset, source, sourceOffset)
    ):
        for column, mirrors in enumerate(placement.columns):
            for uuid in mirrors:
                yield _Run(uuid, column, offset, sourceOffset, count)
        return
    for sourceColumn, column, start, length in pairs(
        source, sourceOffset, placement, offset, count
    ):
        for uuid in placement.columns[column]:
            yield _Run(uuid, sourceColumn, offset + start, sourceOffset + start, length)


def alike(
    placement: Placement, offset: int, source: Placement, sourceOffset: int
) -> bool:
    """
    Does every data server that is to have a byte of a striped file have it in the
    source?
    """
    columns: Sequence[Sequence[bytes]] = placement.columns
    return (
        (len(columns) == 1 or placement.stripeUnit == source.stripeUnit)
        and len(columns) == len(source.columns)
        and (
            len(columns) == 1
            or (offset - sourceOffset) % (placement.stripeUnit * len(columns)) == 0
        )
        and all(
            set(mirrors) <= set(others)
            for mirrors, others in zip(columns, source.columns)
        )
    )
