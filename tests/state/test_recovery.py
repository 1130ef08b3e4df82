"""
Tests for L{pnfs.state.recovery}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import NoSpace
from pnfs.backends.metadata.recovery import MemoryRecoveryStore
from pnfs.state.clients import Client
from pnfs.state.errors import CompleteAlready, Delay
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

    def back(self, grace: Grace, owner: bytes, now: float = 0.0) -> Client:
        """
        A client confirms.
        """
        found = client(owner)
        grace.admit(found, now)
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
        Who was known may reclaim until it says that it has finished; the others may
        not, and everybody waits (persist client records, reload before deciding "no
        grace": chimera #389, #398).
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
        locks meanwhile (the second edge condition of RFC 8881, section 8.4.3).
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

    def test_unfinished(self) -> None:
        """
        Neither may a client that came back but had not finished when the time was
        over. As soon as it has, it is recorded as everybody else.
        """
        grace = self.restart(b"slow")
        slow = self.back(grace, b"slow")
        grace.checkReclaim(slow, 80.0)
        self.assertFalse(grace.inGrace(90.0))
        self.assertRaises(InGrace, grace.checkOrdinary, slow, 90.0)
        again = self.restart(b"other")
        self.assertRaises(ReclaimBad, again.checkReclaim, self.back(again, b"slow"), 0)
        grace = self.restart(b"slow")
        slow = self.back(grace, b"slow")
        self.assertFalse(grace.inGrace(90.0))
        grace.complete(slow, 91.0)
        grace.checkOrdinary(slow, 91.0)
        grace = self.restart()
        grace.checkReclaim(self.back(grace, b"slow"), 0.0)

    def test_finishedBeforeSecondRestart(self) -> None:
        """
        Who had finished when the server went down again, within the grace period,
        may reclaim once more; who came new may, too: it holds nothing.
        """
        grace = self.restart(b"done", b"late")
        for owner in (b"done", b"new"):
            grace.complete(self.back(grace, owner), 1.0)
        grace = self.restart()
        for owner in (b"done", b"new", b"late"):
            grace.checkReclaim(self.back(grace, owner), 1.0)

    def test_notBeforeRecorded(self) -> None:
        """
        A client is recorded when it may get new state, before it does: as soon as
        RECLAIM_COMPLETE is answered.
        """
        grace = self.restart()
        new = self.back(grace, b"a")
        self.assertEqual(dict(self.store.clients()), {})
        self.assertRaises(InGrace, grace.checkOrdinary, new, 0.0)
        grace.complete(new, 0.0)
        self.assertEqual(dict(self.store.clients()), {b"a": False})

    def test_failingStore(self) -> None:
        """
        While nothing can be recorded nobody gets new state, and the grace period
        lasts; when that is mended all goes on.
        """
        grace = self.restart(b"gone")
        new = self.back(grace, b"a")

        def fail(about: object) -> None:
            raise NoSpace()

        self.patch(self.store, "addClient", fail)
        patch = self.patch(self.store, "removeClients", fail)
        self.assertRaises(Delay, grace.complete, new, 1.0)
        self.assertRaises(InGrace, grace.checkOrdinary, new, 1.0)
        self.assertRaises(Delay, grace.dismiss, new)
        self.assertTrue(grace.inGrace(90.0))
        patch.restore()
        self.assertFalse(grace.inGrace(91.0))
        self.assertEqual(dict(self.store.clients()), {})

    def test_lastsForLease(self) -> None:
        """
        The grace period is not shorter than the lease promised before the restart,
        within which clients need not look whether the server is still there. That
        holds for a further restart within it, too.
        """
        self.restart(b"a")
        Grace(self.store, 0.0, 90.0, 60.0).setLease(80.0)
        for _ in range(2):
            self.store.beginEpoch()
            grace = Grace(self.store, 0.0, 1.0, 1.0)
            self.assertTrue(grace.inGrace(79.0))
        self.assertFalse(grace.inGrace(80.0))
        self.restart(b"a")
        self.assertFalse(Grace(self.store, 0.0, 1.0, 1.0).inGrace(1.0))

    def test_setGrace(self) -> None:
        """
        An administrator can make the grace period longer or shorter while it lasts,
        but not shorter than the lease.
        """
        self.restart(b"a")
        self.store.promiseLease(20.0)
        grace = Grace(self.store, 5.0, 90.0, 20.0)
        grace.setGrace(200.0)
        self.assertTrue(grace.inGrace(204.0))
        grace.setGrace(1.0)
        self.assertTrue(grace.inGrace(24.0))
        self.assertFalse(grace.inGrace(25.0))

    def test_lateReclaim(self) -> None:
        """
        A reclaim after the end of the grace period is refused.
        """
        grace = self.restart(b"a")
        known = self.back(grace, b"a")
        self.assertRaises(NoGrace, grace.checkReclaim, known, 90.0)

    def test_extended(self) -> None:
        """
        A client that is reclaiming when the time is over goes on, unless it takes
        as long again.
        """
        for last, end in ((89.0, 91.0), (90.9, 92.9), (170.0, 172.0), (179.5, 180.0)):
            grace = self.restart(b"a")
            known = self.back(grace, b"a")
            for tenth in range(880, int(last * 10) + 1):
                grace.checkReclaim(known, tenth / 10)
            self.assertTrue(grace.inGrace(end - 0.1))
            self.assertFalse(grace.inGrace(end))
            self.assertRaises(NoGrace, grace.checkReclaim, known, end)

    def test_extendedForLateOnes(self) -> None:
        """
        Clients that come back one after the other may all reclaim, however short the
        grace period: a server that needs longer than that to hear them all cuts off
        none. It is over as soon as nobody comes any more.
        """
        owners = [b"%d" % number for number in range(100)]
        grace = self.restart(*owners, b"gone")
        grace.setGrace(10.0)
        for number, owner in enumerate(owners):
            now = number * 1.5
            known = self.back(grace, owner, now)
            grace.checkReclaim(known, now + 0.5)
            grace.complete(known, now + 1.0)
        self.assertTrue(grace.inGrace(150.9))
        self.assertFalse(grace.inGrace(151.0))
        self.assertEqual(set(self.store.clients()), set(owners))

    def test_extendedBySessions(self) -> None:
        """
        A recorded client that has made its session at the last moment gets to its
        first reclaim, and also one that makes another session shows that recovery
        goes on. Those who come anew hold up nobody.
        """
        grace = self.restart(b"a", b"gone")
        known = self.back(grace, b"a", 89.5)
        grace.checkReclaim(known, 90.5)
        grace.complete(known, 90.5)
        known.confirmed = True
        grace.admit(known, 92.0)
        self.back(grace, b"new", 93.9)
        self.assertTrue(grace.inGrace(93.9))
        self.assertFalse(grace.inGrace(94.0))

    def test_notForEver(self) -> None:
        """
        A client that reclaims without end, or makes session after session, holds up
        the others for twice the grace period at most, or for its length from its
        late return; all who come, for five minutes.
        """
        for back, end in ((0.0, 20.0), (9.0, 20.0)):
            grace = self.restart(b"a")
            grace.setGrace(10.0)
            known = self.back(grace, b"a", back)
            known.confirmed = True
            for second in range(int(back), int(end)):
                grace.admit(known, second)
                grace.checkReclaim(known, second)
            self.assertFalse(grace.inGrace(end))
        grace = self.restart(*(b"%d" % number for number in range(400)))
        grace.setGrace(10.0)
        for number in range(299):
            self.back(grace, b"%d" % number, number)
        last = self.back(grace, b"300", 299.0)
        grace.checkReclaim(last, 299.9)
        self.assertRaises(NoGrace, grace.checkReclaim, last, 300.0)

    def test_extendedLate(self) -> None:
        """
        Who comes back while it is extended has as long as the grace period is.
        """
        grace = self.restart(b"first", b"late")
        grace.setGrace(10.0)
        first = self.back(grace, b"first")
        for second in range(19):
            grace.checkReclaim(first, second)
        late = self.back(grace, b"late", 19.0)
        for second in range(19, 29):
            grace.checkReclaim(late, second)
        self.assertFalse(grace.inGrace(29.0))

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
