"""
Tests for L{pnfs.state.locks}.
"""

from __future__ import annotations

from typing import Optional

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pnfs.state.errors import Invalid, LockDenied, OpenMode
from pnfs.state.files import FileState
from pnfs.state.locks import LockTable, Range, rangeOf, replaced
from pnfs.state.opens import BOTH, READ, WRITE, OpenTable
from pnfs.state.stateids import StateidTable
from pnfs.values import NFS4_UINT64_MAX
from tests.nfs4.fixture import entropy
from tests.state.test_opens import client

ALL = NFS4_UINT64_MAX


class RangeTests(SynchronousTestCase):
    """
    Ranges at the edges of 64 bits, and what becomes of them.
    """

    def test_edges(self) -> None:
        """
        The last byte can be locked, and everything from it on; nothing beyond.
        """
        self.assertEqual(rangeOf(0, ALL), (0, 1 << 64))
        self.assertEqual(rangeOf(ALL, ALL), (ALL, 1 << 64))
        self.assertEqual(rangeOf(ALL - 1, 1), (ALL - 1, ALL))
        for offset, length in ((0, 0), (ALL, 1), (2, ALL - 1)):
            self.assertRaises(Invalid, rangeOf, offset, length)

    def test_split(self) -> None:
        """
        Unlocking the middle leaves both ends.
        """
        self.assertEqual(
            replaced([(0, 100, True)], 40, 60, None), [(0, 40, True), (60, 100, True)]
        )

    def test_merge(self) -> None:
        """
        Neighbours of one kind become one; of two kinds they stay two.
        """
        self.assertEqual(replaced([(0, 10, True)], 10, 20, True), [(0, 20, True)])
        self.assertEqual(
            replaced([(0, 10, True)], 10, 20, False), [(0, 10, True), (10, 20, False)]
        )

    @settings(max_examples=200)
    @given(
        st.lists(
            st.tuples(
                st.integers(0, 15),
                st.integers(1, 8),
                st.sampled_from([True, False, None]),
            ),
            max_size=20,
        )
    )
    def test_agreesWithBytes(
        self, steps: list[tuple[int, int, Optional[bool]]]
    ) -> None:
        """
        Ranges say the same as a table of single bytes, and are sorted, disjoint
        and merged.
        """
        held: list[Range] = []
        model: list[Optional[bool]] = [None] * 24
        for offset, length, kind in steps:
            held = replaced(held, offset, offset + length, kind)
            model[offset : offset + length] = [kind] * length
            found: list[Optional[bool]] = [None] * 24
            for start, end, exclusive in held:
                found[start:end] = [exclusive] * (end - start)
            self.assertEqual(found, model)
            for before, after in zip(held, held[1:]):
                self.assertTrue(
                    before[1] < after[0]
                    or (before[1] == after[0] and before[2] != after[2])
                )


class LockTests(SynchronousTestCase):
    """
    Lock owners of two clients on one file.
    """

    def setUp(self) -> None:
        stateids = StateidTable(1, entropy())
        self.opens = OpenTable(stateids)
        self.locks = LockTable(stateids)
        self.file = FileState(b"fh", None, None)
        self.alice = self.opens.open(self.file, client(1), b"o", BOTH, 0)
        self.bob = self.opens.open(self.file, client(2), b"o", BOTH, 0)

    def test_conflict(self) -> None:
        """
        Who is refused learns which lock is in the way.
        """
        self.locks.lock(self.alice, b"a", True, 10, 10)
        with self.assertRaises(LockDenied) as caught:
            self.locks.lock(self.bob, b"b", False, 0, ALL)
        self.assertEqual(caught.exception.holder, (10, 10, 2, 1, b"a"))
        self.assertIsNone(self.locks.find(self.file, self.bob.client, b"b"))
        self.locks.lock(self.bob, b"b", True, 0, 10)
        self.locks.lock(self.bob, b"b", True, 20, ALL)
        with self.assertRaises(LockDenied) as caught:
            self.locks.lock(self.alice, b"a", False, 30, 1)
        self.assertEqual(caught.exception.holder, (20, ALL, 2, 2, b"b"))

    def test_sharedTogether(self) -> None:
        """
        Two readers share a range; neither can make it exclusive.
        """
        self.locks.lock(self.alice, b"a", False, 0, 10)
        self.locks.lock(self.bob, b"b", False, 5, 10)
        self.assertRaises(LockDenied, self.locks.lock, self.alice, b"a", True, 0, 10)
        self.locks.lock(self.alice, b"a", True, 0, 5)

    def test_sameOwnerName(self) -> None:
        """
        Owners of the same name at two clients are two owners.
        """
        self.locks.lock(self.alice, b"x", True, 0, 10)
        self.assertRaises(LockDenied, self.locks.lock, self.bob, b"x", True, 0, 10)

    def test_ownLocks(self) -> None:
        """
        An owner upgrades and downgrades what it has; the stateid's seqid moves.
        """
        held = self.locks.lock(self.alice, b"a", False, 0, 10)
        again = self.locks.lock(self.alice, b"a", True, 0, 5)
        self.assertIs(held, again)
        self.assertEqual(held.ranges, [(0, 5, True), (5, 10, False)])
        self.assertEqual(held.seqid, 2)
        self.locks.unlock(held, 0, ALL)
        self.assertEqual((held.ranges, held.seqid), ([], 3))

    def test_openMode(self) -> None:
        """
        Exclusive locks need a file opened for writing, shared ones for reading.
        """
        reader = self.opens.open(self.file, client(3), b"r", READ, 0)
        writer = self.opens.open(self.file, client(3), b"w", WRITE, 0)
        self.assertRaises(OpenMode, self.locks.lock, reader, b"l", True, 0, 1)
        self.assertRaises(OpenMode, self.locks.lock, writer, b"l", False, 0, 1)

    def test_drop(self) -> None:
        """
        A dropped lock owner blocks nobody.
        """
        self.locks.drop(self.locks.lock(self.alice, b"a", True, 0, ALL))
        self.locks.lock(self.bob, b"b", True, 0, ALL)
