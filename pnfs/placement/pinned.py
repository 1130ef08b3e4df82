# -*- test-case-name: tests.placement.test_pinned -*-
"""
Placement by directory: what lies below certain paths goes to certain data servers.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from zope.interface import implementer

from pnfs.backends.errors import BadConfiguration
from pnfs.interfaces import IPlacementPolicy
from pnfs.placement.weighted import WeightedPolicy
from pnfs.values import DataServer, PlaceRequest


@implementer(IPlacementPolicy)
class PinnedPolicy:
    """
    The options are paths in the export, such as C{"/video"}, each with a list of names
    of data servers: new files below it go to these alone, the longest path being the
    one that counts. Among them, and for files elsewhere, free space decides.
    """

    name = "pinned"

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._pins = {_path(key): _names(key, names) for key, names in options.items()}
        if not self._pins:
            raise BadConfiguration(
                "placement policy 'pinned' needs to know what goes where; give it "
                'options such as "/video" = ["ds1", "ds2"]'
            )
        self._weighted = {pin: WeightedPolicy({}) for pin in [None, *self._pins]}

    def order(
        self, request: PlaceRequest, servers: Sequence[DataServer]
    ) -> Sequence[DataServer]:
        """
        As L{IPlacementPolicy.order}.
        """
        path = request.path
        fitting = [pin for pin in self._pins if path[: len(pin)] == pin]
        if not fitting:
            return self._weighted[None].order(request, servers)
        pin = max(fitting, key=len)
        names = self._pins[pin]
        found = [server for server in servers if server.name in names]
        if not found:
            raise ValueError(
                f"files below /{b'/'.join(pin).decode('utf-8')} are for "
                f"{', '.join(names)} alone"
            )
        return self._weighted[pin].order(request, found)


def _path(text: str) -> tuple[bytes, ...]:
    """
    The names of a path.
    """
    names = [name for name in text.split("/") if name]
    if not text.startswith("/") or not names or "." in names or ".." in names:
        raise BadConfiguration(
            f"placement policy 'pinned': {text!r}: write a path in the export, such "
            "as '/video'"
        )
    return tuple([name.encode("utf-8") for name in names])


def _names(key: str, names: Any) -> tuple[str, ...]:
    if (
        not isinstance(names, list)
        or not names
        or not all(isinstance(name, str) and name for name in names)
    ):
        raise BadConfiguration(
            f"placement policy 'pinned': {key}: write a list of names of data servers"
        )
    return tuple(names)
