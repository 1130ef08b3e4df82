"""
Tests for L{pnfs.callbacks.channel}.
"""

from __future__ import annotations

import struct
from typing import Any, Optional

import attrs
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pnfs.callbacks.channel import BackChannels, CallbackFailed, NoBackChannel
from pnfs.callbacks.ops import OP_CB_SEQUENCE, CB_SEQUENCE4args, cbRecallAny
from pnfs.nfs4.ops.bind_conn_to_session import (
    CDFC4_BACK_OR_BOTH,
    BIND_CONN_TO_SESSION4args,
)
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.ops.create_session import channel_attrs4
from pnfs.nfs4.ops.destroy_session import DESTROY_SESSION4args
from pnfs.state.sessions import (
    SEQ4_STATUS_BACKCHANNEL_FAULT,
    SEQ4_STATUS_CB_PATH_DOWN,
    SEQ4_STATUS_CB_PATH_DOWN_SESSION,
)
from pnfs.state.stateids import RecallableState
from pnfs.xdr.codec import codecFor
from tests.nfs4.fixture import Connection, Fixture, args

OP = cbRecallAny(0, 1)


class Callback:
    """
    A call as the client sees it.
    """

    def __init__(self, record: bytes) -> None:
        self.xid, _, _, self.program, self.version, self.procedure = struct.unpack_from(
            ">6I", record
        )
        pos = 24
        self.flavor, length = struct.unpack_from(">II", record, pos)
        pos += 8 + length + 8
        tag, self.minor, _, self.count = struct.unpack_from(">4I", record, pos)
        assert tag == 0
        self.ops = record[pos + 16 :]
        assert struct.unpack_from(">I", self.ops)[0] == OP_CB_SEQUENCE
        self.sequence, end = codecFor(CB_SEQUENCE4args).decode(self.ops, 4)
        self.op = self.ops[end:]


class ChannelTests(SynchronousTestCase):
    """
    Calls to a client over its back channel.
    """

    def setUp(self) -> None:
        self.fixture = Fixture()
        server = self.fixture.server
        self.channels = server.channels = BackChannels(
            self.fixture.clock, server.sessions
        )
        self.fixture.mount(back=True)
        self.channel = self.channels.channelOf(self.fixture.client)
        self.connection = self.fixture.connection

    def tearDown(self) -> None:
        for connection in [self.connection]:
            connection.connectionLost()

    def taken(self, connection: Optional[Connection] = None) -> Callback:
        """
        The one call that has been sent since the last.
        """
        sent = (connection or self.connection).sent
        self.assertEqual(len(sent), 1)
        return Callback(sent.pop())

    def reply(
        self,
        callback: Callback,
        status: int = 0,
        sequenceStatus: int = 0,
        connection: Optional[Connection] = None,
        wire: Optional[bytes] = None,
        target: int = 0,
    ) -> None:
        """
        Answer a call.
        """
        if wire is None:
            found = callback.sequence
            wire = struct.pack(
                ">III",
                sequenceStatus or status,
                0,
                1 if sequenceStatus else callback.count,
            )
            wire += struct.pack(">II", OP_CB_SEQUENCE, sequenceStatus)
            if not sequenceStatus:
                wire += struct.pack(
                    ">16sIIII",
                    found.csa_sessionid,
                    found.csa_sequenceid,
                    found.csa_slotid,
                    target,
                    target,
                )
                if callback.count == 2:
                    wire += callback.op[:4] + struct.pack(">I", status)
        header = struct.pack(">6I", callback.xid, 1, 0, 0, 0, 0)
        (connection or self.connection).recordReceived(header + wire, 0)

    def test_call(self) -> None:
        """
        A callback goes to the program the client has named, in CB_SEQUENCE with
        sequence ID 1, and its status comes back.
        """
        called = self.channel.call(OP)
        callback = self.taken()
        self.assertEqual(
            (callback.program, callback.version, callback.procedure, callback.flavor),
            (0x40000000, 1, 1, 0),
        )
        self.assertEqual((callback.minor, callback.count, callback.op), (1, 2, OP))
        found = callback.sequence
        self.assertEqual(
            (found.csa_sessionid, found.csa_sequenceid, found.csa_slotid),
            (self.fixture.sessionid, 1, 0),
        )
        self.assertFalse(found.csa_cachethis)
        self.reply(callback, nfsstat4.NFS4ERR_NOMATCHING_LAYOUT)
        self.assertEqual(
            self.successResultOf(called), nfsstat4.NFS4ERR_NOMATCHING_LAYOUT
        )

    def test_oneSlot(self) -> None:
        """
        A client with one slot gets its callbacks one after the other, in order.
        """
        calls = [self.channel.call(cbRecallAny(n, 1)) for n in range(3)]
        for number, called in enumerate(calls):
            callback = self.taken()
            self.assertEqual(callback.sequence.csa_sequenceid, number + 1)
            self.assertEqual(callback.op, cbRecallAny(number, 1))
            self.assertNoResult(called)
            self.reply(callback)
            self.assertEqual(self.successResultOf(called), 0)
        self.assertEqual(self.fixture.clock.getDelayedCalls()[1:], [])

    def test_delay(self) -> None:
        """
        A client that cannot take a CB_SEQUENCE now is asked again with the same
        sequence ID a little later.
        """
        called = self.channel.call(OP)
        self.reply(self.taken(), sequenceStatus=nfsstat4.NFS4ERR_DELAY)
        self.assertEqual(self.connection.sent, [])
        self.fixture.clock.advance(0.06)
        callback = self.taken()
        self.assertEqual(callback.sequence.csa_sequenceid, 1)
        self.reply(callback)
        self.assertEqual(self.successResultOf(called), 0)

    def test_freshSession(self) -> None:
        """
        A client that has not yet seen the reply to its CREATE_SESSION says BADSESSION
        at first, and still gets the callback (BADSESSION on the fresh channel is
        retried: chimera #551).
        """
        called = self.channel.call(OP)
        self.reply(self.taken(), sequenceStatus=nfsstat4.NFS4ERR_BADSESSION)
        self.fixture.clock.advance(0.06)
        self.reply(self.taken())
        self.assertEqual(self.successResultOf(called), 0)

    def test_recreatedSession(self) -> None:
        """
        A callback without an answer is repeated over a session made meanwhile.
        """
        called = self.channel.call(OP)
        self.connection.sent.clear()
        self.connection.connectionLost()
        self.assertNoResult(called)
        connection = self.connection = self.fixture.connect()
        status, made = self.fixture.createSession(
            self.fixture.clientid, 2, 2, connection=connection
        )
        self.assertEqual(status, 0)
        callback = self.taken(connection)
        self.assertEqual(callback.sequence.csa_sessionid, made.csr_sessionid)
        self.assertEqual(callback.sequence.csa_sequenceid, 1)
        self.reply(callback, connection=connection)
        self.assertEqual(self.successResultOf(called), 0)

    def test_rebound(self) -> None:
        """
        A callback that waits goes out as soon as a connection is bound for it. The
        slot's sequence ID, which may have been taken, is settled first (a back bind
        re-drives pending recalls: chimera #657).
        """
        called = self.channel.call(OP)
        self.connection.sent.clear()
        self.connection.connectionLost()
        connection = self.connection = self.fixture.connect()
        bind = BIND_CONN_TO_SESSION4args(
            self.fixture.sessionid, CDFC4_BACK_OR_BOTH, False
        )
        reply = self.fixture.compound(args(41, bind), connection=connection)
        self.assertEqual(reply.status, 0)
        probe = self.taken(connection)
        self.assertEqual((probe.count, probe.sequence.csa_sequenceid), (1, 1))
        self.reply(probe, sequenceStatus=nfsstat4.NFS4ERR_SEQ_FALSE_RETRY)
        callback = self.taken(connection)
        self.assertEqual((callback.op, callback.sequence.csa_sequenceid), (OP, 2))
        self.reply(callback)
        self.assertEqual(self.successResultOf(called), 0)

    def test_silentClient(self) -> None:
        """
        A client that does not answer in time is told by CB_PATH_DOWN while it holds
        layouts, until an answer comes again.
        """
        self.fixture.client.layouts["a"] = object()
        called = self.channel.call(OP, timeout=5.0)
        self.connection.sent.clear()
        self.fixture.clock.advance(5.0)
        self.failureResultOf(called, NoBackChannel)
        self.assertEqual(self.flags(), SEQ4_STATUS_CB_PATH_DOWN)
        again = self.channel.call(OP)
        probe = self.taken()
        self.assertEqual(probe.count, 1)
        self.reply(probe)
        self.reply(self.taken())
        self.assertEqual(self.successResultOf(again), 0)
        self.assertEqual(self.flags(), 0)

    def flags(self) -> int:
        """
        C{sr_status_flags} of a SEQUENCE over a connection of its own.
        """
        from tests.nfs4.fixture import sequenceArgs

        self.fixture.sequenceid += 1
        head = sequenceArgs(self.fixture.sessionid, self.fixture.sequenceid)
        return self.fixture.compound(head).takeSequence()[5]

    def severalSlots(self, count: int) -> None:
        """
        Start again, as a client with so many slots for callbacks.
        """
        fixture = self.fixture
        back = channel_attrs4(0, 4096, 4096, 0, 2, count, [])
        status, made = fixture.createSession(fixture.clientid, 2, 2, back=back)
        self.assertEqual(status, 0)
        fixture.compound(args(44, DESTROY_SESSION4args(fixture.sessionid)))
        fixture.sessionid = made.csr_sessionid

    def test_severalSlots(self) -> None:
        """
        A client with several slots gets so many callbacks at a time, and is told
        the highest slot in use.
        """
        self.severalSlots(2)
        calls = [self.channel.call(OP) for _ in range(3)]
        first, second = [Callback(sent) for sent in self.connection.sent]
        self.connection.sent.clear()
        self.assertEqual(
            [
                (each.sequence.csa_slotid, each.sequence.csa_highest_slotid)
                for each in (first, second)
            ],
            [(0, 0), (1, 1)],
        )
        self.reply(second, target=1)
        third = self.taken()
        self.assertEqual(
            (third.sequence.csa_slotid, third.sequence.csa_sequenceid), (1, 2)
        )
        self.reply(third, target=1)
        self.reply(first, target=1)
        for called in calls:
            self.assertEqual(self.successResultOf(called), 0)

    def test_targetHighestSlot(self) -> None:
        """
        A client that wants fewer slots used gets fewer callbacks at a time, and
        more again when it says so, but never more than was agreed (reading the
        CB_SEQUENCE result: #1169).
        """
        self.severalSlots(3)
        for target, expected in ((0, 1), (1, 2), (99, 3)):
            called = self.channel.call(OP)
            self.reply(self.taken(), target=target)
            self.assertEqual(self.successResultOf(called), 0)
            calls = [self.channel.call(OP) for _ in range(4)]
            sent = [Callback(each) for each in self.connection.sent]
            self.connection.sent.clear()
            self.assertEqual(len(sent), expected)
            while sent:
                self.reply(sent.pop(0), target=target)
                sent += [Callback(each) for each in self.connection.sent]
                self.connection.sent.clear()
            for called in calls:
                self.assertEqual(self.successResultOf(called), 0)

    def test_tooManySlots(self) -> None:
        """
        A client that has fewer slots than was agreed still gets every callback.
        """
        for status in (nfsstat4.NFS4ERR_BADSLOT, nfsstat4.NFS4ERR_BAD_HIGH_SLOT):
            session = self.fixture.session
            session.backChannel = attrs.evolve(session.backChannel, maxSlots=2)
            session.setBackTarget(1)
            calls = [self.channel.call(OP) for _ in range(2)]
            first, second = [Callback(sent) for sent in self.connection.sent]
            self.connection.sent.clear()
            self.reply(second, sequenceStatus=status)
            self.reply(first, target=0)
            self.fixture.clock.advance(0.06)
            self.reply(self.taken())
            for called in calls:
                self.assertEqual(self.successResultOf(called), 0)

    def test_destroyedSession(self) -> None:
        """
        A callback without an answer over a session that has been destroyed is
        repeated over the one made next on the same connection, at once (unanswered
        recall is repeated over a recreated session, #551).
        """
        fixture = self.fixture
        called = self.channel.call(OP)
        self.taken()
        fixture.compound(args(44, DESTROY_SESSION4args(fixture.sessionid)))
        status, made = fixture.createSession(fixture.clientid, 2, 2)
        callback = self.taken()
        self.assertEqual(callback.sequence.csa_sessionid, made.csr_sessionid)
        self.assertEqual(callback.op, OP)
        self.reply(callback)
        self.assertEqual(self.successResultOf(called), 0)

    def grant(self, slot: Any) -> RecallableState:
        """
        Something recallable that a request being served in a slot has granted.
        """
        state = RecallableState(b"o" * 12, self.fixture.client, None)
        state.grantedIn(slot)
        return state

    def referred(self, state: RecallableState) -> list[Any]:
        """
        The requests that a callback about a state tells the client to wait for.
        """
        called = self.channel.call(OP, referring=state)
        callback = self.taken()
        self.reply(callback)
        self.successResultOf(called)
        return [
            (
                each.rcl_sessionid,
                [(c.rc_slotid, c.rc_sequenceid) for c in each.rcl_referring_calls],
            )
            for each in callback.sequence.csa_referring_call_lists
        ]

    def test_referringCalls(self) -> None:
        """
        A recall names the request that has granted what it recalls as long as the
        client may not have the reply, so that it does not deny having it (fill
        referring call lists in CB_SEQUENCE, #1005).
        """
        session = self.fixture.session
        state = self.grant(session.slots[0])
        sessionid = self.fixture.sessionid
        expected = [(sessionid, [(0, self.fixture.sequenceid)])]
        self.assertEqual(self.referred(state), expected)
        self.flags()
        self.assertEqual(self.referred(state), [])

    def test_referringSeveral(self) -> None:
        """
        If two requests have granted parts of it at once, both are named; one whose
        session is gone is not.
        """
        session = self.fixture.session
        state = self.grant(session.slots[0])
        state.grantedIn(session.slotAt(3))
        state.grantedIn(session.slotAt(3))
        sessionid = self.fixture.sessionid
        expected = [(sessionid, [(0, self.fixture.sequenceid), (3, 0)])]
        self.assertEqual(self.referred(state), expected)
        self.flags()
        self.assertEqual(self.referred(state), [(sessionid, [(3, 0)])])
        self.severalSlots(1)
        self.assertEqual(self.referred(state), [])

    def test_statusFlags(self) -> None:
        """
        A client with layouts learns which of its sessions has lost its back
        channel, and, if none is left, that callbacks do not reach it at all.
        """
        fixture = self.fixture
        fixture.client.layouts["a"] = object()
        other = fixture.connect()
        status, made = fixture.createSession(fixture.clientid, 2, 2, connection=other)
        self.assertEqual(status, 0)
        self.assertEqual(self.flags(), 0)
        self.connection.connectionLost()
        self.connection = fixture.connection = fixture.connect()
        self.assertEqual(self.flags(), SEQ4_STATUS_CB_PATH_DOWN_SESSION)
        second = fixture.server.sessions.find(made.csr_sessionid)
        self.assertEqual(second.statusFlags(), 0)
        other.connectionLost()
        for session in (fixture.session, second):
            self.assertEqual(session.statusFlags(), SEQ4_STATUS_CB_PATH_DOWN)
        bind = BIND_CONN_TO_SESSION4args(fixture.sessionid, CDFC4_BACK_OR_BOTH, False)
        fixture.compound(args(41, bind))
        self.assertEqual(self.flags(), 0)
        self.assertEqual(second.statusFlags(), SEQ4_STATUS_CB_PATH_DOWN_SESSION)

    def test_fault(self) -> None:
        """
        A client that has lost step learns that its session is beyond repair
        (SEQUENCE status flags, #402).
        """
        self.fixture.client.layouts["a"] = object()
        called = self.channel.call(OP, timeout=1.0)
        self.reply(self.taken(), sequenceStatus=nfsstat4.NFS4ERR_SEQ_MISORDERED)
        self.assertEqual(
            self.flags(), SEQ4_STATUS_BACKCHANNEL_FAULT | SEQ4_STATUS_CB_PATH_DOWN
        )
        self.fixture.clock.advance(1.0)
        self.failureResultOf(called, NoBackChannel)

    def test_refusedSequence(self) -> None:
        """
        A client that refuses CB_SEQUENCE for a reason of its own makes the callback
        fail, and hears that its back channel does not work.
        """
        self.fixture.client.layouts["a"] = object()
        called = self.channel.call(OP)
        self.reply(self.taken(), sequenceStatus=nfsstat4.NFS4ERR_REQ_TOO_BIG)
        self.failureResultOf(called, CallbackFailed)
        self.assertEqual(self.flags(), SEQ4_STATUS_CB_PATH_DOWN)

    def test_otherConnection(self) -> None:
        """
        If one connection of several gives no answer, another is tried in time.
        """
        other = self.fixture.connect()
        bind = BIND_CONN_TO_SESSION4args(
            self.fixture.sessionid, CDFC4_BACK_OR_BOTH, False
        )
        self.fixture.compound(args(41, bind), connection=other)
        called = self.channel.call(OP, timeout=8.0)
        self.taken()
        self.fixture.clock.advance(4.0)
        self.reply(self.taken(other), connection=other)
        self.reply(self.taken(other), connection=other)
        self.assertEqual(self.successResultOf(called), 0)

    def test_noConnection(self) -> None:
        """
        Without a connection for callbacks a callback fails when its time is over.
        """
        self.connection.connectionLost()
        called = self.channel.call(OP, timeout=3.0)
        self.fixture.clock.advance(2.9)
        self.assertNoResult(called)
        self.fixture.clock.advance(0.2)
        self.failureResultOf(called, NoBackChannel)
        self.assertEqual(self.fixture.clock.getDelayedCalls(), [])

    def test_garbled(self) -> None:
        """
        An answer that does not decode, is for another slot or operation, or is cut
        off anywhere is a failed call and nothing worse.
        """
        found = CB_SEQUENCE4args(self.fixture.sessionid, 0, 0, 0, False, [])
        good = struct.pack(">III", 0, 0, 2) + struct.pack(
            ">II16sIIII", 11, 0, found.csa_sessionid, 99, 0, 0, 0
        )
        wires = [good[:n] for n in range(0, len(good), 4)] + [
            good,
            struct.pack(">III", 0, 0xFFFFFFFF, 2),
            struct.pack(">IIIII", 0, 0, 1, 5, 0),
        ]
        for wire in wires:
            called = self.channel.call(OP)
            self.reply(self.taken(), wire=wire)
            self.failureResultOf(called, CallbackFailed)
        called = self.channel.call(OP)
        self.reply(self.taken())
        self.reply(self.taken())
        self.assertEqual(self.successResultOf(called), 0)

    def test_misordered(self) -> None:
        """
        If the client does not follow our sequence IDs any more, its session is not
        used for callbacks until it binds anew.
        """
        called = self.channel.call(OP, timeout=2.0)
        self.reply(self.taken(), sequenceStatus=nfsstat4.NFS4ERR_SEQ_MISORDERED)
        self.fixture.clock.advance(1.0)
        self.assertEqual(self.connection.sent, [])
        self.fixture.clock.advance(1.1)
        self.failureResultOf(called, NoBackChannel)

    def test_cancelled(self) -> None:
        """
        A callback that is given up lets the next one go.
        """
        first = self.channel.call(OP)
        second = self.channel.call(OP)
        self.taken()
        first.addErrback(lambda _: None)
        first.cancel()
        self.taken()
        second.addErrback(lambda _: None)
        second.cancel()

    def test_decode(self) -> None:
        """
        The caller may read the body of the result.
        """

        def decode(status: int, buf: Any, pos: int) -> tuple[int, bytes]:
            return status, bytes(buf[pos:])

        called: Deferred[tuple[int, bytes]] = self.channel.call(OP, decode)
        self.reply(self.taken())
        self.assertEqual(self.successResultOf(called), (0, b""))
