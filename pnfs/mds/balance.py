# -*- test-case-name: tests.mds.test_balance -*-
"""
Making data servers equally full: files go from those that are fuller than the average to
those that are emptier.

How full they are is asked for every few seconds, and files on their way do not show
there yet. So each round of the job reckons with what it has moved itself, from what the
data servers said at its beginning. Nothing goes where it would become fuller than
the average: so it ends.
"""

from __future__ import annotations

from typing import Any, AsyncIterator, Mapping, Optional

import attrs

from pnfs.mds import targets
from pnfs.mds.choices import Choice, File, Site
from pnfs.mds.dataservers import PROBE_SECONDS
from pnfs.mds.targets import Impossible
from pnfs.mds.withdrawal import pause
from pnfs.values import Inode, Placement

WITHIN = 5
"""Percent of its size that a data server may be fuller than the average."""

FRESH_SECONDS = 3 * PROBE_SECONDS
"""After which every data server has said anew how full it is."""


@attrs.define
class Fill:
    """
    A data server: its size, and what is used of it. Bytes.
    """

    total: int
    used: int

    @property
    def share(self) -> float:
        """
        From 0 to 1.
        """
        return self.used / self.total


class Balance(Choice):
    """
    All data servers that new files may go to are about equally full.

    @ivar fills: by UUID, as this round reckons.
    """

    kind = "rebalance"
    repeats = True

    def __init__(self, site: Site, args: Mapping[str, Any]) -> None:
        super().__init__(site, args)
        self.within: int = self.args["within"]
        self.fills: dict[bytes, Fill] = {}

    def describe(self) -> str:
        """
        See L{Choice.describe}.
        """
        return f"rebalance: none more than {self.within} % fuller than the average"

    def look(self) -> None:
        """
        Begin with what data servers say now.
        """
        self.fills = {
            member.uuid: Fill(
                member.space.spaceTotal,
                member.space.spaceTotal - member.space.spaceAvailable,
            )
            for member in self.site.servers.members
            if member.up
            and member.state.takesNew
            and member.space is not None
            and member.space.spaceTotal
        }

    @property
    def average(self) -> float:
        """
        How full they are together.
        """
        total = sum(fill.total for fill in self.fills.values())
        return sum(fill.used for fill in self.fills.values()) / total if total else 0.0

    def _over(self, uuid: bytes) -> bool:
        """
        Is a data server too full?
        """
        fill = self.fills.get(uuid)
        return fill is not None and fill.share > self.average + self.within / 100

    def files(self) -> AsyncIterator[File]:
        """
        See L{Choice.files}.
        """
        return self._files()

    async def _files(self) -> AsyncIterator[File]:
        if self.fills or self.site.silent:
            # What has just been moved must show; and who has just been started speak.
            await pause(self.site.server.clock, FRESH_SECONDS)
        self.look()
        ranked = sorted(self.fills, key=lambda u: self.fills[u].share, reverse=True)
        for uuid in ranked:
            if not self._over(uuid):
                continue
            async for export, handle in self.site.onServer(uuid):
                yield export, handle
                if not self._over(uuid):
                    break

    async def choose(
        self, export: Any, inode: Inode, placement: Placement
    ) -> Optional[Placement]:
        """
        See L{Choice.choose}.
        """
        full = [uuid for uuid in placement.live.dataServers if self._over(uuid)]
        part = inode.used // len(placement.columns)
        if not full or not part:
            return None
        leaving = max(full, key=lambda uuid: self.fills[uuid].share)
        room = {
            uuid: self.fills[uuid]
            for uuid in await self.site.ranked(export, inode, 1, part)
            if uuid in self.fills and uuid not in placement.dataServers
        }
        limit = self.average
        for uuid in sorted(room, key=lambda uuid: room[uuid].share):
            fill = room[uuid]
            if (fill.used + part) / fill.total > limit:
                continue
            try:
                target = targets.away(placement, leaving, [uuid], 1)
                target = targets.require(export, placement, target)
            except Impossible:
                continue
            fill.used += part
            self.fills[leaving].used -= part
            return target
        return None
