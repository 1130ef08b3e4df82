"""
Tests for L{pnfs.nfs4.ops.close}, L{pnfs.nfs4.ops.open_downgrade} and
L{pnfs.nfs4.ops.unlinked}.
"""

from __future__ import annotations

import struct
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import NoSuchObject, Unreachable
from pnfs.nfs4.current import mustAsk
from pnfs.nfs4.ops.close import close
from pnfs.nfs4.ops.open_downgrade import open_downgrade
from pnfs.nfs4.requests import commit, putfh, read, writeHead
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import CURRENT_STATEID, INVALID_STATEID
from pnfs.state.files import RECLAIMED
from pnfs.values import Inode, Placement
from tests.nfs4.ops.files import (
    BOTH,
    CLAIM_FH,
    READ,
    WRITE,
    FileFixture,
    Opened,
    closeArgs,
    lockNew,
    now,
    openArgs,
)

PLACEMENT = Placement("files", 1 << 20, ((b"d" * 16,),), b"0123")


class CloseTests(SynchronousTestCase):
    """
    The end of an open.
    """

    def setUp(self) -> None:
        self.fixture = FileFixture()
        self.fixture.mount()
        self.inode = self.fixture.make(b"file", 0o666)

    def open(self, access: int = READ, deny: int = 0, owner: bytes = b"o") -> bytes:
        """
        Open the file. @return: the stateid.
        """
        arguments = openArgs(access=access, deny=deny, owner=owner, claim=CLAIM_FH)
        return Opened(self.fixture.at(self.inode, arguments)).stateid

    def close(self, stateid: bytes, status: str = "NFS4_OK") -> None:
        """
        Close the file with this outcome.
        """
        found = nfsstat4(self.fixture.at(self.inode, closeArgs(stateid)).take(4)[0])
        self.assertEqual(found.name, status)
        if found:
            self.assertIn(found, close.errors)

    def downgrade(self, stateid: bytes, access: int, deny: int) -> Any:
        """
        OPEN_DOWNGRADE. @return: status, and the stateid if there is one.
        """
        wire = struct.pack(">I16sIII", 21, stateid, 0, access, deny)
        reply = self.fixture.at(self.inode, wire)
        status = nfsstat4(reply.take(21)[0])
        if status:
            self.assertIn(status, open_downgrade.errors)
        return status.name.removeprefix("NFS4ERR_"), reply.rest

    def test_close(self) -> None:
        """
        CLOSE answers with the invalid stateid, after which the file is forgotten;
        the stateid is good for nothing any more.
        """
        stateid = self.open()
        reply = self.fixture.at(
            self.inode, closeArgs(stateid), closeArgs(CURRENT_STATEID)
        )
        reply.take(4)
        self.assertEqual(reply.rest[:16], INVALID_STATEID)
        reply.pos += 16
        self.assertEqual(reply.take(4)[0], nfsstat4.NFS4ERR_BAD_STATEID)
        self.assertIsNone(self.inode.state)
        self.assertFalse(self.fixture.client.hasState)
        self.close(stateid, "NFS4ERR_BAD_STATEID")

    def test_wrongStateid(self) -> None:
        """
        A stateid of another file, of another client, of an earlier seqid, or of no open
        at all closes nothing (CLOSE checks handle and seqid: chimera #519).
        """
        stateid = self.open()
        self.open(BOTH)
        self.close(stateid, "NFS4ERR_OLD_STATEID")
        self.close(b"\0\0\0\3" + stateid[4:], "NFS4ERR_BAD_STATEID")
        for special in (bytes(16), b"\xff" * 16, INVALID_STATEID, CURRENT_STATEID):
            self.close(special, "NFS4ERR_BAD_STATEID")
        other = self.fixture.make(b"other", 0o666)
        reply = self.fixture.at(other, closeArgs(stateid))
        self.assertEqual(reply.take(4)[0], nfsstat4.NFS4ERR_BAD_STATEID)
        with self.fixture.another(b"second"):
            self.close(stateid, "NFS4ERR_BAD_STATEID")
        self.close(bytes(4) + stateid[4:])

    def test_noFilehandle(self) -> None:
        """
        Without a current filehandle there is nothing to open, lock, read, write or
        close (no current handle is NOFILEHANDLE centrally: chimera #190).
        """
        special = bytes(16)
        for wire in (
            openArgs(b"file"),
            openArgs(claim=CLAIM_FH),
            struct.pack(">I16sIII", 21, special, 0, READ, 0),
            closeArgs(special),
            lockNew(special, 1, 0, 1),
            struct.pack(">IIQQQI", 13, 1, 0, 1, 0, 0),
            struct.pack(">III16sQQ", 14, 1, 0, special, 0, 1),
            read(special, 0, 1),
            writeHead(special, 0, 0, 4) + b"text",
            commit(0, 0),
        ):
            (number,) = struct.unpack_from(">I", wire)
            status, _ = self.fixture.run(wire).take(number)
            self.assertEqual(status, nfsstat4.NFS4ERR_NOFILEHANDLE, number)

    def test_locksHeld(self) -> None:
        """
        Under a byte-range lock the file stays open.
        """
        stateid = self.open(BOTH)
        self.fixture.at(self.inode, lockNew(stateid, 2, 0, 10))
        self.close(stateid, "NFS4ERR_LOCKS_HELD")

    def test_refreshed(self) -> None:
        """
        Who may have written to data servers gets the file closed only after its size
        has been asked for there. A reader does not wait (close-to-open: chimera #681).
        """
        fixture = self.fixture
        reader, writer = self.open(READ, owner=b"r"), self.open(BOTH, owner=b"w")
        fixture.server.layouts.grant(
            self.inode.state, fixture.client, 1, (), [(2, 0, 1 << 64)]
        )
        fixture.data.gate = Deferred()
        self.close(reader)
        outcome = fixture.sendRun(putfh(fixture.fh(self.inode)), closeArgs(writer))
        self.assertEqual((outcome, fixture.data.calls), ([], [("refresh",)]))
        self.assertEqual(len(self.inode.state.opens), 1)
        fixture.data.gate.callback(None)
        self.assertEqual(outcome[0].status, 0)
        self.assertEqual(self.inode.state.opens, {})

    def test_refreshFails(self) -> None:
        """
        While a data server is down files can be closed all the same.
        """
        fixture = self.fixture
        writer = self.open(BOTH)
        fixture.server.layouts.grant(
            self.inode.state, fixture.client, 1, (), [(2, 0, 1 << 64)]
        )
        layout = self.inode.state.layouts[fixture.client.clientid]
        layout.refreshed()
        fixture.data.failure = Unreachable()
        self.close(writer)
        self.assertTrue(layout.dirty)

    def test_refreshFailsReclaimed(self) -> None:
        """
        So can one that its writer has reclaimed, and of which no layout is known: the
        data servers are asked when somebody wants to know its size.
        """
        fixture = self.fixture
        writer = self.open(BOTH)
        self.inode.hasPlacement = True
        self.inode.asked = True
        self.inode.state.reclaimed = RECLAIMED
        fixture.data.failure = Unreachable()
        self.close(writer)
        self.assertTrue(mustAsk(fixture.server, self.inode))

    def test_closedTwiceMeanwhile(self) -> None:
        """
        Two CLOSEs of one open at the same time do not disturb each other.
        """
        fixture = self.fixture
        writer = self.open(BOTH)
        fixture.server.layouts.grant(
            self.inode.state, fixture.client, 1, (), [(2, 0, 1 << 64)]
        )
        fixture.data.gate = Deferred()
        outcome = fixture.sendRun(putfh(fixture.fh(self.inode)), closeArgs(writer))
        fixture.server.opens.closeSome(fixture.client, 1)
        fixture.data.gate.callback(None)
        self.assertEqual(outcome[0].status, 0)
        self.assertEqual(fixture.server.opens.count, 0)

    # -- OPEN_DOWNGRADE ---------------------------------------------------------

    def test_downgrade(self) -> None:
        """
        After writing is given up another client may deny it; the stateid's seqid
        has moved.
        """
        self.open(READ)
        stateid = self.open(BOTH)
        status, after = self.downgrade(stateid, READ | 0x400, 0)
        self.assertEqual((status, after), ("NFS4_OK", b"\0\0\0\3" + stateid[4:]))
        with self.fixture.another(b"second"):
            self.open(READ, WRITE)

    def test_downgradeRefused(self) -> None:
        """
        Modes that were never asked for by themselves, or that make no sense, cannot be
        kept (OPEN_DOWNGRADE only to combinations really held: chimera #339,
        c:7b14f818).
        """
        stateid = self.open(BOTH)
        for access, deny in ((READ, 0), (0, 0), (BOTH, 1), (4, 0), (BOTH, 4)):
            self.assertEqual(self.downgrade(stateid, access, deny)[0], "INVAL")
        self.assertEqual(self.downgrade(bytes(16), BOTH, 0)[0], "BAD_STATEID")
        self.close(stateid)

    # -- the end of unlinked files -------------------------------------------------

    def unlink(self) -> Inode:
        """
        Take the name away from the open file.
        """
        fixture = self.fixture
        now(fixture.backend.storePlacement(self.inode, PLACEMENT))
        now(fixture.backend.enqueueRemoval(PLACEMENT, True))
        now(fixture.backend.remove(fixture.root, b"file", True))
        self.inode.state.unlinked = True
        self.inode.state.placement = PLACEMENT
        return self.inode

    def test_unlinked(self) -> None:
        """
        A removed file stays until its last user closes it; then object and data
        files go.
        """
        first, second = self.open(owner=b"1"), self.open(owner=b"2")
        inode = self.unlink()
        self.close(first)
        self.assertIs(now(self.fixture.backend.byHandle(inode.handle)), inode)
        self.assertEqual(now(self.fixture.backend.pendingRemovals()), [])
        self.close(second)
        with self.assertRaises(NoSuchObject):
            now(self.fixture.backend.byHandle(inode.handle))
        self.assertEqual(self.fixture.data.forgotten, [PLACEMENT])
        self.assertEqual(list(now(self.fixture.backend.pendingRemovals())), [PLACEMENT])

    def test_unlinkedByExpiry(self) -> None:
        """
        The same happens when the last user's lease runs out.
        """
        self.open(BOTH)
        self.unlink()
        self.fixture.clock.advance(91)
        self.fixture.server.clients.expire(self.fixture.clock.seconds())
        self.assertEqual(self.fixture.data.forgotten, [PLACEMENT])

    def test_expiry(self) -> None:
        """
        A client whose lease is over has nothing open or locked any more: others
        get what it had.
        """
        stateid = self.open(BOTH, BOTH)
        self.fixture.at(self.inode, lockNew(stateid, 2, 0, 10))
        self.fixture.clock.advance(91)
        self.fixture.server.clients.expire(self.fixture.clock.seconds())
        self.assertIsNone(self.inode.state)
        self.assertEqual(len(self.fixture.server.stateids), 0)
        self.fixture.mount(b"second")
        self.fixture.at(self.inode, lockNew(self.open(BOTH, BOTH), 2, 0, 10))

    def test_unlinkedFailure(self) -> None:
        """
        If an expired client's unlinked file cannot be deleted, the log says so.
        """
        self.open(BOTH)
        self.unlink()

        async def fail(inode: Any) -> None:
            raise Unreachable()

        self.patch(self.fixture.backend, "release", fail)
        self.fixture.clock.advance(91)
        self.fixture.server.clients.expire(self.fixture.clock.seconds())
        self.assertEqual(self.fixture.data.forgotten, [])
