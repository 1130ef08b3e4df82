"""
Tests of GETATTR, SETATTR and ACCESS of a data server.
"""

from __future__ import annotations

import struct

from pnfs.namespace.filehandles import CONTROL, READ, WRITE
from pnfs.nfs3.status import nfsstat3
from pnfs.nfs3.types import time3
from pnfs.values import SetAttributes
from tests.nfs3 import captured
from tests.nfs3.serving import (
    GARBAGE_ARGS,
    GROUP,
    NAME,
    OWNER,
    DataServerTestCase,
)

FATTR3 = struct.Struct(">5I2Q2I2Q6I")
NO_CHANGE = bytes(24)
"""C{sattr3} that leaves all alone."""

NO_GUARD = bytes(4)


class GetattrTests(DataServerTestCase):
    """
    GETATTR.
    """

    def test_file(self) -> None:
        """
        Type, mode, owner, size and times of a data file.
        """
        self.run_(
            self.backend.setattr(NAME, SetAttributes(mtime=3_000_000_005, atime=-1))
        )
        results = self.ask("GETATTR", self.mint(READ))
        self.assertEqual(len(results), 4 + 84)
        fields = FATTR3.unpack_from(results, 4)
        self.assertEqual(fields[:6], (1, 0o640, 1, OWNER, GROUP, 10))
        self.assertEqual(fields[9], 0x0102030405060708)
        self.assertNotEqual(fields[10], 0)
        self.assertEqual(fields[11:13], (0, 0))
        self.assertEqual(fields[13:15], (3, 5))

    def test_server(self) -> None:
        """
        The data server's own handle names a directory.
        """
        results = self.ask("GETATTR", self.mint(READ, 0, b""))
        self.assertEqual(FATTR3.unpack_from(results, 4)[0], 2)

    def test_failures(self) -> None:
        """
        Fenced and removed are stale, foreign is bad.
        """
        for fh in (self.mint(READ, 4), self.mint(READ, 5, b"ff")):
            self.assertEqual(self.ask("GETATTR", fh), struct.pack(">I", 70))
        self.assertEqual(self.record(captured.GETATTR), (0, struct.pack(">I", 10001)))
        for end in range(captured.ARGUMENTS, len(captured.GETATTR)):
            stat, _ = self.record(captured.GETATTR[:end])
            self.assertEqual(stat, GARBAGE_ARGS)

    def test_times(self) -> None:
        """
        Times that 32 bits cannot tell are told as the nearest one.
        """
        self.assertEqual(time3(-5), (0, 0))
        self.assertEqual(time3(1_000_000_001), (1, 1))
        self.assertEqual(time3(1 << 63), (0xFFFFFFFF, 999_999_999))


class SetattrTests(DataServerTestCase):
    """
    SETATTR.
    """

    def test_refused(self) -> None:
        """
        Clients may not, whatever their handle and user.
        """
        args = NO_CHANGE + NO_GUARD
        for rights in (READ, WRITE, READ | WRITE):
            results = self.ask("SETATTR", self.mint(rights) + args, uid=0)
            self.assertEqual(results, struct.pack(">3I", nfsstat3.NFS3ERR_ACCES, 0, 0))

    def test_control(self) -> None:
        """
        The metadata server sets mode, owner, size and times.
        """
        args = struct.pack(">7IQ", 1, 0o604, 1, 7, 1, 8, 1, 4)
        args += struct.pack(">4I", 1, 2, 6, 7) + NO_GUARD
        results = self.ask("SETATTR", self.mint(CONTROL, 0) + args)
        self.assertEqual(struct.unpack_from(">3I", results), (0, 0, 1))
        fields = FATTR3.unpack_from(results, 12)
        self.assertEqual(fields[1:6], (0o604, 1, 7, 8, 4))
        self.assertEqual(fields[13:15], (6, 7))

    def test_guard(self) -> None:
        """
        A guard that does not match stops the change.
        """
        ctime = time3(self.run_(self.backend.getattr(NAME)).ctime)
        change = struct.pack(">IIIIQII", 0, 0, 0, 1, 3, 0, 0)
        fh = self.mint(CONTROL, 0)
        wrong = struct.pack(">3I", 1, ctime[0], ctime[1] ^ 1)
        self.assertEqual(
            self.status("SETATTR", fh + change + wrong), nfsstat3.NFS3ERR_NOT_SYNC
        )
        self.assertEqual(self.run_(self.backend.getattr(NAME)).size, 10)
        right = struct.pack(">3I", 1, *ctime)
        self.assertEqual(self.status("SETATTR", fh + change + right), 0)
        self.assertEqual(self.run_(self.backend.getattr(NAME)).size, 3)

    def test_badTime(self) -> None:
        """
        A time with too many nanoseconds is refused.
        """
        args = bytes(20) + struct.pack(">3I", 2, 1, 10**9) + NO_GUARD
        self.assertEqual(
            self.status("SETATTR", self.mint(CONTROL, 0) + args),
            nfsstat3.NFS3ERR_INVAL,
        )

    def test_captured(self) -> None:
        """
        A real client's call decodes; truncations are garbage.
        """
        self.assertEqual(
            self.record(captured.SETATTR), (0, struct.pack(">3I", 10001, 0, 0))
        )
        fh = self.mint(WRITE)
        args = captured.SETATTR[captured.ARGUMENTS + 36 :]
        self.assertEqual(self.status("SETATTR", fh + args), nfsstat3.NFS3ERR_ACCES)
        for end in range(len(args)):
            call = captured.SETATTR[: captured.ARGUMENTS] + fh + args[:end]
            self.assertEqual(self.record(call)[0], GARBAGE_ARGS)


class AccessTests(DataServerTestCase):
    """
    ACCESS.
    """

    def access(self, fh: bytes, wanted: int = 0x3F, uid: int = OWNER) -> int:
        """
        The bits granted.
        """
        results = self.ask("ACCESS", fh + struct.pack(">I", wanted), uid=uid, gid=1)
        self.assertEqual(struct.unpack_from(">2I", results), (0, 1))
        self.assertEqual(len(results), 8 + 84 + 4)
        granted: int = struct.unpack_from(">I", results, 92)[0]
        return granted

    def test_bits(self) -> None:
        """
        What the handle and the mode allow, of what was asked.
        """
        self.assertEqual(self.access(self.mint(READ)), 0x01)
        self.assertEqual(self.access(self.mint(WRITE)), 0x0C)
        self.assertEqual(self.access(self.mint(READ | WRITE)), 0x0D)
        self.assertEqual(self.access(self.mint(READ | WRITE), 0x04), 0x04)
        self.assertEqual(self.access(self.mint(READ | WRITE), uid=7), 0)
        self.assertEqual(self.access(self.mint(CONTROL, 0, b"")), 0)

    def test_failures(self) -> None:
        """
        Fenced handles are stale; a real client's call decodes.
        """
        args = self.mint(READ, 4) + bytes(4)
        self.assertEqual(self.ask("ACCESS", args), struct.pack(">II", 70, 0))
        self.assertEqual(
            self.record(captured.ACCESS), (0, struct.pack(">II", 10001, 0))
        )
        for end in range(4):
            call = captured.ACCESS[: captured.ARGUMENTS] + self.mint(READ) + bytes(end)
            self.assertEqual(self.record(call)[0], GARBAGE_ARGS)
