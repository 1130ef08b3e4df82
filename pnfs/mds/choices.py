# -*- test-case-name: tests.mds.test_mover -*-
"""
What is to be moved, and where to: one class per kind of job. Each says of any file
where it is to be, or that it is right where it is; so a job that begins again, after a
restart or because something has failed, goes on where it was.

C{args} is what a job is kept as, and begins with again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, AsyncIterator, Mapping, Optional, Sequence

import attrs

from pnfs.backends.errors import NoSuchObject
from pnfs.mds import targets
from pnfs.mds.dataservers import DataServers
from pnfs.mds.placed import placedFiles
from pnfs.mds.placing import Placing
from pnfs.mds.targets import Impossible
from pnfs.mds.withdrawal import pause
from pnfs.nfs4.context import ServerContext
from pnfs.values import FileType, Inode, Placement

PAGE = 1000
"""Files that the index is asked for at a time."""

TURN = 64
"""Files that are looked at before others have their turn."""

File = tuple[Any, bytes]
"""Its export and its handle."""


@attrs.define
class Site:
    """
    What choices go by.

    @ivar index: L{pnfs.mds.fileindex.FileIndex}, if one is kept.
    """

    server: ServerContext
    servers: DataServers
    placing: Placing
    index: Any = None

    async def ranked(
        self, export: Any, inode: Inode, count: int, room: int
    ) -> Sequence[bytes]:
        """
        As L{Placing.ranked}: UUIDs.

        @raise Impossible: none of them may be used.
        """
        try:
            found = await self.placing.ranked(export, inode, count, room)
        except ValueError as error:
            raise Impossible(str(error)) from None
        return [server.uuid for server in found]

    @property
    def known(self) -> bool:
        """
        The index names all files, or there is none.
        """
        exports = self.server.exports.byPath.values()
        return self.index is None or self.index.whole.issuperset(e.id for e in exports)

    def require(
        self, export: Any, inode: Inode, placement: Placement, target: Placement
    ) -> Placement:
        """
        As L{targets.require}; and there must be room.
        """
        found = targets.require(export, placement, target)
        width = 1 if found.chunk else len(found.columns)
        for uuid in set(found.dataServers).difference(placement.dataServers):
            member = self.servers.find(uuid)
            space = None if member is None else member.space
            if space is not None and inode.used // width > space.spaceAvailable:
                raise Impossible(
                    f"{self.name(uuid)} has {space.spaceAvailable} bytes free, and the "
                    f"file takes {inode.used // width} there; name another data server"
                )
        return found

    @property
    def silent(self) -> bool:
        """
        Is there a data server that could be used if it answered?
        """
        return any(m.state.takesNew and not m.up for m in self.servers.members)

    def name(self, uuid: bytes) -> str:
        """
        Of a data server.
        """
        member = self.servers.find(uuid)
        return uuid.hex() if member is None else member.record.name

    async def onServer(self, uuid: bytes) -> AsyncIterator[File]:
        """
        Files, among them all that may have something on a data server.
        """
        exports = self.server.exports
        indexed = set() if self.index is None else set(self.index.whole)
        for export in list(exports.byPath.values()):
            if export.id not in indexed:
                async for inode, _ in placedFiles(export, self.server.clock):
                    yield export, inode.handle
        after = 0
        while indexed and (found := await self.index.files(uuid, after, PAGE)):
            for count, each in enumerate(found):
                if not count % TURN:
                    await pause(self.server.clock, 0)
                after = each.position
                export = exports.byId.get(each.export)
                if export is not None and each.export in indexed:
                    yield export, each.handle


class Choice(ABC):
    """
    A kind of job.

    @cvar kind: its name.
    @cvar repeats: files come under it while it goes on: it ends when none is left.
    @ivar args: what it is made of.
    """

    kind = ""
    repeats = False

    def __init__(self, site: Site, args: Mapping[str, Any]) -> None:
        self.site = site
        self.args = dict(args)

    @abstractmethod
    def describe(self) -> str:
        """
        For people, in a line.
        """

    @abstractmethod
    def files(self) -> AsyncIterator[File]:
        """
        Files, among them all that are to be moved.
        """

    @abstractmethod
    async def choose(
        self, export: Any, inode: Inode, placement: Placement
    ) -> Optional[Placement]:
        """
        Where a file is to be.

        @param placement: where it is, without C{next}.
        @return: None if it is right there.
        @raise Impossible: it cannot be.
        """

    async def count(self) -> Optional[int]:
        """
        How many files L{files} gives, if that is known without looking.
        """
        return None


class Away(Choice):
    """
    Everything that a data server has goes elsewhere.
    """

    kind = "drain"
    repeats = True

    def __init__(self, site: Site, args: Mapping[str, Any]) -> None:
        super().__init__(site, args)
        self.uuid = bytes.fromhex(self.args["uuid"])
        # It may be removed when it has been drained.
        self._name = site.name(self.uuid)

    def describe(self) -> str:
        """
        See L{Choice.describe}.
        """
        return f"drain {self._name}"

    def files(self) -> AsyncIterator[File]:
        """
        See L{Choice.files}.
        """
        return self.site.onServer(self.uuid)

    async def count(self) -> Optional[int]:
        """
        See L{Choice.count}.
        """
        index = self.site.index
        if index is None or not self.site.known:
            return None
        counts: tuple[int, int] = (await index.counts()).get(self.uuid, (0, 0))
        return counts[0]

    async def choose(
        self, export: Any, inode: Inode, placement: Placement
    ) -> Optional[Placement]:
        """
        See L{Choice.choose}.
        """
        if self.uuid not in placement.dataServers:
            return None
        ranked = await self.site.ranked(export, inode, 1, inode.size)
        ranked = [uuid for uuid in ranked if uuid != self.uuid]
        target = targets.away(placement, self.uuid, ranked)
        return self.site.require(export, inode, placement, target)


class Below(Choice):
    """
    The files at some paths, and below them.
    """

    @property
    def paths(self) -> Sequence[tuple[str, int, bytes]]:
        """
        Each with the id of its export and its handle.
        """
        return [
            (path, export, bytes.fromhex(handle))
            for path, export, handle in self.args["files"]
        ]

    async def _files(self) -> AsyncIterator[File]:
        site = self.site
        for path, number, handle in self.paths:
            export = site.server.exports.byId.get(number)
            if export is None:
                continue
            try:
                inode = await export.backend.byHandle(handle)
            except NoSuchObject:
                continue
            if inode.ftype != FileType.DIR:
                yield export, handle
                continue
            walk = placedFiles(export, site.server.clock, (handle, path))
            async for inode, _ in walk:
                yield export, inode.handle

    def files(self) -> AsyncIterator[File]:
        """
        See L{Choice.files}.
        """
        return self._files()

    @property
    def where(self) -> str:
        """
        The paths.
        """
        return ", ".join(path for path, _, _ in self.paths)

    @abstractmethod
    async def target(
        self, export: Any, inode: Inode, placement: Placement
    ) -> Placement:
        """
        Where a file is to be.
        """

    async def choose(
        self, export: Any, inode: Inode, placement: Placement
    ) -> Optional[Placement]:
        """
        See L{Choice.choose}.
        """
        target = await self.target(export, inode, placement)
        if (target.columns, target.stripeUnit, target.chunk) == (
            placement.columns,
            placement.stripeUnit,
            placement.chunk,
        ):
            return None
        return self.site.require(export, inode, placement, target)


class Onto(Below):
    """
    Files go to data servers that are named.
    """

    kind = "move"

    def __init__(self, site: Site, args: Mapping[str, Any]) -> None:
        super().__init__(site, args)
        self.to = [bytes.fromhex(each) for each in self.args["to"]]
        leaving = self.args["from"]
        self.leaving = bytes.fromhex(leaving) if leaving else b""

    def describe(self) -> str:
        """
        See L{Choice.describe}.
        """
        names = ", ".join(map(self.site.name, self.to))
        leaving = f" from {self.site.name(self.leaving)}" if self.leaving else ""
        return f"move {self.where}{leaving} to {names}"

    async def target(
        self, export: Any, inode: Inode, placement: Placement
    ) -> Placement:
        """
        See L{Below.target}.
        """
        if not self.leaving:
            return targets.onto(placement, self.to)
        if self.leaving not in placement.dataServers:
            return placement
        return targets.away(placement, self.leaving, self.to)


class Stripes(Below):
    """
    Files are striped otherwise.
    """

    kind = "restripe"

    def describe(self) -> str:
        """
        See L{Choice.describe}.
        """
        return f"restripe {self.where} to {self.args['count']}"

    async def target(
        self, export: Any, inode: Inode, placement: Placement
    ) -> Placement:
        """
        See L{Below.target}.
        """
        count: int = self.args["count"]
        unit: int = self.args["unit"] or placement.stripeUnit or export.stripeUnit
        if len(placement.columns) == count and (
            count == 1 or unit == placement.stripeUnit
        ):
            return targets.striped(placement, count, unit, ())
        ranked = await self.site.ranked(export, inode, count, inode.size // count)
        return targets.striped(placement, count, unit, ranked)


class Mirrors(Below):
    """
    Files have at least so many copies, or at most.
    """

    kind = "mirror"

    def __init__(self, site: Site, args: Mapping[str, Any]) -> None:
        super().__init__(site, args)
        self.least: int = self.args["least"]
        self.most: int = self.args["most"]
        self.to = bytes.fromhex(self.args["to"])
        self.leaving = bytes.fromhex(self.args["from"])

    def describe(self) -> str:
        """
        See L{Choice.describe}.
        """
        name = self.site.name
        if self.to:
            return f"{self.where}: a copy on {name(self.to)}"
        if self.leaving:
            return f"{self.where}: no copy on {name(self.leaving)}"
        if self.least:
            return f"{self.where}: at least {self.least} copies"
        return f"{self.where}: at most {self.most} copies"

    async def target(
        self, export: Any, inode: Inode, placement: Placement
    ) -> Placement:
        """
        See L{Below.target}.
        """
        widths = [len(column) for column in placement.columns]
        if self.leaving:
            if self.leaving not in placement.dataServers:
                return placement
            return targets.without(placement, self.leaving)
        if self.to:
            if all(self.to in column for column in placement.columns):
                return placement
            return targets.mirrored(placement, max(widths) + 1, [self.to])
        if self.least > min(widths):
            count = max(self.least, max(widths))
            ranked = await self.site.ranked(export, inode, count, inode.size)
            return targets.mirrored(placement, count, ranked)
        if 0 < self.most < max(widths):
            return targets.mirrored(placement, self.most, ())
        return placement
