# -*- test-case-name: tests.mds.test_verification -*-
"""
Do all mirrors of a file have the same bytes?

Data servers tell checksums of what they have. Where these differ somebody may just be
writing, so the file is looked at again while no client has a layout of it and nobody
writes through the metadata server: what differs then is wrong.
"""

from __future__ import annotations

from typing import Any, Callable

import attrs

from pnfs.backends.errors import BackendError, NoSuchObject
from pnfs.mds.datafiles import DataFiles
from pnfs.mds.dataservers import DataServers
from pnfs.mds.placed import alone, pinned, placedFiles
from pnfs.nfs4.context import ServerContext
from pnfs.values import Inode

REASON = "mirrors compared"

PROBLEMS = 1000
"""That are told of; more are counted only."""


@attrs.define
class Verified:
    """
    What has come of it.

    @ivar files: that have mirrors, compared; stale: of them that have one to be
        repaired, which was left out.
    @ivar wrong: of those that differ, or could not be compared; problems: which, and
        why.
    """

    files: int = 0
    stale: int = 0
    wrong: int = 0
    problems: list[str] = attrs.Factory(list)

    def add(self, path: str, problem: str) -> None:
        """
        A file is not as it should be.
        """
        self.wrong += 1
        if len(self.problems) < PROBLEMS:
            self.problems.append(f"{path}: {problem}")


class Verification:
    """
    Compares mirrors.
    """

    def __init__(
        self, server: ServerContext, servers: DataServers, data: DataFiles
    ) -> None:
        self._server = server
        self._servers = servers
        self._data = data

    async def run(self, wanted: Callable[[], bool]) -> Verified:
        """
        Compare the mirrors of all files.

        @param wanted: does anybody still want to know?
        """
        found = Verified()
        for export in list(self._server.exports.byPath.values()):
            async for inode, path in placedFiles(export, self._server.clock):
                if not wanted():
                    return found
                try:
                    await self._verify(found, export, inode, path)
                except NoSuchObject:
                    # Removed meanwhile.
                    continue
                except BackendError as error:
                    found.add(path, str(error) or type(error).__name__)
        return found

    async def _verify(
        self, found: Verified, export: Any, inode: Inode, path: str
    ) -> None:
        placement = await export.backend.loadPlacement(inode)
        if placement is None or all(len(c) < 2 for c in placement.columns):
            return
        found.files += 1
        found.stale += bool(placement.stale)
        repair = self._data.repair
        suspected = await repair.compare(export, inode)
        if not suspected:
            return
        inode = await export.backend.byHandle(inode.handle)
        with pinned(self._server, export, inode) as file:
            async with alone(self._server, file, REASON):
                differing = await repair.compare(export, inode, suspected)
        for uuid, ranges in differing.items():
            found.add(
                path,
                f"{self._servers.byUUID(uuid).config.name} differs in "
                + ", ".join(f"{n} bytes at {at}" for at, n in ranges[:3])
                + (f" and {len(ranges) - 3} other places" if ranges[3:] else ""),
            )
