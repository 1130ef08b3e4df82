"""
Tests for L{pnfs.nfs4.ops.write} and L{pnfs.nfs4.ops.commit}.
"""

from __future__ import annotations

import struct
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import NoSpace
from pnfs.nfs4.ops.commit import commit as commitOperation
from pnfs.nfs4.ops.write import write as writeOperation
from pnfs.nfs4.requests import commit, putfh, writeHead
from pnfs.nfs4.status import nfsstat4
from pnfs.values import ROOT, FileType, SetAttributes
from tests.nfs4.ops.files import (
    BOB,
    BOTH,
    CLAIM_FH,
    READ,
    WRITE,
    FileFixture,
    Opened,
    now,
    openArgs,
)

ANONYMOUS = bytes(16)


def write(stateid: bytes, offset: int, data: bytes, stable: int = 0) -> bytes:
    """
    WRITE.
    """
    return writeHead(stateid, offset, stable, len(data)) + data + bytes(-len(data) & 3)


class WriteTests(SynchronousTestCase):
    """
    WRITE and COMMIT for clients without layouts.
    """

    def setUp(self) -> None:
        self.fixture = FileFixture()
        self.fixture.mount()
        self.inode = self.fixture.make(b"file", 0o644)

    def open(self, access: int, deny: int = 0, owner: bytes = b"o") -> bytes:
        """
        Open the file. @return: the stateid.
        """
        arguments = openArgs(access=access, deny=deny, owner=owner, claim=CLAIM_FH)
        return Opened(self.fixture.at(self.inode, arguments)).stateid

    def write(self, stateid: bytes, offset: int, data: bytes, **more: Any) -> Any:
        """
        A successful WRITE. @return: count, committed, verifier.
        """
        stable = more.pop("stable", 0)
        reply = self.fixture.at(
            self.inode, write(stateid, offset, data, stable), **more
        )
        self.assertEqual(reply.take(38)[0], 0)
        return struct.unpack(">II8s", reply.rest)

    def refused(
        self, status: str, stateid: bytes, offset: int = 0, **more: Any
    ) -> None:
        """
        A WRITE that must fail so.
        """
        inode = more.pop("at", self.inode)
        stable = more.pop("stable", 0)
        data = more.pop("data", b"x")
        reply = self.fixture.at(inode, write(stateid, offset, data, stable), **more)
        found = nfsstat4(reply.take(38)[0])
        self.assertEqual(found.name, "NFS4ERR_" + status)
        self.assertIn(found, writeOperation.errors)

    def commit(self, offset: int, count: int, **more: Any) -> Any:
        """
        COMMIT. @return: status and verifier.
        """
        inode = more.pop("at", self.inode)
        reply = self.fixture.at(inode, commit(offset, count), **more)
        status = nfsstat4(reply.take(5)[0])
        if status:
            self.assertIn(status, commitOperation.errors)
        return status.name, reply.rest

    def test_write(self) -> None:
        """
        The bytes reach the data servers as they are, with the stability asked
        for; the next operation is found behind the padding.
        """
        stateid = self.open(BOTH)
        self.assertEqual(
            self.write(stateid, 0, b"hello", stable=2), (5, 2, b"verifier")
        )
        self.assertEqual(self.write(stateid, 5, b""), (0, 0, b"verifier"))
        reply = self.fixture.at(
            self.inode,
            write(stateid, 5, b" you"),
            write(stateid, 9, b"!"),
            commit(0, 0),
        )
        self.assertEqual(reply.status, 0)
        self.assertEqual(self.fixture.data.files[self.inode.handle], b"hello you!")
        self.assertEqual(self.fixture.data.calls[-1], ("commit", 0, 0))

    def test_waiting(self) -> None:
        """
        A WRITE is answered when the data servers have answered.
        """
        self.fixture.data.gate = Deferred()
        outcome = self.fixture.sendRun(
            putfh(self.fixture.fh(self.inode)), write(ANONYMOUS, 0, b"hello")
        )
        self.assertEqual(outcome, [])
        self.fixture.data.gate.callback(None)
        self.assertEqual(outcome[0].status, 0)

    def test_failure(self) -> None:
        """
        What goes wrong at the data servers is told.
        """

        async def fail(*arguments: Any) -> None:
            raise NoSpace()

        self.fixture.data.write = fail  # type: ignore[assignment]
        self.refused("NOSPC", ANONYMOUS)

    def test_openMode(self) -> None:
        """
        A file opened for reading only is not written (WRITE needs write access in the
        open: chimera #357, c:7b14f818).
        """
        self.refused("OPENMODE", self.open(READ))

    def test_special(self) -> None:
        """
        Neither special stateid writes what a share reservation protects (share denies
        apply to special stateids: chimera #329, #349, c:45601ca1).
        """
        self.write(ANONYMOUS, 0, b"x")
        self.write(b"\xff" * 16, 0, b"x")
        self.open(READ, WRITE)
        self.refused("LOCKED", ANONYMOUS)
        self.refused("LOCKED", b"\xff" * 16)

    def test_permission(self) -> None:
        """
        Others need the mode's permission each time; the owner does not (I/O checks the
        caller's credential again, with owner override: chimera #524, #1591).
        """
        self.refused("ACCESS", ANONYMOUS, credential=BOB)
        now(self.fixture.backend.setattr(self.inode, SetAttributes(mode=0)))
        self.write(ANONYMOUS, 0, b"x")
        self.assertEqual(self.commit(0, 0), ("NFS4_OK", b"verifier"))
        self.assertEqual(self.commit(0, 0, credential=BOB)[0], "NFS4ERR_ACCESS")

    def test_readOnly(self) -> None:
        """
        Nothing is written through a read-only export.
        """
        self.fixture.export.readOnly = True
        self.refused("ROFS", ANONYMOUS)

    def test_kinds(self) -> None:
        """
        Only regular files are written.
        """
        for ftype, status in (
            (FileType.DIR, "ISDIR"),
            (FileType.LNK, "SYMLINK"),
            (FileType.SOCK, "WRONG_TYPE"),
        ):
            inode = self.fixture.make(b"%d" % ftype, ftype=ftype)
            self.refused(status, ANONYMOUS, at=inode)
            self.assertEqual(self.commit(0, 0, at=inode)[0], "NFS4ERR_" + status)

    def test_edges(self) -> None:
        """
        Nothing is written beyond what a file can have; such a COMMIT flushes all
        there is.
        """
        self.refused("FBIG", ANONYMOUS, (1 << 63) - 1)
        self.refused("FBIG", ANONYMOUS, (1 << 64) - 1)
        self.assertEqual(self.fixture.data.calls, [])
        self.commit((1 << 64) - 1, 5)
        self.assertEqual(self.fixture.data.calls, [("commit", (1 << 63) - 1, 0)])

    def test_setuid(self) -> None:
        """
        A program that somebody has written to does not run as its owner any more;
        the superuser's writes leave it alone.
        """
        mode = SetAttributes(mode=0o6775)
        now(self.fixture.backend.setattr(self.inode, mode))
        self.write(ANONYMOUS, 0, b"x", credential=ROOT)
        self.assertEqual(self.inode.mode, 0o6775)
        self.write(ANONYMOUS, 0, b"x")
        self.assertEqual(self.inode.mode, 0o775)

    def test_malformed(self) -> None:
        """
        Every truncation, a length beyond the request and an unknown stability are
        BADXDR.
        """
        whole = write(ANONYMOUS, 0, b"hello")
        for length in range(4, len(whole), 4):
            reply = self.fixture.at(self.inode, whole[:length])
            self.assertEqual(reply.take(38)[0], nfsstat4.NFS4ERR_BADXDR)
        self.refused("BADXDR", ANONYMOUS, stable=3)
