# -*- test-case-name: tests.backends.ds.test_local -*-
"""
Objects as open files: opening, making and removing them in the pool.

These exclude each other per object: who does one has the turn, the others wait.
When a turn ends, the cache is right before the first of those goes on, and they
go on in the order of asking.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Optional

import attrs
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from pnfs.backends.ds.local_files import OpenFile, OpenFileCache, SyncedFile
from pnfs.backends.ds.local_folder import DataFolder
from pnfs.backends.ds.local_record import ObjectRecord
from pnfs.backends.ds.local_threads import IExecutor
from pnfs.backends.errors import BackendError, NoSuchObject
from pnfs.backends.oserrors import translate
from pnfs.values import ObjectAttributes


async def settled(deferred: Deferred[Any]) -> Any:
    """
    Wait for something of the operating system.

    @raise BackendError: instead of C{OSError}.
    """
    try:
        return await deferred
    except OSError as error:
        raise translate(error) from error


def attributesOf(status: os.stat_result, record: ObjectRecord) -> ObjectAttributes:
    """
    What the file system and the record say of an object.
    """
    return ObjectAttributes(
        size=status.st_size,
        used=status.st_blocks * 512,
        atime=status.st_atime_ns,
        mtime=status.st_mtime_ns,
        ctime=status.st_ctime_ns,
        change=status.st_ctime_ns,
        uid=record.uid,
        gid=record.gid,
        mode=record.mode,
        epoch=record.epoch,
    )


def recordOf(attributes: ObjectAttributes) -> ObjectRecord:
    """
    The part of an object's attributes that its record holds.
    """
    return ObjectRecord(
        attributes.uid, attributes.gid, attributes.mode, attributes.epoch
    )


class LocalObjects:
    """
    The objects of a folder.

    @ivar files: those that are open.
    """

    _log = Logger()

    def __init__(
        self,
        folder: DataFolder,
        executor: IExecutor,
        openFiles: int,
        verifierLost: Callable[[], None],
    ) -> None:
        """
        @param openFiles: descriptors kept open.
        @param verifierLost: called when unstable writes may have been lost.
        """
        self.files = OpenFileCache(openFiles)
        self._folder = folder
        self._executor = executor
        self._verifierLost = verifierLost
        self._directories: list[SyncedFile] = []
        self._turns: dict[bytes, list[Deferred[None]]] = {}

    def start(self) -> None:
        """
        Called with the folder open.
        """
        self._directories = [
            SyncedFile(fd, self._executor, self._flushFailed)
            for fd in self._folder.directoryFDs
        ]

    async def stop(self) -> None:
        """
        Flush and close every file.
        """
        flushes = [entry.flush() for entry in self.files if not entry.idle]
        await gatherResults(
            # A failure has been logged when it happened.
            [flush.addErrback(lambda failure: None) for flush in flushes]
        )
        for entry in self.files:
            self.files.discard(entry.name)

    def _flushFailed(self, file: SyncedFile, error: BaseException) -> None:
        """
        Acknowledged writes may be lost: let the clients see it.
        """
        self._verifierLost()
        self._log.error(
            "cannot flush {name} in {folder}: {error}; unstable writes may be"
            " lost, clients are told to send them again",
            name=file.name if isinstance(file, OpenFile) else b"a directory",
            folder=self._folder.path,
            error=error,
        )

    async def open(self, name: bytes) -> OpenFile:
        """
        A file, from the cache or opened in the pool.

        @raise NoSuchObject:
        """
        while True:
            entry = self.files.get(name)
            if entry is not None:
                return entry
            if name in self._turns:
                await self._join(name)
            else:
                await settled(self._take(name, self._folder.load, name))

    async def create(self, name: bytes, record: ObjectRecord) -> None:
        """
        Make an object, or give an existing one this record, durably. The epoch is
        raised, never lowered, so that a repeated call cannot undo a fence.
        """
        await self._turnFree(name)
        entry = self.files.get(name)
        if entry is None:
            await settled(self._take(name, self._folder.create, name, record))
        else:
            epoch = max(record.epoch, entry.attributes.epoch)
            self.store(entry, attrs.evolve(record, epoch=epoch))
            await settled(entry.flush(True))
        # Also for one that exists: it may do so only since a create whose flush
        # is still to come.
        await self._flushDirectory(name)

    async def remove(self, name: bytes) -> None:
        """
        Delete an object, durably. Who still sends from it may finish. The space of a
        large one is free a moment later: nobody waits for that.

        @raise NoSuchObject:
        """
        await self._turnFree(name)
        self.files.discard(name)
        try:
            await settled(self._take(name, self._folder.remove, name))
            await self._flushDirectory(name)
        finally:
            while self._folder.removed:
                closing = self._executor.defer(os.close, self._folder.removed.pop())
                closing.addErrback(self._notClosed)

    def _notClosed(self, failure: Failure) -> None:
        self._log.failure("closing a file that has been removed", failure)

    def store(self, entry: OpenFile, record: ObjectRecord) -> None:
        """
        Write owner, mode and epoch unless they are so already; the caller flushes.
        """
        if record == recordOf(entry.attributes):
            return
        try:
            self._folder.store(entry.fd, record)
        except OSError as error:
            raise translate(error) from error
        entry.written = True
        entry.attributes = attrs.evolve(
            entry.attributes,
            uid=record.uid,
            gid=record.gid,
            mode=record.mode,
            epoch=record.epoch,
        )

    async def _flushDirectory(self, name: bytes) -> None:
        """
        Make names durable, many with one flush.
        """
        directory = self._directories[self._folder.directoryOf(name)]
        await settled(directory.flush(True))

    # -- turns -----------------------------------------------------------------------

    def _join(self, name: bytes) -> Deferred[None]:
        """
        @return: fires when the object's turn has ended; fails with
            L{NoSuchObject} if there is no such object.
        """
        waiter: Deferred[None] = Deferred()
        self._turns[name].append(waiter)
        return waiter

    async def _turnFree(self, name: bytes) -> None:
        """
        Wait until nobody has the object's turn.
        """
        while name in self._turns:
            try:
                await self._join(name)
            except BackendError:
                # Their failure to open it is not ours.
                continue

    def _take(
        self, name: bytes, function: Callable[..., Any], *arguments: Any
    ) -> Deferred[None]:
        """
        Take the object's turn.

        @param function: called in the pool; gives descriptor and record of a file
            for the cache, or None.
        @return: fires with None, or fails as C{function} did.
        """
        assert name not in self._turns
        waiter: Deferred[None] = Deferred()
        self._turns[name] = [waiter]
        self._executor.defer(function, *arguments).addCallbacks(
            self._done,
            self._failed,
            callbackArgs=(name,),
            errbackArgs=(name,),
        )
        return waiter

    def _done(self, result: Optional[tuple[int, ObjectRecord]], name: bytes) -> None:
        """
        The turn has ended well.
        """
        if result is not None:
            fd, record = result
            attributes = attributesOf(os.fstat(fd), record)
            self.files.add(
                OpenFile(name, fd, self._executor, self._flushFailed, attributes)
            )
        for waiter in self._turns.pop(name):
            waiter.callback(None)

    def _failed(self, failure: Failure, name: bytes) -> None:
        """
        A missing object is missing for all; other errors are the taker's own.
        """
        error = failure.value
        assert error is not None
        waiters = self._turns.pop(name)
        waiters[0].errback(error)
        for waiter in waiters[1:]:
            if isinstance(error, NoSuchObject):
                waiter.errback(error)
            else:
                waiter.callback(None)
