# -*- test-case-name: tests.backends.ds.test_local_direct -*-
"""
Reading and writing past the page cache (C{O_DIRECT}), in the pool: for what nobody
reads soon, such as the bytes a data server is filled with, and for what must not push
out of memory what clients use. A copy into the page cache costs four times as much of
the processor, and would be made in the reactor's thread.

Offset and length must be whole pages, and memory should be. Of the last page of a file
what is written does go through the page cache. Not every file system can do this.
"""

from __future__ import annotations

import errno
import mmap
import os
import threading
from typing import Any, Callable, Optional, Sequence

from twisted.logger import Logger

from pnfs.backends.ds.digests import UNIT, digestsOfPieces
from pnfs.backends.ds.local_extents import Fallocate
from pnfs.backends.ds.local_files import OpenFile
from pnfs.backends.ds.local_objects import settled
from pnfs.backends.ds.local_pages import cachestat
from pnfs.rpc.replies import addressOf
from pnfs.values import Stable, WriteResult

PAGE = mmap.PAGESIZE
WINDOW = 2 << 20
"""Bytes read from a device at a time: it is waited for each time."""

_CACHED = 1 << 20
"""Bytes read from the page cache at a time, if all of them are there."""

SAMPLED = 16 << 20
"""
Of so many bytes written one piece is read again. What was written is known to be what
came, and the device has said that it has it; but not that it lies where it belongs.
"""

REFUSED = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOENT, errno.EACCES, errno.EPERM}
"""The file system cannot; or C{/proc} is not there, or forbids it."""

_log = Logger()
_scratch = threading.local()


class LocalDirect:
    """
    A part of L{pnfs.backends.ds.local.LocalDataServerBackend}.
    """

    verifier: bytes
    _open: Callable[[bytes], Any]
    _changing: Callable[..., Any]
    _direct = True

    async def writePast(
        self, name: bytes, offset: int, data: memoryview
    ) -> Optional[tuple[WriteResult, Sequence[bytes]]]:
        """
        See L{pnfs.interfaces.IDataServerBackend.writePast}. Not behind the end: files
        grow in the reactor's thread only.
        """
        length = len(data)
        if not (self._direct and length) or offset % PAGE:
            return None
        entry: OpenFile = await self._open(name)
        left = os.lseek(entry.fd, 0, os.SEEK_END) - offset
        if left < length or (length % PAGE and left > length):
            return None
        written = await self._changing(entry, offset, length, writeDirect, data, offset)
        if written is None:
            _log.info("the data folder cannot be written past the page cache")
            self._direct = False
            return None
        done, digests = written
        return WriteResult(done, Stable.UNSTABLE, self.verifier), digests


def openDirect(fd: int, flags: int) -> Optional[int]:
    """
    Another descriptor of an open file, for whole pages past the cache.

    @return: to be closed by the caller; None: there is none.
    """
    direct = getattr(os, "O_DIRECT", 0)
    if not direct:
        return None
    try:
        return os.open(f"/proc/self/fd/{fd}", flags | direct | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        return None


def writeDirect(
    fd: int, _: Fallocate, entry: OpenFile, data: memoryview, offset: int
) -> Optional[tuple[int, Sequence[bytes]]]:
    """
    Write, and read one of the pieces again; for a thread.

    @return: bytes written, and the digests of their pieces; None: it cannot be done so.
    """
    direct = openDirect(fd, os.O_RDWR)
    if direct is None:
        return None
    try:
        whole = data[: len(data) // PAGE * PAGE]
        if not whole or data.readonly or addressOf(data) % PAGE:
            done = _pwriteCopied(direct, whole, offset)
        else:
            done = os.pwrite(direct, whole, offset)
        if done == len(whole) < len(data):
            done += os.pwrite(fd, data[done:], offset + done)
        if done < len(data):
            return done, ()
        digests = digestsOfPieces(data)
        sample = -offset % SAMPLED
        if sample < done:
            number = sample // UNIT
            start = number * UNIT
            size = min(UNIT, done - start)
            again = _window()[: -(-size // PAGE) * PAGE]
            if os.preadv(direct, (again,), offset + start) < size:
                return done, ()
            (digests[number],) = digestsOfPieces(again[:size])
        return done, digests
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        return None
    finally:
        os.close(direct)
        # Here, as a flush may have begun meanwhile, and nobody may wait any more.
        entry.dirty = entry.written = True


def _pwriteCopied(fd: int, data: memoryview, offset: int) -> int:
    """
    As C{os.pwrite}, of memory that the device cannot be given as it lies there: before
    the first reply of a session nobody knows where its data is going to be.
    """
    done = 0
    while done < len(data):
        part = data[done : done + WINDOW]
        window = _window()[: len(part)]
        window[:] = part
        count = os.pwrite(fd, window, offset + done)
        done += count
        if count < len(part):
            break
    return done


def _window() -> memoryview:
    """
    Whole pages of memory, of this thread.
    """
    try:
        buffer: memoryview = _scratch.buffer
    except AttributeError:
        buffer = _scratch.buffer = memoryview(mmap.mmap(-1, WINDOW))
    return buffer


class Window:
    """
    A file that is read forwards, for a thread, a window of it at a time: from the page
    cache what is there, and the rest past it. A few pages that are missing, as where
    memory is short, do not make all be read from the device.
    """

    def __init__(self, fd: int, direct: Optional[int]) -> None:
        """
        @param direct: of the same file (L{openDirect}); None: all is read through the
            page cache.
        """
        self._fd = fd
        self._direct = direct
        self._buffer = _window()
        self._start = self._end = 0

    def read(self, offset: int, count: int) -> memoryview:
        """
        Up to so many bytes, valid until the next call; none at the end of the file.

        @param offset: behind all that was read before.
        """
        if offset >= self._end:
            self._start = offset
            self._end = offset + self._fill(offset)
        at = offset - self._start
        part: memoryview = self._buffer[at : min(at + count, self._end - self._start)]
        return part

    def _fill(self, offset: int) -> int:
        left = min(_CACHED, os.lseek(self._fd, 0, os.SEEK_END) - offset)
        if left <= 0:
            return 0
        if not (
            self._direct is None or offset % PAGE or _isCached(self._fd, offset, left)
        ):
            try:
                return os.preadv(self._direct, (self._buffer,), offset)
            except OSError as error:
                if error.errno not in REFUSED:
                    raise
                self._direct = None
        return os.preadv(self._fd, (self._buffer[:left],), offset)


def _isCached(fd: int, offset: int, count: int) -> bool:
    """
    L{cachestat} of this thread.
    """
    try:
        ask = _scratch.isCached
    except AttributeError:
        ask = _scratch.isCached = cachestat()
    return bool(ask(fd, offset, count))
