"""
Tests for L{pnfs.state.delegations}.
"""

from __future__ import annotations

import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pnfs.state import delegations
from pnfs.state.clients import Client
from pnfs.state.delegations import DelegationTable
from pnfs.state.errors import DelegRevoked
from pnfs.state.files import FileState
from pnfs.state.opens import READ, WRITE, OpenTable
from pnfs.state.stateids import StateidTable
from tests.nfs4.fixture import entropy


def newClient(number: int) -> Client:
    """
    A client record.
    """
    return Client(number, b"client%d" % number, b"verifier", (1, 0), 0.0)


class TableTests(SynchronousTestCase):
    """
    Who holds what.
    """

    def setUp(self) -> None:
        self.stateids = StateidTable(7, entropy())
        self.opens = OpenTable(self.stateids)
        self.table = DelegationTable(self.stateids, windowSeconds=30.0)
        self.one, self.two = newClient(1), newClient(2)
        self.file = FileState(b"fh", None, None)

    def available(self, client: Client, write: bool, now: float = 0.0) -> bool:
        """
        Might the client have the file?
        """
        return self.table.available(self.file, client, write, now)

    def test_granted(self) -> None:
        """
        It is found by stateid, file and client, and stands for an open.
        """
        held = self.table.grant(self.file, self.one, True)
        self.assertIs(self.stateids.find(held.stateid, self.one, self.file), held)
        self.assertIs(self.table.held(self.file, self.one), held)
        self.assertIsNone(self.table.held(self.file, self.two))
        self.assertIs(self.file.writer, held)
        self.assertEqual((held.access, held.writes, held.seqid), (3, True, 1))
        self.assertFalse(self.file.idle)
        self.assertTrue(self.one.hasState)

    def test_dropped(self) -> None:
        """
        Nothing is left of one that is returned.
        """
        held = self.table.grant(self.file, self.one, True)
        self.table.drop(held)
        self.table.drop(held)
        self.assertEqual((self.table.count, len(self.stateids)), (0, 0))
        self.assertIsNone(self.file.delegations)
        self.assertIsNone(self.file.writer)
        self.assertTrue(self.file.idle)
        self.assertFalse(self.one.hasState)

    def test_revoked(self) -> None:
        """
        A revoked one is nobody's, but its stateid is remembered until it is freed.
        """
        held = self.table.grant(self.file, self.one, False)
        self.table.revoke(held)
        self.assertTrue(self.file.idle)
        self.assertEqual(self.one.revoked, 1)
        self.assertRaises(
            DelegRevoked, self.stateids.find, held.stateid, self.one, None
        )
        self.table.free(held)
        self.table.free(held)
        self.assertEqual((self.one.revoked, len(self.stateids)), (0, 0))

    def test_clientGone(self) -> None:
        """
        With a client all its delegations go, revoked ones too.
        """
        other = FileState(b"other", None, None)
        self.table.grant(self.file, self.one, False)
        self.table.grant(self.file, self.two, False)
        self.table.revoke(self.table.grant(other, self.one, False))
        self.assertEqual(self.table.dropClient(self.one), [self.file])
        self.assertEqual((self.table.count, len(self.stateids)), (1, 1))

    def test_conflicting(self) -> None:
        """
        Reading conflicts with writers, writing with everybody; not with oneself.
        """
        self.assertEqual(self.table.conflicting(self.file, self.one, True), [])
        held = self.table.grant(self.file, self.one, False)
        self.assertEqual(self.table.conflicting(self.file, self.two, False), [])
        self.assertEqual(self.table.conflicting(self.file, self.two, True), [held])
        self.assertEqual(self.table.conflicting(self.file, self.one, True), [])

    def test_opensInTheWay(self) -> None:
        """
        Others' opens are: those to write for a reader, all of them for a writer.
        """
        self.assertTrue(self.available(self.one, True))
        mine = self.opens.open(self.file, self.one, b"o", WRITE, 0)
        self.assertTrue(self.available(self.one, True))
        self.assertTrue(self.available(self.one, False))
        self.assertFalse(self.available(self.two, False))
        self.opens.close(mine)
        self.opens.open(self.file, self.one, b"o", READ, 0)
        self.assertTrue(self.available(self.two, False))
        self.assertFalse(self.available(self.two, True))

    def test_delegationsInTheWay(self) -> None:
        """
        Others' delegations are, and any that is being recalled.
        """
        held = self.table.grant(self.file, self.one, False)
        self.assertTrue(self.available(self.two, False))
        self.assertFalse(self.available(self.two, True))
        held.recall = object()
        self.assertFalse(self.available(self.two, False))

    def test_window(self) -> None:
        """
        Contention is forgotten after the window.
        """
        self.table.contend(self.file, 100.0)
        self.assertFalse(self.available(self.one, False, 129.9))
        self.assertTrue(self.available(self.one, False, 130.0))
        self.assertTrue(self.available(self.one, False, 100.0))

    def test_writers(self) -> None:
        """
        Two clients that write within the window are at odds; one alone, or two with
        a long time between, are not.
        """
        self.table.noteWriter(self.file, self.one, 0.0)
        self.table.noteWriter(self.file, self.one, 1.0)
        self.table.noteWriter(self.file, self.two, 40.0)
        self.assertFalse(self.table.contended(self.file, 40.0))
        self.table.noteWriter(self.file, self.one, 60.0)
        self.assertTrue(self.table.contended(self.file, 60.0))

    def test_memoryBound(self) -> None:
        """
        What is remembered of files that nobody holds has a limit.
        """
        self.patch(delegations, "REMEMBERED_LIMIT", 10)
        for number in range(100):
            file = FileState(b"%d" % number, None, None)
            self.table.noteWriter(file, self.one, 0.0)
            self.table.contend(file, 0.0)
        kept = [
            number
            for number in range(100)
            if self.table.contended(FileState(b"%d" % number, None, None), 0.0)
        ]
        self.assertEqual(kept, list(range(90, 100)))
        self.assertEqual(len(self.table._writers), 10)

    def test_size(self) -> None:
        """
        A delegation is small; a file without any pays for two references only.
        """
        held = self.table.grant(self.file, self.one, False)
        self.assertFalse(hasattr(held, "__dict__"))
        self.assertLess(sys.getsizeof(held), 200)
        self.assertIsNone(FileState(b"x", None, None).delegations)

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["grant", "drop", "revoke", "free", "gone"]),
                st.integers(0, 2),
                st.integers(0, 2),
                st.booleans(),
            ),
            max_size=40,
        )
    )
    def test_invariants(self, steps: Any) -> None:
        """
        Whatever happens, in whatever order: at most one client may write, and then
        nobody else may read; counts and indices agree.
        """
        stateids = StateidTable(7, entropy())
        table = DelegationTable(stateids)
        clients = [newClient(number) for number in range(3)]
        files = [FileState(b"%d" % number, None, None) for number in range(3)]
        revoked: list[Any] = []
        for what, c, f, write in steps:
            client, file = clients[c], files[f]
            held = table.held(file, client)
            if what == "grant" and held is None:
                if table.available(file, client, write, 0.0):
                    table.grant(file, client, write)
            elif what == "drop" and held is not None:
                table.drop(held)
            elif what == "revoke" and held is not None:
                table.revoke(held)
                revoked.append(held)
            elif what == "free" and revoked:
                table.free(revoked.pop())
            elif what == "gone":
                table.dropClient(client)
                revoked = [each for each in revoked if each.client is not client]
            every = [
                each for known in files for each in (known.delegations or {}).values()
            ]
            for known in files:
                holders = list((known.delegations or {}).values())
                if known.writer is not None:
                    self.assertEqual(holders, [known.writer])
                self.assertEqual(any(h.writes for h in holders), bool(known.writer))
            self.assertEqual(table.count, len(every))
            self.assertEqual(
                sorted(each.other for each in every),
                sorted(other for known in clients for other in known.delegations),
            )
            self.assertEqual(len(stateids), len(every) + len(revoked))
            self.assertEqual(sum(known.revoked for known in clients), len(revoked))
