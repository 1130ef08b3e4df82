# -*- test-case-name: tests.mds.test_mover -*-
"""
Moving files, one after the other, as a L{Choice} says, while clients use them.

A file is moved in these steps; L{pnfs.mds.moving} does the work of each:

  - what is left of an earlier attempt is tidied up, unless it goes to where the file
    is to be;
  - where the file is to be is noted, and what is there is copied while clients read and
    write;
  - layouts are recalled, and no new ones given, and the file is fenced; a client that
    returns none loses it at the recall's deadline;
  - the rest is copied, and the file is elsewhere. Layouts given from then on say so;
  - where it was, what it had is taken away.

A file that is removed meanwhile leaves nothing behind, neither there nor here.
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable, Optional

import attrs

from pnfs.backends.errors import BackendError, NoSuchObject, Unreachable
from pnfs.mds.choices import Choice
from pnfs.mds.datafiles import DataFiles
from pnfs.mds.lacking import Told
from pnfs.mds.moving import sound
from pnfs.mds.pace import UNLIMITED, Pace
from pnfs.mds.placed import alone, idleness, pinned
from pnfs.mds.targets import Impossible, TooFew
from pnfs.namespace.filehandles import objectName
from pnfs.nfs4.context import ServerContext
from pnfs.state.files import FileState
from pnfs.values import Placement

REASON = "file moved"


class Stopped(BackendError):
    """
    Nobody wants it any more.
    """


class Mover:
    """
    Moves files.

    @ivar switched: how many have gone elsewhere.
    """

    def __init__(self, server: ServerContext, data: DataFiles) -> None:
        self._server = server
        self._data = data
        self._busy: set[tuple[int, bytes]] = set()
        self.switched = 0

    def busy(self, export: Any, handle: bytes) -> bool:
        """
        Is a file being moved?
        """
        return (export.id, handle) in self._busy

    async def move(
        self,
        choice: Choice,
        export: Any,
        handle: bytes,
        told: Told,
        check: Callable[[], None] = lambda: None,
        pace: Pace = UNLIMITED,
    ) -> bool:
        """
        Have a file be where it is to be.

        @param check: may it go on? Raises L{Stopped} if not.
        @param pace: how fast to copy while clients go on.
        @return: it has gone elsewhere, or something of it was left to be tidied up.
        @raise Impossible: it cannot be there.
        @raise BackendError: it does not work now. What was begun goes on when it is
            tried again.
        """

        async def work(file: FileState, seen: set[bytes]) -> bool:
            return await self._move(choice, file, seen, told, check, pace)

        return await self._held(export, handle, work)

    async def tidy(self, export: Any, handle: bytes) -> bool:
        """
        Tidy up what is left of an attempt that nobody goes on with.

        @return: there was something.
        @raise BackendError: it does not work now.
        """

        async def work(file: FileState, seen: set[bytes]) -> bool:
            placement = await self._load(file)
            if placement is None or placement.next is None:
                return False
            seen.update(placement.everywhere)
            await self._tidy(file)
            return True

        return await self._held(export, handle, work)

    async def _held(
        self,
        export: Any,
        handle: bytes,
        work: Callable[[FileState, set[bytes]], Awaitable[bool]],
    ) -> bool:
        """
        Do something with a file that nobody else moves.

        @param work: gets a set for the UUIDs of all data servers where it may leave
            something, before it does.
        """
        key = (export.id, handle)
        if key in self._busy:
            # Another name of it, or another job.
            return False
        self._busy.add(key)
        try:
            inode = await export.backend.byHandle(handle)
            if not inode.hasPlacement:
                return False
            with pinned(self._server, export, inode) as file:
                seen: set[bytes] = set()
                try:
                    return await work(file, seen)
                finally:
                    if seen:
                        await self._account(file, tuple(seen))
        except NoSuchObject:
            # Removed meanwhile.
            return False
        finally:
            self._busy.discard(key)

    async def _account(self, file: FileState, seen: tuple[bytes, ...]) -> None:
        """
        A file that has been removed meanwhile is on more data servers than whoever
        removed it knew.
        """
        backend = file.export.backend
        try:
            placement = await self._load(file)
        except NoSuchObject:
            name = objectName(file.export.id, file.inode.handle)
            gone = Placement("", 0, (seen,), name)
            await backend.enqueueRemoval(gone, False)
            self._server.data.forget(file.export, gone)
            return
        if file.unlinked and placement is not None and placement != file.placement:
            await backend.enqueueRemoval(placement, True)
            file.placement = placement

    async def _load(self, file: FileState) -> Optional[Placement]:
        found: Optional[Placement] = await file.export.backend.loadPlacement(file.inode)
        return found

    async def _tidy(self, file: FileState, fenced: bool = False) -> None:
        idle = idleness(file)
        await self._data.moving.tidy(file.export, file.inode, idle, fenced)

    async def _move(
        self,
        choice: Choice,
        file: FileState,
        seen: set[bytes],
        told: Told,
        check: Callable[[], None],
        pace: Pace,
    ) -> bool:
        export, inode, moving = file.export, file.inode, self._data.moving
        placement = await self._load(file)
        if placement is None or file.unlinked:
            return False
        old = placement.next
        try:
            here = attrs.evolve(placement, next=None)
            target = await choice.choose(export, inode, here)
        except TooFew as error:
            if choice.site.silent:
                # As after a restart: those that are there have not answered yet.
                raise Unreachable(f"{error}; or some do not answer") from None
            raise
        if old is not None:
            seen.update(placement.everywhere)
            if target is not None and await _right(choice, file, placement, old):
                target = old
            elif not await self._settled(file):
                if target is not None:
                    raise Unreachable("what an earlier move has left is still there")
                return False
            placement = await self._load(file)
        if target is None or placement is None:
            return old is not None
        check()
        seen.update(placement.dataServers, target.dataServers)
        made = await moving.begin(export, inode, placement, target)

        late = 0

        async def tell(count: int) -> None:
            nonlocal late
            check()
            late += count
            await told(count)

        ready = await moving.ahead(export, inode, made, tell, pace, idleness(file))
        check()
        late = 0
        # Now others wait for us: no time to rest.
        async with alone(self._server, file, REASON):
            await moving.finish(export, inode, ready, tell, check)
        self.switched += 1
        await self._settled(file, True)
        await pace.spent(late)
        return True

    async def _settled(self, file: FileState, fenced: bool = False) -> bool:
        """
        Tidy up. What cannot be reached now waits: the file is where it is to be.
        """
        try:
            await self._tidy(file, fenced)
        except Unreachable:
            return False
        return True


async def _right(
    choice: Choice, file: FileState, now: Placement, next: Placement
) -> bool:
    """
    Is what was begun still what is wanted?
    """
    if now.chunk and (next.chunk, len(next.columns)) != (now.chunk, len(now.columns)):
        # It has grown by a chunk.
        return False
    if not sound(next, now):
        # Mirrors that were to be left have become stale since.
        return False
    there = attrs.evolve(next, stale=(), epoch=now.epoch)
    try:
        return await choice.choose(file.export, file.inode, there) is None
    except Impossible:
        return False
