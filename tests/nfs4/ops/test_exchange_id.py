"""
Tests for L{pnfs.nfs4.ops.exchange_id}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pnfs.nfs4.ops.exchange_id import (
    EXCHGID4_FLAG_BIND_PRINC_STATEID,
    EXCHGID4_FLAG_CONFIRMED_R,
    EXCHGID4_FLAG_SUPP_FENCE_OPS,
    EXCHGID4_FLAG_SUPP_MOVED_REFER,
    EXCHGID4_FLAG_UPD_CONFIRMED_REC_A,
    EXCHGID4_FLAG_USE_NON_PNFS,
    SP4_MACH_CRED,
    SP4_SSV,
    EXCHANGE_ID4args,
    EXCHANGE_ID4resok,
    client_owner4,
    nfs_impl_id4,
    ssv_sp_parms4,
    state_protect_ops4,
)
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import nfstime4
from pnfs.values import Credential
from pnfs.xdr.codec import codecFor
from tests.nfs4.fixture import USE_PNFS_MDS, Fixture, args

LINUX_FLAGS = EXCHGID4_FLAG_SUPP_MOVED_REFER | EXCHGID4_FLAG_BIND_PRINC_STATEID
LINUX_ACCEPTS = 0x80070103
OTHER = Credential(1000, 1000, frozenset({1000}), 1)


class ExchangeIdTests(SynchronousTestCase):
    """
    EXCHANGE_ID, as whole COMPOUNDs.
    """

    def setUp(self) -> None:
        self.fixture = Fixture()

    def test_linux(self) -> None:
        """
        A Linux client gets an answer that it accepts: pNFS role, no unknown bit,
        this server's owner and scope.
        """
        status, found = self.fixture.exchangeId(flags=LINUX_FLAGS)
        self.assertEqual(status, 0)
        self.assertEqual(found.eir_flags, USE_PNFS_MDS)
        self.assertEqual(found.eir_flags & ~LINUX_ACCEPTS, 0)
        self.assertEqual(found.eir_sequenceid, 1)
        self.assertEqual(found.eir_state_protect, (0, None))
        self.assertEqual(found.eir_server_owner.so_minor_id, 0)
        self.assertEqual(found.eir_server_owner.so_major_id, b"server-owner")
        self.assertEqual(found.eir_server_scope, b"server-scope")

    def test_noRole(self) -> None:
        """
        A server without a pNFS role says so: some role bit must be there.
        """
        self.fixture.server.exchangeFlags = 0
        _, found = self.fixture.exchangeId()
        self.assertEqual(found.eir_flags, EXCHGID4_FLAG_USE_NON_PNFS)

    def test_again(self) -> None:
        """
        A confirmed client that asks again gets the same clientid, marked confirmed
        (case 2 returns the same id with CONFIRMED_R: chimera #297).
        """
        self.fixture.mount()
        status, found = self.fixture.exchangeId()
        self.assertEqual((status, found.eir_clientid), (0, self.fixture.clientid))
        self.assertTrue(found.eir_flags & EXCHGID4_FLAG_CONFIRMED_R)

    def test_restart(self) -> None:
        """
        A restarted client loses its old session as soon as it has a new one.
        """
        self.fixture.mount()
        old = self.fixture.sessionid
        self.assertEqual(self.fixture.run().status, 0)
        self.fixture.mount(verifier=b"verifie2")
        self.assertNotEqual(old, self.fixture.sessionid)
        self.assertNotIn(old, self.fixture.server.sessions.byId)
        self.assertEqual(len(self.fixture.server.clients), 1)

    def test_update(self) -> None:
        """
        Updates are answered with NOENT, NOT_SAME or PERM where they do not fit.
        """
        flag = EXCHGID4_FLAG_UPD_CONFIRMED_REC_A
        ask = self.fixture.exchangeId
        self.assertEqual(ask(flags=flag)[0], nfsstat4.NFS4ERR_NOENT)
        self.fixture.mount()
        status, found = ask(flags=flag)
        self.assertEqual((status, found.eir_clientid), (0, self.fixture.clientid))
        self.assertEqual(
            ask(verifier=b"verifie2", flags=flag)[0], nfsstat4.NFS4ERR_NOT_SAME
        )
        self.assertEqual(ask(flags=flag, credential=OTHER)[0], nfsstat4.NFS4ERR_PERM)

    def test_collision(self) -> None:
        """
        Another principal does not get at a live client.
        """
        self.fixture.mount()
        status, _ = self.fixture.exchangeId(credential=OTHER)
        self.assertEqual(status, nfsstat4.NFS4ERR_CLID_INUSE)

    def test_flags(self) -> None:
        """
        Bits that mean nothing in a request are refused, SUPP_FENCE_OPS in minor version
        1 too (flags and fence operations validated: chimera #354).
        """
        for flags in (0x8, EXCHGID4_FLAG_CONFIRMED_R, EXCHGID4_FLAG_SUPP_FENCE_OPS):
            status, _ = self.fixture.exchangeId(flags=flags)
            self.assertEqual(status, nfsstat4.NFS4ERR_INVAL)
        status, _ = self.fixture.exchangeId(flags=EXCHGID4_FLAG_SUPP_FENCE_OPS, minor=2)
        self.assertEqual(status, 0)

    def protected(self, how: Any) -> int:
        """
        The status of EXCHANGE_ID with state protection.
        """
        arguments = EXCHANGE_ID4args(client_owner4(b"verifier", b"c"), 0, how, [])
        return self.fixture.compound(args(42, arguments)).take(42)[0]

    def test_stateProtection(self) -> None:
        """
        State protection is never promised: a client that asks for it over AUTH_SYS is
        refused and can ask for none (do not advertise SSV unless enforced: chimera
        #400, #946).
        """
        ops = state_protect_ops4(0, 0)
        self.assertEqual(self.protected((SP4_MACH_CRED, ops)), nfsstat4.NFS4ERR_INVAL)
        ssv = ssv_sp_parms4(ops, [b"oid"], [b"oid"], 4, 1)
        self.assertEqual(
            self.protected((SP4_SSV, ssv)), nfsstat4.NFS4ERR_HASH_ALG_UNSUPP
        )
        ssv = ssv_sp_parms4(ops, [], [], 4, 1)
        self.assertEqual(self.protected((SP4_SSV, ssv)), nfsstat4.NFS4ERR_INVAL)

    def test_implementation(self) -> None:
        """
        What the client calls itself is kept for the administrator.
        """
        who = nfs_impl_id4(b"kernel.org", b"Linux 6.1", nfstime4(0, 0))
        arguments = EXCHANGE_ID4args(
            client_owner4(b"verifier", b"c"), 0, (0, None), [who]
        )
        reply = self.fixture.compound(args(42, arguments))
        _, found = reply.take(42, EXCHANGE_ID4resok)
        client = self.fixture.server.clients.find(found.eir_clientid)
        self.assertEqual(client.implementation, (b"kernel.org", b"Linux 6.1"))

    def test_malformed(self) -> None:
        """
        Arguments cut off anywhere, or beyond a limit, are BADXDR.
        """
        who = nfs_impl_id4(b"kernel.org", b"Linux", nfstime4(0, 0))
        arguments = EXCHANGE_ID4args(
            client_owner4(b"verifier", b"client"), 0, (0, None), [who]
        )
        wire = args(42, arguments)
        for end in range(4, len(wire)):
            reply = self.fixture.compound(wire[:end])
            self.assertEqual(reply.status, nfsstat4.NFS4ERR_BADXDR)
        arguments.eia_client_impl_id = [who, who]
        encode = codecFor(EXCHANGE_ID4args).encode
        for wire in (
            encode(arguments),
            encode(
                EXCHANGE_ID4args(
                    client_owner4(b"verifier", bytes(1025)), 0, (0, None), []
                )
            ),
        ):
            reply = self.fixture.compound(bytes([0, 0, 0, 42]) + wire)
            self.assertEqual(reply.status, nfsstat4.NFS4ERR_BADXDR)

    def test_notOnlyOp(self) -> None:
        """
        Without SEQUENCE it stands alone.
        """
        arguments = EXCHANGE_ID4args(
            client_owner4(b"verifier", b"client"), 0, (0, None), []
        )
        wire = args(42, arguments)
        self.assertEqual(
            self.fixture.compound(wire, wire).status, nfsstat4.NFS4ERR_NOT_ONLY_OP
        )
