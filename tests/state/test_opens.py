"""
Tests for L{pnfs.state.opens}.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pnfs.state.clients import Client
from pnfs.state.errors import BadStateid, Invalid, LocksHeld, ShareDenied
from pnfs.state.files import FileState
from pnfs.state.locks import LockTable
from pnfs.state.opens import BOTH, READ, WRITE, OpenTable, denied
from pnfs.state.stateids import StateidTable
from tests.nfs4.fixture import entropy


def client(clientid: int) -> Client:
    """
    A client record.
    """
    return Client(clientid, b"%d" % clientid, b"verifier", (1, 0), 0.0)


class OpenTests(SynchronousTestCase):
    """
    Opens of one file by several owners.
    """

    def setUp(self) -> None:
        self.stateids = StateidTable(1, entropy())
        self.table = OpenTable(self.stateids)
        self.file = FileState(b"fh", None, None)
        self.alice = client(1)
        self.bob = client(2)

    def open(self, who: Client, access: int, deny: int = 0, owner: bytes = b"o") -> Any:
        return self.table.open(self.file, who, owner, access, deny)

    def test_upgrade(self) -> None:
        """
        A second open of the same owner keeps the stateid, whose seqid moves, and
        adds its modes.
        """
        first = self.open(self.alice, READ)
        other = first.other
        second = self.open(self.alice, WRITE)
        self.assertIs(first, second)
        self.assertEqual((second.seqid, second.other), (2, other))
        self.assertEqual(second.access, BOTH)
        self.assertEqual(self.table.count, 1)

    def test_denied(self) -> None:
        """
        Nobody gets what somebody has denied, and nobody may deny what somebody
        has.
        """
        state = self.open(self.alice, WRITE, READ)
        for access, deny in ((READ, 0), (BOTH, 0), (WRITE, WRITE)):
            self.assertRaises(ShareDenied, self.open, self.bob, access, deny)
        self.open(self.bob, WRITE)
        self.assertTrue(denied(self.file, READ))
        self.assertFalse(denied(self.file, WRITE))
        self.table.close(state)
        self.open(self.bob, READ)
        self.assertFalse(denied(self.file, READ))
        self.assertFalse(denied(None, BOTH))

    def test_ownDenial(self) -> None:
        """
        A reservation binds the owner's further opens too; a refused one leaves what it
        has (share denies apply to the same owner: chimera c:1952370a).
        """
        state = self.open(self.alice, READ, WRITE)
        self.assertRaises(ShareDenied, self.open, self.alice, WRITE)
        self.assertEqual((state.seqid, state.access, state.deny), (1, READ, WRITE))

    def test_downgrade(self) -> None:
        """
        Only what was asked for in some opens can be kept.
        """
        state = self.open(self.alice, READ)
        self.open(self.alice, BOTH, 0)
        self.table.downgrade(state, READ, 0)
        self.assertEqual((state.access, state.seqid), (READ, 3))
        self.open(self.bob, READ, WRITE)
        self.assertRaises(Invalid, self.table.downgrade, state, BOTH, 0)

    def test_downgradeToWhatWasNotAsked(self) -> None:
        """
        Reading alone was never asked for, so it cannot be kept alone.
        """
        state = self.open(self.alice, BOTH)
        self.assertRaises(Invalid, self.table.downgrade, state, READ, 0)
        self.assertRaises(Invalid, self.table.downgrade, state, 0, 0)
        self.assertEqual((state.access, state.seqid), (BOTH, 1))

    def test_downgradeToUnion(self) -> None:
        """
        The union of two opens may be kept when a third is given up.
        """
        state = self.open(self.alice, READ)
        self.open(self.alice, WRITE)
        self.open(self.alice, READ, 0)
        self.table.downgrade(state, BOTH, 0)
        self.assertEqual(state.access, BOTH)

    def test_closeWithLocks(self) -> None:
        """
        A file is not closed under a lock; afterwards the lock owner's stateid is
        gone with the open.
        """
        locks = LockTable(self.stateids)
        state = self.open(self.alice, BOTH)
        held = locks.lock(state, b"l", True, 0, 10)
        self.assertRaises(LocksHeld, self.table.close, state)
        locks.unlock(held, 0, 10)
        self.table.close(state)
        for gone in (state, held):
            self.assertRaises(
                BadStateid, self.stateids.find, gone.stateid, self.alice, self.file
            )
        self.assertTrue(self.file.idle)
        self.assertEqual(len(self.stateids), 0)

    def test_closeSome(self) -> None:
        """
        A client whose lease is over leaves nothing behind, and others keep what
        they have.
        """
        locks = LockTable(self.stateids)
        locks.lock(self.open(self.alice, BOTH), b"l", True, 0, 10)
        self.open(self.alice, READ, owner=b"p")
        kept = self.open(self.bob, READ)
        self.assertEqual(self.table.closeSome(self.alice, 1), [self.file])
        self.assertEqual(len(self.alice.opens), 1)
        self.assertEqual(self.table.closeSome(self.alice, 9), [self.file])
        self.assertEqual(list(self.file.opens.values()), [kept])
        self.assertEqual((self.file.locks, self.alice.opens), ({}, {}))
        self.open(self.bob, WRITE, 0)
        self.assertEqual(self.table.count, 1)

    def test_closeGone(self) -> None:
        """
        What a client that is gone has left on one file can go before the rest.
        """
        self.open(self.alice, BOTH, 3)
        other = FileState(b"other", None, None)
        rest = self.table.open(other, self.alice, b"o", READ, 0)
        self.table.closeGone(self.file)
        self.assertEqual(len(self.file.opens), 1)
        self.alice.gone = True
        self.table.closeGone(self.file)
        self.open(self.bob, BOTH, 3)
        self.assertEqual(list(self.alice.opens), [rest])

    @settings(max_examples=60)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["open", "down", "close"]),
                st.integers(0, 3),
                st.integers(1, 3),
                st.integers(0, 3),
            ),
            max_size=40,
        )
    )
    def test_countersAgree(self, steps: list[tuple[str, int, int, int]]) -> None:
        """
        Whatever is opened, downgraded and closed: a share is refused exactly if
        an open stands against it.
        """
        self.setUp()
        for step, who, access, deny in steps:
            owner = b"%d" % who
            state = self.table.find(self.file, self.alice, owner)
            try:
                if step == "open":
                    self.open(self.alice, access, deny, owner)
                elif state is not None and step == "down":
                    self.table.downgrade(state, access, deny)
                elif state is not None:
                    self.table.close(state)
            except (ShareDenied, Invalid):
                pass
            held = list(self.file.opens.values())
            for wanted in range(1, 4):
                for refused in range(4):
                    self.assertEqual(
                        denied(self.file, wanted, refused),
                        any(one.deny & wanted or one.access & refused for one in held),
                    )
