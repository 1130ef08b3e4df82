# -*- test-case-name: tests.mds.test_placing -*-
"""
Where a new file's bytes go: its data files are made when they are first needed, and
those of further chunks before anything is written there.
"""

from __future__ import annotations

from typing import Any, Callable, Collection, Optional, Sequence

import attrs
from twisted.logger import Logger

from pnfs.backends.ds.remote import gather, gatherOutcomes
from pnfs.backends.errors import BackendError, NoSpace, Unreachable
from pnfs.layouts.striping import missing
from pnfs.mds.chunks import Growing
from pnfs.mds.dataservers import DataServers
from pnfs.mds.settings import Settings, Wanted
from pnfs.mds.turns import Turns
from pnfs.namespace.filehandles import objectName
from pnfs.values import DataServer, Inode, PlaceRequest, Placement, SetAttributes

_MOVED = 65536

_log = Logger()


class Placing(Growing):
    """
    Has layout drivers choose data servers, and makes the data files there.

    @ivar degrading: L{pnfs.mds.degrade.Degrading}, if files are to go on without
        mirrors that are lost.
    @ivar index: L{pnfs.mds.fileindex.FileIndex}, if one is kept.
    @ivar settings: what new files are to be like.
    @ivar switches: grows whenever a file with data has gone elsewhere. Who has read
        meanwhile may have read what was taken away (L{requireSteady}).
    """

    def __init__(self, servers: DataServers, turns: Turns) -> None:
        """
        @param turns: by (export id, handle): whoever makes is alone at work.
        """
        self._servers = servers
        self._turns = turns
        self._changing = Turns()
        self.degrading: Any = None
        self.index: Any = None
        self.settings = Settings()
        self.switches = 0
        self._sequence = 0
        self._complaints: dict[int, str] = {}
        self._moving: set[tuple[int, bytes]] = set()
        self._moved: set[tuple[int, bytes]] = set()

    async def place(
        self, export: Any, inode: Inode, like: Optional[Placement] = None
    ) -> Placement:
        """
        The file's placement; makes the data files if there are none yet.

        @param like: of a file it would be good to be placed like.
        @raise Unreachable: a data server needed for it does not answer.
        @raise NoSpace: no data server can take it.
        """
        key = (export.id, inode.handle)
        if inode.hasPlacement and key not in self._moving:
            placement = await export.backend.loadPlacement(inode)
            if placement is not None:
                return placement  # type: ignore[no-any-return]
        await self._turns.take(key)
        try:
            placement = await export.backend.loadPlacement(inode)
            if placement is None:
                placement = await self._make(export, inode, like)
            return placement  # type: ignore[no-any-return]
        finally:
            self._turns.give(key)

    async def share(
        self, export: Any, inode: Inode, end: int, like: Optional[Placement] = None
    ) -> Placement:
        """
        What may be read and written of the file's placement as of L{place}, and a turn
        shared with others, as long as which nobody moves it.

        @param end: the file is going to be written up to there.
        """
        placement = await self.place(export, inode, like)
        key = (export.id, inode.handle)
        while True:
            waited = await self._turns.share(key)
            try:
                if waited or key in self._moved:
                    placement = await export.backend.loadPlacement(inode)
                if self._servers.condemned:
                    placement = await self.degrading.writable(export, inode, placement)
            except BaseException:
                self._turns.unshare(key)
                raise
            if not placement.chunk or not missing(placement, end):
                return placement.live
            self._turns.unshare(key)
            placement = await self.grow(export, inode, end)

    async def writable(self, export: Any, inode: Inode) -> Optional[Placement]:
        """
        What is to be written of a file's data files if something of them changes;
        None if it has none.
        """
        placement = await export.backend.loadPlacement(inode)
        if placement is None:
            return None
        if self._servers.condemned:
            placement = await self.degrading.writable(export, inode, placement)
        return placement.live  # type: ignore[no-any-return]

    async def change(
        self, export: Any, inode: Inode, change: Callable[[Placement], Placement]
    ) -> Optional[Placement]:
        """
        Store a file's placement as C{change} makes it of the present one, while nobody
        else stores it: of several that change something of it, none is lost.

        @return: it, durable; None if the file has none.
        """
        key = (export.id, inode.handle)
        await self._changing.take(key)
        try:
            old = await export.backend.loadPlacement(inode)
            if old is None:
                return None
            new = change(old)
            if new is not old:
                await self._store(export, inode, new, old)
            return new
        finally:
            self._changing.give(key)

    async def _store(
        self, export: Any, inode: Inode, new: Placement, old: Optional[Placement]
    ) -> None:
        """
        The only place where placements are stored: the index is told of each.
        """
        index = self.index
        if index is not None:
            index.storing(export, inode, new, old)
        await export.backend.storePlacement(inode, new)
        if index is not None:
            index.stored(export, inode, new)

    def switched(self, export: Any, inode: Inode) -> None:
        """
        A file is elsewhere now; before anything is taken away where it was.
        """
        self.switches += 1
        self._remember((export.id, inode.handle))

    async def requireSteady(
        self, export: Any, inode: Inode, placement: Placement
    ) -> None:
        """
        To be called by who has read from a file's data files while C{switches} grew.

        @raise Unreachable: it was this file; what was read there may have been taken
            away before, so it is to be read again.
        """
        if await export.backend.loadPlacement(inode) != placement:
            raise Unreachable("the file has gone elsewhere meanwhile")

    def _remember(self, key: tuple[int, bytes]) -> None:
        if len(self._moved) >= _MOVED:
            # Whoever still works with an earlier placement has begun long since.
            self._moved.clear()
        self._moved.add(key)

    async def better(
        self, export: Any, inode: Inode, like: Placement
    ) -> Optional[Placement]:
        """
        How an empty file would be placed like another one; None if it is so already,
        or cannot be.
        """
        if inode.size or not inode.hasPlacement:
            return None
        placement = await export.backend.loadPlacement(inode)
        if placement is None or placement.stale or placement.next is not None:
            return None
        wanted = await self.settings.wanted(export, inode)
        servers = [
            server
            for server in wanted.among(self._servers.serving(export))
            if self._servers.up(server.uuid)
        ]
        found = _alike(placement, like, servers)
        return None if found.columns == placement.columns else found

    async def move(
        self, export: Any, inode: Inode, like: Placement, free: Callable[[], bool]
    ) -> None:
        """
        Place an empty file like another one, if it is empty still, and nobody has a
        layout of it. Whoever wants one meanwhile waits. The new epoch makes worthless
        what was granted before, should somebody still have it.
        """
        key = (export.id, inode.handle)
        self._moving.add(key)
        await self._turns.take(key)
        try:
            found = await self.better(export, inode, like)
            if found is None or not free():
                return
            old = await export.backend.loadPlacement(inode)
            data = await self._servers.askAll(old)
            if any(attributes.size for attributes in data.values()) or not free():
                return
            new = attrs.evolve(found, epoch=old.epoch + 1)
            await gather(
                [
                    self._servers.on(uuid, lambda ds: self._createOne(ds, inode, new))
                    for uuid in new.dataServers
                ]
            )
            self._remember(key)
            stored = await self.change(
                export,
                inode,
                lambda now: (
                    attrs.evolve(now, columns=new.columns, epoch=now.epoch + 1)
                    if now.columns == old.columns and now.next is None
                    else now
                ),
            )
            assert stored is not None
            await self._servers.fenceAll(stored)
            await self._unmake(
                export, inode, old.name, (*old.dataServers, *new.dataServers)
            )
        finally:
            self._moving.discard(key)
            self._turns.give(key)

    async def _make(
        self, export: Any, inode: Inode, like: Optional[Placement]
    ) -> Placement:
        """
        Make the data files, elsewhere if a data server is full or falls silent.
        """
        name = objectName(export.id, inode.handle)
        made: dict[bytes, None] = {}
        owner = _ownerOf(inode)
        try:
            wanted = await self.settings.wanted(export, inode)
            placement = await self._makeSomewhere(
                inode,
                lambda full: self._choose(export, inode, name, full, like, wanted),
                made,
            )
            owner = await self._follow(placement, inode, owner)
        except BackendError as error:
            await self._unmake(export, inode, name, made)
            if isinstance(error, NoSpace):
                self._complain(export, str(error))
            raise
        self._complaints.pop(export.id, None)
        left = [uuid for uuid in made if uuid not in placement.dataServers]
        await self._unmake(export, inode, name, left)
        # Nobody can have written there before.
        inode.asked = True
        await self._store(export, inode, placement, None)
        await self._follow(placement, inode, owner)
        return placement

    def _complain(self, export: Any, reason: str) -> None:
        """
        New files cannot be placed: tell the operator why, once.
        """
        if self._complaints.get(export.id) != reason:
            self._complaints[export.id] = reason
            _log.error(
                "export {path}: there is no place for a new file: {reason}",
                path=export.path,
                reason=reason,
            )

    async def _follow(
        self, placement: Placement, inode: Inode, owner: SetAttributes
    ) -> SetAttributes:
        """
        Owner or mode may have changed while nobody knew that there are data files.

        @param owner: what they have been given. @return: what they have now.
        """
        while owner != _ownerOf(inode):
            owner = now = _ownerOf(inode)
            await self._servers.onAll(
                placement, lambda ds: ds.setattr(placement.name, now)
            )
        return owner

    async def _unmake(
        self, export: Any, inode: Inode, name: bytes, uuids: Collection[bytes]
    ) -> None:
        """
        Remove data files that were made in vain, but not where the file is by now, or
        is to be. Should that not work, an empty one is left, as after a crash.
        """
        if not uuids:
            return
        key = (export.id, inode.handle)
        await self._changing.take(key)
        try:
            now = await export.backend.loadPlacement(inode)
            named = () if now is None else now.everywhere
            await gatherOutcomes(
                [
                    self._servers.on(uuid, lambda ds: ds.remove(name))
                    for uuid in uuids
                    if uuid not in named
                ]
            )
        finally:
            self._changing.give(key)

    async def _makeSomewhere(
        self,
        inode: Inode,
        choose: Callable[[set[bytes]], Placement],
        made: dict[bytes, None],
        had: Sequence[bytes] = (),
    ) -> Placement:
        """
        @param choose: is told which data servers are full.
        @param made: gets the UUIDs of the data servers where there is something now.
        @param had: those where there has been something before.
        """
        full: set[bytes] = set()
        while True:
            placement = choose(full)
            uuids = [uuid for uuid in placement.dataServers if uuid not in had]
            outcomes = await gatherOutcomes(
                [
                    self._servers.on(
                        uuid, lambda ds: self._createOne(ds, inode, placement)
                    )
                    for uuid in uuids
                ]
            )
            made.update(
                (uuid, None)
                for uuid, outcome in zip(uuids, outcomes)
                if not isinstance(outcome, Unreachable)
            )
            full.update(
                uuid
                for uuid, outcome in zip(uuids, outcomes)
                if isinstance(outcome, NoSpace)
            )
            failures = [o for o in outcomes if isinstance(o, Exception)]
            for failure in failures:
                if not isinstance(failure, (Unreachable, NoSpace)):
                    raise failure
            if not failures:
                return placement

    def _choose(
        self,
        export: Any,
        inode: Inode,
        name: bytes,
        full: set[bytes],
        like: Optional[Placement],
        wanted: Wanted,
    ) -> Placement:
        """
        Have the driver place a file: on data servers with room; if these are too
        few, also on those that have little.

        @raise Unreachable: it would work if data servers answered that do not.
        @raise NoSpace: it would not work even then.
        """
        settings = wanted.settings
        reason = ""
        # Drivers pass over those that are not available.
        known = [
            attrs.evolve(server, available=True)
            for server in wanted.among(self._servers.serving(export))
            if server.uuid not in full
        ]
        usable = [server for server in known if self._servers.up(server.uuid)]
        roomy = [server for server in usable if self._servers.roomy(server.uuid)]
        self._sequence += 1
        for servers in (roomy, usable, known):
            if not servers:
                continue
            request = PlaceRequest(
                stripeUnit=settings.stripeUnit or 0,
                stripeCount=min(settings.stripeCount or 0, len(servers)),
                mirrors=settings.mirrors or 1,
                name=name,
                sequence=self._sequence,
                path=export.backend.pathOf(inode),
                chunk=settings.chunk or 0,
            )
            try:
                chosen = wanted.policy.order(request, servers)
                columns = min(request.stripeCount, len(chosen))
                placement: Placement = wanted.driver.place(
                    attrs.evolve(request, stripeCount=columns), chosen
                )
            except ValueError as error:
                reason = str(error)
                continue
            if servers is not known:
                placement = _alike(placement, like, servers)
                return self._withChunks(
                    export, inode, placement, [servers], wanted.policy
                )
            raise Unreachable("data servers needed for a new file do not answer")
        if self._servers.unknown(export):
            raise Unreachable("data servers have never answered yet")
        if not known and not full:
            reason = wanted.nobody
        raise NoSpace(reason or "every data server is full")

    async def ranked(
        self, export: Any, inode: Inode, count: int, room: int
    ) -> Sequence[DataServer]:
        """
        The data servers that could be given some of a file now, best first.

        @param count: how many are wanted.
        @param room: bytes it may need at each of them.
        @raise ValueError: none of them may be used; one line that says why.
        """
        wanted = await self.settings.wanted(export, inode)
        servers = [
            server
            for server in wanted.among(self._servers.serving(export))
            if self._servers.up(server.uuid)
            and self._servers.roomy(server.uuid)
            and (server.spaceFree is None or server.spaceFree > room)
        ]
        if not servers:
            return ()
        self._sequence += 1
        request = PlaceRequest(
            stripeUnit=wanted.settings.stripeUnit or 0,
            stripeCount=min(count, len(servers)),
            mirrors=1,
            name=objectName(export.id, inode.handle),
            sequence=self._sequence,
            path=export.backend.pathOf(inode),
        )
        found: Sequence[DataServer] = wanted.policy.order(request, servers)
        return found

    async def _createOne(self, ds: Any, inode: Inode, placement: Placement) -> None:
        await ds.create(
            placement.name, inode.uid, inode.gid, dataMode(inode), placement.epoch
        )
        if inode.size:
            await ds.extend(placement.name, inode.size)


def _alike(
    placement: Placement, like: Optional[Placement], servers: Sequence[DataServer]
) -> Placement:
    """
    A placement of the same shape on the data servers of another one, if they can be
    used now. A file in chunks gets as many as the other one has.
    """
    usable = {server.uuid for server in servers}
    if like is None or not usable.issuperset(like.dataServers):
        return placement
    shape = [len(column) for column in placement.columns]
    if placement.chunk:
        shape = shape[:1] * len(like.columns)
    if (like.layout, like.stripeUnit, like.chunk) != (
        placement.layout,
        placement.stripeUnit,
        placement.chunk,
    ) or shape != [len(column) for column in like.columns]:
        return placement
    return attrs.evolve(placement, columns=like.columns)


def _ownerOf(inode: Inode) -> SetAttributes:
    return SetAttributes(mode=dataMode(inode), uid=inode.uid, gid=inode.gid)


def dataMode(inode: Inode) -> int:
    """
    The mode of a file's data files. Where an access control list decides, they are
    open to all: the handle, given only to those whom the list allows, is what
    authorises (docs/adr/0005-access-control-lists-and-data-files.md).
    """
    return inode.mode if inode.acl is None else 0o666
