"""
Tests for L{pnfs.nfs4.ops.reclaim_complete}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.metadata.recovery import MemoryRecoveryStore
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.reclaim_complete import RECLAIM_COMPLETE4args
from pnfs.nfs4.status import nfsstat4
from tests.nfs4.fixture import Fixture, args


class ReclaimCompleteTests(SynchronousTestCase):
    """
    RECLAIM_COMPLETE, as whole COMPOUNDs.
    """

    def setUp(self) -> None:
        def putfh(ctx: Any) -> None:
            ctx.setCurrent(b"fh", object(), self)

        store = MemoryRecoveryStore()
        store.addClient(b"client")
        store.addClient(b"other")
        self.fixture = Fixture(None, operation(22, "PUTFH")(putfh), store=store)
        self.fixture.mount(reclaimComplete=False)

    def complete(self, oneFS: bool = False, *before: bytes) -> int:
        """
        Its status.
        """
        wire = args(58, RECLAIM_COMPLETE4args(oneFS))
        return self.fixture.run(*before, wire).status

    def test_once(self) -> None:
        """
        It can be said once; the grace period is over when all have said it (a second
        one is COMPLETE_ALREADY: chimera #300).
        """
        recovery = self.fixture.server.recovery
        self.assertEqual(self.complete(), 0)
        self.assertEqual(self.complete(), nfsstat4.NFS4ERR_COMPLETE_ALREADY)
        self.assertTrue(recovery.inGrace(self.fixture.clock.seconds()))
        self.fixture.mount(b"other")
        self.assertFalse(recovery.inGrace(self.fixture.clock.seconds()))

    def test_oneFS(self) -> None:
        """
        For one file system it needs a filehandle, and ends nothing (the one_fs form
        needs a handle and does not end global reclaim: chimera #1006, #1422).
        """
        self.assertEqual(self.complete(True), nfsstat4.NFS4ERR_NOFILEHANDLE)
        self.assertEqual(self.complete(True, args(22)), 0)
        self.assertEqual(
            self.complete(True, args(22)), nfsstat4.NFS4ERR_COMPLETE_ALREADY
        )
        self.assertFalse(self.fixture.client.reclaimComplete)
        self.assertEqual(self.complete(), 0)
