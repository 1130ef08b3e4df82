"""
Tests for L{pnfs.nfs4.ops.allocate} and L{pnfs.nfs4.ops.deallocate}.
"""

from __future__ import annotations

from pnfs.backends.errors import NoSpace, QuotaExceeded, Unreachable, Unsupported
from pnfs.nfs4.ops.allocate import allocate as allocateOperation
from pnfs.nfs4.ops.deallocate import deallocate as deallocateOperation
from pnfs.nfs4.requests import allocate, deallocate
from pnfs.nfs4.status import nfsstat4
from pnfs.values import SetAttributes
from tests.nfs4.ops.files import BOB, now
from tests.nfs4.ops.sparse import ANONYMOUS, SparseCase, SparseChecks


class _Changes(SparseCase):
    """
    What both have in common.
    """

    def test_readOnly(self) -> None:
        """
        Nothing changes in an export that is read-only.
        """
        self.fixture.export.readOnly = True
        self.refused("ROFS", self.request(ANONYMOUS))

    def test_setuid(self) -> None:
        """
        Whoever changes the bytes of a program takes its privileges away.
        """
        now(self.fixture.backend.setattr(self.inode, SetAttributes(mode=0o6777)))
        self.run_(self.request(ANONYMOUS), credential=BOB)
        self.assertEqual(self.inode.mode, 0o777)

    def test_backend(self) -> None:
        """
        What a data server cannot do is told as what it is.
        """
        for failure, status in (
            (NoSpace(), "NOSPC"),
            (QuotaExceeded(), "DQUOT"),
            (Unsupported(), "NOTSUPP"),
            (Unreachable(), "DELAY"),
        ):

            async def fail(*args: object, failure: Exception = failure) -> None:
                raise failure

            self.data.allocate = fail  # type: ignore[method-assign,assignment]
            self.data.deallocate = fail  # type: ignore[method-assign,assignment]
            self.refused(status, self.request(ANONYMOUS))


class AllocateTests(SparseChecks, _Changes):
    """
    ALLOCATE at the metadata server.
    """

    operation = allocateOperation
    number = 59
    writes = True

    def request(self, stateid: bytes) -> bytes:
        """
        Reserve some bytes.
        """
        return allocate(stateid, 2, 20)

    def test_grows(self) -> None:
        """
        A range that ends behind the file makes it larger, and keeps what is there.
        """
        self.run_(allocate(ANONYMOUS, 5, 10))
        self.assertEqual(self.inode.size, 15)
        self.assertEqual(
            bytes(self.data.files[self.inode.handle]), b"abcd\0\0\0\0ef" + bytes(5)
        )

    def test_range(self) -> None:
        """
        A range without bytes, or without an end, is none; one that no file can have
        is too big.
        """
        for offset, length, status in (
            (0, 0, "INVAL"),
            ((1 << 64) - 1, 1 << 63, "INVAL"),
            (2, (1 << 64) - 2, "INVAL"),
            (0, (1 << 64) - 1, "FBIG"),
            ((1 << 63) - 1, 1, "FBIG"),
        ):
            self.refused(status, allocate(ANONYMOUS, offset, length))


class DeallocateTests(SparseChecks, _Changes):
    """
    DEALLOCATE at the metadata server.
    """

    operation = deallocateOperation
    number = 62
    writes = True

    def request(self, stateid: bytes) -> bytes:
        """
        Make a hole.
        """
        return deallocate(stateid, 2, 20)

    def test_hole(self) -> None:
        """
        The range is zeros; the size is what it was.
        """
        self.run_(deallocate(ANONYMOUS, 2, 100))
        self.assertEqual(bytes(self.data.files[self.inode.handle]), b"ab" + bytes(8))
        self.assertEqual(self.inode.size, 10)

    def test_range(self) -> None:
        """
        A range without bytes, or without an end, is none; one that goes farther than
        a file can is cut there.
        """
        for offset, length in ((0, 0), ((1 << 64) - 1, 1), (2, (1 << 64) - 2)):
            self.refused("INVAL", deallocate(ANONYMOUS, offset, length))
        self.run_(deallocate(ANONYMOUS, 1, (1 << 64) - 3))
        self.assertEqual(self.data.calls[-1], ("deallocate", 1, (1 << 63) - 2))
        self.run_(deallocate(ANONYMOUS, 1 << 63, 5))
        self.assertEqual(len(self.data.calls), 1)

    def test_unknown(self) -> None:
        """
        Nothing is done without a filehandle.
        """
        reply = self.fixture.run(deallocate(ANONYMOUS, 0, 1))
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_NOFILEHANDLE)


del _Changes
