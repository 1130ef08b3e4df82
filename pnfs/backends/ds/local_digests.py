# -*- test-case-name: tests.backends.ds.test_local_digests -*-
"""
What the local data backend says about the contents of its files: checksums, made in
the pool, and what has been changed.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Optional, cast

from pnfs.backends.ds.digests import DIGESTS, STEP, PieceDigest, requireUnit
from pnfs.backends.ds.local_direct import PAGE, Window, openDirect
from pnfs.backends.ds.local_extents import seekIn
from pnfs.backends.ds.local_files import OpenFile
from pnfs.backends.ds.local_objects import settled
from pnfs.backends.ds.tracking import Ranges, Tracking
from pnfs.values import ObjectAttributes

_LARGEST = (1 << 63) - 1


class LocalDigests:
    """
    A part of L{pnfs.backends.ds.local.LocalDataServerBackend}.
    """

    _open: Callable[[bytes], Any]
    _inMemory: bool
    _tracking: Tracking

    async def getattr(self, name: bytes) -> ObjectAttributes:
        """
        See L{pnfs.interfaces.IDataServerBackend.getattr}.
        """
        raise NotImplementedError

    async def checksums(
        self, name: bytes, offset: int, count: int, unit: int
    ) -> list[bytes]:
        """
        See L{pnfs.interfaces.IDataServerBackend.checksums}.
        """
        requireUnit(unit)
        entry: OpenFile = await self._open(name)
        found = entry.run(digestsIn, offset, count, unit, self._inMemory)
        return cast(list[bytes], await settled(found))

    async def track(self, name: bytes) -> tuple[bytes, int]:
        """
        See L{pnfs.interfaces.IDataServerBackend.track}.
        """
        await self._open(name)
        token = self._tracking.track(name)
        return token, (await self.getattr(name)).size

    async def changes(self, name: bytes, token: bytes) -> Optional[Ranges]:
        """
        See L{pnfs.interfaces.IDataServerBackend.changes}.
        """
        await self._open(name)
        return self._tracking.changes(name, token)


def digestsIn(
    fd: int, offset: int, count: int, unit: int, inMemory: bool
) -> list[bytes]:
    """
    Digests of some of the pieces of a range; for a thread. What the file system
    knows as a hole is not read.

    @param inMemory: all of it is; else what is not in the page cache need not come
        there.
    """
    direct = None
    if not (inMemory or (offset | unit) % PAGE):
        direct = openDirect(fd, os.O_RDONLY)
    try:
        return _digests(fd, Window(fd, direct), offset, count, unit)
    finally:
        if direct is not None:
            os.close(direct)


def _digests(
    fd: int, window: Window, offset: int, count: int, unit: int
) -> list[bytes]:
    found: list[bytes] = []
    end = offset + count
    done = 0
    data = _dataAt(fd, offset)
    while offset < end and len(found) < DIGESTS and done < STEP:
        stop = min(offset + unit, end)
        if data < offset:
            data = _dataAt(fd, offset)
        if data >= stop:
            found.append(b"")
        else:
            found.append(_digest(window, offset, stop))
            done += stop - offset
        offset = stop
    return found


def _digest(window: Window, offset: int, stop: int) -> bytes:
    piece = PieceDigest()
    position = offset
    while position < stop:
        part = window.read(position, stop - position)
        if not part:
            # The end, or behind it.
            piece.zeros(stop - position)
            break
        piece.data(part)
        position += len(part)
    return piece.digest(stop - offset)


def _dataAt(fd: int, offset: int) -> int:
    """
    Where the next data is; behind everything if there is none.
    """
    data = None if offset > _LARGEST else seekIn(fd, offset, False)
    return _LARGEST + 1 if data is None else data
