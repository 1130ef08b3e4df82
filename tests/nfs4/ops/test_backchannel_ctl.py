"""
Tests for L{pnfs.nfs4.ops.backchannel_ctl}.
"""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from pnfs.callbacks.channel import BackChannels
from pnfs.callbacks.ops import cbRecallAny
from pnfs.nfs4.callback_security import authsys_parms, gss_cb_handles4
from pnfs.nfs4.ops.backchannel_ctl import BACKCHANNEL_CTL4args
from pnfs.nfs4.status import nfsstat4
from pnfs.rpc.auth import encodeAuthSys
from tests.nfs4.fixture import Fixture, args


class BackchannelCtlTests(SynchronousTestCase):
    """
    BACKCHANNEL_CTL, as whole COMPOUNDs.
    """

    def setUp(self) -> None:
        self.fixture = Fixture()
        self.fixture.mount()

    def test_changes(self) -> None:
        """
        Callbacks then go to another program with another credential.
        """
        offered = [(1, authsys_parms(0, b"host", 3, 4, []))]
        reply = self.fixture.run(args(40, BACKCHANNEL_CTL4args(77, offered)))
        self.assertEqual(reply.take(40)[0], 0)
        session = self.fixture.session
        self.assertEqual(
            (session.program, session.credential),
            (77, encodeAuthSys(3, 4, (), b"host")),
        )

    def test_noParameters(self) -> None:
        """
        A client that names no credential keeps the one it has given.
        """
        offered = [(1, authsys_parms(0, b"host", 3, 4, []))]
        self.fixture.run(args(40, BACKCHANNEL_CTL4args(77, offered)))
        reply = self.fixture.run(args(40, BACKCHANNEL_CTL4args(78, [])))
        self.assertEqual(reply.take(40)[0], 0)
        session = self.fixture.session
        self.assertEqual(
            (session.program, session.credential),
            (78, encodeAuthSys(3, 4, (), b"host")),
        )

    def test_waiting(self) -> None:
        """
        A callback that waits for the client to say better how to reach it goes out
        then, with the credential it asks for (honour the choice or refuse, #1165).
        """
        fixture = self.fixture
        server = fixture.server
        server.channels = BackChannels(fixture.clock, server.sessions)
        fixture.mount(b"reachable", back=True)
        called = server.channels.channelOf(fixture.client).call(cbRecallAny(0, 1))
        fixture.connection.connectionLost()
        fixture.connection = fixture.connect()
        server.sessions.bind(fixture.session, fixture.connection, True, True)
        self.assertEqual(fixture.connection.sent, [])
        offered = [(1, authsys_parms(0, b"host", 3, 4, []))]
        fixture.run(args(40, BACKCHANNEL_CTL4args(79, offered)))
        (record,) = fixture.connection.sent
        self.assertEqual(struct.unpack_from(">I", record, 12), (79,))
        credential = encodeAuthSys(3, 4, (), b"host")
        self.assertEqual(record[24 : 24 + len(credential)], credential)
        called.addErrback(lambda _: None)
        called.cancel()
        fixture.connection.connectionLost()

    def test_onlyGSS(self) -> None:
        """
        RPCSEC_GSS contexts that we do not have leave everything as it was.
        """
        offered = [(6, gss_cb_handles4(1, b"a", b"b"))]
        reply = self.fixture.run(args(40, BACKCHANNEL_CTL4args(77, offered)))
        self.assertEqual(reply.take(40)[0], nfsstat4.NFS4ERR_NOENT)
        self.assertEqual(self.fixture.session.program, 0x40000000)

    def test_needsSession(self) -> None:
        """
        It is about the session of its COMPOUND, so there must be one.
        """
        reply = self.fixture.compound(args(40, BACKCHANNEL_CTL4args(77, [])))
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_OP_NOT_IN_SESSION)
