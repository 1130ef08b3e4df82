"""
What tests of the operations on holes have in common.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.trial.unittest import SynchronousTestCase

from pnfs.nfs4.status import nfsstat4
from pnfs.values import FileType, SetAttributes
from tests.nfs4.fixture import Reply
from tests.nfs4.ops.files import (
    BOB,
    CLAIM_FH,
    READ,
    WRITE,
    FileFixture,
    Opened,
    now,
    openArgs,
)

ANONYMOUS = bytes(16)
BYPASS = b"\xff" * 16


class SparseCase(SynchronousTestCase):
    """
    A file with data and holes, and what may be in the way.
    """

    operation: Any
    number = 0

    def setUp(self) -> None:
        """
        A client, and a file of 4 bytes of data, 4 of hole, and 2 of data.
        """
        self.fixture = FileFixture()
        self.fixture.mount(minor=2)
        self.inode = self.fixture.make(b"file", 0o644)
        self.data = self.fixture.data
        self.data.files[self.inode.handle] = bytearray(b"abcd\0\0\0\0ef")
        now(self.fixture.backend.setattr(self.inode, SetAttributes(size=10)))

    def request(self, stateid: bytes) -> bytes:
        """
        The operation, with arguments that are right.
        """
        raise NotImplementedError

    def open(self, access: int, deny: int = 0, owner: bytes = b"o") -> bytes:
        """
        Open the file. @return: the stateid.
        """
        arguments = openArgs(access=access, deny=deny, owner=owner, claim=CLAIM_FH)
        return Opened(self.fixture.at(self.inode, arguments)).stateid

    def run_(self, wire: bytes, **more: Any) -> Reply:
        """
        Do it to the file. @return: positioned in the result.
        """
        reply = self.fixture.at(more.pop("at", self.inode), wire, **more)
        self.assertEqual(reply.head(), (self.number, 0))
        return reply

    def refused(self, status: str, wire: bytes, **more: Any) -> None:
        """
        It must fail so, and do nothing.
        """
        before = list(self.data.calls)
        reply = self.fixture.at(more.pop("at", self.inode), wire, **more)
        found = nfsstat4(reply.take(self.number)[0])
        self.assertEqual(found.name, "NFS4ERR_" + status)
        self.assertIn(found, self.operation.errors)
        self.assertEqual(self.data.calls, before)


if TYPE_CHECKING:
    _Base = SparseCase
else:
    _Base = object


class SparseChecks(_Base):
    """
    What an operation checks that reads (or writes) bytes; to be mixed in.

    @ivar writes: it changes the file.
    """

    writes = False

    def test_specialStateids(self) -> None:
        """
        The special stateids are accepted (chimera #406, #948).
        """
        self.run_(self.request(ANONYMOUS))
        self.run_(self.request(BYPASS))

    def test_openMode(self) -> None:
        """
        A file that is not open for it is left alone (chimera #947).
        """
        wrong, right = (READ, WRITE) if self.writes else (WRITE, READ)
        self.refused("OPENMODE", self.request(self.open(wrong)))
        self.run_(self.request(self.open(right, owner=b"p")))

    def test_badStateid(self) -> None:
        """
        A stateid of nothing is refused.
        """
        self.refused("BAD_STATEID", self.request(b"\0\0\0\1" + b"x" * 12))

    def test_shareDenied(self) -> None:
        """
        Who opened the file against it is respected, also by special stateids
        (chimera c:45601ca1, c:2a422e3b).
        """
        with self.fixture.another(b"other"):
            self.open(READ, deny=WRITE if self.writes else READ)
        self.fixture.minor = 2
        self.refused("LOCKED", self.request(ANONYMOUS))
        if self.writes:
            self.refused("LOCKED", self.request(BYPASS))

    def test_permission(self) -> None:
        """
        Who may not read or write the file may not do this.
        """
        now(self.fixture.backend.setattr(self.inode, SetAttributes(mode=0o600)))
        self.refused("ACCESS", self.request(ANONYMOUS), credential=BOB)

    def test_wrongType(self) -> None:
        """
        It is for regular files only (chimera #1095).
        """
        for ftype in (FileType.DIR, FileType.LNK, FileType.FIFO):
            other = self.fixture.make(b"other%d" % ftype, 0o755, ftype)
            self.refused("WRONG_TYPE", self.request(ANONYMOUS), at=other)

    def test_grace(self) -> None:
        """
        While others may reclaim what is in its way, a special stateid has to wait.
        """
        self.fixture.server.recovery.inGrace = lambda now: True
        self.refused("GRACE", self.request(ANONYMOUS))

    def test_minor(self) -> None:
        """
        NFSv4.1 does not know it.
        """
        reply = self.fixture.at(self.inode, self.request(ANONYMOUS), minor=1)
        self.assertEqual(reply.head()[1], nfsstat4.NFS4ERR_OP_ILLEGAL)

    def test_truncated(self) -> None:
        """
        Arguments cut short are BADXDR.
        """
        wire = self.request(ANONYMOUS)
        for end in range(4, len(wire)):
            self.refused("BADXDR", wire[:end])
