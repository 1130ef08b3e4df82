"""
Tests for L{pnfs.nfs4.ops.io_advise}.
"""

from __future__ import annotations

from pnfs.nfs4.ops.io_advise import io_advise
from pnfs.nfs4.requests import ioAdvise
from pnfs.nfs4.types import decodeBitmap
from tests.nfs4.ops.files import WRITE
from tests.nfs4.ops.sparse import ANONYMOUS, SparseCase, SparseChecks


class AdviseTests(SparseChecks, SparseCase):
    """
    IO_ADVISE at the metadata server.
    """

    operation = io_advise
    number = 63

    def request(self, stateid: bytes) -> bytes:
        """
        It will be read from front to back.
        """
        return ioAdvise(stateid, 0, 100, 1 << 1)

    def hints(self, hints: int, offset: int = 0, count: int = 0) -> int:
        """
        IO_ADVISE: the hints that matter.
        """
        reply = self.run_(ioAdvise(ANONYMOUS, offset, count, hints))
        found, pos = decodeBitmap(reply.wire, reply.pos)
        self.assertEqual(pos, len(reply.wire))
        return found

    def test_hints(self) -> None:
        """
        Those that the data servers act upon come back (IO_ADVISE as the operation table
        claims: chimera #408).
        """
        self.assertEqual(self.hints(0b1111, 5, 7), 0b111)
        self.assertEqual(self.data.calls, [("advise", 5, 7, 0b1111)])

    def test_unknown(self) -> None:
        """
        Hints of a later version do not harm, and nobody is asked about nothing.
        """
        self.assertEqual(self.hints(1 << 40 | 1 << 11), 0)
        self.assertEqual(self.hints(0), 0)
        self.assertEqual(self.data.calls, [])

    def test_range(self) -> None:
        """
        A range must have an end.
        """
        self.refused("INVAL", ioAdvise(ANONYMOUS, 5, (1 << 64) - 5, 1))

    def test_writer(self) -> None:
        """
        Who has the file open for writing alone may say how it writes.
        """
        self.run_(self.request(self.open(WRITE)))

    def test_openMode(self) -> None:
        """
        A file need not be open for reading to have hints about it.
        """
        self.run_(self.request(self.open(WRITE, owner=b"p")))
