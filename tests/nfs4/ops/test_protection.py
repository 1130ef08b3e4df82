"""
Tests for L{pnfs.nfs4.ops.protection}: clients protected by their machine credential.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.metadata.recovery import MemoryRecoveryStore
from pnfs.nfs4.ops.bind_conn_to_session import (
    CDFC4_FORE,
    BIND_CONN_TO_SESSION4args,
    bind_conn_to_session,
)
from pnfs.nfs4.ops.create_session import create_session
from pnfs.nfs4.ops.destroy_clientid import DESTROY_CLIENTID4args, destroy_clientid
from pnfs.nfs4.ops.destroy_session import DESTROY_SESSION4args, destroy_session
from pnfs.nfs4.ops.exchange_id import (
    EXCHGID4_FLAG_UPD_CONFIRMED_REC_A,
    SP4_MACH_CRED,
    SP4_NONE,
    EXCHANGE_ID4args,
    EXCHANGE_ID4resok,
    client_owner4,
    exchange_id,
    state_protect_ops4,
)
from pnfs.nfs4.ops.reclaim_complete import RECLAIM_COMPLETE4args
from pnfs.nfs4.ops.sequence import sequence
from pnfs.nfs4.status import nfsstat4
from pnfs.state.sessions import SEQ4_STATUS_RESTART_RECLAIM_NEEDED
from pnfs.values import Credential
from tests.nfs4.fixture import Fixture, args, sequenceArgs

KRB5 = Credential(0, 0, frozenset({0}), 390003)
KRB5I = Credential(0, 0, frozenset({0}), 390004)
KRB5P = Credential(0, 0, frozenset({0}), 390005)
OTHER = Credential(7, 7, frozenset({7}), 390004)
SYS = Credential(0, 0, frozenset({0}), 1)

LINUX_ENFORCE = sum(1 << number for number in (41, 42, 43, 44, 57))
LINUX_ALLOW = sum(1 << n for n in (4, 14, 5, 45, 55, 8, 51, 21, 38))


class ProtectionTests(SynchronousTestCase):
    """
    SP4_MACH_CRED, as whole COMPOUNDs.
    """

    def setUp(self) -> None:
        self.fixture = Fixture()

    def exchange(
        self,
        credential: Credential = KRB5I,
        how: int = SP4_MACH_CRED,
        flags: int = 0,
        verifier: bytes = b"verifier",
    ) -> tuple[int, Any]:
        """
        EXCHANGE_ID as Linux asks for it.
        """
        ops = state_protect_ops4(LINUX_ENFORCE, LINUX_ALLOW)
        protect = (how, ops if how else None)
        arguments = EXCHANGE_ID4args(
            client_owner4(verifier, b"client"), flags, protect, []
        )
        reply = self.fixture.compound(args(42, arguments), credential=credential)
        status, found = reply.take(42, EXCHANGE_ID4resok)
        self.assertIn(nfsstat4(status), exchange_id.errors | {0})
        return status, found

    def mount(self) -> bytes:
        """
        Become a protected client. @return: its session.
        """
        _, found = self.exchange()
        self.clientid = found.eir_clientid
        status, made = self.fixture.createSession(self.clientid, 1, credential=KRB5P)
        self.assertEqual(status, 0)
        return bytes(made.csr_sessionid)

    def test_agreed(self) -> None:
        """
        The client is told what is enforced, and which of what it wants to be allowed
        is.
        """
        status, found = self.exchange()
        self.assertEqual(status, 0)
        how, ops = found.eir_state_protect
        self.assertEqual(how, SP4_MACH_CRED)
        self.assertEqual(ops.spo_must_enforce, LINUX_ENFORCE)
        self.assertEqual(ops.spo_must_allow, LINUX_ALLOW & ~(1 << 38) & ~(1 << 5))

    def test_agreedForUsers(self) -> None:
        """
        Each operation that gives something up may be done with the machine's credential
        for a user (DELEGPURGE and the other listed operations: chimera #1162).
        """
        arguments = EXCHANGE_ID4args(
            client_owner4(b"verifier", b"all"),
            0,
            (SP4_MACH_CRED, state_protect_ops4(LINUX_ENFORCE, (1 << 76) - 1)),
            [],
        )
        reply = self.fixture.compound(args(42, arguments), credential=KRB5I)
        _, found = reply.take(42, EXCHANGE_ID4resok)
        _, ops = found.eir_state_protect
        self.assertEqual(
            ops.spo_must_allow, sum(1 << n for n in (4, 7, 8, 14, 21, 45, 51, 55))
        )

    def test_needsIntegrity(self) -> None:
        """
        Who cannot be told from somebody else is refused, and asks for none.
        """
        for credential in (SYS, KRB5):
            status, _ = self.exchange(credential)
            self.assertEqual(status, nfsstat4.NFS4ERR_INVAL)
            self.assertEqual(self.exchange(credential, SP4_NONE)[0], 0)

    def test_enforced(self) -> None:
        """
        Nobody else ends the client's session or ID, adds a connection to it or a
        session, or changes the record.
        """
        session = self.mount()
        operations = {
            41: (
                bind_conn_to_session,
                BIND_CONN_TO_SESSION4args(session, CDFC4_FORE, False),
            ),
            44: (destroy_session, DESTROY_SESSION4args(session)),
            57: (destroy_clientid, DESTROY_CLIENTID4args(self.clientid)),
        }
        wrong = nfsstat4.NFS4ERR_WRONG_CRED
        for credential in (SYS, KRB5, OTHER):
            for number, (operation, arguments) in operations.items():
                reply = self.fixture.compound(
                    args(number, arguments), credential=credential
                )
                self.assertEqual(reply.status, wrong)
                self.assertIn(wrong, operation.errors)
            status, _ = self.fixture.createSession(
                self.clientid, 2, credential=credential
            )
            self.assertEqual(status, wrong)
            self.assertIn(wrong, create_session.errors)
            self.assertEqual(
                self.exchange(credential, SP4_NONE)[0], nfsstat4.NFS4ERR_CLID_INUSE
            )
            self.assertEqual(
                self.exchange(credential, 0, EXCHGID4_FLAG_UPD_CONFIRMED_REC_A)[0],
                nfsstat4.NFS4ERR_PERM,
            )
        for number in (44, 57):
            reply = self.fixture.compound(
                args(number, operations[number][1]), credential=KRB5I
            )
            self.assertEqual(reply.status, 0)

    def test_fixed(self) -> None:
        """
        The way of protection stays once it is confirmed ("State-protection mode is
        fixed once confirmed", chimera #1085), and until then it does not.
        """
        self.exchange()
        _, found = self.exchange(how=SP4_NONE)
        self.assertEqual(found.eir_state_protect, (SP4_NONE, None))
        self.mount()
        for flags in (0, EXCHGID4_FLAG_UPD_CONFIRMED_REC_A):
            status, found = self.exchange(how=SP4_NONE, flags=flags)
            self.assertEqual((status, found.eir_clientid), (0, self.clientid))
            self.assertEqual(found.eir_state_protect[0], SP4_MACH_CRED)

    def test_connections(self) -> None:
        """
        A connection is not taken into a protected session by just being used, not
        even for a retry; its principal can bring it in.
        """
        session = self.mount()
        stranger = self.fixture.connect()
        unbound = nfsstat4.NFS4ERR_CONN_NOT_BOUND_TO_SESSION
        self.assertIn(unbound, sequence.errors)
        first = sequenceArgs(session, 1)
        self.assertEqual(
            self.fixture.compound(first, credential=SYS, connection=stranger).status,
            unbound,
        )
        self.assertEqual(self.fixture.compound(first, credential=SYS).status, 0)
        self.assertEqual(
            self.fixture.compound(first, credential=SYS, connection=stranger).status,
            unbound,
        )
        bind = args(41, BIND_CONN_TO_SESSION4args(session, CDFC4_FORE, False))
        reply = self.fixture.compound(bind, credential=KRB5I, connection=stranger)
        self.assertEqual(reply.status, 0)
        self.assertEqual(
            self.fixture.compound(first, credential=SYS, connection=stranger).status, 0
        )

    def test_usersWork(self) -> None:
        """
        The users of the machine work with their own credentials.
        """
        session = self.mount()
        reply = self.fixture.compound(
            sequenceArgs(session, 1),
            args(58, RECLAIM_COMPLETE4args(False)),
            credential=SYS,
        )
        self.assertEqual(reply.status, 0)


class ReclaimNeededTests(SynchronousTestCase):
    """
    What SEQUENCE says after a restart of the server.
    """

    def test_told(self) -> None:
        """
        A client that may reclaim is reminded until it has said RECLAIM_COMPLETE
        (RFC 8881, section 18.46.3); a new one is not.
        """
        store = MemoryRecoveryStore()
        store.addClient(b"client")
        fixture = Fixture(store=store)
        fixture.mount(reclaimComplete=False)
        for sequenceid, flags in ((1, SEQ4_STATUS_RESTART_RECLAIM_NEEDED), (3, 0)):
            reply = fixture.compound(sequenceArgs(fixture.sessionid, sequenceid))
            self.assertEqual(reply.takeSequence()[5], flags)
            fixture.sequenceid = sequenceid
            fixture.run(args(58, RECLAIM_COMPLETE4args(False)))
        fixture.mount(b"new", reclaimComplete=False)
        reply = fixture.compound(sequenceArgs(fixture.sessionid, 1))
        self.assertEqual(reply.takeSequence()[5], 0)
