"""
Tests of L{pnfs.nfs4.results}.
"""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from pnfs.nfs4.results import OperationFailed, Results
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import encodeBitmap
from pnfs.xdr.errors import XDRError


def res(count: int, body: bytes, status: int = 0, tag: bytes = b"") -> Results:
    """
    C{COMPOUND4res}.
    """
    head = struct.pack(">II", status, len(tag)) + tag + bytes(-len(tag) % 4)
    return Results(head + struct.pack(">I", count) + body, 0)


class ResultsTests(SynchronousTestCase):
    """
    What servers answer, also when it is wrong.
    """

    def test_walk(self) -> None:
        """
        Operation by operation.
        """
        results = res(2, struct.pack(">4IQ", 9, 0, 22, 0, 5), tag=b"tag")
        results.operation(9)
        results.operation(22)
        self.assertEqual(results.uint64(), 5)
        self.assertRaises(OperationFailed, results.operation, 1)

    def test_failed(self) -> None:
        """
        An operation that failed says which and how; so does one that was not
        reached.
        """
        results = res(1, struct.pack(">II", 15, 2), 2)
        error = self.assertRaises(OperationFailed, results.operation, 15)
        self.assertEqual((error.number, error.status), (15, 2))
        self.assertEqual(str(error), "operation 15: NFS4ERR_NOENT")
        error = self.assertRaises(OperationFailed, results.operation, 9)
        self.assertEqual(error.status, nfsstat4.NFS4ERR_NOENT)
        self.assertIn("4711", str(OperationFailed(1, 4711)))

    def test_other(self) -> None:
        """
        The result of another operation than was asked for is no result.
        """
        results = res(1, struct.pack(">II", 9, 0))
        self.assertRaises(XDRError, results.operation, 15)

    def test_truncated(self) -> None:
        """
        Whatever is read from an answer that ends too early is malformed.
        """
        for method, argument in (
            ("uint32", ()),
            ("uint64", ()),
            ("fixed", (4,)),
            ("opaque", (10,)),
            ("bitmap", ()),
            ("attributes", ()),
            ("time", ()),
        ):
            for body in (b"", b"\0", b"\0\0\0\x02"):
                results = res(1, body)
                if method == "uint32" and len(body) == 4:
                    continue
                if method == "fixed" and len(body) == 4:
                    continue
                self.assertRaises(XDRError, getattr(results, method), *argument)
        for length in range(12):
            self.assertRaises(XDRError, Results, bytes(12)[:length], 0)

    def test_opaque(self) -> None:
        """
        Bytes have their padding, and a limit.
        """
        results = res(0, b"\0\0\0\x05hello\0\0\0\0\0\0\1")
        self.assertEqual((results.opaque(5), results.uint32()), (b"hello", 1))
        self.assertRaises(XDRError, res(0, b"\0\0\0\x05hello\0\0\0").opaque, 4)

    def test_attributes(self) -> None:
        """
        Attributes by number; one that was not asked for, or a wrong length, is
        malformed.
        """
        values = struct.pack(">QI", 5, 0o644) + struct.pack(">qI", -2, 7)
        wire = encodeBitmap(1 << 4 | 1 << 33 | 1 << 53)
        found = res(0, wire + struct.pack(">I", len(values)) + values).attributes()
        self.assertEqual(found, {4: 5, 33: 0o644, 53: -2 * 10**9 + 7})
        for mask, length in ((1 << 4, 4), (1 << 4, 12), (1 << 63, 8)):
            bad = res(0, encodeBitmap(mask) + struct.pack(">I", length) + bytes(16))
            self.assertRaises(XDRError, bad.attributes)

    def test_segments(self) -> None:
        """
        Segments of data and of holes; more than can be, longer ones than were asked
        for, other kinds, and cut ones are malformed.
        """
        data = struct.pack(">IQI", 0, 7, 5) + b"hello\0\0\0"
        hole = struct.pack(">IQQ", 1, 12, 100)
        wire = struct.pack(">II", 1, 2) + data + hole
        eof, found = res(0, wire).segments(5)
        self.assertTrue(eof)
        self.assertEqual([(s.offset, s.count) for s in found], [(7, 5), (12, 100)])
        self.assertEqual((found[0].pieces, found[1].pieces), ([b"hello"], None))
        self.assertRaises(XDRError, res(0, wire).segments, 4)
        for end in range(len(wire)):
            self.assertRaises(XDRError, res(0, wire[:end]).segments, 5)
        for bad in (struct.pack(">II", 0, 5000), struct.pack(">IIIQQ", 0, 1, 2, 0, 0)):
            self.assertRaises(XDRError, res(0, bad).segments, 5)
