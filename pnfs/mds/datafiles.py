# -*- test-case-name: tests.mds.test_datafiles -*-
"""
The data files of a metadata server's files: made, sized, fenced, removed, and read
and written for clients without layouts.

What changes or asks for the size of one file takes turns (L{_Turns}): a question
that began before a truncation must not bring the old size back.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from pnfs.backends.ds.remote import gather, gatherOutcomes
from pnfs.backends.errors import (
    BackendError,
    IOFailed,
    NoSuchObject,
    Unreachable,
    Unsupported,
)
from pnfs.interfaces import IFileData
from pnfs.layouts.striping import split
from pnfs.mds.dataservers import DataServers
from pnfs.namespace.filehandles import READ, WRITE, CapabilityCodec, objectName
from pnfs.values import (
    Inode,
    IOMode,
    PlaceRequest,
    Placement,
    ReadResult,
    SetAttributes,
    Stable,
    WriteResult,
)

REMOVAL_RETRY_SECONDS = 5.0
_REMOVALS_AT_ONCE = 16

_log = Logger()


class _Turns:
    """
    One after the other, per key.
    """

    def __init__(self) -> None:
        self._queues: dict[Any, list[Deferred[None]]] = {}

    async def take(self, key: Any) -> None:
        """
        Wait for a turn; L{give} it back.
        """
        queue = self._queues.get(key)
        if queue is None:
            self._queues[key] = []
            return
        waiter: Deferred[None] = Deferred()
        queue.append(waiter)
        await waiter

    def give(self, key: Any) -> None:
        """
        The next one's turn.
        """
        queue = self._queues[key]
        if queue:
            queue.pop(0).callback(None)
        else:
            del self._queues[key]


@implementer(IFileData)
class DataFiles:
    """
    L{IFileData} over the data servers of a site.
    """

    def __init__(
        self,
        servers: DataServers,
        capabilities: CapabilityCodec,
        clock: IReactorTime,
        wallTime: Callable[[], int],
    ) -> None:
        self._servers = servers
        self._capabilities = capabilities
        self._clock = clock
        self._wallTime = wallTime
        self._turns = _Turns()
        self._refreshing: dict[bytes, list[Deferred[None]]] = {}
        self._ragged: set[tuple[int, bytes]] = set()
        self._sequence = 0
        self._minted: dict[tuple[bytes, int, int], bytes] = {}
        self._removals: list[tuple[Any, Placement]] = []
        self._removing = 0
        self._retries: set[IDelayedCall] = set()

    # -- handles -----------------------------------------------------------------

    def mint(self, placement: Placement, iomode: int) -> bytes:
        """
        See L{IFileData.mint}.
        """
        key = (placement.name, placement.epoch, iomode)
        handle = self._minted.get(key)
        if handle is None:
            rights = READ if iomode == IOMode.READ else READ | WRITE
            handle = self._capabilities.mint(rights, placement.epoch, placement.name)
            if len(self._minted) >= 65536:
                self._minted.clear()
            self._minted[key] = handle
        return handle

    def _backend(self, uuid: bytes) -> Any:
        return self._servers.byUUID(uuid).backend

    async def _on(self, uuid: bytes, call: Callable[[Any], Any]) -> Any:
        """
        Do something at a data server; remember if it does not answer.
        """
        member = self._servers.byUUID(uuid)
        if not member.up:
            raise Unreachable(f"data server {member.config.name} does not answer")
        try:
            return await call(member.backend)
        except Unreachable as error:
            self._servers.down(uuid, error)
            raise

    # -- making ------------------------------------------------------------------

    async def ensure(self, export: Any, inode: Inode) -> Placement:
        """
        See L{IFileData.ensure}.
        """
        if inode.hasPlacement:
            placement = await export.backend.loadPlacement(inode)
            if placement is not None:
                if (export.id, inode.handle) in self._ragged:
                    await self.refresh(export, inode)
                return placement  # type: ignore[no-any-return]
        key = (export.id, inode.handle)
        await self._turns.take(key)
        try:
            placement = await export.backend.loadPlacement(inode)
            if placement is None:
                placement = await self._make(export, inode)
            return placement  # type: ignore[no-any-return]
        finally:
            self._turns.give(key)

    async def _make(self, export: Any, inode: Inode) -> Placement:
        name = objectName(export.id, inode.handle)
        path = export.backend.pathOf(inode)
        while True:
            servers = self._servers.usable(export.dataServers)
            if not servers:
                raise Unreachable("no data server answers")
            self._sequence += 1
            try:
                placement = _driverOf(export).place(
                    PlaceRequest(
                        stripeUnit=export.stripeUnit,
                        stripeCount=min(export.stripeCount, len(servers)),
                        mirrors=export.mirrors,
                        name=name,
                        sequence=self._sequence,
                        path=path,
                    ),
                    servers,
                )
            except ValueError as error:
                raise Unreachable(str(error)) from None
            outcomes = await gatherOutcomes(
                [
                    self._on(uuid, lambda ds: self._createOne(ds, inode, placement))
                    for uuid in placement.dataServers
                ]
            )
            failures = [o for o in outcomes if isinstance(o, Exception)]
            if not failures:
                break
            for failure in failures:
                if not isinstance(failure, Unreachable):
                    raise failure
            # Those that did not answer are out now: place it elsewhere.
        await export.backend.storePlacement(inode, placement)
        return placement  # type: ignore[no-any-return]

    async def _createOne(self, ds: Any, inode: Inode, placement: Placement) -> None:
        await ds.create(
            placement.name, inode.uid, inode.gid, inode.mode, placement.epoch
        )
        if inode.size:
            await ds.extend(placement.name, inode.size)

    # -- size and times ------------------------------------------------------------

    async def refresh(self, export: Any, inode: Inode) -> None:
        """
        See L{IFileData.refresh}.
        """
        key = inode.handle
        waiting = self._refreshing.get(key)
        if waiting is not None:
            # The round under way may have asked before the last write was done:
            # wait for the one after it, which all that wait now share.
            waiter: Deferred[None] = Deferred()
            waiting.append(waiter)
            await waiter
            return
        self._refreshing[key] = []
        try:
            await self._refreshOnce(export, inode)
        finally:
            sharing = self._refreshing.pop(key)
            if sharing:
                self._refreshFor(export, inode, sharing)

    def _refreshFor(
        self, export: Any, inode: Inode, waiters: list[Deferred[None]]
    ) -> None:
        def done(result: Any) -> None:
            for waiter in waiters:
                if isinstance(result, Exception):
                    waiter.errback(result)
                else:
                    waiter.callback(None)

        running = Deferred.fromCoroutine(self.refresh(export, inode))
        running.addCallbacks(lambda _: done(None), lambda failure: done(failure.value))

    async def _refreshOnce(self, export: Any, inode: Inode) -> None:
        key = (export.id, inode.handle)
        await self._turns.take(key)
        try:
            placement = await export.backend.loadPlacement(inode)
            if placement is None:
                return
            found = await self._askAll(placement)
            size = max(inode.size, max(a.size for a in found.values()))
            await gather(
                [
                    self._on(uuid, lambda ds: ds.extend(placement.name, size))
                    for uuid, attributes in found.items()
                    if attributes.size < size
                ]
                or [_nothing()]
            )
            used = sum(
                max(found[ds].used for ds in column if ds in found)
                for column in placement.columns
            )
            mtime = max(a.mtime for a in found.values())
            await export.backend.storeDataAttributes(
                inode, size, used, max(mtime, inode.mtime), None
            )
            self._ragged.discard(key)
        finally:
            self._turns.give(key)

    async def _askAll(self, placement: Placement) -> dict[bytes, Any]:
        """
        Attributes of the data files, of one mirror at least of each column.
        """
        uuids = placement.dataServers
        outcomes = await gatherOutcomes(
            [self._on(uuid, lambda ds: ds.getattr(placement.name)) for uuid in uuids]
        )
        found = {}
        failures = {}
        for uuid, outcome in zip(uuids, outcomes):
            if isinstance(outcome, BackendError):
                failures[uuid] = outcome
            elif isinstance(outcome, Exception):
                raise outcome
            else:
                found[uuid] = outcome
        for column in placement.columns:
            if not any(uuid in found for uuid in column):
                raise failures[column[0]]
        return found

    async def truncate(self, export: Any, inode: Inode, size: int) -> None:
        """
        See L{IFileData.truncate}.
        """
        key = (export.id, inode.handle)
        await self._turns.take(key)
        try:
            placement = await export.backend.loadPlacement(inode)
            if placement is not None:
                changes = SetAttributes(size=size)
                await gather(
                    [
                        self._on(uuid, lambda ds: ds.setattr(placement.name, changes))
                        for uuid in placement.dataServers
                    ]
                )
            await export.backend.setattr(inode, SetAttributes(size=size))
        finally:
            self._turns.give(key)

    async def applyOwner(self, export: Any, inode: Inode) -> None:
        """
        See L{IFileData.applyOwner}.
        """
        placement = await export.backend.loadPlacement(inode)
        if placement is not None:
            changes = SetAttributes(mode=inode.mode, uid=inode.uid, gid=inode.gid)
            await gather(
                [
                    self._on(uuid, lambda ds: ds.setattr(placement.name, changes))
                    for uuid in placement.dataServers
                ]
            )

    async def fence(self, export: Any, inode: Inode) -> None:
        """
        See L{IFileData.fence}. The new epoch is in the placement first: whatever
        is granted from now on carries it.
        """
        old = await export.backend.loadPlacement(inode)
        if old is None:
            return
        placement = Placement(
            old.layout, old.stripeUnit, old.columns, old.name, old.epoch + 1
        )
        await export.backend.storePlacement(inode, placement)
        await gather(
            [
                self._servers.fence(uuid, placement.name, placement.epoch)
                for uuid in placement.dataServers
            ]
        )

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
        placement = await export.backend.loadPlacement(inode)
        count = min(count, size - offset)
        if placement is None:
            return ReadResult([bytes(count)], count, offset + count >= size)
        results = await gather(
            [
                self._readColumn(placement, column, start, length)
                for column, start, length in split(
                    offset, count, placement.stripeUnit, len(placement.columns)
                )
            ]
        )
        pieces = [piece for result in results for piece in result]
        return ReadResult(pieces, count, offset + count >= size)

    async def _readColumn(
        self, placement: Placement, column: int, offset: int, count: int
    ) -> list[Any]:
        """
        A range of one column from the first mirror that gives it.
        """
        mirrors = placement.columns[column]
        problem: Exception = Unreachable("no data server answers")
        for uuid in sorted(mirrors, key=lambda u: not self._servers.byUUID(u).up):
            try:
                result = await self._on(
                    uuid, lambda ds: ds.read(placement.name, offset, count)
                )
            except (Unreachable, IOFailed, NoSuchObject) as error:
                problem = error
                continue
            pieces = list(result.pieces)
            if result.count < count:
                pieces.append(bytes(count - result.count))
            return pieces
        raise problem

    async def write(
        self, export: Any, inode: Inode, offset: int, data: memoryview, stable: int
    ) -> WriteResult:
        """
        See L{IFileData.write}.
        """
        placement = await self.ensure(export, inode)
        ranges = list(
            split(offset, len(data), placement.stripeUnit, len(placement.columns))
        )
        writes = []
        for column, start, length in ranges:
            part = data[start - offset : start - offset + length]
            for uuid in placement.columns[column]:
                writes.append(
                    self._on(uuid, _writer(placement.name, start, part, stable))
                )
        results = await gather(writes) if writes else []
        done, committed = self._written(placement, ranges, results)
        end = offset + done
        grows = done and end > inode.size
        if grows and len(placement.columns) > 1:
            self._ragged.add((export.id, inode.handle))
        if done:
            await export.backend.storeDataAttributes(
                inode,
                max(inode.size, end),
                max(inode.used, inode.used + (end - inode.size) if grows else 0),
                self._wallTime(),
                None,
            )
        return WriteResult(done, committed, self._verifier(placement))

    def _written(
        self, placement: Placement, ranges: list[Any], results: list[Any]
    ) -> tuple[int, int]:
        """
        How far everything is written from the start on, and how durably.
        """
        done = 0
        committed = int(Stable.FILE_SYNC)
        index = 0
        whole = True
        for column, _, length in ranges:
            mirrors = len(placement.columns[column])
            some = results[index : index + mirrors]
            index += mirrors
            committed = min([committed, *(r.committed for r in some)])
            count = min(r.count for r in some)
            if whole:
                done += count
                whole = count == length
        return done, committed

    def _verifier(self, placement: Placement) -> bytes:
        """
        Changes if that of any of the file's data servers does.
        """
        digest = blake2b(digest_size=8)
        for uuid in placement.dataServers:
            digest.update(self._backend(uuid).verifier)
        return digest.digest()

    async def commit(self, export: Any, inode: Inode, offset: int, count: int) -> bytes:
        """
        See L{IFileData.commit}.
        """
        placement = await export.backend.loadPlacement(inode)
        if placement is None:
            return bytes(8)
        await gather(
            [
                self._on(uuid, lambda ds: ds.commit(placement.name, 0, 0))
                for uuid in placement.dataServers
            ]
        )
        if (export.id, inode.handle) in self._ragged:
            await self.refresh(export, inode)
        return self._verifier(placement)

    # -- removing ------------------------------------------------------------------

    def forget(self, export: Any, placement: Placement) -> None:
        """
        See L{IFileData.forget}.
        """
        self._removals.append((export, placement))
        self._removeSome()

    def _removeSome(self) -> None:
        while self._removals and self._removing < _REMOVALS_AT_ONCE:
            export, placement = self._removals.pop()
            self._removing += 1
            running = Deferred.fromCoroutine(self._remove(export, placement))
            running.addErrback(
                lambda failure: _log.failure("removing data files failed", failure)
            )
            running.addBoth(lambda _: self._removed())

    def _removed(self) -> None:
        self._removing -= 1
        self._removeSome()

    async def _remove(self, export: Any, placement: Placement) -> None:
        outcomes = await gatherOutcomes(
            [
                self._on(uuid, lambda ds: ds.remove(placement.name))
                for uuid in placement.dataServers
            ]
        )
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, NoSuchObject):
                if not isinstance(outcome, BackendError):
                    raise outcome
                # It stays in the durable queue, and is tried again.
                self._later(export, placement)
                return
        await export.backend.finishRemoval(placement, True)

    def _later(self, export: Any, placement: Placement) -> None:
        def again() -> None:
            self._retries.discard(timer)
            self.forget(export, placement)

        timer = self._clock.callLater(REMOVAL_RETRY_SECONDS, again)
        self._retries.add(timer)

    def stop(self) -> None:
        """
        What is not removed yet stays in the durable queue.
        """
        self._removals.clear()
        for timer in self._retries:
            timer.cancel()
        self._retries.clear()


def _driverOf(export: Any) -> Any:
    """
    The driver that places an export's new files.
    """
    for driver in export.drivers.values():
        if driver.name == export.layout:
            return driver
    raise Unsupported(f"export {export.path} has no data servers")


def _writer(name: bytes, offset: int, part: memoryview, stable: int) -> Any:
    return lambda ds: ds.write(name, offset, part, stable)


async def _nothing() -> None:
    """
    An awaitable for when there is nothing to do.
    """
