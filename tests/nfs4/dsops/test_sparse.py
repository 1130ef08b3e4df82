"""
Tests of L{pnfs.nfs4.dsops.sparse}.
"""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import NoSpace, Unsupported
from pnfs.namespace.filehandles import READ, WRITE
from pnfs.nfs4 import requests
from pnfs.nfs4.dsops import sparse
from pnfs.nfs4.requests import ANONYMOUS
from pnfs.nfs4.results import Results
from pnfs.nfs4.status import nfsstat4
from tests.contracts.holes import BLOCK
from tests.nfs4.dsops.fixture import NAME, STRANGER, DSFixture, read

DATA, HOLE = 0, 1
SEEK = requests.seek(ANONYMOUS, 0, HOLE)
READ_PLUS = requests.readPlus(ANONYMOUS, 0, 100)
ALLOCATE = requests.allocate(ANONYMOUS, 0, 100)
DEALLOCATE = requests.deallocate(ANONYMOUS, 0, 100)
IO_ADVISE = requests.ioAdvise(ANONYMOUS, 0, 0, 2)
LOOKING = (SEEK, READ_PLUS, IO_ADVISE)
CHANGING = (ALLOCATE, DEALLOCATE)


class SparseTests(SynchronousTestCase):
    """
    Holes of an object.
    """

    def setUp(self) -> None:
        """
        A data server with an object of a block of data, one of hole, and 5 bytes.
        """
        self.ds = DSFixture()
        self.ds.do(self.ds.data.write(NAME, 0, memoryview(b"a" * BLOCK), 0))
        self.ds.do(self.ds.data.write(NAME, 2 * BLOCK, memoryview(b"hello"), 0))

    def control(self, *ops: bytes) -> Results:
        """
        Under the control handle of the object, after PUTFH.
        """
        results = self.ds.results(self.ds.control(NAME), *ops)
        results.operation(22)
        return results

    def test_seek(self) -> None:
        """
        A client with a layout finds data and holes of the object.
        """
        for offset, what, expected in (
            (0, HOLE, (0, BLOCK)),
            (BLOCK + 1, DATA, (0, 2 * BLOCK)),
            (2 * BLOCK, HOLE, (1, 2 * BLOCK + 5)),
        ):
            results = self.ds.results(
                self.ds.handle(), requests.seek(ANONYMOUS, offset, what)
            )
            results.operation(22)
            results.operation(69)
            self.assertEqual((results.uint32(), results.uint64()), expected)

    def test_seekRefused(self) -> None:
        """
        Behind the end there is nothing; other content is unknown.
        """
        behind = requests.seek(ANONYMOUS, 2 * BLOCK + 5, DATA)
        other = requests.seek(ANONYMOUS, 0, 2)
        handle = self.ds.handle()
        self.assertEqual(self.ds.status(handle, behind), nfsstat4.NFS4ERR_NXIO)
        self.assertEqual(self.ds.status(handle, other), nfsstat4.NFS4ERR_UNION_NOTSUPP)

    def test_readPlus(self) -> None:
        """
        Data and holes, with eof at the end of the object as for READ.
        """
        wanted = requests.readPlus(ANONYMOUS, BLOCK - 10_000, 1 << 20)
        results = self.ds.results(self.ds.handle(), wanted)
        results.operation(22)
        results.operation(68)
        eof, found = results.segments(1 << 20)
        self.assertTrue(eof)
        self.assertEqual(
            [(s.offset, s.count, s.pieces is None) for s in found],
            [
                (BLOCK - 10_000, 10_000, False),
                (BLOCK, BLOCK, True),
                (2 * BLOCK, 5, False),
            ],
        )
        self.assertEqual(self.ds.server.readBytes, 10_005)
        before = self.ds.results(self.ds.handle(), read(BLOCK, BLOCK))
        before.operation(22)
        before.operation(25)
        self.assertEqual(before.uint32(), 0)

    def test_readPlusFar(self) -> None:
        """
        No offset is too far to be answered.
        """
        for offset, count in ((1 << 63, 5), ((1 << 64) - 1, 0xFFFFFFFF)):
            wanted = requests.readPlus(ANONYMOUS, offset, count)
            results = self.ds.results(self.ds.handle(), wanted)
            results.operation(22)
            results.operation(68)
            self.assertEqual(results.segments(10), (True, []))

    def test_deallocate(self) -> None:
        """
        The metadata server makes a hole, which does not change the size.
        """
        wanted = requests.deallocate(ANONYMOUS, 10, 1 << 40)
        self.control(wanted).operation(62)
        self.assertEqual(self.ds.content(), b"a" * 10 + bytes(2 * BLOCK - 5))

    def test_allocate(self) -> None:
        """
        The metadata server reserves space; the object grows only when it says so.
        """
        wanted = requests.allocate(ANONYMOUS, 0, 5 * BLOCK)
        self.control(wanted, wanted).operation(59)
        found = self.ds.do(self.ds.data.getattr(NAME))
        self.assertEqual((found.size, found.used), (2 * BLOCK + 5, 5 * BLOCK))

    def test_range(self) -> None:
        """
        Ranges that are none, or too far, are refused.
        """
        control = self.ds.control(NAME)
        for make in (requests.allocate, requests.deallocate):
            for offset, length in ((0, 0), (5, (1 << 64) - 5)):
                wanted = make(ANONYMOUS, offset, length)
                status = self.ds.status(control, wanted)
                self.assertEqual(status, nfsstat4.NFS4ERR_INVAL)
        wanted = requests.allocate(ANONYMOUS, (1 << 63) - 1, 1)
        self.assertEqual(self.ds.status(control, wanted), nfsstat4.NFS4ERR_FBIG)
        wanted = requests.deallocate(ANONYMOUS, (1 << 63) - 1, 1 << 63)
        self.assertEqual(self.ds.status(control, wanted), nfsstat4.NFS4_OK)

    def test_advise(self) -> None:
        """
        Hints are taken, though none matters to memory.
        """
        results = self.ds.results(self.ds.handle(), IO_ADVISE)
        results.operation(22)
        results.operation(63)
        self.assertEqual(results.bitmap(), 0)

    def test_clientsDoNot(self) -> None:
        """
        Clients do not change the space of an object, whatever their layout.
        """
        for wanted in CHANGING:
            status = self.ds.status(self.ds.handle(), wanted)
            self.assertEqual(status, nfsstat4.NFS4ERR_ACCESS)

    def test_fenced(self) -> None:
        """
        Who is fenced does not learn where data is, either.
        """
        for wanted in LOOKING:
            status = self.ds.status(self.ds.handle(epoch=2), wanted)
            self.assertEqual(status, nfsstat4.NFS4ERR_PNFS_NO_LAYOUT)

    def test_rights(self) -> None:
        """
        A handle that cannot read, and somebody who may not, are refused.
        """
        for wanted in LOOKING:
            status = self.ds.status(self.ds.handle(WRITE), wanted)
            self.assertEqual(status, nfsstat4.NFS4ERR_ACCESS)
            status = self.ds.status(self.ds.handle(READ), wanted, credential=STRANGER)
            self.assertEqual(status, nfsstat4.NFS4ERR_ACCESS)

    def test_noObject(self) -> None:
        """
        Without a filehandle, or with one of no object, there is nothing to do.
        """
        for wanted in (*LOOKING, *CHANGING):
            self.assertEqual(self.ds.status(wanted), nfsstat4.NFS4ERR_NOFILEHANDLE)
            status = self.ds.status(self.ds.control(), wanted)
            self.assertEqual(status, nfsstat4.NFS4ERR_ISDIR)
            status = self.ds.status(self.ds.control(b"ffff"), wanted)
            self.assertEqual(status, nfsstat4.NFS4ERR_STALE)

    def test_errors(self) -> None:
        """
        What the storage cannot do is told as what it is, and is among the errors
        of the operation.
        """
        for failure, status in (
            (NoSpace(), nfsstat4.NFS4ERR_NOSPC),
            (Unsupported(), nfsstat4.NFS4ERR_NOTSUPP),
        ):

            async def fail(*args: object, failure: Exception = failure) -> None:
                raise failure

            self.ds.data.allocate = fail  # type: ignore[method-assign]
            self.assertEqual(self.ds.status(self.ds.control(NAME), ALLOCATE), status)
            self.assertIn(status, sparse.allocate.errors)

    def test_truncated(self) -> None:
        """
        Arguments cut short are BADXDR.
        """
        handle = self.ds.handle()
        for wanted in (*LOOKING, *CHANGING):
            for end in range(4, len(wanted)):
                status = self.ds.status(handle, wanted[:end])
                self.assertEqual(status, nfsstat4.NFS4ERR_BADXDR)

    def test_minor(self) -> None:
        """
        NFSv4.1 does not know these operations.
        """
        for wanted in (*LOOKING, *CHANGING):
            number = struct.unpack_from(">I", wanted)[0]
            reply = self.ds.run(self.ds.handle(), wanted, minor=1)
            reply.head()
            self.assertEqual(reply.head()[0] in (number, 10044), True)
            self.assertEqual(reply.status, nfsstat4.NFS4ERR_OP_ILLEGAL)
