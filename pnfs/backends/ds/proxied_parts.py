# -*- test-case-name: tests.backends.ds.test_proxied -*-
"""
What the parts of a gateway have in common: the operations on files upstream that they
make others of.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from pnfs.values import ObjectAttributes, ReadResult, WriteResult


class ProxiedPart:
    """
    The base of the parts of L{pnfs.backends.ds.proxied.ProxiedDataServerBackend},
    which provides these.
    """

    _clock: IReactorTime

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

    async def write(
        self, name: bytes, offset: int, data: memoryview, stable: int
    ) -> WriteResult:
        """
        See L{pnfs.interfaces.IDataServerBackend.write}.
        """
        raise NotImplementedError
