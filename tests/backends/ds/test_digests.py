"""
Tests of L{pnfs.backends.ds.digests}: what is remembered of a range that is written.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.ds.digests import UNIT, RangeDigests


class RangeDigestsTests(SynchronousTestCase):
    """
    Digests are known of what has been told, from the beginning on.
    """

    def setUp(self) -> None:
        self.digests = RangeDigests(1000)

    def test_anyOrder(self) -> None:
        """
        Blocks are written in whatever order; up to the first gap all is known.
        """
        self.digests.add(1000 + 4 * UNIT, 100, [b"e"])
        self.assertEqual(self.digests.known(4 * UNIT + 100), [])
        self.digests.add(1000, 2 * UNIT, [b"a", b"b"])
        self.assertEqual(self.digests.known(4 * UNIT + 100), [b"a", b"b"])
        self.digests.add(1000 + 2 * UNIT, 2 * UNIT, [b"c", b"d"])
        self.assertEqual(
            self.digests.known(4 * UNIT + 100), [b"a", b"b", b"c", b"d", b"e"]
        )
        self.assertEqual(self.digests.known(UNIT), [b"a"])

    def test_writtenAgain(self) -> None:
        """
        Of what is written again without being told nothing is known any more.
        """
        self.digests.add(1000, 4 * UNIT, [b"a", b"b", b"c", b"d"])
        self.digests.add(1000 + 2 * UNIT, 1, [])
        self.assertEqual(self.digests.known(4 * UNIT), [b"a", b"b"])
        self.digests.add(1000 + UNIT - 1, 2, [])
        self.assertEqual(self.digests.known(4 * UNIT), [])

    def test_withinPiece(self) -> None:
        """
        Digests of pieces that begin elsewhere say nothing about these.
        """
        self.digests.add(1000, 2 * UNIT, [b"a", b"b"])
        self.digests.add(1000 + UNIT + 1, UNIT, [b"x"])
        self.assertEqual(self.digests.known(2 * UNIT), [b"a"])
