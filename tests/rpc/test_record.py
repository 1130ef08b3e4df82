"""
Record marking.
"""

from __future__ import annotations

import random
import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pnfs.rpc.errors import RecordError
from pnfs.rpc.limits import SMALL, BufferPool
from pnfs.rpc.record import RecordParser
from pnfs.rpc.replies import ReplyBuffers
from tests.rpc.wire import call, mark, success

LIMIT = 200_000


def makeParser() -> RecordParser:
    return RecordParser(LIMIT, 64, BufferPool(LIMIT, 4), ReplyBuffers(LIMIT, 4))


def feedAll(parser: RecordParser, data: bytes, step: int) -> list[bytes]:
    """
    Feed in portions; give copies of the records.
    """
    records = []
    for start in range(0, len(data), step):
        for record in parser.feed(data[start : start + step]):
            records.append(bytes(record))
    return records


class RecordTests(SynchronousTestCase):
    """
    L{RecordParser} finds the records in a stream.
    """

    def test_several(self) -> None:
        """
        Records that arrive together are all served, a part of one waits.
        """
        parser = makeParser()
        self.assertEqual(
            parser.feed(mark(b"one") + mark(b"two") + mark(b"three")[:5]),
            [b"one", b"two"],
        )
        self.assertEqual(parser.feed(b"hree"), [b"three"])

    def test_oneByteAtATime(self) -> None:
        """
        A client on a miserable link is served as any other, large records and
        fragments included.
        """
        large = call(1, bytes(range(256)) * 200)
        stream = (
            mark(b"one")
            + mark(b"fr", b"", b"ag", b"ment")
            + mark(large)
            + mark(b"")
            + mark(large[:40000], large[40000:])
            + mark(b"end")
        )
        expected = [b"one", b"fragment", large, b"", large, b"end"]
        for step in (1, 3, 1000, 40000, len(stream)):
            self.assertEqual(feedAll(makeParser(), stream, step), expected)

    def test_anyPortions(self) -> None:
        """
        However the network cuts the stream, the records are the same.
        """

        @settings(max_examples=60, derandomize=True)
        @given(
            st.lists(
                st.lists(st.integers(0, 50000), min_size=1, max_size=4),
                min_size=1,
                max_size=5,
            ),
            st.integers(0, 1 << 30),
        )
        def check(shape: list[list[int]], seed: int) -> None:
            chance = random.Random(seed)
            records = [[chance.randbytes(n) for n in sizes] for sizes in shape]
            stream = b"".join(mark(*fragments) for fragments in records)
            parser = makeParser()
            out: list[bytes] = []
            pos = 0
            while pos < len(stream):
                size = chance.choice((1, 7, 4096, 65536))
                out += map(bytes, parser.feed(stream[pos : pos + size]))
                pos += size
            self.assertEqual(
                out, [b"".join(f) for f in records if sum(map(len, f)) <= LIMIT]
            )

        check()

    def test_kinds(self) -> None:
        """
        Small records are bytes, which can be looked up in a dictionary; of large
        ones no copy is made.
        """
        small, large = bytes(SMALL), bytes(SMALL + 1)
        records = makeParser().feed(mark(small) + mark(large))
        self.assertEqual([type(record) for record in records], [bytes, memoryview])

    def test_receivedInPlace(self) -> None:
        """
        The rest of a large record goes straight to its place.
        """
        record = call(1, random.Random(1).randbytes(100_000))
        parser = makeParser()
        stream = mark(record)
        self.assertEqual(parser.feed(stream[:300]), [])
        pos = 300
        complete = None
        while complete is None:
            assert parser.rest is not None
            count = min(7777, len(parser.rest))
            parser.rest[:count] = stream[pos : pos + count]
            pos += count
            complete = parser.received(count)
        self.assertEqual(complete, record)
        self.assertIs(parser.rest, None)
        self.assertEqual(parser.feed(mark(b"next")), [b"next"])

    def test_replyHasOwnBuffer(self) -> None:
        """
        A large reply belongs to its receiver: its buffer is as long as it is and
        not taken from the pool.
        """
        parser = makeParser()
        reply = success(bytes(40_000))
        parser.feed(mark(reply)[:100])
        records = parser.feed(mark(reply)[100:])
        view = records[0]
        assert isinstance(view, memoryview)
        self.assertEqual(len(view.obj), len(reply))

    def test_tooLong(self) -> None:
        """
        A record over the limit ends the connection when it is announced, before
        anything is set aside for it.
        """
        for length in (LIMIT + 1, 0x7FFFFFFF):
            parser = makeParser()
            with self.assertRaises(RecordError):
                parser.feed(struct.pack(">I", 0x80000000 | length))
        self.assertEqual(len(makeParser().feed(mark(bytes(LIMIT)))), 1)

    def test_fragmentsTooLong(self) -> None:
        """
        Fragments count together, and their number is bounded, empty ones included.
        """
        with self.assertRaises(RecordError):
            makeParser().feed(mark(bytes(LIMIT), b"x"))
        self.assertEqual(makeParser().feed(mark(*[b""] * 63, b"x")), [b"x"])
        with self.assertRaises(RecordError):
            makeParser().feed(struct.pack(">I", 0) * 65)


class BufferPoolTests(SynchronousTestCase):
    """
    L{BufferPool} keeps large buffers for the next record.
    """

    def test_usedAgain(self) -> None:
        """
        An answered record's buffer serves the next one.
        """
        pool = BufferPool(1000, 1)
        buffer = pool.take()
        pool.give(memoryview(buffer)[:900])
        self.assertIs(pool.take(), buffer)
        self.assertEqual(len(buffer), 1000)

    def test_notWhileViewed(self) -> None:
        """
        As long as anybody looks at a part of a record its bytes do not change.
        """
        pool = BufferPool(1000, 1)
        buffer = pool.take()
        record = memoryview(buffer)[:900]
        part = record[10:20]
        pool.give(record)
        self.assertIsNot(pool.take(), buffer)
        self.assertEqual(len(part), 10)

    def test_bounded(self) -> None:
        """
        After a burst memory is given back.
        """
        pool = BufferPool(1000, 1)
        first, second = pool.take(), pool.take()
        pool.give(memoryview(first))
        pool.give(memoryview(second))
        self.assertIs(pool.take(), first)
        self.assertIsNot(pool.take(), second)
