# -*- test-case-name: tests.mds.test_repairs -*-
"""
Repairing all mirrors that have become stale while their data servers were away.

What is to be repaired stands in the files' placements, durably; here is only what makes
it happen. A round goes through the files that the index names, some at a time, and
repairs those that have a stale mirror on a data server that answers. There are rounds until one finds nothing.
After a restart of the metadata server every data server that answers has returned, and
so what was left is done.

A file is repaired in four steps:

  - what is there is copied while clients read and write (L{FileRepair.ahead});
  - layouts are recalled, and no new ones given; a client that returns none loses it at
    the recall's deadline;
  - the file is fenced, so that nothing can be written with a layout that nobody knows
    of any more, from before a restart;
  - what has changed is copied, and the mirror counts again (L{FileRepair.finish}).
    Layouts given from then on have it.
"""

from __future__ import annotations

from typing import Any, AsyncIterator, Optional, Sequence

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.logger import Logger
from twisted.python.failure import Failure

from pnfs.backends.errors import BackendError, NoSuchObject
from pnfs.mds.datafiles import DataFiles
from pnfs.mds.dataservers import DataServers
from pnfs.mds.ending import Ending
from pnfs.mds.pace import Pace
from pnfs.mds.placed import alone, idleness, pinned, placedFiles
from pnfs.mds.repaired import Repaired, measure
from pnfs.mds.withdrawal import pause
from pnfs.nfs4.context import ServerContext
from pnfs.values import Inode, Placement

REASON = "mirror repaired"

PAGE = 1000
"""Files that the index is asked for at a time."""

GATHER_SECONDS = 1.0
"""After a data server has returned: others may do so as well."""

RETRY_SECONDS = 5.0
"""After a round in which something has failed."""

_log = Logger()


class Repairs:
    """
    Repairs in the background.

    @ivar automatic: begin when a data server returns.
    @ivar index: L{pnfs.mds.fileindex.FileIndex}: which files to look at; without, or
        where it is not whole, that is all of them.
    @ivar limit: bytes to copy in a second; 0: as many as possible.
    @ivar clock: that of the server.
    @ivar found: what has been done, by UUID of the data server.
    @ivar ending: when nothing is left to be done.
    """

    def __init__(
        self, server: ServerContext, servers: DataServers, data: DataFiles
    ) -> None:
        self.automatic = True
        self.index: Any = None
        self.limit = 0
        self.found: dict[bytes, Repaired] = {}
        self.ending = Ending()
        self._before: dict[bytes, Repaired] = {}
        self._counts: dict[bytes, int] = {}
        self._counting: Optional[Deferred[None]] = None
        self._server = server
        self._servers = servers
        self._data = data
        self.clock = server.clock
        self._wanted: set[bytes] = set()
        self._again = False
        self._busy: set[tuple[int, bytes]] = set()
        self._running: set[Deferred[None]] = set()
        self.pace = Pace(server.clock, lambda: self.limit)
        self._round: Optional[Deferred[None]] = None

    @property
    def running(self) -> bool:
        """
        There is or may be something to do.
        """
        return self._round is not None

    def returned(self, uuid: bytes) -> None:
        """
        A data server has begun to answer.
        """
        if self.automatic:
            self.begin(uuid, GATHER_SECONDS)

    def marked(
        self, export: Any, inode: Inode, placement: Placement, uuid: bytes
    ) -> None:
        """
        A mirror has become stale. If its data server answers nobody will return.
        """
        if self._servers.up(uuid):
            self.returned(uuid)

    def begin(self, uuid: bytes, after: float = 0.0) -> None:
        """
        Repair the stale mirrors on a data server.

        @param after: seconds to wait, unless something is being repaired already.
        """
        if uuid not in self._wanted:
            self._before[uuid] = self.total(uuid)
            self.found[uuid] = Repaired(began=self.clock.seconds())
        self._wanted.add(uuid)
        self._again = True
        if self._round is None:
            self._round = Deferred.fromCoroutine(self._run(after))
            self._round.addErrback(_failed)
            self._round.addCallback(self._ended)

    def _ended(self, result: None) -> None:
        self._round = None
        self._wanted.clear()
        self.ending.tell()

    def total(self, uuid: bytes) -> Repaired:
        """
        What has been done for a data server since the start of this server.
        """
        before = self._before.get(uuid, Repaired())
        now = self.found.get(uuid, Repaired())
        return Repaired(
            files=before.files + now.files,
            bytes=before.bytes + now.bytes,
            failures=before.failures + now.failures,
        )

    def counted(self) -> dict[bytes, int]:
        """
        How many files had a stale mirror on each data server when this was last asked,
        as far as the index knows: they are counted now.
        """
        if self._counting is None and self.index is not None:
            self._counting = Deferred.fromCoroutine(self._recount())
            self._counting.addErrback(_failed)
        return self._counts

    async def _recount(self) -> None:
        try:
            found = await self.index.counts()
            self._counts = {uuid: stale for uuid, (_, stale) in found.items()}
        except BackendError as error:
            _log.info("stale mirrors cannot be counted: {error}", error=error)
        finally:
            self._counting = None

    def _progress(self) -> dict[bytes, Repaired]:
        return {uuid: self.found[uuid] for uuid in sorted(self._wanted)}

    def left(self) -> dict[bytes, int]:
        """
        Files that are stale, by data server, as far as they are being repaired.
        """
        return {uuid: done.left or 0 for uuid, done in self.found.items()}

    def repairing(self, uuid: bytes) -> bool:
        """
        Is a data server being given what it has missed?
        """
        return (
            self.running
            and uuid in self._wanted
            and bool(self.found[uuid].left)
            and self._servers.up(uuid)
        )

    async def count(self) -> dict[bytes, int]:
        """
        How many files have a stale mirror on each data server.
        """
        counts: dict[bytes, int] = {}
        exports = list(self._server.exports.byPath.values())
        index = self.index
        if index is not None and index.whole.issuperset(e.id for e in exports):
            found = await index.counts()
            return {uuid: stale for uuid, (_, stale) in found.items()}
        for export in exports:
            async for inode, _ in placedFiles(export, self.clock):
                placement = await export.backend.loadPlacement(inode)
                for uuid in () if placement is None else placement.stale:
                    counts[uuid] = counts.get(uuid, 0) + 1
        return counts

    async def refill(self, uuid: bytes) -> None:
        """
        Repair all mirrors on a data server that can be done without: it has lost some
        of what it had.
        """
        await self.forsake(uuid)
        self.begin(uuid)

    async def forsake(self, uuid: bytes) -> int:
        """
        Take all mirrors on a data server that can be done without for stale.

        @return: how many files have something there that nobody else has.
        """
        alone = 0
        async for export, handle in self._files([uuid], False):
            try:
                inode = await export.backend.byHandle(handle)
                placement = await export.backend.loadPlacement(inode)
                if placement is not None and uuid in placement.live.dataServers:
                    left = await self._data.degrading.markStale(
                        export, inode, uuid, True
                    )
                    alone += left is not None and uuid not in left.stale
            except NoSuchObject:
                # Removed meanwhile.
                continue
        return alone

    def stop(self) -> None:
        """
        End at once. What is not repaired is stale still.
        """
        if self._round is not None:
            self._round.cancel()

    # -- rounds --------------------------------------------------------------------

    async def _run(self, after: float) -> None:
        await pause(self.clock, after)
        while self._again:
            self._again = False
            for uuid in self._wanted:
                self.found[uuid].failed = 0
            before = sum(done.files for done in self.found.values())
            await measure(self.index, self._server.exports, self._progress())
            await self._goThrough()
            self._wanted = {u for u in self._wanted if self._servers.up(u)}
            if any(self.found[uuid].failed for uuid in self._wanted):
                await pause(self.clock, RETRY_SECONDS)
                self._again = True
            elif sum(done.files for done in self.found.values()) > before:
                # Others may have become stale behind us.
                self._again = True
        for uuid in sorted(self._wanted):
            done = self.found[uuid]
            if done.files:
                _log.info(
                    "data server {name} has caught up: {files} files repaired, {bytes} "
                    "bytes copied",
                    name=self._servers.byUUID(uuid).config.name,
                    files=done.files,
                    bytes=done.bytes,
                )

    async def _goThrough(self) -> None:
        """
        Repair each file once.
        """
        files = self.pace.files
        places = DeferredSemaphore(files)
        try:
            async for export, handle in self._files(sorted(self._wanted), True):
                if not await self._needed(export, handle):
                    continue
                await places.acquire()
                running = Deferred.fromCoroutine(self._repairAll(export, handle))
                self._running.add(running)
                running.addErrback(_failed)
                running.addBoth(self._over, running, places)
            for _ in range(files):
                await places.acquire()
        except CancelledError:
            for running in list(self._running):
                running.cancel()
            raise

    def _over(
        self, result: None, running: Deferred[None], places: DeferredSemaphore
    ) -> None:
        self._running.discard(running)
        places.release()

    async def _files(
        self, uuids: Sequence[bytes], stale: bool
    ) -> AsyncIterator[tuple[Any, bytes]]:
        """
        Files with their exports, among them all that may have data files on some data
        servers, or may miss something there.
        """
        exports = self._server.exports
        index = self.index
        indexed = set() if index is None else set(index.whole)
        for export in list(exports.byPath.values()):
            if export.id not in indexed:
                async for inode, _ in placedFiles(export, self.clock):
                    yield export, inode.handle
        for uuid in uuids if indexed else ():
            after = 0
            while found := await index.files(uuid, after, PAGE, stale):
                for each in found:
                    after = each.position
                    export = exports.byId.get(each.export)
                    if export is not None and each.export in indexed:
                        yield export, each.handle

    async def _needed(self, export: Any, handle: bytes) -> bool:
        try:
            return bool(await self._todo(export, await export.backend.byHandle(handle)))
        except NoSuchObject:
            return False

    async def _todo(self, export: Any, inode: Inode) -> list[bytes]:
        """
        The data servers at which a file is to be repaired.
        """
        try:
            placement = await export.backend.loadPlacement(inode)
        except NoSuchObject:
            return []
        if placement is None or not placement.stale:
            return []
        return [
            uuid
            for uuid in placement.stale
            if uuid in self._wanted and self._servers.up(uuid)
        ]

    async def _repairAll(self, export: Any, handle: bytes) -> None:
        """
        Repair the stale mirrors of a file.
        """
        key = (export.id, handle)
        if key in self._busy:
            # Another name of it.
            return
        self._busy.add(key)
        try:
            inode = await export.backend.byHandle(handle)
            for uuid in await self._todo(export, inode):
                await self._repair(export, handle, uuid)
        except NoSuchObject:
            # Removed meanwhile.
            return
        finally:
            self._busy.discard(key)

    async def _repair(self, export: Any, handle: bytes, uuid: bytes) -> None:
        done = self.found[uuid]
        copied = 0

        async def told(count: int) -> None:
            nonlocal copied
            copied += count
            done.bytes += count
            done.current += count

        inode = await export.backend.byHandle(handle)
        try:
            if await self._repairOne(export, inode, uuid, told):
                done.repaired(inode.size, copied)
            else:
                done.current -= copied
        except BackendError as error:
            done.current -= copied
            done.failed += 1
            done.failures += 1
            problem = str(error) or type(error).__name__
            if problem == done.problem:
                # Said already: there may be many files, and it is tried again soon.
                return
            done.problem = problem
            _log.warn(
                "the mirror of fileid {fileid} at {uuid} is not repaired yet: {reason}",
                fileid=inode.fileid,
                uuid=uuid.hex(),
                reason=problem,
            )

    async def _repairOne(
        self, export: Any, inode: Inode, uuid: bytes, told: Any
    ) -> bool:
        """
        @return: it was stale.
        """
        server = self._server
        repair = self._data.repair
        copied = 0

        async def late(count: int) -> None:
            nonlocal copied
            copied += count
            await told(count)

        with pinned(server, export, inode) as file:
            ready = await repair.ahead(
                export, inode, uuid, told, self.pace, idleness(file)
            )
            # Now others wait for us: no time to rest.
            async with alone(server, file, REASON):
                stale = await repair.finish(export, inode, uuid, ready, late)
        await self.pace.spent(copied)
        return stale


def _failed(failure: Failure) -> None:
    """
    The edge of the reactor.
    """
    if not isinstance(failure.value, CancelledError):
        _log.failure("repairing mirrors failed", failure)
