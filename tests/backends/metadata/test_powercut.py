"""
Tests of L{pnfs.backends.metadata.recovery} and L{pnfs.state.recovery} together: the
plug is pulled between any two changes on the disk.
"""

from __future__ import annotations

from typing import Any, Optional

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.metadata.recovery import FileRecoveryStore
from pnfs.state.clients import Client
from pnfs.state.errors import NoGrace, ReclaimBad
from pnfs.state.recovery import Grace
from tests.backends.metadata.disk import LOSSES, Disk, PowerCut


class Site:
    """
    A server that is started again and again, and what its clients have been told.

    @ivar entitled: owners that must be able to reclaim after the next start.
    @ivar barred: those that must not.
    @ivar promised: the lease that clients may rely on; lease: what they are told.
    """

    def __init__(self, case: SynchronousTestCase, disk: Disk) -> None:
        self.case = case
        self.disk = disk
        self.epoch = 0
        self.entitled: set[bytes] = set()
        self.barred: set[bytes] = set()
        self.promised = self.lease = 0.0
        self.grace: Any = None
        self.store: Any = None

    def boot(self, lease: float = 90.0) -> None:
        """
        Start, and see that everybody gets what is due.
        """
        self.store = FileRecoveryStore("/recovery", self.disk)
        epoch = self.store.beginEpoch()
        self.case.assertGreater(epoch, self.epoch)
        self.epoch = epoch
        grace = Grace(self.store, 0.0, 0.0, lease)
        for owner in self.entitled:
            grace.checkReclaim(self.client(grace, owner), 0.0)
        for owner in self.barred:
            client = self.client(grace, owner)
            self.case.assertRaises(
                (ReclaimBad, NoGrace), grace.checkReclaim, client, 0.0
            )
        if self.entitled and self.promised:
            self.case.assertTrue(grace.inGrace(self.promised - 1))
        self.promised = max(lease, self.promised)
        self.lease = lease
        self.grace = grace

    def client(self, grace: Grace, owner: bytes) -> Client:
        """
        A client that has come back.
        """
        client = Client(1, owner, b"", (1, 0), 0.0)
        grace.admit(client, 0.0)
        return client

    def complete(self, *owners: bytes) -> None:
        """
        Clients say RECLAIM_COMPLETE.
        """
        for owner in owners:
            client = self.client(self.grace, owner)
            self.barred.discard(owner)
            self.grace.complete(client, 0.0)
            self.entitled.add(owner)

    def dismiss(self, *owners: bytes) -> None:
        """
        Clients lose what they hold to others.
        """
        clients = [self.client(self.grace, owner) for owner in owners]
        self.entitled.difference_update(owners)
        self.grace.dismiss(*clients)
        self.barred.update(owners)

    def end(self, *finished: bytes) -> None:
        """
        The time for reclaims is over: only who has finished has anything left.
        """
        others = self.entitled.difference(finished)
        self.entitled.intersection_update(finished)
        until, self.promised = self.promised, self.lease
        self.case.assertFalse(self.grace.inGrace(until))
        self.barred.update(others)


def life(site: Site) -> None:
    """
    A server's first start, and its second, with all that can happen.
    """
    site.boot()
    site.complete(b"a", b"b", b"c", b"d")
    site.dismiss(b"d")
    site.complete(b"d")
    site.boot(20.0)
    site.complete(b"a", b"new")
    site.dismiss(b"b")
    site.end(b"a", b"new")
    site.complete(b"c")
    site.dismiss(b"a", b"new", b"nobody")
    site.complete(b"b")


def again(site: Site) -> None:
    """
    A start after whatever has happened.
    """
    site.boot()
    site.complete(b"a", b"late")
    site.dismiss(b"c")
    site.end(b"a", b"late")
    site.complete(b"c")


class PowerCutTests(SynchronousTestCase):
    """
    Who may reclaim, whenever the plug is pulled.
    """

    def interrupted(self, story: Any, site: Site) -> bool:
        """
        Live until the plug is pulled. @return: it was.
        """
        try:
            story(site)
        except PowerCut:
            return True
        return False

    def check(self, site: Site, second: Optional[Any]) -> int:
        """
        Start again, on each disk that may be left. @return: how often.
        """
        count = 0
        disk = site.disk
        for loss in LOSSES:
            cutAt = 0
            pulled = True
            while pulled:
                after = Site(self, disk.again(loss, cutAt if second else None))
                after.epoch = site.epoch
                after.entitled = set(site.entitled)
                after.barred = set(site.barred)
                after.promised = site.promised
                count += 1
                if second is None:
                    after.boot()
                    break
                pulled = self.interrupted(second, after)
                self.check(after, None)
                cutAt += 3
        return count

    def test_once(self) -> None:
        """
        No client that should be able to reclaim is lost, and none gets in that must
        not, whenever the power fails and whatever was not synced.
        """
        cutAt = 0
        while True:
            site = Site(self, Disk(cutAt))
            pulled = self.interrupted(life, site)
            self.check(site, None)
            if not pulled:
                break
            cutAt += 1
        self.assertGreater(cutAt, 50)

    def test_twice(self) -> None:
        """
        Nor if it fails again before all have come back.
        """
        cutAt = 0
        while True:
            site = Site(self, Disk(cutAt))
            pulled = self.interrupted(life, site)
            self.check(site, again)
            if not pulled:
                break
            cutAt += 3

    def test_disk(self) -> None:
        """
        The disk of these tests forgets: without syncing a record is gone.
        """
        disk = Disk()
        self.patch(disk, "fdatasync", lambda fd: None)
        site = Site(self, disk)
        site.boot()
        site.complete(b"a")
        site.disk = disk.again(LOSSES[0])
        self.assertRaises(NoGrace, site.boot)
