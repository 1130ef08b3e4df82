# -*- test-case-name: tests.backends.ds.test_local_holes -*-
"""
Holes of files, and space reserved for them: functions for the threads.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Callable, Optional, Sequence

_KEEP_SIZE = 1
_PUNCH_HOLE = 2
ZEROS_LIMIT = 256 << 20
"""Bytes that are written in place of a hole; a larger one cannot be made."""

_ZEROS = bytes(1 << 20)
_CANNOT = (errno.EOPNOTSUPP, errno.ENOSYS)
_ROUND = 1 << 20
"""Bytes: no less than a block of any file system."""

Fallocate = Callable[[int, int, int, int], None]


def _unsupported(fd: int, mode: int, offset: int, length: int) -> None:
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


def systemFallocate() -> Fallocate:
    """
    C{fallocate(2)}: (descriptor, mode, offset, length). C{os.posix_fallocate} knows
    no modes, and where the file system cannot reserve space it reads and writes
    bytes that somebody else may write meanwhile.
    """
    try:
        call = ctypes.CDLL(None, use_errno=True).fallocate64
    except (OSError, AttributeError):
        return _unsupported
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)

    def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
        while call(fd, mode, offset, length) != 0:
            number = ctypes.get_errno()
            if number != errno.EINTR:
                raise OSError(number, os.strerror(number))

    return fallocate


def seekIn(fd: int, offset: int, hole: bool) -> Optional[int]:
    """
    See L{pnfs.interfaces.IDataServerBackend.seek}. Where the file system knows no
    holes, the kernel says that all is data.
    """
    try:
        return os.lseek(fd, offset, os.SEEK_HOLE if hole else os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise


def dataIn(fd: int, offset: int, end: int) -> tuple[list[tuple[int, int]], int]:
    """
    @return: where data is between two offsets, as (start, end), and the size of
        the file.
    """
    size = os.fstat(fd).st_size
    end = min(end, size)
    found = []
    position: Optional[int] = offset
    while position is not None and position < end:
        position = seekIn(fd, position, False)
        if position is None or position >= end:
            break
        hole = seekIn(fd, position, True)
        stop = end if hole is None else min(hole, end)
        found.append((position, stop))
        position = hole
    return found, size


def reserve(fd: int, fallocate: Fallocate, ranges: Sequence[tuple[int, int]]) -> None:
    """
    Reserve space; the size stays.
    """
    for offset, length in ranges:
        fallocate(fd, _KEEP_SIZE, offset, length)


def punch(fd: int, fallocate: Fallocate, offset: int, length: int) -> None:
    """
    Make a hole; where there can be none, write zeros over the data, unless that is
    too much. Of a range that goes to the end of the file the last block goes too.
    """
    size = os.fstat(fd).st_size
    end = min(offset + length, size + -size % _ROUND)
    if offset >= end:
        return
    try:
        fallocate(fd, _KEEP_SIZE | _PUNCH_HOLE, offset, end - offset)
        return
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
    found, _ = dataIn(fd, offset, end)
    if sum(stop - start for start, stop in found) > ZEROS_LIMIT:
        _unsupported(fd, 0, offset, length)
    for start, end in found:
        while start < end:
            start += os.pwrite(fd, _ZEROS[: end - start], start)


_ADVICE = {
    0: "POSIX_FADV_NORMAL",
    1: "POSIX_FADV_SEQUENTIAL",
    3: "POSIX_FADV_RANDOM",
    4: "POSIX_FADV_WILLNEED",
    5: "POSIX_FADV_WILLNEED",
    6: "POSIX_FADV_DONTNEED",
    7: "POSIX_FADV_NOREUSE",
}
"""By number of C{IO_ADVISE_type4}."""


def advise(fd: int, offset: int, length: int, hints: int) -> int:
    """
    Tell the kernel. @return: the hints that it has been told.
    """
    told = 0
    for number, name in _ADVICE.items():
        if hints >> number & 1 and hasattr(os, name):
            os.posix_fadvise(fd, offset, length, getattr(os, name))
            told |= 1 << number
    return told
