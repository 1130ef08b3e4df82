"""
Tests for L{pnfs.nfs4.ops.want_delegation} and L{pnfs.callbacks.wanted_delegations}.
"""

from __future__ import annotations

import struct
from typing import Any, Optional

from pnfs.backends.metadata.recovery import MemoryRecoveryStore
from pnfs.callbacks.ops import OP_CB_PUSH_DELEG, OP_CB_RECALLABLE_OBJ_AVAIL
from pnfs.nfs4.requests import opaque
from pnfs.nfs4.status import nfsstat4
from pnfs.values import FileType
from tests.nfs4.ops.delegations import (
    ANY,
    CANCEL,
    NO_DELEG,
    NONE,
    NONE_EXT,
    PUSH,
    READ_DELEG,
    SIGNAL,
    WANT_READ,
    WANT_WRITE,
    WRITE_DELEG,
    XOR,
    Delegation,
    DelegationCase,
    DelegationFixture,
    Holder,
    readArgs,
)
from tests.nfs4.ops.files import BOB, READ, WRITE, closeArgs

CLAIM_FH = struct.pack(">I", 4)
CONTENTION, RESOURCE, FTYPE, CANCELLED, IS_DIR = 1, 2, 3, 7, 8


def wantArgs(want: int, claim: bytes = CLAIM_FH) -> bytes:
    """
    WANT_DELEGATION.
    """
    return struct.pack(">II", 56, want) + claim


class WantCase(DelegationCase):
    """
    Clients that say what they want.
    """

    def want(
        self, want: int, inode: Any = None, holder: Optional[Holder] = None, **more: Any
    ) -> Delegation:
        """
        A successful WANT_DELEGATION.
        """
        claim = more.pop("claim", CLAIM_FH)
        reply = (holder or self.one).at(
            inode or self.file, wantArgs(want, claim), **more
        )
        self.assertEqual(reply.take(56), (0, None))
        return Delegation(reply.wire, reply.pos)

    def refused(self, want: int, inode: Any = None, **more: Any) -> str:
        """
        One that fails: its status.
        """
        claim = more.pop("claim", CLAIM_FH)
        return self.one.status_(inode or self.file, wantArgs(want, claim), **more)


class WantDelegationTests(WantCase):
    """
    WANT_DELEGATION (RFC 8881, section 18.49).
    """

    def test_given(self) -> None:
        """
        A file need not be opened for it.
        """
        found = self.want(WANT_READ)
        self.assertEqual(found.kind, READ_DELEG)
        self.assertEqual(self.file.state.opens, {})
        self.assertEqual(
            self.one.status_(self.file, readArgs(found.stateid)), "NFS4_OK"
        )

    def test_any(self) -> None:
        """
        Who may write gets what is good for writing.
        """
        self.assertEqual(self.want(ANY).kind, WRITE_DELEG)
        inode = self.fixture.make(b"alices", 0o644)
        self.assertEqual(self.want(ANY, inode, credential=BOB).kind, READ_DELEG)

    def test_permission(self) -> None:
        """
        Nobody gets more than OPEN would have given.
        """
        inode = self.fixture.make(b"alices", 0o600)
        for want in (WANT_READ, WANT_WRITE, ANY):
            status = self.refused(want, inode, credential=BOB)
            self.assertEqual(status, "NFS4ERR_ACCESS")

    def test_conflict(self) -> None:
        """
        A delegation of another client that is in the way is not recalled for a wish.
        """
        self.want(WANT_WRITE, holder=self.two)
        found = self.want(WANT_READ)
        self.assertEqual((found.kind, found.why), (NONE_EXT, CONTENTION))
        self.assertEqual(self.two.recalled(), [])

    def test_notRegular(self) -> None:
        """
        Directories and links have none of this kind.
        """
        folder = self.fixture.make(b"folder", 0o777, FileType.DIR)
        self.assertEqual(self.want(WANT_READ, folder).why, IS_DIR)
        link = self.fixture.make(b"link", 0o777, FileType.LNK)
        self.assertEqual(self.want(WANT_READ, link).why, FTYPE)

    def test_arguments(self) -> None:
        """
        It must be clear what is wanted.
        """
        for want in (0, 0x600, WANT_READ | 1, WANT_READ | XOR):
            self.assertEqual(self.refused(want), "NFS4ERR_INVAL")
        self.assertEqual(
            self.refused(ANY, claim=struct.pack(">I", 6)), "NFS4ERR_NOTSUPP"
        )
        self.assertEqual(
            self.refused(ANY, claim=struct.pack(">I", 0)), "NFS4ERR_BADXDR"
        )
        self.assertEqual(
            self.refused(ANY, claim=struct.pack(">II", 1, 9)), "NFS4ERR_BADXDR"
        )
        self.assertEqual(
            self.refused(ANY, claim=struct.pack(">II", 1, 0)), "NFS4ERR_INVAL"
        )

    def test_reclaimTooLate(self) -> None:
        """
        Nothing is reclaimed after the grace period.
        """
        claim = struct.pack(">II", 1, READ_DELEG)
        self.assertEqual(self.refused(ANY, claim=claim), "NFS4ERR_NO_GRACE")

    def test_currentStateid(self) -> None:
        """
        The current stateid stays what it was.
        """
        opened = self.one.open(self.file, READ, NO_DELEG)
        other = self.fixture.make(b"other", 0o666)
        self.assertEqual(opened.kind, NONE_EXT)
        reply = self.one.at(other, wantArgs(ANY), closeArgs(b"\0\0\0\1" + bytes(12)))
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_BAD_STATEID)


class ReclaimWantTests(WantCase):
    """
    WANT_DELEGATION with CLAIM_PREVIOUS.
    """

    def setUp(self) -> None:
        store = MemoryRecoveryStore()
        store.beginEpoch()
        store.addClient(b"one")
        store.addClient(b"two")
        self.fixture = DelegationFixture(store=store)
        self.clock = self.fixture.clock
        self.file = self.fixture.make(b"file", 0o666)
        self.one = self.fixture.holder(b"one", first=False)
        self.two = self.fixture.holder(b"two", first=False)

    def test_reclaimed(self) -> None:
        """
        A delegation held without an open is reclaimed without one.
        """
        claim = struct.pack(">II", 1, WRITE_DELEG)
        self.assertEqual(self.want(0, claim=claim).kind, WRITE_DELEG)
        self.assertEqual(self.want(0, claim=claim, holder=self.two).kind, NONE)


class PushTests(WantCase):
    """
    CB_PUSH_DELEG when there is no contention any more.
    """

    def wait(self, want: int = WANT_READ | PUSH) -> bytes:
        """
        C{two} writes the file, and C{one} waits for it to be done: the stateid of
        C{two}'s open.
        """
        opened = self.two.open(self.file, WRITE, NO_DELEG)
        found = self.want(want)
        self.assertEqual((found.kind, found.why), (NONE_EXT, CONTENTION))
        self.assertTrue(found.later)
        return opened.stateid

    def passSeconds(self, count: int = 1) -> list[int]:
        """
        Time passes: what C{one} is called for.
        """
        called = []
        for _ in range(count):
            self.clock.advance(1)
            called += self.one.answer()
            self.one.run()
            self.two.run()
        return called

    def pushed(self) -> Delegation:
        """
        What the last callback has brought.
        """
        wire = self.one.callbacks[-1].op
        fh = opaque(self.fixture.fh(self.file))
        self.assertEqual(wire[4 : 4 + len(fh)], fh)
        return Delegation(wire, 4 + len(fh))

    def test_pushed(self) -> None:
        """
        When the other has closed the file the delegation comes by itself, once.
        """
        stateid = self.wait()
        self.assertEqual(self.passSeconds(2), [])
        self.two.at(self.file, closeArgs(stateid))
        self.assertEqual(self.passSeconds(), [OP_CB_PUSH_DELEG])
        found = self.pushed()
        self.assertEqual(found.kind, READ_DELEG)
        self.assertEqual(
            self.one.status_(self.file, readArgs(found.stateid)), "NFS4_OK"
        )
        self.assertEqual(self.passSeconds(3), [])

    def test_byOpen(self) -> None:
        """
        OPEN can leave a wish behind, too.
        """
        opened = self.two.open(self.file, WRITE, NO_DELEG)
        mine = self.one.open(self.file, READ, WANT_READ | PUSH)
        self.assertTrue(mine.delegation.later)
        self.two.at(self.file, closeArgs(opened.stateid))
        self.assertEqual(self.passSeconds(), [OP_CB_PUSH_DELEG])

    def test_notWanted(self) -> None:
        """
        A client that does not take it does not hold it.
        """
        stateid = self.wait()
        self.one.status[OP_CB_PUSH_DELEG] = nfsstat4.NFS4ERR_REJECT_DELEG
        self.two.at(self.file, closeArgs(stateid))
        self.passSeconds()
        self.assertEqual(self.table.count, 0)
        self.assertIsNone(self.file.state)

    def test_already(self) -> None:
        """
        One wish for a file is enough.
        """
        self.wait()
        self.assertEqual(self.refused(WANT_READ), "NFS4ERR_DELEG_ALREADY_WANTED")

    def test_cancelled(self) -> None:
        """
        It can be withdrawn.
        """
        stateid = self.wait()
        self.assertEqual(self.want(CANCEL).why, CANCELLED)
        self.two.at(self.file, closeArgs(stateid))
        self.assertEqual(self.passSeconds(3), [])

    def test_recall(self) -> None:
        """
        What was pushed is recalled as any other.
        """
        stateid = self.wait()
        self.two.at(self.file, closeArgs(stateid))
        self.passSeconds()
        pushed = self.pushed().stateid
        self.assertEqual(
            self.two.open(self.file, WRITE, NO_DELEG).status, nfsstat4.NFS4ERR_DELAY
        )
        (recalled,) = self.one.recalled()
        self.assertEqual(recalled.stateid, pushed)

    def test_fileGone(self) -> None:
        """
        A file that is removed is not waited for any longer.
        """
        stateid = self.wait()
        self.two.at(self.file, closeArgs(stateid))
        remove = struct.pack(">I", 28) + opaque(b"file")
        self.two.at(self.fixture.root, remove)
        self.assertEqual(self.passSeconds(2), [])
        self.assertEqual(len(self.fixture.recalls.wanted), 0)

    def test_clientGone(self) -> None:
        """
        Nor by a client that is gone.
        """
        self.wait()
        self.fixture.server.clients.revoke(self.one.client)
        self.assertEqual(len(self.fixture.recalls.wanted), 0)


class SignalTests(WantCase):
    """
    CB_RECALLABLE_OBJ_AVAIL when there are delegations again.
    """

    maximum = 2

    def test_signalled(self) -> None:
        """
        Who has been told that there are too many is told when there are less.
        """
        held = self.want(WANT_READ, holder=self.two).stateid
        other = self.fixture.make(b"other", 0o666)
        self.want(WANT_READ, other, self.two)
        third = self.fixture.make(b"third", 0o666)
        found = self.want(WANT_READ | SIGNAL, third)
        self.assertEqual((found.why, found.later), (RESOURCE, 1))
        self.clock.advance(1)
        self.assertEqual(self.one.answer(), [])
        self.two.give(self.file, held)
        self.clock.advance(1)
        self.assertEqual(self.one.answer(), [OP_CB_RECALLABLE_OBJ_AVAIL])
        self.assertEqual(
            self.one.callbacks[-1].op,
            struct.pack(">IIII", OP_CB_RECALLABLE_OBJ_AVAIL, 0, 1, 3),
        )
        self.clock.advance(3)
        self.assertEqual(self.one.answer(), [])
