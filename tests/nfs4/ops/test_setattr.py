"""
Tests of L{pnfs.nfs4.ops.setattr} and L{pnfs.nfs4.fattr_set}.
"""

from __future__ import annotations

import struct
from typing import Any

from pnfs.backends.errors import NoSpace
from pnfs.nfs4.status import nfsstat4
from pnfs.values import ROOT, FileType, SetAttributes
from tests.nfs4.ops.namespace import (
    ALICE,
    BOB,
    PUTFH,
    SUPERUSER,
    NamespaceCase,
    fattr,
    opaque,
)

NOW = bytes(4)


def at(seconds: int, nanoseconds: int = 0) -> bytes:
    """
    C{settime4} of the client's choice.
    """
    return struct.pack(">IqI", 1, seconds, nanoseconds)


def u32(value: int) -> bytes:
    """
    C{uint32_t}.
    """
    return struct.pack(">I", value)


def u64(value: int) -> bytes:
    """
    C{uint64_t}.
    """
    return struct.pack(">Q", value)


class SetattrCase(NamespaceCase):
    """
    What the cases below have in common.
    """

    def set(
        self,
        inode: Any,
        values: dict[int, bytes],
        as_: Any = ALICE,
        stateid: bytes = bytes(16),
    ) -> tuple[int, int]:
        """
        SETATTR: status and C{attrsset}, which comes with every status.
        """
        op = struct.pack(">I", 34) + stateid + fattr(values)
        reply = self.run_(PUTFH(self.fh(inode)), op, as_=as_)
        self.assertEqual(reply.head(), (22, 0))
        number, status = reply.head()
        self.assertEqual(number, 34)
        words = struct.unpack_from(">I", reply.rest)[0]
        self.assertEqual(len(reply.rest), 4 + 4 * words)
        attrsset = 0
        for index in range(words):
            attrsset |= struct.unpack_from(">I", reply.rest, 4 + 4 * index)[0] << (
                32 * index
            )
        return status, attrsset


class OwnershipTests(SetattrCase):
    """
    Who may set which attribute.
    """

    def test_mode(self) -> None:
        """
        Only the owner changes the mode.
        """
        inode = self.make(b"f")
        self.assertEqual(self.set(inode, {33: u32(0o600)}), (0, 1 << 33))
        self.assertEqual(inode.mode, 0o600)
        self.assertEqual(
            self.set(inode, {33: u32(0o777)}, BOB), (nfsstat4.NFS4ERR_PERM, 0)
        )
        self.assertEqual(
            self.set(inode, {33: u32(0o10000)}), (nfsstat4.NFS4ERR_INVAL, 0)
        )

    def test_setgid(self) -> None:
        """
        Who is not in the file's group cannot make it setgid.
        """
        inode = self.make(b"f", gid=3000)
        self.set(inode, {33: u32(0o2755)})
        self.assertEqual(inode.mode, 0o755)
        inode = self.make(b"g", gid=2000)
        self.set(inode, {33: u32(0o2755)})
        self.assertEqual(inode.mode, 0o2755)

    def test_owner(self) -> None:
        """
        Nobody gives files away; the owner may pass one to another of the own groups,
        and what was setuid is so no longer (attrsset lists owner and group: chimera
        #961).
        """
        inode = self.make(b"f", mode=0o4755)
        self.assertEqual(
            self.set(inode, {36: opaque(b"1001")})[0], nfsstat4.NFS4ERR_PERM
        )
        self.assertEqual(
            self.set(inode, {37: opaque(b"3000")})[0], nfsstat4.NFS4ERR_PERM
        )
        self.assertEqual(self.set(inode, {37: opaque(b"2000")}), (0, 1 << 37))
        self.assertEqual((inode.gid, inode.mode), (2000, 0o755))
        both = {36: opaque(b"1000"), 37: opaque(b"1000")}
        self.assertEqual(self.set(inode, both), (0, 3 << 36))

    def test_ownerStrings(self) -> None:
        """
        C{name@domain} is taken if the name is known, else BADOWNER (name@domain and
        numbers: chimera #387).
        """
        inode = self.make(b"f", uid=65534, gid=65534)
        self.export.rootSquash = False
        values = {36: opaque(b"nobody@example.org"), 37: opaque(b"nogroup")}
        self.assertEqual(self.set(inode, values, ROOT)[0], 0)
        for bad in (b"who@example.org", b"", b"\xff", b"4294967295", b"-1"):
            self.assertEqual(
                self.set(inode, {36: opaque(bad)}, ROOT),
                (nfsstat4.NFS4ERR_BADOWNER, 0),
            )

    def test_times(self) -> None:
        """
        The owner sets any time; who may write sets the server's time only.
        """
        inode = self.make(b"f", mode=0o646)
        self.assertEqual(
            self.set(inode, {48: at(-5, 7), 54: at(1 << 33)}), (0, 1 << 48 | 1 << 54)
        )
        self.assertEqual(inode.atime, -5 * 10**9 + 7)
        self.assertEqual(inode.mtime, (1 << 33) * 10**9)
        self.assertEqual(self.set(inode, {48: NOW, 54: NOW}, BOB)[0], 0)
        self.assertEqual(inode.mtime, self.fixture.server.wallTime())
        self.assertEqual(self.set(inode, {54: at(1)}, BOB)[0], nfsstat4.NFS4ERR_PERM)
        other = self.make(b"g", mode=0o644)
        self.assertEqual(self.set(other, {54: NOW}, BOB)[0], nfsstat4.NFS4ERR_ACCESS)
        self.assertEqual(self.set(inode, {54: at(1, 10**9)})[0], nfsstat4.NFS4ERR_INVAL)

    def test_squashed(self) -> None:
        """
        A client's superuser is nobody.
        """
        inode = self.make(b"f")
        self.assertEqual(
            self.set(inode, {33: u32(0)}, SUPERUSER)[0], nfsstat4.NFS4ERR_PERM
        )

    def test_applied(self) -> None:
        """
        Data files follow the owner and the mode; a file without any costs nothing.
        """
        inode = self.make(b"f")
        self.set(inode, {33: u32(0o600)})
        self.assertEqual(self.data.calls, [])
        self.place(inode)
        self.set(inode, {33: u32(0o640)})
        self.set(inode, {54: NOW})
        self.assertEqual(self.data.calls, [("applyOwner", 1000, 1000, 0o640)])


class RefusedTests(SetattrCase):
    """
    What cannot be set.
    """

    def test_readOnlyAttributes(self) -> None:
        """
        INVAL if we know the attribute, ATTRNOTSUPP if not.
        """
        inode = self.make(b"f")
        for number in (1, 3, 20, 45, 50, 53):
            got = self.set(inode, {number: bytes(8)})
            self.assertEqual(got, (nfsstat4.NFS4ERR_INVAL, 0), number)
        for number in (14, 59, 81, 95):
            got = self.set(inode, {number: bytes(8)})
            self.assertEqual(got, (nfsstat4.NFS4ERR_ATTRNOTSUPP, 0), number)

    def test_malformed(self) -> None:
        """
        Values that end too early or too late, with a body all the same.
        """
        inode = self.make(b"f")
        for values in ({33: b""}, {33: bytes(8)}, {36: u32(9)}, {54: u32(2)}):
            self.assertEqual(self.set(inode, values), (nfsstat4.NFS4ERR_BADXDR, 0))

    def test_withoutSession(self) -> None:
        """
        An error found before SETATTR itself has looked at anything is followed by
        the empty C{attrsset} too, or the client could not decode the reply.
        """
        op = struct.pack(">I", 34) + bytes(16) + fattr({33: u32(0)})
        reply = self.fixture.compound(op)
        self.assertEqual(
            reply.head(), (34, nfsstat4.NFS4ERR_OP_NOT_IN_SESSION), reply.rest
        )
        self.assertEqual(reply.rest, bytes(4))

    def test_defect(self) -> None:
        """
        Neither does our own failure make the reply undecodable.
        """
        inode = self.make(b"f")
        self.patch(self.backend, "setattr", None)
        got = self.set(inode, {33: u32(0)})
        self.assertEqual(got, (nfsstat4.NFS4ERR_SERVERFAULT, 0))
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_readOnlyExport(self) -> None:
        """
        Nothing changes through a read-only export.
        """
        inode = self.make(b"f")
        self.export.readOnly = True
        self.assertEqual(self.set(inode, {33: u32(0)}), (nfsstat4.NFS4ERR_ROFS, 0))

    def test_symlinkMode(self) -> None:
        """
        A symbolic link has no mode of its own.
        """
        inode = self.make(b"l", FileType.LNK, target=b"x")
        self.assertEqual(self.set(inode, {33: u32(0)})[0], nfsstat4.NFS4ERR_INVAL)

    def test_nothing(self) -> None:
        """
        Setting nothing is fine.
        """
        self.assertEqual(self.set(self.make(b"f"), {}), (0, 0))


class SizeTests(SetattrCase):
    """
    Truncation.
    """

    def test_truncate(self) -> None:
        """
        With the special stateid and the right to write.
        """
        inode = self.make(b"f")
        self.assertEqual(self.set(inode, {4: u64(5000)}), (0, 1 << 4))
        self.assertEqual(inode.size, 5000)
        self.assertEqual(
            self.set(inode, {4: u64(0)}, BOB), (nfsstat4.NFS4ERR_ACCESS, 0)
        )
        self.assertEqual(self.data.calls, [("truncate", 5000)])

    def test_openForWriting(self) -> None:
        """
        A stateid must be of an open for writing.
        """
        inode = self.make(b"f")
        state = self.openFor(inode, access=1)
        got = self.set(inode, {4: u64(1)}, stateid=state.stateid)
        self.assertEqual(got[0], nfsstat4.NFS4ERR_OPENMODE)
        state = self.openFor(inode, access=2)
        got = self.set(inode, {4: u64(1)}, stateid=state.stateid)
        self.assertEqual(got, (0, 1 << 4))
        got = self.set(inode, {4: u64(1)}, stateid=b"\0\0\0\1" + b"x" * 12)
        self.assertEqual(got[0], nfsstat4.NFS4ERR_BAD_STATEID)

    def test_denied(self) -> None:
        """
        A share reservation against writing stops a truncation without an open (share
        denies apply to SETATTR of the size: chimera #329, #349).
        """
        inode = self.make(b"f")
        self.openFor(inode, access=1, deny=2)
        self.assertEqual(self.set(inode, {4: u64(1)}), (nfsstat4.NFS4ERR_LOCKED, 0))

    def test_recall(self) -> None:
        """
        Other clients' layouts are recalled first (defects section 7), the caller's own
        stay (recall before truncate: chimera #945).
        """
        inode = self.make(b"f")
        layout = self.layoutFor(inode)
        self.assertEqual(self.set(inode, {4: u64(1)}), (nfsstat4.NFS4ERR_DELAY, 0))
        self.assertEqual(self.recaller.recalls, [("truncate", self.fixture.client)])
        self.assertEqual(self.data.calls, [])
        self.fixture.server.layouts.drop(layout)
        self.layoutFor(inode, self.fixture.client)
        self.assertEqual(self.set(inode, {4: u64(1)})[0], 0)

    def test_notAFile(self) -> None:
        """
        Only regular files have a size to set; and no file is as large as that.
        """
        inode = self.make(b"d", FileType.DIR, mode=0o755)
        self.assertEqual(self.set(inode, {4: u64(0)})[0], nfsstat4.NFS4ERR_INVAL)
        inode = self.make(b"f")
        self.assertEqual(self.set(inode, {4: u64(1 << 63)})[0], nfsstat4.NFS4ERR_FBIG)

    def test_partly(self) -> None:
        """
        If the size was set and the rest fails, the reply says so.
        """
        inode = self.make(b"f")
        calls = []

        async def setattr(inode: Any, changes: SetAttributes) -> None:
            calls.append(changes)
            if changes.size is None:
                raise NoSpace()

        self.backend.setattr = setattr
        self.assertEqual(
            self.set(inode, {4: u64(9), 33: u32(0o600)}),
            (nfsstat4.NFS4ERR_NOSPC, 1 << 4),
        )

    def test_setuid(self) -> None:
        """
        A truncation by anybody but the superuser ends setuid.
        """
        inode = self.make(b"f", mode=0o4775)
        self.assertEqual(self.set(inode, {4: u64(9)})[0], 0)
        self.assertEqual(inode.mode, 0o775)
