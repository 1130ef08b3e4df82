"""
Tests of what new objects start with: L{pnfs.nfs4.fattr_lists.initial}, and the
attribute C{mode_umask} (RFC 8275).
"""

from __future__ import annotations

import struct
from typing import Any

from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import decodeBitmap
from pnfs.values import ACE, FileType, Who
from tests.namespace.test_acl import acl, allow
from tests.nfs4.ops.namespace import GETATTR, PUTFH, NamespaceCase, fattr, opaque
from tests.nfs4.ops.test_acl import (
    ACL_,
    DACL,
    MODE,
    MODE_UMASK,
    SACL,
    A,
    ListCase,
    R,
    W,
    X,
    ace,
    listed,
)
from tests.nfs4.ops.test_setattr import u32


class CreateTests(ListCase):
    """
    New objects (RFC 8881, section 6.4.3; RFC 8275).
    """

    def setUp(self) -> None:
        super().setUp()
        self.folder = self.make(b"d", FileType.DIR, mode=0o777)

    def create(
        self, values: dict[int, bytes], kind: int = FileType.DIR, status: int = 0
    ) -> Any:
        """
        CREATE in the folder.
        """
        body = b"" if kind != FileType.LNK else opaque(b"x")
        op = struct.pack(">II", 6, kind) + body + opaque(b"new") + fattr(values)
        reply = self.run_(PUTFH(self.fh(self.folder)), op)
        self.assertEqual(reply.status, status)
        if status:
            return None
        reply.head()
        reply.head()
        attrset, _ = decodeBitmap(reply.rest, 20)
        self.assertEqual(attrset, sum(1 << number for number in values))
        made = self.wait(self.backend.lookup(self.folder, b"new"))
        self.wait(self.backend.remove(self.folder, b"new", False))
        return made

    def open(self, *aces: ACE) -> None:
        """
        Everybody may make things in the folder, and there is something to inherit.
        """
        self.give(allow(Who.EVERYONE, 0x1F01FF), *aces, inode=self.folder)

    def umask(self, mode: int, umask: int) -> dict[int, bytes]:
        """
        C{mode_umask}.
        """
        return {MODE_UMASK: struct.pack(">II", mode, umask)}

    def test_umask(self) -> None:
        """
        Where nothing is inherited the umask is taken out of the mode.
        """
        self.assertEqual(self.create(self.umask(0o2777, 0o027)).mode, 0o2750)
        self.open()
        made = self.create(self.umask(0o777, 0o027))
        self.assertEqual((made.mode, made.acl), (0o750, None))

    def test_umaskPassedOver(self) -> None:
        """
        Where a list is inherited the umask does not count: a shared folder stays
        shared.
        """
        self.open(allow(1001, R | W | A | X, 3))
        made = self.create(self.umask(0o770, 0o077))
        assert made.acl is not None
        self.assertEqual(made.acl.aces[0], allow(1001, R | W | A | X, 3))
        self.assertEqual(made.mode, 0o700)

    def test_umaskRefused(self) -> None:
        """
        It stands for the mode, of new objects only, and is never told.
        """
        INVAL = nfsstat4.NFS4ERR_INVAL
        both = {MODE: u32(0o700), **self.umask(0o700, 0)}
        self.create(both, status=INVAL)
        self.create(self.umask(0o10000, 0), status=INVAL)
        self.create(self.umask(0, 0o1000), status=INVAL)
        self.create({MODE_UMASK: u32(0)}, status=nfsstat4.NFS4ERR_BADXDR)
        self.assertEqual(self.set(self.umask(0o700, 0)), (INVAL, 0))
        here = PUTFH(self.fh(self.file))
        self.assertEqual(self.status(here, GETATTR(MODE_UMASK)), INVAL)
        for number in (37, 17):
            op = struct.pack(">I", number) + fattr(self.umask(0, 0))
            self.assertEqual(self.status(here, op), INVAL)

    def test_mode(self) -> None:
        """
        A mode is applied to what is inherited.
        """
        self.open(allow(1001, R | W | A, 3))
        made = self.create({MODE: u32(0o1750)})
        self.assertEqual(made.mode, 0o1750)
        self.assertIn(allow(1001, R | W | A, 0x0B), made.acl.aces)
        self.assertIn(allow(1001, R), made.acl.aces)

    def test_nothing(self) -> None:
        """
        Without a mode the inherited list is taken as it is; if all of it is for what
        is made further down, the usual mode is.
        """
        self.open(allow(1001, R, 2), allow(Who.OWNER, R, 2))
        made = self.create({})
        self.assertEqual(made.mode, 0o400)
        self.assertEqual(made.acl, acl(allow(1001, R, 2), allow(Who.OWNER, R, 2)))
        self.open(allow(1001, R, 1))
        made = self.create({})
        self.assertEqual(made.mode, 0o755)
        self.assertEqual(made.acl.aces[0], allow(1001, R, 9))

    def test_given(self) -> None:
        """
        A list that the creator gives is taken as it is, and nothing is inherited.
        """
        self.open(allow(1001, R, 3))
        wire = {ACL_: listed(ace(0, 3, R, b"EVERYONE@"))}
        made = self.create(wire)
        self.assertEqual(made.acl, acl(allow(Who.EVERYONE, R, 3)))
        self.assertEqual(made.mode, 0o444)
        made = self.create({**wire, MODE: u32(0o1700)})
        self.assertEqual((made.mode, made.acl.aces), (0o1444, made.acl.aces))
        self.create(wire, FileType.FIFO, nfsstat4.NFS4ERR_ATTRNOTSUPP)

    def test_others(self) -> None:
        """
        What cannot have a list gets the mode that goes with it; links get nothing.
        """
        self.open(allow(Who.OWNER, R | W | A, 1), allow(Who.EVERYONE, R, 1))
        made = self.create(self.umask(0o666, 0), FileType.FIFO)
        self.assertEqual((made.mode, made.acl), (0o644, None))
        made = self.create(self.umask(0o777, 0), FileType.LNK)
        self.assertIsNone(made.acl)

    def test_supported(self) -> None:
        """
        Clients of each minor version are told what they may set, also while they
        create exclusively (suppattr_exclcreat).
        """
        for number in (0, 75):
            _, value = self.attributes(self.fh(self.file), number)
            bitmap, _ = decodeBitmap(value, 0)
            for attribute in (4, ACL_, MODE, 36, 37, 48, 54, DACL, MODE_UMASK):
                self.assertTrue(bitmap >> attribute & 1, attribute)
        self.assertEqual(bitmap & (1 << SACL | 1 << 3 | 1 << 82), 0)


class OldMinorTests(NamespaceCase):
    """
    A client of NFSv4.1.
    """

    def test_noUmask(self) -> None:
        """
        C{mode_umask} is not for it, C{acl} is.
        """
        file = self.make(b"f")
        for number in (0, 75):
            _, value = self.attributes(self.fh(file), number)
            bitmap, _ = decodeBitmap(value, 0)
            self.assertEqual(bitmap >> MODE_UMASK & 1, 0)
            self.assertEqual(bitmap >> ACL_ & 1, 1)
        op = struct.pack(">I16x", 34) + fattr({MODE_UMASK: bytes(8)})
        self.assertEqual(
            self.status(PUTFH(self.fh(file)), op), nfsstat4.NFS4ERR_ATTRNOTSUPP
        )
        bitmap, _ = self.attributes(self.fh(file), MODE_UMASK)
        self.assertEqual(bitmap, 0)
