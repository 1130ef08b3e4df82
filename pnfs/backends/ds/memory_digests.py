# -*- test-case-name: tests.backends.ds.test_memory -*-
"""
What the memory backend says about the contents of its objects, and of what it is filled
with.
"""

from __future__ import annotations

from typing import Any, Callable, Optional, Sequence

from pnfs.backends.ds.carrying import joined
from pnfs.backends.ds.digests import digestsOf, digestsOfPieces
from pnfs.backends.ds.tracking import Ranges, Tracking
from pnfs.values import ObjectAttributes, ReadResult, Stable, WriteResult


class MemoryDigests:
    """
    A part of L{pnfs.backends.ds.memory.MemoryDataServerBackend}.
    """

    _find: Callable[[bytes], Any]
    _tracking: Tracking

    async def getattr(self, name: bytes) -> ObjectAttributes:
        """
        See L{pnfs.interfaces.IDataServerBackend.getattr}.
        """
        raise NotImplementedError

    async def read(self, name: bytes, offset: int, count: int) -> ReadResult:
        """
        See L{pnfs.interfaces.IDataServerBackend.read}.
        """
        raise NotImplementedError

    async def seek(self, name: bytes, offset: int, hole: bool) -> Optional[int]:
        """
        See L{pnfs.interfaces.IDataServerBackend.seek}.
        """
        raise NotImplementedError

    async def write(
        self, name: bytes, offset: int, data: memoryview, stable: int
    ) -> WriteResult:
        """
        See L{pnfs.interfaces.IDataServerBackend.write}.
        """
        raise NotImplementedError

    async def writePast(
        self, name: bytes, offset: int, data: memoryview
    ) -> Optional[tuple[WriteResult, Sequence[bytes]]]:
        """
        There is nothing but memory, where it is read again.
        """
        result = await self.write(name, offset, data, Stable.UNSTABLE)
        if result.count < len(data):
            return result, ()
        found = await self.read(name, offset, len(data))
        return result, digestsOfPieces(joined(found, len(data)))

    async def checksums(
        self, name: bytes, offset: int, count: int, unit: int
    ) -> list[bytes]:
        """
        By reading.
        """
        self._find(name)

        async def read(at: int, length: int) -> bytes:
            found = await self.read(name, at, length)
            return b"".join(found.pieces)  # type: ignore[arg-type]

        return await digestsOf(
            read, lambda at: self.seek(name, at, False), offset, count, unit
        )

    async def track(self, name: bytes) -> tuple[bytes, int]:
        """
        See L{Tracking.track}.
        """
        self._find(name)
        token = self._tracking.track(name)
        return token, (await self.getattr(name)).size

    async def changes(self, name: bytes, token: bytes) -> Optional[Ranges]:
        """
        See L{Tracking.changes}.
        """
        self._find(name)
        return self._tracking.changes(name, token)
