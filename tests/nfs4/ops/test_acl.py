"""
Tests of access control lists as clients see them: L{pnfs.nfs4.acl},
L{pnfs.nfs4.fattr_lists}, and the operations that set, show and obey them.
"""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import given

from pnfs.namespace.identity import Identities
from pnfs.nfs4.acl import decodeDACL, encodeDACL
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import decodeBitmap, encodeBitmap
from pnfs.state.files import fileState
from pnfs.values import ACE, ACL, FileType, SetAttributes, Who
from tests.namespace.test_acl import acl, acls, allow, deny, inode
from tests.nfs4.ops.namespace import (
    ALICE,
    BOB,
    GETATTR,
    LOOKUP,
    PUTFH,
    NamespaceCase,
    fattr,
    named,
    opaque,
)
from tests.nfs4.ops.test_access import ACCESS
from tests.nfs4.ops.test_setattr import u32

ACL_, ACLSUPPORT, MODE, DACL, SACL, MODE_UMASK = 12, 13, 33, 58, 59, 81
R, W, A, X = 1, 2, 4, 0x20
WRITE_ACL, WRITE_OWNER, WRITE_ATTRIBUTES, READ_ACL = 0x40000, 0x80000, 0x100, 0x20000


def ace(kind: int, flag: int, mask: int, who: bytes) -> bytes:
    """
    C{nfsace4}.
    """
    return struct.pack(">III", kind, flag, mask) + opaque(who)


def listed(*aces: bytes) -> bytes:
    """
    C{nfsace4<>}.
    """
    return u32(len(aces)) + b"".join(aces)


class ListCase(NamespaceCase):
    """
    ALICE's file C{f}.
    """

    minor = 2

    def setUp(self) -> None:
        super().setUp()
        self.file = self.make(b"f", mode=0o640)

    def set(
        self, values: dict[int, bytes], as_: Any = ALICE, inode: Any = None
    ) -> tuple[int, int]:
        """
        SETATTR: status, and the bitmap of what was set.
        """
        op = struct.pack(">I16x", 34) + fattr(values)
        reply = self.run_(PUTFH(self.fh(inode or self.file)), op, as_=as_)
        reply.head()
        _, status = reply.head()
        bitmap, _ = decodeBitmap(reply.rest, 0)
        return status, bitmap

    def give(self, *aces: ACE, inode: Any = None, flags: int = 0) -> None:
        """
        A list for an object, behind the clients' backs.
        """
        inode = inode or self.file
        changes = SetAttributes(acl=ACL(aces, flags))
        self.wait(self.backend.setattr(inode, changes))

    def shown(self, number: int = ACL_, inode: Any = None, as_: Any = ALICE) -> bytes:
        """
        An attribute as the client gets it.
        """
        return self.attributes(self.fh(inode or self.file), number, as_=as_)[1]

    def access(self, as_: Any, inode: Any = None, asked: int = 0x3F) -> int:
        """
        What ACCESS grants.
        """
        rest = self.last(PUTFH(self.fh(inode or self.file)), ACCESS(asked), as_=as_)
        return int.from_bytes(rest[4:], "big")


class WireTests(ListCase):
    """
    The attributes themselves.
    """

    def test_support(self) -> None:
        """
        Clients are told that ALLOW and DENY are known, and no more.
        """
        self.assertEqual(self.shown(ACLSUPPORT), u32(3))
        _, value = self.attributes(self.fh(self.file), 0)
        supported, _ = decodeBitmap(value, 0)
        for number, known in ((ACL_, 1), (DACL, 1), (SACL, 0)):
            self.assertEqual(supported >> number & 1, known, number)

    def test_ofMode(self) -> None:
        """
        A file without a list shows one that says what the mode says.
        """
        self.assertEqual(
            self.shown(),
            listed(
                ace(0, 0, 0x160187, b"OWNER@"),
                ace(0, 0, 0x120081, b"GROUP@"),
                ace(0, 0, 0x120080, b"EVERYONE@"),
            ),
        )

    def test_roundTrip(self) -> None:
        """
        A list comes back as it was set, with numbers for names that the server knows,
        and every special name as it is (special whos kept, never turned into EVERYONE@:
        chimera #1155, #1156, #1369); C{attrsset} lists it (chimera #961).
        """
        specials = [b"%s@" % who.name.encode() for who in Who]
        wire = [ace(0, 0, R | 1 << index, who) for index, who in enumerate(specials)]
        wire += [ace(1, 0x40, W, b"2000"), ace(0, 0, 0x1F01FF, b"4294967294")]
        self.assertEqual(self.set({ACL_: listed(*wire)}), (0, 1 << ACL_))
        self.assertEqual(self.shown(), listed(*wire))
        names = listed(ace(0, 0, R, b"nobody@example.org"), ace(0, 0x40, R, b"GROUP@"))
        self.assertEqual(self.set({ACL_: names}), (0, 1 << ACL_))
        self.assertEqual(
            self.shown(), listed(ace(0, 0, R, b"65534"), ace(0, 0, R, b"GROUP@"))
        )

    def test_refused(self) -> None:
        """
        What could not be enforced is not stored (unsupported ACE types refused:
        chimera #1081), and the list stays.
        """
        before = self.shown()
        for one, status in (
            (ace(2, 0x10, R, b"EVERYONE@"), nfsstat4.NFS4ERR_ATTRNOTSUPP),
            (ace(3, 0x20, R, b"EVERYONE@"), nfsstat4.NFS4ERR_ATTRNOTSUPP),
            (ace(4, 0, R, b"EVERYONE@"), nfsstat4.NFS4ERR_ATTRNOTSUPP),
            (ace(0, 0x100, R, b"EVERYONE@"), nfsstat4.NFS4ERR_ATTRNOTSUPP),
            (ace(0, 0, 0x80000000, b"1"), nfsstat4.NFS4ERR_ATTRNOTSUPP),
            (ace(1, 0, R, b"INTERACTIVE@"), nfsstat4.NFS4ERR_ATTRNOTSUPP),
            (ace(0, 0, R, b"who"), nfsstat4.NFS4ERR_BADOWNER),
            (ace(0, 0, R, b"STRANGE@"), nfsstat4.NFS4ERR_BADOWNER),
            (ace(0, 0, R, b""), nfsstat4.NFS4ERR_BADOWNER),
            (ace(0, 0x40, R, b"\xff"), nfsstat4.NFS4ERR_BADOWNER),
            (ace(0, 1, R, b"1"), nfsstat4.NFS4ERR_INVAL),
            (ace(0, 0, R, b"1")[:-4], nfsstat4.NFS4ERR_BADXDR),
            (ace(0, 0, R, b"1") + b"\0\0\0\0", nfsstat4.NFS4ERR_BADXDR),
            (struct.pack(">IIII", 0, 0, R, 2000), nfsstat4.NFS4ERR_BADXDR),
        ):
            wire = listed(ace(0, 0, R, b"1"), one)
            self.assertEqual(self.set({ACL_: wire}), (status, 0), one)
        for wire, status in (
            (u32(0xFFFFFFFF), nfsstat4.NFS4ERR_BADXDR),
            (b"", nfsstat4.NFS4ERR_BADXDR),
            (listed(*[ace(0, 0, R, b"1")] * 1025), nfsstat4.NFS4ERR_INVAL),
        ):
            self.assertEqual(self.set({ACL_: wire}), (status, 0))
        self.assertEqual(self.set({DACL: u32(8) + u32(0)})[0], nfsstat4.NFS4ERR_INVAL)
        both = {ACL_: u32(0), DACL: u32(0) + u32(0)}
        self.assertEqual(self.set(both)[0], nfsstat4.NFS4ERR_INVAL)
        self.assertEqual(self.shown(), before)
        for kind, target in ((FileType.FIFO, b""), (FileType.LNK, b"x")):
            made = self.make(b"k%d" % kind, kind, target=target)
            self.assertEqual(
                self.set({ACL_: u32(0)}, inode=made)[0], nfsstat4.NFS4ERR_ATTRNOTSUPP
            )

    def test_dacl(self) -> None:
        """
        The NFSv4.1 form has flags for the whole list, and marks what is inherited;
        the older form never shows that mark.
        """
        folder = self.make(b"d", FileType.DIR, mode=0o700)
        aces = listed(ace(0, 0x83, R, b"1001"))
        self.assertEqual(self.set({DACL: u32(3) + aces}, inode=folder), (0, 1 << DACL))
        self.assertEqual(self.shown(DACL, folder), u32(3) + aces)
        self.assertEqual(self.shown(ACL_, folder), listed(ace(0, 3, R, b"1001")))
        self.set({ACL_: aces}, inode=folder)
        self.assertEqual(
            self.shown(DACL, folder), u32(0) + listed(ace(0, 3, R, b"1001"))
        )
        self.assertEqual(self.shown(DACL)[:4], u32(4))

    @given(acls)
    def test_codec(self, given_: ACL) -> None:
        """
        Any list survives the wire.
        """
        wire = encodeDACL(inode(given_))
        shorn = tuple(
            ACE(a.type, a.flag & ~0x40 if a.who < 0 else a.flag, a.mask, a.who)
            for a in given_.aces
        )
        try:
            found, pos = decodeDACL(wire, 0, Identities())
        except Exception as error:
            self.assertEqual(str(error), "NFS4ERR_ATTRNOTSUPP")
            self.assertTrue(any(a.type and a.who < -3 for a in given_.aces))
            return
        self.assertEqual((found.aces, pos), (shorn, len(wire)))

    def test_verify(self) -> None:
        """
        VERIFY and NVERIFY compare lists, too (VERIFY accepts ACL: chimera #962).
        """
        here = PUTFH(self.fh(self.file))
        same, other = self.shown(), listed(ace(0, 0, R, b"OWNER@"))
        for number, value, status in (
            (37, same, 0),
            (37, other, nfsstat4.NFS4ERR_NOT_SAME),
            (17, same, nfsstat4.NFS4ERR_SAME),
            (17, other, 0),
        ):
            op = struct.pack(">I", number) + fattr({ACL_: value})
            self.assertEqual(self.status(here, op), status)


class AgreementTests(ListCase):
    """
    Mode and list (RFC 8881, section 6.4.1).
    """

    def test_listGivesMode(self) -> None:
        """
        Setting a list sets the permission bits, and leaves setuid, setgid and sticky
        (setting an ACL keeps setuid/setgid/sticky: chimera #1079).
        """
        self.wait(self.backend.setattr(self.file, SetAttributes(mode=0o7000)))
        wire = listed(
            ace(0, 0, R | W | A, b"OWNER@"),
            ace(0, 0, R | W, b"GROUP@"),
            ace(0, 0, W | A, b"1001"),
        )
        self.assertEqual(self.set({ACL_: wire}), (0, 1 << ACL_))
        self.assertEqual(self.file.mode, 0o7640)
        self.assertEqual(self.shown(), wire)

    def test_modeChangesList(self) -> None:
        """
        chmod shuts out those who are named, too.
        """
        self.give(allow(1001, R | W | A), allow(Who.EVERYONE, R))
        self.assertEqual(self.set({MODE: u32(0o600)}), (0, 1 << MODE))
        self.assertEqual(self.file.mode, 0o600)
        self.assertEqual(self.access(BOB), 0)
        self.assertEqual(self.access(ALICE), 0xD)

    def test_both(self) -> None:
        """
        The mode comes first, then the list: the permission bits are the list's, the
        others the mode's.
        """
        wire = listed(ace(0, 0, R, b"EVERYONE@"))
        mask = 1 << ACL_ | 1 << MODE
        self.assertEqual(self.set({ACL_: wire, MODE: u32(0o1777)}), (0, mask))
        self.assertEqual(self.file.mode, 0o1444)
        self.assertEqual(self.shown(), wire)

    def test_trivial(self) -> None:
        """
        A list that says no more than the mode costs no more than a mode, as after
        copying it from a file without one.
        """
        other = self.make(b"g", mode=0o4755)
        self.assertEqual(self.set({ACL_: self.shown(ACL_, other)}), (0, 1 << ACL_))
        self.assertEqual((self.file.acl, self.file.mode), (None, 0o755))
        self.give(allow(Who.OWNER, R))
        self.set({ACL_: self.shown(ACL_, other)})
        self.assertIsNone(self.file.acl)

    def test_chownKeeps(self) -> None:
        """
        A change of something else leaves list and mode.
        """
        aces = (allow(1001, R | W | A), allow(Who.EVERYONE, R))
        self.give(*aces)
        self.set({37: opaque(b"2000")})
        self.set({4: bytes(8)})
        self.assertEqual(self.file.acl, ACL(aces))


class PermissionTests(ListCase):
    """
    What a list allows and what it denies.
    """

    def test_access(self) -> None:
        """
        ACCESS tells the rights that the list gives.
        """
        for mask, answer in (
            (R, 1),
            (W | A, 0x0C),
            (W, 0x0C),
            (A, 8),
            (X, 0x20),
            (R | W | A | X, 0x2D),
            (0, 0),
        ):
            self.give(allow(1001, mask), deny(Who.EVERYONE, 0x1F01FF))
            self.assertEqual(self.access(BOB), answer, mask)
        folder = self.make(b"d", FileType.DIR, mode=0o777)
        for mask, answer in (
            (R, 1),
            (X, 2),
            (X | W, 0x1E),
            (X | A, 0x0A),
            (X | 0x40, 0x16),
            (W | A | 0x40, 0),
        ):
            self.give(allow(1001, mask), inode=folder)
            self.assertEqual(self.access(BOB, folder), answer, mask)
        self.give(deny(1001, 0x40), allow(1001, X | W), inode=folder)
        self.assertEqual(self.access(BOB, folder), 0x0E)

    def test_entries(self) -> None:
        """
        The rights to make files, to make directories and to delete are separate.
        """
        folder = self.make(b"d", FileType.DIR, mode=0o700)
        here = PUTFH(self.fh(folder))
        self.make(b"old", parent=folder, uid=7)

        def CREATE(kind: int, name: bytes) -> bytes:
            return struct.pack(">II", 6, kind) + opaque(name) + fattr({})

        def results() -> list[bool]:
            for name in (b"pipe", b"dir"):
                try:
                    self.wait(self.backend.remove(folder, name, False))
                except Exception:
                    continue
            found = []
            for op in (CREATE(7, b"pipe"), CREATE(2, b"dir"), named(28, b"old")):
                status = self.status(here, op, as_=BOB)
                self.assertIn(status, (0, nfsstat4.NFS4ERR_ACCESS))
                found.append(not status)
            if found[2]:
                self.make(b"old", parent=folder, uid=7)
            return found

        for mask, allowed in (
            (X, [False, False, False]),
            (X | W, [True, False, True]),
            (X | A, [False, True, False]),
            (X | 0x40, [False, False, True]),
            (W | A | 0x40, [False, False, False]),
        ):
            self.give(allow(1001, mask), inode=folder)
            self.assertEqual(results(), allowed, mask)
        self.give(allow(1001, X | W), deny(1001, 0x40), inode=folder)
        self.assertEqual(results(), [True, False, False])

    def test_rename(self) -> None:
        """
        A RENAME takes away there and adds here.
        """
        source = self.make(b"s", FileType.DIR, mode=0o700)
        target = self.make(b"t", FileType.DIR, mode=0o700)
        self.make(b"x", parent=source, uid=7)
        self.give(allow(1001, X | 0x40), inode=source)

        def rename() -> int:
            return self.status(
                PUTFH(self.fh(source)),
                struct.pack(">I", 32),
                PUTFH(self.fh(target)),
                named(29, b"x", b"y"),
                as_=BOB,
            )

        self.give(allow(1001, X | A), inode=target)
        self.assertEqual(rename(), nfsstat4.NFS4ERR_ACCESS)
        self.give(allow(1001, X | W), inode=target)
        self.give(allow(1001, X), inode=source)
        self.assertEqual(rename(), nfsstat4.NFS4ERR_ACCESS)
        self.give(allow(1001, X | 0x40), inode=source)
        self.assertEqual(rename(), 0)

    def test_search(self) -> None:
        """
        Looking names up is a right, listing them another.
        """
        folder = self.make(b"d", FileType.DIR, mode=0o777)
        self.make(b"x", parent=folder)
        for mask, search, read in ((X, 1, 0), (R, 0, 1), (R | X, 1, 1)):
            self.give(allow(1001, mask), inode=folder)
            here = PUTFH(self.fh(folder))
            found = self.status(here, *LOOKUP(b"x"), as_=BOB)
            self.assertEqual(found, 0 if search else nfsstat4.NFS4ERR_ACCESS)
            listing = struct.pack(">IQ8xII", 26, 0, 4096, 4096) + encodeBitmap(2)
            found = self.status(here, listing, as_=BOB)
            self.assertEqual(found, 0 if read else nfsstat4.NFS4ERR_ACCESS)

    def test_attributes(self) -> None:
        """
        To change attributes, list and owner are separate rights; the owner has the
        first two whatever the list says.
        """
        now = {54: u32(0)}
        then = {54: struct.pack(">IqI", 1, 5, 0)}
        entry = {ACL_: listed(ace(0, 0, R, b"1001"))}
        mode = {MODE: u32(0o640)}
        mine = {36: opaque(b"1001")}
        his = {36: opaque(b"1002")}
        group = {37: opaque(b"1001")}
        PERM = nfsstat4.NFS4ERR_PERM
        for mask, values, status in (
            (0, now, nfsstat4.NFS4ERR_ACCESS),
            (W, now, 0),
            (WRITE_ATTRIBUTES, now, 0),
            (W, then, PERM),
            (WRITE_ATTRIBUTES, then, 0),
            (0x1F01FF & ~WRITE_ACL, entry, PERM),
            (0x1F01FF & ~WRITE_ACL, mode, PERM),
            (WRITE_ACL, entry, 0),
            (WRITE_ACL, mode, 0),
            (0x1F01FF & ~WRITE_OWNER, mine, PERM),
            (WRITE_OWNER, his, PERM),
            (WRITE_OWNER, group, 0),
            (WRITE_OWNER, mine, 0),
        ):
            made = self.make(b"m", mode=0o600)
            self.give(allow(1001, mask), inode=made)
            got = self.set(values, as_=BOB, inode=made)
            self.assertEqual(got[0], status, (mask, values))
            self.wait(self.backend.remove(self.root, b"m", False))
        self.give(deny(Who.EVERYONE, 0x1F01FF))
        for values in (then, entry, mode):
            self.assertEqual(self.set(values)[0], 0, values)

    def test_secretList(self) -> None:
        """
        Who may not read the list does not get it, by no operation; a list made of
        the mode is no secret.
        """
        here = PUTFH(self.fh(self.file))
        self.assertEqual(self.status(here, GETATTR(ACL_), as_=BOB), 0)
        self.give(allow(Who.EVERYONE, 0x1F01FF & ~READ_ACL))
        ACCESS_ = nfsstat4.NFS4ERR_ACCESS
        for number in (ACL_, DACL):
            self.assertEqual(self.status(here, GETATTR(number), as_=BOB), ACCESS_)
            self.assertEqual(self.status(here, GETATTR(number), as_=ALICE), 0)
        verify = struct.pack(">I", 37) + fattr({ACL_: u32(0)})
        self.assertEqual(self.status(here, verify, as_=BOB), ACCESS_)
        self.assertEqual(self.status(here, GETATTR(3, 4, 33), as_=BOB), 0)

    def test_secretListed(self) -> None:
        """
        In a listing of a directory it is left out if the client can be told so.
        """
        self.give(allow(Who.EVERYONE, 0x1F01FF & ~READ_ACL))
        here = PUTFH(self.fh(self.root))
        for bits, status in (
            (1 << ACL_, nfsstat4.NFS4ERR_ACCESS),
            (1 << ACL_ | 1 << 11, 0),
        ):
            listing = struct.pack(">IQ8xII", 26, 0, 4096, 4096) + encodeBitmap(bits)
            self.assertEqual(self.status(here, listing, as_=BOB), status)
        rest = self.last(here, listing, as_=BOB)
        error = encodeBitmap(1 << 11) + opaque(u32(nfsstat4.NFS4ERR_ACCESS))
        self.assertIn(error, rest)


class DataServerTests(ListCase):
    """
    Files whose bytes are elsewhere.
    """

    def test_guarded(self) -> None:
        """
        After a change of the list no handle that was given before is good, and the
        data files no longer look at the mode.
        """
        self.place(self.file)
        wire = {ACL_: listed(ace(0, 0, R, b"1001"))}
        self.assertEqual(self.set(wire)[0], 0)
        fence = ("fence", self.file.fileid)
        self.assertEqual(self.data.calls, [fence, ("applyOwner", 1000, 1000, 0)])
        self.data.calls.clear()
        self.set({MODE: u32(0o600)})
        self.assertEqual([call[0] for call in self.data.calls], ["fence", "applyOwner"])
        self.data.calls.clear()
        self.set({37: opaque(b"2000")})
        self.assertEqual([call[0] for call in self.data.calls], ["fence", "applyOwner"])
        self.set({37: opaque(b"1000")})
        self.data.calls.clear()
        self.set({54: u32(0)})
        self.assertEqual(self.data.calls, [])
        self.set({ACL_: self.shown(ACL_, self.make(b"g", mode=0o644))})
        self.assertEqual(self.data.calls, [("applyOwner", 1000, 1000, 0o644)])

    def test_recalled(self) -> None:
        """
        Layouts come back first; meanwhile nothing has changed.
        """
        self.place(self.file)
        self.layoutFor(self.file)
        wire = {ACL_: listed(ace(0, 0, R, b"1001"))}
        self.assertEqual(self.set(wire), (nfsstat4.NFS4ERR_DELAY, 0))
        self.assertEqual(self.recaller.recalls, [("access", None)])
        self.assertIsNone(self.file.acl)
        self.assertEqual(self.set({37: opaque(b"2000")})[0], 0)

    def test_delegations(self) -> None:
        """
        A client that sets a list has to give its own delegation back afterwards:
        Linux would go on showing the mode from before. After a chmod it keeps it.
        """
        recalled: list[tuple[Any, bool]] = []

        class Delegating:
            """
            Stands for the delegation recaller.
            """

            def recallConflicting(self, file: Any, client: Any, write: bool) -> bool:
                """
                Recorded.
                """
                recalled.append((client, write))
                return False

        server, client = self.fixture.server, self.fixture.client
        server.delegating = Delegating()
        state = fileState(self.fh(self.file), self.file, self.export)
        state.delegations = {}
        self.file.state = state
        self.set({ACL_: listed(ace(0, 0, R, b"1001"))})
        self.assertEqual(recalled, [(client, True), (None, True)])
        recalled.clear()
        self.set({37: opaque(b"2000")})
        self.assertEqual(recalled, [(client, True)] * 2)
