"""
Tests of L{pnfs.nfs4.ops.listxattrs}.
"""

from __future__ import annotations

import struct

from pnfs.nfs4.ops.listxattrs import LISTXATTRS4resok
from pnfs.nfs4.status import nfsstat4
from pnfs.values import SetXattr
from pnfs.xdr.codec import codecFor
from tests.nfs4.ops.namespace import BOB, PUTFH
from tests.nfs4.ops.test_setxattr import LISTXATTRS, XattrCase


class ListXattrsTests(XattrCase):
    """
    LISTXATTRS tells all names, in parts if need be.
    """

    def give(self, *names: bytes) -> None:
        """
        Attributes for the file.
        """
        for name in names:
            self.wait(self.backend.setxattr(self.file, name, b"", SetXattr.EITHER))

    def page(self, cookie: int, maxcount: int) -> LISTXATTRS4resok:
        """
        One reply, which is no longer than was asked for.
        """
        rest = self.last(self.here, LISTXATTRS(cookie, maxcount))
        self.assertLessEqual(len(rest), maxcount)
        result, pos = codecFor(LISTXATTRS4resok).decode(rest, 0)
        self.assertEqual(pos, len(rest))
        return result

    def test_none(self) -> None:
        """
        A file without any has an empty list, which is complete.
        """
        result = self.page(0, 16)
        self.assertEqual((result.lxr_names, result.lxr_eof), ([], True))

    def test_all(self) -> None:
        """
        They come at once if there is room.
        """
        names = {b"n%d" % n for n in range(50)}
        self.give(*names)
        result = self.page(0, 65536)
        self.assertEqual((set(result.lxr_names), result.lxr_eof), (names, True))

    def test_walk(self) -> None:
        """
        A walk in small parts tells each name that stays exactly once, though others
        come and go meanwhile.
        """
        names = {b"n%d" % n for n in range(100)}
        self.give(*names)
        found: list[bytes] = []
        cookie, eof, turn = 0, False, 0
        while not eof:
            result = self.page(cookie, 64)
            found += result.lxr_names
            self.assertTrue(result.lxr_names)
            self.give(b"new%d" % turn)
            if turn % 2:
                gone = b"new%d" % (turn - 1)
                self.wait(self.backend.removexattr(self.file, gone))
            cookie, eof, turn = result.lxr_cookie, result.lxr_eof, turn + 1
        old = [name for name in found if not name.startswith(b"new")]
        self.assertEqual(sorted(old), sorted(names))
        self.assertEqual(len(found), len(set(found)))

    def test_exactRoom(self) -> None:
        """
        A list that just fits is complete; one byte less is said to be too small
        only if not one name fits.
        """
        self.give(b"four", b"fore")
        self.assertTrue(self.page(0, 16 + 2 * 8).lxr_eof)
        result = self.page(0, 16 + 2 * 8 - 1)
        self.assertEqual((len(result.lxr_names), result.lxr_eof), (1, False))
        for maxcount in (0, 15, 16, 16 + 7):
            status = self.status(self.here, LISTXATTRS(0, maxcount))
            self.assertEqual(status, nfsstat4.NFS4ERR_TOOSMALL)

    def test_permission(self) -> None:
        """
        Who may not read the file does not see what it has.
        """
        secret = PUTFH(self.fh(self.make(b"s", mode=0o600)))
        self.assertEqual(
            self.status(secret, LISTXATTRS(), as_=BOB), nfsstat4.NFS4ERR_ACCESS
        )

    def test_wire(self) -> None:
        """
        The reply as it is on the wire.
        """
        self.give(b"a")
        rest = self.last(self.here, LISTXATTRS())
        self.assertEqual(rest[8:], struct.pack(">II1s3xI", 1, 1, b"a", 1))
