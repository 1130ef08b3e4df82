"""
Tests of SECINFO, SECINFO_NO_NAME and READLINK.
"""

from __future__ import annotations

import struct

from pnfs.nfs4.status import nfsstat4
from pnfs.values import FileType
from tests.nfs4.ops.namespace import (
    GETFH,
    LOOKUP,
    PUTFH,
    PUTROOTFH,
    READLINK,
    NamespaceCase,
    named,
    opaque,
)

_FLAVORS = struct.pack(">III", 2, 1, 0)


def SECINFO_NO_NAME(style: int) -> bytes:
    """
    SECINFO_NO_NAME.
    """
    return struct.pack(">II", 52, style)


class SecinfoTests(NamespaceCase):
    """
    Clients are told the flavours that work.
    """

    def test_name(self) -> None:
        """
        AUTH_SYS first, of an entry and of an export below.
        """
        self.make(b"f")
        self.assertEqual(
            self.last(PUTFH(self.fh(self.root)), named(33, b"f")), _FLAVORS
        )
        self.export.flavors = (1,)
        self.assertEqual(
            self.last(PUTROOTFH, *LOOKUP(b"data"), named(33, b"export")),
            struct.pack(">II", 1, 1),
        )

    def test_noName(self) -> None:
        """
        Of the current object, and of its parent.
        """
        for style in (0, 1):
            self.assertEqual(
                self.last(PUTFH(self.fh(self.root)), SECINFO_NO_NAME(style)), _FLAVORS
            )
        self.assertEqual(
            self.status(PUTROOTFH, SECINFO_NO_NAME(1)), nfsstat4.NFS4ERR_NOENT
        )
        self.assertEqual(
            self.status(PUTROOTFH, SECINFO_NO_NAME(2)), nfsstat4.NFS4ERR_BADXDR
        )

    def test_consumes(self) -> None:
        """
        Both use up the current filehandle when they succeed (SECINFO and
        SECINFO_NO_NAME consume the current handle: chimera #1144, #1159).
        """
        self.make(b"f")
        put = PUTFH(self.fh(self.root))
        for op in (named(33, b"f"), SECINFO_NO_NAME(0)):
            self.assertEqual(self.status(put, op, GETFH), nfsstat4.NFS4ERR_NOFILEHANDLE)

    def test_errors(self) -> None:
        """
        A name that is not there, or cannot be.
        """
        put = PUTFH(self.fh(self.root))
        self.assertEqual(self.status(put, named(33, b"no")), nfsstat4.NFS4ERR_NOENT)
        self.assertEqual(self.status(put, named(33, b"")), nfsstat4.NFS4ERR_INVAL)


class ReadlinkTests(NamespaceCase):
    """
    READLINK tells where a symbolic link leads.
    """

    def test_text(self) -> None:
        """
        The text comes back as it was written.
        """
        inode = self.make(b"l", FileType.LNK, target=b"../some/where")
        self.assertEqual(
            self.last(PUTFH(self.fh(inode)), READLINK), opaque(b"../some/where")
        )

    def test_other(self) -> None:
        """
        Nothing else is a symbolic link.
        """
        self.assertEqual(
            self.status(PUTFH(self.fh(self.root)), READLINK),
            nfsstat4.NFS4ERR_WRONG_TYPE,
        )
