"""
Tests for L{pnfs.nfs4.ops.delegating}, L{pnfs.nfs4.delegation_types} and what OPEN does
with delegations.
"""

from __future__ import annotations

import struct
from typing import Any

from pnfs.backends.metadata.recovery import MemoryRecoveryStore
from pnfs.nfs4.requests import opaque
from pnfs.nfs4.status import nfsstat4
from tests.nfs4.ops.delegations import (
    ANY,
    CANCEL,
    NO_DELEG,
    NONE,
    NONE_EXT,
    READ_ATTRS,
    READ_DELEG,
    TIMESTAMPS,
    WANT_READ,
    WANT_WRITE,
    WRITE_ATTRS,
    WRITE_DELEG,
    XOR,
    DelegationCase,
    DelegationFixture,
    Opened,
    readArgs,
    setattrArgs,
    writeArgs,
)
from tests.nfs4.ops.files import (
    ALICE,
    BOB,
    BOTH,
    READ,
    WRITE,
    closeArgs,
    lockNew,
    openArgs,
    unchecked,
)

NOT_WANTED, CONTENTION, RESOURCE, NO_UPGRADE, NO_DOWNGRADE, CANCELLED = 0, 1, 2, 5, 6, 7
CURRENT = b"\0\0\0\1" + bytes(12)
SAVEFH = struct.pack(">I", 32)


class GivingTests(DelegationCase):
    """
    Who is given a delegation with an OPEN.
    """

    def test_reader(self) -> None:
        """
        Who opens a file to read may read it again without asking.
        """
        opened = self.one.open(self.file, READ)
        self.assertEqual(opened.kind, READ_DELEG)
        self.assertEqual(self.table.count, 1)
        self.assertFalse(opened.delegation.recall)

    def test_writer(self) -> None:
        """
        Who alone opens a file to write may keep what it writes, as much as it likes.
        """
        opened = self.one.open(self.file, BOTH)
        self.assertEqual(opened.kind, WRITE_DELEG)
        self.assertEqual(opened.delegation.limit, (1, (1 << 64) - 1))

    def test_creator(self) -> None:
        """
        Who makes a file gets it at once.
        """
        arguments = openArgs(b"new", BOTH, how=unchecked())
        opened = Opened(self.one.at(self.fixture.root, arguments))
        self.assertEqual(opened.kind, WRITE_DELEG)

    def test_manyReaders(self) -> None:
        """
        Many clients may hold read delegations of one file.
        """
        self.readDelegation(self.one)
        self.readDelegation(self.two)
        self.assertEqual(len(self.fixture.heldOf(self.file)), 2)

    def test_oneWriter(self) -> None:
        """
        A file that another client has open is nobody's to write alone.
        """
        self.one.open(self.file, READ, NO_DELEG)
        opened = self.two.open(self.file, BOTH, ANY)
        self.assertEqual((opened.kind, opened.why), (NONE_EXT, CONTENTION))

    def test_writtenByAnother(self) -> None:
        """
        A file that another client writes is not delegated to be read.
        """
        self.one.open(self.file, WRITE, NO_DELEG)
        opened = self.two.open(self.file, READ)
        self.assertEqual(opened.kind, NONE)

    def test_withoutBackChannel(self) -> None:
        """
        A client that cannot be called back gets none, and is told why if it asks.
        """
        three = self.fixture.holder(b"three", back=False)
        self.assertEqual(three.open(self.file, READ).kind, NONE)
        opened = three.open(self.file, READ, WANT_READ)
        self.assertEqual((opened.kind, opened.why), (NONE_EXT, RESOURCE))

    def test_unprovenBackChannel(self) -> None:
        """
        Neither does one that has a back channel but has never answered on it. The OPEN
        does not wait for that (the first OPEN waits for the CB_NULL probe: chimera
        #597).
        """
        three = self.fixture.holder(b"three")
        three.client.backProven = False
        self.assertEqual(three.open(self.file, READ).kind, NONE)
        self.clock.advance(0)
        three.answer()
        self.assertEqual(three.open(self.file, READ).kind, READ_DELEG)
        three.connection.connectionLost()

    def test_silentBackChannel(self) -> None:
        """
        A client that does not answer the first callback is asked no more.
        """
        three = self.fixture.holder(b"three")
        three.client.backProven = False
        three.deaf = True
        three.open(self.file, READ)
        self.clock.advance(0)
        self.clock.advance(10)
        sent = len(three.connection.sent)
        self.assertEqual(three.open(self.file, READ).kind, NONE)
        self.clock.advance(1)
        self.assertEqual(len(three.connection.sent), sent)
        three.connection.connectionLost()

    def test_notAboveTheMaximum(self) -> None:
        """
        There is a limit to how many are given.
        """
        self.table.maximum = 1
        self.readDelegation()
        other = self.fixture.make(b"other", 0o666)
        opened = self.one.open(other, READ, ANY)
        self.assertEqual((opened.kind, opened.why), (NONE_EXT, RESOURCE))

    def test_exportWithout(self) -> None:
        """
        An export's switch turns them off.
        """
        self.fixture.export.delegations = False
        self.assertEqual(self.one.open(self.file, READ).kind, NONE)
        opened = self.one.open(self.file, READ, ANY)
        self.assertEqual((opened.kind, opened.why), (NONE_EXT, RESOURCE))

    def test_readOnlyExport(self) -> None:
        """
        There is nothing to write alone in an export that is read only.
        """
        self.fixture.export.readOnly = True
        self.assertEqual(self.one.open(self.file, READ).kind, READ_DELEG)
        other = self.fixture.make(b"other", 0o666)
        self.assertEqual(self.two.open(other, READ, WANT_WRITE).why, RESOURCE)

    def test_ace(self) -> None:
        """
        The ACE names the holder and what it may do: other users of the client have to
        ask (chimera #1413: delegation ACE names the holder).
        """
        self.file.mode = 0o754
        self.file.encoded.clear()
        opened = self.one.open(self.file, READ, credential=ALICE)
        self.assertEqual(opened.delegation.ace, (0, 0, 0x21, b"1001"))
        opened = self.two.open(self.file, READ, credential=BOB)
        self.assertEqual(opened.delegation.ace, (0, 0, 0x21, b"1002"))

    def test_aceToWrite(self) -> None:
        """
        A write delegation's ACE tells whether its holder may read, too.
        """
        opened = self.one.open(self.file, BOTH, credential=ALICE)
        self.assertEqual(opened.delegation.ace, (0, 0, 0x7, b"1001"))

    def test_recentlyRecalled(self) -> None:
        """
        A file whose delegation has been recalled is left alone for a while.
        """
        held = self.readDelegation()
        self.assertEqual(self.two.open(self.file, WRITE).status, nfsstat4.NFS4ERR_DELAY)
        self.one.recalled()
        self.one.at(self.file, closeArgs(self.opened))
        self.assertEqual(self.one.give(self.file, held), "NFS4_OK")
        self.assertEqual(self.one.open(self.file, READ).kind, NONE)
        self.clock.advance(9)
        self.one.run()
        self.clock.advance(9)
        self.one.run()
        self.clock.advance(9)
        self.one.run()
        self.assertEqual(self.one.open(self.file, READ).kind, NONE)
        self.clock.advance(4)
        self.assertEqual(self.one.open(self.file, READ).kind, READ_DELEG)

    def test_severalWriters(self) -> None:
        """
        So is one that several clients have written lately, one after the other.
        """
        for holder in (self.one, self.two):
            opened = holder.open(self.file, WRITE, NO_DELEG)
            holder.at(self.file, closeArgs(opened.stateid))
        self.assertIsNone(self.file.state)
        self.assertEqual(self.one.open(self.file, READ).kind, NONE)

    def test_oneWriterAgain(self) -> None:
        """
        A client that writes a file again and again is not at odds with itself.
        """
        for _ in range(2):
            opened = self.one.open(self.file, WRITE, NO_DELEG)
            self.one.at(self.file, closeArgs(opened.stateid))
        self.assertEqual(self.two.open(self.file, READ).kind, READ_DELEG)


class WantTests(DelegationCase):
    """
    A client may say what it wants (RFC 8881, section 18.16.3).
    """

    def test_none(self) -> None:
        """
        Who wants none gets none.
        """
        opened = self.one.open(self.file, READ, NO_DELEG)
        self.assertEqual((opened.kind, opened.why), (NONE_EXT, NOT_WANTED))

    def test_cancel(self) -> None:
        """
        Nor who withdraws a wish.
        """
        opened = self.one.open(self.file, READ, CANCEL)
        self.assertEqual((opened.kind, opened.why), (NONE_EXT, CANCELLED))

    def test_readWhenWriting(self) -> None:
        """
        A writer may want to be able to read only.
        """
        self.assertEqual(self.one.open(self.file, BOTH, WANT_READ).kind, READ_DELEG)

    def test_writeWhenReading(self) -> None:
        """
        A reader may want to write soon, if it may write.
        """
        self.assertEqual(self.one.open(self.file, READ, WANT_WRITE).kind, WRITE_DELEG)

    def test_writeWithoutPermission(self) -> None:
        """
        It must not get by a delegation what OPEN would refuse.
        """
        inode = self.fixture.make(b"alices", 0o644)
        opened = self.one.open(inode, READ, WANT_WRITE, credential=BOB)
        self.assertEqual((opened.kind, opened.why), (NONE_EXT, RESOURCE))

    def test_heldAlready(self) -> None:
        """
        Who has one is told of it again only if it asks for it.
        """
        held = self.readDelegation()
        self.assertEqual(self.one.open(self.file, READ).kind, NONE)
        again = self.one.open(self.file, READ, ANY)
        self.assertEqual((again.kind, again.delegation.stateid), (READ_DELEG, held))
        self.assertEqual(self.table.count, 1)

    def test_noUpgrade(self) -> None:
        """
        A read delegation does not become one to write; the OPEN succeeds.
        """
        self.readDelegation()
        opened = self.one.open(self.file, BOTH, WANT_WRITE)
        self.assertEqual((opened.kind, opened.why), (NONE_EXT, NO_UPGRADE))

    def test_noDowngrade(self) -> None:
        """
        Nor the other way round.
        """
        self.writeDelegation()
        opened = self.one.open(self.file, READ, WANT_READ)
        self.assertEqual((opened.kind, opened.why), (NONE_EXT, NO_DOWNGRADE))


class StateidTests(DelegationCase):
    """
    What the stateid of a delegation is good for.
    """

    def test_notCurrent(self) -> None:
        """
        After OPEN the current stateid is the open's, not the delegation's.
        """
        reply = self.one.at(
            self.file,
            openArgs(access=READ, claim=struct.pack(">I", 4)),
            closeArgs(CURRENT),
        )
        self.assertEqual(reply.status, 0)

    def test_read(self) -> None:
        """
        Data is read under either kind.
        """
        held = self.readDelegation()
        self.assertEqual(self.one.status_(self.file, readArgs(held)), "NFS4_OK")

    def test_write(self) -> None:
        """
        A write delegation stands for an open to read and write.
        """
        held = self.writeDelegation()
        self.assertEqual(self.one.status_(self.file, writeArgs(held)), "NFS4_OK")
        self.assertEqual(self.one.status_(self.file, readArgs(held)), "NFS4_OK")

    def test_writeUnderRead(self) -> None:
        """
        A read delegation is no right to write.
        """
        held = self.readDelegation()
        status = self.one.status_(self.file, writeArgs(held))
        self.assertEqual(status, "NFS4ERR_OPENMODE")

    def test_anothers(self) -> None:
        """
        Another client's delegation is nobody else's (chimera #524).
        """
        held = self.readDelegation()
        status = self.two.status_(self.file, readArgs(held))
        self.assertEqual(status, "NFS4ERR_BAD_STATEID")

    def test_otherFile(self) -> None:
        """
        Nor is it good for another file.
        """
        held = self.readDelegation()
        other = self.fixture.make(b"other", 0o666)
        status = self.one.status_(other, readArgs(held))
        self.assertEqual(status, "NFS4ERR_BAD_STATEID")

    def test_noLocks(self) -> None:
        """
        Byte ranges are locked under an open.
        """
        held = self.writeDelegation()
        status = self.one.status_(self.file, lockNew(held, 2, 0, 10))
        self.assertEqual(status, "NFS4ERR_BAD_STATEID")

    def test_notFreed(self) -> None:
        """
        FREE_STATEID does not end a delegation: it is not a lock stateid (chimera #324,
        #1370: a layout or delegation stateid is not a lock stateid).
        """
        held = self.readDelegation()
        status = self.one.status_(self.file, struct.pack(">I16s", 45, held))
        self.assertEqual(status, "NFS4ERR_LOCKS_HELD")
        self.assertEqual(self.table.count, 1)


class ClaimTests(DelegationCase):
    """
    Opens that a client has granted under its delegation.
    """

    def claimFH(self, stateid: bytes, access: int = READ, holder: Any = None) -> Opened:
        """
        CLAIM_DELEG_CUR_FH.
        """
        claim = struct.pack(">I16s", 5, stateid)
        return (holder or self.one).open(self.file, access, owner=b"late", claim=claim)

    def test_byFilehandle(self) -> None:
        """
        Linux tells of its opens by CLAIM_DELEG_CUR_FH before it returns a delegation
        (chimera #870: CLAIM_DELEG_CUR_FH supported).
        """
        held = self.readDelegation()
        opened = self.claimFH(held)
        self.assertEqual((opened.status, opened.kind), (0, NONE))
        self.assertEqual(
            self.one.status_(self.file, readArgs(opened.stateid)), "NFS4_OK"
        )

    def test_byName(self) -> None:
        """
        CLAIM_DELEGATE_CUR names the file in its directory.
        """
        held = self.readDelegation()
        claim = struct.pack(">I16s", 2, held) + opaque(b"file")
        opened = Opened(
            self.one.at(self.fixture.root, openArgs(owner=b"late", claim=claim))
        )
        self.assertEqual(opened.status, 0)

    def test_byNameOfAnother(self) -> None:
        """
        The delegation must be of that very file (chimera #1416: CLAIM_DELEGATE_CUR
        checks its stateid).
        """
        held = self.readDelegation()
        self.fixture.make(b"other", 0o666)
        claim = struct.pack(">I16s", 2, held) + opaque(b"other")
        opened = Opened(self.one.at(self.fixture.root, openArgs(claim=claim)))
        self.assertEqual(opened.status, nfsstat4.NFS4ERR_BAD_STATEID)

    def test_whileRecalled(self) -> None:
        """
        That is what recalls are about: it works while one is under way.
        """
        held = self.readDelegation()
        self.two.open(self.file, WRITE)
        self.assertEqual(len(self.one.recalled()), 1)
        self.assertEqual(self.claimFH(held).status, 0)

    def test_notMoreThanDelegated(self) -> None:
        """
        Under a read delegation nothing has been opened to write.
        """
        held = self.readDelegation()
        opened = self.claimFH(held, WRITE)
        self.assertEqual(opened.status, nfsstat4.NFS4ERR_BAD_STATEID)

    def test_notHeld(self) -> None:
        """
        A claim under a delegation that another client holds, or nobody, is refused.
        """
        held = self.readDelegation()
        opened = self.claimFH(held, holder=self.two)
        self.assertEqual(opened.status, nfsstat4.NFS4ERR_BAD_STATEID)
        other = self.fixture.make(b"other", 0o666)
        claim = struct.pack(">I16s", 5, held)
        opened = self.one.open(other, READ, claim=claim)
        self.assertEqual(opened.status, nfsstat4.NFS4ERR_BAD_STATEID)

    def test_revoked(self) -> None:
        """
        Under one that was revoked, too.
        """
        held = self.readDelegation()
        self.table.revoke(self.fixture.heldOf(self.file)[0])
        opened = self.claimFH(held)
        self.assertEqual(opened.status, nfsstat4.NFS4ERR_DELEG_REVOKED)

    def test_previousIncarnation(self) -> None:
        """
        No delegation is kept over a client's restart: it is told so.
        """
        for claim in (struct.pack(">I", 3) + opaque(b"file"), struct.pack(">I", 6)):
            opened = Opened(self.one.at(self.fixture.root, openArgs(claim=claim)))
            self.assertEqual(opened.status, nfsstat4.NFS4ERR_NOTSUPP)


class InsteadOfOpenTests(DelegationCase):
    """
    OPEN4_SHARE_ACCESS_WANT_OPEN_XOR_DELEGATION (RFC 9754, section 3).
    """

    def test_delegationOnly(self) -> None:
        """
        The delegation stands for the open: there is one state less to close.
        """
        opened = self.one.open(self.file, READ, XOR)
        self.assertEqual(opened.kind, READ_DELEG)
        self.assertTrue(opened.flags & 0x10)
        self.assertEqual(opened.stateid, bytes(16))
        self.assertEqual(self.file.state.opens, {})
        status = self.one.status_(self.file, readArgs(opened.delegation.stateid))
        self.assertEqual(status, "NFS4_OK")

    def test_openOnly(self) -> None:
        """
        If there is no delegation there is an open.
        """
        self.one.open(self.file, WRITE, NO_DELEG)
        opened = self.two.open(self.file, READ, XOR)
        self.assertEqual(opened.kind, NONE)
        self.assertFalse(opened.flags & 0x10)
        status = self.two.status_(self.file, readArgs(opened.stateid))
        self.assertEqual(status, "NFS4_OK")

    def test_notBoth(self) -> None:
        """
        An owner that has the file open gets the open it adds to, and no delegation.
        """
        self.one.open(self.file, READ, NO_DELEG)
        opened = self.one.open(self.file, BOTH, XOR | ANY)
        self.assertEqual((opened.kind, opened.why), (NONE_EXT, RESOURCE))
        self.assertFalse(opened.flags & 0x10)

    def test_notBothKinds(self) -> None:
        """
        A delegation that would not cover the open does not come beside it; nor one
        that is held already.
        """
        opened = self.one.open(self.file, BOTH, XOR | WANT_READ)
        self.assertEqual((opened.kind, opened.flags & 0x10), (NONE_EXT, 0))
        other = self.fixture.make(b"other", 0o666)
        self.one.open(other, READ)
        opened = self.one.open(other, READ, XOR | ANY, owner=b"second")
        self.assertEqual((opened.kind, opened.flags & 0x10), (NONE_EXT, 0))

    def test_shareReservation(self) -> None:
        """
        Who denies something to others needs an open.
        """
        opened = self.one.open(self.file, READ, XOR, deny=2)
        self.assertFalse(opened.flags & 0x10)
        self.assertEqual(
            self.two.open(self.file, WRITE).status, nfsstat4.NFS4ERR_SHARE_DENIED
        )

    def test_earlierMinorVersion(self) -> None:
        """
        NFSv4.1 knows nothing of it.
        """
        three = self.fixture.holder(b"three", minor=1)
        opened = three.open(self.file, READ, XOR | TIMESTAMPS)
        self.assertEqual(opened.kind, READ_DELEG)
        self.assertFalse(opened.flags & 0x10)
        three.connection.connectionLost()

    def test_removedWhileHeld(self) -> None:
        """
        The holder that removes the file may go on with it until the delegation is
        returned.
        """
        opened = self.one.open(self.file, BOTH, XOR)
        remove = struct.pack(">I", 28) + opaque(b"file")
        self.assertEqual(self.one.status_(self.fixture.root, remove), "NFS4_OK")
        held = opened.delegation.stateid
        self.assertEqual(self.one.status_(self.file, writeArgs(held)), "NFS4_OK")
        self.assertEqual(self.one.give(self.file, held), "NFS4_OK")
        self.assertIsNone(self.file.state)
        self.assertEqual(self.one.status_(self.file), "NFS4ERR_STALE")

    def test_timestamps(self) -> None:
        """
        A client that will keep the times is given a delegation that says so.
        """
        self.assertEqual(self.one.open(self.file, READ, TIMESTAMPS).kind, READ_ATTRS)
        other = self.fixture.make(b"other", 0o666)
        self.assertEqual(self.one.open(other, BOTH, TIMESTAMPS).kind, WRITE_ATTRS)


class ReclaimTests(DelegationCase):
    """
    Delegations held before the server's restart (RFC 8881, section 10.2.1).
    """

    def setUp(self) -> None:
        store = MemoryRecoveryStore()
        store.beginEpoch()
        store.addClient(b"one")
        store.addClient(b"two")
        self.fixture = DelegationFixture(store=store)
        self.clock = self.fixture.clock
        self.table = self.fixture.table
        self.file = self.fixture.make(b"file", 0o666)
        mount = self.fixture.mount

        def mountToReclaim(owner: bytes, **more: Any) -> None:
            mount(owner, reclaimComplete=False, **more)

        self.patch(self.fixture, "mount", mountToReclaim)
        self.one = self.fixture.holder(b"one")
        self.two = self.fixture.holder(b"two")

    def reclaim(self, holder: Any, access: int, kind: int) -> Opened:
        """
        CLAIM_PREVIOUS with a delegation.
        """
        claim = struct.pack(">II", 1, kind)
        opened: Opened = holder.open(self.file, access, claim=claim)
        return opened

    def test_reclaimed(self) -> None:
        """
        What was held is held again; other readers' too.
        """
        for holder in (self.one, self.two):
            opened = self.reclaim(holder, READ, READ_DELEG)
            self.assertEqual((opened.status, opened.kind), (0, READ_DELEG))

    def test_writeReclaimed(self) -> None:
        """
        A write delegation comes back as one, with the times if they were kept.
        """
        opened = self.reclaim(self.one, BOTH, WRITE_ATTRS)
        self.assertEqual(opened.kind, WRITE_ATTRS)

    def test_conflict(self) -> None:
        """
        Two clients cannot both have held it to write: the second only has its open.
        """
        self.reclaim(self.one, READ, WRITE_DELEG)
        opened = self.reclaim(self.two, READ, WRITE_DELEG)
        self.assertEqual((opened.status, opened.kind), (0, NONE))

    def test_none(self) -> None:
        """
        A client that held none gets none.
        """
        self.assertEqual(self.reclaim(self.one, READ, NONE).kind, NONE)

    def test_othersWait(self) -> None:
        """
        As long as a delegation may be reclaimed nobody else changes the file, its mode
        or its names; whoever has reclaimed one may.
        """
        root = self.fixture.putfh(self.fixture.root)
        mode = {33: struct.pack(">I", 0o640)}
        file = self.fixture.putfh(self.file)
        for ops in (
            (file, setattrArgs(bytes(16), mode)),
            (root, SAVEFH, struct.pack(">I", 29) + opaque(b"file") + opaque(b"x")),
            (file, SAVEFH, root, struct.pack(">I", 11) + opaque(b"x")),
            (root, struct.pack(">I", 28) + opaque(b"file")),
        ):
            self.assertEqual(self.one.run(*ops).status, nfsstat4.NFS4ERR_GRACE)
        self.reclaim(self.two, BOTH, WRITE_DELEG)
        self.assertEqual(self.two.run(file, setattrArgs(bytes(16), mode)).status, 0)

    def test_malformed(self) -> None:
        """
        What cannot have been held is refused.
        """
        self.assertEqual(
            self.reclaim(self.one, READ, NONE_EXT).status, nfsstat4.NFS4ERR_INVAL
        )
        self.assertEqual(
            self.reclaim(self.one, READ, 6).status, nfsstat4.NFS4ERR_BADXDR
        )
