"""
Tests for L{pnfs.nfs4.ops.get_dir_delegation}.
"""

from __future__ import annotations

import struct
from typing import Any, Optional

from pnfs.nfs4.ops.get_dir_delegation import (
    GET_DIR_DELEGATION4args,
    GET_DIR_DELEGATION4res_non_fatal,
)
from pnfs.nfs4.requests import opaque
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import ANONYMOUS_STATEID, nfstime4
from pnfs.values import FileType
from tests.nfs4.fixture import args
from tests.nfs4.ops.delegations import NO_DELEG, DelegationCase, Holder, setattrArgs
from tests.nfs4.ops.files import BOB, BOTH, READ, openArgs, unchecked

ZERO = nfstime4(0, 0)
GET = args(46, GET_DIR_DELEGATION4args(False, 0xFF, ZERO, ZERO, 0, 0))
SAVEFH = struct.pack(">I", 32)


class DirectoryTests(DelegationCase):
    """
    C{one} holds a delegation of a directory.
    """

    def setUp(self) -> None:
        super().setUp()
        self.folder = self.fixture.make(b"folder", 0o777, FileType.DIR)

    def get(self, inode: Any, holder: Optional[Holder] = None) -> Any:
        """
        GET_DIR_DELEGATION: what was given, or None if nothing.
        """
        reply = (holder or self.one).at(inode, GET)
        status, found = reply.take(46, GET_DIR_DELEGATION4res_non_fatal)
        self.assertEqual(status, 0)
        unavailable, value = found.gddrnf
        if unavailable:
            self.assertFalse(value)
            return None
        return value

    def test_given(self) -> None:
        """
        A client may keep the names of a directory; no notifications are promised.
        """
        found = self.get(self.folder)
        self.assertEqual(
            (
                found.gddr_cookieverf,
                found.gddr_notification,
                found.gddr_child_attributes,
                found.gddr_dir_attributes,
            ),
            (bytes(8), 0, 0, 0),
        )
        self.assertEqual(self.table.count, 1)

    def test_again(self) -> None:
        """
        Who asks again is told of the one it has.
        """
        first = self.get(self.folder)
        self.assertEqual(self.get(self.folder), first)
        self.assertEqual(self.table.count, 1)

    def test_many(self) -> None:
        """
        Many clients may keep the same names.
        """
        self.assertIsNotNone(self.get(self.folder, self.one))
        self.assertIsNotNone(self.get(self.folder, self.two))

    def test_returned(self) -> None:
        """
        DELEGRETURN leaves nothing behind.
        """
        held = self.get(self.folder).gddr_stateid
        self.assertEqual(self.one.give(self.folder, held), "NFS4_OK")
        self.assertIsNone(self.folder.state)

    def changes(self) -> dict[str, tuple[bytes, ...]]:
        """
        What changes the directory, done from outside.
        """
        fixture = self.fixture
        into, root = fixture.putfh(self.folder), fixture.putfh(fixture.root)
        rename = struct.pack(">I", 29)
        create = struct.pack(">II", 6, FileType.DIR) + opaque(b"new") + bytes(8)
        return {
            "CREATE": (into, create),
            "OPEN": (into, openArgs(b"new", BOTH | NO_DELEG, how=unchecked())),
            "REMOVE": (into, struct.pack(">I", 28) + opaque(b"inside")),
            "LINK": (
                fixture.putfh(self.file),
                SAVEFH,
                into,
                struct.pack(">I", 11) + opaque(b"new"),
            ),
            "RENAME within": (
                into,
                SAVEFH,
                rename + opaque(b"inside") + opaque(b"new"),
            ),
            "RENAME out of it": (
                into,
                SAVEFH,
                root,
                rename + opaque(b"inside") + opaque(b"new"),
            ),
            "RENAME into it": (
                root,
                SAVEFH,
                into,
                rename + opaque(b"file") + opaque(b"new"),
            ),
            "RENAME of it": (
                root,
                SAVEFH,
                rename + opaque(b"folder") + opaque(b"new"),
            ),
            "SETATTR": (
                into,
                setattrArgs(ANONYMOUS_STATEID, {33: struct.pack(">I", 0o755)}),
            ),
        }

    def fill(self) -> None:
        """
        Put a file into the directory.
        """
        inside = openArgs(b"inside", READ | NO_DELEG, how=unchecked())
        self.assertEqual(self.two.at(self.folder, inside).status, 0)

    def test_recalled(self) -> None:
        """
        Any change by another client takes it back first, whichever way it comes.
        """
        for name in self.changes():
            self.tearDown()
            self.setUp()
            self.fill()
            held = self.get(self.folder).gddr_stateid
            ops = self.changes()[name]
            self.assertEqual(self.two.run(*ops).status, nfsstat4.NFS4ERR_DELAY, name)
            (recalled,) = self.one.recalled()
            self.assertEqual(recalled.stateid, held)
            self.assertEqual(recalled.fh, self.fixture.fh(self.folder))
            self.one.give(self.folder, held)
            self.assertEqual(self.two.run(*ops).status, 0, name)

    def test_ownChanges(self) -> None:
        """
        Its holder may change the directory.
        """
        for name in self.changes():
            self.tearDown()
            self.setUp()
            self.fill()
            self.get(self.folder)
            self.assertEqual(self.one.run(*self.changes()[name]).status, 0, name)
            self.assertEqual(self.one.recalled(), [])

    def test_reading(self) -> None:
        """
        Who only looks does not disturb.
        """
        self.get(self.folder)
        readdir = struct.pack(">IQ8sIII", 26, 0, bytes(8), 4096, 4096, 0)
        lookup = struct.pack(">I", 15) + opaque(b"none")
        self.assertEqual(self.two.status_(self.folder, readdir), "NFS4_OK")
        self.assertEqual(self.two.status_(self.folder, lookup), "NFS4ERR_NOENT")
        self.assertEqual(self.one.recalled(), [])

    def test_removedByHolder(self) -> None:
        """
        With the directory its holder's delegation ends.
        """
        self.get(self.folder)
        remove = struct.pack(">I", 28) + opaque(b"folder")
        self.assertEqual(self.one.status_(self.fixture.root, remove), "NFS4_OK")
        self.assertEqual(self.table.count, 0)

    def test_recentlyRecalled(self) -> None:
        """
        A directory that others change is left alone for a while.
        """
        held = self.get(self.folder).gddr_stateid
        self.two.run(*self.changes()["CREATE"])
        self.assertIsNone(self.get(self.folder))
        self.one.give(self.folder, held)
        self.assertIsNone(self.get(self.folder))

    def test_withoutBackChannel(self) -> None:
        """
        Who cannot be called back gets none.
        """
        three = self.fixture.holder(b"three", back=False)
        self.assertIsNone(self.get(self.folder, three))

    def test_switchedOff(self) -> None:
        """
        The switch of an export turns these off, too; and there is a limit.
        """
        self.table.maximum = 0
        self.assertIsNone(self.get(self.folder))
        self.table.maximum = 100
        self.fixture.export.delegations = False
        self.assertIsNone(self.get(self.folder))

    def test_refused(self) -> None:
        """
        A file is no directory; and who may not list one may not keep its names.
        """
        self.assertEqual(self.one.status_(self.file, GET), "NFS4ERR_NOTDIR")
        private = self.fixture.make(b"private", 0o700, FileType.DIR)
        status = self.one.status_(private, GET, credential=BOB)
        self.assertEqual(status, "NFS4ERR_ACCESS")
