"""
Tests for L{pnfs.nfs4.ops.sequence}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.create_session import channel_attrs4
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.rpc.auth import encodeAuthSys
from pnfs.rpc.message import callHeader
from pnfs.rpc.peer import Peer
from pnfs.rpc.program import Call, Program
from pnfs.state.sessions import (
    SEQ4_STATUS_CB_PATH_DOWN,
    SEQ4_STATUS_RECALLABLE_STATE_REVOKED,
)
from pnfs.values import Credential
from tests.nfs4.fixture import Fixture, Reply, args, compoundArgs, sequenceArgs

OTHER = Credential(1000, 1000, frozenset({1000}), 1)
WORK = args(38)
FAIL = args(4)
BIG = args(25)


class SequenceTests(SynchronousTestCase):
    """
    SEQUENCE, as whole COMPOUNDs.
    """

    def setUp(self) -> None:
        self.done = 0
        self.blocked: Any = None

        async def work(ctx: Any) -> None:
            if self.blocked is not None:
                await self.blocked
            self.done += 1

        def fail(ctx: Any) -> None:
            raise NFSError(nfsstat4.NFS4ERR_BAD_STATEID)

        def big(ctx: Any) -> None:
            ctx.out.append(bytes(8000))

        self.fixture = Fixture(
            None,
            operation(38, "WORK")(work),
            operation(4, "FAIL")(fail),
            operation(25, "BIG")(big),
        )
        self.fixture.mount()
        self.session = self.fixture.session
        self.next = self.fixture.sequenceid

    def ask(
        self,
        *ops: bytes,
        slot: int = 1,
        sequenceid: int = 1,
        highest: int = 1,
        cache: int = 0,
        **more: Any,
    ) -> Reply:
        """
        A COMPOUND on a slot that nothing else uses.
        """
        head = sequenceArgs(self.session.id, sequenceid, slot, highest, cache)
        return self.fixture.compound(head, *ops, **more)

    def refused(self, status: int, *ops: bytes, **more: Any) -> None:
        """
        SEQUENCE fails and leaves the slot as it was.
        """
        before = self.done
        reply = self.ask(*ops, **more)
        self.assertEqual((reply.status, reply.count), (status, 1))
        self.assertEqual(reply.take(53)[0], status)
        self.assertEqual(self.done, before)

    def test_result(self) -> None:
        """
        The result names session, sequence ID and slot, and the slots there are.
        """
        reply = self.ask(WORK)
        self.assertEqual((reply.status, reply.count), (0, 2))
        self.assertEqual(reply.takeSequence(), (self.session.id, 1, 1, 63, 63, 0))
        self.assertEqual(self.done, 1)

    def test_retryCached(self) -> None:
        """
        A retry of a request whose reply was to be kept gets that reply, and nothing
        is done twice.
        """
        first = self.ask(WORK, cache=1)
        again = self.ask(WORK, cache=1)
        self.assertEqual((again.wire, self.done), (first.wire, 1))

    def test_retryElsewhere(self) -> None:
        """
        The retry may come over another connection, which is bound by it.
        """
        first = self.ask(WORK, cache=1)
        connection = self.fixture.connect()
        again = self.ask(WORK, cache=1, connection=connection)
        self.assertEqual(again.wire, first.wire)
        self.assertIn(connection, self.session.fore)

    def test_retryUncached(self) -> None:
        """
        A retry of a request whose reply was not kept says so in the place of the
        second operation, after SEQUENCE's own result.
        """
        self.ask(WORK, tag=b"tag")
        again = self.ask(WORK, tag=b"tag")
        self.assertEqual(
            (again.status, again.tag, again.count),
            (nfsstat4.NFS4ERR_RETRY_UNCACHED_REP, b"tag", 2),
        )
        self.assertEqual(again.takeSequence()[:3], (self.session.id, 1, 1))
        self.assertEqual(again.head(), (38, nfsstat4.NFS4ERR_RETRY_UNCACHED_REP))
        self.assertEqual((again.rest, self.done), (b"", 1))

    def test_retryAlone(self) -> None:
        """
        SEQUENCE on its own can always be repeated.
        """
        self.assertEqual(self.ask().wire, self.ask().wire)

    def test_retryFailed(self) -> None:
        """
        The failure of a later operation is repeated as well.
        """
        first = self.ask(FAIL, cache=1)
        self.assertEqual(first.status, nfsstat4.NFS4ERR_BAD_STATEID)
        self.assertEqual(self.ask(FAIL, cache=1).wire, first.wire)

    def test_retryUnsent(self) -> None:
        """
        What has been said to a retry stays as it is while it waits to be sent, though
        the slot has gone on (a retransmit must own the slot while its cached reply is
        sent: chimera c:480e066f).
        """
        first = self.ask(WORK, cache=1)
        wire = compoundArgs((sequenceArgs(self.session.id, 1, 1, 1, 1), WORK))
        call = Call(1, self.fixture.credential, self.fixture.connection, len(wire) + 40)
        unsent = self.fixture.compounds.compound(call, wire, 0)
        assert isinstance(unsent, list)
        self.assertEqual(self.ask(WORK, sequenceid=2, cache=1, tag=b"on").status, 0)
        self.assertEqual(b"".join(bytes(piece) for piece in unsent), first.wire)

    def test_retryXid(self) -> None:
        """
        A retry is answered under its own xid, not that of the first request (a replayed
        reply carries the new xid: chimera #355).
        """
        sent: list[bytes] = []
        program = Program(100003, {4: self.fixture.compounds.procedures()})
        peer = Peer(
            (program,),
            lambda pieces, size: sent.append(b"".join(pieces)),
            self.fixture.clock,
        )
        wire = compoundArgs((sequenceArgs(self.session.id, 1, 1, 1, 1), WORK))
        credential = encodeAuthSys(0, 0, (), b"tests")
        for xid in (7, 8):
            header = callHeader(xid, 100003, 4, 1, credential, len(wire))
            peer.recordReceived((header + wire)[4:])
        first, again = sent
        self.assertEqual((first[4:8], again[4:8]), (b"\0\0\0\7", b"\0\0\0\10"))
        self.assertEqual((first[8:], self.done), (again[8:], 1))

    def test_retryBusy(self) -> None:
        """
        A retry of a request that is being served is told to wait.
        """
        self.blocked = Deferred()
        head = sequenceArgs(self.session.id, 1, 1, 1, 1)
        outcome = self.fixture.send(head, WORK)
        self.refused(nfsstat4.NFS4ERR_DELAY, WORK, cache=1)
        self.refused(nfsstat4.NFS4ERR_SEQ_MISORDERED, WORK, sequenceid=2)
        self.assertEqual(outcome, [])
        self.blocked.callback(None)
        self.assertEqual(outcome[0].status, 0)
        self.assertEqual(self.ask(WORK, cache=1).wire, outcome[0].wire)
        self.assertEqual(self.done, 1)

    def test_falseRetry(self) -> None:
        """
        Another request with the sequence ID of the last one is no retry of it, nor is
        the same one by somebody else (same slot and seqid but another request is
        SEQ_FALSE_RETRY: chimera #1007).
        """
        self.ask(WORK, cache=1)
        self.refused(nfsstat4.NFS4ERR_SEQ_FALSE_RETRY, WORK, WORK, cache=1)
        self.refused(nfsstat4.NFS4ERR_SEQ_FALSE_RETRY, WORK, cache=1, credential=OTHER)
        self.assertEqual(self.ask(WORK, sequenceid=2).status, 0)

    def test_misordered(self) -> None:
        """
        Sequence IDs go up by one, from 1.
        """
        for sequenceid in (0, 2, 0xFFFFFFFF):
            self.refused(nfsstat4.NFS4ERR_SEQ_MISORDERED, WORK, sequenceid=sequenceid)
        self.ask(WORK)
        self.refused(nfsstat4.NFS4ERR_SEQ_MISORDERED, WORK, sequenceid=3)
        self.refused(nfsstat4.NFS4ERR_SEQ_MISORDERED, WORK, sequenceid=0)
        self.assertEqual(self.ask(WORK, sequenceid=2).status, 0)

    def test_wrap(self) -> None:
        """
        After the highest sequence ID comes 0.
        """
        self.session.slotAt(1).next = 0xFFFFFFFF
        self.assertEqual(self.ask(WORK, sequenceid=0xFFFFFFFF).status, 0)
        self.assertEqual(self.ask(WORK, sequenceid=0, cache=1).status, 0)
        self.assertEqual(self.ask(WORK, sequenceid=0, cache=1).status, 0)
        self.assertEqual(self.ask(WORK, sequenceid=1).status, 0)
        self.assertEqual(self.done, 3)

    def test_slots(self) -> None:
        """
        Slots beyond the session's do not exist, nor may one be called in use.
        """
        self.refused(nfsstat4.NFS4ERR_BADSLOT, WORK, slot=64)
        self.refused(nfsstat4.NFS4ERR_BADSLOT, WORK, slot=0xFFFFFFFF)
        self.refused(nfsstat4.NFS4ERR_BAD_HIGH_SLOT, WORK, highest=64)
        self.assertEqual(self.ask(WORK, slot=63, highest=63).status, 0)

    def test_unknownSession(self) -> None:
        """
        A session that does not exist is BADSESSION.
        """
        reply = self.fixture.compound(sequenceArgs(bytes(16), 1), WORK)
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_BADSESSION)

    def test_tooManyOps(self) -> None:
        """
        More operations than agreed are refused before the slot moves on (enforce
        maxoperations: chimera #300, #345).
        """
        self.refused(nfsstat4.NFS4ERR_TOO_MANY_OPS, *[WORK] * 8)
        self.assertEqual(self.ask(*[WORK] * 7).status, 0)

    def test_requestTooBig(self) -> None:
        """
        So is a request larger than agreed (enforce request and response sizes: chimera
        #345).
        """
        most = self.session.maxRequest
        self.refused(nfsstat4.NFS4ERR_REQ_TOO_BIG, WORK, received=most + 1)
        self.assertEqual(self.ask(WORK, received=most).status, 0)

    def test_errorLeavesSlot(self) -> None:
        """
        What SEQUENCE refuses moves no slot on, and the reply kept there is still had (a
        SEQUENCE error leaves slot seqid and cache untouched: chimera #1381).
        """
        first = self.ask(WORK, cache=1)
        most = self.session.maxRequest
        for status, ops, more in (
            (nfsstat4.NFS4ERR_TOO_MANY_OPS, [WORK] * 8, {}),
            (nfsstat4.NFS4ERR_REQ_TOO_BIG, [WORK], {"received": most + 1}),
            (nfsstat4.NFS4ERR_BAD_HIGH_SLOT, [WORK], {"highest": 64}),
            (nfsstat4.NFS4ERR_BADXDR, [WORK], {"cache": 2}),
        ):
            self.refused(status, *ops, sequenceid=2, **more)
            self.assertEqual(self.ask(WORK, cache=1).wire, first.wire)
        self.assertEqual(self.ask(WORK, sequenceid=2).status, 0)

    def small(self, response: int, cached: int) -> None:
        """
        Go on with a session of small replies.
        """
        fore = channel_attrs4(0, 4096, response, cached, 8, 8, [])
        _, made = self.fixture.createSession(self.fixture.clientid, 2, fore=fore)
        self.session = self.fixture.server.sessions.find(made.csr_sessionid)

    def test_replyTooBig(self) -> None:
        """
        A reply larger than agreed is replaced by an error that fits, and the slot goes
        on (enforce response sizes: chimera #345).
        """
        self.small(4096, 100)
        reply = self.ask(BIG)
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_REP_TOO_BIG)
        self.assertEqual(self.ask(WORK, sequenceid=2).status, 0)

    def test_replyTooBigToCache(self) -> None:
        """
        A reply too large to be kept is refused if it is to be kept (enforce cached
        response sizes: chimera #345).
        """
        self.small(65536, 4096)
        self.assertEqual(self.ask(BIG).status, 0)
        reply = self.ask(BIG, sequenceid=2, cache=1)
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE)
        again = self.ask(BIG, sequenceid=2, cache=1)
        self.assertEqual(again.wire, reply.wire)

    def test_nothingCached(self) -> None:
        """
        If nothing can be kept, SEQUENCE itself says so.
        """
        self.small(4096, 0)
        self.refused(nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE, WORK, cache=1)
        self.assertEqual(self.ask(WORK).status, 0)

    def test_replyLimitIsExact(self) -> None:
        """
        The largest reply, RPC header and tag included, is as large as agreed.
        """
        overhead = 24 + 12 + 4 + 44 + 8
        for size, status in ((8000, 0), (7999, nfsstat4.NFS4ERR_REP_TOO_BIG)):
            self.small(overhead + size + 8, 0)
            reply = self.ask(BIG, tag=b"tag")
            self.assertEqual(reply.status, status)
            self.assertLessEqual(len(reply.wire) + 24, self.session.maxResponse)
            self.fixture.client.sequence = 1

    def test_lease(self) -> None:
        """
        Only a SEQUENCE that succeeds renews the lease (lease renewed only when SEQUENCE
        returns OK: chimera #1087).
        """
        self.fixture.clock.advance(50.0)
        self.refused(nfsstat4.NFS4ERR_SEQ_MISORDERED, sequenceid=5)
        self.assertEqual(self.fixture.client.renewed, 1000.0)
        self.ask()
        self.assertEqual(self.fixture.client.renewed, 1050.0)

    def test_flags(self) -> None:
        """
        The client is told when callbacks do not reach it and when something has been
        revoked (SEQUENCE status flags CB_PATH_DOWN and revoked state: chimera #402).
        """
        client = self.fixture.client
        client.layouts["f"] = object()
        self.assertEqual(self.ask().takeSequence()[5], SEQ4_STATUS_CB_PATH_DOWN)
        client.layouts.clear()
        client.revoked = 1
        self.assertEqual(
            self.ask(sequenceid=2).takeSequence()[5],
            SEQ4_STATUS_RECALLABLE_STATE_REVOKED,
        )

    def test_position(self) -> None:
        """
        SEQUENCE comes first, and once.
        """
        head = sequenceArgs(self.session.id, 2, 1, 1)
        reply = self.ask(head)
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_SEQUENCE_POS)

    def test_malformed(self) -> None:
        """
        Arguments cut off anywhere, and a boolean that is none, are BADXDR.
        """
        wire = sequenceArgs(self.session.id, 1, 1, 1)
        for end in range(4, len(wire)):
            reply = self.fixture.compound(wire[:end])
            self.assertEqual(reply.status, nfsstat4.NFS4ERR_BADXDR)
        self.refused(nfsstat4.NFS4ERR_BADXDR, cache=2)

    def test_large(self) -> None:
        """
        A large request, in a buffer that is used again, can be retried as well.
        """
        tail = args(38) + bytes(100000)
        first = self.ask(tail, cache=1)
        self.assertEqual(first.status, 0)
        self.assertEqual(self.ask(tail, cache=1).wire, first.wire)
        self.refused(nfsstat4.NFS4ERR_SEQ_FALSE_RETRY, tail[:-1] + b"x", cache=1)
