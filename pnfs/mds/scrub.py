# -*- test-case-name: tests.mds.test_scrub -*-
"""
Scrubbing: are all bytes where they should be?

In the background, as slowly as wanted, everything is looked at:

  - C{list}: what data servers have is compared with the index of files; what belongs to
    nothing is looked at again at the end (L{pnfs.mds.orphans});
  - C{compare}: each file (L{pnfs.mds.inspection}), in the order of the names of their
    data files, so that it is known how far this is whatever happens to the index;
  - C{wait}, until a lease has passed, and the second look at what belongs to nothing;
  - C{name}: if anything is wrong with files that nobody has looked up since the start,
    a walk through the tree tells how they are called.

How far it is is stored every L{SAVE_SECONDS}: after a restart it goes on from there, a
few files being looked at twice.
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable, Optional

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from pnfs.backends.errors import BackendError, NoSuchObject
from pnfs.mds.datafiles import DataFiles
from pnfs.mds.dataservers import DataServers
from pnfs.mds.ending import Ending
from pnfs.mds.fileindex import FileIndex
from pnfs.mds.inspection import Inspection
from pnfs.mds.orphans import Orphans
from pnfs.mds.pace import Pace
from pnfs.mds.placed import placedFiles
from pnfs.mds.repairs import Repairs
from pnfs.mds.scrubstate import Problem, ScrubState, encode, load, store
from pnfs.mds.withdrawal import pause
from pnfs.nfs4.context import ServerContext

PAGE = 200
"""Files that the index is asked for at a time."""

SAVE_SECONDS = 10.0

RETRY_SECONDS = 60.0
"""After something has failed that a scrub cannot do without."""

_log = Logger()


class Scrub:
    """
    One at a time.

    @ivar state: of the one under way, or of the last one.
    @ivar interval: seconds from the beginning of one to that of the next; 0: only by
        command.
    @ivar limit: for those that begin by themselves: see L{ScrubState.limit}.
    """

    def __init__(
        self,
        server: ServerContext,
        servers: DataServers,
        data: DataFiles,
        repairs: Repairs,
        folder: str,
        inThread: Callable[..., Awaitable[Any]],
    ) -> None:
        """
        @param repairs: of what is to be repaired; it has an index of files.
        @param folder: the state folder.
        @param inThread: runs a blocking function elsewhere.
        """
        self.interval = 0.0
        self.limit = 0
        self.state: ScrubState = load(folder)
        self.ending = Ending()
        self._server = server
        self._servers = servers
        self._inspection = Inspection(server, servers, data)
        self._index: FileIndex = repairs.index
        self._repairs = repairs
        self._orphans = Orphans(servers, self._index, lambda: server.exports)
        self._folder = folder
        self._inThread = inThread
        self._running: Optional[Deferred[None]] = None
        self._timer: Optional[IDelayedCall] = None
        self._pace = Pace(server.clock, lambda: self.state.limit)
        self._saved = 0.0
        self._stopped = False

    @property
    def running(self) -> bool:
        """
        One is under way.
        """
        return self._running is not None

    # -- life --------------------------------------------------------------------

    def start(self) -> None:
        """
        The server has started: go on with what was under way.
        """
        if self.state.running:
            self._go()
        self._schedule()

    def stop(self) -> None:
        """
        The server ends.
        """
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._running is not None:
            self._running.cancel()

    def configure(self, interval: float, limit: int) -> None:
        """
        Set L{interval} and L{limit}.
        """
        self.limit = limit
        if interval != self.interval:
            self.interval = interval
            self._schedule()

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.interval and not self._stopped:
            passed = (self._server.wallTime() - self.state.began) / 1e9
            self._timer = self._server.clock.callLater(
                min(max(1.0, self.interval - passed), self.interval), self._due
            )

    def _due(self) -> None:
        self._timer = None
        if self.state.phase == "done" and not self.running:
            self.begin(ScrubState(limit=self.limit))
        self._timer = self._server.clock.callLater(self.interval, self._due)

    # -- orders ------------------------------------------------------------------

    def begin(self, state: ScrubState) -> None:
        """
        Begin a new one.

        @param state: says how.
        """
        assert not self.running
        self.state = state
        state.phase = "list"
        state.began = self._server.wallTime()
        self.resume()

    def resume(self) -> None:
        """
        Go on where the last one was paused.
        """
        self.state.running = True
        self._go()

    async def halt(self) -> None:
        """
        Do nothing more until L{resume}, not even after a restart.

        @raise BackendError: that cannot be made durable.
        """
        self.state.running = False
        if self._running is not None:
            self._running.cancel()
        await self._save()

    def _go(self) -> None:
        if self._running is None:
            self._running = Deferred.fromCoroutine(self._run())
            self._running.addErrback(_failed)
            self._running.addCallback(self._ended)

    def _ended(self, result: None) -> None:
        self._running = None
        self.ending.tell()

    # -- doing it ------------------------------------------------------------------

    async def _run(self) -> None:
        # Whoever has begun this waits for nothing.
        await pause(self._server.clock, 0)
        while self.state.phase != "done":
            try:
                await self._save()
                self._orphans.requireWhole()
                await self._phase()
            except BackendError as error:
                _log.warn("the scrub cannot go on yet: {error}", error=error)
                await pause(self._server.clock, RETRY_SECONDS)
        state = self.state
        state.running = False
        state.ended = self._server.wallTime()
        await self._save()
        _log.info(
            "scrub: {files} files, {bytes} bytes compared, {wrong} files wrong, {orphans} "
            "data files belong to nothing",
            files=state.files,
            bytes=state.bytes,
            wrong=state.wrong,
            orphans=len(state.orphans),
        )

    async def _phase(self) -> None:
        state = self.state
        if state.phase == "list":
            await self._list()
            state.phase = "compare"
        elif state.phase == "compare":
            await self._compare()
            state.phase = "wait"
        elif state.phase == "wait":
            await self._confirm()
            state.phase = "name"
        else:
            await self._name()
            state.phase = "done"

    async def _save(self) -> None:
        """
        @raise BackendError: it cannot be made durable.
        """
        self._saved = self._server.clock.seconds()
        try:
            await self._inThread(store, self._folder, encode(self.state))
        except OSError as error:
            raise BackendError(f"the state of the scrub: {error}") from error

    async def _list(self) -> None:
        state = self.state
        state.suspects.clear()
        state.silent.clear()
        self._orphans.foreign = 0
        state.listed = self._server.wallTime()
        for member in list(self._servers.members):
            if not member.uuid:
                continue
            try:
                state.suspects += await self._orphans.suspects(member.uuid)
            except BackendError as error:
                state.silent.append(member.record.name)
                _log.info(
                    "data server {name} does not say what it has: {error}",
                    name=member.record.name,
                    error=error,
                )
        state.foreign = self._orphans.foreign

    async def _compare(self) -> None:
        state = self.state
        clock = self._server.clock
        while found := await self._index.named(state.position, PAGE):
            for each in found:
                export = self._server.exports.byId.get(each.export)
                if export is not None:
                    await self._inspect(export, each.handle)
                state.position = each.name
                if clock.seconds() - self._saved > SAVE_SECONDS:
                    await self._save()
            await pause(clock, 0)

    async def _inspect(self, export: Any, handle: bytes) -> None:
        state = self.state
        try:
            inode = await export.backend.byHandle(handle)
            found = await self._inspection.inspect(
                export, inode, state.repair, self._told
            )
        except NoSuchObject:
            # Removed meanwhile.
            return
        except BackendError as error:
            state.files += 1
            state.busy += 1
            _log.debug("fileid is not looked at: {error}", error=error)
            return
        state.files += 1
        if found is None:
            return
        text, blamed = found
        for uuid in blamed:
            self._repairs.begin(uuid)
        state.problem(Problem(export.id, handle, text, bool(blamed)))
        _log.warn(
            "scrub: fileid {fileid} of {export}: {text}",
            fileid=inode.fileid,
            export=export.path,
            text=text,
        )

    async def _told(self, count: int) -> None:
        """
        So many bytes have been compared: wait as long as that may take.
        """
        self.state.bytes += count
        await self._pace.spent(count)

    async def _confirm(self) -> None:
        state = self.state
        clock = self._server.clock
        passed = (self._server.wallTime() - state.listed) / 1e9
        await pause(clock, max(0.0, self._server.leaseSeconds - max(0.0, passed)))
        while state.suspects:
            suspect = state.suspects[-1]
            try:
                if await self._orphans.confirmed(suspect, state.removeOrphans):
                    state.orphans.append(suspect)
            except BackendError as error:
                _log.info("a data file cannot be looked at: {error}", error=error)
            state.suspects.pop()
            if clock.seconds() - self._saved > SAVE_SECONDS:
                await self._save()

    async def _name(self) -> None:
        """
        Say how files are called with which something is wrong.
        """
        unknown = {(p.export, p.handle): p for p in self.state.problems if not p.path}
        for export in list(self._server.exports.byPath.values()):
            if not any(key[0] == export.id for key in unknown):
                continue
            async for inode, path in placedFiles(export, self._server.clock):
                problem = unknown.pop((export.id, inode.handle), None)
                if problem is not None:
                    problem.path = path
                    if not any(key[0] == export.id for key in unknown):
                        break


def _failed(failure: Failure) -> None:
    """
    The edge of the reactor.
    """
    if not isinstance(failure.value, CancelledError):
        _log.failure("the scrub has failed", failure)
