# -*- test-case-name: tests.callbacks.test_pacing -*-
"""
Many recalls at once, without anybody else noticing.

When a data server is lost ten thousand layouts may have to be recalled, and a client
that vanishes may leave as many files to be fenced. What that takes is done a few
pieces per turn of the reactor, so that requests of others are served in between
(L{Turns}); and a client is not sent more recalls at a time than it can take: most
have one slot for callbacks, and what waits for it would run out of time
(L{RecallQueues}).

What was rejected: CB_LAYOUTRECALL of everything a client holds. It would give up
layouts that have nothing to do with the data server, and Linux answers it DELAY
until the last byte is flushed.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Callable, Iterable, Optional, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

PER_TURN = 32
"""Pieces of work per turn: about 5 ms."""

PER_CLIENT = 32
"""Recalls to one client that have no answer yet."""

_log = Logger()

_T = TypeVar("_T")


class Turns:
    """
    Does things in order, so many per turn of the reactor. The first few are done at
    once.
    """

    def __init__(self, clock: IReactorTime, perTurn: int = PER_TURN) -> None:
        self._clock = clock
        self._perTurn = perTurn
        self._left = perTurn
        self._work: deque[Callable[[], Any]] = deque()
        self._timer: Optional[IDelayedCall] = None

    def add(self, work: Callable[[], Any]) -> None:
        """
        Do it now, if not much has been done in this turn, or in a later one.
        """
        if self._timer is None:
            self._timer = self._clock.callLater(0, self._turn)
        if self._left:
            self._left -= 1
            _do(work)
        else:
            self._work.append(work)

    def each(self, function: Callable[[_T], Any], items: Iterable[_T]) -> None:
        """
        Call a function with each of many things.
        """
        iterator = iter(items)

        def step() -> None:
            for item in iterator:
                _do(lambda: function(item))
                self.add(step)
                break

        self.add(step)

    def _turn(self) -> None:
        self._timer = None
        self._left = self._perTurn
        work = self._work
        if not work:
            return
        self._timer = self._clock.callLater(0, self._turn)
        while work and self._left:
            self._left -= 1
            _do(work.popleft())

    def stop(self) -> None:
        """
        Do no more of it.
        """
        self._work.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Deadlines:
    """
    Deadlines of one length, with one timer for all: ten thousand that are cancelled
    would have the reactor sort its timers anew, which takes long.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._due: dict[Callable[[], None], float] = {}
        self._timer: Optional[IDelayedCall] = None

    def set(self, late: Callable[[], None], seconds: float) -> None:
        """
        Call C{late} in so many seconds; but never before another that was set
        earlier.
        """
        self._due[late] = self._clock.seconds() + seconds
        if self._timer is None:
            self._timer = self._clock.callLater(seconds, self._expire)

    def clear(self, late: Callable[[], None]) -> None:
        """
        Do not call it.
        """
        if self._due.pop(late, None) is not None and not self._due:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _expire(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        due = []
        for late, at in self._due.items():
            if at > now:
                break
            due.append(late)
        for late in due:
            if self._due.pop(late, None) is not None:
                late()
        if self._due and self._timer is None:
            first = next(iter(self._due.values()))
            self._timer = self._clock.callLater(max(0.0, first - now), self._expire)


def _do(work: Callable[[], Any]) -> None:
    """
    Work in the background: a defect in one piece must not keep the others.
    """
    try:
        work()
    except Exception:
        _log.failure("work in the background failed")


class Recall:
    """
    One recall to be sent.

    @ivar sent: it has left the queue.
    """

    __slots__ = ("client", "sent", "_send", "_answered", "_failed")

    def __init__(
        self,
        client: Any,
        send: Callable[[], Deferred[int]],
        answered: Callable[[int], None],
        failed: Callable[[Any], None],
    ) -> None:
        self.client = client
        self.sent = False
        self._send = send
        self._answered = answered
        self._failed = failed

    def go(self) -> Deferred[bool]:
        """
        Send it. @return: fires when it is over: has the client answered?
        """

        def answered(status: int) -> bool:
            self._answered(status)
            return True

        def failed(failure: Any) -> bool:
            self._failed(failure)
            return False

        self.sent = True
        return self._send().addCallbacks(answered, failed)


class _Queue:
    """
    The recalls to one client.

    @ivar waiting: those to be sent, in order; sent: how many have no answer.
    @ivar answered: when the last answer came.
    @ivar pumping: the next ones are being sent.
    """

    __slots__ = ("waiting", "sent", "answered", "pumping")

    def __init__(self) -> None:
        self.waiting: dict[Recall, None] = {}
        self.sent = 0
        self.answered = float("-inf")
        self.pumping = False


class RecallQueues:
    """
    Recalls to all clients, so many at a time to each.
    """

    def __init__(self, clock: IReactorTime, perClient: int = PER_CLIENT) -> None:
        self._clock = clock
        self._perClient = perClient
        self._queues: dict[Any, _Queue] = {}

    def send(self, recall: Recall) -> None:
        """
        Send a recall when those before it have been answered: now, if they are few.
        """
        queue = self._queues.get(recall.client)
        if queue is None:
            queue = self._queues[recall.client] = _Queue()
        queue.waiting[recall] = None
        self._pump(recall.client, queue)

    def forget(self, recall: Recall) -> None:
        """
        It need not be sent any more.
        """
        queue = self._queues.get(recall.client)
        if queue is not None:
            queue.waiting.pop(recall, None)

    def answeredSince(self, client: Any, since: float) -> bool:
        """
        Has a client answered any recall since then, while there are more?
        """
        queue = self._queues.get(client)
        return queue is not None and queue.answered >= since

    def _pump(self, client: Any, queue: _Queue) -> None:
        if queue.pumping:
            return
        queue.pumping = True

        def over(answered: bool) -> None:
            queue.sent -= 1
            if answered:
                queue.answered = self._clock.seconds()
            self._pump(client, queue)

        while queue.waiting and queue.sent < self._perClient:
            recall = next(iter(queue.waiting))
            del queue.waiting[recall]
            queue.sent += 1
            recall.go().addErrback(_defect).addCallback(over)
        queue.pumping = False
        if not queue.sent and self._queues.get(client) is queue:
            del self._queues[client]


def _defect(failure: Failure) -> bool:
    _log.failure("an answer to a recall could not be dealt with", failure)
    return False
