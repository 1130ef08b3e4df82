# -*- test-case-name: tests.backends.ds.test_local_holes -*-
"""
What the local data backend does with holes. All of it waits for the file system, so
the calls go to the pool; a search for a hole may go over all extents of a file.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Optional, Sequence, cast

from pnfs.backends.ds.local_extents import (
    Fallocate,
    advise,
    dataIn,
    punch,
    reserve,
    seekIn,
)
from pnfs.backends.ds.local_files import OpenFile
from pnfs.backends.ds.local_objects import settled
from pnfs.backends.ds.segments import allData, readRanges
from pnfs.backends.ds.tracking import Tracking
from pnfs.backends.errors import TooBig
from pnfs.values import ReadResult, SegmentsResult

_LARGEST = (1 << 63) - 1


class LocalHoles:
    """
    A part of L{pnfs.backends.ds.local.LocalDataServerBackend}.
    """

    _open: Callable[[bytes], Any]
    _fallocate: Fallocate
    _inMemory: bool
    _tracking: Tracking

    def _readNow(
        self, entry: OpenFile, offset: int, count: int
    ) -> Optional[ReadResult]:
        """
        What can be read without waiting for the device.
        """
        raise NotImplementedError

    async def read(self, name: bytes, offset: int, count: int) -> ReadResult:
        """
        See L{pnfs.interfaces.IDataServerBackend.read}.
        """
        raise NotImplementedError

    async def seek(self, name: bytes, offset: int, hole: bool) -> Optional[int]:
        """
        As the file system knows it: what is only in the page cache is data.
        """
        entry: OpenFile = await self._open(name)
        if offset > _LARGEST:
            return None
        return cast(Optional[int], await settled(entry.run(seekIn, offset, hole)))

    async def readSegments(
        self, name: bytes, offset: int, count: int
    ) -> SegmentsResult:
        """
        What is all in the page cache is told as data, and so is a file that has as
        many blocks as it has bytes: that costs no more than C{read}. Pages of holes
        are in the cache only if they have been read as data.
        """
        entry: OpenFile = await self._open(name)
        if not self._inMemory:
            result = self._readNow(entry, offset, count)
            if result is not None:
                return allData(offset, result)
        status = os.fstat(entry.fd)
        size = status.st_size
        if offset >= size or status.st_blocks * 512 >= size:
            return allData(offset, await self.read(name, offset, count))
        found, size = await settled(entry.run(dataIn, offset, offset + count))
        end = min(offset + count, size)
        return await readRanges(self, name, found, offset, end, size)

    async def allocate(self, name: bytes, ranges: Sequence[tuple[int, int]]) -> None:
        """
        Space of the file system. Not flushed here: the stripes of a large range
        are many.
        """
        entry: OpenFile = await self._open(name)
        if any(offset + length > _LARGEST for offset, length in ranges):
            raise TooBig(f"{ranges[-1]}")
        try:
            await self._change(entry, reserve, ranges)
        finally:
            entry.release()

    async def deallocate(self, name: bytes, offset: int, length: int) -> None:
        """
        A hole, or zeros where the file system makes none.
        """
        entry: OpenFile = await self._open(name)
        try:
            if self._tracking.active:
                self._tracking.note(name, offset, length)
            try:
                await self._change(entry, punch, offset, length)
            finally:
                # A thread has done it; who began to look meanwhile is told as well.
                if self._tracking.active:
                    self._tracking.note(name, offset, length)
            await settled(entry.flush(True))
        finally:
            entry.release()

    async def _change(
        self, entry: OpenFile, function: Callable[..., Any], *arguments: Any
    ) -> None:
        """
        Change a file in the pool. It is held, as it may leave the cache meanwhile,
        until the caller releases it.
        """
        entry.hold()
        try:
            await settled(entry.run(function, self._fallocate, *arguments))
        finally:
            entry.dirty = entry.written = True

    async def advise(self, name: bytes, offset: int, length: int, hints: int) -> int:
        """
        C{posix_fadvise}.
        """
        entry: OpenFile = await self._open(name)
        if offset > _LARGEST:
            return 0
        if offset + length > _LARGEST:
            length = 0
        return cast(int, await settled(entry.run(advise, offset, length, hints)))
