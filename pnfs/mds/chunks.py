# -*- test-case-name: tests.mds.test_chunks -*-
"""
Files in chunks grow: which data servers get the next ones, and making the data files
there.

A chunk is in the file's placement, durably, before anything can be written to it; so a
file never has bytes behind its last chunk, and a layout that ends where its chunk does
stays true however much the file grows. A truncation takes no chunk away.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Callable, Collection, Optional, Sequence

import attrs

from pnfs.backends.ds.remote import gather
from pnfs.backends.errors import BackendError, NoSuchObject
from pnfs.interfaces import IPlacementPolicy
from pnfs.layouts.striping import missing
from pnfs.mds.dataservers import DataServers
from pnfs.mds.settings import Settings, Wanted
from pnfs.mds.turns import Turns
from pnfs.values import DataServer, Inode, PlaceRequest, Placement

Columns = tuple[tuple[bytes, ...], ...]


def nextColumns(
    placement: Placement,
    count: int,
    order: Callable[[Sequence[DataServer]], Sequence[DataServer]],
    choices: Sequence[Sequence[DataServer]],
) -> Columns:
    """
    Mirrors for C{count} more chunks of a file, on other data servers than the chunk
    before as far as possible. If too few can be used, those of that chunk get the next
    one, too: their data files are there already, and a stale mirror is repaired with
    all that it has missed. A data server that misses something, or has or will have
    data files of a move under way, gets none.

    @param order: as L{pnfs.interfaces.IPlacementPolicy.order}.
    @param choices: data servers that may be used, those to be preferred first; the
        first choice that is enough counts.
    """
    found: list[tuple[bytes, ...]] = []
    # Who is at work on what is C{next} does not know of new chunks.
    avoided = set(placement.stale)
    if placement.next is not None:
        avoided.update(placement.next.dataServers)
    for _ in range(count):
        columns = placement.columns + tuple(found)
        for servers in choices:
            usable = [s for s in servers if s.uuid not in avoided]
            column = _nextColumn(columns, order, usable)
            if column is not None:
                break
        else:
            column = columns[-1]
        found.append(column)
    return tuple(found)


def _nextColumn(
    columns: Columns,
    order: Callable[[Sequence[DataServer]], Sequence[DataServer]],
    servers: Sequence[DataServer],
) -> Optional[tuple[bytes, ...]]:
    """
    None if that is too few.
    """
    width = len(columns[0])
    last = columns[-1]
    uses = Counter(uuid for column in columns for uuid in column)
    for some in ([s for s in servers if s.uuid not in last], servers):
        if len(some) < width:
            continue
        try:
            ordered = [server.uuid for server in order(some)]
        except ValueError:
            continue
        if len(ordered) >= width:
            if some is servers:
                ordered.sort(key=lambda uuid: (uuid in last, uses[uuid]))
            return tuple(ordered[:width])
    return None


def withColumns(old: Placement, before: Placement, more: Columns) -> Placement:
    """
    A placement with more columns, unless it is not as C{before} any more, or all of
    a new one is stale by now, or the file is being moved since to one of the data
    servers that are new to it. The placement where the file is being moved to
    gets them, too, if it has the same chunks.
    """
    following = old.next
    # Who moves the file copies into a data file that nobody else writes, as he thinks.
    taken = () if following is None else following.dataServers
    if old.columns != before.columns or any(
        (old.stale and set(column) <= set(old.stale))
        or any(uuid in taken and uuid not in old.dataServers for uuid in column)
        for column in more
    ):
        return old
    if (
        following is not None
        and following.chunk == old.chunk
        and len(following.columns) == len(old.columns)
    ):
        following = attrs.evolve(following, columns=following.columns + more)
    return attrs.evolve(old, columns=old.columns + more, next=following)


class Growing:
    """
    The part of L{pnfs.mds.placing.Placing} that adds chunks.
    """

    _servers: DataServers
    _turns: Turns
    settings: Settings
    _sequence: int

    async def change(
        self, export: Any, inode: Inode, change: Callable[[Placement], Placement]
    ) -> Optional[Placement]:
        """
        See L{pnfs.mds.placing.Placing.change}.
        """
        raise NotImplementedError

    async def _makeSomewhere(
        self,
        inode: Inode,
        choose: Callable[[set[bytes]], Placement],
        made: dict[bytes, None],
        had: Sequence[bytes] = (),
    ) -> Placement:
        raise NotImplementedError

    async def _unmake(
        self, export: Any, inode: Inode, name: bytes, uuids: Collection[bytes]
    ) -> None:
        raise NotImplementedError

    async def grow(self, export: Any, inode: Inode, end: int) -> Placement:
        """
        The placement of a file that has one, with as many chunks as it takes to write
        up to C{end}.

        @raise Unreachable: a data server needed for it does not answer.
        """
        key = (export.id, inode.handle)
        await self._turns.take(key)
        try:
            placement = await self.grown(export, inode, end)
        finally:
            self._turns.give(key)
        if placement is None:
            raise NoSuchObject("the file has no data files")
        return placement

    async def grown(self, export: Any, inode: Inode, end: int) -> Optional[Placement]:
        """
        As L{grow}, for who is alone at work on the file already; None if it has no
        placement.
        """
        placement = await export.backend.loadPlacement(inode)
        while placement is not None and missing(placement, end):
            placement = await self._add(export, inode, placement, end)
        return placement  # type: ignore[no-any-return]

    async def _add(
        self, export: Any, inode: Inode, placement: Placement, end: int
    ) -> Optional[Placement]:
        """
        Give a file more chunks. The data files are there before the placement is
        stored; their data servers are not told to anybody before that is durable.

        @return: the placement as it is now: if somebody else has changed it there is
            nothing new in it.
        """
        wanted = await self.settings.wanted(export, inode)
        had = placement.dataServers
        made: dict[bytes, None] = {}

        def choose(full: set[bytes]) -> Placement:
            choices = self._choices(export, wanted, full)
            return self._withChunks(
                export, inode, placement, choices, wanted.policy, end
            )

        try:
            grown = await self._makeSomewhere(inode, choose, made, had)
            more = grown.columns[len(placement.columns) :]
            stored = await self.change(
                export, inode, lambda old: withColumns(old, placement, more)
            )
        except BackendError:
            await self._unmake(export, inode, placement.name, made)
            raise
        left = [u for u in made if stored is None or u not in stored.everywhere]
        await self._unmake(export, inode, placement.name, left)
        if stored is None:
            return None
        if stored.epoch != placement.epoch:
            await gather(
                [
                    self._servers.fence(uuid, stored.name, stored.epoch)
                    for uuid in made
                    if uuid not in left
                ]
            )
        if not inode.nlink:
            # Removed while it is open: so will be the new data files.
            await export.backend.enqueueRemoval(stored, True)
        return stored

    def _withChunks(
        self,
        export: Any,
        inode: Inode,
        placement: Placement,
        choices: Sequence[Sequence[DataServer]],
        policy: IPlacementPolicy,
        end: int = 0,
    ) -> Placement:
        """
        A placement with as many chunks as it takes for the file, and up to C{end}.

        @param choices: as for L{nextColumns}.
        """
        count = missing(placement, max(end, inode.size))
        if not count:
            return placement
        path = export.backend.pathOf(inode)
        width = len(placement.columns[0])

        def order(servers: Sequence[DataServer]) -> Sequence[DataServer]:
            self._sequence += 1
            request = PlaceRequest(
                0, 1, width, placement.name, self._sequence, path, placement.chunk
            )
            return policy.order(request, servers)

        more = nextColumns(placement, count, order, choices)
        return attrs.evolve(placement, columns=placement.columns + more)

    def _choices(
        self, export: Any, wanted: Wanted, full: set[bytes]
    ) -> Sequence[Sequence[DataServer]]:
        """
        Data servers for new data files: those with room, and all that answer.

        @param full: not these.
        """
        usable = [
            server
            for server in wanted.among(self._servers.serving(export))
            if server.uuid not in full and self._servers.up(server.uuid)
        ]
        roomy = [server for server in usable if self._servers.roomy(server.uuid)]
        return roomy, usable
