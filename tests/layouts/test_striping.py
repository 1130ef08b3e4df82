"""
Tests for L{pnfs.layouts.striping}.
"""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pnfs.layouts.striping import (
    CHUNKS_LIMIT,
    missing,
    pairs,
    pieces,
    shares,
    split,
)
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

    def test_takeTurns(self) -> None:
        """
        After the last chunk that has a data server of its own the first one has its
        turn again.
        """
        columns = tuple((bytes([n]) * 16,) for n in range(CHUNKS_LIMIT))
        chunked = Placement("flexfiles", 0, columns, b"0", chunk=100)
        end = CHUNKS_LIMIT * 100
        self.assertEqual(
            list(pieces(chunked, end - 1, 102)),
            [(CHUNKS_LIMIT - 1, end - 1, 1), (0, end, 100), (1, end + 100, 1)],
        )


def chunked(columns: int, chunk: int = 100) -> Placement:
    """
    A file in chunks.
    """
    return Placement(
        "flexfiles",
        0,
        tuple((bytes([n]) * 16,) for n in range(columns)),
        b"0",
        chunk=chunk,
    )


class MissingTests(SynchronousTestCase):
    """
    A file in chunks is given more of them before it grows.
    """

    def test_missing(self) -> None:
        """
        As many as it takes, and never too many.
        """
        for columns, end, wanted in [
            (1, 0, 0),
            (1, 100, 0),
            (1, 101, 1),
            (3, 1000, 7),
            (1, 1 << 60, CHUNKS_LIMIT - 1),
            (CHUNKS_LIMIT, 1 << 60, 0),
        ]:
            self.assertEqual(missing(chunked(columns), end), wanted, (columns, end))
        self.assertEqual(missing(chunked(1, 0), 1 << 60), 0)


class SharesTests(SynchronousTestCase):
    """
    How much of a file a column has.
    """

    @given(
        st.integers(0, 9000), st.sampled_from([1, 2, 5, CHUNKS_LIMIT]), st.booleans()
    )
    def test_everyByte(self, size: int, columns: int, inChunks: bool) -> None:
        """
        As much as the pieces of the whole file that are there.
        """
        placement = chunked(columns)
        if not inChunks:
            placement = attrs.evolve(placement, stripeUnit=100, chunk=0)
        found = [0] * columns
        for column, _, length in pieces(placement, 0, size):
            found[column] += length
        self.assertEqual(shares(placement, size), found)


def striped(unit: int, columns: int) -> Placement:
    """
    A striped file, or one with a single column.
    """
    return attrs.evolve(chunked(columns, 0), stripeUnit=unit)


class PairsTests(SynchronousTestCase):
    """
    Bytes on their way from one file to another, striped differently.
    """

    def test_shifted(self) -> None:
        """
        A copy that is shifted by half a stripe unit is cut at both files' stripes.
        """
        self.assertEqual(
            list(pairs(striped(64, 2), 0, striped(64, 2), 32, 100)),
            [(0, 0, 0, 32), (0, 1, 32, 32), (1, 1, 64, 32), (1, 0, 96, 4)],
        )

    def test_unstriped(self) -> None:
        """
        Where one file is not striped only the other's stripes matter; where neither
        is, nothing is cut.
        """
        one = striped(0, 1)
        self.assertEqual(
            list(pairs(one, 10, striped(64, 2), 0, 100)),
            [(0, 0, 0, 64), (0, 1, 64, 36)],
        )
        self.assertEqual(
            list(pairs(one, 5, striped(64, 1), 9, 1000)), [(0, 0, 0, 1000)]
        )
        self.assertEqual(list(pairs(one, 5, one, 9, 0)), [])

    @given(
        st.integers(0, 500),
        st.tuples(st.integers(1, 64), st.integers(1, 4), st.booleans()),
        st.integers(0, 500),
        st.tuples(st.integers(1, 64), st.integers(1, 4), st.booleans()),
        st.integers(0, 500),
    )
    def test_everyByteOnce(
        self,
        sourceOffset: int,
        source: tuple[int, int, bool],
        offset: int,
        destination: tuple[int, int, bool],
        length: int,
    ) -> None:
        """
        Each byte is copied once, from the column that has it to the one that is to.
        """
        from_, to = (
            chunked(columns, unit) if inChunks else striped(unit, columns)
            for unit, columns, inChunks in (source, destination)
        )
        done = 0
        for sourceColumn, column, start, count in pairs(
            from_, sourceOffset, to, offset, length
        ):
            self.assertEqual(start, done)
            self.assertGreater(count, 0)
            for byte in (start, start + count - 1):
                there, _, _ = next(pieces(from_, sourceOffset + byte, 1))
                here, _, _ = next(pieces(to, offset + byte, 1))
                self.assertEqual((sourceColumn, column), (there, here))
            done += count
        self.assertEqual(done, length)
