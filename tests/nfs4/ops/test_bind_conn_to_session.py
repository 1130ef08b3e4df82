"""
Tests for L{pnfs.nfs4.ops.bind_conn_to_session}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pnfs.nfs4.ops.bind_conn_to_session import (
    CDFC4_BACK,
    CDFC4_BACK_OR_BOTH,
    CDFC4_FORE,
    CDFC4_FORE_OR_BOTH,
    CDFS4_BACK,
    CDFS4_BOTH,
    CDFS4_FORE,
    BIND_CONN_TO_SESSION4args,
    BIND_CONN_TO_SESSION4resok,
)
from pnfs.nfs4.status import nfsstat4
from tests.nfs4.fixture import Fixture, args, sequenceArgs


class Channels:
    """
    Counts the back channels bound.
    """

    count = 0

    def bound(self, session: Any) -> None:
        """
        As L{pnfs.callbacks.channel.BackChannels.bound}.
        """
        self.count += 1


class BindTests(SynchronousTestCase):
    """
    BIND_CONN_TO_SESSION, as whole COMPOUNDs.
    """

    def setUp(self) -> None:
        self.fixture = Fixture()
        self.channels = self.fixture.server.channels = Channels()
        self.fixture.mount()
        self.connection = self.fixture.connect()

    def bind(self, direction: int) -> tuple[int, Any]:
        """
        Bind the other connection.
        """
        arguments = BIND_CONN_TO_SESSION4args(self.fixture.sessionid, direction, True)
        reply = self.fixture.compound(args(41, arguments), connection=self.connection)
        return reply.take(41, BIND_CONN_TO_SESSION4resok)

    def test_directions(self) -> None:
        """
        The client gets both directions where it takes both, never RDMA.
        """
        session = self.fixture.session
        for asked, given, fore, back in (
            (CDFC4_FORE, CDFS4_FORE, True, False),
            (CDFC4_BACK, CDFS4_BACK, False, True),
            (CDFC4_FORE_OR_BOTH, CDFS4_BOTH, True, True),
            (CDFC4_BACK_OR_BOTH, CDFS4_BOTH, True, True),
        ):
            self.connection = self.fixture.connect()
            status, found = self.bind(asked)
            self.assertEqual(status, 0)
            self.assertEqual(
                found,
                BIND_CONN_TO_SESSION4resok(self.fixture.sessionid, given, False),
            )
            self.assertEqual(self.connection in session.fore, fore)
            self.assertEqual(self.connection in session.back, back)
        self.assertEqual(self.channels.count, 3)

    def test_noCallbacks(self) -> None:
        """
        Where no callbacks are made the wish for a back channel is not granted, and
        the demand for one refused.
        """
        self.fixture.server.channels = None
        self.assertEqual(self.bind(CDFC4_FORE_OR_BOTH)[1].bctsr_dir, CDFS4_FORE)
        for demand in (CDFC4_BACK, CDFC4_BACK_OR_BOTH):
            self.assertEqual(self.bind(demand)[0], nfsstat4.NFS4ERR_INVAL)

    def test_alone(self) -> None:
        """
        It stands alone in its COMPOUND, also without SEQUENCE before it (alone in its
        COMPOUND always: chimera #1143, #1419).
        """
        wire = args(
            41, BIND_CONN_TO_SESSION4args(self.fixture.sessionid, CDFC4_FORE, False)
        )
        head = sequenceArgs(self.fixture.sessionid, 2)
        self.assertEqual(
            self.fixture.compound(head, wire).status, nfsstat4.NFS4ERR_NOT_ONLY_OP
        )
        self.assertEqual(
            self.fixture.compound(wire, wire).status, nfsstat4.NFS4ERR_NOT_ONLY_OP
        )

    def test_wrong(self) -> None:
        """
        Unknown sessions and directions are refused.
        """
        self.assertEqual(self.bind(5)[0], nfsstat4.NFS4ERR_BADXDR)
        self.fixture.sessionid = bytes(16)
        self.assertEqual(self.bind(CDFC4_FORE)[0], nfsstat4.NFS4ERR_BADSESSION)
