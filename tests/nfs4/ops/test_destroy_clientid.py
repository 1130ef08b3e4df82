"""
Tests for L{pnfs.nfs4.ops.destroy_clientid}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pnfs.nfs4.ops.destroy_clientid import DESTROY_CLIENTID4args
from pnfs.nfs4.status import nfsstat4
from tests.nfs4.fixture import Fixture, args


class DestroyClientidTests(SynchronousTestCase):
    """
    DESTROY_CLIENTID, as whole COMPOUNDs.
    """

    def setUp(self) -> None:
        self.fixture = Fixture()
        self.fixture.mount()

    def destroy(self) -> int:
        """
        The status of destroying the client.
        """
        wire = args(57, DESTROY_CLIENTID4args(self.fixture.clientid))
        return self.fixture.compound(wire).take(57)[0]

    def test_busy(self) -> None:
        """
        A client with sessions or state stays (busy while sessions or leased state
        exist: chimera #299).
        """
        client = self.fixture.client
        self.assertEqual(self.destroy(), nfsstat4.NFS4ERR_CLIENTID_BUSY)
        self.fixture.server.sessions.dropClient(client)
        client.layouts["f"] = object()
        self.assertEqual(self.destroy(), nfsstat4.NFS4ERR_CLIENTID_BUSY)

    def test_gone(self) -> None:
        """
        A client that holds nothing goes, and is not waited for after a restart.
        """
        self.fixture.server.sessions.dropClient(self.fixture.client)
        self.assertEqual(self.destroy(), 0)
        self.assertEqual(dict(self.fixture.store.clients()), {})
        self.assertEqual(self.destroy(), nfsstat4.NFS4ERR_STALE_CLIENTID)

    def test_ofItself(self) -> None:
        """
        Within a session of the client it is still in use.
        """
        wire = args(57, DESTROY_CLIENTID4args(self.fixture.clientid))
        self.assertEqual(
            self.fixture.run(wire).take(57)[0], nfsstat4.NFS4ERR_CLIENTID_BUSY
        )
