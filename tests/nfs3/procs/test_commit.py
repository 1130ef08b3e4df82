"""
Tests of L{pnfs.nfs3.procs.commit}.
"""

from __future__ import annotations

import struct

from pnfs.namespace.filehandles import CONTROL, READ, WRITE
from pnfs.nfs3.status import nfsstat3
from tests.nfs3.serving import (
    GARBAGE_ARGS,
    NUMBERS,
    DataServerTestCase,
    SlowBackend,
    opaque,
)
from tests.rpc import wire

RANGE = struct.pack(">QI", 0, 0)


class CommitTests(DataServerTestCase):
    """
    COMMIT of a data file.
    """

    def test_commit(self) -> None:
        """
        The verifier of now comes back.
        """
        self.backend.verifier = b"boot-002"
        self.assertEqual(
            self.ask("COMMIT", self.mint(WRITE) + RANGE), bytes(12) + b"boot-002"
        )

    def test_refused(self) -> None:
        """
        COMMIT needs what WRITE needs.
        """
        for fh, status in (
            (self.mint(READ), nfsstat3.NFS3ERR_ACCES),
            (self.mint(WRITE, 4), nfsstat3.NFS3ERR_STALE),
            (self.mint(WRITE, 5, b"ff"), nfsstat3.NFS3ERR_STALE),
            (self.mint(CONTROL, 0, b""), nfsstat3.NFS3ERR_INVAL),
            (opaque(bytes(65)), nfsstat3.NFS3ERR_BADHANDLE),
        ):
            results = self.ask("COMMIT", fh + RANGE)
            self.assertEqual(results, struct.pack(">3I", status, 0, 0))

    def test_truncated(self) -> None:
        """
        Every truncation is garbage.
        """
        args = self.mint(WRITE) + RANGE
        for end in range(len(args)):
            call = wire.call(NUMBERS["COMMIT"], args[:end], program=100003, version=3)
            self.assertEqual(self.record(call)[0], GARBAGE_ARGS)


class SlowCommitTests(CommitTests):
    """
    The same when nothing is in memory.
    """

    backendClass = SlowBackend
