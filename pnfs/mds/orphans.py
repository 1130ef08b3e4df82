# -*- test-case-name: tests.mds.test_orphans -*-
"""
Data files that belong to no file.

What a data server lists is compared with the index of files. A data file may belong to
nothing for a moment: it is made before its file says so. So one counts only if it
belonged to nothing at two looks with at least a lease in between, and if no file of that handle is still waiting for its data files.
Files that are being moved, and removed ones whose data files are still being deleted,
are in the index.

The index knows the exports that are served. What belongs to others, such as one that
has been taken out of the configuration, is left alone.
"""

from __future__ import annotations

from typing import Callable, Iterator, Sequence

from pnfs.backends.errors import BackendError, NoSuchObject
from pnfs.mds.dataservers import DataServers
from pnfs.mds.fileindex import FileIndex
from pnfs.mds.scrubstate import ORPHANS, Orphan
from pnfs.namespace.exports import ExportTable

EVERYTHING = 1 << 40
"""Names of data files that are asked for at once: data servers read all anyway."""

SOME = 500
"""That are looked up in the index at a time."""


class Orphans:
    """
    Looks for them.

    @ivar foreign: data files seen that belong to exports which are not served.
    """

    def __init__(
        self, servers: DataServers, index: FileIndex, exports: Callable[[], ExportTable]
    ) -> None:
        """
        @param exports: gives those that are served now.
        """
        self._servers = servers
        self._index = index
        self._exports = exports
        self.foreign = 0

    async def suspects(self, uuid: bytes) -> list[Orphan]:
        """
        The first look at a data server.

        @raise BackendError: it cannot be asked, or the index cannot.
        """
        self.requireWhole()
        prefixes = tuple(
            b"%08x" % export.id for export in self._exports().byPath.values()
        )
        names = await self._servers.on(uuid, lambda ds: ds.list(b"", EVERYTHING))
        found: list[Orphan] = []
        for some in _parts(names, SOME):
            places = await self._index.places(some)
            for name in some:
                if uuid in places.get(name, ()):
                    continue
                if name not in places and not name.startswith(prefixes):
                    self.foreign += 1
                elif len(found) < ORPHANS:
                    found.append(Orphan(uuid, name))
        return found

    async def confirmed(self, suspect: Orphan, remove: bool) -> bool:
        """
        The second look at a data file.

        @param remove: it is removed then.
        @return: it belongs to nothing still.
        @raise BackendError: it cannot be looked at.
        """
        uuid, name = suspect.uuid, suspect.name
        if await self._named(suspect) or await self._waiting(name):
            return False
        try:
            attributes = await self._servers.on(uuid, lambda ds: ds.getattr(name))
            suspect.size = attributes.size
            if await self._named(suspect):
                return False
            if remove:
                await self._servers.on(uuid, lambda ds: ds.remove(name))
                suspect.removed = True
        except NoSuchObject:
            return False
        return True

    async def _waiting(self, name: bytes) -> bool:
        """
        Is there a file without data files to which it may belong soon?
        """
        try:
            identity = bytes.fromhex(name.decode("ascii"))
        except ValueError:
            return False
        export = self._exports().byId.get(int.from_bytes(identity[:4], "big"))
        if export is None:
            return True
        try:
            inode = await export.backend.byHandle(identity[4:])
            return await export.backend.loadPlacement(inode) is None
        except NoSuchObject:
            return False

    def requireWhole(self) -> None:
        """
        @raise BackendError: the index may lack files: everything might belong to one.
        """
        for export in self._exports().byPath.values():
            if export.id not in self._index.whole:
                raise BackendError("the index of files is still being made")

    async def _named(self, suspect: Orphan) -> bool:
        self.requireWhole()
        places = await self._index.places([suspect.name])
        return suspect.uuid in places.get(suspect.name, ())


def _parts(names: Sequence[bytes], count: int) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(names), count):
        yield names[start : start + count]
