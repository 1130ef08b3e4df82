"""
Tests of L{pnfs.nfs4.ops.clone}.
"""

from __future__ import annotations

import struct
from typing import Any, Optional

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import CrossDevice
from pnfs.nfs4.ops.clone import clone
from pnfs.nfs4.ops.savefh import savefh
from pnfs.nfs4.requests import SAVEFH, clone as cloneArgs, putfh
from pnfs.nfs4.status import nfsstat4
from pnfs.values import FileType, FSStatistics, SetAttributes
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

BLOCK = 512
TEXT = bytes(range(256)) * 16 + b"tail"


class CloneTests(SynchronousTestCase):
    """
    CLONE at the metadata server.
    """

    def setUp(self) -> None:
        """
        A client, with a file of 4100 bytes and an empty one open.
        """
        self.files = FileFixture(savefh, clone)
        self.files.mount(minor=2)
        self.space = FSStatistics(0, 0, 0, 0, 0, 0, BLOCK)
        self.files.export.space = lambda: self.space
        self.source = self.make(b"a", TEXT)
        self.target = self.make(b"b", b"")
        self.reading = self.open(self.source, READ)
        self.writing = self.open(self.target, WRITE)

    def make(self, name: bytes, data: bytes) -> Any:
        """
        A file with bytes in it.
        """
        inode = self.files.make(name)
        self.files.data.files[inode.handle] = bytearray(data)
        now(self.files.backend.setattr(inode, SetAttributes(size=len(data))))
        return inode

    def open(self, inode: Any, access: int) -> bytes:
        """
        Open a file. @return: the stateid.
        """
        reply = self.files.at(inode, openArgs(access=access, claim=CLAIM_FH))
        return Opened(reply).stateid

    def status(
        self,
        sourceOffset: int = 0,
        offset: int = 0,
        count: int = 0,
        stateids: Optional[tuple[bytes, bytes]] = None,
        source: Any = None,
        target: Any = None,
        **more: Any,
    ) -> str:
        """
        How a CLONE ends, without C{NFS4ERR_}.
        """
        files = self.files
        reply = files.run(
            putfh(files.fh(source or self.source)),
            SAVEFH,
            putfh(files.fh(target or self.target)),
            cloneArgs(
                sourceOffset, offset, count, stateids or (self.reading, self.writing)
            ),
            **more,
        )
        return nfsstat4(reply.status).name.replace("NFS4ERR_", "")

    def content(self) -> bytes:
        """
        Of the destination.
        """
        return bytes(self.files.data.files[self.target.handle])

    def test_wire(self) -> None:
        """
        Arguments as in RFC 7862, section 15.13.1.
        """
        self.assertEqual(
            cloneArgs(1, 2, 3, (b"s" * 16, b"d" * 16)),
            struct.pack(">I", 71)
            + b"s" * 16
            + b"d" * 16
            + struct.pack(">QQQ", 1, 2, 3),
        )

    def test_all(self) -> None:
        """
        A count of 0 means to the end of the source, which need not be aligned.
        """
        self.assertEqual(self.status(), "NFS4_OK")
        self.assertEqual(self.content(), TEXT)

    def test_range(self) -> None:
        """
        Aligned ranges go to aligned places.
        """
        self.assertEqual(self.status(BLOCK, 3 * BLOCK, 2 * BLOCK), "NFS4_OK")
        self.assertEqual(self.content(), bytes(3 * BLOCK) + TEXT[BLOCK : 3 * BLOCK])
        self.assertEqual(self.status(8 * BLOCK, 0, 4), "NFS4_OK")

    def test_nothing(self) -> None:
        """
        There may be nothing to share.
        """
        empty = self.make(b"e", b"")
        stateid = self.open(empty, READ)
        self.assertEqual(
            self.status(source=empty, stateids=(stateid, self.writing)), "NFS4_OK"
        )
        self.assertEqual(self.content(), b"")

    def test_unaligned(self) -> None:
        """
        Ranges that are not aligned to C{clone_blksize} are refused.
        """
        for arguments in (
            (1, 0, BLOCK),
            (0, 1, BLOCK),
            (0, 0, BLOCK + 1),
            (0, 0, len(TEXT) - 1),
        ):
            self.assertEqual(self.status(*arguments), "INVAL")

    def test_beyondEnd(self) -> None:
        """
        A range that the source does not have is refused (chimera #1608).
        """
        for offset, count in (
            (0, 9 * BLOCK),
            (9 * BLOCK, 0),
            (16 * BLOCK, BLOCK),
            (BLOCK, (1 << 64) - BLOCK),
        ):
            self.assertEqual(self.status(offset, 0, count), "INVAL")
        self.assertEqual(self.content(), b"")

    def test_sameFile(self) -> None:
        """
        Within one file ranges must not overlap.
        """
        both = self.open(self.source, BOTH)
        more = {"stateids": (both, both), "target": self.source}
        self.assertEqual(self.status(0, BLOCK, 2 * BLOCK, **more), "INVAL")
        self.assertEqual(self.status(0, 16 * BLOCK, 2 * BLOCK, **more), "NFS4_OK")

    def test_cannot(self) -> None:
        """
        Where the storage cannot share bytes CLONE is not supported; where only these
        files cannot, another answer makes the client copy.
        """
        self.files.data.failure = CrossDevice("elsewhere")
        self.assertEqual(self.status(), "XDEV")
        self.space = FSStatistics(0, 0, 0, 0, 0, 0)
        self.assertEqual(self.status(), "NOTSUPP")

    def test_rights(self) -> None:
        """
        As for COPY: both files open for it, permissions, and no read-only export.
        """
        self.assertEqual(
            self.status(stateids=(self.writing, self.writing)), "BAD_STATEID"
        )
        self.assertEqual(
            self.status(stateids=(self.reading, self.reading)), "BAD_STATEID"
        )
        other = self.files.make(b"c")
        stateid = self.open(other, READ)
        self.assertEqual(
            self.status(stateids=(self.reading, stateid), target=other), "OPENMODE"
        )
        self.assertEqual(self.status(credential=BOB), "ACCESS")
        folder = self.files.make(b"d", ftype=FileType.DIR)
        self.assertEqual(self.status(source=folder), "WRONG_TYPE")
        self.files.export.readOnly = True
        self.assertEqual(self.status(), "ROFS")

    def test_setuid(self) -> None:
        """
        What is shared into a setuid program does not run as its owner.
        """
        now(self.files.backend.setattr(self.target, SetAttributes(mode=0o4755)))
        self.assertEqual(self.status(), "NFS4_OK")
        self.assertEqual(self.target.mode, 0o755)
