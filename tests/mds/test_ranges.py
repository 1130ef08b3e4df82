"""
Tests of L{pnfs.mds.ranges}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis.strategies import integers, lists, tuples
from twisted.trial.unittest import SynchronousTestCase

from pnfs.mds.ranges import (
    EVERYTHING,
    RANGES,
    Range,
    behind,
    coarse,
    merged,
    steps,
    without,
)

_ranges = lists(tuples(integers(0, 60), integers(0, 20)), max_size=8)


def _bytes(ranges: list[Range]) -> set[int]:
    """
    Each byte of them, the far end aside.
    """
    return {at for start, n in ranges for at in range(start, min(start + n, 100))}


class RangesTests(SynchronousTestCase):
    """
    No byte is lost, and none is added where that would cost something.
    """

    @given(_ranges, integers(0, 90))
    def test_merged(self, ranges: list[Range], size: int) -> None:
        """
        They are in order and apart, up to the end; the rest is behind it.
        """
        found = list(merged(ranges, size))
        self.assertEqual(_bytes(found), {at for at in _bytes(ranges) if at < size})
        for (first, length), (second, _) in zip(found, found[1:]):
            self.assertGreater(second, first + length)
        self.assertEqual(
            _bytes(behind(ranges, size)), {at for at in _bytes(ranges) if at >= size}
        )

    def test_everything(self) -> None:
        """
        Behind the end of a file there is always something.
        """
        self.assertEqual(behind([(0, EVERYTHING)], 5), [(5, EVERYTHING - 5)])
        self.assertEqual(list(merged([(0, EVERYTHING)], 5)), [(0, 5)])

    @given(_ranges, _ranges)
    def test_without(self, ranges: list[Range], others: list[Range]) -> None:
        """
        What is in one and not in the other, whatever they are like.
        """
        found = list(without(ranges, list(merged(others, EVERYTHING))))
        self.assertEqual(_bytes(found), _bytes(ranges) - _bytes(others))
        self.assertTrue(all(length > 0 for _, length in found))

    @given(_ranges, integers(1, 30))
    def test_steps(self, ranges: list[Range], step: int) -> None:
        """
        Pieces are no longer than they may be, and nothing else is in them.
        """
        found = list(steps(ranges, step))
        self.assertEqual(_bytes(found), _bytes(ranges))
        self.assertTrue(all(0 < length <= step for _, length in found))

    def test_coarse(self) -> None:
        """
        However many there are, not more than L{RANGES} are left, which have them all.
        """
        ranges = [(at * 1_000_000, 10) for at in range(3 * RANGES)]
        found = list(coarse(ranges))
        self.assertLessEqual(len(found), RANGES)
        ends = iter(found)
        start, length = next(ends)
        for at, count in ranges:
            while at >= start + length:
                start, length = next(ends)
            self.assertTrue(start <= at and at + count <= start + length)
