"""
What every placement policy does.
"""

from __future__ import annotations

from typing import Any, Optional, Sequence

from zope.interface.verify import verifyObject

from pnfs.interfaces import IPlacementPolicy
from pnfs.values import DataServer, PlaceRequest

GB = 10**9


def servers(*free: Optional[int], label: str = "") -> list[DataServer]:
    """
    C{ds1}, C{ds2}, … with so many bytes free.
    """
    return [
        DataServer(
            bytes([number]) * 16, f"ds{number}", (), spaceFree=space, label=label
        )
        for number, space in enumerate(free, 1)
    ]


def request(sequence: int, **more: Any) -> PlaceRequest:
    """
    For a file on one data server.
    """
    return PlaceRequest(
        stripeUnit=1 << 20,
        **{"stripeCount": 1, "mirrors": 1, "name": b"ab", "sequence": sequence, **more},
    )


class PlacementPolicyContract:
    """
    Mix into a test case.

    @ivar policy: the policy, made in C{setUp}.
    """

    policy: Any

    def first(
        self, count: int, some: Sequence[DataServer], take: int = 1, **more: Any
    ) -> list[list[int]]:
        """
        The numbers of the first C{take} data servers of each of some files.
        """
        return [
            [s.uuid[0] for s in self.policy.order(request(n, **more), some)[:take]]
            for n in range(1, count + 1)
        ]

    def test_provides(self) -> None:
        """
        It is a placement policy.
        """
        verifyObject(IPlacementPolicy, self.policy)

    def test_onceEach(self) -> None:
        """
        No data server is given a file twice, nor one that may not be used.
        """
        some = servers(GB, None, 0, 5 * GB)
        for number in range(1, 20):
            for more in ({}, {"mirrors": 2}, {"stripeCount": 0}, {"stripeCount": 9}):
                found = list(self.policy.order(request(number, **more), some))
                self.assertEqual(len(found), len(set(found)))  # type: ignore[attr-defined]
                self.assertTrue(set(found) <= set(some))  # type: ignore[attr-defined]
                self.assertTrue(found)  # type: ignore[attr-defined]

    def test_one(self) -> None:
        """
        A lone data server gets everything, full or not.
        """
        for free in (GB, 0, None):
            self.assertEqual(  # type: ignore[attr-defined]
                self.first(3, servers(free)), [[1], [1], [1]]
            )

    def test_comingAndGoing(self) -> None:
        """
        Data servers may come and go from one file to the next.
        """
        some = servers(GB, GB, GB)
        for number in range(1, 30):
            present = some[: 1 + number % 3]
            found = self.policy.order(request(number), present)
            self.assertIn(found[0], present)  # type: ignore[attr-defined]
