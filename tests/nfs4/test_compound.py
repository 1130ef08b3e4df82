"""
Tests of L{pnfs.nfs4.compound}: the loop over operations.
"""

from __future__ import annotations

import struct
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import NoSpace
from pnfs.metrics import Latency
from pnfs.nfs4.compound import MODIFYING_REPLY, CompoundServer
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import hotOperation, okHeader, operation
from pnfs.nfs4.ops.create_session import channel_attrs4
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import uint32_t
from pnfs.rpc.program import Call
from pnfs.values import FileSlice
from pnfs.xdr.errors import XDRError
from tests.nfs4.fixture import (
    Fixture,
    Reply,
    args,
    compoundArgs,
    sequenceArgs,
    serve,
)

ILLEGAL = 10044


@operation(9, "GETATTR", args=uint32_t, resok=uint32_t)
def double(ctx: CompoundContext, value: int) -> int:
    """
    Answers twice its argument.
    """
    return value * 2


@operation(38, "WRITE", args=uint32_t, modifies=True)
def note(ctx: CompoundContext, value: int) -> None:
    """
    Changes something.
    """
    ctx.server.walks[b"noted"] = [b"%d" % value]


def number(op: int, value: int) -> bytes:
    """
    An operation with a number for its argument.
    """
    return struct.pack(">II", op, value)


class CompoundTests(SynchronousTestCase):
    """
    Operations in order, until one fails.
    """

    def setUp(self) -> None:
        """
        A server with some operations of the tests' own.
        """
        self.gate: Deferred[Any] = Deferred()
        self.raised: Exception = NFSError(nfsstat4.NFS4ERR_NOENT)
        self.released: list[str] = []
        self.size = 100
        case = self

        @operation(25, "READ")
        async def wait(ctx: CompoundContext) -> None:
            """
            Waits.
            """
            await case.gate

        @operation(15, "LOOKUP")
        def fail(ctx: CompoundContext) -> None:
            """
            Raises.
            """
            raise case.raised

        @hotOperation(26, "READDIR")
        def much(ctx: CompoundContext, buf: Any, pos: int) -> int:
            """
            A long answer, with a piece of a file.
            """
            ctx.out.append(okHeader(26))
            ctx.out.append(
                FileSlice(-1, 0, case.size, lambda: case.released.append("released"))
            )
            return pos

        self.fixture = Fixture(None, double, note, wait, fail, much)
        self.fixture.mount()

    def test_inOrder(self) -> None:
        """
        Results stand in the order of the operations.
        """
        reply = self.fixture.run(number(9, 4), number(9, 5))
        self.assertEqual((reply.status, reply.count), (0, 3))
        self.assertEqual(reply.rest, struct.pack(">6I", 9, 0, 8, 9, 0, 10))

    def test_stops(self) -> None:
        """
        The first failure is the last result (the COMPOUND has its status, and
        processing stops: chimera #265, #406).
        """
        reply = self.fixture.run(number(9, 4), args(15), number(9, 5))
        self.assertEqual((reply.status, reply.count), (2, 3))
        self.assertEqual(reply.rest, struct.pack(">5I", 9, 0, 8, 15, 2))

    def test_tag(self) -> None:
        """
        The tag comes back, padded; one that is no UTF-8 is INVAL, one that is too long
        no COMPOUND (non-UTF-8 tag rejected: chimera #284).
        """
        for tag in (b"x", b"four", "Käse".encode()):
            self.assertEqual(self.fixture.run(number(9, 1), tag=tag).tag, tag)
        for tag in (b"\xed\xa0\x80", b"\xef\xbf\xbe", b"\xc0\xaf"):
            reply = self.fixture.compound(tag=tag)
            self.assertEqual(reply.status, nfsstat4.NFS4ERR_INVAL)
        reply = self.fixture.compound(tag=b"\xff")
        self.assertEqual((reply.status, reply.count), (nfsstat4.NFS4ERR_INVAL, 0))
        self.assertRaises(XDRError, self.fixture.compound, tag=b"t" * 1025)

    def test_minor(self) -> None:
        """
        Versions that are not spoken here are told so.
        """
        for minor in (0, 3, 0xFFFFFFFF):
            reply = self.fixture.compound(number(9, 1), minor=minor)
            self.assertEqual(reply.status, nfsstat4.NFS4ERR_MINOR_VERS_MISMATCH)
            self.assertEqual(reply.count, 0)

    def test_truncated(self) -> None:
        """
        Arguments that are no COMPOUND are for the RPC layer to refuse, however
        short.
        """
        wire = compoundArgs((), tag=b"tagged")
        for length in range(len(wire)):
            self.assertRaises(
                XDRError, self.fixture.compounds.compound, None, wire[:length], 0
            )

    def test_truncatedOperation(self) -> None:
        """
        Operations that are cut off, or announced but not there, are BADXDR; what
        came before them has been done.
        """
        for op, result in (
            (struct.pack(">I", 9), (9, nfsstat4.NFS4ERR_BADXDR)),
            (b"\0\0", (ILLEGAL, nfsstat4.NFS4ERR_BADXDR)),
            (b"", (ILLEGAL, nfsstat4.NFS4ERR_BADXDR)),
        ):
            self.fixture.sequenceid += 1
            head = sequenceArgs(self.fixture.sessionid, self.fixture.sequenceid)
            reply = self.raw(struct.pack(">III", 0, 1, 3) + head + number(9, 1) + op)
            reply.takeSequence()
            reply.take(9, None)
            reply.pos += 4
            self.assertEqual(reply.head(), result)

    def raw(self, wire: bytes) -> Reply:
        """
        Have raw COMPOUND arguments served.
        """
        fixture = self.fixture
        call = Call(1, fixture.credential, fixture.connection, len(wire))
        outcome: list[Any] = []
        serve(fixture.compounds, call, wire, outcome.append, outcome.append)
        return Reply(b"".join(outcome[0]))

    def test_illegal(self) -> None:
        """
        Numbers that no version has are OP_ILLEGAL; those that this server does not have
        are NOTSUPP; those of a later minor version are illegal in this one (opcode out
        of range is an OP_ILLEGAL result: chimera #340).
        """
        for op, minor, result in (
            (0, 1, (ILLEGAL, nfsstat4.NFS4ERR_OP_ILLEGAL)),
            (2, 1, (ILLEGAL, nfsstat4.NFS4ERR_OP_ILLEGAL)),
            (76, 2, (ILLEGAL, nfsstat4.NFS4ERR_OP_ILLEGAL)),
            (0xFFFFFFFF, 1, (ILLEGAL, nfsstat4.NFS4ERR_OP_ILLEGAL)),
            (ILLEGAL, 1, (ILLEGAL, nfsstat4.NFS4ERR_OP_ILLEGAL)),
            (7, 1, (7, nfsstat4.NFS4ERR_NOTSUPP)),
            (68, 2, (68, nfsstat4.NFS4ERR_NOTSUPP)),
        ):
            reply = self.fixture.run(args(op), minor=minor)
            self.assertEqual(reply.head(), result, (op, minor))
        reply = self.fixture.run(args(68), minor=1)
        self.assertEqual(reply.head()[1], nfsstat4.NFS4ERR_OP_ILLEGAL)

    def test_sequenceFirst(self) -> None:
        """
        Without SEQUENCE there is only what makes sessions, and that alone; SEQUENCE
        stands only at the beginning.
        """
        fixture = self.fixture
        reply = fixture.compound(number(9, 1))
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_OP_NOT_IN_SESSION)
        status, _ = fixture.exchangeId(b"other")
        self.assertEqual(status, 0)
        bind = struct.pack(">I16sII", 41, fixture.sessionid, 1, 0)
        reply = fixture.compound(bind, number(9, 1))
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_NOT_ONLY_OP)
        again = struct.pack(">I16sIIII", 53, fixture.sessionid, 1, 0, 0, 0)
        self.assertEqual(fixture.run(again).status, nfsstat4.NFS4ERR_SEQUENCE_POS)

    def test_nothing(self) -> None:
        """
        A COMPOUND of nothing succeeds.
        """
        reply = self.fixture.compound()
        self.assertEqual((reply.status, reply.count), (0, 0))

    def test_backendError(self) -> None:
        """
        What backends raise is told by its status, and counted.
        """
        self.raised = NoSpace("full")
        self.assertEqual(self.fixture.run(args(15)).status, nfsstat4.NFS4ERR_NOSPC)
        self.assertEqual(self.fixture.server.failed[(15, 28)], 1)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_defect(self) -> None:
        """
        A defect is SERVERFAULT with a traceback in the log, and the server goes on.
        """
        self.raised = ZeroDivisionError()
        self.assertEqual(
            self.fixture.run(args(15)).status, nfsstat4.NFS4ERR_SERVERFAULT
        )
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.fixture.run(number(9, 1)).status, 0)

    def test_waits(self) -> None:
        """
        An operation that waits holds up its COMPOUND only.
        """
        waiting = self.fixture.sendRun(args(25), number(9, 7))
        self.assertEqual(waiting, [])
        self.assertEqual(self.fixture.exchangeId(b"other")[0], 0)
        self.gate.callback(None)
        self.assertEqual(waiting[0].status, 0)

    def test_cancelled(self) -> None:
        """
        A server that stops tells those who wait to come again; nothing is logged.
        """
        waiting = self.fixture.sendRun(args(25))
        self.gate.errback(CancelledError())
        self.assertEqual(waiting[0].status, nfsstat4.NFS4ERR_DELAY)

    def limited(self, response: int, cached: int) -> None:
        """
        A session whose replies are limited.
        """
        fixture = self.fixture
        _, found = fixture.exchangeId(b"limited")
        attributes = channel_attrs4(0, 8192, response, cached, 8, 4, [])
        _, made = fixture.createSession(
            found.eir_clientid, found.eir_sequenceid, fore=attributes
        )
        fixture.sessionid = made.csr_sessionid
        fixture.sequenceid = 0

    def test_tooBig(self) -> None:
        """
        A reply over the session's limit is refused, and the file it would have
        been sent from given back.
        """
        self.limited(4096, 4096)
        self.size = 5000
        reply = self.fixture.run(args(26))
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_REP_TOO_BIG)
        self.assertEqual(self.released, ["released"])
        reply = self.fixture.run(args(26), cache=1)
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE)

    def test_modifying(self) -> None:
        """
        Nothing is changed whose reply might not fit.
        """
        self.limited(MODIFYING_REPLY, MODIFYING_REPLY)
        reply = self.fixture.run(number(38, 1))
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_REP_TOO_BIG)
        self.assertEqual(self.fixture.server.walks, {})
        self.limited(8192, 8192)
        self.assertEqual(self.fixture.run(number(38, 1)).status, 0)
        self.assertEqual(self.fixture.server.walks, {b"noted": [b"1"]})

    def test_counts(self) -> None:
        """
        Successes are counted by operation, failures by status too, and one
        COMPOUND in 64 is timed.
        """
        server = self.fixture.server
        server.latency = Latency()
        for _ in range(128):
            self.fixture.run(number(9, 1))
        self.assertEqual(server.done[9], 128)
        self.assertEqual(sum(server.latency.counts), 2)
        self.fixture.run(args(15))
        self.assertEqual(server.failed, {(15, 2): 1})

    def test_null(self) -> None:
        """
        NULL answers nothing.
        """
        procedures = CompoundServer(self.fixture.server, {}).procedures()
        self.assertEqual(procedures[0](None, b"", 0), [])
