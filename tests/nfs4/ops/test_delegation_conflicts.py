"""
Tests for L{pnfs.nfs4.ops.conflicts.requireNoDelegations}: what other clients do that
a delegation is recalled for (RFC 8881, section 10.4).
"""

from __future__ import annotations

import struct
from typing import Any, Callable

from twisted.internet.defer import Deferred

from pnfs.nfs4.requests import allocate, deallocate, opaque, readPlus, sizeAttribute
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import ANONYMOUS_STATEID, READ_BYPASS_STATEID
from pnfs.values import FileType
from tests.nfs4.ops.delegations import (
    NO_DELEG,
    XOR,
    DelegationCase,
    Holder,
    readArgs,
    setattrArgs,
    writeArgs,
)
from tests.nfs4.ops.files import (
    BOB,
    BOTH,
    READ,
    WRITE,
    lockNew,
    openArgs,
    unchecked,
)

Does = Callable[[Holder], str]
MODE = struct.pack(">I", 0o600)
SAVEFH = struct.pack(">I", 32)


def remove(name: bytes) -> bytes:
    """
    REMOVE.
    """
    return struct.pack(">I", 28) + opaque(name)


class ConflictTests(DelegationCase):
    """
    C{one} holds a delegation; C{two} does something.
    """

    def setUp(self) -> None:
        super().setUp()
        self.other = self.fixture.make(b"other", 0o666)
        self.folder = self.fixture.make(b"folder", 0o777, FileType.DIR)

    def opens(self, access: int, deny: int = 0, **more: Any) -> Does:
        """
        OPEN.
        """
        return lambda holder: holder.open(
            self.file, access, NO_DELEG, deny=deny, owner=b"second", **more
        ).status.name

    def does(self, *ops: bytes) -> Does:
        """
        Operations on the file.
        """
        return lambda holder: holder.status_(self.file, *ops)

    def above(self, *ops: bytes) -> Does:
        """
        Operations on the directory.
        """
        return lambda holder: holder.status_(self.fixture.root, *ops)

    def writers(self) -> dict[str, Does]:
        """
        What changes the file, or keeps others from reading.
        """
        fixture = self.fixture
        root = fixture.putfh(fixture.root)
        rename = struct.pack(">I", 29)
        return {
            "OPEN to write": self.opens(WRITE),
            "OPEN to read that denies reading": self.opens(READ, 1),
            "OPEN that truncates": self.above(
                openArgs(b"file", WRITE | NO_DELEG, how=unchecked(sizeAttribute(0)))
            ),
            "WRITE without an open": self.does(writeArgs(ANONYMOUS_STATEID)),
            "ALLOCATE without an open": self.does(allocate(ANONYMOUS_STATEID, 0, 9)),
            "DEALLOCATE without an open": self.does(
                deallocate(ANONYMOUS_STATEID, 0, 9)
            ),
            "SETATTR of the size": self.does(
                setattrArgs(ANONYMOUS_STATEID, {4: bytes(8)})
            ),
            "SETATTR of the mode": self.does(
                setattrArgs(ANONYMOUS_STATEID, {33: MODE})
            ),
            "REMOVE": self.above(remove(b"file")),
            "RENAME": self.above(
                SAVEFH, rename + opaque(b"file") + opaque(b"elsewhere")
            ),
            "RENAME over it": self.above(
                SAVEFH, rename + opaque(b"other") + opaque(b"file")
            ),
            "LINK": self.does(
                SAVEFH, root, struct.pack(">I", 11) + opaque(b"second name")
            ),
        }

    def readers(self) -> dict[str, Does]:
        """
        What reads the file.
        """
        return {
            "OPEN to read": self.opens(READ),
            "READ without an open": self.does(readArgs(ANONYMOUS_STATEID)),
            "READ_PLUS without an open": self.does(readPlus(ANONYMOUS_STATEID, 0, 9)),
            "READ that bypasses locks": self.does(readArgs(READ_BYPASS_STATEID)),
        }

    def begin(self, write: bool) -> bytes:
        """
        C{one} holds a delegation of a new file, and no open: its stateid.
        """
        self.fixture.root.encoded.clear()
        stateid = self.one.open(self.file, BOTH if write else READ, XOR)
        self.assertTrue(stateid.flags & 0x10)
        return stateid.delegation.stateid

    def conflicts(self, name: str, does: Does, write: bool) -> None:
        """
        It has to wait until the delegation has been returned, and then succeeds.
        """
        held = self.begin(write)
        self.assertEqual(does(self.two), "NFS4ERR_DELAY", name)
        self.assertEqual(does(self.two), "NFS4ERR_DELAY", name)
        recalled = self.one.recalled()
        self.assertEqual(len(recalled), 1, name)
        self.assertEqual(recalled[0].stateid[4:], held[4:])
        self.assertEqual(recalled[0].fh, self.fixture.fh(self.file))
        self.assertEqual(self.data.calls, [], name)
        self.assertEqual(self.one.give(self.file, held), "NFS4_OK")
        self.assertEqual(does(self.two), "NFS4_OK", name)

    def check(self, kind: str, write: bool) -> None:
        """
        Each of a kind, on a site of its own.
        """
        for name in getattr(self, kind)():
            self.tearDown()
            self.setUp()
            self.conflicts(name, getattr(self, kind)()[name], write)

    def test_changesUnderReadDelegation(self) -> None:
        """
        Whatever changes a file takes read delegations back first, whichever way it
        comes (chimera #330, c:cc819bb7: conflicting op waits (DELAY) until returned,
        also for chmod and link/rename/remove). The filehandle is byte-identical to that
        of GETFH.
        """
        self.check("writers", False)

    def test_changesUnderWriteDelegation(self) -> None:
        """
        And write delegations.
        """
        self.check("writers", True)

    def test_readsUnderWriteDelegation(self) -> None:
        """
        Whatever reads a file takes a write delegation back first.
        """
        self.check("readers", True)

    def test_readsUnderReadDelegation(self) -> None:
        """
        Reading does not disturb readers.
        """
        self.begin(False)
        for name, does in self.readers().items():
            self.assertEqual(does(self.two), "NFS4_OK", name)
        self.assertEqual(self.one.answer(), [])

    def test_ownAccess(self) -> None:
        """
        Nothing that the holder does recalls its own delegation (chimera #870,
        c:0c5e685e: never recall the holder's own delegation for its own
        READ/WRITE/LOCK/SETATTR).
        """
        for write in (False, True):
            for kind in ("readers", "writers"):
                for name in getattr(self, kind)():
                    self.tearDown()
                    self.setUp()
                    self.begin(write)
                    does = getattr(self, kind)()[name]
                    self.assertEqual(does(self.one), "NFS4_OK", name)
                    self.assertEqual(self.one.answer(), [], name)

    def test_ownLock(self) -> None:
        """
        Nor does its LOCK (never recall the holder's own delegation for its own LOCK:
        chimera #870).
        """
        self.writeDelegation()
        for locktype in (1, 2):
            lock = lockNew(self.opened, locktype, 0, 10, b"locker %d" % locktype)
            status = self.one.status_(self.file, lock)
            self.assertEqual(status, "NFS4_OK" if locktype == 1 else "NFS4ERR_DENIED")
        self.assertEqual(self.one.answer(), [])

    def test_onlyOthers(self) -> None:
        """
        One of two readers writes: the other's delegation alone is taken back.
        """
        self.readDelegation(self.one)
        mine = self.readDelegation(self.two)
        self.assertEqual(self.opens(WRITE)(self.two), "NFS4ERR_DELAY")
        self.assertEqual(len(self.one.recalled()), 1)
        self.assertEqual(self.two.recalled(), [])
        self.assertEqual(self.two.status_(self.file, readArgs(mine)), "NFS4_OK")

    def test_earlierMinorVersion(self) -> None:
        """
        It does not matter which version the other client speaks.
        """
        self.begin(True)
        three = self.fixture.holder(b"three", minor=1)
        self.assertEqual(self.opens(READ)(three), "NFS4ERR_DELAY")
        self.assertEqual(len(self.one.recalled()), 1)
        three.connection.connectionLost()

    def test_secondGetsNone(self) -> None:
        """
        Whom a delegation was recalled for gets none in its place.
        """
        held = self.begin(True)
        self.two.open(self.file, READ)
        self.one.recalled()
        self.one.give(self.file, held)
        opened = self.two.open(self.file, READ)
        self.assertEqual((opened.status, opened.kind), (0, 0))

    def test_shareReservationOfHolder(self) -> None:
        """
        A holder may have closed an open, with what it denies, without telling: it is
        asked before the other is refused.
        """
        self.one.open(self.file, READ, deny=2)
        self.assertEqual(self.opens(WRITE)(self.two), "NFS4ERR_DELAY")
        self.assertEqual(len(self.one.recalled()), 1)

    def test_grantedMeanwhile(self) -> None:
        """
        Who is given a delegation while a truncation is under way is told at once that
        it is worth nothing: it may have read what was there before.
        """
        gate: Deferred[None] = Deferred()
        self.data.gate = gate
        truncate = setattrArgs(ANONYMOUS_STATEID, {4: bytes(8)})
        outcome = self.two.send(self.fixture.putfh(self.file), truncate)
        self.assertEqual(outcome, [])
        self.begin(False)
        self.assertEqual(self.one.recalled(), [])
        self.data.gate = None
        gate.callback(None)
        self.assertEqual(outcome[0].status, nfsstat4.NFS4_OK)
        self.assertEqual(len(self.one.recalled()), 1)

    def test_noPermission(self) -> None:
        """
        Who may not do it anyway does not disturb the holder.
        """
        self.readDelegation()
        status = self.two.status_(
            self.file, setattrArgs(ANONYMOUS_STATEID, {33: MODE}), credential=BOB
        )
        self.assertEqual(status, "NFS4ERR_PERM")
        self.assertEqual(self.one.recalled(), [])
