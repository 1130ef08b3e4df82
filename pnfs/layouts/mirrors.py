# -*- test-case-name: tests.layouts.test_mirrors -*-
"""
Which of a file's mirrors to use.
"""

from __future__ import annotations

from typing import Collection, Sequence, TypeVar

_T = TypeVar("_T")


def efficiencies(count: int) -> range:
    """
    C{ffds_efficiency} of the mirrors of a placement, in its order: clients read
    from the greatest. Placements begin with another data server for each file, so
    reading spreads over all of them.
    """
    return range(count, 0, -1)


def readOrder(mirrors: Sequence[_T], suspected: Collection[_T] = ()) -> list[_T]:
    """
    The mirrors in the order in which to try reading: as placed, those suspected to
    be down last. All are needed for writing.
    """
    return sorted(mirrors, key=lambda mirror: mirror in suspected)
