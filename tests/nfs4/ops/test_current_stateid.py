"""
The current stateid (RFC 8881, section 16.2.3.1.2), over several operations of a COMPOUND.
"""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from pnfs.nfs4.ops.restorefh import restorefh
from pnfs.nfs4.ops.savefh import savefh
from pnfs.nfs4.requests import putfh
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import CURRENT_STATEID
from tests.nfs4.ops.files import (
    BOTH,
    CLAIM_FH,
    FileFixture,
    Opened,
    closeArgs,
    lockNew,
    openArgs,
)

SAVEFH, RESTOREFH = struct.pack(">I", 32), struct.pack(">I", 31)
OK, BAD_STATEID = nfsstat4.NFS4_OK, nfsstat4.NFS4ERR_BAD_STATEID
OPEN = openArgs(access=BOTH, claim=CLAIM_FH)
READ = struct.pack(">I16sQI", 25, CURRENT_STATEID, 0, 4)
LOCKU = struct.pack(">III16sQQ", 14, 1, 0, CURRENT_STATEID, 0, 10)
LOCK = lockNew(CURRENT_STATEID, 2, 0, 10)
CLOSE = closeArgs(CURRENT_STATEID)


class CurrentStateidTests(SynchronousTestCase):
    """
    Operations pass a stateid on to those behind them.
    """

    def setUp(self) -> None:
        self.fixture = FileFixture(savefh, restorefh)
        self.fixture.mount()
        self.inode = self.fixture.make(b"file", 0o666)
        self.other = putfh(self.fixture.fh(self.fixture.make(b"other", 0o666)))
        self.here = putfh(self.fixture.fh(self.inode))

    def ends(self, *ops: bytes) -> tuple[int, int]:
        """
        How many of these operations are answered, and the status of the last one.
        """
        reply = self.fixture.at(self.inode, *ops)
        return reply.count - 2, reply.status

    def test_passedOn(self) -> None:
        """
        OPEN, LOCK and LOCKU leave theirs, and others use it (producers set, consumers
        resolve: chimera #323, #1000).
        """
        self.assertEqual(self.ends(OPEN, LOCK, READ, LOCKU, LOCKU), (5, OK))

    def test_closed(self) -> None:
        """
        CLOSE leaves one that nothing accepts, also if there was a good one before (CLOSE
        leaves an invalid one: chimera #323, #1000).
        """
        wire = openArgs(access=BOTH, owner=b"second", claim=CLAIM_FH)
        close = closeArgs(Opened(self.fixture.at(self.inode, wire)).stateid)
        self.assertEqual(self.ends(OPEN, READ, close, READ), (4, BAD_STATEID))

    def test_lost(self) -> None:
        """
        Another filehandle, be it that of the same file, takes it away (handle changes
        clear: chimera #323).
        """
        for head in (self.other, self.here):
            self.assertEqual(self.ends(OPEN, head, READ), (3, BAD_STATEID))

    def test_saved(self) -> None:
        """
        SAVEFH keeps it with the filehandle, RESTOREFH brings back what was kept, be it
        none (SAVEFH and RESTOREFH carry: chimera #323, #1000).
        """
        self.assertEqual(
            self.ends(OPEN, SAVEFH, self.other, RESTOREFH, READ, CLOSE), (6, OK)
        )
        self.assertEqual(self.ends(SAVEFH, OPEN, RESTOREFH, READ), (4, BAD_STATEID))
