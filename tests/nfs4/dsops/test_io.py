"""
Tests of L{pnfs.nfs4.dsops.io}.
"""

from __future__ import annotations

import struct
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import IOFailed, NoSpace, QuotaExceeded, Unreachable
from pnfs.nfs4 import requests
from pnfs.nfs4.dsops.io import commit as commitOperation
from pnfs.nfs4.dsops.io import read as readOperation
from pnfs.nfs4.dsops.io import write as writeOperation
from pnfs.nfs4.status import nfsstat4, statusOf
from tests.nfs4.dsops.fixture import NAME, DSFixture, read, write


class IOTests(SynchronousTestCase):
    """
    Reading and writing under a capability.
    """

    def setUp(self) -> None:
        """
        A data server with one object.
        """
        self.ds = DSFixture()

    def test_write(self) -> None:
        """
        Bytes reach the object; count, stability and verifier come back.
        """
        results = self.ds.results(self.ds.handle(), write(2, b"hello"))
        results.operation(22)
        results.operation(38)
        self.assertEqual((results.uint32(), results.uint32()), (5, 0))
        self.assertEqual(results.fixed(8), b"verifier")
        self.assertEqual(self.ds.content(), b"\0\0hello")
        self.assertEqual(self.ds.server.writeBytes, 5)

    def test_read(self) -> None:
        """
        Bytes, padding and eof are on the wire as XDR has them.
        """
        self.ds.do(self.ds.data.write(NAME, 0, memoryview(b"hello"), 0))
        for offset, count, eof, data in (
            (0, 5, 1, b"hello"),
            (1, 3, 0, b"ell"),
            (1, 100, 1, b"ello"),
            (5, 5, 1, b""),
            (1 << 63, 5, 1, b""),
            ((1 << 64) - 1, 0xFFFFFFFF, 1, b""),
        ):
            results = self.ds.results(self.ds.handle(), read(offset, count))
            results.operation(22)
            results.operation(25)
            self.assertEqual((results.uint32(), results.opaque(99)), (eof, data))
            self.assertEqual(results.pos, len(results.buf))
        self.assertEqual(self.ds.server.readBytes, 12)

    def test_commit(self) -> None:
        """
        COMMIT tells the verifier of the writes.
        """
        results = self.ds.results(self.ds.handle(), requests.commit(0, 0))
        results.operation(22)
        results.operation(5)
        self.assertEqual(results.fixed(8), b"verifier")

    def test_rights(self) -> None:
        """
        A handle for reading cannot write or commit, and one of an old epoch
        nothing at all.
        """
        ds = self.ds
        for handle, op, status in (
            (ds.handle(1), read(0, 1), nfsstat4.NFS4_OK),
            (ds.handle(1), write(0, b"x"), nfsstat4.NFS4ERR_ACCESS),
            (ds.handle(1), requests.commit(0, 0), nfsstat4.NFS4ERR_ACCESS),
            (ds.handle(2), read(0, 1), nfsstat4.NFS4ERR_ACCESS),
            (ds.handle(3, 2), read(0, 1), nfsstat4.NFS4ERR_PNFS_NO_LAYOUT),
            (ds.handle(3, 2), write(0, b"x"), nfsstat4.NFS4ERR_PNFS_NO_LAYOUT),
            (ds.handle(3, 2), requests.commit(0, 0), nfsstat4.NFS4ERR_PNFS_NO_LAYOUT),
            (ds.handle(3, 4), write(0, b"x"), nfsstat4.NFS4_OK),
            (ds.control(), read(0, 1), nfsstat4.NFS4ERR_ISDIR),
            (ds.control(b"ff"), read(0, 1), nfsstat4.NFS4ERR_STALE),
            (ds.control(b"ff"), write(0, b"x"), nfsstat4.NFS4ERR_STALE),
            (requests.PUTROOTFH, read(0, 1), nfsstat4.NFS4ERR_ACCESS),
        ):
            self.assertEqual(ds.status(handle, op), status, (handle, op))
        self.assertEqual(ds.status(read(0, 1)), nfsstat4.NFS4ERR_NOFILEHANDLE)
        self.assertEqual(ds.status(write(0, b"")), nfsstat4.NFS4ERR_NOFILEHANDLE)

    def test_fenced(self) -> None:
        """
        From a fence on, a handle given out before is worth nothing.
        """
        self.assertEqual(self.ds.status(self.ds.handle(), write(0, b"x")), 0)
        self.ds.do(self.ds.data.fence(NAME, 4))
        self.assertEqual(
            self.ds.status(self.ds.handle(), write(0, b"y")),
            nfsstat4.NFS4ERR_PNFS_NO_LAYOUT,
        )
        self.assertEqual(self.ds.content(), b"x")

    def test_tooFar(self) -> None:
        """
        A write behind what any file can hold is FBIG.
        """
        for offset in ((1 << 63) - 1, 1 << 63, (1 << 64) - 1):
            self.assertEqual(
                self.ds.status(self.ds.handle(), write(offset, b"xx")),
                nfsstat4.NFS4ERR_FBIG,
            )

    def test_malformed(self) -> None:
        """
        Lengths that do not fit and unknown stabilities are BADXDR.
        """
        good = write(0, b"data")
        for bad in (
            good[:-1],
            good[:20],
            good[:28] + struct.pack(">I", 3) + good[32:],
            good[:32] + struct.pack(">I", 0xFFFFFFFF) + good[36:],
        ):
            self.assertEqual(
                self.ds.status(self.ds.handle(), bad), nfsstat4.NFS4ERR_BADXDR
            )
        self.assertEqual(
            self.ds.status(self.ds.handle(), read(0, 1)[:-2]), nfsstat4.NFS4ERR_BADXDR
        )

    def test_large(self) -> None:
        """
        More is asked for than a reply may hold: it is cut, without eof.
        """
        self.ds.do(self.ds.data.extend(NAME, 4 << 20))
        results = self.ds.results(self.ds.handle(), read(0, 4 << 20))
        results.operation(22)
        results.operation(25)
        eof, count = results.uint32(), results.uint32()
        self.assertEqual(eof, 0)
        self.assertGreaterEqual(count, 1 << 20)
        self.assertLess(count, 2 << 20)

    def test_backendErrors(self) -> None:
        """
        What the storage says is told in the words of the operation.
        """
        for error in (NoSpace(), QuotaExceeded(), IOFailed(), Unreachable()):

            def fail(*args: Any) -> None:
                raise error

            self.patch(self.ds.data, "writeNow", fail)
            status = self.ds.status(self.ds.handle(), write(0, b"x"))
            self.assertEqual(status, statusOf(error))
            self.assertIn(status, writeOperation.errors)

    def test_slow(self) -> None:
        """
        What the storage cannot do at once is done later, with the same checks.
        """
        data = self.ds.data
        gate: Deferred[None] = Deferred()
        really = data.writeNow

        async def slowly(*args: Any) -> Any:
            await gate
            return really(*args)

        self.patch(data, "peek", lambda name: None)
        self.patch(data, "writeNow", lambda *args: None)
        self.patch(data, "write", slowly)
        outcome = self.ds.sendRun(self.ds.handle(), write(0, b"slow"))
        self.assertEqual(outcome, [])
        gate.callback(None)
        self.assertEqual(outcome[0].status, 0)
        self.assertEqual(self.ds.content(), b"slow")
        self.assertEqual(
            self.ds.status(self.ds.handle(3, 1), write(0, b"x")),
            nfsstat4.NFS4ERR_PNFS_NO_LAYOUT,
        )

    def test_statusesAreListed(self) -> None:
        """
        What L{test_rights} found is in the lists of the operations.
        """
        for operation in (readOperation, writeOperation, commitOperation):
            for status in ("ACCESS", "PNFS_NO_LAYOUT", "STALE", "ISDIR", "BADXDR"):
                self.assertIn(nfsstat4["NFS4ERR_" + status], operation.errors)
