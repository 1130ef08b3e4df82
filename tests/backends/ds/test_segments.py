"""
Tests of L{pnfs.backends.ds.segments}.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.ds.memory import MemoryDataServerBackend
from pnfs.backends.ds.segments import SMALLEST_HOLE, dataRanges, readRanges
from pnfs.values import SetAttributes
from tests.contracts.holes import segmentsBytes

_places = st.lists(st.integers(0, 20 * SMALLEST_HOLE), max_size=20, unique=True)


class RangesTests(SynchronousTestCase):
    """
    Which parts of a range are told as data.
    """

    def test_smallHoles(self) -> None:
        """
        Small holes belong to the data around them, at the edges too.
        """
        big = SMALLEST_HOLE
        for found, offset, end, expected in (
            ([], 0, big, []),
            ([], 0, big - 1, [(0, big - 1)]),
            ([(5, 10)], 0, 20, [(0, 20)]),
            ([(big, big + 1)], 0, 3 * big, [(big, big + 1)]),
            ([(0, 1), (big, big + 1)], 0, 3 * big, [(0, big + 1)]),
            ([(0, 1), (big + 1, big + 2)], 0, 3 * big, [(0, 1), (big + 1, big + 2)]),
            ([(0, big)], big, 3 * big, []),
        ):
            self.assertEqual(dataRanges(found, offset, end), expected)

    @given(_places, st.integers(0, 9 * SMALLEST_HOLE), st.integers(0, 90_000))
    def test_covers(self, places: list[int], offset: int, count: int) -> None:
        """
        All data is in the ranges, they are in order, and no hole between them is
        small.
        """
        ends = sorted(places)
        found = list(zip(ends[::2], ends[1::2]))
        end = offset + count
        ranges = dataRanges(found, offset, end)
        edges = [offset] + [edge for pair in ranges for edge in pair] + [end]
        self.assertEqual(edges, sorted(edges))
        for first, last in zip(edges[::2], edges[1::2]):
            self.assertTrue(first == last or last - first >= SMALLEST_HOLE)
        for start, stop in found:
            start, stop = max(start, offset), min(stop, end)
            if start < stop:
                self.assertTrue(any(a <= start and stop <= b for a, b in ranges))


class ReadTests(SynchronousTestCase):
    """
    Reading what was found.
    """

    def test_shrunk(self) -> None:
        """
        A file that becomes shorter while it is read is read up to its new end.
        """
        backend = MemoryDataServerBackend(b"verifier", b"u" * 16)

        async def scenario() -> Any:
            await backend.create(b"aa", 0, 0, 0o600, 1)
            await backend.write(b"aa", 0, memoryview(b"x" * 100_000), 0)
            await backend.setattr(b"aa", SetAttributes(size=60_000))
            found = [(0, 50_000), (70_000, 100_000)]
            return await readRanges(backend, b"aa", found, 0, 100_000, 100_000)

        try:
            scenario().send(None)
        except StopIteration as stop:
            result = stop.value
        where, data = segmentsBytes(result)
        self.assertEqual(where, [(0, 50_000)])
        self.assertEqual(data, b"x" * 50_000 + bytes(20_000))
        self.assertTrue(result.eof)
