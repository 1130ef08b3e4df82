"""
Tests for L{pnfs.callbacks.proving}.
"""

from __future__ import annotations

import struct
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pnfs.callbacks.recall_delegations import DelegationRecaller
from pnfs.nfs4.status import nfsstat4
from pnfs.state.sessions import Channel
from tests.nfs4.ops.delegations import (
    ANY,
    LEASE,
    NONE,
    NONE_EXT,
    READ_DELEG,
    DelegationCase,
    DelegationFixture,
    Opened,
)
from tests.nfs4.ops.files import CLAIM_FH, READ, openArgs


class WaitingTests(DelegationCase):
    """
    C{one} has a back channel, and has been asked whether it answers.
    """

    def setUp(self) -> None:
        super().setUp()
        self.one.client.backProven = False
        self.fixture.recalls.prove(self.one.client)

    def begin(self, *ops: bytes) -> list[Any]:
        """
        A COMPOUND on the file.
        """
        return self.one.send(self.fixture.putfh(self.file), *ops)

    def end(self, outcome: list[Any]) -> Opened:
        """
        The result of its OPEN.
        """
        reply = outcome[0]
        reply.takeSequence()
        reply.take(22)
        return Opened(reply)

    def test_wanted(self) -> None:
        """
        Who wants a delegation in so many words gets it with its first OPEN.
        """
        outcome = self.begin(openArgs(access=READ | ANY, claim=CLAIM_FH))
        self.assertEqual(outcome, [])
        self.clock.advance(0.1)
        self.assertEqual(outcome, [])
        self.one.answer()
        self.assertEqual(self.end(outcome).kind, READ_DELEG)

    def test_notWanted(self) -> None:
        """
        Who does not is not kept waiting (chimera #597: the first OPEN waits for the
        probe).
        """
        outcome = self.begin(openArgs(access=READ, claim=CLAIM_FH))
        self.assertEqual(self.end(outcome).kind, NONE)

    def test_silent(self) -> None:
        """
        Nobody waits for long.
        """
        outcome = self.begin(openArgs(access=READ | ANY, claim=CLAIM_FH))
        self.clock.advance(0.49)
        self.assertEqual(outcome, [])
        self.clock.advance(0.02)
        self.assertEqual(self.end(outcome).kind, NONE_EXT)
        self.one.answer()
        self.assertEqual(self.one.open(self.file, READ).kind, READ_DELEG)

    def test_wantDelegation(self) -> None:
        """
        WANT_DELEGATION waits likewise.
        """
        outcome = self.begin(struct.pack(">III", 56, ANY, 4))
        self.assertEqual(outcome, [])
        self.clock.advance(0)
        self.one.answer()
        self.assertEqual(outcome[0].status, nfsstat4.NFS4_OK)
        self.assertEqual(self.table.count, 1)

    def test_clientGone(self) -> None:
        """
        When the server stops nobody is left waiting.
        """
        outcome = self.begin(openArgs(access=READ | ANY, claim=CLAIM_FH))
        self.fixture.recalls.stop()
        self.assertEqual(self.end(outcome).kind, NONE_EXT)


class ProbeTests(SynchronousTestCase):
    """
    Whether a client answers is found out when it offers a back channel.
    """

    def test_withCreateSession(self) -> None:
        """
        A CB_SEQUENCE goes out after CREATE_SESSION has been answered; nothing else.
        """
        fixture = DelegationFixture()
        fixture.mount(back=True)
        self.assertEqual(fixture.connection.sent, [])
        fixture.clock.advance(0)
        self.assertEqual(len(fixture.connection.sent), 1)
        self.assertFalse(fixture.client.backProven)
        fixture.connection.connectionLost()

    def test_onlyOnce(self) -> None:
        """
        A further session of a client that has answered is not tried again (4.1: no
        CB_NULL per session, chimera #518).
        """
        fixture = DelegationFixture()
        holder = fixture.holder(b"one")
        self.assertTrue(holder.client.backProven)
        fixture.connection = holder.connection
        fixture.mount(b"one", back=True, reclaimComplete=False)
        fixture.clock.advance(0)
        self.assertEqual(holder.connection.sent, [])

    def test_anotherSession(self) -> None:
        """
        A client that has answered, and makes another session in the place of the
        first on the same connection, may be given delegations at once; if it wants
        callbacks made in another way it has to answer there first.
        """
        fixture = DelegationFixture()
        holder = fixture.holder(b"one")
        client, connection = holder.client, holder.connection
        sessions = fixture.server.sessions
        back = Channel(4096, 4096, 0, 2, 1)
        for program, proven in ((0x40000000, True), (0x40000001, False)):
            (old,) = client.sessions.values()
            sessions.destroy(old)
            self.assertFalse(client.backProven)
            made = sessions.create(client, 1, back, back, program, old.credential)
            sessions.bind(made, connection, True, True)
            self.assertEqual(client.backProven, proven)
            sessions.proved(made, connection)
        sessions.faulty(made)
        sessions.bind(made, connection, True, True)
        self.assertFalse(client.backProven)

    def test_lost(self) -> None:
        """
        When its connection is lost it has to answer again on another one.
        """
        fixture = DelegationFixture()
        holder = fixture.holder(b"one")
        holder.connection.connectionLost()
        self.assertFalse(holder.client.backProven)

    def test_withoutBackChannels(self) -> None:
        """
        A server without back channels does not fall over.
        """
        fixture = DelegationFixture()
        fixture.server.channels = None
        recaller = DelegationRecaller(fixture.server)
        client = fixture.holder(b"one", back=False).client
        client.backDown = False
        recaller.prove(client)
        fixture.clock.advance(0)
        self.assertFalse(client.backProven)

    def test_deadlineOption(self) -> None:
        """
        A delegation is never revoked before a lease is over (RFC 8881, section
        10.2.1), whatever is configured.
        """
        fixture = DelegationFixture()
        for configured, expected in ((None, 2 * LEASE), (1.0, LEASE), (50.0, 50.0)):
            recaller = DelegationRecaller(fixture.server, configured)
            self.assertEqual(recaller.deadlineSeconds, expected)
