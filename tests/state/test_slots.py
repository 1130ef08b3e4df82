"""
Tests for L{pnfs.state.slots}: slot tables that shrink and grow.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pnfs.nfs4.operation import operation
from pnfs.nfs4.status import nfsstat4
from pnfs.state.sessions import ROUND_SECONDS
from pnfs.state.slots import SLOTS_KEPT
from tests.nfs4.fixture import Fixture, Reply, args, sequenceArgs

WORK = args(38)


class SlotTableTests(SynchronousTestCase):
    """
    A client that has used twenty of its 64 slots, and goes quiet.
    """

    def setUp(self) -> None:
        self.done = 0

        def work(ctx: object) -> None:
            self.done += 1

        self.fixture = Fixture(None, operation(38, "WORK")(work))
        self.fixture.mount()
        self.session = self.fixture.session
        self.sequences = {0: self.fixture.sequenceid}
        for slot in range(20):
            self.ask(slot, 19)

    def ask(self, slot: int, highest: int = -1, cache: int = 1) -> Reply:
        """
        The next request on a slot.
        """
        self.sequences[slot] = self.sequences.get(slot, 0) + 1
        head = sequenceArgs(
            self.session.id, self.sequences[slot], slot, max(slot, highest), cache
        )
        return self.fixture.compound(head, WORK)

    def told(self, reply: Reply) -> tuple[int, int]:
        """
        C{sr_highest_slotid} and C{sr_target_highest_slotid}.
        """
        found = reply.takeSequence()
        return found[3], found[4]

    def rest(self) -> None:
        """
        Enough time for two looks at the session.
        """
        for _ in range(2):
            self.fixture.clock.advance(ROUND_SECONDS)
            self.fixture.server.sessions.trim(self.fixture.clock.seconds())

    def shrink(self) -> None:
        """
        Have the table shrunk.
        """
        self.rest()
        self.assertEqual(self.told(self.ask(0)), (63, 3))
        self.assertEqual(self.told(self.ask(0)), (3, 3))

    def test_busy(self) -> None:
        """
        A client that works keeps its slots ("highest/target_highest slot: real
        values, allow shrinking", chimera #1167).
        """
        for _ in range(3):
            for _ in range(20):
                self.assertEqual(self.told(self.ask(0)), (63, 63))
            self.fixture.clock.advance(ROUND_SECONDS)
            self.fixture.server.sessions.trim(self.fixture.clock.seconds())

    def test_shrinks(self) -> None:
        """
        A quiet client is told to use fewer. When it has seen that they go, with
        the replies they kept.
        """
        self.shrink()
        self.assertEqual(len(self.session.slots), SLOTS_KEPT)
        for slot in (4, 19, 63):
            reply = self.ask(slot, cache=0)
            self.assertEqual(reply.status, nfsstat4.NFS4ERR_BADSLOT)
        head = sequenceArgs(self.session.id, self.sequences[1] + 1, 1, 4)
        reply = self.fixture.compound(head, WORK)
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_BAD_HIGH_SLOT)

    def test_notYetSeen(self) -> None:
        """
        As long as the client may not have seen it, or has a request under way
        above, everything is kept: a retry gets the same reply.
        """
        self.rest()
        self.assertEqual(self.told(self.ask(0)), (63, 3))
        self.assertEqual(self.told(self.ask(1)), (63, 3))
        self.assertEqual(self.told(self.ask(0, 15)), (63, 3))
        again = sequenceArgs(self.session.id, 1, 15, 19, 1)
        done = self.done
        self.assertEqual(self.fixture.compound(again, WORK).status, 0)
        self.assertEqual(self.done, done)
        self.session.slots[9].busy = True
        self.assertEqual(self.told(self.ask(0)), (63, 3))
        self.session.slots[9].busy = False
        self.assertEqual(self.told(self.ask(0)), (3, 3))

    def test_grows(self) -> None:
        """
        A client that uses all it has left gets more, at once, up to what was agreed.
        """
        self.shrink()
        for slot, most in ((3, 7), (7, 15), (12, 15), (15, 31), (31, 63)):
            self.assertEqual(self.told(self.ask(slot)), (most, most))
        self.assertFalse(self.session.trimmed)

    def test_resumed(self) -> None:
        """
        On a slot that has come back the client goes on counting, or begins anew,
        once; it cannot do so later, and have something done twice.
        """
        self.shrink()
        self.ask(3)
        self.assertEqual(self.ask(4).status, 0)
        self.sequences[5] = 0
        self.assertEqual(self.ask(5).status, 0)
        done = self.done
        retry = sequenceArgs(self.session.id, 1, 5, 5, 1)
        self.assertEqual(self.fixture.compound(retry, WORK).status, 0)
        self.assertEqual(self.done, done)
        self.assertEqual(self.ask(5).status, 0)
        for slot in (4, 5):
            self.sequences[slot] = 0
            self.assertEqual(self.ask(slot).status, nfsstat4.NFS4ERR_SEQ_MISORDERED)

    def test_newSlot(self) -> None:
        """
        A slot that was never used begins with 1 and nothing else.
        """
        self.shrink()
        for slot in (3, 7, 15):
            self.ask(slot)
        self.sequences[25] = 1
        self.assertEqual(self.ask(25).status, nfsstat4.NFS4ERR_SEQ_MISORDERED)
        self.sequences[25] = 0
        self.assertEqual(self.ask(25).status, 0)

    def test_fewSlots(self) -> None:
        """
        A session that never used many is left alone.
        """
        self.fixture.mount(b"other")
        self.session = self.fixture.session
        self.rest()
        self.rest()
        self.assertFalse(self.session.trimmed)
