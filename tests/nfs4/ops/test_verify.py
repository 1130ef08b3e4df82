"""
Tests of VERIFY and NVERIFY.
"""

from __future__ import annotations

import struct

from pnfs.nfs4 import fattr as fattr4
from pnfs.nfs4.status import nfsstat4
from tests.nfs4.ops.namespace import PUTFH, NamespaceCase, fattr


class VerifyTests(NamespaceCase):
    """
    VERIFY and NVERIFY compare attributes with what the client believes.
    """

    def both(self, values: dict[int, bytes]) -> tuple[int, int]:
        """
        The status of VERIFY and that of NVERIFY.
        """
        put = PUTFH(self.fh(self.inode))
        wire = fattr(values)
        return (
            self.status(put, struct.pack(">I", 37) + wire),
            self.status(put, struct.pack(">I", 17) + wire),
        )

    def setUp(self) -> None:
        super().setUp()
        self.inode = self.make(b"f", mode=0o640)

    def test_same(self) -> None:
        """
        Equal attributes: VERIFY goes on, NVERIFY says SAME.
        """
        change = struct.pack(">Q", self.inode.change)
        self.assertEqual(
            self.both({3: change, 33: struct.pack(">I", 0o640), 36: b"\0\0\0\x041000"}),
            (0, nfsstat4.NFS4ERR_SAME),
        )

    def test_everything(self) -> None:
        """
        Whatever GETATTR tells is what VERIFY compares with, each attribute by itself
        (VERIFY asks for the right attributes: chimera #996).
        """
        fh = self.fh(self.inode)
        readable = fattr4.supported(1) & ~fattr4.WRITE_ONLY & ~(1 << 11)
        for number in range(readable.bit_length()):
            if readable >> number & 1:
                bitmap, value = self.attributes(fh, number)
                self.assertEqual(bitmap, 1 << number)
                found = self.both({number: value})
                self.assertEqual(found, (0, nfsstat4.NFS4ERR_SAME), number)

    def test_different(self) -> None:
        """
        One that differs: VERIFY says NOT_SAME, NVERIFY goes on.
        """
        self.assertEqual(
            self.both({33: struct.pack(">I", 0o641)}), (nfsstat4.NFS4ERR_NOT_SAME, 0)
        )

    def test_refused(self) -> None:
        """
        Write-only attributes and C{rdattr_error} cannot be compared; unknown ones are
        ATTRNOTSUPP (write-only attributes are INVAL: chimera #265, #287).
        """
        invalid = (nfsstat4.NFS4ERR_INVAL,) * 2
        self.assertEqual(self.both({54: bytes(4)}), invalid)
        self.assertEqual(self.both({11: bytes(4)}), invalid)
        self.assertEqual(self.both({59: bytes(4)}), (nfsstat4.NFS4ERR_ATTRNOTSUPP,) * 2)
