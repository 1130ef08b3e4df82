# -*- test-case-name: tests.backends.ds.test_memory -*-
"""
Copying by a backend that copies only what it has itself: there is nothing to compare.
"""

from __future__ import annotations

from pnfs.values import CheckedCopy, CopySource, WriteResult


class UncheckedCopies:
    """
    A part of such a backend.
    """

    async def copy(
        self,
        name: bytes,
        offset: int,
        source: CopySource,
        sourceOffset: int,
        count: int,
    ) -> WriteResult:
        """
        See L{pnfs.interfaces.IDataServerBackend.copy}.
        """
        raise NotImplementedError

    async def copyChecked(
        self,
        name: bytes,
        offset: int,
        source: CopySource,
        sourceOffset: int,
        count: int,
    ) -> CheckedCopy:
        """
        See L{pnfs.interfaces.IDataServerBackend.copyChecked}.
        """
        return CheckedCopy(await self.copy(name, offset, source, sourceOffset, count))
