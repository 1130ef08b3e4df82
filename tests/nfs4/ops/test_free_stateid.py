"""
Tests for L{pnfs.nfs4.ops.free_stateid} and L{pnfs.nfs4.ops.test_stateid}.
"""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from pnfs.nfs4.ops.free_stateid import free_stateid
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import CURRENT_STATEID
from tests.nfs4.ops.files import (
    BOTH,
    CLAIM_FH,
    FileFixture,
    Opened,
    lockMore,
    lockNew,
    openArgs,
)


class StateidTests(SynchronousTestCase):
    """
    Asking about stateids, and giving them up.
    """

    def setUp(self) -> None:
        self.fixture = FileFixture()
        self.fixture.mount()
        self.inode = self.fixture.make(b"file", 0o666)
        self.open = Opened(
            self.fixture.at(self.inode, openArgs(access=BOTH, claim=CLAIM_FH))
        ).stateid
        reply = self.fixture.at(self.inode, lockNew(self.open, 2, 0, 10))
        reply.take(12)
        self.lock = reply.rest
        self.layout = self.fixture.server.layouts.grant(
            self.inode.state, self.fixture.client, 1, (), [(2, 0, 1 << 64)]
        )

    def test(self, *stateids: bytes) -> list[str]:
        """
        TEST_STATEID. @return: names of statuses.
        """
        wire = struct.pack(">II", 55, len(stateids)) + b"".join(stateids)
        reply = self.fixture.run(wire)
        self.assertEqual(reply.take(55)[0], 0)
        count, *statuses = struct.unpack(f">{1 + len(stateids)}I", reply.rest)
        self.assertEqual(count, len(stateids))
        return [nfsstat4(status).name for status in statuses]

    def free(self, stateid: bytes) -> str:
        """
        FREE_STATEID. @return: the status.
        """
        reply = self.fixture.run(struct.pack(">I16s", 45, stateid))
        status = nfsstat4(reply.take(45)[0])
        if status:
            self.assertIn(status, free_stateid.errors)
        return status.name

    def test_statuses(self) -> None:
        """
        Each stateid gets the status its use would get.
        """
        unknown = b"\0\0\0\1" + b"x" * 12
        self.fixture.at(self.inode, lockMore(self.lock, 1, 0, 10))
        self.assertEqual(
            self.test(
                self.open,
                self.lock,
                b"\0\0\0\2" + self.lock[4:],
                bytes(4) + self.lock[4:],
                self.layout.stateid,
                unknown,
                bytes(16),
                CURRENT_STATEID,
            ),
            [
                "NFS4_OK",
                "NFS4ERR_OLD_STATEID",
                "NFS4_OK",
                "NFS4_OK",
                "NFS4_OK",
                "NFS4ERR_BAD_STATEID",
                "NFS4ERR_BAD_STATEID",
                "NFS4ERR_BAD_STATEID",
            ],
        )
        self.assertEqual(self.test(), [])
        with self.fixture.another(b"second"):
            self.assertEqual(self.test(self.open), ["NFS4ERR_BAD_STATEID"])

    def test_revoked(self) -> None:
        """
        Revoked stateids say so until they are freed.
        """
        server = self.fixture.server
        server.layouts.revoke(self.layout)
        stateid = self.layout.stateid
        self.assertEqual(self.test(stateid), ["NFS4ERR_DELEG_REVOKED"])
        self.assertEqual(self.free(stateid), "NFS4_OK")
        self.assertEqual(self.free(stateid), "NFS4ERR_BAD_STATEID")
        self.assertEqual(self.fixture.client.revoked, 0)

    def test_tooMany(self) -> None:
        """
        More stateids than a reply is meant for are refused before anything is read
        (bound the array of TEST_STATEID: chimera #1418).
        """
        reply = self.fixture.run(struct.pack(">II", 55, 100000))
        self.assertEqual(reply.take(55)[0], nfsstat4.NFS4ERR_BADXDR)

    def test_locksHeld(self) -> None:
        """
        What still stands for something is not freed: opens, locks, layouts (a lock
        owner's state is not freed under its locks: chimera #328, c:267b8d84; a layout
        stateid is not a lock stateid, LOCKS_HELD rules: #324, #1370).
        """
        for stateid in (self.open, self.lock, self.layout.stateid):
            self.assertEqual(self.free(stateid), "NFS4ERR_LOCKS_HELD")

    def test_freeLockOwner(self) -> None:
        """
        A lock owner without locks is freed, and can lock again afterwards.
        """
        wire = struct.pack(">III16sQQ", 14, 1, 0, self.lock, 0, 10)
        self.fixture.at(self.inode, wire)
        self.assertEqual(self.free(self.lock), "NFS4ERR_OLD_STATEID")
        self.assertEqual(self.free(b"\0\0\0\2" + self.lock[4:]), "NFS4_OK")
        reply = self.fixture.at(self.inode, lockNew(self.open, 2, 0, 10))
        self.assertEqual(reply.take(12)[0], 0)

    def test_unknown(self) -> None:
        """
        Stateids that name nothing, or another client's, are bad.
        """
        for stateid in (bytes(16), b"\xff" * 16, CURRENT_STATEID, b"x" * 16):
            self.assertEqual(self.free(stateid), "NFS4ERR_BAD_STATEID")
        with self.fixture.another(b"second"):
            self.assertEqual(self.free(self.lock), "NFS4ERR_BAD_STATEID")
