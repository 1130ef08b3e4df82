"""
Tests for L{pnfs.layouts.striping}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pnfs.layouts.striping import split


class StripingTests(SynchronousTestCase):
    """
    Each byte of a file is on one data server, at its own offset.
    """

    def test_split(self) -> None:
        """
        A range over three stripe units touches three columns in turn.
        """
        self.assertEqual(
            list(split(60, 130, 64, 3)), [(0, 60, 4), (1, 64, 64), (2, 128, 62)]
        )

    def test_unstriped(self) -> None:
        """
        A file on one data server is not cut.
        """
        self.assertEqual(list(split(60, 130, 0, 1)), [(0, 60, 130)])
        self.assertEqual(list(split(60, 0, 0, 1)), [])
        self.assertEqual(list(split(60, 0, 64, 2)), [])

    @given(
        st.integers(0, 2000),
        st.integers(0, 2000),
        st.integers(1, 64),
        st.integers(1, 7),
    )
    def test_everyByteOnce(
        self, offset: int, length: int, unit: int, columns: int
    ) -> None:
        """
        However a range is cut, each of its bytes is asked for once, from the column
        that the Linux client would ask.
        """
        position = offset
        for column, start, count in split(offset, length, unit, columns):
            self.assertEqual(start, position)
            self.assertGreater(count, 0)
            for byte in (start, start + count - 1):
                self.assertEqual(column, (byte // unit) % columns)
            position += count
        self.assertEqual(position, offset + length)
