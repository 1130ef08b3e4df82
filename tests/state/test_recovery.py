"""
Tests for L{pnfs.state.recovery}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.metadata.recovery import MemoryRecoveryStore
from pnfs.state.clients import Client
from pnfs.state.errors import CompleteAlready
from pnfs.state.errors import Grace as InGrace
from pnfs.state.errors import NoGrace, ReclaimBad
from pnfs.state.recovery import Grace, noGrace


def client(owner: bytes) -> Client:
    """
    A record of an owner.
    """
    return Client(1, owner, b"", (1, 0), 0.0)


class GraceTests(SynchronousTestCase):
    """
    What is allowed after a restart.
    """

    def setUp(self) -> None:
        self.store = MemoryRecoveryStore()

    def restart(self, *owners: bytes) -> Grace:
        """
        A start of the server after one in which these clients were known.
        """
        for owner in owners:
            self.store.addClient(owner)
        self.store.beginEpoch()
        return Grace(self.store, 0.0, 90.0)

    def back(self, grace: Grace, owner: bytes) -> Client:
        """
        A client confirms.
        """
        found = client(owner)
        grace.admit(found)
        return found

    def test_nobody(self) -> None:
        """
        A server that has had no clients starts without a grace period; a client
        can work as soon as it has said RECLAIM_COMPLETE.
        """
        grace = self.restart()
        self.assertFalse(grace.inGrace(0.0))
        new = self.back(grace, b"a")
        self.assertRaises(InGrace, grace.checkOrdinary, new, 0.0)
        grace.complete(new, 0.0)
        grace.checkOrdinary(new, 0.0)
        self.assertRaises(NoGrace, grace.checkReclaim, new, 0.0)

    def test_reclaim(self) -> None:
        """
        Who was known may reclaim until it says that it has finished; the others
        may not, and everybody waits.
        """
        grace = self.restart(b"a", b"b")
        known = self.back(grace, b"a")
        new = self.back(grace, b"new")
        grace.checkReclaim(known, 1.0)
        self.assertRaises(ReclaimBad, grace.checkReclaim, new, 1.0)
        self.assertRaises(InGrace, grace.checkOrdinary, known, 1.0)
        grace.complete(known, 1.0)
        grace.complete(new, 1.0)
        self.assertRaises(NoGrace, grace.checkReclaim, known, 1.0)
        self.assertRaises(InGrace, grace.checkOrdinary, new, 1.0)
        self.assertEqual(grace.waiting, 1)

    def test_endsEarly(self) -> None:
        """
        When all who were known have finished, nobody waits any longer.
        """
        grace = self.restart(b"a", b"b")
        first, second = self.back(grace, b"a"), self.back(grace, b"b")
        grace.complete(first, 1.0)
        self.assertTrue(grace.inGrace(1.0))
        grace.complete(second, 2.0)
        self.assertFalse(grace.inGrace(2.0))
        grace.checkOrdinary(first, 2.0)

    def test_endsInTime(self) -> None:
        """
        A client that does not come back holds up the others for the grace period
        only. After the next restart it may not reclaim: others may have held its
        locks meanwhile.
        """
        grace = self.restart(b"a", b"gone")
        known = self.back(grace, b"a")
        grace.complete(known, 1.0)
        self.assertTrue(grace.inGrace(89.9))
        self.assertFalse(grace.inGrace(90.0))
        grace.checkOrdinary(known, 90.0)
        self.assertEqual(list(self.store.clients()), [b"a"])
        grace = self.restart()
        gone = self.back(grace, b"gone")
        self.assertRaises(ReclaimBad, grace.checkReclaim, gone, 0.0)

    def test_lateReclaim(self) -> None:
        """
        A reclaim after the end of the grace period is refused.
        """
        grace = self.restart(b"a")
        known = self.back(grace, b"a")
        self.assertRaises(NoGrace, grace.checkReclaim, known, 90.0)

    def test_restartWithinGrace(self) -> None:
        """
        If the server goes down again before a client could come back, that client
        may still reclaim.
        """
        self.restart(b"a")
        grace = self.restart()
        grace.checkReclaim(self.back(grace, b"a"), 0.0)

    def test_dismissed(self) -> None:
        """
        The grace period does not wait for a client that has gone for good.
        """
        grace = self.restart(b"a")
        known = self.back(grace, b"a")
        grace.dismiss(known)
        self.assertFalse(grace.inGrace(1.0))
        self.assertEqual(dict(self.store.clients()), {})

    def test_completeTwice(self) -> None:
        """
        RECLAIM_COMPLETE is said once, and once more for each moved file system.
        """
        grace = self.restart()
        new = self.back(grace, b"a")
        grace.completeFS(new, 1)
        self.assertRaises(CompleteAlready, grace.completeFS, new, 1)
        grace.completeFS(new, 2)
        grace.complete(new, 0.0)
        self.assertRaises(CompleteAlready, grace.complete, new, 0.0)

    def test_noGrace(self) -> None:
        """
        A data server keeps no record of clients.
        """
        grace = noGrace()
        new = self.back(grace, b"a")
        grace.complete(new, 0.0)
        grace.checkOrdinary(new, 0.0)
        grace.dismiss(new)
