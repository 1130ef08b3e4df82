# -*- test-case-name: tests.placement.test_roundrobin -*-
"""
Placement in turn.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from zope.interface import implementer

from pnfs.interfaces import IPlacementPolicy
from pnfs.placement.options import refuseOptions
from pnfs.values import DataServer, PlaceRequest


@implementer(IPlacementPolicy)
class RoundRobinPolicy:
    """
    Consecutive data servers, from the next one on with each file, however full they
    are.
    """

    name = "round-robin"

    def __init__(self, options: Mapping[str, Any]) -> None:
        refuseOptions(self.name, options)

    def order(
        self, request: PlaceRequest, servers: Sequence[DataServer]
    ) -> Sequence[DataServer]:
        """
        As L{IPlacementPolicy.order}.
        """
        start = request.sequence % len(servers)
        return [*servers[start:], *servers[:start]]
