"""
Tests for L{pnfs.callbacks.pacing}, and that recalls are paced.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pnfs.callbacks.pacing import (
    PER_CLIENT,
    PER_TURN,
    Deadlines,
    Recall,
    RecallQueues,
    Turns,
)
from pnfs.nfs4.status import nfsstat4
from tests.nfs4.layoutfixture import LayoutFixture

NOMATCHING = nfsstat4.NFS4ERR_NOMATCHING_LAYOUT


def turn(clock: Clock) -> None:
    """
    One turn of a reactor: what is due, but not what that schedules. (C{advance(0)}
    goes on with it.)
    """
    due = [call for call in clock.calls if call.getTime() <= clock.seconds()]
    for call in due:
        if call.active():
            clock.calls.remove(call)
            call.called = 1
            call.func(*call.args, **call.kw)


def later(clock: Clock, seconds: float) -> None:
    """
    The time has come for what is due then, all in one turn.
    """
    clock.rightNow += seconds
    turn(clock)


class TurnsTests(SynchronousTestCase):
    """
    Work in the background leaves room for others.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.turns = Turns(self.clock, 3)
        self.done: list[int] = []

    def add(self, count: int) -> None:
        """
        Add so many pieces of work.
        """
        for number in range(count):
            self.turns.add(lambda number=number: self.done.append(number))  # type: ignore[misc]

    def test_few(self) -> None:
        """
        A little work is done at once.
        """
        self.add(3)
        self.assertEqual(self.done, [0, 1, 2])
        turn(self.clock)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_many(self) -> None:
        """
        Much work is done in order, a bit in each turn.
        """
        self.add(10)
        sizes = []
        while self.clock.getDelayedCalls():
            sizes.append(len(self.done))
            turn(self.clock)
        self.assertEqual(sizes, [3, 6, 9, 10])
        self.assertEqual(self.done, list(range(10)))

    def test_each(self) -> None:
        """
        A long series is gone through in order, a bit in each turn, whatever fails.
        """

        def work(number: int) -> None:
            self.done.append(number)
            if number == 4:
                raise ZeroDivisionError()

        self.turns.each(work, iter(range(10)))
        sizes = []
        while self.clock.getDelayedCalls():
            sizes.append(len(self.done))
            turn(self.clock)
        self.assertEqual(sizes, [3, 6, 9, 10])
        self.assertEqual(self.done, list(range(10)))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_fromWork(self) -> None:
        """
        Work that makes more work does not take more of a turn.
        """

        def more() -> None:
            self.done.append(0)
            self.turns.add(more)

        for _ in range(4):
            self.turns.add(more)
        before = len(self.done)
        turn(self.clock)
        self.assertEqual(len(self.done) - before, 3)
        self.turns.stop()

    def test_defect(self) -> None:
        """
        A defect in one piece of work does not keep the others.
        """
        self.add(3)
        self.turns.add(lambda: 1 // 0)
        self.add(1)
        turn(self.clock)
        self.assertEqual(self.done, [0, 1, 2, 0])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.turns.stop()

    def test_stop(self) -> None:
        """
        A server that stops leaves no timer behind.
        """
        self.add(5)
        self.turns.stop()
        self.turns.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(self.done), 3)


class DeadlinesTests(SynchronousTestCase):
    """
    Many deadlines share a timer.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock)
        self.late: list[int] = []
        self.calls = [lambda n=n: self.late.append(n) for n in range(3)]  # type: ignore[misc]

    def test_inTime(self) -> None:
        """
        Each is called in its time, unless it was cleared before.
        """
        for call in self.calls:
            self.deadlines.set(call, 10)
            self.clock.advance(1)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.deadlines.clear(self.calls[1])
        self.clock.advance(6.9)
        self.assertEqual(self.late, [])
        self.clock.advance(0.1)
        self.assertEqual(self.late, [0])
        self.clock.advance(1.9)
        self.assertEqual(self.late, [0])
        self.clock.advance(0.2)
        self.assertEqual(self.late, [0, 2])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cleared(self) -> None:
        """
        If none is left there is no timer.
        """
        for call in self.calls:
            self.deadlines.set(call, 10)
        for call in self.calls:
            self.deadlines.clear(call)
            self.deadlines.clear(call)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_clearOther(self) -> None:
        """
        One that is called may clear another that is due, and set itself again.
        """

        def first() -> None:
            self.late.append(7)
            self.deadlines.clear(self.calls[1])
            self.deadlines.set(first, 5)

        self.deadlines.set(first, 5)
        self.deadlines.set(self.calls[1], 5)
        self.clock.advance(5)
        self.assertEqual(self.late, [7])
        self.clock.advance(5)
        self.assertEqual(self.late, [7, 7])
        self.deadlines.clear(first)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class QueueTests(SynchronousTestCase):
    """
    A client is sent so many recalls at a time.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.queues = RecallQueues(self.clock, 2)
        self.sent: list[tuple[Any, int, Deferred[int]]] = []
        self.heard: list[Any] = []

    def recall(self, client: Any, number: int) -> Recall:
        """
        Queue a recall.
        """

        def send() -> Deferred[int]:
            answer: Deferred[int] = Deferred()
            self.sent.append((client, number, answer))
            return answer

        recall = Recall(client, send, self.heard.append, self.heard.append)
        self.queues.send(recall)
        return recall

    def numbers(self) -> list[int]:
        """
        What has been sent.
        """
        return [number for _, number, _ in self.sent]

    def test_perClient(self) -> None:
        """
        The next goes out when one has been answered or has failed; another client
        does not wait for that.
        """
        for number in range(5):
            self.recall("a", number)
        self.recall("b", 9)
        self.assertEqual(self.numbers(), [0, 1, 9])
        self.sent[1][2].callback(7)
        self.assertEqual(self.numbers(), [0, 1, 9, 2])
        self.sent[0][2].errback(ValueError())
        self.assertEqual(self.numbers(), [0, 1, 9, 2, 3])
        self.assertEqual(self.heard[0], 7)
        self.heard[1].trap(ValueError)

    def test_forget(self) -> None:
        """
        What has been returned while it waited is not recalled.
        """
        first, _, third, _ = [self.recall("a", number) for number in range(4)]
        self.assertEqual((first.sent, third.sent), (True, False))
        self.queues.forget(third)
        self.queues.forget(first)
        self.sent[0][2].callback(0)
        self.assertEqual(self.numbers(), [0, 1, 3])

    def test_answeredSince(self) -> None:
        """
        A client that answers is told from one that does not.
        """
        for number in range(5):
            self.recall("a", number)
        self.clock.advance(5)
        self.assertFalse(self.queues.answeredSince("a", 0))
        self.sent[0][2].errback(ValueError())
        self.assertFalse(self.queues.answeredSince("a", 0))
        self.sent[1][2].callback(0)
        self.assertTrue(self.queues.answeredSince("a", 5))
        self.assertFalse(self.queues.answeredSince("a", 6))
        self.assertFalse(self.queues.answeredSince("b", 0))

    def test_atOnce(self) -> None:
        """
        Any number of recalls may be answered at once.
        """
        for number in range(2):
            self.recall("a", number)
        for number in range(5000):
            recall = Recall(
                "a", lambda: succeed(0), self.heard.append, self.heard.append
            )
            self.queues.send(recall)
        self.sent[0][2].callback(1)
        self.assertEqual(len(self.heard), 5001)

    def test_defect(self) -> None:
        """
        A defect in dealing with an answer does not keep the other recalls.
        """
        recall = Recall("a", lambda: succeed(0), lambda status: 1 // 0, self.heard.append)  # type: ignore[arg-type, return-value]
        self.queues.send(recall)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        for number in range(3):
            self.recall("a", number)
        self.assertEqual(self.numbers(), [0, 1])


class RecallTests(SynchronousTestCase):
    """
    Ten thousand layouts are recalled bit by bit.
    """

    files = 5 * PER_TURN

    def setUp(self) -> None:
        self.fixture = fixture = LayoutFixture(leaseSeconds=10.0)
        self.clock = fixture.clock
        self.recaller = fixture.recaller
        self.inodes = [fixture.make(b"f%d" % number) for number in range(self.files)]

    def hold(self) -> None:
        """
        The client gets a layout of each file.
        """
        for inode in self.inodes:
            opened = self.fixture.open(inode=inode)
            self.fixture.hold(stateid=opened.stateid, inode=inode)

    def test_perTurn(self) -> None:
        """
        When a data server is lost whose layouts many clients hold, no turn of the
        reactor is taken up by their recalls.
        """
        for number, inode in enumerate(self.inodes):
            self.fixture.mount(b"client %d" % number)
            opened = self.fixture.open(inode=inode)
            self.fixture.hold(stateid=opened.stateid, inode=inode)
        done = self.recaller.recallDataServer(b"\2" * 16)
        counts = [len(self.fixture.recalled)]
        while counts[-1] < self.files:
            turn(self.clock)
            counts.append(len(self.fixture.recalled))
        self.assertEqual(counts, [PER_TURN * (n + 1) for n in range(5)])
        self.assertNoResult(done)
        for _, answer in self.fixture.recalled:
            answer.callback(NOMATCHING)
        self.successResultOf(done)
        self.recaller.stop()

    def test_perClient(self) -> None:
        """
        A client with many layouts is asked for some at a time, in order; what it
        gives back by itself it is not asked for.
        """
        self.hold()
        done = self.recaller.recallDataServer(b"\2" * 16)
        for _ in range(10):
            turn(self.clock)
        recalled = self.fixture.recalled
        self.assertEqual(len(recalled), PER_CLIENT)
        last = list(self.fixture.client.layouts.values())[-1]
        self.fixture.server.layouts.drop(last)
        answered = 0
        while answered < len(recalled):
            recalled[answered][1].callback(NOMATCHING)
            answered += 1
            self.assertLessEqual(len(recalled) - answered, PER_CLIENT)
        self.assertEqual(answered, self.files - 1)
        self.successResultOf(done)
        self.recaller.stop()

    def test_deadline(self) -> None:
        """
        A client that is busy giving back layouts does not lose those it has not
        been asked for yet; one that answers nothing loses all of them in time,
        and their files are fenced a few at a time.
        """
        self.hold()
        self.recaller.recallDataServer(b"\2" * 16)
        for _ in range(10):
            turn(self.clock)
        self.clock.advance(15)
        self.fixture.recalled[0][1].callback(NOMATCHING)
        self.fixture.data.calls.clear()
        self.clock.advance(4.9)
        later(self.clock, 0.2)
        for _ in range(10):
            turn(self.clock)
        calls = self.fixture.data.calls
        self.assertEqual(calls.count("fence"), PER_CLIENT)
        calls.clear()
        later(self.clock, 20.0)
        self.assertEqual(calls.count("fence"), PER_TURN)
        for _ in range(10):
            turn(self.clock)
        self.assertEqual(calls.count("fence"), self.files - PER_CLIENT - 1)
        self.recaller.stop()

    def test_clientGone(self) -> None:
        """
        The files of a client that has vanished are fenced a few at a time, and
        nobody gets a layout of them before.
        """
        self.hold()
        gone = self.fixture.client
        calls = self.fixture.data.calls
        calls.clear()
        self.recaller.clientGone(gone)
        self.assertEqual(calls.count("fence"), PER_TURN)
        inode = self.inodes[-1]
        self.fixture.mount(b"another")
        opened = self.fixture.open(inode=inode)
        status, _ = self.fixture.get(opened.stateid, inode=inode)
        self.assertEqual(status, nfsstat4.NFS4ERR_RECALLCONFLICT)
        for _ in range(4):
            turn(self.clock)
        self.assertEqual(calls.count("fence"), self.files)
        status, _ = self.fixture.get(opened.stateid, inode=inode)
        self.assertEqual(status, 0)
        self.recaller.stop()
