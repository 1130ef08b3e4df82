"""
Tests for L{pnfs.nfs4.ops.seek}.
"""

from __future__ import annotations

from pnfs.nfs4.ops.seek import SEEK4resok
from pnfs.nfs4.ops.seek import seek as seekOperation
from pnfs.nfs4.requests import seek
from pnfs.xdr.codec import codecFor
from tests.nfs4.ops.files import WRITE
from tests.nfs4.ops.sparse import ANONYMOUS, SparseCase, SparseChecks

DATA, HOLE = 0, 1


class SeekTests(SparseChecks, SparseCase):
    """
    SEEK at the metadata server.
    """

    operation = seekOperation
    number = 69

    def request(self, stateid: bytes) -> bytes:
        """
        Look for a hole.
        """
        return seek(stateid, 0, HOLE)

    def find(self, offset: int, what: int) -> tuple[bool, int]:
        """
        SEEK: eof and offset.
        """
        reply = self.run_(seek(ANONYMOUS, offset, what))
        found, _ = codecFor(SEEK4resok).decode(reply.wire, reply.pos)
        return found.sr_eof, found.sr_offset

    def test_find(self) -> None:
        """
        The next data and the next hole, from within and from before.
        """
        for offset, what, expected in (
            (0, DATA, 0),
            (0, HOLE, 4),
            (5, HOLE, 5),
            (5, DATA, 8),
            (9, DATA, 9),
        ):
            self.assertEqual(self.find(offset, what), (False, expected))

    def test_holeAtEnd(self) -> None:
        """
        Every file has a hole at its end; nothing follows it, and the reply says so
        (chimera c:18d275fa, c:1800983d).
        """
        self.assertEqual(self.find(8, HOLE), (True, 10))

    def test_noData(self) -> None:
        """
        That no data is left is no error, but eof.
        """
        self.data.files[self.inode.handle][8:] = b"\0\0"
        self.assertEqual(self.find(4, DATA), (True, 10))

    def test_behind(self) -> None:
        """
        There is nothing to be found from the end on (chimera c:1800983d).
        """
        for offset in (10, 11, 1 << 63, (1 << 64) - 1):
            for what in (DATA, HOLE):
                self.refused("NXIO", seek(ANONYMOUS, offset, what))

    def test_what(self) -> None:
        """
        Content of another kind is unknown (chimera #418).
        """
        for what in (2, 3, 1 << 31):
            self.refused("UNION_NOTSUPP", seek(ANONYMOUS, 0, what))

    def test_asks(self) -> None:
        """
        While a client may write through a layout the data servers are asked for the
        size: else what it wrote would not be found.
        """
        self.open(WRITE)
        self.fixture.server.layouts.grant(
            self.inode.state, self.fixture.client, 1, (), [(2, 0, 1 << 64)]
        )
        self.find(0, DATA)
        self.assertEqual([call[0] for call in self.data.calls], ["refresh", "seek"])
