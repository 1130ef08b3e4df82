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
import os
from typing import Any, Sequence

from pnfs.backends.ds.local_extents import Fallocate, punch, seekIn
from pnfs.backends.ds.local_files import OpenFile
from pnfs.backends.ds.local_objects import settled
from pnfs.backends.errors import InvalidArgument, TooBig
from pnfs.backends.oserrors import translate

STEP = 16 << 20
"""Bytes of data copied in one step."""

_EXTENTS = 256
_BLOCK = 1 << 20
_LARGEST = (1 << 63) - 1
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


async def copyStep(
    fallocate: Fallocate,
    entry: OpenFile,
    offset: int,
    source: OpenFile,
    sourceOffset: int,
    count: int,
) -> int:
    """
    One step of a copy between open files, which stay open as long.

    @return: bytes done from the start of the range.
    @raise InvalidArgument: the ranges overlap in one file.
    @raise TooBig: no file can be that long.
    """
    if max(offset, sourceOffset) + count > _LARGEST:
        raise TooBig(f"offset {offset}")
    if entry is source and abs(offset - sourceOffset) < count:
        raise InvalidArgument("the ranges overlap")
    if not count:
        return 0
    entry.hold()
    source.hold()
    try:
        extents = await settled(source.run(findExtents, sourceOffset, count))
        done: int = sum(length for _, length in extents)
        _grow(entry, offset + done)
        await settled(
            entry.run(
                copyExtents, fallocate, entry, source.fd, sourceOffset, offset, extents
            )
        )
        return done
    finally:
        source.release()
        entry.release()


def _grow(entry: Any, size: int) -> None:
    """
    Looking and growing are one step.
    """
    try:
        if os.lseek(entry.fd, 0, os.SEEK_END) < size:
            os.ftruncate(entry.fd, size)
            entry.dirty = entry.written = True
    except OSError as error:
        raise translate(error) from error
