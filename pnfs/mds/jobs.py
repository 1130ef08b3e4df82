# -*- test-case-name: tests.mds.test_jobs -*-
"""
Jobs: what is being moved, in the background, until it is done or called off.

Each is a small file of JSON in the state folder, C{jobs/ID}, durable before the job
begins and removed when it has ended. So after a restart all go on; a file that
is right where it is by then is not moved again, and what was copied of the others
already does not differ any more. Files that an ended job has left half-way are
tidied up.

A job goes through its files, some at a time, again and again until nothing has failed
that may work later; what cannot be, such as a file that fits nowhere, is told.
"""

from __future__ import annotations

import json
import os
from typing import Any, AsyncIterator, Mapping, Optional

import attrs
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.logger import Logger
from twisted.python.failure import Failure

from pnfs.backends.errors import BackendError
from pnfs.backends.metadata.recovery import syncFolder, writeDurably
from pnfs.mds.choices import PAGE, Choice, File, Site
from pnfs.mds.ending import Ending
from pnfs.mds.kinds import KINDS
from pnfs.mds.mover import Mover, Stopped
from pnfs.mds.pace import UNLIMITED, Pace
from pnfs.mds.placed import placedFiles
from pnfs.mds.targets import Impossible
from pnfs.mds.withdrawal import pause

RETRY_SECONDS = 5.0
"""After a round in which something has failed."""

NOTE_SECONDS = 30.0
"""How often it is noted how far a job is."""

SWEEP_SECONDS = 10.0
"""After which it is looked again for what ended jobs have left."""

LIMIT = 64
"""Jobs at the same time."""

ENDED = 32
"""Ended jobs that are remembered."""

_log = Logger()


@attrs.define(eq=False)
class Job:
    """
    @ivar id: a number.
    @ivar limit: bytes to copy in a second; 0: as many as possible.
    @ivar state: C{running}, C{done}, C{cancelled} or C{failed}: done, but for some
        files that cannot be moved.
    @ivar total: files to be looked at, if known.
    @ivar files: moved; bytes: copied for that.
    @ivar failed: files in the last round that could not be moved; problem: why the
        last of them could not.
    @ivar pace: how fast to copy while clients go on.
    @ivar started: when, or when it went on after a restart; ended: when it did.
    """

    id: int
    choice: Choice
    limit: int = 0
    state: str = "running"
    total: Optional[int] = None
    files: int = 0
    bytes: int = 0
    failed: int = 0
    problem: str = ""
    started: float = 0.0
    ended: float = 0.0
    cancelled: bool = False
    pace: Pace = UNLIMITED
    noted: float = 0.0
    running: Optional[Deferred[None]] = None
    ending: Ending = attrs.field(factory=Ending, init=False)

    @property
    def active(self) -> bool:
        """
        It has not ended.
        """
        return self.state == "running"

    def check(self) -> None:
        """
        @raise Stopped: it has been called off.
        """
        if self.cancelled:
            raise Stopped("called off")


class Jobs:
    """
    All of them.

    @ivar jobs: by id; those that have ended as well, some of them.
    @ivar onEnd: called with each that has ended.
    """

    def __init__(self, folder: str, site: Site, mover: Mover) -> None:
        """
        @param folder: the state folder.
        """
        self._folder = os.path.join(folder, "jobs")
        self.site = site
        self.mover = mover
        self.clock = site.server.clock
        self.jobs: dict[int, Job] = {}
        self.onEnd: list[Any] = []
        self._last = 0
        self._stopped = False
        self._sweeping: Optional[Deferred[None]] = None

    # -- life --------------------------------------------------------------------

    def start(self) -> None:
        """
        Go on with what an earlier process has left.
        """
        if not os.path.isdir(self._folder):
            os.mkdir(self._folder, 0o700)
            syncFolder(os.path.dirname(self._folder))
        for name in sorted(os.listdir(self._folder)):
            if name.isdigit():
                self._resume(int(name))
            self._last = max(self._last, int(name) if name.isdigit() else 0)
        self._sweep()

    def _resume(self, number: int) -> None:
        path = self._path(number)
        try:
            with open(path, encoding="utf-8") as file:
                said = json.load(file)
            choice = KINDS[said["kind"]](self.site, said["args"])
            job = Job(number, choice, said["limit"])
            job.files, job.bytes = said["files"], said["bytes"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.error("{path}: is no job, and is left alone: {e}", path=path, e=error)
            return
        self._go(job)

    def stop(self) -> None:
        """
        Leave everything as it is, for the next start.
        """
        self._stopped = True
        for job in self.jobs.values():
            if job.running is not None:
                job.running.cancel()
        if self._sweeping is not None:
            self._sweeping.cancel()

    @property
    def active(self) -> list[Job]:
        """
        Those that have not ended.
        """
        return [job for job in self.jobs.values() if job.active]

    def find(self, kind: str, args: Mapping[str, Any]) -> Optional[Job]:
        """
        The very job, if it has not ended.
        """
        for job in self.active:
            if job.choice.kind == kind and job.choice.args == args:
                return job
        return None

    def begin(self, kind: str, args: Mapping[str, Any], limit: int = 0) -> Job:
        """
        Have one more; it is durable when this returns. The very job that is under way
        gets the limit.

        @raise BackendError: that is not possible.
        """
        found = self.find(kind, args)
        if found is not None:
            found.limit = limit
            return found
        if len(self.active) >= LIMIT:
            raise BackendError(
                f"there are {LIMIT} jobs already; 'pnfs jobs' lists them"
            )
        self._last += 1
        job = Job(self._last, KINDS[kind](self.site, args), limit)
        self._note(job)
        self._go(job)
        return job

    def cancel(self, job: Job) -> None:
        """
        Call one off: files that are half-way stay where they were.
        """
        if job.active:
            job.cancelled = True
            self._remove(job)

    # -- files of jobs -----------------------------------------------------------

    def _path(self, number: int) -> str:
        return os.path.join(self._folder, str(number))

    def _note(self, job: Job) -> None:
        said = {
            "kind": job.choice.kind,
            "args": job.choice.args,
            "limit": job.limit,
            "files": job.files,
            "bytes": job.bytes,
        }
        job.noted = self.clock.seconds()
        try:
            writeDurably(self._path(job.id), json.dumps(said).encode("utf-8"))
        except OSError as error:
            raise BackendError(f"{self._folder}: {error.strerror}") from error

    def _remove(self, job: Job) -> None:
        try:
            os.unlink(self._path(job.id))
            syncFolder(self._folder)
        except FileNotFoundError:
            # Called off before.
            pass
        except OSError as error:
            _log.error("{path}: {e}", path=self._path(job.id), e=error)

    # -- one job -----------------------------------------------------------------

    def _go(self, job: Job) -> None:
        ended = [each for each in self.jobs.values() if not each.active]
        for each in ended[: max(0, len(ended) - ENDED)]:
            del self.jobs[each.id]
        self.jobs[job.id] = job
        job.started = self.clock.seconds()
        job.pace = Pace(self.clock, lambda: job.limit)
        job.running = Deferred.fromCoroutine(self._run(job))
        job.running.addErrback(self._broken, job)
        job.running.addCallback(self._ended, job)

    def _broken(self, failure: Failure, job: Job) -> None:
        """
        The edge of the reactor.
        """
        if isinstance(failure.value, CancelledError):
            return
        job.failed += 1
        job.problem = str(failure.value) or type(failure.value).__name__
        if not isinstance(failure.value, BackendError):
            _log.failure("job {id} has failed", failure, id=job.id)

    def _ended(self, result: None, job: Job) -> None:
        job.running = None
        if self._stopped:
            return
        job.ended = self.clock.seconds()
        job.state = "cancelled" if job.cancelled else "failed" if job.failed else "done"
        self._remove(job)
        _log.info(
            "job {id} ({what}) is {state}: {files} files moved, {bytes} bytes copied"
            "{problem}",
            id=job.id,
            what=job.choice.describe(),
            state=job.state,
            files=job.files,
            bytes=job.bytes,
            problem=f"; {job.problem}" if job.failed else "",
        )
        for listener in self.onEnd:
            listener(job)
        job.ending.tell()
        self._sweep()

    async def _run(self, job: Job) -> None:
        await pause(self.clock, 0)
        while True:
            try:
                left = await job.choice.count()
            except BackendError:
                left = None
            job.total = None if left is None else job.files + left
            before = job.files
            job.failed = 0
            again = await self._round(job)
            if job.cancelled:
                return
            if again:
                await pause(self.clock, RETRY_SECONDS)
            elif not (job.choice.repeats and job.files > before):
                break

    async def _round(self, job: Job) -> bool:
        """
        Go through all files once.

        @return: something has failed that may work later.
        """
        files = job.pace.files
        places = DeferredSemaphore(files)
        running: set[Deferred[bool]] = set()
        again = False

        def over(result: Any, mine: Deferred[bool]) -> None:
            nonlocal again
            running.discard(mine)
            if isinstance(result, Failure):
                if not isinstance(result.value, CancelledError):
                    _log.failure("moving a file failed", result)
                    again = True
            elif result:
                again = True
            # Whoever waits for this goes on at once.
            places.release()

        try:
            async for export, handle in job.choice.files():
                if job.cancelled:
                    break
                await places.acquire()
                mine = Deferred.fromCoroutine(self._one(job, export, handle))
                running.add(mine)
                mine.addBoth(over, mine)
            for _ in range(files):
                await places.acquire()
        except CancelledError:
            for each in list(running):
                each.cancel()
            raise
        return again

    async def _one(self, job: Job, export: Any, handle: bytes) -> bool:
        """
        @return: it has failed, and may work later.
        """

        async def told(count: int) -> None:
            job.bytes += count

        try:
            if await self.mover.move(
                job.choice, export, handle, told, job.check, job.pace
            ):
                job.files += 1
            elif self.mover.busy(export, handle):
                return True
            if self.clock.seconds() - job.noted >= NOTE_SECONDS and job.active:
                self._noteSoon(job)
        except Stopped:
            # Nothing half done is left behind.
            return await self._undo(export, handle)
        except Impossible as error:
            job.failed += 1
            job.problem = str(error)
        except BackendError as error:
            job.failed += 1
            job.problem = str(error) or type(error).__name__
            return True
        return False

    async def _undo(self, export: Any, handle: bytes) -> bool:
        try:
            await self.mover.tidy(export, handle)
        except BackendError:
            # It is tried again when there are no jobs.
            return True
        return False

    def _noteSoon(self, job: Job) -> None:
        if not job.cancelled:
            try:
                self._note(job)
            except BackendError as error:
                _log.warn("job {id}: {e}", id=job.id, e=error)

    # -- what is left --------------------------------------------------------------

    def _sweep(self) -> None:
        """
        Tidy up what no job goes on with.
        """
        if self._sweeping is None and not self._stopped:
            self._sweeping = Deferred.fromCoroutine(self._tidyAll())
            self._sweeping.addErrback(self._unswept)
            self._sweeping.addCallback(self._swept)

    def _unswept(self, failure: Failure) -> None:
        if not isinstance(failure.value, CancelledError):
            _log.failure("tidying up failed", failure)

    def _swept(self, result: None) -> None:
        self._sweeping = None

    async def _tidyAll(self) -> None:
        while True:
            await pause(self.clock, 1.0)
            if not self.active:
                left = 0
                async for export, handle in self._moving():
                    if self.active:
                        break
                    try:
                        await self.mover.tidy(export, handle)
                    except BackendError:
                        left += 1
                if not left and self.site.known and not self.active:
                    return
            await pause(self.clock, SWEEP_SECONDS)

    async def _moving(self) -> AsyncIterator[File]:
        """
        Files that are on their way elsewhere, as far as that is known.
        """
        exports = self.site.server.exports
        index = self.site.index
        if index is None:
            for export in list(exports.byPath.values()):
                async for inode, _ in placedFiles(export, self.clock):
                    yield export, inode.handle
            return
        after = 0
        while found := await index.moving(after, PAGE):
            for each in found:
                after = each.position
                export = exports.byId.get(each.export)
                if export is not None:
                    yield export, each.handle
