# -*- test-case-name: tests.backends.ds.test_local -*-
"""
Is a range of a file in the page cache? And how to get it there.

C{cachestat(2)} (Linux 6.5) counts the cached pages of a range in one call of a
few microseconds. Older kernels are asked with reads that must not wait
(C{RWF_NOWAIT}) of one byte here and there. C{mincore} is no choice: it needs a
mapping for each question. Where a file is mapped to have pages read, nobody touches the
mapping: if the file has been truncated, that would be SIGBUS.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import threading
from typing import Callable, Optional

PAGE = mmap.PAGESIZE
NOWAIT: int = getattr(os, "RWF_NOWAIT", 0)
"""The flag of reads that must not wait; 0 where there is none."""

_CACHESTAT = 451
_POPULATE_READ = 22
_MAP_FAILED = ctypes.c_void_p(-1).value
_PROBE = 64 * 1024
_SCRATCH = 256 * 1024
_scratch = threading.local()


class _Range(ctypes.Structure):
    """
    C{struct cachestat_range}.
    """

    _fields_ = [("off", ctypes.c_uint64), ("len", ctypes.c_uint64)]


class _Counts(ctypes.Structure):
    """
    C{struct cachestat}.
    """

    _fields_ = [
        ("nr_cache", ctypes.c_uint64),
        ("nr_dirty", ctypes.c_uint64),
        ("nr_writeback", ctypes.c_uint64),
        ("nr_evicted", ctypes.c_uint64),
        ("nr_recently_evicted", ctypes.c_uint64),
    ]


def probeCached(fd: int, offset: int, count: int) -> bool:
    """
    Guess by reading single bytes without waiting, one each 64 KiB and the last.

    @param count: 1 or more; the range lies within the file.
    """
    if not NOWAIT:
        return False
    buffers = [bytearray(1)]
    last = offset + count - 1
    try:
        for position in range(offset, last, _PROBE):
            if os.preadv(fd, buffers, position, NOWAIT) != 1:
                return False
        return os.preadv(fd, buffers, last, NOWAIT) == 1
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return False
        raise


def cachestat() -> Callable[[int, int, int], bool]:
    """
    Choose the way this kernel offers.

    @return: a function of descriptor, offset and count (1 or more, within the
        file): is all of it in memory? Not for use by several threads at once.
    """
    try:
        # PyDLL keeps the GIL: the call never blocks, and giving it up costs more.
        syscall = ctypes.PyDLL(None, use_errno=True).syscall
    except (OSError, AttributeError):
        return probeCached
    syscall.restype = ctypes.c_long
    wanted, counts = _Range(), _Counts()
    # Long arguments: variadic C functions get no conversion of their own.
    arguments = (ctypes.byref(wanted), ctypes.byref(counts), ctypes.c_long(0))
    number = ctypes.c_long(_CACHESTAT)
    # A descriptor that cannot be: a kernel that knows the call says EBADF.
    wanted.len = PAGE
    if syscall(number, ctypes.c_long(-1), *arguments) != -1:
        return probeCached
    if ctypes.get_errno() != errno.EBADF:
        return probeCached

    def counted(fd: int, offset: int, count: int) -> bool:
        """
        All pages of the range are counted as cached.
        """
        wanted.off = offset
        wanted.len = count
        if syscall(number, ctypes.c_long(fd), *arguments) != 0:
            return probeCached(fd, offset, count)
        pages = (offset + count + PAGE - 1) // PAGE - offset // PAGE
        return bool(counts.nr_cache >= pages)

    return counted


def populating() -> Optional[Callable[[int, int, int], bool]]:
    """
    A way to have pages read that copies nothing, by C{madvise(MADV_POPULATE_READ)}
    (Linux 5.14) of a mapping that nobody looks at.

    @return: a function of descriptor, offset and count (1 or more) that waits for the
        device: is all of it in memory now? None if there is no such way.
    """
    try:
        libc = ctypes.CDLL(None)
        # Not the module's mmap: its madvise keeps the GIL while the device is busy.
        map_, advise, unmap = libc.mmap, libc.madvise, libc.munmap
    except (OSError, AttributeError):
        return None
    map_.restype = ctypes.c_void_p
    map_.argtypes = (
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_long,
    )
    advise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    unmap.argtypes = ctypes.c_void_p, ctypes.c_size_t

    def populate(fd: int, offset: int, count: int) -> bool:
        """
        What is behind the end of the file, or cannot be read, is refused: no signal.
        """
        begin = offset // PAGE * PAGE
        length = offset + count - begin
        address = map_(None, length, mmap.PROT_READ, mmap.MAP_SHARED, fd, begin)
        if address == _MAP_FAILED:
            return False
        try:
            return bool(advise(address, length, _POPULATE_READ) == 0)
        finally:
            unmap(address, length)

    return populate


_populate = populating()


def loadPages(fd: int, offset: int, count: int, ahead: int) -> None:
    """
    Read a range into the page cache, waiting for the device; for a thread.

    Where that cannot be had without a copy, the bytes go through a small buffer that
    stays in the processor's cache. (That costs 170 ms of CPU more for each GiB, of which
    most may have been in memory before.)

    @param ahead: bytes behind the range that the kernel may start to read.
    """
    end = offset + count
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, offset, count + ahead, os.POSIX_FADV_WILLNEED)
    if _populate is not None and _populate(fd, offset, count):
        return
    try:
        buffer = _scratch.buffer
    except AttributeError:
        buffer = _scratch.buffer = memoryview(bytearray(_SCRATCH))
    while offset < end:
        done = os.preadv(fd, [buffer[: min(end - offset, _SCRATCH)]], offset)
        if done == 0:
            return
        offset += done
