"""
Tests of LOOKUP and LOOKUPP.
"""

from __future__ import annotations

from pnfs.nfs4.status import nfsstat4
from pnfs.values import FileType, SetAttributes
from tests.nfs4.ops.namespace import (
    BOB,
    GETFH,
    LOOKUP,
    LOOKUPP,
    PUTFH,
    PUTROOTFH,
    SUPERUSER,
    NamespaceCase,
    opaque,
)


class LookupTests(NamespaceCase):
    """
    LOOKUP goes to an entry.
    """

    def test_path(self) -> None:
        """
        From the root through the pseudo file system into the export.
        """
        inode = self.make(b"f")
        rest = self.last(PUTROOTFH, *LOOKUP(b"data", b"export", b"f"), GETFH)
        self.assertEqual(rest, opaque(self.fh(inode)))

    def test_crossing(self) -> None:
        """
        The last name of an export's path gives the export's root.
        """
        rest = self.last(PUTROOTFH, *LOOKUP(b"data", b"export"), GETFH)
        self.assertEqual(rest, opaque(self.fh(self.root)))

    def test_case(self) -> None:
        """
        Capitals are other letters, above the exports too (names case-sensitive:
        chimera #1160).
        """
        self.make(b"f")
        for path in ((b"Data",), (b"data", b"Export"), (b"data", b"export", b"F")):
            status = self.status(PUTROOTFH, *LOOKUP(*path))
            self.assertEqual(status, nfsstat4.NFS4ERR_NOENT, path)

    def test_notReady(self) -> None:
        """
        An export whose backend is not there yet is tried again later.
        """
        del self.backend.root
        self.assertEqual(
            self.status(PUTROOTFH, *LOOKUP(b"data", b"export")), nfsstat4.NFS4ERR_DELAY
        )

    def test_slow(self) -> None:
        """
        What is not in memory is found all the same.
        """
        inode = self.make(b"f")
        self.backend.cachedChild = lambda directory, name: None
        rest = self.last(PUTFH(self.fh(self.root)), *LOOKUP(b"f"), GETFH)
        self.assertEqual(rest, opaque(self.fh(inode)))

    def test_errors(self) -> None:
        """
        Each kind of wrong name or directory has its status.
        """
        self.make(b"f")
        self.make(b"l", FileType.LNK, target=b"f")
        expected = {
            (b"absent",): nfsstat4.NFS4ERR_NOENT,
            (b"",): nfsstat4.NFS4ERR_INVAL,
            (b".",): nfsstat4.NFS4ERR_BADNAME,
            (b"..",): nfsstat4.NFS4ERR_BADNAME,
            (b"a/b",): nfsstat4.NFS4ERR_BADNAME,
            (b"\xff\xfe",): nfsstat4.NFS4ERR_INVAL,
            (b"n" * 256,): nfsstat4.NFS4ERR_NAMETOOLONG,
            (b"n" * 4097,): nfsstat4.NFS4ERR_BADXDR,
            (b"f", b"x"): nfsstat4.NFS4ERR_NOTDIR,
            (b"l", b"x"): nfsstat4.NFS4ERR_SYMLINK,
        }
        for path, status in expected.items():
            got = self.status(PUTFH(self.fh(self.root)), *LOOKUP(*path))
            self.assertEqual(got, status, path)

    def test_permission(self) -> None:
        """
        Without the right to search, names cannot be tried out.
        """
        directory = self.make(b"d", FileType.DIR, mode=0o700)
        self.make(b"f", parent=directory)
        put = PUTFH(self.fh(directory))
        self.assertEqual(self.status(put, *LOOKUP(b"f")), 0)
        for name in (b"f", b"absent"):
            self.assertEqual(
                self.status(put, *LOOKUP(name), as_=BOB), nfsstat4.NFS4ERR_ACCESS
            )

    def test_rootSquash(self) -> None:
        """
        A client's superuser is nobody here.
        """
        directory = self.make(b"d", FileType.DIR, mode=0o700)
        self.make(b"f", parent=directory)
        put = PUTFH(self.fh(directory))
        self.assertEqual(
            self.status(put, *LOOKUP(b"f"), as_=SUPERUSER), nfsstat4.NFS4ERR_ACCESS
        )


class LookuppTests(NamespaceCase):
    """
    LOOKUPP goes to the directory above.
    """

    def test_up(self) -> None:
        """
        From a directory to its parent.
        """
        inner = self.make(b"d", FileType.DIR, mode=0o755)
        rest = self.last(PUTFH(self.fh(inner)), LOOKUPP, GETFH)
        self.assertEqual(rest, opaque(self.fh(self.root)))

    def test_exportRoot(self) -> None:
        """
        From an export's root to the pseudo directory that its name is in (LOOKUPP at
        export root gives pseudo-root: chimera #366).
        """
        above = self.last(PUTROOTFH, *LOOKUP(b"data"), GETFH)
        self.assertEqual(self.last(PUTFH(self.fh(self.root)), LOOKUPP, GETFH), above)

    def test_top(self) -> None:
        """
        There is nothing above the very top.
        """
        self.assertEqual(self.status(PUTROOTFH, LOOKUPP), nfsstat4.NFS4ERR_NOENT)

    def test_errors(self) -> None:
        """
        Only from a directory, and one that may be searched.
        """
        inode = self.make(b"f")
        self.assertEqual(
            self.status(PUTFH(self.fh(inode)), LOOKUPP), nfsstat4.NFS4ERR_NOTDIR
        )
        self.wait(self.backend.setattr(self.root, SetAttributes(mode=0o700)))
        self.assertEqual(
            self.status(PUTFH(self.fh(self.root)), LOOKUPP), nfsstat4.NFS4ERR_ACCESS
        )
