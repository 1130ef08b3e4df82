# -*- test-case-name: tests.mds.test_degrade -*-
"""
Files go on without a mirror that has been lost.

A mirror that misses a write must never be read again until it has been repaired. So
before the first write without it can be acknowledged, the file's placement says,
durably, that this mirror is stale; by a new fence epoch no layout of before is worth
anything, not even at the lost data server, which is fenced before anything else is
done there when it comes back. Whoever is about to change something of a file asks
here (L{Degrading.writable}): LAYOUTGET for writing, WRITE, COMMIT, ALLOCATE, COPY,
CLONE, DEALLOCATE, and SETATTR of size, owner, mode or times. Reading marks nothing.

Of each column one mirror is left that answers and has everything; else the file stays
as it is, and writing it waits for its data servers.

What was rejected: to mark all files of a lost data server at once. Most of them are
not written while it is away, and need no repair.
"""

from __future__ import annotations

from typing import Any, Callable, Optional

import attrs
from twisted.logger import Logger

from pnfs.mds.dataservers import DataServers
from pnfs.mds.placing import Placing
from pnfs.values import Inode, Placement

_log = Logger()


class Degrading:
    """
    Marks mirrors as stale.

    @ivar enabled: it does; else writing waits until all mirrors answer.
    @ivar recall: has the layouts of a file recalled that name a lost data server.
    @ivar listeners: called with (export, inode, placement, UUID) of each mirror that
        has become stale, when that is durable.
    @ivar marked: how many have.
    """

    def __init__(self, servers: DataServers, placing: Placing) -> None:
        self._servers = servers
        self._placing = placing
        self.enabled = False
        self.recall: Callable[[Inode], None] = lambda inode: None
        self.listeners: list[Callable[[Any, Inode, Placement, bytes], None]] = []
        self.marked = 0

    async def writable(
        self, export: Any, inode: Inode, placement: Placement
    ) -> Placement:
        """
        A file's placement now that something of it is to be changed: mirrors that are
        lost are stale in it, and that is durable.
        """
        seen = set[bytes]()
        # Another one may be lost while one is marked.
        while lost := self._servers.condemned.intersection(
            placement.live.dataServers
        ).difference(seen):
            uuid = min(lost)
            seen.add(uuid)
            found = await self.markStale(export, inode, uuid)
            if found is not None:
                placement = found
        return placement

    async def markStale(
        self, export: Any, inode: Inode, uuid: bytes, differs: bool = False
    ) -> Optional[Placement]:
        """
        A file goes on without one of its mirrors, unless it is the last one of a
        column that has everything.

        @param differs: it answers, and is to be repaired; so it is marked even if
            files are not to go on without lost mirrors.
        @return: the placement as it is now; None if the file has none.
        """
        marked = False

        def change(old: Placement) -> Placement:
            nonlocal marked
            if uuid not in old.live.dataServers or not self._servers.spare(old, uuid):
                return old
            marked = True
            return attrs.evolve(old, stale=(*old.stale, uuid), epoch=old.epoch + 1)

        if not (self.enabled or differs):
            return await export.backend.loadPlacement(inode)  # type: ignore[no-any-return]
        placement = await self._placing.change(export, inode, change)
        if placement is None or not marked:
            return placement
        self.marked += 1
        for listener in self.listeners:
            listener(export, inode, placement, uuid)
        self.recall(inode)
        await self._servers.fenceAll(placement)
        return placement
