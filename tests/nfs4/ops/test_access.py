"""
Tests of L{pnfs.nfs4.ops.access}.
"""

from __future__ import annotations

import struct
from typing import Any

from pnfs.nfs4.status import nfsstat4
from pnfs.values import FileType
from tests.nfs4.ops.namespace import ALICE, BOB, PUTFH, SUPERUSER, NamespaceCase


def ACCESS(bits: int) -> bytes:
    """
    ACCESS.
    """
    return struct.pack(">II", 3, bits)


class AccessTests(NamespaceCase):
    """
    ACCESS tells what the caller may do.
    """

    def check(self, inode: object, as_: object, asked: int = 0x3F) -> tuple[int, ...]:
        """
        Supported and granted bits.
        """
        rest = self.last(PUTFH(self.fh(inode)), ACCESS(asked), as_=as_)  # type: ignore
        return struct.unpack(">II", rest)

    def test_file(self) -> None:
        """
        Of a file only READ, MODIFY, EXTEND and EXECUTE mean something (only meaningful
        bits: chimera #285).
        """
        inode = self.make(b"f", mode=0o754, uid=1000, gid=1001)
        self.assertEqual(self.check(inode, ALICE), (0x2D, 0x2D))
        self.assertEqual(self.check(inode, BOB), (0x2D, 0x21))
        self.assertEqual(self.check(inode, SUPERUSER), (0x2D, 0x01))

    def test_directory(self) -> None:
        """
        Of a directory, DELETE asks whether its entries may go (DELETE asks about the
        entry in its directory: chimera #383).
        """
        inode = self.make(b"d", FileType.DIR, mode=0o751, uid=1000, gid=1001)
        self.assertEqual(self.check(inode, ALICE), (0x1F, 0x1F))
        self.assertEqual(self.check(inode, BOB), (0x1F, 0x03))
        self.assertEqual(self.check(inode, SUPERUSER), (0x1F, 0x02))

    def test_onlyWhatWasAsked(self) -> None:
        """
        Bits that were not asked about stay 0; in NFSv4.1 the bits for extended
        attributes mean nothing (ACCESS has XAREAD/XAWRITE/XALIST bits at 4.2 only:
        chimera #698).
        """
        inode = self.make(b"f", mode=0o600)
        self.assertEqual(self.check(inode, ALICE, 0x1C5), (5, 5))

    def test_noFilehandle(self) -> None:
        """
        It needs a current filehandle.
        """
        self.assertEqual(self.status(ACCESS(1)), nfsstat4.NFS4ERR_NOFILEHANDLE)


class NoSquashTests(AccessTests):
    """
    The same where the superuser is one.
    """

    rootSquash = False

    def test_file(self) -> None:
        """
        The superuser executes only what somebody may execute.
        """
        inode = self.make(b"f", mode=0o000)
        self.assertEqual(self.check(inode, SUPERUSER), (0x2D, 0x0D))
        inode = self.make(b"x", mode=0o010)
        self.assertEqual(self.check(inode, SUPERUSER), (0x2D, 0x2D))

    def test_directory(self) -> None:
        """
        The superuser searches every directory.
        """
        inode = self.make(b"d", FileType.DIR, mode=0)
        self.assertEqual(self.check(inode, SUPERUSER), (0x1F, 0x1F))


class ReadOnlyTests(NamespaceCase):
    """
    A read-only export.
    """

    readOnly = True

    def test_nothingChanges(self) -> None:
        """
        Nobody is promised a change that would be refused.
        """
        rest = self.last(PUTFH(self.fh(self.root)), ACCESS(0x1F))
        self.assertEqual(struct.unpack(">II", rest), (0x1F, 0x03))


class XattrAccessTests(NamespaceCase):
    """
    ACCESS of NFSv4.2 speaks of extended attributes, too (RFC 8276, section 8.5).
    """

    minor = 2

    def check(self, inode: Any, as_: Any, asked: int = 0x1C0) -> tuple[int, ...]:
        """
        Supported and granted bits.
        """
        rest = self.last(PUTFH(self.fh(inode)), ACCESS(asked), as_=as_)
        return struct.unpack(">II", rest)

    def test_modes(self) -> None:
        """
        Who reads a file reads and lists its attributes, who writes it sets them.
        """
        inode = self.make(b"f", mode=0o642, uid=1000, gid=1001)
        self.assertEqual(self.check(inode, ALICE), (0x1C0, 0x1C0))
        self.assertEqual(self.check(inode, BOB), (0x1C0, 0x140))
        self.assertEqual(self.check(inode, SUPERUSER), (0x1C0, 0x80))
        self.assertEqual(self.check(inode, ALICE, 0x41), (0x41, 0x41))

    def test_types(self) -> None:
        """
        Directories have some, pipes and links do not.
        """
        inode = self.make(b"d", FileType.DIR, mode=0o700)
        self.assertEqual(self.check(inode, ALICE), (0x1C0, 0x1C0))
        for ftype, target in ((FileType.FIFO, b""), (FileType.LNK, b"x")):
            inode = self.make(b"o%d" % ftype, ftype, mode=0o777, target=target)
            self.assertEqual(self.check(inode, ALICE), (0, 0))

    def test_sticky(self) -> None:
        """
        Those of a directory like /tmp are its owner's to set.
        """
        inode = self.make(b"d", FileType.DIR, mode=0o1777, uid=1000)
        self.assertEqual(self.check(inode, ALICE), (0x1C0, 0x1C0))
        self.assertEqual(self.check(inode, BOB), (0x1C0, 0x140))

    def test_backendWithout(self) -> None:
        """
        Where nothing can be kept nothing is claimed (support is per backend:
        chimera #422).
        """
        inode = self.make(b"f", mode=0o777)
        self.backend.xattrs = False
        self.assertEqual(self.check(inode, ALICE), (0, 0))


class ReadOnlyXattrAccessTests(NamespaceCase):
    """
    A read-only export.
    """

    minor = 2
    readOnly = True

    def test_readOnly(self) -> None:
        """
        Attributes can be read there, not set.
        """
        inode = self.make(b"f", mode=0o777)
        rest = self.last(PUTFH(self.fh(inode)), ACCESS(0x1C0), as_=ALICE)
        self.assertEqual(struct.unpack(">II", rest), (0x1C0, 0x140))
