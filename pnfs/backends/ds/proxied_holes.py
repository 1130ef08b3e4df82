# -*- test-case-name: tests.backends.ds.test_proxied -*-
"""
What a gateway does with holes. Servers that speak NFSv3 and NFSv4.1 know none: all
that is below the end counts as data, and space cannot be reserved.
"""

from __future__ import annotations

from typing import Optional, Sequence

from pnfs.backends.ds.proxied_parts import ProxiedPart
from pnfs.backends.ds.segments import allData
from pnfs.backends.errors import Unsupported
from pnfs.values import SegmentsResult, Stable

ZEROS_LIMIT = 64 << 20
"""Bytes that are written in place of a hole; a larger one cannot be made."""

_ZEROS = memoryview(bytes(1 << 20))


class ProxiedHoles(ProxiedPart):
    """
    A part of L{pnfs.backends.ds.proxied.ProxiedDataServerBackend}.
    """

    async def seek(self, name: bytes, offset: int, hole: bool) -> Optional[int]:
        """
        All is data.
        """
        size = (await self.getattr(name)).size
        if offset >= size:
            return None
        return size if hole else offset

    async def readSegments(
        self, name: bytes, offset: int, count: int
    ) -> SegmentsResult:
        """
        All is data.
        """
        return allData(offset, await self.read(name, offset, count))

    async def allocate(self, name: bytes, ranges: Sequence[tuple[int, int]]) -> None:
        """
        @raise Unsupported: always.
        """
        await self.getattr(name)
        raise Unsupported("the server upstream cannot reserve space")

    async def deallocate(self, name: bytes, offset: int, length: int) -> None:
        """
        Write zeros.

        @raise Unsupported: it would be too many.
        """
        end = min(offset + length, (await self.getattr(name)).size)
        if end - offset > ZEROS_LIMIT:
            raise Unsupported("the server upstream cannot make holes")
        while offset < end:
            zeros = _ZEROS[: end - offset]
            written = await self.write(name, offset, zeros, Stable.FILE_SYNC)
            offset += written.count

    async def advise(self, name: bytes, offset: int, length: int, hints: int) -> int:
        """
        Nothing makes a difference.
        """
        return 0
