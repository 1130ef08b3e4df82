# -*- test-case-name: tests.mds.test_fileindex -*-
"""
An index of files by data server, so that those on a lost data server, and those that
miss something on a returned one, are listed without walking through all files.

The truth are the placements, which lie with the files. The index may name a data
server too many for a moment, never one too few: whoever goes by it looks at the
placement.

Who survives what
=================

What a placement is going to be is noted in a file (L{fileindex_journal}) before it
is stored, and taken into the tables (L{fileindex_store}) some at a time, in a thread.
So C{kill -9} loses nothing. A power cut may: it is recognised by the number that the
kernel makes at each boot, kept in C{fileindex.state} with the exports that the index
is whole for. An export that is not listed there is walked through in the background
(L{fileindex_walk}); so it is when the index is new, has been deleted or is damaged.

In C{fileindex.state}: the boot's number, or C{clean} if all was brought to stable
storage at the end; and the numbers of the exports.
"""

from __future__ import annotations

import os
import sqlite3
from typing import Any, Awaitable, Callable, Collection, Optional, Sequence, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from pnfs.backends.errors import IOFailed
from pnfs.backends.metadata.recovery import writeDurably
from pnfs.mds.fileindex_journal import Journal
from pnfs.mds.fileindex_store import Found, Indexed, IndexStore
from pnfs.values import Inode, Placement

FLUSH_SECONDS = 1.0
"""After which what has been noted is taken into the tables."""

RETRY_SECONDS = 10.0
BATCH = 2000
"""Files that are taken in at a time, and at which that begins at once."""

_BOOT = "/proc/sys/kernel/random/boot_id"
_CLEAN = "clean"
_T = TypeVar("_T")
_log = Logger()


def bootId() -> str:
    """
    The number of this boot of the machine; empty if there is none.
    """
    try:
        with open(_BOOT, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def indexed(
    export: int, handle: bytes, placement: Placement, old: Optional[Placement] = None
) -> Indexed:
    """
    What the index says of a file.

    @param old: a placement that may still be the file's.
    """
    servers = placement.everywhere
    stale = placement.stale
    alone = _alone(placement)
    if old is not None:
        servers = tuple(dict.fromkeys(servers + old.everywhere))
        stale = tuple(dict.fromkeys(stale + old.stale))
        alone = tuple(dict.fromkeys(alone + _alone(old)))
    return Indexed(
        placement.name,
        export,
        handle,
        servers,
        stale,
        placement.next is not None or (old is not None and old.next is not None),
        alone,
    )


def _alone(placement: Placement) -> tuple[bytes, ...]:
    """
    The data servers that have something of a file that nobody else has.
    """
    return tuple(dict.fromkeys(c[0] for c in placement.live.columns if len(c) == 1))


class FileIndex:
    """
    The index.

    @ivar whole: ids of the exports of which every file is in it.
    @ivar walk: number of the walk that is under way, or was last.
    """

    def __init__(
        self,
        folder: str,
        clock: IReactorTime,
        inThread: Callable[..., Awaitable[Any]],
        boot: Callable[[], str] = bootId,
    ) -> None:
        """
        @param folder: the state folder.
        @param inThread: runs a blocking function elsewhere.
        """
        self.whole: set[int] = set()
        self.walk = 0
        self._path = os.path.join(folder, "fileindex.sqlite")
        self._statePath = os.path.join(folder, "fileindex.state")
        self._folder = folder
        self._clock = clock
        self._inThread = inThread
        self._boot = boot
        self._lock = DeferredLock()
        self._noted: dict[bytes, Indexed] = {}
        self._journal: Optional[Journal] = None
        self._store: Optional[IndexStore] = None
        self._timer: Optional[IDelayedCall] = None
        self._stopped = False
        self._touched: set[bytes] = set()
        self._walking = False

    # -- life --------------------------------------------------------------------

    def start(self) -> None:
        """
        See what an earlier process has left. Blocks, as it is called before any
        request; the tables are opened when they are needed.
        """
        boot = self._boot()
        self._journal = Journal(self._folder)
        try:
            with open(self._statePath, encoding="ascii") as file:
                first, *exports = file.read().split()
        except (OSError, ValueError):
            first, exports = "", []
        if first in (_CLEAN, boot) and first and os.path.exists(self._path):
            self.whole = {int(export, 16) for export in exports}
        self._writeState(boot)
        for record in self._journal.records():
            self._noted[record.name] = record
        if self._noted:
            self._later(FLUSH_SECONDS)

    def _writeState(self, first: str) -> None:
        lines = [first, *(f"{export:x}" for export in sorted(self.whole))]
        content = "".join(f"{line}\n" for line in lines)
        writeDurably(self._statePath, content.encode("ascii"))

    async def stop(self) -> None:
        """
        What is not in the tables yet stays noted for the next start.
        """
        if self._stopped or self._journal is None:
            return
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._lock.acquire()
        try:
            if self._store is not None:
                await self._inThread(self._store.close)
            self._journal.close(True)
            self._writeState(_CLEAN)
        except (sqlite3.Error, OSError) as error:
            _log.warn(
                "the index of files was not closed, and will be made anew after the "
                "next boot: {error}",
                error=error,
            )
        finally:
            self._store = None
            self._lock.release()

    # -- being told --------------------------------------------------------------

    def storing(
        self,
        export: Any,
        inode: Inode,
        placement: Placement,
        old: Optional[Placement],
    ) -> None:
        """
        A placement is about to be stored in the place of another one, or of none.
        """
        self._note(indexed(export.id, inode.handle, placement, old))

    def stored(self, export: Any, inode: Inode, placement: Placement) -> None:
        """
        It has been stored.
        """
        self._note(indexed(export.id, inode.handle, placement))

    def removed(self, export: Any, placement: Placement) -> None:
        """
        The file is gone, and its data files are.
        """
        self._note(Indexed(placement.name, export.id, b""))

    def _note(self, record: Indexed) -> None:
        journal = self._journal
        if journal is None or self._stopped:
            return
        before = self._noted.get(record.name)
        if before == record:
            return
        try:
            journal.append(record)
        except OSError as error:
            self.doubt(record.export, error)
        self._noted[record.name] = record
        if self._walking:
            self._touched.add(record.name)
        if len(self._noted) < BATCH:
            self._later(FLUSH_SECONDS)
        elif before is None and len(self._noted) == BATCH:
            self._later(0)

    def doubt(self, export: int, error: Exception) -> None:
        """
        The index may lack something from now on.
        """
        if export in self.whole:
            _log.warn(
                "the index of files lacks something, and will be made anew: {error}",
                error=error,
            )
            self.whole.discard(export)
            try:
                os.unlink(self._statePath)
            except FileNotFoundError:
                pass

    def complete(self, export: int) -> None:
        """
        Every file of an export is in it now.
        """
        self._walking = False
        self._touched.clear()
        self.whole.add(export)
        self._writeState(self._boot())

    # -- taking in ---------------------------------------------------------------

    def _later(self, seconds: float) -> None:
        if self._stopped:
            return
        if self._timer is None:
            self._timer = self._clock.callLater(seconds, self._due)
        elif not seconds:
            self._timer.reset(0)

    def _due(self) -> None:
        self._timer = None
        running = Deferred.fromCoroutine(self.flush())
        running.addErrback(self._failed)

    def _failed(self, failure: Any) -> None:
        failure.trap(IOFailed)
        _log.warn(
            "the index of files cannot be written, trying again: {error}",
            error=failure.value,
        )
        self._later(RETRY_SECONDS)

    async def flush(self) -> None:
        """
        Take into the tables what has been noted until now.

        @raise IOFailed: that does not work; it stays noted.
        """
        await self._do(lambda store: None)

    async def seen(self, records: Sequence[Indexed]) -> None:
        """
        A walk has come across some files. What has been noted since the last ones
        is newer.

        @raise IOFailed: they cannot be stored.
        """
        walk, touched = self.walk, self._touched
        await self._do(
            lambda store: store.apply(
                [record for record in records if record.name not in touched], walk
            )
        )
        touched.clear()

    async def _do(self, call: Callable[[IndexStore], _T]) -> _T:
        """
        Do something with the tables, once all that has been noted is in them. Who
        no longer waits for it does not stop it: a thread is at work.
        """
        waiter: Deferred[_T] = Deferred()
        Deferred.fromCoroutine(self._alone(call)).addCallbacks(
            waiter.callback, waiter.errback
        )
        return await waiter

    async def _alone(self, call: Callable[[IndexStore], _T]) -> _T:
        await self._lock.acquire()
        try:
            if self._stopped:
                raise IOFailed("the index of files is closed")
            if self._store is None:
                self._store = await self._inThread(self._open)
            while self._noted:
                await self._takeIn(self._store)
            return await self._inThread(call, self._store)  # type: ignore[no-any-return]
        except (sqlite3.Error, OSError) as error:
            raise IOFailed(f"the index of files: {error}") from error
        finally:
            self._lock.release()

    async def _takeIn(self, store: IndexStore) -> None:
        journal = self._journal
        assert journal is not None
        number = journal.turn()
        noted = list(self._noted.values())
        for first in range(0, len(noted), BATCH):
            some = noted[first : first + BATCH]
            await self._inThread(store.apply, some, self.walk)
        for record in noted:
            if self._noted.get(record.name) is record:
                del self._noted[record.name]
        await self._inThread(journal.discard, number)

    def _open(self) -> IndexStore:
        """
        Tables that cannot be used are made anew.
        """
        try:
            return IndexStore(self._path)
        except sqlite3.DatabaseError as error:
            _log.warn("the index of files is made anew: {error}", error=error)
            self.whole.clear()
            for ending in ("", "-wal", "-shm"):
                try:
                    os.unlink(self._path + ending)
                except FileNotFoundError:
                    pass
            self._writeState(self._boot())
            return IndexStore(self._path)

    # -- questions ---------------------------------------------------------------

    async def files(
        self, uuid: bytes, after: int = 0, limit: int = 1000, stale: bool = False
    ) -> list[Found]:
        """
        Files that may have a data file on a data server: up to C{limit}, behind the
        one of that C{position}.

        @param stale: only those that miss something there.
        @raise IOFailed: the index cannot be read.
        """
        return await self._do(lambda store: store.files(uuid, stale, after, limit))

    async def moving(self, after: int = 0, limit: int = 1000) -> list[Found]:
        """
        Files that are on their way to other data servers. As L{files}.
        """
        return await self._do(lambda store: store.moving(after, limit))

    async def counts(self) -> dict[bytes, tuple[int, int]]:
        """
        By data server (UUID): files, and how many of them miss something there.

        @raise IOFailed: the index cannot be read.
        """
        return await self._do(lambda store: store.counts())

    async def needing(self, uuid: bytes, without: Collection[bytes] = ()) -> int:
        """
        How many files would lack something without a data server: no other one has it,
        or what others have is stale.

        @param without: others that are not there either.
        @raise IOFailed: the index cannot be read.
        """
        return await self._do(lambda store: store.needing(uuid, without))

    async def unseen(self, export: int, after: int, limit: int) -> list[Found]:
        """
        Files of an export that the walk has not come across.
        """
        walk = self.walk
        return await self._do(lambda store: store.unseen(export, walk, after, limit))

    async def count(self) -> int:
        """
        How many files there are.

        @raise IOFailed: the index cannot be read.
        """
        return await self._do(lambda store: store.count())

    async def named(self, after: bytes, limit: int) -> list[Found]:
        """
        All files, in the order of the names of their data files, from behind one on.

        @raise IOFailed: the index cannot be read.
        """
        return await self._do(lambda store: store.named(after, limit))

    async def places(self, names: Sequence[bytes]) -> dict[bytes, frozenset[bytes]]:
        """
        Of some names of data files, which data servers may have them; those that no
        file has are left out.

        @raise IOFailed: the index cannot be read.
        """
        return await self._do(lambda store: store.places(names))

    async def beginWalk(self) -> None:
        """
        Walks are numbered, to tell what one has not come across.
        """
        last = await self._do(lambda store: store.lastWalk())
        self.walk = max(self.walk, last) + 1
        self._walking = True
