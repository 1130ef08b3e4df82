# -*- test-case-name: tests.mds.test_copying -*-
"""
Copies and clones of a metadata server's files.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping

from pnfs.backends.ds.remote import gather
from pnfs.mds.copying import Copying
from pnfs.mds.dataattributes import DataAttributes
from pnfs.values import Inode, Placement, WriteResult

UNHEARD = bytes(8)
"""The verifier of a data server that has not told one yet."""


class Copies(DataAttributes):
    """
    A part of L{pnfs.mds.datafiles.DataFiles}.
    """

    _copying: Copying

    async def _grown(
        self, export: Any, inode: Inode, placement: Placement, offset: int, done: int
    ) -> None:
        raise NotImplementedError

    def _verifierOf(self, uuid: bytes) -> bytes:
        raise NotImplementedError

    def _combined(self, placement: Placement, told: Mapping[bytes, bytes]) -> bytes:
        raise NotImplementedError

    async def misplaced(
        self, export: Any, inode: Inode, sourceExport: Any, source: Inode
    ) -> bool:
        """
        See L{pnfs.interfaces.IFileData.misplaced}.
        """
        like = await sourceExport.backend.loadPlacement(source)
        if like is None:
            return False
        return await self._placing.better(export, inode, like) is not None

    async def move(
        self,
        export: Any,
        inode: Inode,
        sourceExport: Any,
        source: Inode,
        free: Callable[[], bool],
    ) -> None:
        """
        See L{pnfs.interfaces.IFileData.move}.
        """
        like = await sourceExport.backend.loadPlacement(source)
        if like is not None:
            await self._placing.move(export, inode, like, free)

    async def copy(
        self,
        export: Any,
        inode: Inode,
        offset: int,
        sourceExport: Any,
        source: Inode,
        sourceOffset: int,
        count: int,
    ) -> WriteResult:
        """
        See L{pnfs.interfaces.IFileData.copy}. A file without data files gets them
        where the source has its own.
        """
        switches = self._placing.switches
        there = await self._placing.place(sourceExport, source)
        origin = there.live
        end = offset + count
        placement = await self._placing.share(export, inode, end, origin)
        try:
            await self._hearVerifiers(placement)
            with self.noted(export, inode, placement):
                found = await self._copying.slice(
                    placement, offset, origin, sourceOffset, count
                )
            if switches != self._placing.switches:
                await self._placing.requireSteady(sourceExport, source, there)
            await self._grown(export, inode, placement, offset, found.done)
        finally:
            self._turns.unshare((export.id, inode.handle))
        verifier = self._combined(placement, found.told)
        return WriteResult(found.done, found.committed, verifier)

    async def clone(
        self,
        export: Any,
        inode: Inode,
        offset: int,
        sourceExport: Any,
        source: Inode,
        sourceOffset: int,
        count: int,
    ) -> None:
        """
        See L{pnfs.interfaces.IFileData.clone}. Nobody writes through the metadata
        server meanwhile.
        """
        switches = self._placing.switches
        there = await self._placing.place(sourceExport, source)
        origin = there.live
        await self._placing.place(export, inode, origin)
        key = (export.id, inode.handle)
        await self._turns.take(key)
        try:
            await self._placing.grown(export, inode, offset + count)
            placement: Any = await self._placing.writable(export, inode)
            with self.noted(export, inode, placement):
                await self._copying.clone(
                    placement, offset, origin, sourceOffset, count
                )
            if switches != self._placing.switches:
                await self._placing.requireSteady(sourceExport, source, there)
            await self._grown(export, inode, placement, offset, count)
        finally:
            self._turns.give(key)
        await self.refresh(export, inode)

    async def _hearVerifiers(self, placement: Placement) -> None:
        """
        Have all data servers of a file tell their verifiers: that of the whole must
        be the same until one of them restarts.
        """
        await gather(
            [
                self._servers.onFile(uuid, lambda ds: ds.commit(placement.name, 0, 0))
                for uuid in placement.dataServers
                if self._verifierOf(uuid) == UNHEARD
            ]
        )
