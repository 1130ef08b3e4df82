"""
Tests for L{pnfs.nfs4.ops.create_session}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.metadata.recovery import MemoryRecoveryStore
from pnfs.nfs4.callback_security import authsys_parms, gss_cb_handles4
from pnfs.nfs4.ops.create_session import (
    CREATE_SESSION4_FLAG_CONN_BACK_CHAN,
    CREATE_SESSION4_FLAG_CONN_RDMA,
    CREATE_SESSION4_FLAG_PERSIST,
    CREATE_SESSION4args,
    channel_attrs4,
)
from pnfs.nfs4.status import nfsstat4
from pnfs.rpc.auth import NO_CREDENTIAL, encodeAuthSys
from pnfs.state.sessions import SessionLimits
from pnfs.values import Credential
from tests.nfs4.fixture import Fixture, args

OTHER = Credential(1000, 1000, frozenset({1000}), 1)
GSS = (6, gss_cb_handles4(1, b"a", b"b"))
SYS = (1, authsys_parms(0, b"host", 3, 4, [5]))


class Channels:
    """
    Notes the sessions whose back channel has been bound.
    """

    def __init__(self) -> None:
        self.sessions: list[Any] = []

    def bound(self, session: Any) -> None:
        """
        As L{pnfs.callbacks.channel.BackChannels.bound}.
        """
        self.sessions.append(session)


class CreateSessionTests(SynchronousTestCase):
    """
    CREATE_SESSION, as whole COMPOUNDs.
    """

    def setUp(self) -> None:
        self.fixture = Fixture()
        self.channels = self.fixture.server.channels = Channels()
        _, found = self.fixture.exchangeId()
        self.clientid = found.eir_clientid

    def create(self, sequenceid: int = 1, *rest: Any, **more: Any) -> tuple[int, Any]:
        """
        CREATE_SESSION of the client.
        """
        return self.fixture.createSession(self.clientid, sequenceid, *rest, **more)

    def test_linux(self) -> None:
        """
        A Linux client gets what it asks for, without persistence.
        """
        status, made = self.create(
            1, CREATE_SESSION4_FLAG_PERSIST | CREATE_SESSION4_FLAG_CONN_BACK_CHAN
        )
        self.assertEqual(status, 0)
        self.assertEqual(made.csr_sequence, 1)
        self.assertEqual(made.csr_flags, CREATE_SESSION4_FLAG_CONN_BACK_CHAN)
        self.assertEqual(
            made.csr_fore_chan_attrs,
            channel_attrs4(0, 1049620, 1049480, 7584, 8, 64, []),
        )
        self.assertEqual(
            made.csr_back_chan_attrs, channel_attrs4(0, 4096, 4096, 0, 2, 1, [])
        )
        session = self.fixture.server.sessions.find(made.csr_sessionid)
        self.assertEqual(session.back, [self.fixture.connection])
        self.assertEqual(self.channels.sessions, [session])

    def test_limits(self) -> None:
        """
        What is granted stays within the server's limits; header padding is never
        (headerpadsize 0: chimera #1164).
        """
        most = channel_attrs4(64, *[0xFFFFFFFF] * 5, [1])
        status, made = self.create(fore=most, back=most)
        limits = SessionLimits()
        self.assertEqual(status, 0)
        self.assertEqual(
            made.csr_fore_chan_attrs,
            channel_attrs4(0, limits.maxRequest, limits.maxResponse, 65536, 64, 64, []),
        )

    def test_retry(self) -> None:
        """
        A retry gets the same reply and no second session.
        """
        first = self.create()
        self.assertEqual(self.create(), first)
        self.assertEqual(len(self.fixture.server.sessions), 1)
        self.assertNotEqual(self.create(2)[1].csr_sessionid, first[1].csr_sessionid)

    def test_misordered(self) -> None:
        """
        Other sequence IDs are refused, also that of a reply there has never been.
        """
        for sequenceid in (0, 2, 0xFFFFFFFF):
            self.assertEqual(
                self.create(sequenceid)[0], nfsstat4.NFS4ERR_SEQ_MISORDERED
            )
        self.assertEqual(self.create(1)[0], 0)
        self.assertEqual(self.create(3)[0], nfsstat4.NFS4ERR_SEQ_MISORDERED)

    def test_errorsAreKept(self) -> None:
        """
        A request that was refused is refused again, whatever has changed meanwhile
        ("CREATE_SESSION: sequence + cached reply incl. errors", chimera #298); the
        client goes on with the next sequence ID.
        """
        small = channel_attrs4(0, 20, 4096, 0, 8, 8, [])
        self.assertEqual(self.create(1, fore=small)[0], nfsstat4.NFS4ERR_TOOSMALL)
        self.assertEqual(self.create(1, fore=small)[0], nfsstat4.NFS4ERR_TOOSMALL)
        self.assertEqual(self.create(3)[0], nfsstat4.NFS4ERR_SEQ_MISORDERED)

    def test_mended(self) -> None:
        """
        A client that was refused gets its session with a better request, be it
        under the same sequence ID or, as Linux numbers them, the next.
        """
        small = channel_attrs4(0, 20, 4096, 0, 8, 8, [])
        self.assertEqual(self.create(1, fore=small)[0], nfsstat4.NFS4ERR_TOOSMALL)
        status, made = self.create(1)
        self.assertEqual(status, 0)
        self.assertEqual(self.create(1)[1].csr_sessionid, made.csr_sessionid)
        self.assertEqual(self.create(2, fore=small)[0], nfsstat4.NFS4ERR_TOOSMALL)
        self.assertEqual(self.create(3)[0], 0)

    def test_tooSmall(self) -> None:
        """
        A back channel without room for a recall is refused (RFC 8881, section
        18.36.3), also if none is wanted yet; a client that has no use for one asks
        for no slots.
        """
        small = channel_attrs4(0, 10, 8192, 8192, 128, 1, [])
        for number, flags in enumerate((CREATE_SESSION4_FLAG_CONN_BACK_CHAN, 0)):
            status, _ = self.create(number + 1, flags, back=small)
            self.assertEqual(status, nfsstat4.NFS4ERR_TOOSMALL)
        none = channel_attrs4(0, 0, 0, 0, 0, 0, [])
        self.assertEqual(self.create(3, back=none)[0], 0)

    def test_flags(self) -> None:
        """
        Unknown flags are refused; RDMA is not taken up.
        """
        self.assertEqual(self.create(1, 0x8)[0], nfsstat4.NFS4ERR_INVAL)
        status, made = self.create(2, CREATE_SESSION4_FLAG_CONN_RDMA)
        self.assertEqual((status, made.csr_flags), (0, 0))

    def test_onlyOp(self) -> None:
        """
        Without SEQUENCE it stands alone, and is not done otherwise (CREATE_SESSION is
        the only operation: chimera #298).
        """
        channel = channel_attrs4(0, 4096, 4096, 0, 8, 8, [])
        wire = args(
            43,
            CREATE_SESSION4args(
                self.clientid, 1, 0, channel, channel, 0x40000000, [(0, None)]
            ),
        )
        reply = self.fixture.compound(wire, wire)
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_NOT_ONLY_OP)
        self.assertEqual(len(self.fixture.server.sessions), 0)
        self.assertEqual(self.fixture.compound(wire).status, 0)

    def test_unknownClient(self) -> None:
        """
        A clientid of another time is stale.
        """
        self.clientid += 1
        self.assertEqual(self.create()[0], nfsstat4.NFS4ERR_STALE_CLIENTID)

    def test_expired(self) -> None:
        """
        So is one whose lease is over (expired and unknown ids are STALE_CLIENTID:
        chimera #358, #552).
        """
        self.create()
        self.fixture.clock.advance(91.0)
        self.fixture.server.clients.expire(self.fixture.clock.seconds())
        self.assertEqual(self.create(2)[0], nfsstat4.NFS4ERR_STALE_CLIENTID)
        self.assertEqual(len(self.fixture.server.sessions), 0)

    def test_otherPrincipal(self) -> None:
        """
        Only who has made the record can confirm it, and nobody else can use up its
        sequence ID.
        """
        status, _ = self.create(credential=OTHER)
        self.assertEqual(status, nfsstat4.NFS4ERR_CLID_INUSE)
        self.assertEqual(self.create()[0], 0)

    def test_mayReclaim(self) -> None:
        """
        A client that was known before the restart is found to be so.
        """
        store = MemoryRecoveryStore()
        store.addClient(b"client")
        fixture = Fixture(store=store)
        fixture.mount(reclaimComplete=False)
        self.assertTrue(fixture.client.mayReclaim)

    def test_security(self) -> None:
        """
        Callbacks use the first credential offered that we can use.
        """
        for number, (offered, expected) in enumerate(
            (
                ([], NO_CREDENTIAL),
                ([(0, None)], NO_CREDENTIAL),
                ([GSS, SYS, (0, None)], encodeAuthSys(3, 4, [5], b"host")),
            )
        ):
            _, made = self.create(
                number + 1, CREATE_SESSION4_FLAG_CONN_BACK_CHAN, security=offered
            )
            session = self.fixture.server.sessions.find(made.csr_sessionid)
            self.assertEqual(session.credential, expected)
            self.assertTrue(session.back)

    def test_onlyGSS(self) -> None:
        """
        A client that takes callbacks with RPCSEC_GSS only gets no back channel (back
        channel security: honour the GSS choice or refuse: chimera #1165).
        """
        status, made = self.create(
            1, CREATE_SESSION4_FLAG_CONN_BACK_CHAN, security=[GSS]
        )
        self.assertEqual((status, made.csr_flags), (0, 0))

    def test_noCallbacks(self) -> None:
        """
        A data server has no back channel to give.
        """
        self.fixture.server.channels = None
        status, made = self.create(1, CREATE_SESSION4_FLAG_CONN_BACK_CHAN)
        self.assertEqual((status, made.csr_flags), (0, 0))

    def test_tooMany(self) -> None:
        """
        A client cannot make any number of sessions.
        """
        most = SessionLimits().maxSessions
        for number in range(most):
            self.assertEqual(self.create(number + 1)[0], 0)
        self.assertEqual(self.create(most + 1)[0], nfsstat4.NFS4ERR_NOSPC)
