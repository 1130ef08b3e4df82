# -*- test-case-name: tests.backends.ds.test_local -*-
"""
Open data files: shared flushes, and a cache with a bound.

Everything here runs in the reactor's thread; only the flush itself is in the
pool.

A flush and its waiters
=======================

One flush at a time runs per file. Who asks while it runs waits for the next one,
which starts when this one has ended and serves all of them: a flush counts only
for what was written before it started. If it fails, everybody who waits fails,
also those of the next one: the kernel reports a lost page once and forgets it, so
a later flush that succeeds proves nothing about writes made before.

What may be closed
==================

A descriptor is closed when its file has left the cache and nobody holds it:
replies not yet sent from it (L{FileSlice}) and running flushes are holders. A
dirty file leaves the cache only after a flush, so that "clean" can be said from
memory: a file not in the cache has nothing that needs a COMMIT.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from itertools import islice
from typing import Any, Callable, Iterator, Optional

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from pnfs.backends.ds.local_threads import IExecutor
from pnfs.values import ObjectAttributes

_LOOK_AT = 32
"""How many of the oldest files are looked at to find one that can be closed."""


class SyncedFile:
    """
    A descriptor with holders and shared flushes; by itself a directory.

    @ivar fd: the descriptor.
    @ivar dirty: something was written since the last flush started.
    @ivar users: holders; see L{hold}.
    """

    __slots__ = (
        "fd",
        "dirty",
        "users",
        "_retired",
        "_executor",
        "_failed",
        "_waiting",
        "_running",
        "_full",
    )

    def __init__(
        self,
        fd: int,
        executor: IExecutor,
        failed: Callable[[SyncedFile, BaseException], None],
    ) -> None:
        """
        @param failed: told of each flush that failed, before its waiters are.
        """
        self.fd = fd
        self.dirty = False
        self.users = 0
        self._retired = False
        self._executor = executor
        self._failed = failed
        self._waiting: list[Deferred[None]] = []
        self._running = False
        self._full = False

    @property
    def idle(self) -> bool:
        """
        No flush is running, and nothing needs one.
        """
        return not (self.dirty or self._running)

    def hold(self) -> None:
        """
        Keep the descriptor open until L{release}.
        """
        self.users += 1

    def release(self) -> None:
        """
        Undo one L{hold}.
        """
        self.users -= 1
        if self._retired and self.users == 0:
            os.close(self.fd)

    def retire(self) -> None:
        """
        Close as soon as nobody holds it. Called once.
        """
        self._retired = True
        if self.users == 0:
            os.close(self.fd)

    def run(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """
        Call C{function(fd, *arguments)} in the pool and keep the descriptor open
        until it has returned, even if nobody waits for it any more.
        """
        self.users += 1
        # Not the pool's own Deferred: to cancel this one must not release.
        waiter: Deferred[Any] = Deferred()

        def done(result: Any) -> None:
            self.release()
            if isinstance(result, Failure):
                waiter.errback(result)
            else:
                waiter.callback(result)

        self._executor.defer(function, self.fd, *arguments).addBoth(done)
        return waiter

    def flush(self, full: bool = False) -> Deferred[None]:
        """
        Bring to stable storage what has been written before this call.

        @param full: also owner, mode, times and extended attributes.
        @return: fires with None, or fails with C{OSError}.
        """
        waiter: Deferred[None] = Deferred()
        self._waiting.append(waiter)
        self._full = self._full or full
        if not self._running:
            self._start()
        return waiter

    def _start(self) -> None:
        """
        Flush for those who wait now.
        """
        waiters, self._waiting = self._waiting, []
        call = os.fsync if self._full else os.fdatasync
        self._full = False
        self._running = True
        self.dirty = False
        self.users += 1
        self._executor.defer(call, self.fd).addCallbacks(
            self._flushed,
            self._notFlushed,
            callbackArgs=(waiters,),
            errbackArgs=(waiters,),
        )

    def _flushed(self, _result: None, waiters: list[Deferred[None]]) -> None:
        """
        It worked: go on with those who came meanwhile.
        """
        self._running = False
        if self._waiting:
            self._start()
        self.release()
        for waiter in waiters:
            waiter.callback(None)

    def _notFlushed(self, failure: Failure, waiters: list[Deferred[None]]) -> None:
        """
        It failed: see the module's text.
        """
        self._running = False
        waiters = waiters + self._waiting
        self._waiting = []
        self._full = False
        self.release()
        assert failure.value is not None
        self._failed(self, failure.value)
        for waiter in waiters:
            waiter.errback(failure.value)


class OpenFile(SyncedFile):
    """
    A data file in the cache.

    @ivar name: the object's name.
    @ivar attributes: as of the last look; owner, mode and epoch are always right.
    @ivar change: the change attribute told last.
    @ivar written: something has changed since.
    @ivar nextOffset: where a sequential reader would go on.
    @ivar sequential: the kernel has been told that it is read so.
    """

    __slots__ = ("name", "attributes", "change", "written", "nextOffset", "sequential")

    def __init__(
        self,
        name: bytes,
        fd: int,
        executor: IExecutor,
        failed: Callable[[SyncedFile, BaseException], None],
        attributes: ObjectAttributes,
    ) -> None:
        super().__init__(fd, executor, failed)
        self.name = name
        self.attributes = attributes
        self.change = attributes.change
        self.written = False
        self.nextOffset = 0
        self.sequential = False


class OpenFileCache:
    """
    Open files by name; beyond the bound the least recently used are closed.

    The bound is exceeded only by files that are held or dirty.

    @ivar entries: name to file, least recently used first. Callers on the hot
        path look here themselves and then call C{entries.move_to_end}.
    """

    def __init__(self, limit: int) -> None:
        self.entries: OrderedDict[bytes, OpenFile] = OrderedDict()
        self._limit = limit

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[OpenFile]:
        return iter(list(self.entries.values()))

    def get(self, name: bytes) -> Optional[OpenFile]:
        """
        A file, which becomes the most recently used.
        """
        entry = self.entries.get(name)
        if entry is not None:
            self.entries.move_to_end(name)
        return entry

    def add(self, entry: OpenFile) -> None:
        """
        Put a file in whose name is not there.
        """
        self.entries[entry.name] = entry
        if len(self.entries) > self._limit:
            self._trim()

    def discard(self, name: bytes) -> None:
        """
        Let a file go, whatever was written to it.
        """
        entry = self.entries.pop(name, None)
        if entry is not None:
            entry.retire()

    def _trim(self, _result: Any = None) -> None:
        """
        Close what is over the bound; a dirty file is flushed first.
        """
        excess = len(self.entries) - self._limit
        if excess <= 0:
            return
        newest = next(reversed(self.entries))
        for entry in list(islice(self.entries.values(), excess + _LOOK_AT)):
            if entry.name == newest or excess <= 0:
                return
            if entry.dirty and entry.users == 0:
                # A failure has been told to the owner of the file already.
                entry.flush().addCallbacks(self._trim, lambda failure: None)
                excess -= 1
            elif entry.idle and entry.users == 0:
                self.discard(entry.name)
                excess -= 1
