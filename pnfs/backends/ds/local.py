# -*- test-case-name: tests.backends.ds.test_local -*-
"""
Data files in a folder of a local file system.

What the page cache can answer is answered in the reactor's thread; what waits for
a device (opening a cold file, reading cold pages, flushing, making and removing)
goes to a pool of threads.

Order
=====

All writes and all growth of files happen in the reactor's thread, each as one
step. So "grow if smaller" (L{LocalDataServerBackend.extend}) needs no lock, and a
write whose handle was found good in the same tick cannot come after a fence. Who
has to wait for a file to be opened goes on in the order of asking, so a fence
comes after the writes that were accepted before it.

Opening, making and removing one object exclude each other (L{local_objects}).

Unstable writes
===============

They are in the page cache: they survive the death of this process, not a power
cut. The verifier is new at every start, and whenever a flush fails: then pages may
be lost that had been acknowledged, and clients must write them again.
"""

from __future__ import annotations

import errno
import os
import time
from typing import Callable, Optional, Sequence, cast

import attrs
from twisted.internet.interfaces import IReactorFDSet
from zope.interface import implementer

from pnfs.backends.ds.local_copies import LocalCopies
from pnfs.backends.ds.local_copy import findCloneBlock
from pnfs.backends.ds.local_digests import LocalDigests
from pnfs.backends.ds.local_direct import LocalDirect
from pnfs.backends.ds.local_extents import systemFallocate
from pnfs.backends.ds.local_files import OpenFile
from pnfs.backends.ds.local_folder import DataFolder
from pnfs.backends.ds.local_holes import LocalHoles
from pnfs.backends.ds.local_objects import (
    LocalObjects,
    attributesOf,
    recordOf,
    settled,
)
from pnfs.backends.ds.local_pages import NOWAIT, cachestat, loadPages
from pnfs.backends.ds.local_record import ObjectRecord
from pnfs.backends.ds.local_threads import IExecutor, ThreadExecutor
from pnfs.backends.ds.settling import Settling
from pnfs.backends.ds.tracking import Tracking
from pnfs.backends.errors import TooBig
from pnfs.backends.oserrors import translate
from pnfs.interfaces import IDataServerBackend
from pnfs.values import (
    NOW,
    FileSlice,
    FSStatistics,
    ObjectAttributes,
    ReadResult,
    SetAttributes,
    WriteResult,
)

SMALL = 16 * 1024
"""
Reads up to this size are copied; larger ones are sent from the file. Of 16 reads of
64 KiB outstanding, the copies no longer fit the cache of the processor: 52 us CPU
each when sent from the file, 79 when copied.
"""

_AHEAD = 4 << 20
_LARGEST = (1 << 63) - 1
_EOF = ReadResult((), 0, True)


@implementer(IDataServerBackend)
class LocalDataServerBackend(
    LocalHoles, LocalCopies, LocalDirect, LocalDigests, Settling
):
    """
    The data server's storage on a local file system.
    """

    verifier: bytes = b"\0" * 8
    uuid: bytes = b""

    def __init__(
        self,
        folder: str,
        reactor: Optional[IReactorFDSet] = None,
        threads: int = 4,
        directories: int = 20,
        openFiles: int = 1024,
        executor: Optional[IExecutor] = None,
        entropy: Callable[[int], bytes] = os.urandom,
        wallNanoseconds: Callable[[], int] = time.time_ns,
    ) -> None:
        """
        @param folder: an existing folder.
        @param reactor: needed unless C{executor} is given.
        @param threads: how many calls may wait for the device at a time.
        @param directories: fan-out of a folder that is used for the first time.
        @param openFiles: descriptors kept open.
        @param executor: runs blocking calls instead of a pool of threads.
        """
        if executor is None:
            if reactor is None:
                raise ValueError("a reactor or an executor is needed")
            executor = ThreadExecutor(reactor, threads)
        self._executor = executor
        self._folder = DataFolder(folder, directories, entropy)
        self._entropy = entropy
        self._now = wallNanoseconds
        self._objects = LocalObjects(
            self._folder, executor, openFiles, self._verifierLost
        )
        self._open = self._objects.open
        self._entries = self._objects.files.entries
        self._cached = cachestat()
        self._nowait = NOWAIT
        self._inMemory = False
        self._fallocate = systemFallocate()
        self._buffer = memoryview(bytearray(SMALL))
        self._tracking = Tracking(entropy=entropy)

    # -- life ----------------------------------------------------------------------

    async def start(self) -> None:
        """
        Lock the folder. Called before any request, so it may block.
        """
        self._folder.open()
        self.uuid = self._folder.identity.uuid
        self.verifier = self._entropy(8)
        self.cloneBlock = findCloneBlock(self._folder.path)
        self._executor.start()
        self._objects.start()

    async def stop(self) -> None:
        """
        Flush every file, end the threads, unlock the folder.
        """
        await self._objects.stop()
        self._executor.stop()
        self._folder.close()

    def _verifierLost(self) -> None:
        """
        Clients must write again what is not yet committed.
        """
        self.verifier = self._entropy(8)
        self._tracking.forgetAll()

    # -- attributes --------------------------------------------------------------------

    def peek(self, name: bytes) -> Optional[ObjectAttributes]:
        """
        What is known of an open file.
        """
        entry = self._entries.get(name)
        return None if entry is None else entry.attributes

    async def getattr(self, name: bytes) -> ObjectAttributes:
        """
        Attributes as the file system has them now.
        """
        return self._refresh(await self._open(name))

    def _refresh(self, entry: OpenFile) -> ObjectAttributes:
        """
        Look again. The change attribute is the time of the last change, which
        moves in steps of some milliseconds: it grows by one within a step if
        anything was written in it.
        """
        known = entry.attributes
        status = os.fstat(entry.fd)
        change = max(status.st_ctime_ns, entry.change)
        if entry.written:
            entry.written = False
            change = max(change, entry.change + 1)
        entry.change = change
        entry.attributes = attributesOf(status, recordOf(known))
        entry.attributes.change = change
        return entry.attributes

    async def setattr(self, name: bytes, changes: SetAttributes) -> None:
        """
        Durable when it returns.
        """
        entry = await self._open(name)
        try:
            if changes.size is not None:
                await self._setSize(entry, changes.size)
                # It may have left the cache meanwhile.
                entry = await self._open(name)
            if changes.atime is not None or changes.mtime is not None:
                self._setTimes(entry, changes)
        except OSError as error:
            raise translate(error) from error
        known = entry.attributes
        self._objects.store(
            entry,
            ObjectRecord(
                known.uid if changes.uid is None else changes.uid,
                known.gid if changes.gid is None else changes.gid,
                known.mode if changes.mode is None else changes.mode & 0o7777,
                known.epoch,
            ),
        )
        await settled(entry.flush(True))

    async def _setSize(self, entry: OpenFile, size: int) -> None:
        """
        Growing is one step here, so that it cannot undo growth by a write;
        shrinking may take long (blocks are freed) and goes to the pool.
        """
        if size > _LARGEST:
            raise TooBig(f"{size} bytes")
        entry.written = True
        before = os.lseek(entry.fd, 0, os.SEEK_END)
        if size >= before:
            os.ftruncate(entry.fd, size)
        else:
            await settled(entry.run(os.ftruncate, size))
            if self._tracking.active:
                self._tracking.note(entry.name, size, before - size)
        entry.dirty = True

    def _setTimes(self, entry: OpenFile, changes: SetAttributes) -> None:
        """
        Both are set by one call, so the one not wanted is set to what it is.
        """
        status = os.fstat(entry.fd)
        atime = status.st_atime_ns if changes.atime is None else changes.atime
        mtime = status.st_mtime_ns if changes.mtime is None else changes.mtime
        os.utime(
            entry.fd,
            ns=(
                self._now() if atime == NOW else atime,
                self._now() if mtime == NOW else mtime,
            ),
        )
        entry.written = True

    async def extend(self, name: bytes, size: int) -> None:
        """
        Looking and growing are one step (see the module's text). Not flushed: the
        metadata server knows the size, and asks for it again after a crash; a
        flush here would wait for all that has been written to the file.
        """
        if size > _LARGEST:
            raise TooBig(f"{size} bytes")
        entry = await self._open(name)
        try:
            if os.lseek(entry.fd, 0, os.SEEK_END) < size:
                os.ftruncate(entry.fd, size)
                entry.dirty = entry.written = True
        except OSError as error:
            raise translate(error) from error

    async def fence(self, name: bytes, epoch: int) -> None:
        """
        From the moment the record is written no older handle is good; the flush
        comes after those of older writes.
        """
        entry = await self._open(name)
        if epoch > entry.attributes.epoch:
            self._objects.store(
                entry, attrs.evolve(recordOf(entry.attributes), epoch=epoch)
            )
        await settled(entry.flush(True))

    # -- names ---------------------------------------------------------------------------

    async def create(
        self, name: bytes, uid: int, gid: int, mode: int, epoch: int
    ) -> None:
        """
        Make an object; the fence epoch of an existing one is never lowered.
        """
        await self._objects.create(name, ObjectRecord(uid, gid, mode & 0o7777, epoch))

    async def remove(self, name: bytes) -> None:
        """
        Delete an object. Who still sends from it may finish.
        """
        try:
            await self._objects.remove(name)
        finally:
            self._tracking.forget(name)

    async def list(self, after: bytes, limit: int) -> Sequence[bytes]:
        """
        Reads all directories for each call: ask for many at a time.
        """
        names = await settled(self._executor.defer(self._folder.list, after, limit))
        return cast(Sequence[bytes], names)

    async def statfs(self) -> FSStatistics:
        """
        Space of the file system that the folder is on.
        """
        try:
            space = self._folder.statvfs()
        except OSError as error:
            raise translate(error) from error
        unit = space.f_frsize
        return FSStatistics(
            space.f_blocks * unit,
            space.f_bfree * unit,
            space.f_bavail * unit,
            space.f_files,
            space.f_ffree,
            space.f_favail,
            self.cloneBlock,
        )

    # -- reading ---------------------------------------------------------------------------

    def readNow(self, name: bytes, offset: int, count: int) -> Optional[ReadResult]:
        """
        Answer from the page cache.
        """
        entry = self._entries.get(name)
        if entry is None:
            return None
        self._entries.move_to_end(name)
        return self._readNow(entry, offset, count)

    def _readNow(
        self, entry: OpenFile, offset: int, count: int
    ) -> Optional[ReadResult]:
        """
        Up to L{SMALL} bytes are copied, more are left in the file.
        """
        fd = entry.fd
        try:
            # The size, at a quarter of the price of fstat.
            size = os.lseek(fd, 0, os.SEEK_END)
            left = size - offset
            if left <= 0:
                return _EOF
            eof = count >= left
            if eof:
                count = left
            if offset == entry.nextOffset and offset and not entry.sequential:
                entry.sequential = True
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
            entry.nextOffset = offset + count
            if count > SMALL:
                if not (self._inMemory or self._cached(fd, offset, count)):
                    return None
                return self._slice(entry, offset, count, eof)
            if self._inMemory:
                data = os.pread(fd, count, offset)
            elif not self._nowait:
                return None
            else:
                view = self._buffer[:count]
                done = os.preadv(fd, (view,), offset, self._nowait)
                if done != count:
                    return None
                data = bytes(view)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP and not self._inMemory:
                # tmpfs: it has no such reads, and needs none.
                self._inMemory = True
                return self._readNow(entry, offset, count)
            raise translate(error) from error
        if len(data) != count:
            return None
        return ReadResult((data,), count, eof)

    def _slice(self, entry: OpenFile, offset: int, count: int, eof: bool) -> ReadResult:
        """
        A reply that keeps the file open until it is sent.
        """
        entry.users += 1
        return ReadResult(
            (FileSlice(entry.fd, offset, count, entry.release),), count, eof
        )

    async def read(self, name: bytes, offset: int, count: int) -> ReadResult:
        """
        Answer from the page cache after a thread has filled it.
        """
        entry = await self._open(name)
        result = self._readNow(entry, offset, count)
        if result is not None:
            return result
        if count <= SMALL:
            size, data = await settled(entry.run(_readSmall, offset, count))
            return ReadResult((data,), len(data), offset + len(data) >= size)
        # Held until the reply has the file, as it may leave the cache meanwhile.
        entry.hold()
        try:
            ahead = _AHEAD if entry.sequential else 0
            await settled(entry.run(loadPages, offset, count, ahead))
            left = os.lseek(entry.fd, 0, os.SEEK_END) - offset
            if left <= 0:
                return _EOF
            return self._slice(entry, offset, min(count, left), count >= left)
        finally:
            entry.release()

    # -- writing -----------------------------------------------------------------------------

    def writeNow(
        self, name: bytes, offset: int, data: memoryview, stable: int
    ) -> Optional[WriteResult]:
        """
        Unstable writes to open files go to the page cache here and now.
        """
        if stable:
            return None
        entry = self._entries.get(name)
        if entry is None:
            return None
        self._entries.move_to_end(name)
        return WriteResult(self._put(entry, offset, data), 0, self.verifier)

    def _put(self, entry: OpenFile, offset: int, data: memoryview) -> int:
        """
        Write into the page cache.

        @return: bytes written: fewer than given if the storage ran out after some.
        """
        entry.dirty = entry.written = True
        if self._tracking.active:
            self._tracking.note(entry.name, offset, len(data))
        try:
            done = os.pwrite(entry.fd, data, offset)
        except OverflowError as error:
            raise TooBig(f"offset {offset}") from error
        except OSError as error:
            if error.errno == errno.EINVAL and offset + len(data) > _LARGEST:
                raise TooBig(f"offset {offset}") from error
            raise translate(error) from error
        while done < len(data):
            try:
                more = os.pwrite(entry.fd, data[done:], offset + done)
            except OSError:
                # What was written counts; the client meets the error when it
                # sends the rest.
                break
            if more == 0:
                break
            done += more
        return done

    async def write(
        self, name: bytes, offset: int, data: memoryview, stable: int
    ) -> WriteResult:
        """
        Write, and flush if that is asked for. Data and size are flushed; the
        times are not worth a journal commit, as those of users are on the MDS.
        """
        entry = await self._open(name)
        done = self._put(entry, offset, data)
        if stable:
            await settled(entry.flush())
        return WriteResult(done, stable, self.verifier)

    async def commit(self, name: bytes, offset: int, count: int) -> bytes:
        """
        Flush the whole file, whatever the range; nothing if it is clean.
        """
        entry = await self._open(name)
        if not entry.idle:
            await settled(entry.flush())
        return self.verifier


def _readSmall(fd: int, offset: int, count: int) -> tuple[int, bytes]:
    """
    Read, waiting for the device; for a thread.

    @return: the size of the file, looked at after the read, and the bytes.
    """
    data = os.pread(fd, count, offset)
    return os.fstat(fd).st_size, data
