"""
Tests for L{pnfs.callbacks.recall}.
"""

from __future__ import annotations

import struct
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

import pnfs.state.files
from pnfs.backends.errors import NoSuchObject, Unreachable
from pnfs.clock import MonotonicClock
from pnfs.callbacks.channel import BackChannels, NoBackChannel
from pnfs.callbacks.recall import DATA_SERVER_LOST, LayoutRecaller
from pnfs.interfaces import IRecaller
from pnfs.nfs4.current import mustAsk, refreshWritten
from pnfs.nfs4.status import nfsstat4
from tests.callbacks.test_channel import Callback
from tests.layouts import linux
from tests.nfs4.layoutfixture import MAX, LayoutFixture

OK = nfsstat4.NFS4_OK
DELAY = nfsstat4.NFS4ERR_DELAY
NOMATCHING = nfsstat4.NFS4ERR_NOMATCHING_LAYOUT


class RecallTests(SynchronousTestCase):
    """
    Before a file is cut off or removed, its layouts are recalled.
    """

    def setUp(self) -> None:
        self.fixture = LayoutFixture(leaseSeconds=10.0)
        self.clock = self.fixture.clock
        self.recaller = self.fixture.recaller
        self.calls = self.fixture.data.calls

    def tearDown(self) -> None:
        """
        Nothing goes on for ever.
        """
        self.clock.advance(60)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.recaller.active, set())
        state = self.fixture.inode.state
        self.assertTrue(state is None or state.recall is None)

    def hold(self, **more: Any) -> bytes:
        """
        Get a layout; forget which calls that took.
        """
        held = self.fixture.hold(**more)
        self.calls.clear()
        return held

    def recall(self, reason: str = "test", exclude: Any = None) -> Deferred[None]:
        """
        Recall the layouts of the file.
        """
        return self.recaller.recallLayouts(self.fixture.state, reason, exclude)

    def answer(self, status: int) -> None:
        """
        The client answers the last CB_LAYOUTRECALL.
        """
        self.fixture.recalled[-1][1].callback(status)

    def test_provides(self) -> None:
        """
        It is what operations know as a recaller.
        """
        verifyObject(IRecaller, self.recaller)

    def test_nothingHeld(self) -> None:
        """
        Without layouts there is nothing to wait for.
        """
        self.assertIsNone(self.successResultOf(self.recall()))
        self.assertEqual(self.fixture.recalled, [])

    def test_returned(self) -> None:
        """
        The holder is told once, with the seqid counted up and the file's own
        handle; when it has returned the layout, the operation goes on.
        """
        held = self.hold()
        done = self.recall()
        ((said, _),) = self.fixture.recalled
        stateid = b"\0\0\0\2" + held[4:]
        self.assertEqual(
            said, (self.fixture.client, 1, False, self.fixture.fh(), stateid)
        )
        self.answer(OK)
        self.clock.advance(5)
        self.assertNoResult(done)
        self.assertEqual(len(self.fixture.recalled), 1)
        self.assertEqual(self.fixture.giveBack(stateid), (OK, None))
        self.assertIsNone(self.successResultOf(done))
        self.assertEqual(self.calls, ["refresh"])

    def test_partlyReturned(self) -> None:
        """
        A client may return a recalled layout in parts.
        """
        self.hold()
        done = self.recall()
        stateid = self.fixture.recalled[0][0][4]
        self.answer(OK)
        _, left = self.fixture.giveBack(stateid, iomode=2, length=65536)
        self.assertNoResult(done)
        self.fixture.giveBack(left)
        self.assertIsNone(self.successResultOf(done))

    def test_forgotten(self) -> None:
        """
        A client that has forgotten its layout does not return it; what it may have
        written is learned from the data servers (NOMATCHING_LAYOUT from the client
        completes the recall: chimera #675).
        """
        self.hold()
        self.fixture.data.sizes[self.fixture.inode.handle] = 999
        done = self.recall()
        self.answer(NOMATCHING)
        self.assertIsNone(self.successResultOf(done))
        self.assertEqual(self.calls, ["refresh"])
        self.assertEqual(self.fixture.inode.size, 999)

    def test_delay(self) -> None:
        """
        A client that is busy is asked again, ever less often up to each second,
        with the same stateid.
        """
        self.hold(iomode=1)
        done = self.recall()
        times = []
        for _ in range(6):
            times.append(round(self.clock.seconds() - 1000, 3))
            self.answer(DELAY)
            again = min(call.getTime() for call in self.clock.getDelayedCalls())
            self.clock.advance(again - self.clock.seconds())
        self.assertEqual(times, [0.0, 0.1, 0.3, 0.7, 1.5, 2.5])
        self.assertEqual(len({said[4] for said, _ in self.fixture.recalled}), 1)
        self.answer(NOMATCHING)
        self.assertIsNone(self.successResultOf(done))
        self.assertEqual(self.calls, [])

    def test_oldStateid(self) -> None:
        """
        If the client has moved on, the recall is sent with the next seqid.
        """
        held = self.hold()
        self.recall()
        self.answer(nfsstat4.NFS4ERR_OLD_STATEID)
        self.clock.advance(0.1)
        self.assertEqual(self.fixture.recalled[-1][0][4], b"\0\0\0\3" + held[4:])
        self.answer(NOMATCHING)

    def test_unreachable(self) -> None:
        """
        While the client cannot be reached the recall is repeated.
        """
        self.hold()
        done = self.recall()
        self.fixture.recalled[-1][1].errback(NoBackChannel())
        self.clock.advance(0.1)
        self.assertEqual(len(self.fixture.recalled), 2)
        self.fixture.recalled[-1][1].errback(ValueError("a defect"))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.clock.advance(0.2)
        self.answer(NOMATCHING)
        self.assertIsNone(self.successResultOf(done))

    def test_deadline(self) -> None:
        """
        A client that does not return its layout within two leases loses it. The
        file is fenced before the operation goes on; the client is told until it
        frees the stateid, or for another lease.
        """
        held = self.hold()
        done = self.recall()
        self.answer(OK)
        self.fixture.data.pause = pause = Deferred()
        self.clock.advance(19.9)
        self.assertEqual(self.calls, [])
        self.clock.advance(0.2)
        self.assertEqual(self.calls, ["fence"])
        self.assertNoResult(done)
        self.fixture.data.pause = None
        pause.callback(None)
        self.assertIsNone(self.successResultOf(done))
        self.assertEqual(self.calls, ["fence", "refresh"])
        client = self.fixture.client
        self.assertEqual(client.revoked, 1)
        status, _ = self.fixture.giveBack(held)
        self.assertEqual(status, nfsstat4.NFS4ERR_DELEG_REVOKED)
        self.clock.advance(10)
        self.assertEqual(client.revoked, 0)

    def test_deadlineOption(self) -> None:
        """
        The deadline can be configured.
        """
        recaller = LayoutRecaller(self.fixture.server, self.recaller.send, 3.0)
        self.hold()
        done = recaller.recallLayouts(self.fixture.state, "test")
        self.clock.advance(2.9)
        self.assertNoResult(done)
        self.clock.advance(0.2)
        self.assertIsNone(self.successResultOf(done))

    def test_answerAfterDeadline(self) -> None:
        """
        An answer that comes too late changes nothing.
        """
        self.hold()
        done = self.recall()
        self.clock.advance(20)
        self.successResultOf(done)
        self.answer(NOMATCHING)
        self.assertEqual(self.calls, ["fence", "refresh"])

    def test_fenceFails(self) -> None:
        """
        If the file cannot be fenced, the operation waits: nobody may write to what
        it is about to change.
        """
        self.hold()
        done = self.recall()
        self.fixture.data.failure = Unreachable()
        self.clock.advance(20)
        self.assertNoResult(done)
        again = self.recall()
        self.clock.advance(1)
        self.assertEqual(self.calls, ["fence", "fence"])
        self.fixture.data.failure = None
        self.clock.advance(1)
        self.assertIsNone(self.successResultOf(done))
        self.assertIsNone(self.successResultOf(again))
        self.assertEqual(self.calls, ["fence"] * 3 + ["refresh"])

    def test_fileGone(self) -> None:
        """
        There is nothing to fence of a file that does not exist any more.
        """
        self.hold()
        done = self.recall()
        self.fixture.data.failure = NoSuchObject()
        self.clock.advance(20)
        self.assertIsNone(self.successResultOf(done))

    def test_fileGoneUnasked(self) -> None:
        """
        Nor is anything remembered of it.
        """
        self.hold()
        done = self.recall()
        self.fixture.data.failure = NoSuchObject()
        self.answer(NOMATCHING)
        self.assertIsNone(self.successResultOf(done))
        self.assertEqual(self.calls, ["refresh"])
        self.assertEqual(self.fixture.server.unasked, set())

    def test_refreshFails(self) -> None:
        """
        A data server that is down does not keep a recall from ending. It is asked when
        somebody wants to know the size; until it answers nobody who may append is told
        one.
        """
        fixture = self.fixture
        self.unasked()
        self.failureResultOf(self.ask(fixture.client), Unreachable)
        fixture.data.failure = None
        fixture.data.sizes[fixture.inode.handle] = 999
        self.calls.clear()
        self.successResultOf(self.ask(fixture.client))
        self.assertEqual(fixture.inode.size, 999)
        self.successResultOf(self.ask(fixture.client))
        self.assertEqual(self.calls, ["refresh"])

    def test_refreshFailsForGood(self) -> None:
        """
        It is asked as well if everybody who had something of the file has left.
        """
        fixture = self.fixture
        self.unasked()
        fixture.inode.state = None
        self.assertTrue(mustAsk(fixture.server, fixture.inode))
        fixture.data.failure = None
        self.calls.clear()
        self.successResultOf(self.ask())
        self.assertEqual(self.calls, ["refresh"])
        self.assertFalse(mustAsk(fixture.server, fixture.inode))

    def test_refreshFailsOften(self) -> None:
        """
        Of very many such files it is not remembered which they are: all are asked for
        of which it has not been done.
        """
        self.patch(pnfs.state.files, "UNASKED", 0)
        fixture = self.fixture
        self.unasked()
        self.assertEqual(fixture.server.unasked, set())
        fixture.inode.state = None
        self.assertTrue(mustAsk(fixture.server, fixture.inode))

    def unasked(self) -> None:
        """
        A client has forgotten its layout, and no data server answers.
        """
        self.fixture.inode.hasPlacement = True
        self.hold()
        done = self.recall()
        self.fixture.data.failure = Unreachable()
        self.answer(NOMATCHING)
        self.assertIsNone(self.successResultOf(done))

    def ask(self, client: Any = None) -> Deferred[None]:
        """
        A client wants to know the size.
        """
        fixture = self.fixture
        return Deferred.fromCoroutine(
            refreshWritten(fixture.server, fixture.export, fixture.inode, client)
        )

    def test_severalHolders(self) -> None:
        """
        All holders are told at once, and all are waited for.
        """
        self.hold()
        with self.fixture.other() as opened:
            self.hold(stateid=opened.stateid)
        done = self.recall()
        self.assertEqual(len(self.fixture.recalled), 2)
        self.fixture.recalled[0][1].callback(NOMATCHING)
        self.assertNoResult(done)
        self.fixture.recalled[1][1].callback(NOMATCHING)
        self.assertIsNone(self.successResultOf(done))

    def test_exclude(self) -> None:
        """
        The layout of the client that wants the change stays, unless somebody else
        wants it back as well.
        """
        self.hold()
        mine = self.fixture.client
        self.assertIsNone(self.successResultOf(self.recall(exclude=mine)))
        with self.fixture.other() as opened:
            self.hold(stateid=opened.stateid)
            first = self.recall(exclude=mine)
            self.assertEqual(
                [said[0] for said, _ in self.fixture.recalled], [self.fixture.client]
            )
        second = self.recall()
        self.assertEqual(self.fixture.recalled[1][0][0], mine)
        self.assertEqual(len(self.fixture.recalled), 2)
        for _, answer in self.fixture.recalled:
            answer.callback(NOMATCHING)
        self.successResultOf(first)
        self.successResultOf(second)

    def test_coalesces(self) -> None:
        """
        The operation that comes again while the recall runs does not start
        another.
        """
        self.hold()
        first = self.recall()
        second = self.recall()
        self.assertEqual(len(self.fixture.recalled), 1)
        self.answer(NOMATCHING)
        self.successResultOf(first)
        self.successResultOf(second)

    def test_fairTurn(self) -> None:
        """
        A busy writer does not get its next layout before whoever had its layout
        recalled has come back.
        """
        self.hold()
        self.recall()
        self.clock.advance(2)
        self.answer(NOMATCHING)
        self.clock.advance(2)
        conflict = nfsstat4.NFS4ERR_RECALLCONFLICT
        self.assertEqual(self.fixture.get()[0], conflict)
        self.assertIsNone(self.successResultOf(self.recall()))
        self.assertEqual(self.fixture.get()[0], conflict)
        self.clock.advance(0.1)
        self.assertEqual(self.fixture.get()[0], OK)

    def test_fairTurnEnds(self) -> None:
        """
        If nobody comes back, layouts are given again after a while.
        """
        self.hold()
        self.recall()
        self.clock.advance(2)
        self.answer(NOMATCHING)
        self.clock.advance(2.3)
        self.assertEqual(self.fixture.get()[0], OK)

    def test_retryDoesNotProlong(self) -> None:
        """
        An operation that keeps coming cannot keep layouts away.
        """
        self.hold()
        self.recall()
        self.answer(NOMATCHING)
        for _ in range(5):
            self.clock.advance(0.03)
            self.successResultOf(self.recall())
        self.assertEqual(self.fixture.get()[0], OK)

    def test_retryWithTwoClocks(self) -> None:
        """
        Nor can it if the reactor's clock shows the date, as it does in a server.
        """
        clock = MonotonicClock(self.clock)
        clock.seconds = lambda: self.clock.seconds() - 1e6  # type: ignore[misc]
        self.recaller.clock = clock
        self.test_retryDoesNotProlong()

    def test_recallInHold(self) -> None:
        """
        A layout left to its holder can be recalled just after another recall.
        """
        self.hold()
        mine = self.fixture.client
        with self.fixture.other() as opened:
            self.hold(stateid=opened.stateid)
        self.recall(exclude=mine)
        self.answer(NOMATCHING)
        done = self.recall()
        self.assertNoResult(done)
        self.assertEqual(self.fixture.recalled[-1][0][0], mine)
        self.answer(NOMATCHING)
        self.assertIsNone(self.successResultOf(done))

    def test_dataServerLost(self) -> None:
        """
        When a data server is lost, the layouts that name it are recalled, and
        clients are told not to flush there.
        """
        self.hold()
        done = self.recaller.recallDataServer(b"\2" * 16)
        self.assertEqual(self.fixture.recalled[0][0][2], True)
        self.assertEqual(DATA_SERVER_LOST, "data server lost")
        self.answer(NOMATCHING)
        self.successResultOf(done)
        self.successResultOf(self.recaller.recallDataServer(b"\7" * 16))

    def test_lostWithoutHold(self) -> None:
        """
        Nobody waits for such a recall: the writer has its next layout as soon as it
        has given up the old one, however long that has taken. An operation that has
        joined it has its turn, as ever.
        """
        for joined in (False, True):
            self.hold()
            self.recaller.recallDataServer(b"\2" * 16)
            self.clock.advance(3)
            if joined:
                self.recall()
            self.answer(NOMATCHING)
            status = nfsstat4.NFS4ERR_RECALLCONFLICT if joined else OK
            self.assertEqual(self.fixture.get()[0], status)
            if joined:
                self.clock.advance(4)
            else:
                self.recall()
                self.answer(NOMATCHING)
                self.clock.advance(1)
            self.assertEqual(self.fixture.get()[0], OK)

    def test_expiredWriter(self) -> None:
        """
        A client whose lease has run out can write no more: its files are fenced,
        and nobody gets a layout until they are.
        """
        with self.fixture.other() as opened:
            self.hold(stateid=opened.stateid)
            gone = self.fixture.client
        self.fixture.data.pause = pause = Deferred()
        self.recaller.clientGone(gone)
        self.assertEqual(self.calls, ["fence"])
        self.assertFalse(gone.layouts)
        conflict = nfsstat4.NFS4ERR_RECALLCONFLICT
        self.assertEqual(self.fixture.get()[0], conflict)
        waiting = self.recall()
        self.assertNoResult(waiting)
        self.fixture.data.pause = None
        pause.callback(None)
        self.successResultOf(waiting)
        self.assertEqual(self.calls, ["fence", "refresh"])

    def test_sizeOfExpiredWriter(self) -> None:
        """
        Nobody appends to what a vanished client has written before all of it is
        known: until the file is fenced, another writer is told no size.
        """
        with self.fixture.other() as opened:
            self.hold(stateid=opened.stateid)
            gone = self.fixture.client
        fixture = self.fixture
        fixture.data.pause = pause = Deferred()
        self.recaller.clientGone(gone)
        self.failureResultOf(self.ask(fixture.client), Unreachable)
        fixture.data.pause = None
        pause.callback(None)
        self.calls.clear()
        self.successResultOf(self.ask(fixture.client))
        self.assertEqual(self.calls, [])

    def test_sizeOfExpiredWriterUnknown(self) -> None:
        """
        If the data servers could not be asked then, they are asked when somebody
        wants to know.
        """
        with self.fixture.other() as opened:
            self.hold(stateid=opened.stateid)
            gone = self.fixture.client
        fixture = self.fixture
        fixture.data.pause = pause = Deferred()
        self.recaller.clientGone(gone)
        fixture.data.pause, waiting = Deferred(), pause
        waiting.callback(None)
        fixture.data.pause.errback(Unreachable())
        fixture.data.pause = None
        self.calls.clear()
        self.successResultOf(self.ask())
        self.assertEqual(self.calls, ["refresh"])

    def test_expiredReader(self) -> None:
        """
        A reader that vanishes costs nobody anything.
        """
        with self.fixture.other() as opened:
            self.hold(stateid=opened.stateid, iomode=1)
            self.recaller.clientGone(self.fixture.client)
        self.assertEqual(self.calls, [])
        self.assertEqual(self.fixture.get()[0], OK)

    def test_expiredWithoutAsking(self) -> None:
        """
        Once an expired writer is fenced, layouts are given at once: nobody has
        asked for a recall.
        """
        with self.fixture.other() as opened:
            self.hold(stateid=opened.stateid)
            self.recaller.clientGone(self.fixture.client)
        self.assertEqual(self.calls, ["fence", "refresh"])
        self.assertEqual(self.fixture.get()[0], OK)

    def test_expiredDuringRecall(self) -> None:
        """
        A holder that vanishes while its layout is recalled is fenced, and the
        recall ends.
        """
        with self.fixture.other() as opened:
            self.hold(stateid=opened.stateid)
            done = self.recall()
            self.recaller.clientGone(self.fixture.client)
        self.assertIsNone(self.successResultOf(done))
        self.assertEqual(self.calls, ["fence", "refresh"])

    def test_stop(self) -> None:
        """
        A server that stops leaves no timer behind.
        """
        self.hold()
        self.recall()
        self.recaller.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.fixture.state.recall = None

    def test_stopWithRevoked(self) -> None:
        """
        A server that stops does not wait for revoked layouts to be freed, nor for
        a fence.
        """
        self.hold()
        self.recall()
        self.fixture.data.failure = Unreachable()
        self.clock.advance(20)
        self.recaller.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.fixture.state.recall = None

    def test_kept(self) -> None:
        """
        Who changes where a file's bytes are keeps layouts away for as long as that
        takes, although nobody had one; then everybody may have one.
        """
        recall = self.recaller.keep(self.fixture.state, "moving")
        self.assertIsNone(self.successResultOf(self.recall()))
        self.clock.advance(100)
        conflict = nfsstat4.NFS4ERR_RECALLCONFLICT
        self.assertEqual(self.fixture.get()[0], conflict)
        recall.free()
        self.assertEqual(self.fixture.get()[0], OK)

    def test_keptByTwo(self) -> None:
        """
        Of two who keep layouts away, the last one gives the file free. A layout that
        was held is recalled meanwhile as ever.
        """
        self.hold()
        first = self.recaller.keep(self.fixture.state, "moving")
        second = self.recaller.keep(self.fixture.state, "moving too")
        recalled = self.recall()
        self.answer(NOMATCHING)
        self.successResultOf(recalled)
        first.free()
        self.clock.advance(100)
        self.assertIs(self.fixture.state.recall, second)
        second.free()
        self.assertIsNone(self.fixture.state.recall)

    def test_keptTooShort(self) -> None:
        """
        If whoever keeps layouts away gives up before they are returned, the recall
        goes on, and ends as every other.
        """
        self.hold()
        kept = self.recaller.keep(self.fixture.state, "moving")
        recalled = self.recall()
        kept.free()
        self.assertNoResult(recalled)
        self.answer(NOMATCHING)
        self.successResultOf(recalled)


class WireTests(SynchronousTestCase):
    """
    Recalls travel over the client's back channel.
    """

    def test_overBackChannel(self) -> None:
        """
        A Linux client understands the CB_LAYOUTRECALL, and its answer is heard. It is
        told to look first for the reply to its LAYOUTGET (the handle in callbacks is
        byte-identical to that of GETFH: chimera c:1d4ec73c).
        """
        fixture = LayoutFixture()
        fixture.server.channels = BackChannels(fixture.clock, fixture.server.sessions)
        fixture.mount(b"with back channel", back=True)
        fixture.opened = fixture.open()
        held = fixture.hold()
        recaller = LayoutRecaller(fixture.server)
        fixture.server.recaller = recaller
        done = recaller.recallLayouts(fixture.state, "test")
        record = fixture.connection.sent[-1]
        (referring,) = Callback(record).sequence.csa_referring_call_lists
        self.assertEqual(referring.rcl_sessionid, fixture.sessionid)
        (call,) = referring.rcl_referring_calls
        self.assertEqual((call.rc_slotid, call.rc_sequenceid), (0, fixture.sequenceid))
        at = record.index(struct.pack(">III", 5, 1, 3), 40)
        wire = linux.Wire(record[at:])
        said = [wire.take("I") for _ in range(5)]
        self.assertEqual(said, [5, 1, 3, 0, 1])
        self.assertEqual(wire.opaque(), fixture.fh())
        self.assertEqual((wire.take("Q"), wire.take("Q")), (0, MAX))
        self.assertEqual(wire.take("16s"), b"\0\0\0\2" + held[4:])
        wire.end()
        xid = record[:4]
        reply = struct.pack(">5I", 1, 0, 0, 0, 0)
        result = struct.pack(">III", NOMATCHING, 0, 2)
        sequence = struct.pack(">II16s4I", 11, 0, fixture.sessionid, 1, 0, 0, 0)
        fixture.connection.recordReceived(
            xid + reply + result + sequence + struct.pack(">II", 5, NOMATCHING)
        )
        self.assertIsNone(self.successResultOf(done))
        recaller.stop()

    def test_layoutType(self) -> None:
        """
        The recall says of which type the layout is (CB_LAYOUTRECALL carries the real
        layout type: chimera #1089, #1094).
        """
        for layoutType, name in ((1, "files"), (4, "flexfiles")):
            fixture = LayoutFixture()
            fixture.server.channels = BackChannels(
                fixture.clock, fixture.server.sessions
            )
            fixture.export.layout = name
            fixture.mount(b"with back channel", back=True)
            fixture.opened = fixture.open()
            fixture.hold(layoutType=layoutType)
            recaller = LayoutRecaller(fixture.server)
            recaller.recallLayouts(fixture.state, "test")
            op = Callback(fixture.connection.sent[-1]).op
            self.assertEqual(struct.unpack_from(">II", op), (5, layoutType))
            recaller.stop()

    def test_withoutBackChannels(self) -> None:
        """
        A server without back channels waits for the deadline.
        """
        fixture = LayoutFixture()
        fixture.hold()
        recaller = LayoutRecaller(fixture.server, deadlineSeconds=5)
        done = recaller.recallLayouts(fixture.state, "test")
        self.assertNoResult(done)
        fixture.clock.advance(5)
        self.assertIsNone(self.successResultOf(done))
        recaller.stop()
