"""
Access control lists and the bytes of files: OPEN, WRITE, COMMIT and the size.
"""

from __future__ import annotations

import struct
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pnfs.nfs4.ops.conflicts import mayDoIO
from pnfs.nfs4.requests import modeAttribute
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import ANONYMOUS_STATEID
from pnfs.values import ACE, ACL, SetAttributes, Who
from tests.namespace.test_acl import allow, deny
from tests.nfs4.ops.files import (
    BOB,
    BOTH,
    READ,
    WRITE,
    FileFixture,
    Opened,
    exclusive,
    exclusive41,
    now,
    openArgs,
    unchecked,
)
from tests.nfs4.ops.test_write import commit, write

R, W, A, X = 1, 2, 4, 0x20
ACCESS = nfsstat4.NFS4ERR_ACCESS


class ListedFileTests(SynchronousTestCase):
    """
    ALICE's file C{file}, and BOB.
    """

    def setUp(self) -> None:
        self.fixture = FileFixture()
        self.fixture.mount(b"linux", minor=2)
        self.inode = self.fixture.make(b"file", mode=0o600)

    def give(self, *aces: ACE, inode: Any = None) -> None:
        """
        A list for the file.
        """
        inode = inode or self.inode
        backend = self.fixture.backend
        now(backend.setattr(inode, SetAttributes(acl=ACL(aces))))

    def open(self, access: int, **more: Any) -> int:
        """
        BOB's OPEN: its status.
        """
        op = openArgs(b"file", access, **more)
        reply = self.fixture.at(self.fixture.root, op, credential=BOB)
        return int(reply.status)

    def test_open(self) -> None:
        """
        A named user opens what the list allows and the mode does not, and the other
        way round.
        """
        for aces, read, writing in (
            ([], ACCESS, ACCESS),
            ([allow(1002, R)], 0, ACCESS),
            ([allow(1002, X)], 0, ACCESS),
            ([allow(1002, W)], ACCESS, 0),
            ([allow(1002, A)], ACCESS, 0),
            ([allow(100, R | W | A, 0x40)], 0, 0),
            ([deny(1002, W | A), allow(Who.EVERYONE, R | W | A)], 0, ACCESS),
        ):
            self.give(*aces)
            both = read or writing
            found = [self.open(access) for access in (READ, WRITE, BOTH)]
            self.assertEqual(found, [read, writing, both], aces)

    def do(self, op: bytes, credential: Any = BOB) -> int:
        """
        An operation on the file: its status.
        """
        return int(self.fixture.at(self.inode, op, credential=credential).status)

    def test_write(self) -> None:
        """
        The list counts for each WRITE, as a mode does: who loses the right after
        opening the file is stopped.
        """
        self.give(allow(1002, W | A))
        op = write(ANONYMOUS_STATEID, 0, b"12345")
        self.assertEqual(self.do(op), 0)
        self.give(deny(1002, W | A))
        self.assertEqual(self.do(op), ACCESS)
        self.assertEqual(self.do(op, None), 0)

    def test_appendOnly(self) -> None:
        """
        Who may only append cannot change what is there, by no operation (RFC 8881,
        section 6.2.1.3.1).
        """
        self.fixture.data.files[self.inode.handle] = bytearray(b"12345")
        now(self.fixture.backend.setattr(self.inode, SetAttributes(size=5)))
        self.give(allow(1002, A))
        for offset, status in ((0, ACCESS), (4, ACCESS), (5, 0), (9, 0)):
            op = write(ANONYMOUS_STATEID, offset, b"x")
            self.assertEqual(self.do(op), status, offset)
        self.assertEqual(self.do(commit(0, 0)), 0)
        truncating = unchecked((4, struct.pack(">Q", 0)))
        self.assertEqual(self.open(WRITE, how=truncating), ACCESS)
        self.assertEqual(self.inode.size, 5)
        # What neither is at an offset nor an OPEN, such as COPY.
        self.assertFalse(mayDoIO(self.inode, BOB, WRITE))
        self.assertTrue(mayDoIO(self.inode, BOB, WRITE, True))

    def make(self, how: bytes) -> Any:
        """
        ALICE makes a new file.
        """
        fixture = self.fixture
        opened = Opened(fixture.at(fixture.root, openArgs(b"new", BOTH, how=how)))
        made = now(fixture.backend.lookup(fixture.root, b"new"))
        now(fixture.backend.remove(fixture.root, b"new", True))
        return made, opened.attrset

    def umask(self, mode: int, umask: int) -> tuple[int, bytes]:
        """
        C{mode_umask}.
        """
        return 81, struct.pack(">II", mode, umask)

    def test_umask(self) -> None:
        """
        open(2) with a umask (RFC 8275), by any way of creating that has attributes.
        """
        wanted = self.umask(0o666, 0o027)
        for how in (unchecked(wanted), exclusive41(b"verifier", wanted)):
            made, attrset = self.make(how)
            self.assertEqual((made.mode, made.acl, attrset), (0o640, None, 1 << 81))
            self.give(
                allow(Who.EVERYONE, 0x1F01FF),
                allow(1002, R | W | A, 3),
                inode=self.fixture.root,
            )
            made, _ = self.make(how)
            self.assertEqual(made.mode, 0o640)
            self.assertEqual(made.acl.aces[0], allow(1002, R | W | A))
            self.give(allow(Who.EVERYONE, 0x1F01FF), inode=self.fixture.root)

    def test_mode(self) -> None:
        """
        A mode is applied to the inherited list; EXCLUSIVE4, which has none, inherits
        nothing (RFC 8881, section 6.4.3).
        """
        self.give(
            allow(Who.EVERYONE, 0x1F01FF),
            allow(1002, R | W | A, 3),
            inode=self.fixture.root,
        )
        made, _ = self.make(unchecked(modeAttribute(0o640)))
        self.assertEqual(made.mode, 0o640)
        self.assertIn(allow(1002, R), made.acl.aces)
        made, _ = self.make(exclusive(b"verifier"))
        self.assertEqual((made.mode, made.acl), (0o600, None))

    def test_folder(self) -> None:
        """
        The directory's list says who may make files in it.
        """
        self.give(allow(1002, X | W), inode=self.fixture.root)
        how = unchecked(modeAttribute(0o600))
        opened = self.fixture.at(
            self.fixture.root, openArgs(b"bobs", how=how), credential=BOB
        )
        self.assertEqual(opened.status, 0)
        self.give(allow(1002, X | A), inode=self.fixture.root)
        refused = self.fixture.at(
            self.fixture.root, openArgs(b"more", how=how), credential=BOB
        )
        self.assertEqual(refused.status, ACCESS)
