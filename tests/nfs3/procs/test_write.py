"""
Tests of L{pnfs.nfs3.procs.write}.
"""

from __future__ import annotations

import struct

from pnfs.namespace.filehandles import CONTROL, READ, WRITE
from pnfs.namespace.squash import Squash
from pnfs.nfs3.status import nfsstat3
from tests.contracts.data import readBytes
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


def arguments(
    fh: bytes, data: bytes = b"abc", offset: int = 0, stable: int = 0, count: int = -1
) -> bytes:
    """
    C{WRITE3args}.
    """
    if count < 0:
        count = len(data)
    return fh + struct.pack(">QII", offset, count, stable) + opaque(data)


class WriteTests(DataServerTestCase):
    """
    WRITE to a data file.
    """

    def contents(self) -> bytes:
        """
        What is in the object.
        """
        return readBytes(self.run_(self.backend.read(NAME, 0, 1 << 20)))

    def test_write(self) -> None:
        """
        The bytes arrive; count, stability and verifier come back.
        """
        for stable in (0, 1, 2):
            results = self.ask(
                "WRITE", arguments(self.mint(WRITE), b"abcde", 3, stable)
            )
            self.assertEqual(len(results), 28)
            status, before, after, count, committed, verifier = struct.unpack(
                ">5I8s", results
            )
            self.assertEqual((status, before, after, count), (0, 0, 0, 5))
            self.assertGreaterEqual(committed, stable)
            self.assertEqual(verifier, b"boot-001")
        self.assertEqual(self.contents(), b"012abcde89")

    def test_nothing(self) -> None:
        """
        A WRITE of no bytes is fine.
        """
        self.assertEqual(self.status("WRITE", arguments(self.mint(WRITE), b"")), 0)
        self.assertEqual(self.contents(), b"0123456789")

    def test_tooMuch(self) -> None:
        """
        Of a WRITE larger than we offer a part is taken, and we say how much.
        """
        results = self.ask("WRITE", arguments(self.mint(WRITE), b"x" * 70000))
        self.assertEqual(struct.unpack_from(">4I", results), (0, 0, 0, 65536))

    def test_refused(self) -> None:
        """
        A read handle, a fenced one, and a user without the right cannot write; not
        a byte changes.
        """
        acces, stale = nfsstat3.NFS3ERR_ACCES, nfsstat3.NFS3ERR_STALE
        self.assertEqual(self.status("WRITE", arguments(self.mint(READ))), acces)
        self.assertEqual(self.status("WRITE", arguments(self.mint(WRITE, 4))), stale)
        for uid, gid in ((7, GROUP), (7, 7)):
            status = self.status("WRITE", arguments(self.mint(WRITE)), uid=uid, gid=gid)
            self.assertEqual(status, acces)
        self.assertEqual(self.contents(), b"0123456789")
        self.assertEqual(self.status("WRITE", arguments(self.mint(CONTROL, 0))), 0)

    def test_squash(self) -> None:
        """
        A handle that squashes root does so over NFSv3, too.
        """
        for squash, uid, status in (
            (Squash(), 0, nfsstat3.NFS3ERR_ACCES),
            (Squash(root=False), 0, 0),
            (Squash(uid=OWNER), 0, 0),
            (Squash(all=True), OWNER, nfsstat3.NFS3ERR_ACCES),
        ):
            fh = opaque(self.capabilities.mint(WRITE, 5, NAME, squash))
            self.assertEqual(self.status("WRITE", arguments(fh), uid=uid), status)

    def test_handles(self) -> None:
        """
        Bad, stale, and not of a file.
        """
        for fh, status in (
            (opaque(bytes(64)), nfsstat3.NFS3ERR_BADHANDLE),
            (opaque(bytes(65)), nfsstat3.NFS3ERR_BADHANDLE),
            (self.mint(WRITE, 5, b"ff"), nfsstat3.NFS3ERR_STALE),
            (self.mint(CONTROL, 0, b""), nfsstat3.NFS3ERR_INVAL),
        ):
            results = self.ask("WRITE", arguments(fh))
            self.assertEqual(results, struct.pack(">3I", status, 0, 0))

    def test_badArguments(self) -> None:
        """
        A count that is not that of the data, and a stability that is none.
        """
        args = arguments(self.mint(WRITE), count=4)
        self.assertEqual(self.status("WRITE", args), nfsstat3.NFS3ERR_INVAL)
        stat, _ = self.record(
            captured.WRITE.replace(b"\0\0\0\1\0\0\0\6h", b"\0\0\0\3\0\0\0\6h")
        )
        self.assertEqual(stat, GARBAGE_ARGS)
        self.assertEqual(self.contents(), b"0123456789")

    def test_full(self) -> None:
        """
        Out of space, and beyond what a file can hold.
        """
        args = arguments(self.mint(WRITE), offset=(1 << 64) - 2)
        self.assertEqual(self.status("WRITE", args), nfsstat3.NFS3ERR_FBIG)
        self.backend.capacity = 0
        args = arguments(self.mint(WRITE), offset=1 << 20)
        self.assertEqual(self.status("WRITE", args), nfsstat3.NFS3ERR_NOSPC)

    def test_captured(self) -> None:
        """
        A real client's call is understood: the handle is not ours, no more; and
        every truncation of it (but of the padding) is garbage.
        """
        stat, results = self.record(captured.WRITE)
        self.assertEqual((stat, results), (0, struct.pack(">III", 10001, 0, 0)))
        for end in range(captured.ARGUMENTS, len(captured.WRITE) - 2):
            stat, _ = self.record(captured.WRITE[:end])
            self.assertEqual(stat, GARBAGE_ARGS)


class SlowWriteTests(WriteTests):
    """
    The same when nothing can be answered at once.
    """

    backendClass = SlowBackend
