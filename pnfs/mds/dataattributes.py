# -*- test-case-name: tests.mds.test_datafiles -*-
"""
Size, times and owner of a metadata server's files and of their data files.

Per file, what asks for its size or sets it is alone at work (L{Turns}), and what
writes shares: a question that began before a truncation must not bring the old
size back, nor one that began before a write the size before that.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Callable, ContextManager

from twisted.internet.defer import Deferred

from pnfs.backends.ds.remote import gather
from pnfs.mds.dataservers import DataServers
from pnfs.mds.placing import Placing, dataMode
from pnfs.mds.turns import Turns
from pnfs.mds.writing import spaceOf
from pnfs.values import Inode, SetAttributes


class DataAttributes:
    """
    The part of L{pnfs.mds.datafiles.DataFiles} that others build upon.

    @ivar ragged: files some of whose data files may be shorter than they are.
    @ivar noted: called with (export, inode, placement) for a context in which mirrors
        may come to differ: L{pnfs.mds.intents.WriteIntents.proxied}.
    """

    _servers: DataServers
    _placing: Placing
    _turns: Turns

    def __init__(self) -> None:
        self._refreshing: dict[tuple[int, bytes], list[Deferred[None]]] = {}
        self.ragged = set[tuple[int, bytes]]()
        self.noted: Callable[..., ContextManager[None]] = lambda *_: nullcontext()

    async def refresh(self, export: Any, inode: Inode) -> None:
        """
        See L{pnfs.interfaces.IFileData.refresh}.
        """
        key = (export.id, inode.handle)
        waiting = self._refreshing.get(key)
        if waiting is not None:
            # The round under way may have asked before the last write was done:
            # wait for the one after it, which all that wait now share.
            waiter: Deferred[None] = Deferred()
            waiting.append(waiter)
            await waiter
            return
        self._refreshing[key] = []
        try:
            await self._refreshOnce(export, inode)
        finally:
            sharing = self._refreshing.pop(key)
            if sharing:
                self._refreshFor(export, inode, sharing)

    def _refreshFor(
        self, export: Any, inode: Inode, waiters: list[Deferred[None]]
    ) -> None:
        def done(result: Any) -> None:
            for waiter in waiters:
                if isinstance(result, Exception):
                    waiter.errback(result)
                else:
                    waiter.callback(None)

        running = Deferred.fromCoroutine(self.refresh(export, inode))
        running.addCallbacks(lambda _: done(None), lambda failure: done(failure.value))

    async def _refreshOnce(self, export: Any, inode: Inode) -> None:
        key = (export.id, inode.handle)
        await self._turns.take(key)
        try:
            placement = await export.backend.loadPlacement(inode)
            if placement is None:
                return
            placement = placement.live
            found = await self._servers.askAll(placement)
            size = max(inode.size, max(a.size for a in found.values()))
            short = [uuid for uuid, a in found.items() if a.size < size]
            await gather(
                [
                    self._servers.onFile(
                        uuid, lambda ds: ds.extend(placement.name, size)
                    )
                    for uuid in short
                ]
            )
            used = spaceOf(placement, found, size)
            mtime = max(a.mtime for a in found.values())
            await export.backend.storeDataAttributes(
                inode, size, used, max(mtime, inode.mtime), None
            )
            if len(found) == len(placement.dataServers):
                self.ragged.discard(key)
        finally:
            self._turns.give(key)

    async def size(self, export: Any, inode: Inode) -> int:
        """
        See L{pnfs.interfaces.IFileData.size}.
        """
        key = (export.id, inode.handle)
        await self._turns.take(key)
        try:
            placement = await export.backend.loadPlacement(inode)
            if placement is None:
                return inode.size
            found = await self._servers.askAll(placement)
            return int(max(inode.size, *(a.size for a in found.values())))
        finally:
            self._turns.give(key)

    async def truncate(self, export: Any, inode: Inode, size: int) -> None:
        """
        See L{pnfs.interfaces.IFileData.truncate}.
        """
        key = (export.id, inode.handle)
        await self._turns.take(key)
        try:
            await self._placing.grown(export, inode, size)
            placement = await self._placing.writable(export, inode)
            if placement is not None:
                changes = SetAttributes(size=size)
                with self.noted(export, inode, placement):
                    await self._servers.onAll(
                        placement, lambda ds: ds.setattr(placement.name, changes)
                    )
                self.ragged.discard(key)
            await export.backend.setattr(inode, SetAttributes(size=size))
        finally:
            self._turns.give(key)

    async def applyOwner(self, export: Any, inode: Inode) -> None:
        """
        See L{pnfs.interfaces.IFileData.applyOwner}.
        """
        await self._apply(
            export,
            inode,
            lambda: SetAttributes(mode=dataMode(inode), uid=inode.uid, gid=inode.gid),
        )

    async def applyTimes(self, export: Any, inode: Inode) -> None:
        """
        See L{pnfs.interfaces.IFileData.applyTimes}.
        """
        await self._apply(export, inode, lambda: SetAttributes(mtime=inode.mtime))

    async def _apply(
        self, export: Any, inode: Inode, changes: Callable[[], SetAttributes]
    ) -> None:
        """
        @param changes: asked when it is our turn: of two that change something the
            later one must win.
        """
        key = (export.id, inode.handle)
        await self._turns.take(key)
        try:
            placement = await self._placing.writable(export, inode)
            if placement is not None:
                now = changes()
                await self._servers.onAll(
                    placement, lambda ds: ds.setattr(placement.name, now)
                )
        finally:
            self._turns.give(key)
