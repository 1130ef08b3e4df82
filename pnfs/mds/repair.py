# -*- test-case-name: tests.mds.test_repair -*-
"""
Repairing a stale mirror of one file.

While its data server was away the file has changed. Data servers tell checksums of what
they have, and copy among themselves what differs, in two goes: L{FileRepair.ahead}
while clients read and write, and L{FileRepair.finish} while nobody does, of what has
changed meanwhile: the data server that is copied from keeps track of that. What has
been copied is compared again before it counts.

That the mirror is stale is in the file's placement until the very end; one placement
stored is the switch. Whatever happens before leaves a stale mirror, which is repaired
again, and what has been copied already does not differ any more.

What was rejected: to give clients layouts with the stale mirror, so that it gets what
is written meanwhile: what is copied over it is older.
"""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

import attrs

from pnfs.layouts.striping import pieces
from pnfs.mds.copying import Copying
from pnfs.mds.dataservers import DataServers
from pnfs.mds.lacking import Idle, Source, Task, Told
from pnfs.mds.pace import UNLIMITED, Pace
from pnfs.mds.placing import Placing, dataMode
from pnfs.mds.ranges import Range
from pnfs.mds.transfer import Transfer, isSmall
from pnfs.mds.turns import Turns
from pnfs.values import Inode, ObjectAttributes, Placement, SetAttributes


class FileRepair:
    """
    Has data servers bring a stale mirror up to date.

    @ivar transfer: how data servers are given what they lack.
    """

    def __init__(
        self, servers: DataServers, placing: Placing, turns: Turns, copying: Copying
    ) -> None:
        self._servers = servers
        self._placing = placing
        self._turns = turns
        self.transfer = Transfer(servers, turns, copying)

    async def ahead(
        self,
        export: Any,
        inode: Inode,
        uuid: bytes,
        told: Told,
        pace: Pace = UNLIMITED,
        idle: Idle = lambda: False,
    ) -> list[Source]:
        """
        Copy while clients go on.

        @param idle: see L{Task}.
        @return: what is left to be done.
        @raise BackendError: it cannot be done now.
        """
        if isSmall(inode):
            return []
        async with pace.large():
            placement = await export.backend.loadPlacement(inode)
            if placement is None or uuid not in placement.stale:
                return []
            there = await self._create(inode, placement, uuid)
            task = attrs.evolve(_task(placement, uuid, told), pace=pace, idle=idle)
            return await self.transfer.ahead(task, there)

    async def finish(
        self, export: Any, inode: Inode, uuid: bytes, ready: list[Source], told: Told
    ) -> bool:
        """
        Copy what is missing, and count the mirror as good again. To be called while
        nobody holds a layout of the file, nor can write with one that he had. Who
        writes through the metadata server waits meanwhile.

        @param ready: what L{ahead} has told.
        @return: it was stale.
        @raise BackendError: it is stale still.
        """
        key = (export.id, inode.handle)
        await self._turns.take(key)
        try:
            placement = await export.backend.loadPlacement(inode)
            if placement is None or uuid not in placement.stale:
                return False
            there = await self._create(inode, placement, uuid)
            found = await self._servers.askAll(placement.live, durable=True)
            origins = await self.transfer.complete(
                _task(placement, uuid, told), ready, found, there
            )
            mtime = max(attributes.mtime for attributes in origins)
            # Or to users the file would have been modified now.
            await self._servers.onFile(
                uuid, lambda ds: ds.setattr(placement.name, SetAttributes(mtime=mtime))
            )
            await self._placing.change(export, inode, lambda old: _repaired(old, uuid))
            return True
        finally:
            self._turns.give(key)

    async def compare(
        self,
        export: Any,
        inode: Inode,
        suspected: Optional[Mapping[bytes, Sequence[Range]]] = None,
    ) -> dict[bytes, list[Range]]:
        """
        Where mirrors that are not stale differ from the first of their column.

        @param suspected: look there only, while nobody writes through the metadata
            server.
        @return: by data server, of those that do.
        @raise BackendError: they cannot be compared.
        """
        key = (export.id, inode.handle)
        if suspected is not None:
            await self._turns.take(key)
        try:
            return await self._compare(export, inode, suspected)
        finally:
            if suspected is not None:
                self._turns.give(key)

    async def _compare(
        self,
        export: Any,
        inode: Inode,
        suspected: Optional[Mapping[bytes, Sequence[Range]]],
    ) -> dict[bytes, list[Range]]:
        placement = await export.backend.loadPlacement(inode)
        differing: dict[bytes, list[Range]] = {}
        if placement is None:
            return differing
        name = placement.name
        for column, (first, *others) in enumerate(placement.live.columns):
            for uuid in others:
                if suspected is None:
                    sizes = [
                        (await self.transfer.ask(u, name)).size for u in (first, uuid)
                    ]
                    wanted: Sequence[Range] = [(0, max(sizes))]
                else:
                    wanted = suspected.get(uuid, ())
                ranges = [
                    (at, part)
                    for offset, length in wanted
                    for number, at, part in pieces(placement, offset, length)
                    if number == column
                ]
                found = await self.transfer.differing(name, first, uuid, ranges)
                if found:
                    differing.setdefault(uuid, []).extend(found)
        return differing

    async def _create(
        self, inode: Inode, placement: Placement, uuid: bytes
    ) -> ObjectAttributes:
        """
        Make the data file if it is not there, and give it owner and mode.
        """
        return await self._servers.on(  # type: ignore[no-any-return]
            uuid,
            lambda ds: ds.provide(
                placement.name, inode.uid, inode.gid, dataMode(inode), placement.epoch
            ),
        )


def _task(placement: Placement, uuid: bytes, told: Told) -> Task:
    return Task(placement.live, _repaired(placement, uuid).live, uuid, told)


def _repaired(old: Placement, uuid: bytes) -> Placement:
    return attrs.evolve(old, stale=tuple(each for each in old.stale if each != uuid))
