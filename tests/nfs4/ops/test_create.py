"""
Tests of CREATE and LINK.
"""

from __future__ import annotations

import struct
from typing import Any

from pnfs.namespace.exports import Export, ExportTable
from pnfs.nfs4.status import nfsstat4
from pnfs.values import ROOT, FileType
from tests.nfs4.ops.namespace import (
    ALICE,
    BOB,
    GETFH,
    LOOKUP,
    PUTFH,
    PUTROOTFH,
    SAVEFH,
    NamespaceCase,
    fattr,
    named,
    opaque,
)


def CREATE(kind: int, name: bytes, values: Any = None, what: bytes = b"") -> bytes:
    """
    CREATE.
    """
    return struct.pack(">II", 6, kind) + what + opaque(name) + fattr(values or {})


class CreateTests(NamespaceCase):
    """
    CREATE makes everything but regular files.
    """

    def create(self, *arguments: Any, as_: Any = ALICE) -> int:
        """
        CREATE in the export's root: the status.
        """
        return self.status(PUTFH(self.fh(self.root)), CREATE(*arguments), as_=as_)

    def child(self, name: bytes) -> Any:
        """
        What is there.
        """
        return self.wait(self.backend.lookup(self.root, name))

    def test_directory(self) -> None:
        """
        The new directory is the current object; the change counters are those of
        the directory, and the attributes set are told.
        """
        before = self.root.change
        reply = self.run_(
            PUTFH(self.fh(self.root)),
            CREATE(FileType.DIR, b"d", {33: struct.pack(">I", 0o2711)}),
            GETFH,
        )
        self.assertEqual(reply.status, 0)
        made = self.child(b"d")
        self.assertEqual((made.mode, made.uid, made.gid), (0o2711, 1000, 1000))
        reply.head()
        reply.head()
        self.assertEqual(
            reply.rest,
            struct.pack(">IQQIII", 1, before, self.root.change, 2, 0, 2)
            + struct.pack(">II", 10, 0)
            + opaque(self.fh(made)),
        )

    def test_kinds(self) -> None:
        """
        Symbolic links, sockets and FIFOs by anybody; devices by the superuser.
        """
        self.assertEqual(self.create(5, b"l", {}, opaque(b"to")), 0)
        self.assertEqual(self.wait(self.backend.readlink(self.child(b"l"))), b"to")
        self.assertEqual(self.create(6, b"s"), 0)
        self.assertEqual(self.create(7, b"p"), 0)
        device = struct.pack(">II", 8, 1)
        self.assertEqual(self.create(4, b"c", {}, device), nfsstat4.NFS4ERR_PERM)
        self.export.rootSquash = False
        self.assertEqual(self.create(3, b"b", {}, device, as_=ROOT), 0)
        self.assertEqual(self.child(b"b").rdev, (8, 1))
        self.assertEqual(self.child(b"s").ftype, FileType.SOCK)

    def test_refused(self) -> None:
        """
        Each mistake has its status, and nothing is made.
        """
        self.make(b"f")
        size = {4: bytes(8)}
        for arguments, status in (
            ((1, b"x"), nfsstat4.NFS4ERR_BADTYPE),
            ((9, b"x"), nfsstat4.NFS4ERR_BADTYPE),
            ((77, b"x"), nfsstat4.NFS4ERR_BADTYPE),
            ((2, b""), nfsstat4.NFS4ERR_INVAL),
            ((2, b".."), nfsstat4.NFS4ERR_BADNAME),
            ((2, b"n" * 256), nfsstat4.NFS4ERR_NAMETOOLONG),
            ((2, b"f"), nfsstat4.NFS4ERR_EXIST),
            ((2, b"x", size), nfsstat4.NFS4ERR_INVAL),
            ((2, b"x", {59: b""}), nfsstat4.NFS4ERR_ATTRNOTSUPP),
            ((2, b"x", {3: bytes(8)}), nfsstat4.NFS4ERR_INVAL),
            ((2, b"x", {36: opaque(b"1001")}), nfsstat4.NFS4ERR_PERM),
            ((2, b"x", {37: opaque(b"3000")}), nfsstat4.NFS4ERR_PERM),
            ((5, b"x", {}, opaque(b"")), nfsstat4.NFS4ERR_INVAL),
        ):
            self.assertEqual(self.create(*arguments), status, arguments)
        entries, _ = self.wait(self.backend.readdir(self.root, 0, 10))
        self.assertEqual([entry.name for entry in entries], [b"f"])

    def test_where(self) -> None:
        """
        In a directory, writable for the caller, of a writable export.
        """
        inode = self.make(b"f")
        made = CREATE(2, b"x")
        self.assertEqual(
            self.status(PUTFH(self.fh(inode)), made), nfsstat4.NFS4ERR_NOTDIR
        )
        inode = self.make(b"d", FileType.DIR, mode=0o755)
        self.assertEqual(
            self.status(PUTFH(self.fh(inode)), made, as_=BOB), nfsstat4.NFS4ERR_ACCESS
        )
        self.assertEqual(self.status(PUTROOTFH, made), nfsstat4.NFS4ERR_ROFS)
        self.export.readOnly = True
        self.assertEqual(self.create(2, b"x"), nfsstat4.NFS4ERR_ROFS)


class LinkTests(NamespaceCase):
    """
    LINK gives a file a further name.
    """

    def link(self, inode: Any, name: bytes, as_: Any = ALICE) -> int:
        """
        LINK into the export's root: the status.
        """
        return self.status(
            PUTFH(self.fh(inode)),
            SAVEFH,
            PUTFH(self.fh(self.root)),
            named(11, name),
            as_=as_,
        )

    def test_link(self) -> None:
        """
        The same object has both names, and says so.
        """
        inode = self.make(b"f")
        before = self.root.change
        rest = self.last(
            PUTFH(self.fh(inode)), SAVEFH, PUTFH(self.fh(self.root)), named(11, b"g")
        )
        self.assertEqual(rest, struct.pack(">IQQ", 1, before, self.root.change))
        self.assertEqual(inode.nlink, 2)
        found = self.last(PUTFH(self.fh(self.root)), *LOOKUP(b"g"), GETFH)
        self.assertEqual(found, opaque(self.fh(inode)))

    def test_refused(self) -> None:
        """
        Each mistake has its status.
        """
        inode = self.make(b"f")
        directory = self.make(b"d", FileType.DIR, mode=0o755)
        self.assertEqual(self.link(inode, b"d"), nfsstat4.NFS4ERR_EXIST)
        self.assertEqual(self.link(inode, b"a/b"), nfsstat4.NFS4ERR_BADNAME)
        self.assertEqual(self.link(directory, b"x"), nfsstat4.NFS4ERR_ISDIR)
        self.assertEqual(
            self.status(PUTFH(self.fh(self.root)), named(11, b"x")),
            nfsstat4.NFS4ERR_NOFILEHANDLE,
        )
        into = PUTFH(self.fh(directory))
        self.assertEqual(
            self.status(PUTFH(self.fh(inode)), SAVEFH, into, named(11, b"x"), as_=BOB),
            nfsstat4.NFS4ERR_ACCESS,
        )
        self.export.readOnly = True
        self.assertEqual(self.link(inode, b"x"), nfsstat4.NFS4ERR_ROFS)

    def test_otherExport(self) -> None:
        """
        Not from one export into another, be it the same tree (cross-mount is XDEV:
        chimera c:00238bec).
        """
        inode = self.make(b"f")
        other = Export("/data/other", self.backend)
        server = self.fixture.server
        server.exports = ExportTable([self.export, other])
        there = server.filehandles.encode(other, self.root)
        self.assertEqual(
            self.status(PUTFH(self.fh(inode)), SAVEFH, PUTFH(there), named(11, b"x")),
            nfsstat4.NFS4ERR_XDEV,
        )

    def test_unlinked(self) -> None:
        """
        A removed file that is still open does not come back.
        """
        inode = self.make(b"f")
        self.openFor(inode)
        self.assertEqual(self.status(PUTFH(self.fh(self.root)), named(28, b"f")), 0)
        self.assertEqual(self.link(inode, b"g"), nfsstat4.NFS4ERR_NOENT)
