"""
Tests of L{pnfs.client.unstable}: what has to be written again.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pnfs.client.unstable import UnstableWrite, UnstableWrites, remains

_RANGES = st.tuples(st.integers(0, 50), st.integers(1, 14))


class Target:
    """
    Stands for a L{pnfs.client.dataservers.DataFile}.
    """

    server = None

    def __init__(self, key: str = "target") -> None:
        self.key = key


class RemainsTests(SynchronousTestCase):
    """
    L{remains} cuts out what later writes have covered.
    """

    @given(_RANGES, st.lists(_RANGES, max_size=5))
    def test_cut(self, first: tuple[int, int], later: list[tuple[int, int]]) -> None:
        """
        Every byte that nobody has written over is written again, and no other.
        """
        offset, length = first
        data = bytes(range(length))
        covered = [(start, start + size) for start, size in later]
        wanted = {
            position: data[position - offset]
            for position in range(offset, offset + length)
            if not any(start <= position < end for start, end in covered)
        }
        found = {}
        for part in remains(UnstableWrite(offset, memoryview(data), ()), covered):
            for index, byte in enumerate(bytes(part.data)):
                self.assertNotIn(part.offset + index, found)
                found[part.offset + index] = byte
        self.assertEqual(found, wanted)


class UnstableWritesTests(SynchronousTestCase):
    """
    COMMIT and what it tells.
    """

    def setUp(self) -> None:
        self.waiting: list[Deferred[bytes]] = []
        self.writes = UnstableWrites(self.commit)

    def commit(self, target: Any) -> Deferred[bytes]:
        """
        Answered by the test.
        """
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def keep(self, offset: int, data: bytes, verifier: bytes) -> None:
        """
        Remember a write.
        """
        self.writes.keep(
            offset, memoryview(data), [(Target(), verifier)]  # type: ignore[list-item]
        )

    def kept(self, writes: Any) -> list[tuple[int, bytes]]:
        """
        Offsets and contents.
        """
        return [(write.offset, bytes(write.data)) for write in writes]

    def test_lostInOrder(self) -> None:
        """
        Of two lost writes to one place only the later one is written again.
        """
        self.keep(0, b"aaaa", b"1")
        self.keep(2, b"bb", b"1")
        done = Deferred.fromCoroutine(self.writes.commit())
        self.waiting[0].callback(b"2")
        self.assertEqual(
            self.kept(self.successResultOf(done)), [(0, b"aa"), (2, b"bb")]
        )

    def test_earlyDuringCommit(self) -> None:
        """
        An early commit that ends when another one has begun takes nothing from it.
        """
        self.keep(0, b"aaaa", b"1")
        self.keep(2, b"bb", b"2")
        early = Deferred.fromCoroutine(self.writes.commitEarly())
        done = Deferred.fromCoroutine(self.writes.commit())
        self.keep(8, b"cc", b"2")
        self.waiting[0].callback(b"2")
        self.successResultOf(early)
        self.waiting[1].callback(b"2")
        self.assertEqual(self.kept(self.successResultOf(done)), [(0, b"aa")])
        self.assertEqual(self.writes.ranges(), [(8, 10)])

    def test_early(self) -> None:
        """
        An early commit forgets what is safe, and with it what it has replaced.
        """
        self.keep(0, b"aaaa", b"1")
        self.keep(2, b"bb", b"2")
        early = Deferred.fromCoroutine(self.writes.commitEarly())
        self.keep(8, b"cc", b"2")
        self.waiting[0].callback(b"2")
        self.successResultOf(early)
        self.assertEqual(self.writes.ranges(), [(0, 2), (8, 10)])
        self.assertEqual(self.writes.size, 4)
