"""
Tests of L{pnfs.nfs4.ops.setxattr}, L{pnfs.nfs4.ops.removexattr} and what all
operations on extended attributes share.
"""

from __future__ import annotations

import struct
from typing import Any

from pnfs.nfs4.status import nfsstat4
from pnfs.values import FileType
from tests.nfs4.ops.namespace import (
    ALICE,
    BOB,
    GETATTR,
    PUTFH,
    NamespaceCase,
    named,
    opaque,
)

EITHER, CREATE, REPLACE = 0, 1, 2


def GETXATTR(name: bytes) -> bytes:
    """
    GETXATTR.
    """
    return named(72, name)


def SETXATTR(name: bytes, value: bytes, option: int = EITHER) -> bytes:
    """
    SETXATTR.
    """
    return struct.pack(">II", 73, option) + opaque(name) + opaque(value)


def LISTXATTRS(cookie: int = 0, maxcount: int = 65536) -> bytes:
    """
    LISTXATTRS.
    """
    return struct.pack(">IQI", 74, cookie, maxcount)


def REMOVEXATTR(name: bytes) -> bytes:
    """
    REMOVEXATTR.
    """
    return named(75, name)


class XattrCase(NamespaceCase):
    """
    ALICE's file C{f}.
    """

    minor = 2

    def setUp(self) -> None:
        super().setUp()
        self.file = self.make(b"f", mode=0o644)
        self.here = PUTFH(self.fh(self.file))

    def value(self, name: bytes) -> bytes:
        """
        What an attribute of the file is now.
        """
        return self.wait(self.backend.getxattr(self.file, name))


class SetXattrTests(XattrCase):
    """
    SETXATTR and REMOVEXATTR.
    """

    def changes(self, op: bytes) -> tuple[int, int]:
        """
        C{change_info4} of a change, compared with the attribute.
        """
        before = self.file.change
        rest = self.last(self.here, op)
        atomic, first, last = struct.unpack(">IQQ", rest)
        self.assertEqual((atomic, first, last), (1, before, self.file.change))
        self.assertGreater(last, first)
        return first, last

    def test_set(self) -> None:
        """
        A client's attribute is kept as it was sent, and the change attribute that
        it caches by moves as the reply says.
        """
        self.changes(SETXATTR(b"colour", b"\0\xff"))
        self.assertEqual(self.value(b"colour"), b"\0\xff")
        _, last = self.changes(SETXATTR(b"colour", b"", REPLACE))
        self.assertEqual(self.value(b"colour"), b"")
        rest = self.last(self.here, GETATTR(3))
        self.assertEqual(rest[-8:], struct.pack(">Q", last))

    def test_wireNames(self) -> None:
        """
        Names travel without C{user.} (wire names lack "user.": chimera #698), so
        what a client calls C{user.user.x} is one of its own.
        """
        self.changes(SETXATTR(b"user.x", b"1"))
        self.assertEqual(self.value(b"user.x"), b"1")
        status = self.status(self.here, GETXATTR(b"x"))
        self.assertEqual(status, nfsstat4.NFS4ERR_NOXATTR)

    def test_options(self) -> None:
        """
        To make one that is there, or change one that is not, fails and changes
        nothing.
        """
        self.assertEqual(
            self.status(self.here, SETXATTR(b"x", b"1", REPLACE)),
            nfsstat4.NFS4ERR_NOXATTR,
        )
        self.changes(SETXATTR(b"x", b"2", CREATE))
        self.assertEqual(
            self.status(self.here, SETXATTR(b"x", b"3", CREATE)),
            nfsstat4.NFS4ERR_EXIST,
        )
        self.assertEqual(self.value(b"x"), b"2")
        self.assertEqual(
            self.status(self.here, SETXATTR(b"x", b"3", 3)), nfsstat4.NFS4ERR_BADXDR
        )

    def test_remove(self) -> None:
        """
        What is taken away is gone; what was not there cannot be.
        """
        self.changes(SETXATTR(b"x", b"1"))
        self.changes(REMOVEXATTR(b"x"))
        for op in (REMOVEXATTR(b"x"), GETXATTR(b"x")):
            self.assertEqual(self.status(self.here, op), nfsstat4.NFS4ERR_NOXATTR)

    def test_limits(self) -> None:
        """
        What is too long is refused with a word that tells why.
        """
        for op, status in (
            (SETXATTR(b"", b""), nfsstat4.NFS4ERR_INVAL),
            (SETXATTR(b"n" * 251, b""), nfsstat4.NFS4ERR_NAMETOOLONG),
            (SETXATTR(b"n" * 4097, b""), nfsstat4.NFS4ERR_BADXDR),
            (SETXATTR(b"x", b"v" * 65537), nfsstat4.NFS4ERR_XATTR2BIG),
            (GETXATTR(b"n" * 251), nfsstat4.NFS4ERR_NAMETOOLONG),
            (REMOVEXATTR(b"n" * 251), nfsstat4.NFS4ERR_NAMETOOLONG),
        ):
            self.assertEqual(self.status(self.here, op), status)
        self.changes(SETXATTR(b"n" * 250, b"v" * 65536))
        self.assertEqual(self.value(b"n" * 250), b"v" * 65536)

    def test_permission(self) -> None:
        """
        Only who may write the file changes its attributes.
        """
        self.changes(SETXATTR(b"x", b"1"))
        for op in (SETXATTR(b"x", b"2"), REMOVEXATTR(b"x")):
            self.assertEqual(
                self.status(self.here, op, as_=BOB), nfsstat4.NFS4ERR_ACCESS
            )
        self.assertEqual(self.value(b"x"), b"1")

    def test_sticky(self) -> None:
        """
        Nobody leaves notes on /tmp itself but its owner.
        """
        inode = self.make(b"tmp", FileType.DIR, mode=0o1777)
        here = PUTFH(self.fh(inode))
        self.assertEqual(
            self.status(here, SETXATTR(b"x", b""), as_=BOB), nfsstat4.NFS4ERR_PERM
        )
        self.assertEqual(self.status(here, SETXATTR(b"x", b"")), 0)

    def test_types(self) -> None:
        """
        A pipe has none, and can be given none.
        """
        here = PUTFH(self.fh(self.make(b"p", FileType.FIFO, mode=0o666)))
        for op in (SETXATTR(b"x", b""), REMOVEXATTR(b"x")):
            self.assertEqual(self.status(here, op), nfsstat4.NFS4ERR_PERM)
        self.assertEqual(self.status(here, GETXATTR(b"x")), nfsstat4.NFS4ERR_NOXATTR)

    def test_backendWithout(self) -> None:
        """
        A backend without them says so everywhere (support is per backend:
        chimera #422).
        """
        self.backend.xattrs = False
        for op in (
            GETXATTR(b"x"),
            SETXATTR(b"x", b""),
            LISTXATTRS(),
            REMOVEXATTR(b"x"),
        ):
            self.assertEqual(self.status(self.here, op), nfsstat4.NFS4ERR_NOTSUPP)
        _, value = self.attributes(self.fh(self.file), 82)
        self.assertEqual(value, b"\0\0\0\0")

    def test_noFilehandle(self) -> None:
        """
        They all need an object.
        """
        for op in (
            GETXATTR(b"x"),
            SETXATTR(b"x", b""),
            LISTXATTRS(),
            REMOVEXATTR(b"x"),
        ):
            self.assertEqual(self.status(op), nfsstat4.NFS4ERR_NOFILEHANDLE)

    def test_pseudo(self) -> None:
        """
        Above the exports there are none, and that is said there (xattr support
        reported there too: chimera #848).
        """
        pseudo = struct.pack(">I", 24)
        self.assertEqual(
            self.status(pseudo, SETXATTR(b"x", b"")), nfsstat4.NFS4ERR_NOTSUPP
        )
        rest = self.last(pseudo, GETATTR(82))
        self.assertEqual(rest[-4:], b"\0\0\0\0")

    def test_truncated(self) -> None:
        """
        A request that ends too early changes nothing.
        """
        whole = SETXATTR(b"name", b"value")
        for length in range(4, len(whole) - 3):
            status = self.status(self.here, whole[:length])
            self.assertEqual(status, nfsstat4.NFS4ERR_BADXDR, length)
        self.assertEqual(self.wait(self.backend.listxattrs(self.file)), [])


class SupportTests(XattrCase):
    """
    The C{xattr_support} attribute (RFC 8276, section 8.2).
    """

    def test_minor2(self) -> None:
        """
        It is there for clients of NFSv4.2.
        """
        bitmap, value = self.attributes(self.fh(self.file), 82)
        self.assertEqual((bitmap, value), (1 << 82, b"\0\0\0\1"))


class Minor1Tests(NamespaceCase):
    """
    A client of NFSv4.1.
    """

    def test_absent(self) -> None:
        """
        It sees neither the attribute nor the operations.
        """
        fh = self.fh(self.make(b"f"))
        bitmap, _ = self.attributes(fh, 3, 82)
        self.assertEqual(bitmap, 1 << 3)
        self.assertEqual(
            self.status(PUTFH(fh), GETXATTR(b"x")), nfsstat4.NFS4ERR_OP_ILLEGAL
        )


class ReadOnlyTests(XattrCase):
    """
    A read-only export.
    """

    readOnly = True

    def test_refused(self) -> None:
        """
        Nothing changes there.
        """
        ops: Any = (SETXATTR(b"x", b""), REMOVEXATTR(b"x"))
        for op in ops:
            status = self.status(self.here, op, as_=ALICE)
            self.assertEqual(status, nfsstat4.NFS4ERR_ROFS)
