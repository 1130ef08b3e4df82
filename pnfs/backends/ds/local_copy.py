# -*- test-case-name: tests.backends.ds.test_local -*-
"""
Copying between data files of one folder, in the kernel where it can.

A copy is made in steps: a thread looks where the source has data; the reactor's
thread grows the destination, as all growth must happen there; a thread copies the
data and clears what holes of the source lie over. So a step never makes a file
longer by itself, and L{LocalDataServerBackend.extend} needs no lock.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import tempfile
from typing import Sequence

from pnfs.backends.ds.local_extents import Fallocate, punch, seekIn
from pnfs.backends.ds.local_files import OpenFile

STEP = 16 << 20
"""Bytes of data copied in one step."""

_FICLONERANGE = 0x4020940D
_cloneRange = struct.Struct("=qQQQ").pack
_EXTENTS = 256
_BLOCK = 1 << 20
_NOT_HERE = {
    errno.EXDEV,
    errno.EINVAL,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.EBADF,
    errno.ETXTBSY,
}

Extents = list[tuple[bool, int]]
"""Whether there is data, and for how many bytes; one after the other."""


def findExtents(fd: int, offset: int, count: int) -> Extents:
    """
    Where a file has data from an offset on; for a thread.

    @param count: 1 or more. Less is looked at if that is enough work for a step.
    """
    end = offset + count
    found: Extents = []
    data = 0
    while offset < end and data < STEP and len(found) < _EXTENTS:
        start = seekIn(fd, offset, False)
        start = end if start is None else min(start, end)
        if start > offset:
            found.append((False, start - offset))
            offset = start
            continue
        hole = seekIn(fd, offset, True)
        if hole is None:
            # It has just become shorter.
            continue
        stop = min(end, hole, offset + STEP - data)
        found.append((True, stop - offset))
        data += stop - offset
        offset = stop
    return found


def copyExtents(
    fd: int,
    fallocate: Fallocate,
    entry: OpenFile,
    sourceFD: int,
    sourceOffset: int,
    offset: int,
    extents: Sequence[tuple[bool, int]],
) -> None:
    """
    Copy data, clear the rest; for a thread. The destination is long enough.
    """
    try:
        for isData, length in extents:
            if isData:
                copied = _copyData(fd, sourceFD, sourceOffset, offset, length)
                _clear(fd, fallocate, offset + copied, length - copied)
            else:
                _clear(fd, fallocate, offset, length)
            sourceOffset += length
            offset += length
    finally:
        # Here, as a flush may have begun meanwhile, and nobody may wait any more.
        entry.dirty = entry.written = True


def _copyData(
    fd: int, sourceFD: int, sourceOffset: int, offset: int, length: int
) -> int:
    """
    @return: bytes copied: fewer only if the source ends there.
    """
    done = 0
    while done < length:
        try:
            count = os.copy_file_range(
                sourceFD, fd, length - done, sourceOffset + done, offset + done
            )
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
            count = _copyBlock(fd, sourceFD, sourceOffset + done, offset + done, length)
        if not count:
            break
        done += count
    return done


def _copyBlock(
    fd: int, sourceFD: int, sourceOffset: int, offset: int, length: int
) -> int:
    data = memoryview(os.pread(sourceFD, min(length, _BLOCK), sourceOffset))
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:], offset + done)
    return done


def _clear(fd: int, fallocate: Fallocate, offset: int, length: int) -> None:
    """
    Make a range zeros that lies within the file. Most often there is nothing in it.
    """
    if length:
        start = seekIn(fd, offset, False)
        if start is not None and start < offset + length:
            punch(fd, fallocate, start, offset + length - start)


def findCloneBlock(folder: str) -> int:
    """
    Try whether files in a folder can share bytes. @return: 0 if not.
    """
    block = os.statvfs(folder).f_frsize
    try:
        with tempfile.TemporaryFile(dir=folder) as one:
            with tempfile.TemporaryFile(dir=folder) as other:
                one.write(bytes(block))
                one.flush()
                _clone(other.fileno(), one.fileno(), 0, block, 0)
    except OSError:
        return 0
    return block


def _clone(fd: int, sourceFD: int, sourceOffset: int, count: int, offset: int) -> None:
    fcntl.ioctl(fd, _FICLONERANGE, _cloneRange(sourceFD, sourceOffset, count, offset))


def cloneRange(
    fd: int,
    fallocate: Fallocate,
    entry: OpenFile,
    sourceFD: int,
    sourceOffset: int,
    offset: int,
    count: int,
    block: int,
) -> None:
    """
    Share what there is of a range, clear the rest; for a thread. The destination is
    long enough. A part of a block can only be shared where both files end: in the
    middle of the destination it is copied.
    """
    try:
        there = max(0, min(count, os.fstat(sourceFD).st_size - sourceOffset))
        shared = there
        if os.fstat(fd).st_size > offset + there:
            shared -= there % block
        if shared:
            _clone(fd, sourceFD, sourceOffset, shared, offset)
        _copyData(fd, sourceFD, sourceOffset + shared, offset + shared, there - shared)
        _clear(fd, fallocate, offset + there, count - there)
    finally:
        entry.dirty = entry.written = True
