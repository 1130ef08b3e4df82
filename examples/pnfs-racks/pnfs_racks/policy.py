"""
Copies of a file in different racks.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from zope.interface import implementer

from pnfs.interfaces import IPlacementPolicy
from pnfs.placement.weighted import WeightedPolicy
from pnfs.values import DataServer, PlaceRequest


@implementer(IPlacementPolicy)
class RackPolicy:
    """
    By free space, but one data server of each rack first.

    The option C{separator} says what ends the name of the rack in that of a data
    server; a dash by default.
    """

    name = "racks"

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._separator = str(options.get("separator", "-"))
        self._weighted = WeightedPolicy({})

    def order(
        self, request: PlaceRequest, servers: Sequence[DataServer]
    ) -> Sequence[DataServer]:
        """
        As L{IPlacementPolicy.order}.
        """
        seen: dict[str, int] = {}

        def rank(server: DataServer) -> int:
            rack = server.name.partition(self._separator)[0]
            seen[rack] = seen.get(rack, -1) + 1
            return seen[rack]

        # Sorting keeps the order among those of the same rank.
        return sorted(self._weighted.order(request, servers), key=rank)
