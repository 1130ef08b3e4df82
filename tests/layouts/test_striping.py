"""
Tests for L{pnfs.layouts.striping}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pnfs.layouts.striping import pairs, pieces, split
from pnfs.values import Placement


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


class PiecesTests(SynchronousTestCase):
    """
    A file's placement says which column has a byte.
    """

    def test_stripes(self) -> None:
        """
        Stripes take turns.
        """
        striped = Placement("files", 64, ((b"A" * 16,), (b"B" * 16,)), b"0")
        self.assertEqual(
            list(pieces(striped, 60, 100)), [(0, 60, 4), (1, 64, 64), (0, 128, 32)]
        )

    def test_chunks(self) -> None:
        """
        Chunks follow one another, and the last one goes on.
        """
        columns = ((b"A" * 16, b"B" * 16), (b"B" * 16, b"C" * 16))
        chunked = Placement("flexfiles", 0, columns, b"0", chunk=100)
        self.assertEqual(list(pieces(chunked, 10, 20)), [(0, 10, 20)])
        self.assertEqual(list(pieces(chunked, 90, 300)), [(0, 90, 10), (1, 100, 290)])
        self.assertEqual(list(pieces(chunked, 90, 0)), [])


class PairsTests(SynchronousTestCase):
    """
    Bytes on their way from one file to another, striped differently.
    """

    def test_shifted(self) -> None:
        """
        A copy that is shifted by half a stripe unit is cut at both files' stripes.
        """
        self.assertEqual(
            list(pairs(0, (64, 2), 32, (64, 2), 100)),
            [(0, 0, 0, 32), (0, 1, 32, 32), (1, 1, 64, 32), (1, 0, 96, 4)],
        )

    def test_unstriped(self) -> None:
        """
        Where one file is not striped only the other's stripes matter; where neither
        is, nothing is cut.
        """
        self.assertEqual(
            list(pairs(10, (0, 1), 0, (64, 2), 100)), [(0, 0, 0, 64), (0, 1, 64, 36)]
        )
        self.assertEqual(list(pairs(5, (0, 1), 9, (64, 1), 1000)), [(0, 0, 0, 1000)])
        self.assertEqual(list(pairs(5, (0, 1), 9, (0, 1), 0)), [])

    @given(
        st.integers(0, 500),
        st.tuples(st.integers(1, 64), st.integers(1, 4)),
        st.integers(0, 500),
        st.tuples(st.integers(1, 64), st.integers(1, 4)),
        st.integers(0, 500),
    )
    def test_everyByteOnce(
        self,
        sourceOffset: int,
        source: tuple[int, int],
        offset: int,
        destination: tuple[int, int],
        length: int,
    ) -> None:
        """
        Each byte is copied once, from the column that has it to the one that is to.
        """
        done = 0
        for sourceColumn, column, start, count in pairs(
            sourceOffset, source, offset, destination, length
        ):
            self.assertEqual(start, done)
            self.assertGreater(count, 0)
            for byte in (start, start + count - 1):
                there, _, _ = next(split(sourceOffset + byte, 1, *source))
                here, _, _ = next(split(offset + byte, 1, *destination))
                self.assertEqual((sourceColumn, column), (there, here))
            done += count
        self.assertEqual(done, length)
