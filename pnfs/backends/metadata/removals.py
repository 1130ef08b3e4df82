# -*- test-case-name: tests.backends.metadata.test_removals -*-
"""
The queue of data files to be deleted.

L{FileRemovals} is a log: an event is appended and flushed before its method
returns; callers that wait at the same time share a flush. Each event is a head
(kind, bytes of the body, CRC-32 of the body) and a body. A torn last event was
never acknowledged and is cut off at the next start.

An entry may carry the handle of the metadata object it came from. That makes the
moment between "queued" and "name taken away" safe: if at the next start the
object still has a name and this placement, the removal did not take place, and
the entry is forgotten instead of costing a living file its bytes.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from typing import Any, Callable, Optional, Sequence

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from pnfs.backends.errors import BackendError
from pnfs.backends.metadata.recovery import writeDurably
from pnfs.backends.metadata.xattr_records import packPlacement, unpackPlacement
from pnfs.backends.oserrors import translate
from pnfs.values import Placement

InThread = Callable[..., Deferred[Any]]
"""Calls a function that blocks, elsewhere: (function, *arguments)."""

_HEAD = struct.Struct(">BHI")
_DUE, _ORPHAN, _READY, _DONE = range(1, 5)
_COMPACT_ABOVE = 1 << 16


@attrs.define
class Removal:
    """
    @ivar handle: the metadata object it belonged to, or C{b""}.
    @ivar orphan: still open: not due.
    """

    placement: Placement
    handle: bytes
    orphan: bool


class MemoryRemovals:
    """
    The queue without a file.
    """

    def __init__(self) -> None:
        self._entries: dict[bytes, Removal] = {}

    def entries(self) -> Sequence[Removal]:
        """
        Everything queued, orphans included.
        """
        return list(self._entries.values())

    def due(self) -> Sequence[Placement]:
        """
        What may be deleted now.
        """
        return [e.placement for e in self._entries.values() if not e.orphan]

    async def add(self, placement: Placement, handle: bytes, orphan: bool) -> None:
        """
        Queue it; a second time changes whether it is due.
        """
        self._entries[placement.name] = Removal(placement, handle, orphan)

    async def ready(self, name: bytes) -> None:
        """
        An orphan has become due.
        """
        if name in self._entries:
            self._entries[name].orphan = False

    async def forget(self, name: bytes) -> None:
        """
        Done, or not to be done.
        """
        self._entries.pop(name, None)


class FileRemovals(MemoryRemovals):
    """
    The queue in a log file.

    @param path: the log.
    @param inThread: where to flush; None flushes at once, blocking.
    """

    def __init__(self, path: str, inThread: Optional[InThread] = None) -> None:
        super().__init__()
        self._path = path
        self._inThread = inThread
        self._fd = -1
        self._size = 0
        self._waiting: list[Deferred[None]] = []
        self._flushing = False

    def open(self) -> None:
        """
        Load the log. Orphans are due from now on: nobody has them open any more.
        """
        content = b""
        try:
            with open(self._path, "rb") as stored:
                content = stored.read()
        except FileNotFoundError:
            pass
        position = 0
        while position + _HEAD.size <= len(content):
            kind, length, check = _HEAD.unpack_from(content, position)
            position += _HEAD.size
            body = content[position : position + length]
            position += length
            if len(body) != length or zlib.crc32(body) != check:
                break
            self._replay(kind, body)
        for entry in self._entries.values():
            entry.orphan = False
        self._compact()

    def close(self) -> None:
        """
        Everything acknowledged is in the file already.
        """
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    async def add(self, placement: Placement, handle: bytes, orphan: bool) -> None:
        """
        See L{MemoryRemovals.add}; durable when it returns.
        """
        body = bytes([len(handle)]) + handle + packPlacement(placement)
        self._entries[placement.name] = Removal(placement, handle, orphan)
        try:
            await self._append(_ORPHAN if orphan else _DUE, body)
        except BackendError:
            self._entries.pop(placement.name, None)
            raise

    async def ready(self, name: bytes) -> None:
        """
        See L{MemoryRemovals.ready}.
        """
        if name in self._entries:
            self._entries[name].orphan = False
            await self._append(_READY, name)

    async def forget(self, name: bytes) -> None:
        """
        See L{MemoryRemovals.forget}; durable when it returns, since the name may
        belong to a file that lives on.
        """
        if self._entries.pop(name, None) is not None:
            await self._append(_DONE, name)

    def _replay(self, kind: int, body: bytes) -> None:
        """
        Apply one event of the log.
        """
        if kind in (_DUE, _ORPHAN):
            end = 1 + body[0]
            placement = unpackPlacement(body[end:])
            self._entries[placement.name] = Removal(
                placement, body[1:end], kind == _ORPHAN
            )
        elif kind == _READY and body in self._entries:
            self._entries[body].orphan = False
        elif kind == _DONE:
            self._entries.pop(body, None)

    def _compact(self) -> None:
        """
        Write the log anew with what is still queued.
        """
        pieces = []
        for entry in self._entries.values():
            body = (
                bytes([len(entry.handle)])
                + entry.handle
                + packPlacement(entry.placement)
            )
            kind = _ORPHAN if entry.orphan else _DUE
            pieces += [_HEAD.pack(kind, len(body), zlib.crc32(body)), body]
        content = b"".join(pieces)
        writeDurably(self._path, content)
        self.close()
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        self._size = len(content)

    async def _append(self, kind: int, body: bytes) -> None:
        """
        Write one event and wait until it is durable.
        """
        event = _HEAD.pack(kind, len(body), zlib.crc32(body)) + body
        try:
            if os.write(self._fd, event) != len(event):
                os.ftruncate(self._fd, self._size)
                raise OSError(errno.ENOSPC, "short write")
            self._size += len(event)
            if self._inThread is None:
                os.fdatasync(self._fd)
                self._compactIfLong()
                return
        except OSError as error:
            raise translate(error) from error
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        if not self._flushing:
            self._flush(self._inThread)
        await done

    def _flush(self, inThread: InThread) -> None:
        """
        One flush for all who wait.
        """
        batch, self._waiting = self._waiting, []
        self._flushing = bool(batch)
        if batch:
            flushed = inThread(os.fdatasync, self._fd)
            flushed.addBoth(self._flushed, batch, inThread)

    def _flushed(
        self, result: Any, batch: Sequence[Deferred[None]], inThread: InThread
    ) -> None:
        """
        Tell those who waited, and flush for those who came meanwhile.
        """
        if isinstance(result, Failure) and isinstance(result.value, OSError):
            result = Failure(translate(result.value))  # type: ignore[no-untyped-call]
        for done in batch:
            done.callback(result if isinstance(result, Failure) else None)
        if not self._waiting:
            self._compactIfLong()
        self._flush(inThread)

    def _compactIfLong(self) -> None:
        """
        Bound the log by what is in it.
        """
        if self._size > _COMPACT_ABOVE and self._size > 400 * (len(self._entries) + 1):
            self._compact()
