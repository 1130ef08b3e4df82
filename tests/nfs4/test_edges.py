"""
The edge conditions of RFC 8881, section 8.4.3, as whole COMPOUNDs: who may reclaim
after restarts in bad moments.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.metadata.recovery import MemoryRecoveryStore
from pnfs.nfs4.ops.reclaim_complete import RECLAIM_COMPLETE4args
from pnfs.nfs4.status import nfsstat4
from tests.nfs4.fixture import args, sequenceArgs
from tests.nfs4.ops.files import (
    BOTH,
    CLAIM_FH,
    CLAIM_PREVIOUS,
    READ,
    WRITE,
    FileFixture,
    Opened,
    lockNew,
    openArgs,
)

COMPLETE = args(58, RECLAIM_COMPLETE4args(False))
WRITE_LT = 2


class EdgeTests(SynchronousTestCase):
    """
    Clients C{a} and C{b} of a server that is started again and again.
    """

    def setUp(self) -> None:
        self.store = MemoryRecoveryStore()
        self.starts = 0
        self.restart()

    def restart(self) -> None:
        """
        The server goes down and comes back, with the same file.
        """
        self.starts += 1
        self.fixture = FileFixture(store=self.store, seed=b"%d" % self.starts)
        self.fixture.server.clients.courtesySeconds = 86400.0
        self.inode = self.fixture.make(b"file", 0o666)
        self.clock = self.fixture.clock
        self.who: dict[bytes, tuple[int, bytes, int]] = {}

    def act(self, owner: bytes, *ops: bytes) -> Any:
        """
        A client that has come back does something with the file.

        @return: the reply, or the name of the status if that is an error.
        """
        fixture = self.fixture
        if owner in self.who:
            fixture.clientid, fixture.sessionid, fixture.sequenceid = self.who[owner]
        else:
            fixture.mount(owner, reclaimComplete=False)
        reply = fixture.at(self.inode, *ops)
        self.who[owner] = (fixture.clientid, fixture.sessionid, fixture.sequenceid)
        if reply.status:
            return nfsstat4(reply.status).name.removeprefix("NFS4ERR_")
        return reply

    def open(
        self, owner: bytes, claim: bytes = CLAIM_FH, access: int = BOTH, deny: int = 0
    ) -> Any:
        """
        OPEN. @return: the stateid, or the name of the status.
        """
        reply = self.act(owner, openArgs(access=access, deny=deny, claim=claim))
        return reply if isinstance(reply, str) else Opened(reply).stateid

    def reclaim(self, owner: bytes, **more: Any) -> str:
        """
        OPEN of what was open before. @return: the name of the status.
        """
        found = self.open(owner, CLAIM_PREVIOUS, **more)
        return found if isinstance(found, str) else "OK"

    def complete(self, *owners: bytes) -> None:
        """
        RECLAIM_COMPLETE.
        """
        for owner in owners:
            self.assertNotIsInstance(self.act(owner, COMPLETE), str)

    def wait(self, seconds: float) -> None:
        """
        Time goes by, and the server looks after its clients.
        """
        self.clock.advance(seconds)
        self.fixture.server.clients.expire(self.clock.seconds())

    def test_ordinary(self) -> None:
        """
        After a restart a client has its open and its lock again, and nobody else gets
        in before; when all have finished everybody goes on. The old session is
        BADSESSION, and old stateids name nothing (a stateid carries a boot epoch,
        BAD_STATEID after a restart: chimera #310, #1008, #1150; a restored client must
        be able to reclaim and open: #1697).
        """
        self.complete(b"a", b"b")
        stateid = self.open(b"a")
        old = self.who[b"a"][1]
        self.restart()
        reply = self.fixture.compound(sequenceArgs(old, 5))
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_BADSESSION)
        self.assertEqual(self.open(b"b"), "GRACE")
        again = self.open(b"a", CLAIM_PREVIOUS)
        lock = lockNew(again, WRITE_LT, 0, 10, reclaim=1)
        self.assertNotIsInstance(self.act(b"a", lock), str)
        stale = self.act(b"a", lockNew(stateid, WRITE_LT, 0, 10, reclaim=1))
        self.assertEqual(stale, "BAD_STATEID")
        self.assertEqual(self.act(b"a", lockNew(again, WRITE_LT, 20, 1)), "GRACE")
        self.complete(b"a")
        self.assertEqual(self.reclaim(b"a"), "NO_GRACE")
        self.assertEqual(self.open(b"a", access=READ), "GRACE")
        self.complete(b"b")
        self.assertIsInstance(self.open(b"b"), bytes)

    def test_first(self) -> None:
        """
        The first edge condition: a client is cut off, another gets what it held and
        gives it up, the server restarts. The client may not reclaim: it would not
        notice that others have changed the file.
        """
        self.complete(b"a", b"b")
        self.open(b"a", deny=WRITE)
        self.wait(60.0)
        self.act(b"b")
        self.wait(60.0)
        self.assertIsInstance(self.open(b"b", deny=WRITE), bytes)
        self.restart()
        self.assertEqual(self.reclaim(b"a", deny=WRITE), "RECLAIM_BAD")
        self.assertEqual(self.reclaim(b"b", deny=WRITE), "OK")

    def test_cutOff(self) -> None:
        """
        A client that was cut off but in nobody's way reclaims like the others.
        """
        self.complete(b"a", b"b")
        self.open(b"a", deny=WRITE)
        self.wait(60.0)
        self.act(b"b")
        self.wait(60.0)
        self.restart()
        self.assertEqual(self.reclaim(b"a", deny=WRITE), "OK")

    def test_second(self) -> None:
        """
        The second edge condition: a client is cut off while the server restarts,
        misses the grace period, others get what it held, the server restarts again.
        """
        self.complete(b"a", b"b")
        self.open(b"a", deny=WRITE)
        self.restart()
        self.complete(b"b")
        self.wait(91.0)
        self.assertIsInstance(self.open(b"b", deny=WRITE), bytes)
        self.restart()
        self.assertEqual(self.reclaim(b"a", deny=WRITE), "RECLAIM_BAD")
        self.assertEqual(self.reclaim(b"b", deny=WRITE), "OK")

    def test_unfinished(self) -> None:
        """
        A client that came back, but had not finished its reclaims when the grace
        period ended, may not go on with them after the next restart.
        """
        self.complete(b"a", b"b")
        self.restart()
        self.assertEqual(self.reclaim(b"a"), "OK")
        self.complete(b"b")
        self.wait(95.0)
        self.assertIsInstance(self.open(b"b"), bytes)
        self.restart()
        self.assertEqual(self.reclaim(b"a"), "RECLAIM_BAD")

    def test_twice(self) -> None:
        """
        A further restart within the grace period takes nothing from anybody, be it
        finished or not, come back or not.
        """
        self.complete(b"a", b"b", b"c")
        self.restart()
        self.complete(b"a")
        self.assertEqual(self.reclaim(b"b"), "OK")
        self.restart()
        for owner in (b"a", b"b", b"c"):
            self.assertEqual(self.reclaim(owner), "OK")

    def test_reboot(self) -> None:
        """
        A client that has itself restarted since has lost its state, so it has
        nothing to reclaim until it has finished anew.
        """
        self.complete(b"a", b"b")
        self.fixture.mount(b"a", b"verifie2", reclaimComplete=False)
        self.restart()
        self.assertEqual(self.reclaim(b"a"), "RECLAIM_BAD")

    def test_reclaimTakesNothing(self) -> None:
        """
        A client that has reclaimed and fallen silent, in the grace period, does not
        lose that to one that claims to have held the same.
        """
        self.complete(b"a", b"b")
        self.restart()
        self.fixture.server.recovery.setGrace(300.0)
        self.assertEqual(self.reclaim(b"a", deny=WRITE), "OK")
        self.wait(60.0)
        self.act(b"b")
        self.wait(60.0)
        self.assertEqual(self.reclaim(b"b"), "RECLAIM_CONFLICT")
