"""
Tests for L{pnfs.nfs4.ops.read_plus}.
"""

from __future__ import annotations

import struct

from pnfs.nfs4.ops.read_plus import read_plus
from pnfs.nfs4.requests import readPlus
from pnfs.nfs4.results import Results
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import CURRENT_STATEID
from pnfs.values import Segment
from tests.nfs4.ops.files import READ, openArgs
from tests.nfs4.ops.files import CLAIM_FH
from tests.nfs4.ops.sparse import ANONYMOUS, SparseCase, SparseChecks


class ReadPlusTests(SparseChecks, SparseCase):
    """
    READ_PLUS at the metadata server.
    """

    operation = read_plus
    number = 68

    def request(self, stateid: bytes) -> bytes:
        """
        Read all.
        """
        return readPlus(stateid, 0, 100)

    def test_wrongType(self) -> None:
        """
        As with READ, a folder and a symbolic link are told apart.
        """
        for ftype, status in ((2, "ISDIR"), (5, "SYMLINK"), (7, "WRONG_TYPE")):
            other = self.fixture.make(b"other%d" % ftype, 0o755, ftype)
            self.refused(status, self.request(ANONYMOUS), at=other)

    def segments(
        self, offset: int, count: int
    ) -> tuple[bool, list[tuple[int, int, object]]]:
        """
        READ_PLUS: eof, and (offset, count, bytes or None) of each segment.
        """
        reply = self.run_(readPlus(ANONYMOUS, offset, count))
        results = Results(struct.pack(">III", 0, 0, 0) + reply.rest, 0)
        eof, found = results.segments(100)
        self.assertEqual(results.pos, len(results.buf))
        return eof, [(s.offset, s.count, _bytes(s)) for s in found]

    def test_wire(self) -> None:
        """
        Data and holes as RFC 7862, section 15.10, has them, each padded by itself.
        """
        del self.data.files[self.inode.handle][9:]
        reply = self.run_(readPlus(ANONYMOUS, 1, 100))
        self.assertEqual(
            reply.rest,
            struct.pack(">II", 1, 3)
            + struct.pack(">IQI", 0, 1, 3)
            + b"bcd\0"
            + struct.pack(">IQQ", 1, 4, 4)
            + struct.pack(">IQI", 0, 8, 1)
            + b"e\0\0\0",
        )

    def test_segments(self) -> None:
        """
        What was asked for, in order and without gaps; eof with the last byte (READ_PLUS
        as the operation table claims: chimera #407).
        """
        self.assertEqual(
            self.segments(2, 7),
            (False, [(2, 2, b"cd"), (4, 4, None), (8, 1, b"e")]),
        )
        self.assertEqual(self.segments(5, 2), (False, [(5, 2, None)]))
        self.assertEqual(self.segments(9, 1), (True, [(9, 1, b"f")]))

    def test_ends(self) -> None:
        """
        At the end and behind it, or of no bytes, there is nothing, and the data
        servers are not asked for it.
        """
        self.assertEqual(self.segments(10, 0), (True, []))
        self.assertEqual(self.segments(3, 0), (False, []))
        self.assertEqual(self.segments((1 << 63) - 1, 10), (True, []))
        self.assertEqual(self.segments((1 << 64) - 1, 0xFFFFFFFF), (True, []))
        self.assertEqual(self.data.calls, [])
        self.assertEqual(self.segments(20, 5), (True, []))

    def test_counted(self) -> None:
        """
        Only bytes that were sent count as read.
        """
        self.segments(0, 10)
        self.assertEqual(self.fixture.server.readBytes, 6)

    def test_room(self) -> None:
        """
        No more is read than fits into the reply, heads included.
        """
        self.data.files[self.inode.handle] = bytearray(b"x\0" * 5)
        huge = readPlus(ANONYMOUS, 0, 0xFFFFFFFF)
        self.run_(huge)
        _, _, count = self.data.calls[-1]
        self.assertLess(count, 1049480 - 256)
        self.assertGreater(count, 1 << 20)

    def test_currentStateid(self) -> None:
        """
        The stateid of an OPEN in the same COMPOUND will do.
        """
        reply = self.fixture.at(
            self.inode,
            openArgs(access=READ, claim=CLAIM_FH),
            readPlus(CURRENT_STATEID, 0, 4),
        )
        self.assertEqual(reply.status, nfsstat4.NFS4_OK)


def _bytes(segment: Segment) -> object:
    if segment.pieces is None:
        return None
    return b"".join(bytes(piece) for piece in segment.pieces)  # type: ignore[arg-type]
