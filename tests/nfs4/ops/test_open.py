"""
Tests for L{pnfs.nfs4.ops.open}.
"""

from __future__ import annotations

import struct
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.metadata.recovery import MemoryRecoveryStore
from pnfs.nfs4.ops.open import open_
from pnfs.nfs4.requests import GETFH, modeAttribute, ownerAttributes, sizeAttribute
from pnfs.nfs4.status import nfsstat4
from pnfs.values import ROOT, FileType, SetAttributes
from pnfs.state.layouts import mayBeWritten
from tests.nfs4.ops.files import (
    ALICE,
    BOB,
    BOTH,
    CLAIM_FH,
    CLAIM_PREVIOUS,
    READ,
    WRITE,
    FileFixture,
    Opened,
    closeArgs,
    exclusive,
    exclusive41,
    guarded,
    lockNew,
    now,
    openArgs,
    unchecked,
)

OK = nfsstat4.NFS4_OK


class OpenTests(SynchronousTestCase):
    """
    Whole COMPOUNDs with OPEN.
    """

    def setUp(self) -> None:
        self.fixture = FileFixture()
        self.fixture.mount()
        self.root = self.fixture.root

    def open(self, *arguments: Any, **more: Any) -> Opened:
        """
        A successful OPEN in the root directory.
        """
        credential = more.pop("credential", None)
        return Opened(
            self.fixture.at(
                self.root, openArgs(*arguments, **more), credential=credential
            )
        )

    def refused(self, status: str, *arguments: Any, **more: Any) -> None:
        """
        An OPEN that must fail so, as the operation declares.
        """
        at = more.pop("at", self.root)
        credential = more.pop("credential", None)
        reply = self.fixture.at(at, openArgs(*arguments, **more), credential=credential)
        found = nfsstat4(reply.take(18)[0])
        self.assertEqual(found.name, "NFS4ERR_" + status)
        self.assertIn(found, open_.errors)

    # -- existing files ------------------------------------------------------

    def test_existing(self) -> None:
        """
        An existing file is opened by name: its filehandle and the open's stateid
        become current, the directory has not changed.
        """
        inode = self.fixture.make(b"file")
        reply = self.fixture.at(
            self.root, openArgs(b"file"), GETFH, closeArgs(b"\0\0\0\1" + bytes(12))
        )
        opened = Opened(reply)
        self.assertEqual(opened.stateid[:4], b"\0\0\0\1")
        self.assertEqual((opened.atomic, opened.before), (1, opened.after))
        self.assertEqual((opened.flags, opened.attrset, opened.delegation), (4, 0, 0))
        reply.take(10)
        fh = self.fixture.fh(inode)
        self.assertEqual(reply.rest[4 : 4 + len(fh)], fh)
        reply.pos += 4 + len(fh) + (-len(fh) & 3)
        self.assertEqual(reply.take(4)[0], OK)
        self.assertIsNone(inode.state)

    def test_notInMemory(self) -> None:
        """
        A file that the backend has to look for is opened as well.
        """
        self.fixture.make(b"file")
        self.patch(self.fixture.backend, "cachedChild", lambda directory, name: None)
        self.open(b"file")
        self.refused("NOENT", b"other")

    def test_byFilehandle(self) -> None:
        """
        CLAIM_FH opens the current file itself; it creates nothing.
        """
        inode = self.fixture.make(b"file")
        reply = self.fixture.at(inode, openArgs(access=BOTH, claim=CLAIM_FH))
        opened = Opened(reply)
        self.assertEqual((opened.atomic, opened.before, opened.after), (0, 0, 0))
        self.refused("INVAL", how=unchecked(), claim=CLAIM_FH, at=inode)

    def test_kinds(self) -> None:
        """
        Only regular files are opened; each other kind has its own error (ISDIR,
        SYMLINK, WRONG_TYPE: chimera #280, #527, c:d99404a1).
        """
        for ftype, status in (
            (FileType.DIR, "ISDIR"),
            (FileType.LNK, "SYMLINK"),
            (FileType.FIFO, "WRONG_TYPE"),
            (FileType.SOCK, "WRONG_TYPE"),
        ):
            inode = self.fixture.make(b"%d" % ftype, ftype=ftype)
            self.refused(status, b"%d" % ftype)
            self.refused(status, b"%d" % ftype, how=unchecked())
            self.refused(status, claim=CLAIM_FH, at=inode)
        inode = self.fixture.make(b"file")
        self.refused("NOTDIR", b"x", at=inode)

    def test_names(self) -> None:
        """
        What cannot be a name is refused, also when creating.
        """
        for name, status in (
            (b"", "INVAL"),
            (b"..", "BADNAME"),
            (b"a/b", "BADNAME"),
            (b"\xff", "INVAL"),
            (b"x" * 256, "NAMETOOLONG"),
        ):
            self.refused(status, name)
            self.refused(status, name, how=unchecked())

    def test_shareBits(self) -> None:
        """
        Access to nothing, or bits that mean nothing, are invalid (share_access 0 is
        INVAL: chimera #1002).
        """
        self.fixture.make(b"file")
        self.refused("INVAL", b"file", 0)
        self.refused("INVAL", b"file", READ, 4)
        self.refused("INVAL", b"file", READ | 0x80000000)
        self.refused("INVAL", b"file", READ | 0x700)

    def test_delegationWanted(self) -> None:
        """
        Who asks for a delegation is told why there is none; who does not, is not.
        """
        self.fixture.make(b"file")
        for want, why in ((0x100, 2), (0x300, 2), (0x400, 0), (0x500, 7)):
            opened = self.open(b"file", READ | want)
            self.assertEqual((opened.delegation, opened.why), (3, why))
        self.assertEqual(self.open(b"file", READ).delegation, 0)

    def test_permission(self) -> None:
        """
        Owner and mode decide; a lack of permission shows before a share conflict
        (permission error before SHARE_DENIED: chimera #350, #529).
        """
        self.fixture.make(b"secret", 0o600)
        self.fixture.make(b"shared", 0o444)
        self.open(b"secret", BOTH, READ)
        self.refused("ACCESS", b"secret", READ, credential=BOB)
        self.refused("SHARE_DENIED", b"secret", READ, owner=b"second")
        self.open(b"shared", READ, credential=BOB)
        self.refused("ACCESS", b"shared", WRITE, credential=BOB)
        self.refused("ACCESS", b"shared", WRITE)
        self.open(b"shared", BOTH, credential=ROOT)

    def test_programs(self) -> None:
        """
        A program that may only be executed can be read by the kernel that
        executes it.
        """
        self.fixture.make(b"program", 0o711)
        self.open(b"program", READ, credential=BOB)
        self.refused("ACCESS", b"program", WRITE, credential=BOB)

    def test_search(self) -> None:
        """
        Without the right to search a directory nothing in it is opened.
        """
        self.fixture.make(b"file", 0o666)
        now(self.fixture.backend.setattr(self.root, SetAttributes(mode=0o766)))
        self.refused("ACCESS", b"file")
        self.refused("ACCESS", b"file", how=unchecked())
        self.refused("ACCESS", b"none")

    def test_readOnly(self) -> None:
        """
        A read-only export opens for reading only, and creates nothing.
        """
        self.fixture.make(b"file", 0o666)
        self.fixture.export.readOnly = True
        self.open(b"file", READ)
        self.refused("ROFS", b"file", WRITE)
        self.refused("ROFS", b"new", READ, how=unchecked())
        self.refused("ROFS", b"file", READ, how=unchecked(sizeAttribute(0)))

    def test_shareReservation(self) -> None:
        """
        What one client denies, another does not get, until the first closes.
        """
        inode = self.fixture.make(b"file", 0o666)
        opened = self.open(b"file", READ, WRITE)
        other = self.fixture.another(b"other")
        with other:
            self.refused("SHARE_DENIED", b"file", WRITE)
            self.open(b"file", READ)
        self.fixture.at(inode, closeArgs(opened.stateid))
        with other:
            self.open(b"file", WRITE)

    def test_upgrade(self) -> None:
        """
        Opening again as the same owner keeps the stateid and moves its seqid.
        """
        self.fixture.make(b"file", 0o666)
        first = self.open(b"file", READ)
        second = self.open(b"file", WRITE)
        self.assertEqual(first.stateid[4:], second.stateid[4:])
        self.assertEqual(second.stateid[:4], b"\0\0\0\2")
        third = self.open(b"file", READ, owner=b"another")
        self.assertNotEqual(third.stateid[4:], first.stateid[4:])

    # -- creation ------------------------------------------------------------

    def test_create(self) -> None:
        """
        A new file belongs to the caller and has the attributes asked for; the
        change attribute of its directory moves from before to after.
        """
        before = self.root.change
        opened = self.open(b"new", BOTH, how=unchecked(modeAttribute(0o640)))
        self.assertEqual((opened.before, opened.after), (before, self.root.change))
        self.assertNotEqual(opened.before, opened.after)
        self.assertEqual(opened.attrset, 1 << 33)
        inode = self.fixture.backend.cachedChild(self.root, b"new")
        self.assertEqual((inode.mode, inode.uid, inode.gid), (0o640, 1001, 100))

    def test_modeZero(self) -> None:
        """
        The creator gets the access asked for even if the mode allows nothing (requested
        access even if mode is 0: chimera #896).
        """
        self.open(b"new", BOTH, how=guarded(modeAttribute(0)))
        self.refused("ACCESS", b"new", READ, owner=b"second")

    def test_squashed(self) -> None:
        """
        What root creates under root squash belongs to nobody.
        """
        self.fixture.export.rootSquash = True
        self.open(b"new", BOTH, how=unchecked(), credential=ROOT)
        inode = self.fixture.backend.cachedChild(self.root, b"new")
        self.assertEqual((inode.uid, inode.gid), (65534, 65534))

    def test_flavor(self) -> None:
        """
        OPEN tells itself that the flavour is wrong, by name; of a filehandle the
        one who has set it does (RFC 8881, section 2.6.3.1.1).
        """
        self.fixture.make(b"f")
        self.fixture.export.flavors = (0,)
        self.fixture.export.settle()
        self.refused("WRONGSEC", b"f", READ)
        self.refused("WRONGSEC", b"new", how=unchecked())

    def test_giveAway(self) -> None:
        """
        Only the superuser creates files for others.
        """
        attributes = unchecked(*ownerAttributes(1002, 100))
        self.refused("PERM", b"new", how=attributes)
        self.open(b"new", how=attributes, credential=ROOT)
        inode = self.fixture.backend.cachedChild(self.root, b"new")
        self.assertEqual(inode.uid, 1002)

    def test_setgid(self) -> None:
        """
        The setgid bit of a group the caller is not in is dropped.
        """
        now(self.fixture.backend.setattr(self.root, SetAttributes(gid=5, mode=0o2777)))
        self.open(b"new", how=unchecked(modeAttribute(0o2755)))
        inode = self.fixture.backend.cachedChild(self.root, b"new")
        self.assertEqual((inode.mode, inode.gid), (0o755, 5))

    def test_createNeedsWrite(self) -> None:
        """
        Creating needs the right to write to the directory; opening what exists
        with the same arguments does not.
        """
        self.fixture.make(b"file", 0o666)
        now(self.fixture.backend.setattr(self.root, SetAttributes(mode=0o755)))
        self.refused("ACCESS", b"new", how=unchecked())
        self.open(b"file", BOTH, how=unchecked())
        self.refused("EXIST", b"file", how=guarded())

    def test_unknownAttributes(self) -> None:
        """
        Attributes that cannot be set are refused before anything happens (unknown
        create attributes are ATTRNOTSUPP, read-only ones INVAL: chimera #224).
        """
        self.refused("INVAL", b"new", how=unchecked((1, b"\0\0\0\1")))
        self.refused("ATTRNOTSUPP", b"new", how=unchecked((59, bytes(4))))
        self.refused("NOENT", b"new")

    def test_uncheckedExisting(self) -> None:
        """
        UNCHECKED4 opens what exists and leaves its attributes alone (no attribute
        change except size 0: chimera #528).
        """
        inode = self.fixture.make(b"file", 0o644)
        opened = self.open(b"file", BOTH, how=unchecked(modeAttribute(0)))
        self.assertEqual((inode.mode, opened.attrset), (0o644, 0))
        self.assertEqual(self.fixture.data.calls, [])

    def test_notInMemoryUnchecked(self) -> None:
        """
        UNCHECKED4 of a file that the backend has on storage only opens that.
        """
        inode = self.fixture.make(b"file")
        self.patch(self.fixture.backend, "cachedChild", lambda directory, name: None)
        opened = self.open(b"file", BOTH, how=unchecked())
        self.assertEqual(opened.before, opened.after)
        self.assertEqual(len(inode.state.opens), 1)

    def test_truncate(self) -> None:
        """
        UNCHECKED4 with a size of 0 empties an existing file: even opened for
        reading that needs the right to write.
        """
        inode = self.fixture.make(b"file", 0o4744)
        self.fixture.data.files[inode.handle] = bytearray(b"text")
        how = unchecked(sizeAttribute(0))
        self.refused("ACCESS", b"file", READ, how=how, credential=BOB)
        opened = self.open(b"file", READ, how=how)
        self.assertEqual(opened.attrset, 1 << 4)
        self.assertEqual(self.fixture.data.files[inode.handle], b"")
        self.assertEqual(inode.mode, 0o744)

    def test_truncateDenied(self) -> None:
        """
        A file that somebody forbids to write is not emptied.
        """
        self.fixture.make(b"file", 0o666)
        self.open(b"file", READ, WRITE, owner=b"first")
        self.refused("SHARE_DENIED", b"file", READ, how=unchecked(sizeAttribute(0)))
        self.assertEqual(self.fixture.data.calls, [])

    def test_truncateRecalls(self) -> None:
        """
        Before a file is emptied, layouts of other clients are recalled: until they are
        back the answer is DELAY. The caller's own layout stays (recall before truncate:
        chimera #945).
        """
        fixture = self.fixture
        inode = fixture.make(b"file", 0o666)
        self.open(b"file", BOTH, owner=b"first")
        how = unchecked(sizeAttribute(0))
        fixture.server.layouts.grant(inode.state, fixture.client, 1, (), [(2, 0, 1)])
        self.open(b"file", BOTH, how=how)
        other = fixture.another(b"other")
        with other:
            self.refused("DELAY", b"file", BOTH, how=how)
            self.assertEqual(fixture.recaller.calls[-1][2], fixture.client)
        self.assertEqual(fixture.data.calls, [("truncate", 0)])
        fixture.recaller.done.callback(None)
        with other:
            self.open(b"file", BOTH, how=how)

    def test_conflictWhileTruncating(self) -> None:
        """
        A reservation made while the file is being emptied counts.
        """
        fixture = self.fixture
        fixture.make(b"file", 0o666)
        fixture.data.gate = Deferred()
        wire = openArgs(b"file", WRITE, how=unchecked(sizeAttribute(0)))
        outcome = fixture.sendRun(
            struct.pack(">I", 22)
            + struct.pack(">I", len(fixture.rootFH))
            + fixture.rootFH
            + bytes(-len(fixture.rootFH) & 3),
            wire,
        )
        self.assertEqual(outcome, [])
        with fixture.another(b"other"):
            self.open(b"file", READ, WRITE)
        fixture.data.gate.callback(None)
        self.assertEqual(outcome[0].status, nfsstat4.NFS4ERR_SHARE_DENIED)

    def test_sizeOfNewFile(self) -> None:
        """
        A new file may be given a size.
        """
        self.open(b"new", BOTH, how=unchecked(sizeAttribute(10)))
        inode = self.fixture.backend.cachedChild(self.root, b"new")
        self.assertEqual(inode.size, 10)

    def test_guarded(self) -> None:
        """
        GUARDED4 never opens what exists.
        """
        self.open(b"new", how=guarded(modeAttribute(0o600)))
        self.refused("EXIST", b"new", how=guarded(modeAttribute(0o600)))

    def test_exclusive(self) -> None:
        """
        An exclusive create whose reply was lost succeeds again; another one with
        the same name does not.
        """
        for number, how in enumerate(
            (exclusive, lambda v: exclusive41(v, modeAttribute(0o400)))
        ):
            name = b"new%d" % number
            first = self.open(name, WRITE, how=how(b"verifier"))
            again = self.open(name, WRITE, how=how(b"verifier"))
            self.assertEqual(first.stateid[4:], again.stateid[4:])
            self.assertEqual(first.attrset, again.attrset)
            self.refused("EXIST", name, how=how(b"another!"))
        inode = self.fixture.backend.cachedChild(self.root, b"new1")
        self.assertEqual(inode.mode, 0o400)
        self.fixture.make(b"old")
        self.refused("EXIST", b"old", how=exclusive(bytes(8)))

    # -- the rest --------------------------------------------------------------

    def test_delegationClaims(self) -> None:
        """
        No delegation has ever been given, so none can be claimed.
        """
        inode = self.fixture.make(b"file")
        name = struct.pack(">I", 4) + b"file"
        self.refused("BAD_STATEID", claim=struct.pack(">I16s", 2, bytes(16)) + name)
        self.refused("NOTSUPP", claim=struct.pack(">I", 3) + name)
        self.refused("BAD_STATEID", claim=struct.pack(">I16s", 5, b"x" * 16), at=inode)
        self.refused("NOTSUPP", claim=struct.pack(">I", 6), at=inode)

    def test_malformed(self) -> None:
        """
        Every truncation, and every unknown discriminant, is BADXDR.
        """
        whole = openArgs(b"file", how=exclusive41(b"verifier", modeAttribute(0o600)))
        for length in range(4, len(whole), 4):
            reply = self.fixture.at(self.root, whole[:length])
            self.assertEqual(reply.take(18)[0], nfsstat4.NFS4ERR_BADXDR)
        for how, claim in (
            (struct.pack(">I", 2), None),
            (struct.pack(">II", 1, 4), None),
            (struct.pack(">I", 0), struct.pack(">I", 7)),
        ):
            self.refused("BADXDR", b"file", how=how, claim=claim)
        self.refused("BADXDR", b"file", owner=b"x" * 1025)

    def test_mutated(self) -> None:
        """
        Damaged requests get an error of the protocol, never a failure of ours.
        """
        chance = Random(8881)
        self.fixture.make(b"file", 0o666)
        wires = [
            openArgs(b"file", how=exclusive41(b"verifier", modeAttribute(0o600))),
            openArgs(b"new", BOTH, how=guarded(modeAttribute(0))),
            lockNew(bytes(16), 1, 0, 1),
            closeArgs(bytes(16)),
        ]
        for _ in range(2000):
            wire = bytearray(chance.choice(wires))
            for _ in range(chance.randint(1, 4)):
                wire[chance.randrange(4, len(wire))] = chance.choice((0, 1, 2, 255))
            reply = self.fixture.at(self.root, bytes(wire))
            self.assertNotEqual(reply.status, nfsstat4.NFS4ERR_SERVERFAULT)

    def test_notInGrace(self) -> None:
        """
        Before a client has said RECLAIM_COMPLETE it opens nothing new (RECLAIM_COMPLETE
        before an ordinary OPEN: chimera #538, #354).
        """
        fixture = self.fixture
        fixture.make(b"file")
        fixture.mount(b"late", reclaimComplete=False)
        self.refused("GRACE", b"file")
        self.refused("GRACE", b"file", how=unchecked())


class ReclaimTests(SynchronousTestCase):
    """
    CLAIM_PREVIOUS after a restart.
    """

    def setUp(self) -> None:
        store = MemoryRecoveryStore()
        store.beginEpoch()
        store.addClient(b"client")
        store.addClient(b"second")
        self.fixture = FileFixture(store=store)
        self.inode = self.fixture.make(b"file", 0)

    def reclaim(self, access: int = READ, deny: int = 0, **more: Any) -> int:
        reply = self.fixture.at(
            self.inode, openArgs(access=access, deny=deny, claim=CLAIM_PREVIOUS), **more
        )
        status: int = reply.take(18)[0]
        return status

    def test_reclaim(self) -> None:
        """
        Who had the file open before has it again, without permissions by mode if
        it is the owner; nobody else gets at it by that.
        """
        self.fixture.mount(reclaimComplete=False)
        self.assertEqual(self.reclaim(BOTH, credential=BOB), nfsstat4.NFS4ERR_ACCESS)
        self.assertEqual(self.reclaim(BOTH, WRITE, credential=ALICE), OK)

    def test_sizeAskedFor(self) -> None:
        """
        Who reclaims an open for writing may have written through a layout that
        nobody remembers: the data servers are asked for the size, or it would
        append in the wrong place.
        """
        self.fixture.mount(reclaimComplete=False)
        self.assertEqual(self.reclaim(READ), OK)
        self.assertFalse(mayBeWritten(self.inode.state))
        self.assertEqual(self.reclaim(BOTH), OK)
        self.assertTrue(mayBeWritten(self.inode.state))

    def test_conflict(self) -> None:
        """
        Two clients cannot both reclaim what they could not both have had.
        """
        self.fixture.mount(reclaimComplete=False)
        self.assertEqual(self.reclaim(BOTH, WRITE), OK)
        self.fixture.mount(b"second", reclaimComplete=False)
        self.assertEqual(self.reclaim(BOTH), nfsstat4.NFS4ERR_RECLAIM_CONFLICT)

    def test_notHeld(self) -> None:
        """
        A client of which nothing is recorded has nothing to reclaim; after
        RECLAIM_COMPLETE nobody has (CLAIM_PREVIOUS without a record is RECLAIM_BAD:
        chimera #963; after RECLAIM_COMPLETE that client may not reclaim: #1088).
        """
        self.fixture.mount(b"stranger", reclaimComplete=False)
        self.assertEqual(self.reclaim(), nfsstat4.NFS4ERR_RECLAIM_BAD)
        self.fixture.mount()
        self.assertEqual(self.reclaim(), nfsstat4.NFS4ERR_NO_GRACE)
