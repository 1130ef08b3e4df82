# -*- test-case-name: tests.mds.test_datafiles -*-
"""
The data files of a metadata server's files: made, fenced, removed, and read and
written for clients without layouts.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Callable, Mapping, Sequence

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from pnfs.backends.ds.remote import gather, gatherOutcomes
from pnfs.backends.errors import BackendError, IOFailed, Unreachable
from pnfs.interfaces import IFileData
from pnfs.layouts.mirrors import readOrder
from pnfs.layouts.striping import missing, pieces
from pnfs.mds.copies import UNHEARD, Copies
from pnfs.mds.copying import Copying
from pnfs.mds.dataservers import DataServers
from pnfs.mds.degrade import Degrading
from pnfs.mds.holes import SparseFiles
from pnfs.mds.moving import Moving
from pnfs.mds.placing import Placing
from pnfs.mds.removals import Removals
from pnfs.mds.repair import FileRepair
from pnfs.mds.turns import Turns
from pnfs.mds.writing import writer, written
from pnfs.namespace.filehandles import READ, WRITE, CapabilityCodec
from pnfs.values import (
    Inode,
    IOMode,
    Placement,
    ReadResult,
    Stable,
    WriteResult,
)

_MINTED = 65536

_log = Logger()


@implementer(IFileData)
class DataFiles(SparseFiles, Copies):
    """
    L{IFileData} over the data servers of a site.

    @ivar removals: data files being deleted in the background.
    @ivar degrading: files go on without lost mirrors.
    @ivar turns: by (export id, handle), who may do something now.
    @ivar settings: what new files are to be like.
    @ivar repair: of stale mirrors; moving: of files to other data servers.
    """

    def __init__(
        self,
        servers: DataServers,
        capabilities: CapabilityCodec,
        clock: IReactorTime,
        wallTime: Callable[[], int],
    ) -> None:
        super().__init__()
        self._servers = servers
        self._capabilities = capabilities
        self._wallTime = wallTime
        self._turns = self.turns = Turns()
        self._stores = Turns()
        self._placing = Placing(servers, self._turns)
        self.settings = self._placing.settings
        self.degrading = Degrading(servers, self._placing)
        self._placing.degrading = self.degrading
        self._minted: dict[tuple[Any, ...], bytes] = {}
        self._copying = Copying(servers, self.mint, self._readColumn, clock.seconds)
        self.removals = Removals(servers.on, clock)
        self.repair = FileRepair(servers, self._placing, self._turns, self._copying)
        self.moving = Moving(servers, self._placing, self._turns, self.repair.transfer)

    def keepIndex(self, index: Any) -> None:
        """
        Have an index told of all placements.

        @param index: L{pnfs.mds.fileindex.FileIndex}.
        """
        self._placing.index = index
        self.removals.onGone = index.removed

    # -- handles -----------------------------------------------------------------

    def mint(self, placement: Placement, iomode: int, squash: Any = None) -> bytes:
        """
        See L{IFileData.mint}.
        """
        key = (placement.name, placement.epoch, iomode, squash)
        handle = self._minted.get(key)
        if handle is None:
            rights = READ if iomode == IOMode.READ else READ | WRITE
            handle = self._capabilities.mint(
                rights, placement.epoch, placement.name, squash
            )
            if len(self._minted) >= _MINTED:
                self._minted.clear()
            self._minted[key] = handle
        return handle

    # -- making ------------------------------------------------------------------

    async def ensure(
        self, export: Any, inode: Inode, write: bool = False, end: int = 0
    ) -> Placement:
        """
        See L{IFileData.ensure}.
        """
        placement = await self._placing.place(export, inode)
        if placement.chunk and missing(placement, end):
            placement = await self._placing.grow(export, inode, end)
        if write and self._servers.condemned:
            placement = await self.degrading.writable(export, inode, placement)
        if (export.id, inode.handle) in self.ragged:
            await self.refresh(export, inode)
            # A mirror may have been repaired meanwhile, or fallen out.
            placement = await self._placing.place(export, inode)
        return placement

    def usable(self, placement: Placement, write: bool = False) -> Placement:
        """
        See L{IFileData.usable}.
        """
        return self._servers.usable(placement, write)

    def roomFor(self, placement: Placement, offset: int = 0) -> bool:
        """
        See L{IFileData.roomFor}.
        """
        return self._servers.roomFor(placement, offset)

    async def fence(self, export: Any, inode: Inode) -> None:
        """
        See L{IFileData.fence}. The new epoch is in the placement first: whatever
        is granted from now on carries it.
        """
        placement = await self._placing.change(
            export, inode, lambda old: attrs.evolve(old, epoch=old.epoch + 1)
        )
        if placement is not None:
            # No layout is given of where the file is to be, and no data file is used
            # there before its data server has been told the epoch.
            await self._servers.fenceAll(attrs.evolve(placement, next=None))

    # -- reading and writing for clients without layouts -------------------------------

    async def read(
        self, export: Any, inode: Inode, offset: int, count: int
    ) -> ReadResult:
        """
        See L{IFileData.read}.
        """
        size = inode.size
        if offset >= size or count == 0:
            return ReadResult([], 0, offset + count >= size)
        placing = self._placing
        switches = placing.switches
        placement = await export.backend.loadPlacement(inode)
        count = min(count, size - offset)
        if placement is None:
            return ReadResult([bytes(count)], count, offset + count >= size)
        live = placement.live
        try:
            results = await gather(
                [
                    self._readColumn(live, column, start, length)
                    for column, start, length in pieces(live, offset, count)
                ]
            )
        finally:
            if switches != placing.switches:
                await placing.requireSteady(export, inode, placement)
        found = [piece for result in results for piece in result]
        return ReadResult(found, count, offset + count >= size)

    async def _readColumn(
        self, placement: Placement, column: int, offset: int, count: int
    ) -> list[Any]:
        """
        A range of one column from the first mirror that gives it.
        """
        mirrors = placement.columns[column]
        problem: Exception = Unreachable("no data server answers")
        for uuid in readOrder(mirrors, [u for u in mirrors if not self._servers.up(u)]):
            try:
                result = await self._servers.onFile(
                    uuid, lambda ds: ds.read(placement.name, offset, count)
                )
            except (Unreachable, IOFailed) as error:
                problem = error
                continue
            found = list(result.pieces)
            if result.count < count:
                found.append(bytes(count - result.count))
            return found
        raise self._servers.lost(mirrors, problem)

    async def write(
        self, export: Any, inode: Inode, offset: int, data: memoryview, stable: int
    ) -> WriteResult:
        """
        See L{IFileData.write}.
        """
        placement = await self._placing.share(export, inode, offset + len(data))
        sparse = _sparse(inode, offset)
        try:
            with self.noted(export, inode, placement):
                result = await self._write(
                    export, inode, placement, offset, data, stable
                )
        finally:
            self._turns.unshare((export.id, inode.handle))
        if sparse and result.committed == Stable.FILE_SYNC:
            try:
                await self.refresh(export, inode)
            except BackendError as error:
                _log.debug("the space of a file is told later: {error}", error=error)
        return result

    async def _write(
        self,
        export: Any,
        inode: Inode,
        placement: Placement,
        offset: int,
        data: memoryview,
        stable: int,
    ) -> WriteResult:
        name = placement.name
        ranges = list(pieces(placement, offset, len(data)))
        writes = []
        for column, start, length in ranges:
            part = data[start - offset : start - offset + length]
            for uuid in placement.columns[column]:
                writes.append(
                    self._servers.onFile(uuid, writer(name, start, part, stable))
                )
        # The verifier of the whole must be that which COMMIT will tell.
        heard = {uuid for column, _, _ in ranges for uuid in placement.columns[column]}
        for uuid in placement.dataServers:
            if uuid not in heard and self._verifierOf(uuid) == UNHEARD:
                writes.append(
                    self._servers.onFile(uuid, lambda ds: ds.commit(name, 0, 0))
                )
        outcomes = await gatherOutcomes(writes)
        await self._blame(export, inode, placement, ranges, outcomes)
        done, committed, told = written(placement, ranges, outcomes)
        if done:
            await self._grown(export, inode, placement, offset, done)
        return WriteResult(done, committed, self._combined(placement, told))

    async def _blame(
        self,
        export: Any,
        inode: Inode,
        placement: Placement,
        ranges: Sequence[tuple[int, int, int]],
        outcomes: Sequence[Any],
    ) -> None:
        """
        A mirror that cannot be written while another one can is stale from now on.

        @raise Unreachable: there was one; the client is to come again.
        """
        written_to = [
            uuid for column, _, _ in ranges for uuid in placement.columns[column]
        ]
        failed = {u for u, o in zip(written_to, outcomes) if isinstance(o, IOFailed)}
        if not failed or not self.degrading.enabled:
            return
        for uuid in failed:
            await self.degrading.markStale(export, inode, uuid)
        left = await export.backend.loadPlacement(inode)
        if left is not None and not failed.isdisjoint(left.stale):
            raise Unreachable("a mirror has failed: again without it")

    async def _grown(
        self, export: Any, inode: Inode, placement: Placement, offset: int, done: int
    ) -> None:
        """
        Bytes have been written: bring size and times of the file up to date.
        """
        end = offset + done
        key = (export.id, inode.handle)
        # Another write that stores a smaller size may be waiting for the backend.
        await self._stores.take(key)
        try:
            grows = end > inode.size
            if grows and len(placement.columns) > 1 or _sparse(inode, offset):
                self.ragged.add(key)
            await export.backend.storeDataAttributes(
                inode,
                max(inode.size, end),
                inode.used + (end - inode.size if grows else 0),
                self._wallTime(),
                None,
            )
        finally:
            self._stores.give(key)

    def _verifierOf(self, uuid: bytes) -> bytes:
        return self._servers.byUUID(uuid).backend.verifier  # type: ignore[no-any-return]

    def _combined(self, placement: Placement, told: Mapping[bytes, bytes]) -> bytes:
        """
        Changes if the verifier of any of the file's data servers does.

        @param told: those that came with the results in question: what has been
            heard since then may be that of a later start.
        """
        digest = blake2b(digest_size=8)
        for uuid in placement.dataServers:
            digest.update(told.get(uuid) or self._verifierOf(uuid))
        return digest.digest()

    async def commit(self, export: Any, inode: Inode, offset: int, count: int) -> bytes:
        """
        See L{IFileData.commit}.
        """
        switches = self._placing.switches
        placement = await self._placing.writable(export, inode)
        if placement is None:
            return bytes(8)
        uuids = placement.dataServers
        try:
            verifiers = await gather(
                [
                    self._servers.onFile(u, lambda ds: ds.commit(placement.name, 0, 0))
                    for u in uuids
                ]
            )
        except BackendError:
            if switches != self._placing.switches:
                raise Unreachable("files have gone elsewhere meanwhile") from None
            raise
        if (export.id, inode.handle) in self.ragged:
            await self.refresh(export, inode)
        return self._combined(placement, dict(zip(uuids, verifiers)))

    # -- removing ------------------------------------------------------------------

    def forget(self, export: Any, placement: Placement) -> None:
        """
        See L{IFileData.forget}.
        """
        self.removals.add(export, placement)

    def abandon(self, export: Any) -> None:
        """
        An export goes: its backend is not to be used any more.
        """
        self.removals.abandon(export)

    def stop(self) -> None:
        """
        Remove nothing any more.
        """
        self.removals.stop()


def _sparse(inode: Inode, offset: int) -> bool:
    """
    May what is written there leave or fill a hole? Only data servers know the space.
    """
    return offset > inode.size or (offset < inode.size and inode.used < inode.size)
