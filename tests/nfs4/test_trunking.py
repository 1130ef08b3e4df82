"""
Several connections and several sessions of one client (RFC 8881, sections 2.10.4
and 2.10.5), as whole COMPOUNDs.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pnfs.nfs4.ops.destroy_session import DESTROY_SESSION4args
from pnfs.nfs4.status import nfsstat4
from tests.nfs4.fixture import Fixture, args, sequenceArgs


class TrunkingTests(SynchronousTestCase):
    """
    A client with a session, and a second connection.
    """

    def setUp(self) -> None:
        self.fixture = Fixture()
        self.fixture.mount()
        self.first = self.fixture.sessionid
        self.second = self.fixture.connect()

    def sequence(self, session: bytes, number: int, **more: Any) -> int:
        """
        SEQUENCE alone, on slot 1. @return: the status.
        """
        return self.fixture.compound(sequenceArgs(session, number, 1, 1, 1), **more).status  # type: ignore[no-any-return]

    def another(self, **more: Any) -> bytes:
        """
        A further session.
        """
        sequence = self.fixture.client.sequence + 1
        status, made = self.fixture.createSession(
            self.fixture.clientid, sequence, **more
        )
        self.assertEqual(status, 0)
        return bytes(made.csr_sessionid)

    def test_sameServer(self) -> None:
        """
        Over another connection the client finds the same server, with the client ID
        it has, and so knows that it may use both.
        """
        _, here = self.fixture.exchangeId()
        _, there = self.fixture.exchangeId(connection=self.second)
        self.assertEqual(here, there)
        self.assertEqual(there.eir_clientid, self.fixture.clientid)

    def test_sessionTrunking(self) -> None:
        """
        One session goes over several connections, in any order; a retry over the
        other one gets the same reply.
        """
        self.assertEqual(self.sequence(self.first, 1), 0)
        self.assertEqual(self.sequence(self.first, 2, connection=self.second), 0)
        wire = sequenceArgs(self.first, 3, 1, 1, 1)
        reply = self.fixture.compound(wire, connection=self.second)
        self.assertEqual(self.fixture.compound(wire).wire, reply.wire)
        self.assertEqual(
            self.fixture.session.fore, {self.fixture.connection, self.second}
        )

    def test_connectionLost(self) -> None:
        """
        When a connection is lost the session goes on over the other, or over a new
        one when all are lost.
        """
        self.sequence(self.first, 1, connection=self.second)
        self.second.connectionLost()
        self.assertEqual(self.sequence(self.first, 2), 0)
        self.fixture.connection.connectionLost()
        self.assertEqual(self.fixture.session.fore, set())
        third = self.fixture.connect()
        self.assertEqual(self.sequence(self.first, 3, connection=third), 0)

    def test_clientTrunking(self) -> None:
        """
        Each of a client's sessions has its own slots; any of them renews the lease,
        and state belongs to the client.
        """
        second = self.another(connection=self.second)
        self.assertNotEqual(self.first, second)
        for session in (self.first, second):
            self.assertEqual(self.sequence(session, 1), 0)
        self.fixture.clock.advance(80.0)
        self.assertEqual(self.sequence(second, 2), 0)
        self.fixture.clock.advance(80.0)
        self.fixture.server.clients.expire(self.fixture.clock.seconds())
        self.assertEqual(self.sequence(self.first, 2), 0)

    def test_oneConnection(self) -> None:
        """
        One connection serves several sessions ("One connection may serve several
        sessions", chimera #1086), and the end of one leaves it to the other.
        """
        second = self.another()
        self.assertEqual(self.sequence(second, 1), 0)
        destroy = args(44, DESTROY_SESSION4args(self.first))
        self.assertEqual(self.fixture.compound(destroy).status, 0)
        self.assertEqual(self.sequence(self.first, 1), nfsstat4.NFS4ERR_BADSESSION)
        self.assertEqual(self.sequence(second, 2), 0)

    def test_destroyOther(self) -> None:
        """
        Within one session the client ends another ("DESTROY_SESSION of another
        session of the same client is legal", chimera #1163), though not over a
        connection that is in neither.
        """
        second = self.another(connection=self.second)
        destroy = args(44, DESTROY_SESSION4args(self.first))
        head = sequenceArgs(second, 1)
        reply = self.fixture.compound(head, destroy, connection=self.second)
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_CONN_NOT_BOUND_TO_SESSION)
        head = sequenceArgs(second, 2)
        self.assertEqual(self.fixture.compound(head, destroy).status, 0)
        self.assertNotIn(self.first, self.fixture.server.sessions.byId)

    def test_restart(self) -> None:
        """
        A restarted client loses all the sessions of its earlier life at once.
        """
        second = self.another()
        self.fixture.mount(verifier=b"verifie2")
        for session in (self.first, second):
            self.assertEqual(self.sequence(session, 1), nfsstat4.NFS4ERR_BADSESSION)
