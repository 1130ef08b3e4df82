"""
What every L{IDataServerBackend} promises about holes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pnfs.backends.errors import NoSuchObject, TooBig, Unsupported
from pnfs.values import SegmentsResult
from tests.contracts.data import (
    KIB,
    NAME,
    DataServerBackendContract,
    pieceBytes,
)

if TYPE_CHECKING:
    _Base = DataServerBackendContract
else:
    _Base = object

BLOCK = 64 * KIB
"""Holes of this size, so aligned, are known wherever holes are."""


def segmentsBytes(result: SegmentsResult) -> tuple[list[tuple[int, int]], bytes]:
    """
    Where data is, as (offset, count), and all bytes with zeros for holes. What a
    result says of itself is checked.
    """
    data = b""
    where = []
    position = result.segments[0].offset if result.segments else 0
    for segment in result.segments:
        assert segment.offset == position, (segment, position)
        assert segment.count > 0, segment
        position += segment.count
        if segment.pieces is None:
            data += bytes(segment.count)
            continue
        some = b"".join(map(pieceBytes, segment.pieces))
        assert len(some) == segment.count, (len(some), segment.count)
        where.append((segment.offset, segment.count))
        data += some
    assert len(data) == result.count, (len(data), result.count)
    return where, data


class HolesContract(_Base):
    """
    To be mixed in besides L{DataServerBackendContract}.

    @ivar knowsHoles: holes are found, and the space of one comes back.
    @ivar reserves: space can be reserved.
    """

    knowsHoles = True
    reserves = True

    def seek(self, offset: int, hole: bool) -> Any:
        """
        Where the next data or hole is.
        """
        return self.run_(self.backend.seek(NAME, offset, hole))

    def segments(self, offset: int, count: int) -> tuple[Any, bytes, bool]:
        """
        Read: where data is, all bytes, eof.
        """
        result = self.run_(self.backend.readSegments(NAME, offset, count))
        return (*segmentsBytes(result), result.eof)

    def punch(self, offset: int, length: int) -> None:
        """
        Make a hole.
        """
        self.run_(self.backend.deallocate(NAME, offset, length))

    def sparse(self) -> None:
        """
        A block of data, two of hole, and one and a half of data.
        """
        self.put(0, b"a" * BLOCK)
        self.put(3 * BLOCK, b"b" * (BLOCK + BLOCK // 2))

    def test_seekEnd(self) -> None:
        """
        At the end and behind it there is neither data nor hole, however far.
        """
        self.put(0, b"abc")
        for offset in (3, 4, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1):
            self.assertIsNone(self.seek(offset, False))
            self.assertIsNone(self.seek(offset, True))

    def test_seekDense(self) -> None:
        """
        In a file without holes the next hole is the end.
        """
        self.put(0, b"x" * 100_000)
        self.assertEqual(self.seek(0, True), 100_000)
        self.assertEqual(self.seek(99_999, True), 100_000)
        self.assertEqual(self.seek(77, False), 77)

    def test_seek(self) -> None:
        """
        Data and holes are found from within and from before.
        """
        self.sparse()
        size = 4 * BLOCK + BLOCK // 2
        if not self.knowsHoles:
            self.assertEqual(self.seek(BLOCK, False), BLOCK)
            self.assertEqual(self.seek(0, True), size)
            return
        self.assertEqual(self.seek(5, False), 5)
        self.assertEqual(self.seek(5, True), BLOCK)
        self.assertEqual(self.seek(BLOCK + 7, True), BLOCK + 7)
        self.assertEqual(self.seek(BLOCK + 7, False), 3 * BLOCK)
        self.assertEqual(self.seek(3 * BLOCK + 1, True), size)

    def test_seekNoData(self) -> None:
        """
        Behind the last data there is a hole up to the end.
        """
        self.put(0, b"x" * BLOCK)
        self.run_(self.backend.extend(NAME, 5 * BLOCK))
        if self.knowsHoles:
            self.assertIsNone(self.seek(BLOCK, False))
            self.assertEqual(self.seek(2 * BLOCK + 1, True), 2 * BLOCK + 1)

    def test_segments(self) -> None:
        """
        A range comes as data and holes, in order and without gaps, and reads as it
        always does.
        """
        self.sparse()
        size = 4 * BLOCK + BLOCK // 2
        where, _, _ = self.segments(0, size)
        if self.knowsHoles:
            self.assertEqual(where, [(0, BLOCK), (3 * BLOCK, BLOCK + BLOCK // 2)])
        for offset, count in (
            (0, size),
            (0, 10),
            (BLOCK - 10, 20),
            (BLOCK + 10, 100),
            (BLOCK + 10, BLOCK),
            (BLOCK - 1, 2 * BLOCK + 2),
            (3 * BLOCK - 1, 1 << 20),
            (size - 1, 1),
            (2 * BLOCK, 0),
        ):
            where, data, eof = self.segments(offset, count)
            expected = self.get(offset, count)
            self.assertTrue((data, eof) == expected, (offset, count, where))

    def test_segmentsEnd(self) -> None:
        """
        At the end and behind it there is nothing but eof.
        """
        self.put(0, b"abc")
        for offset in (3, 4, 1 << 40, (1 << 63) - 100):
            self.assertEqual(self.segments(offset, 10), ([], b"", True))

    def test_segmentsOfHole(self) -> None:
        """
        A file that is one hole reads as zeros up to its end.
        """
        self.run_(self.backend.extend(NAME, 3 * BLOCK))
        where, data, eof = self.segments(0, 10 * BLOCK)
        self.assertTrue((data, eof) == (bytes(3 * BLOCK), True))
        if self.knowsHoles:
            self.assertEqual(where, [])

    def test_smallHoles(self) -> None:
        """
        Pieces of holes that are shorter than the head of a segment are told as data.
        """
        self.sparse()
        where, data, _ = self.segments(BLOCK - 4, 8)
        self.assertEqual((where, data), ([(BLOCK - 4, 8)], b"aaaa" + bytes(4)))
        self.assertEqual(self.segments(BLOCK, 10)[1], bytes(10))

    def test_deallocate(self) -> None:
        """
        A hole reads as zeros, to the byte, and what is around it stays.
        """
        data = bytes(range(1, 256)) * 1300
        self.put(0, data)
        for start, end in ((5, 10), (100, 70_000), (BLOCK, 4 * BLOCK), (300_000, 9)):
            end = max(end, start + 1)
            self.punch(start, end - start)
            data = data[:start] + bytes(end - start) + data[end:]
            self.assertTrue(self.get(0, len(data) + 10) == (data, True), start)

    def test_deallocateSize(self) -> None:
        """
        A hole that ends behind the file, or begins there, leaves its size alone.
        """
        self.put(0, b"x" * 1000)
        self.punch(500, 1 << 40)
        self.assertEqual(self.get(0, 2000), (b"x" * 500 + bytes(500), True))
        self.punch(5000, 100)
        self.punch((1 << 63) - 10, 9)
        self.assertEqual(self.run_(self.backend.getattr(NAME)).size, 1000)

    def test_deallocateSpace(self) -> None:
        """
        A hole that was made is found, and its space is free.
        """
        if not self.knowsHoles:
            return
        self.put(0, b"x" * (8 * BLOCK))
        self.run_(self.backend.commit(NAME, 0, 0))
        before = self.run_(self.backend.getattr(NAME))
        self.punch(2 * BLOCK, 3 * BLOCK)
        after = self.run_(self.backend.getattr(NAME))
        self.assertEqual(self.seek(0, True), 2 * BLOCK)
        self.assertEqual(self.seek(2 * BLOCK, False), 5 * BLOCK)
        self.assertEqual(before.used - after.used, 3 * BLOCK)
        self.assertGreater(after.change, before.change)

    def test_allocate(self) -> None:
        """
        Reserved space is used, what was there stays, and so does the size; what the
        object grows by later is zeros.
        """
        self.put(10, b"abc")
        ranges = [(0, BLOCK), (3 * BLOCK, BLOCK)]
        if not self.reserves:
            self.fails(self.backend.allocate(NAME, ranges), Unsupported)
            return
        before = self.run_(self.backend.getattr(NAME))
        self.run_(self.backend.allocate(NAME, ranges))
        self.run_(self.backend.commit(NAME, 0, 0))
        after = self.run_(self.backend.getattr(NAME))
        self.assertEqual(after.size, 13)
        self.assertGreaterEqual(after.used, 2 * BLOCK)
        self.assertGreater(after.change, before.change)
        self.assertEqual(self.get(0, 100), (bytes(10) + b"abc", True))
        self.run_(self.backend.extend(NAME, 4 * BLOCK))
        expected = bytes(10) + b"abc" + bytes(4 * BLOCK - 13)
        self.assertTrue(self.get(0, 5 * BLOCK) == (expected, True))

    def test_allocateThenWrite(self) -> None:
        """
        What is written to reserved space takes no more of it, and a hole made there
        gives it back.
        """
        if not self.reserves:
            return
        self.run_(self.backend.extend(NAME, 2 * BLOCK))
        self.run_(self.backend.allocate(NAME, [(0, 2 * BLOCK)]))
        reserved = self.run_(self.backend.getattr(NAME)).used
        self.put(100, b"x" * BLOCK)
        self.run_(self.backend.commit(NAME, 0, 0))
        self.assertEqual(self.run_(self.backend.getattr(NAME)).used, reserved)
        self.punch(0, 2 * BLOCK)
        after = self.run_(self.backend.getattr(NAME)).used
        self.assertEqual(reserved - after, 2 * BLOCK)
        self.assertTrue(self.get(0, 2 * BLOCK) == (bytes(2 * BLOCK), True))

    def test_allocateInside(self) -> None:
        """
        Reserving space within a file does not shrink it, nor clear anything.
        """
        if not self.reserves:
            return
        self.put(0, b"x" * (2 * BLOCK))
        self.run_(self.backend.allocate(NAME, [(5, 10)]))
        self.assertTrue(self.get(0, 3 * BLOCK) == (b"x" * (2 * BLOCK), True))

    def test_allocateTooBig(self) -> None:
        """
        Space that no file can have is refused.
        """
        if not self.reserves:
            return
        for offset, length in (((1 << 63) - 1, 1), (0, 1 << 63)):
            self.fails(self.backend.allocate(NAME, [(offset, length)]), TooBig)
        self.assertEqual(self.run_(self.backend.getattr(NAME)).size, 0)

    def test_advise(self) -> None:
        """
        Of all hints only known ones are said to matter.
        """
        told = self.run_(self.backend.advise(NAME, 0, 0, (1 << 64) - 1))
        self.assertEqual(told & ~0x7FF, 0)
        self.assertEqual(self.run_(self.backend.advise(NAME, 1 << 63, 5, 1)), 0)

    def test_holesMissing(self) -> None:
        """
        Every call says that there is no such object.
        """
        backend = self.backend
        for call in (
            backend.seek(b"ffff", 0, True),
            backend.readSegments(b"ffff", 0, 1),
            backend.allocate(b"ffff", [(0, 1)]),
            backend.deallocate(b"ffff", 0, 1),
        ):
            self.fails(call, NoSuchObject)
