"""
Tests of PUTFH, PUTROOTFH, PUTPUBFH, GETFH, SAVEFH and RESTOREFH.
"""

from __future__ import annotations

from pnfs.namespace.exports import Export
from pnfs.nfs4.status import nfsstat4
from pnfs.values import SetAttributes
from tests.nfs4.ops.namespace import (
    GETATTR,
    GETFH,
    LOOKUP,
    PUTFH,
    PUTPUBFH,
    PUTROOTFH,
    RESTOREFH,
    SAVEFH,
    NamespaceCase,
    named,
    opaque,
)


class FilehandleTests(NamespaceCase):
    """
    The current and the saved filehandle.
    """

    def test_putfh(self) -> None:
        """
        A filehandle comes back from GETFH byte for byte.
        """
        fh = self.fh(self.make(b"f"))
        for _ in range(2):
            self.assertEqual(self.last(PUTFH(fh), GETFH), opaque(fh))

    def test_notCached(self) -> None:
        """
        An object that is not in memory is fetched from the backend.
        """
        inode = self.make(b"f")
        self.backend.cached = lambda handle: None
        self.assertEqual(
            self.last(PUTFH(self.fh(inode)), GETFH), opaque(self.fh(inode))
        )

    def test_bad(self) -> None:
        """
        Forged, altered, cut and empty handles are BADHANDLE, also the second time
        (malformed PUTFH is BADHANDLE: chimera #281).
        """
        fh = self.fh(self.root)
        altered = fh[:-1] + bytes([fh[-1] ^ 1])
        for bad in (altered, fh[:-4], fh + b"\0", b"", b"x" * 128):
            for _ in range(2):
                self.assertEqual(self.status(PUTFH(bad)), nfsstat4.NFS4ERR_BADHANDLE)

    def test_malformed(self) -> None:
        """
        More than 128 bytes, or fewer than announced, is BADXDR.
        """
        for wire in (named(22, b"x" * 129), named(22, b"x" * 8)[:-4], b"\0\0\0\x16\0"):
            self.assertEqual(self.status(wire), nfsstat4.NFS4ERR_BADXDR)

    def test_stale(self) -> None:
        """
        The handle of an object that is gone, or of an export that is, is STALE (gone
        object is STALE: chimera #343).
        """
        fh = self.fh(self.make(b"f"))
        self.status(PUTFH(fh))
        self.wait(self.backend.remove(self.root, b"f", False))
        self.assertEqual(self.status(PUTFH(fh)), nfsstat4.NFS4ERR_STALE)
        other = Export("/elsewhere", self.backend)
        fh = self.fixture.server.filehandles.encode(other, self.root)
        self.assertEqual(self.status(PUTFH(fh)), nfsstat4.NFS4ERR_STALE)

    def test_root(self) -> None:
        """
        PUTROOTFH and PUTPUBFH lead to the same place.
        """
        root = self.last(PUTROOTFH, GETFH)
        self.assertEqual(self.last(PUTPUBFH, GETFH), root)
        self.assertNotEqual(root, opaque(self.fh(self.root)))

    def test_none(self) -> None:
        """
        Without a filehandle there is nothing to tell, save or restore.
        """
        for op in (GETFH, SAVEFH, RESTOREFH):
            self.assertEqual(self.status(op), nfsstat4.NFS4ERR_NOFILEHANDLE)

    def test_saved(self) -> None:
        """
        RESTOREFH leads back to where SAVEFH was.
        """
        self.make(b"f")
        fh = self.fh(self.root)
        self.assertEqual(
            self.last(PUTFH(fh), SAVEFH, *LOOKUP(b"f"), RESTOREFH, GETFH), opaque(fh)
        )
        _, mode = self.attributes(fh, 33)
        self.wait(self.backend.setattr(self.root, SetAttributes(mode=0o751)))
        rest = self.last(PUTFH(fh), SAVEFH, RESTOREFH, GETATTR(33))
        self.assertEqual(rest[-2:], b"\x01\xe9")
