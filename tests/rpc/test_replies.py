"""
Tests of L{pnfs.rpc.replies}.
"""

from __future__ import annotations

import mmap

from twisted.trial.unittest import SynchronousTestCase

from pnfs.rpc.limits import BufferPool
from pnfs.rpc.record import RecordParser
from pnfs.rpc.replies import ReplyBuffers, addressOf
from tests.rpc.wire import mark, success

CAPACITY = 200_000


class ReplyBuffersTests(SynchronousTestCase):
    """
    Memory of large replies is used again, and never while somebody has a view of it.
    """

    def setUp(self) -> None:
        self.replies = ReplyBuffers(CAPACITY, 2)
        self.parser = RecordParser(CAPACITY, 64, BufferPool(CAPACITY, 1), self.replies)

    def receive(self, data: bytes) -> memoryview:
        """
        A reply with these bytes, come in two parts.
        """
        stream = mark(success(data))
        self.parser.feed(stream[:100])
        (record,) = self.parser.feed(stream[100:])
        assert isinstance(record, memoryview)
        return record[-len(data) :]

    def test_usedAgain(self) -> None:
        """
        When the last view of a reply is gone the next one gets its memory.
        """
        first = self.receive(bytes(150_000))
        memory = first.obj
        del first
        self.assertIs(self.receive(bytes(160_000)).obj, memory)

    def test_notWhileViewed(self) -> None:
        """
        What somebody still has does not change, however many replies come.
        """
        kept = [self.receive(bytes([n]) * 150_000)[7:] for n in range(5)]
        for n, view in enumerate(kept):
            self.assertTrue(view == bytes([n]) * 149_993)

    def test_bounded(self) -> None:
        """
        After many at the same time no more memory is kept than for so many as was said.
        """
        views = [self.receive(bytes(150_000)) for _ in range(4)]
        memory = [view.obj for view in views]
        del views
        again = [self.receive(bytes(150_000)) for _ in range(4)]
        self.assertEqual(
            [any(view.obj is each for each in memory) for view in again],
            [True, True, False, False],
        )

    def test_small(self) -> None:
        """
        A reply that is small beside the largest one does not keep so much memory.
        """
        view = self.receive(bytes(40_000))
        self.assertLess(len(view.obj), 41_000)  # type: ignore[arg-type]

    def test_pages(self) -> None:
        """
        Data of replies begins with a page of memory, once it is known where it begins
        in them.
        """
        data = bytes(150_000)
        self.replies.data = len(success(b""))
        views = [self.receive(data) for _ in range(3)]
        for view in views:
            self.assertEqual(addressOf(view) % mmap.PAGESIZE, 0)
