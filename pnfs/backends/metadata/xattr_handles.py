# -*- test-case-name: tests.backends.metadata.test_handles -*-
"""
Identities of objects in a POSIX tree, and the way back from one to its object.

L{KernelHandles}: the kernel's own file handles (name_to_handle_at(2)): exact, no
storage, any object reached directly. Opening by one needs CAP_DAC_READ_SEARCH.
The handle is one byte of the kernel's handle type and the kernel's bytes.

L{IndexedHandles}: without that capability, a small SQLite database remembers
under which names each handle is found; where the file system gives no kernel
handles, it also gives the identities. Every commit survives C{kill -9}.

The calls go through C{ctypes.PyDLL}: none of them blocks, and letting the
interpreter lock go would cost more than the call.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sqlite3
import struct
from typing import Callable, ContextManager, Optional, Protocol, Sequence

from pnfs.backends.errors import IOFailed, NoSuchObject
from pnfs.backends.oserrors import translate

HANDLE_LIMIT = 40
"""Bytes of the longest handle (L{pnfs.values.Inode})."""

_AT_EMPTY_PATH = 0x1000
_STATX_BTIME = 0x800
_KERNEL_LIMIT = 128

_libc = ctypes.PyDLL(None, use_errno=True)
_buffer = ctypes.create_string_buffer(8 + _KERNEL_LIMIT)
_view = memoryview(_buffer).cast("B")
_length = ctypes.c_uint.from_buffer(_buffer)
_kind = ctypes.c_int.from_buffer(_buffer, 4)
_mount = ctypes.c_int()
_mountPointer = ctypes.byref(_mount)
_statx = ctypes.create_string_buffer(256)
_BTIME = struct.Struct("=qI")


def _failed() -> OSError:
    """
    The last failure of a call into the C library.
    """
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def kernelHandle(fd: int) -> bytes:
    """
    The kernel's handle of an open object (O_PATH is enough).

    @raise OSError: the file system has none.
    """
    _length.value = _KERNEL_LIMIT
    if _libc.name_to_handle_at(fd, b"", _buffer, _mountPointer, _AT_EMPTY_PATH):
        raise _failed()
    length = _length.value
    kind = _kind.value
    if length >= HANDLE_LIMIT or not 0 <= kind <= 255:
        raise OSError(95, "kernel file handles are too long here")
    return bytes((kind,)) + bytes(_view[8 : 8 + length])


def openKernelHandle(mountFD: int, handle: bytes, flags: int) -> int:
    """
    Open the object of a kernel handle.

    @raise OSError: among others ESTALE: it is gone.
    """
    length = len(handle) - 1
    _length.value = length
    _kind.value = handle[0]
    _view[8 : 8 + length] = handle[1:]
    fd: int = _libc.open_by_handle_at(mountFD, _buffer, flags)
    if fd < 0:
        raise _failed()
    return fd


def birthTime(fd: int, otherwise: int) -> int:
    """
    When an open object was created, in nanoseconds.

    @param otherwise: the answer where the file system does not know.
    """
    if _libc.statx(fd, b"", _AT_EMPTY_PATH, _STATX_BTIME, _statx):
        return otherwise
    if not struct.unpack_from("=I", _statx, 0)[0] & _STATX_BTIME:
        return otherwise
    seconds, nanoseconds = _BTIME.unpack_from(_statx, 80)
    return int(seconds * 1_000_000_000 + nanoseconds)


class Handles(Protocol):
    """
    What the tree needs of either kind.

    @ivar direct: whether L{open} works.
    """

    direct: bool

    def identify(self, fd: int, status: os.stat_result) -> bytes:
        """
        The handle of an open object. @raise OSError:
        """

    def open(self, handle: bytes, flags: int) -> int:
        """
        @raise NoSuchObject: @raise pnfs.backends.errors.BackendError:
        """

    def names(self, handle: bytes) -> Sequence[tuple[bytes, bytes]]:
        """
        (Directory's handle, name) pairs under which it was last known.
        """

    def named(self, handle: bytes, directory: bytes, name: bytes) -> None:
        """
        It is known under this name, and the name means nothing else.
        """

    def unnamed(self, directory: bytes, name: bytes) -> None:
        """
        The name is gone.
        """

    def gone(self, handle: bytes) -> None:
        """
        The object is gone.
        """

    def batch(self) -> ContextManager[object]:
        """
        Many calls at once, for speed.
        """

    def close(self) -> None:
        """
        Close what is open.
        """


class KernelHandles:
    """
    Kernel handles, opened by the kernel.

    @param rootFD: open for reading, in the file system; stays the caller's.
    """

    direct = True

    def __init__(self, rootFD: int) -> None:
        self._rootFD = rootFD

    def identify(self, fd: int, status: os.stat_result) -> bytes:
        """
        See L{Handles.identify}.
        """
        return kernelHandle(fd)

    def open(self, handle: bytes, flags: int) -> int:
        """
        See L{Handles.open}.
        """
        if not 2 <= len(handle) <= HANDLE_LIMIT:
            raise NoSuchObject("not a handle of ours")
        try:
            return openKernelHandle(self._rootFD, handle, flags | os.O_CLOEXEC)
        except OSError as error:
            translated = translate(error)
            if isinstance(translated, (IOFailed,)):
                raise translated from error
            raise NoSuchObject(str(translated)) from error

    def names(self, handle: bytes) -> Sequence[tuple[bytes, bytes]]:
        """
        See L{Handles.names}.
        """
        return ()

    def named(self, handle: bytes, directory: bytes, name: bytes) -> None:
        """
        Nothing to remember.
        """

    def unnamed(self, directory: bytes, name: bytes) -> None:
        """
        Nothing to forget.
        """

    def gone(self, handle: bytes) -> None:
        """
        Nothing to forget.
        """

    def batch(self) -> ContextManager[object]:
        """
        See L{Handles.batch}.
        """
        return contextlib.nullcontext()

    def close(self) -> None:
        """
        Nothing is open.
        """


class IndexedHandles:
    """
    Handles found through an index of names.

    @param path: the database.
    @param entropy: random bytes for identities.
    @param kernel: whether L{kernelHandle} works here.
    """

    direct = False

    def __init__(
        self, path: str, entropy: Callable[[int], bytes], kernel: bool
    ) -> None:
        self._entropy = entropy
        self._kernel = kernel
        self._database = sqlite3.connect(path, isolation_level=None)
        self._execute = self._database.execute
        self._execute("PRAGMA locking_mode=EXCLUSIVE")
        self._execute("PRAGMA journal_mode=WAL")
        self._execute("PRAGMA synchronous=NORMAL")
        self._execute(
            "CREATE TABLE IF NOT EXISTS names (directory BLOB, name BLOB, handle BLOB,"
            " PRIMARY KEY (directory, name)) WITHOUT ROWID"
        )
        self._execute("CREATE INDEX IF NOT EXISTS byHandle ON names (handle)")
        self._execute(
            "CREATE TABLE IF NOT EXISTS identities"
            " (inode INTEGER PRIMARY KEY, handle BLOB UNIQUE)"
        )

    def identify(self, fd: int, status: os.stat_result) -> bytes:
        """
        See L{Handles.identify}.
        """
        if self._kernel:
            return kernelHandle(fd)
        row = self._execute(
            "SELECT handle FROM identities WHERE inode = ?", (status.st_ino,)
        ).fetchone()
        if row is not None:
            return bytes(row[0])
        handle = self._entropy(16)
        self._execute("INSERT INTO identities VALUES (?, ?)", (status.st_ino, handle))
        return handle

    def open(self, handle: bytes, flags: int) -> int:
        """
        Not possible.
        """
        raise NoSuchObject("no name of this handle is known")

    def names(self, handle: bytes) -> Sequence[tuple[bytes, bytes]]:
        """
        See L{Handles.names}.
        """
        return self._execute(
            "SELECT directory, name FROM names WHERE handle = ?", (handle,)
        ).fetchall()

    def named(self, handle: bytes, directory: bytes, name: bytes) -> None:
        """
        See L{Handles.named}.
        """
        row = self._execute(
            "SELECT handle FROM names WHERE directory = ? AND name = ?",
            (directory, name),
        ).fetchone()
        if row is None or row[0] != handle:
            self._execute(
                "REPLACE INTO names VALUES (?, ?, ?)", (directory, name, handle)
            )

    def unnamed(self, directory: bytes, name: bytes) -> None:
        """
        See L{Handles.unnamed}.
        """
        self._execute(
            "DELETE FROM names WHERE directory = ? AND name = ?", (directory, name)
        )

    def gone(self, handle: bytes) -> None:
        """
        See L{Handles.gone}.
        """
        self._execute("DELETE FROM names WHERE handle = ?", (handle,))
        if not self._kernel:
            self._execute("DELETE FROM identities WHERE handle = ?", (handle,))

    @contextlib.contextmanager
    def _transaction(self):  # type: ignore[no-untyped-def]
        self._execute("BEGIN")
        try:
            yield
        finally:
            self._execute("COMMIT")

    def batch(self) -> ContextManager[object]:
        """
        See L{Handles.batch}.
        """
        transaction: ContextManager[object] = self._transaction()
        return transaction

    def close(self) -> None:
        """
        See L{Handles.close}.
        """
        self._database.close()


def kernelHandlesWork(fd: int) -> tuple[bool, Optional[str]]:
    """
    @param fd: open for reading on a directory of the file system.
    @return: whether kernel handles can be had, and, if they cannot be opened,
        why not.
    """
    try:
        handle = kernelHandle(fd)
    except OSError as error:
        return False, str(error)
    try:
        os.close(openKernelHandle(fd, handle, os.O_PATH | os.O_CLOEXEC))
    except OSError as error:
        return True, str(error)
    return True, None
