# -*- test-case-name: tests.mds.commands.test_moves -*-
"""
Files that get chunks, others, or none.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Sequence

import attrs

from pnfs.layouts.striping import missing
from pnfs.mds.choices import Below
from pnfs.mds.chunks import nextColumns
from pnfs.mds.targets import Impossible
from pnfs.values import DataServer, Inode, Placement


class Chunks(Below):
    """
    Files lie in chunks of some size. The first one stays where the file begins.
    """

    kind = "chunk"

    def describe(self) -> str:
        """
        See L{Choice.describe}.
        """
        chunk = self.args["chunk"]
        return f"{self.where}: " + (
            f"chunks of {chunk} bytes" if chunk else "no chunks"
        )

    async def target(
        self, export: Any, inode: Inode, placement: Placement
    ) -> Placement:
        """
        See L{Below.target}.
        """
        chunk: int = self.args["chunk"]
        if len(placement.columns) > 1 and not placement.chunk:
            raise Impossible(
                "striped files have no chunks; make it one stripe first: "
                "'pnfs restripe PATH --stripe-count 1'"
            )
        if chunk == placement.chunk and not missing(placement, inode.size):
            return placement
        first = placement.columns[:1]
        bare = attrs.evolve(placement, columns=first, chunk=chunk, stripeUnit=0)
        count = missing(bare, inode.size)
        if not count:
            return bare
        try:
            ranked = await self.site.placing.ranked(
                export, inode, len(first[0]), inode.size // (count + 1)
            )
        except ValueError as error:
            raise Impossible(str(error)) from None
        uses = Counter(first[0])

        def order(servers: Sequence[DataServer]) -> Sequence[DataServer]:
            found = sorted(servers, key=lambda server: uses[server.uuid])
            uses.update(server.uuid for server in found[: len(first[0])])
            return found

        return attrs.evolve(
            bare, columns=first + nextColumns(bare, count, order, [ranked])
        )
