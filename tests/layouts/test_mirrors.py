"""
Tests for L{pnfs.layouts.mirrors}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pnfs.layouts.mirrors import efficiencies, readOrder


class MirrorTests(SynchronousTestCase):
    """
    Reading uses one mirror, and another one if that is down.
    """

    def test_efficiencies(self) -> None:
        """
        Clients read from the first mirror of a placement.
        """
        self.assertEqual(list(efficiencies(3)), [3, 2, 1])

    def test_readOrder(self) -> None:
        """
        A mirror suspected to be down is tried last, not never.
        """
        self.assertEqual(readOrder("abc"), ["a", "b", "c"])
        self.assertEqual(readOrder("abc", {"a"}), ["b", "c", "a"])
