# -*- test-case-name: tests.backends.ds.test_proxied -*-
"""
What a gateway says about the contents of files upstream: checksums, by reading all
of them. What has been changed it does not know: what the server upstream has not
answered in time it may yet do.
"""

from __future__ import annotations

from typing import Optional

from pnfs.backends.ds.carrying import joined
from pnfs.backends.ds.digests import digestsOf
from pnfs.backends.ds.proxied_parts import ProxiedPart


class ProxiedDigests(ProxiedPart):
    """
    A part of L{pnfs.backends.ds.proxied.ProxiedDataServerBackend}.
    """

    async def checksums(
        self, name: bytes, offset: int, count: int, unit: int
    ) -> list[bytes]:
        """
        Of what is read, up to the end.
        """
        size = (await self.getattr(name)).size

        async def read(at: int, length: int) -> bytes:
            found = await self.read(name, at, length)
            return bytes(joined(found, found.count))

        async def seek(at: int) -> Optional[int]:
            return at if at < size else None

        return await digestsOf(read, seek, offset, count, unit)

    async def track(self, name: bytes) -> tuple[bytes, int]:
        """
        Nothing is followed.
        """
        return b"", (await self.getattr(name)).size

    async def changes(
        self, name: bytes, token: bytes
    ) -> Optional[list[tuple[int, int]]]:
        """
        Never known.
        """
        await self.getattr(name)
        return None
