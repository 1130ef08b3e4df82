"""
What clients do all the time, and what they check on the way.

An actor lives as long as its client does; what it knows of its files outlives it.
"""

from __future__ import annotations

import random
from typing import Any, Iterator, Optional

from twisted.internet.defer import Deferred, DeferredList

from pnfs.backends.errors import BackendError, Unreachable
from pnfs.client.dataservers import sleep
from pnfs.client.errors import FAILURES
from pnfs.nfs4.slots import SessionLost
from pnfs.nfs4.status import NFSError, nfsstat4
from tests.simulation.content import CELL, Content, filled
from tests.simulation.mounting import OpenFile, RecoveringMount
from tests.simulation.trace import Trace

_AWAY = (
    nfsstat4.NFS4ERR_DELAY,
    nfsstat4.NFS4ERR_GRACE,
)
"""What a server may say that is not itself, when the client's patience ends."""


class Stage:
    """
    What all actors share.

    @ivar finishing: no more faults: everybody brings his work to an end.
    @ivar calm: nothing may fail any more.
    @ivar leisure: how slow everybody works.
    """

    def __init__(self, trace: Trace, chance: random.Random) -> None:
        self.trace = trace
        self.chance = chance
        self.finishing = False
        self.calm = False
        self.leisure = 1.0

    def excused(self, who: str, error: Exception, lost: bool = False) -> None:
        """
        An operation has failed: note whether it may.

        @param lost: the server has taken away what it was made under.
        """
        if isinstance(error, NFSError):
            fine = error.status in _AWAY or (
                lost and error.status == nfsstat4.NFS4ERR_IO
            )
        else:
            fine = isinstance(error, (Unreachable, SessionLost))
        if not fine or (self.calm and not lost):
            self.trace.violation("%s failed: %s", who, _text(error))
        else:
            self.trace.event("%s failed: %s", who, _text(error))


def _text(error: Exception) -> str:
    if isinstance(error, NFSError):
        return f"{type(error).__name__} {error}"
    return f"{type(error).__name__}({error})"


ERRORS = (*FAILURES, SessionLost)
"""What an operation of a client may raise."""


class Actor:
    """
    Something to do.

    @ivar name: unique over clients, the same for each incarnation of one.
    """

    pause = 1.0

    def __init__(self, stage: Stage, name: str) -> None:
        self.stage = stage
        self.name = name
        self.chance = stage.chance
        self.trace = stage.trace
        self.steps = 0

    async def run(self, mount: RecoveringMount) -> None:
        """
        Until the end.
        """
        await self.begin(mount)
        while not self.stage.finishing:
            longest = 2 * self.pause * self.stage.leisure
            await sleep(mount.clock, self.chance.uniform(0, longest))
            if self.stage.finishing:
                break
            self.steps += 1
            await self.step(mount)
        await self.end(mount)

    async def begin(self, mount: RecoveringMount) -> None:
        """
        Called once for each incarnation.
        """

    async def step(self, mount: RecoveringMount) -> None:
        """
        Called again and again.
        """
        raise NotImplementedError

    async def end(self, mount: RecoveringMount) -> None:
        """
        Called at the end, when everything is in order again.
        """

    def known(self) -> Iterator[tuple[str, Content, range]]:
        """
        Paths of files, what is known of them, and of which of their cells.
        """
        return iter(())

    def violation(self, text: str, *values: Any) -> None:
        """
        See L{Trace.violation}.
        """
        self.trace.violation(self.name + ": " + text, *values)

    def event(self, text: str, *values: Any) -> None:
        """
        See L{Trace.event}.
        """
        self.trace.event(self.name + " " + text, *values)

    async def openPatiently(
        self, mount: RecoveringMount, path: str, create: bool = True
    ) -> OpenFile:
        """
        Open a file, as often as it takes.
        """
        while True:
            try:
                return await mount.openFile(path, create)
            except ERRORS as error:
                self.stage.excused(f"{self.name} opening {path}", error)
            await sleep(mount.clock, 1.0)

    async def closing(self, mount: RecoveringMount, opened: OpenFile) -> bool:
        """
        Close a file. @return: what was written is stable.
        """
        try:
            await mount.closeFile(opened)
        except ERRORS as error:
            self.stage.excused(f"{self.name} closing", error, opened.lost)
            return False
        return True


class PrivateFile(Actor):
    """
    One file that nobody else uses: what is read is what was written.
    """

    pause = 0.4

    def __init__(self, stage: Stage, name: str) -> None:
        super().__init__(stage, name)
        self.path = f"/export/private-{name}"
        self.content = Content("p")
        self.opened: Optional[OpenFile] = None

    def known(self) -> Iterator[tuple[str, Content, range]]:
        yield self.path, self.content, range(1 << 20)

    async def begin(self, mount: RecoveringMount) -> None:
        self.content.giveUp()
        self.opened = await self.openPatiently(mount, self.path)

    async def step(self, mount: RecoveringMount) -> None:
        assert self.opened is not None
        chance = self.chance
        what = chance.choices(
            ("write", "flush", "read", "truncate", "size", "reopen"),
            (8, 4, 5, 1, 2, 1),
        )[0]
        try:
            await getattr(self, "_" + what)(mount, self.opened)
        except ERRORS as error:
            self.stage.excused(f"{self.name} {what}", error)
            self.content.giveUp()
            await self._reopen(mount, self.opened)

    async def _write(self, mount: RecoveringMount, opened: OpenFile) -> None:
        first = self.chance.randrange(300)
        count = self.chance.choice((1, 3, 20, 90))
        tag = self.content.newTag()
        self.event("writes %r to cells %d to %d", tag, first, first + count)
        self.content.writing(first, count, tag)
        await opened.file.write(first * CELL, filled(tag, count))

    async def _flush(self, mount: RecoveringMount, opened: OpenFile) -> None:
        await opened.file.flush()
        self.event("has flushed")
        self.content.stable()

    async def _read(self, mount: RecoveringMount, opened: OpenFile) -> None:
        first = self.chance.randrange(300)
        count = self.chance.choice((1, 5, 50, 400))
        data = bytes(await opened.file.read(first * CELL, count * CELL))
        self.event("has read %d bytes of cells %d to %d", len(data), first, count)
        self.check(first, count, data)

    def check(self, first: int, count: int, data: bytes) -> None:
        """
        See L{Content.problem}.
        """
        problem = self.content.problem(first, count, data)
        if problem:
            self.violation("%s", problem)

    async def _truncate(self, mount: RecoveringMount, opened: OpenFile) -> None:
        cells = self.chance.randrange(300)
        await self._flush(mount, opened)
        self.event("truncates to %d cells", cells)
        self.content.truncating(cells)
        await opened.file.truncate(cells * CELL)
        self.content.truncated(cells)

    async def _size(self, mount: RecoveringMount, opened: OpenFile) -> None:
        size = (await mount.attributesOf(opened.file.fh)).size
        content = self.content
        if not content.least <= size <= content.most:
            self.violation(
                "size %d, should be %d to %d", size, content.least, content.most
            )

    async def _reopen(self, mount: RecoveringMount, opened: OpenFile) -> None:
        if await self.closing(mount, opened):
            self.content.stable()
        else:
            self.content.giveUp()
        self.opened = await self.openPatiently(mount, self.path, False)
        self.event("has opened again")

    async def end(self, mount: RecoveringMount) -> None:
        assert self.opened is not None
        await self._reopen(mount, self.opened)
        await self._size(mount, self.opened)
        data = bytes(await self.opened.file.read(0, 400 * CELL))
        self.check(0, 400, data)
        await mount.closeFile(self.opened)


class Stream(Actor):
    """
    Appends to a file as Linux does: where the file ends, as the server has said or
    as it has been written since; several writes at a time, committed now and then.
    """

    pause = 0.2

    def __init__(self, stage: Stage, name: str) -> None:
        super().__init__(stage, name)
        self.path = f"/export/stream-{name}"
        self._number = 0
        self.content = Content("s")
        self._past: list[tuple[str, Content]] = []
        self.opened: Optional[OpenFile] = None
        self._size = 0
        self._changes = 0
        self._writing: dict[Deferred[Any], None] = {}
        self._dirty = 0
        self._failed = False

    def known(self) -> Iterator[tuple[str, Content, range]]:
        for path, content in (*self._past, (self.path, self.content)):
            yield path, content, range(1 << 20)

    async def begin(self, mount: RecoveringMount) -> None:
        self._writing.clear()
        self._dirty = 0
        self._failed = False
        if self.content.least != self.content.most:
            # Nobody knows what has become of the last writes: another file.
            self._number += 1
            self._past.append((self.path, self.content))
            self.path = f"/export/stream-{self.name}-{self._number}"
            self.content = Content("s")
        opened = self.opened = await self.openPatiently(mount, self.path)
        size = opened.file.attributes.size
        if not self.content.least <= size <= self.content.most:
            self.violation(
                "size %d at open, should be %d to %d",
                size,
                self.content.least,
                self.content.most,
            )
        self._size = self._end = size
        opened.onAsk = lambda: self._changes
        opened.onSize = self._told

    def _told(self, size: int, asked: int) -> None:
        """
        The server has said how large the file is.

        @param asked: C{_changes} when it was asked.
        """
        if asked != self._changes or size == self._size:
            return
        if size > self._size or not (self._writing or self._dirty):
            self.event("believes size %d, not %d", size, self._size)
            self._size = size

    async def step(self, mount: RecoveringMount) -> None:
        if self._failed:
            await self._again(mount)
        opened = self.opened
        assert opened is not None
        try:
            if self.chance.random() < 0.3:
                asked = self._changes
                found = await mount.attributesOf(opened.file.fh)
                self._told(found.size, asked)
            self._append(opened)
            if len(self._writing) > 4 or self.chance.random() < 0.1:
                await self._commit(opened)
        except ERRORS as error:
            self.stage.excused(f"{self.name} step", error)
            self._failed = True

    def _append(self, opened: OpenFile) -> None:
        count = self.chance.choice((1, 10, 60))
        tag = self.content.newTag()
        if self._size != self._end:
            self.violation(
                "appends at %d, but the file ends at %d", self._size, self._end
            )
        first = self._size // CELL
        self.event("appends %r at cell %d", tag, first)
        self.content.writing(first, count, tag)
        self._size += count * CELL
        self._end = self._size
        self._changes += 1
        self._dirty += 1
        running = Deferred.fromCoroutine(
            opened.file.write(first * CELL, filled(tag, count))
        )
        self._writing[running] = None

        def done(result: Any) -> None:
            self._writing.pop(running, None)
            self._changes += 1
            if result is not None:
                result.trap(*ERRORS)
                self.stage.excused(f"{self.name} append", result.value)
                self._failed = True

        running.addBoth(done)

    async def _commit(self, opened: OpenFile) -> None:
        """
        As fsync, or as the memory of the client being short.
        """
        while self._writing:
            await DeferredList(list(self._writing))
        whole = self.chance.random() < 0.5
        dirty = self._dirty
        if whole:
            await opened.file.flush()
        else:
            await opened.file.commit()
        if self._failed:
            return
        self._changes += 1
        self._dirty -= dirty
        self.event("has committed, LAYOUTCOMMIT %s", whole)
        if whole:
            self.content.stable()

    async def _again(self, mount: RecoveringMount) -> None:
        """
        After a failure: what was not stable is lost as far as the writer knows.
        """
        opened = self.opened
        assert opened is not None
        while self._writing:
            await DeferredList(list(self._writing))
        await self.closing(mount, opened)
        await self.begin(mount)

    async def end(self, mount: RecoveringMount) -> None:
        if self._failed:
            await self._again(mount)
        assert self.opened is not None
        while self._writing:
            await DeferredList(list(self._writing))
        await self.opened.file.flush()
        self.content.stable()
        data = bytes(await self.opened.file.read(0, self._end + CELL))
        problem = self.content.problem(0, 1 << 20, data)
        if problem or len(data) != self._end:
            self.violation("%d of %d bytes; %s", len(data), self._end, problem)
        await mount.closeFile(self.opened)
        size = (await mount.getattr(self.path)).size
        if size != self._end:
            self.violation("size %d when closed, should be %d", size, self._end)


__all__ = ["Actor", "BackendError", "PrivateFile", "Stage", "Stream"]
