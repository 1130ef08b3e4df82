"""
Tests for L{pnfs.nfs4.ops.destroy_session}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.destroy_session import DESTROY_SESSION4args
from pnfs.nfs4.status import nfsstat4
from tests.nfs4.fixture import Fixture, args, sequenceArgs


class DestroySessionTests(SynchronousTestCase):
    """
    DESTROY_SESSION, as whole COMPOUNDs.
    """

    def setUp(self) -> None:
        self.blocked: Deferred[None] = Deferred()

        async def work(ctx: Any) -> None:
            await self.blocked

        self.fixture = Fixture(None, operation(38, "WORK")(work))
        self.fixture.mount()

    def destroy(self, sessionid: bytes = b"") -> bytes:
        """
        The operation, for the client's session by default.
        """
        return args(44, DESTROY_SESSION4args(sessionid or self.fixture.sessionid))

    def test_alone(self) -> None:
        """
        A session can be given up without being used; it is gone then, the client
        is not.
        """
        self.assertEqual(self.fixture.compound(self.destroy()).status, 0)
        self.assertEqual(
            self.fixture.compound(self.destroy()).status, nfsstat4.NFS4ERR_BADSESSION
        )
        self.assertEqual(self.fixture.client.sessions, {})

    def test_own(self) -> None:
        """
        Within itself it must be the last operation, and is answered (DESTROY_SESSION is
        the last operation: chimera #299).
        """
        reply = self.fixture.run(self.destroy(), args(38))
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_NOT_ONLY_OP)
        self.assertEqual(self.fixture.run(self.destroy()).status, 0)
        self.assertEqual(len(self.fixture.server.sessions), 0)

    def test_other(self) -> None:
        """
        Another session of the connection can be destroyed in any place.
        """
        _, made = self.fixture.createSession(self.fixture.clientid, 2)
        other = self.destroy(made.csr_sessionid)
        reply = self.fixture.run(other, other)
        self.assertEqual(reply.take(44)[0], 0)
        self.assertEqual(reply.take(44)[0], nfsstat4.NFS4ERR_BADSESSION)

    def test_notBound(self) -> None:
        """
        A connection that does not belong to the session cannot end it (DESTROY_SESSION
        over an unbound connection refused: chimera #348).
        """
        reply = self.fixture.compound(self.destroy(), connection=self.fixture.connect())
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_CONN_NOT_BOUND_TO_SESSION)

    def test_busy(self) -> None:
        """
        Requests being served are waited for.
        """
        head = sequenceArgs(self.fixture.sessionid, 1, 5, 5)
        outcome = self.fixture.send(head, args(38))
        self.assertEqual(
            self.fixture.run(self.destroy()).status, nfsstat4.NFS4ERR_DELAY
        )
        self.blocked.callback(None)
        self.assertEqual(outcome[0].status, 0)
        self.assertEqual(self.fixture.run(self.destroy()).status, 0)
