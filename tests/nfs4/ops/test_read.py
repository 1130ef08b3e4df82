"""
Tests for L{pnfs.nfs4.ops.read}, and for the stateids of I/O
(L{pnfs.nfs4.ops.conflicts}).
"""

from __future__ import annotations

import struct
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.metadata.recovery import MemoryRecoveryStore
from pnfs.nfs4.ops.read import read as readOperation
from pnfs.nfs4.requests import opaque, putfh, read
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import CURRENT_STATEID
from pnfs.values import FileType, SetAttributes
from tests.nfs4.fixture import sequenceArgs
from tests.nfs4.ops.files import (
    BOB,
    BOTH,
    CLAIM_FH,
    READ,
    WRITE,
    FileFixture,
    Opened,
    lockNew,
    now,
    openArgs,
)

ANONYMOUS = bytes(16)
BYPASS = b"\xff" * 16


class ReadTests(SynchronousTestCase):
    """
    READ for clients without layouts.
    """

    def setUp(self) -> None:
        self.fixture = FileFixture()
        self.fixture.mount()
        self.inode = self.fixture.make(b"file", 0o644)
        self.fixture.data.files[self.inode.handle] = bytearray(b"some text")

    def open(self, access: int, deny: int = 0, owner: bytes = b"o") -> bytes:
        """
        Open the file. @return: the stateid.
        """
        arguments = openArgs(access=access, deny=deny, owner=owner, claim=CLAIM_FH)
        return Opened(self.fixture.at(self.inode, arguments)).stateid

    def read(
        self, stateid: bytes, offset: int = 0, count: int = 100, **more: Any
    ) -> tuple[bool, bytes]:
        """
        READ. @return: eof and the bytes.
        """
        reply = self.fixture.at(self.inode, read(stateid, offset, count), **more)
        self.assertEqual(reply.take(25)[0], 0)
        eof, length = struct.unpack_from(">II", reply.rest)
        data = reply.rest[8:]
        self.assertEqual(len(data), length + (-length & 3))
        return bool(eof), data[:length]

    def refused(self, status: str, stateid: bytes, *rest: int, **more: Any) -> None:
        """
        A READ that must fail so.
        """
        offset, count = rest or (0, 100)
        inode = more.pop("at", self.inode)
        reply = self.fixture.at(inode, read(stateid, offset, count), **more)
        found = nfsstat4(reply.take(25)[0])
        self.assertEqual(found.name, "NFS4ERR_" + status)
        self.assertIn(found, readOperation.errors)

    def test_read(self) -> None:
        """
        What the data servers say arrives, padded; eof with the last byte.
        """
        stateid = self.open(READ)
        self.assertEqual(self.read(stateid), (True, b"some text"))
        self.assertEqual(self.read(bytes(4) + stateid[4:], 1, 4), (False, b"ome "))
        self.assertEqual(self.read(stateid, 50, 1), (True, b""))

    def test_beingWritten(self) -> None:
        """
        Behind the end as it is known here there may be what has been written
        through a layout since: the data servers are asked. In front of it there is
        no need to.
        """
        data = self.fixture.data
        stateid = self.open(BOTH)
        self.fixture.server.layouts.grant(
            self.inode.state, self.fixture.client, 1, (), [(2, 0, 1 << 64)]
        )
        self.read(stateid, 0, 9)
        self.assertEqual(data.calls, [("refresh",), ("read", 0, 9)])
        now(self.fixture.backend.setattr(self.inode, SetAttributes(size=9)))
        self.read(stateid, 0, 9)
        self.assertEqual(data.calls[2:], [("read", 0, 9)])

    def test_currentStateid(self) -> None:
        """
        OPEN and READ in one COMPOUND: the read uses the open's stateid.
        """
        reply = self.fixture.at(
            self.inode,
            openArgs(access=READ, claim=CLAIM_FH),
            read(CURRENT_STATEID, 0, 4),
        )
        Opened(reply)
        self.assertEqual(reply.take(25)[0], 0)
        self.refused("BAD_STATEID", CURRENT_STATEID)

    def test_together(self) -> None:
        """
        Of several that wait each goes on with its own file (a deferred operation
        resumes in its own context: chimera c:871f2790).
        """
        fixture = self.fixture
        other = fixture.make(b"other")
        fixture.data.files[other.handle] = bytearray(b"something else")
        fixture.data.gate = Deferred()
        waiting = [
            (
                inode,
                fixture.send(
                    sequenceArgs(fixture.sessionid, 1, slot, slot),
                    putfh(fixture.fh(inode)),
                    read(bytes(16), 0, 4),
                    struct.pack(">I", 10),
                ),
            )
            for slot, inode in ((1, self.inode), (2, other))
        ]
        self.assertEqual([outcome for _, outcome in waiting], [[], []])
        fixture.data.gate.callback(None)
        for inode, (reply,) in waiting:
            reply.takeSequence()
            reply.take(22)
            self.assertEqual(reply.take(25)[0], 0)
            data = bytes(fixture.data.files[inode.handle][:4])
            self.assertEqual(reply.rest[4:12], struct.pack(">I", 4) + data)
            reply.pos += 12
            self.assertEqual(reply.take(10)[0], 0)
            self.assertEqual(reply.rest, opaque(fixture.fh(inode)))

    def test_lockStateid(self) -> None:
        """
        A lock's stateid reads as its open does.
        """
        reply = self.fixture.at(self.inode, lockNew(self.open(BOTH), 1, 0, 1))
        reply.take(12)
        self.assertEqual(self.read(reply.rest), (True, b"some text"))

    def test_openMode(self) -> None:
        """
        A file opened for writing only is not read (READ needs read access in the open:
        chimera #357, c:7b14f818).
        """
        self.refused("OPENMODE", self.open(WRITE))

    def test_stateids(self) -> None:
        """
        A stateid must be current, the caller's, and of this file; a layout's is none
        for I/O here (a stateid of another client is BAD_STATEID, and it must name the
        current file handle: chimera #524, c:49c56989; seqid OLD or BAD: #302).
        """
        stateid = self.open(READ)
        self.open(BOTH)
        self.refused("OLD_STATEID", stateid)
        self.refused("BAD_STATEID", b"\0\0\0\5" + stateid[4:])
        other = self.fixture.make(b"other")
        self.refused("BAD_STATEID", stateid, at=other)
        layout = self.fixture.server.layouts.grant(
            self.inode.state, self.fixture.client, 1, (), [(2, 0, 1)]
        )
        self.refused("BAD_STATEID", layout.stateid)
        with self.fixture.another(b"second"):
            self.refused("BAD_STATEID", b"\0\0\0\2" + stateid[4:])

    def test_special(self) -> None:
        """
        The anonymous stateid respects share reservations, the bypassing one does not
        (share denies apply to special stateids: chimera #329, #349, c:45601ca1).
        """
        self.assertEqual(self.read(ANONYMOUS), (True, b"some text"))
        self.open(READ, READ)
        self.refused("LOCKED", ANONYMOUS)
        self.assertEqual(self.read(BYPASS), (True, b"some text"))

    def test_grace(self) -> None:
        """
        While reclaims go on nobody reads without an open.
        """
        store = MemoryRecoveryStore()
        store.beginEpoch()
        store.addClient(b"client")
        self.fixture = FileFixture(store=store)
        self.inode = self.fixture.make(b"file")
        self.fixture.mount(reclaimComplete=False)
        self.refused("GRACE", ANONYMOUS)
        self.refused("GRACE", BYPASS)

    def test_permission(self) -> None:
        """
        The mode is checked at each READ, but the owner goes on reading what it has
        opened (I/O checks the caller's credential again, with owner override: chimera
        #524, #1591).
        """
        stateid = self.open(READ)
        now(self.fixture.backend.setattr(self.inode, SetAttributes(mode=0)))
        self.read(stateid)
        self.refused("ACCESS", stateid, credential=BOB)
        now(self.fixture.backend.setattr(self.inode, SetAttributes(mode=0o010)))
        self.read(stateid, credential=BOB)

    def test_kinds(self) -> None:
        """
        Only regular files are read.
        """
        for ftype, status in (
            (FileType.DIR, "ISDIR"),
            (FileType.LNK, "SYMLINK"),
            (FileType.SOCK, "WRONG_TYPE"),
        ):
            inode = self.fixture.make(b"%d" % ftype, ftype=ftype)
            self.refused(status, ANONYMOUS, at=inode)
        reply = self.fixture.run(read(ANONYMOUS, 0, 1))
        self.assertEqual(reply.take(25)[0], nfsstat4.NFS4ERR_NOFILEHANDLE)

    def test_edges(self) -> None:
        """
        Nothing is beyond what a file can have; reading nothing is no error.
        """
        for offset in ((1 << 63) - 1, 1 << 63, (1 << 64) - 1):
            self.assertEqual(self.read(ANONYMOUS, offset, 0xFFFFFFFF), (True, b""))
        now(self.fixture.backend.setattr(self.inode, SetAttributes(size=9)))
        self.assertEqual(self.read(ANONYMOUS, 0, 0), (False, b""))
        self.assertEqual(self.read(ANONYMOUS, 9, 0), (True, b""))
        self.read(ANONYMOUS, (1 << 63) - 5, 100)
        self.assertEqual(self.fixture.data.calls[-1], ("read", (1 << 63) - 5, 4))

    def test_limit(self) -> None:
        """
        No more is read than the reply has room for.
        """
        self.fixture.data.files[self.inode.handle] = bytearray(3 << 20)
        eof, data = self.read(ANONYMOUS, 0, 3 << 20)
        self.assertFalse(eof)
        self.assertTrue(1 << 19 < len(data) < 1050000)

    def test_noRoom(self) -> None:
        """
        A second READ that has no room at all gets an error, not an empty answer.
        """
        self.fixture.data.files[self.inode.handle] = bytearray(3 << 20)
        every = read(ANONYMOUS, 0, 3 << 20)
        reply = self.fixture.run(putfh(self.fixture.fh(self.inode)), every, every)
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_REP_TOO_BIG)
        reply = self.fixture.run(
            putfh(self.fixture.fh(self.inode)), every, every, cache=1
        )
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE)

    def test_malformed(self) -> None:
        """
        Every truncation is BADXDR.
        """
        whole = read(ANONYMOUS, 0, 1)
        for length in range(4, len(whole), 4):
            reply = self.fixture.at(self.inode, whole[:length])
            self.assertEqual(reply.take(25)[0], nfsstat4.NFS4ERR_BADXDR)
