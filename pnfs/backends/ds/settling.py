# -*- test-case-name: tests.backends.ds.test_memory -*-
"""
Doing something to an object and telling what comes of it, by a backend that is asked at
no cost: one step after the other.
"""

from __future__ import annotations

from pnfs.values import ObjectAttributes


class Settling:
    """
    A part of such a backend.
    """

    async def getattr(self, name: bytes) -> ObjectAttributes:
        """
        See L{pnfs.interfaces.IDataServerBackend.getattr}.
        """
        raise NotImplementedError

    async def create(
        self, name: bytes, uid: int, gid: int, mode: int, epoch: int
    ) -> None:
        """
        See L{pnfs.interfaces.IDataServerBackend.create}.
        """
        raise NotImplementedError

    async def commit(self, name: bytes, offset: int, count: int) -> bytes:
        """
        See L{pnfs.interfaces.IDataServerBackend.commit}.
        """
        raise NotImplementedError

    async def provide(
        self, name: bytes, uid: int, gid: int, mode: int, epoch: int
    ) -> ObjectAttributes:
        """
        See L{pnfs.interfaces.IDataServerBackend.provide}.
        """
        await self.create(name, uid, gid, mode, epoch)
        return await self.getattr(name)

    async def settle(self, name: bytes) -> ObjectAttributes:
        """
        See L{pnfs.interfaces.IDataServerBackend.settle}.
        """
        await self.commit(name, 0, 0)
        return await self.getattr(name)
