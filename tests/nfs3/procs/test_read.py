"""
Tests of L{pnfs.nfs3.procs.read}.
"""

from __future__ import annotations

import struct

from twisted.internet.defer import Deferred

from pnfs.namespace.filehandles import CONTROL, READ, WRITE
from pnfs.nfs3.status import nfsstat3
from pnfs.values import SetAttributes
from tests.nfs3 import captured
from tests.nfs3.serving import (
    GARBAGE_ARGS,
    GROUP,
    NAME,
    OWNER,
    DataServerTestCase,
    SlowBackend,
    opaque,
)
from tests.rpc import wire


def arguments(fh: bytes, offset: int = 0, count: int = 100) -> bytes:
    """
    C{READ3args}.
    """
    return fh + struct.pack(">QI", offset, count)


class ReadTests(DataServerTestCase):
    """
    READ of a data file.
    """

    def read(self, offset: int, count: int) -> tuple[bytes, bool]:
        """
        Data and eof.
        """
        results = self.ask("READ", arguments(self.mint(READ), offset, count))
        status, follows, count, eof, length = struct.unpack_from(">5I", results)
        self.assertEqual((status, follows, count), (0, 0, length))
        data = results[20 : 20 + length]
        self.assertEqual(results[20:], data + bytes(-length % 4))
        return data, bool(eof)

    def test_read(self) -> None:
        """
        Any part comes back, with eof exactly at the end.
        """
        self.assertEqual(self.read(0, 100), (b"0123456789", True))
        self.assertEqual(self.read(0, 10), (b"0123456789", True))
        self.assertEqual(self.read(0, 9), (b"012345678", False))
        self.assertEqual(self.read(4, 4), (b"4567", False))
        self.assertEqual(self.read(10, 4), (b"", True))
        self.assertEqual(self.read(1 << 63, 4), (b"", True))

    def test_tooMuch(self) -> None:
        """
        A client that asks for more than we offer gets what we offer.
        """
        self.run_(self.backend.extend(NAME, 1 << 20))
        data, eof = self.read(0, 0xFFFFFFFF)
        self.assertEqual((len(data), eof), (65536, False))

    def test_rights(self) -> None:
        """
        A write-only handle cannot read; one for control may do all.
        """
        self.assertEqual(
            self.status("READ", arguments(self.mint(WRITE))), nfsstat3.NFS3ERR_ACCES
        )
        for rights in (READ, READ | WRITE, CONTROL):
            self.assertEqual(self.status("READ", arguments(self.mint(rights))), 0)

    def test_fenced(self) -> None:
        """
        A client that was fenced learns that its handle is stale; a new one works.
        """
        self.run_(self.backend.fence(NAME, 6))
        self.assertEqual(
            self.status("READ", arguments(self.mint(READ))), nfsstat3.NFS3ERR_STALE
        )
        self.assertEqual(self.status("READ", arguments(self.mint(READ, 6))), 0)
        self.assertEqual(self.status("READ", arguments(self.mint(CONTROL, 0))), 0)

    def test_credential(self) -> None:
        """
        A handle does not help a user whom the file's mode does not let in.
        """
        fh = arguments(self.mint(READ))
        for uid, gid, gids, allowed in (
            (OWNER, 1, (), True),
            (0, 0, (), True),
            (7, GROUP, (), True),
            (7, 1, (GROUP,), True),
            (7, 1, (), False),
        ):
            status = self.status("READ", fh, uid=uid, gid=gid, gids=gids)
            self.assertEqual(status, 0 if allowed else nfsstat3.NFS3ERR_ACCES)

    def test_ownerOverride(self) -> None:
        """
        Whoever owns the file goes on reading after taking the right from itself; who
        may execute a program may have it read (modes of backing files admit the
        synthetic user: chimera #645).
        """
        self.run_(self.backend.setattr(NAME, SetAttributes(mode=0o011)))
        fh = arguments(self.mint(READ))
        self.assertEqual(self.status("READ", fh), 0)
        self.assertEqual(self.status("READ", fh, uid=7, gid=7), 0)

    def test_handles(self) -> None:
        """
        Forged handles are bad, removed objects stale, and the data server is no
        file.
        """
        good = self.capabilities.mint(READ, 5, NAME)
        forged = bytes([good[0], good[1] | CONTROL]) + good[2:]
        for fh in (forged, b"", b"x", bytes(64), bytes(65), bytes(128), good + b"\0"):
            self.assertEqual(
                self.status("READ", arguments(opaque(fh))), nfsstat3.NFS3ERR_BADHANDLE
            )
        self.assertEqual(
            self.status("READ", arguments(self.mint(READ, 5, b"ff"))),
            nfsstat3.NFS3ERR_STALE,
        )
        self.assertEqual(
            self.status("READ", arguments(self.mint(CONTROL, 0, b""))),
            nfsstat3.NFS3ERR_INVAL,
        )

    def test_captured(self) -> None:
        """
        A real client's call is understood: the handle is not ours, no more; and
        every truncation of it is garbage.
        """
        stat, results = self.record(captured.READ)
        self.assertEqual((stat, results), (0, struct.pack(">II", 10001, 0)))
        for end in range(captured.ARGUMENTS, len(captured.READ)):
            stat, _ = self.record(captured.READ[:end])
            self.assertEqual(stat, GARBAGE_ARGS)


class SlowReadTests(ReadTests):
    """
    The same when nothing can be answered at once.
    """

    backendClass = SlowBackend

    def test_fencedWhileWaiting(self) -> None:
        """
        A fence that comes while READ waits counts.
        """
        self.backend.gate = Deferred()
        self.peer.recordReceived(self.call_(self.mint(READ)))
        self.assertEqual(self.output, [])
        self.run_(self.backend.fence(NAME, 6))
        self.backend.gate.callback(None)
        stat, results = self.answer()
        self.assertEqual((stat, results), (0, struct.pack(">II", 70, 0)))

    def call_(self, fh: bytes) -> bytes:
        """
        A READ by the owner.
        """
        return wire.call(
            6,
            arguments(fh),
            credential=wire.authSys(OWNER, GROUP, ()),
            program=100003,
            version=3,
        )
