"""
Time: one queue of events for everything that happens in a simulation, and a clock
for each process, which stops when the process is killed.
"""

from __future__ import annotations

import heapq
from typing import Any, Callable, Iterator

from twisted.internet.base import DelayedCall
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from tests.inline import InlinePool

_log = Logger()


class Scheduler:
    """
    Events in the order of their time; of those at the same time, first come first
    served.

    @ivar now: seconds since the beginning.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._sequence = 0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []

    def at(self, when: float, event: Callable[[], None]) -> None:
        """
        Have something happen at a time.
        """
        self._sequence += 1
        heapq.heappush(self._queue, (max(when, self.now), self._sequence, event))

    def after(self, delay: float, event: Callable[[], None]) -> None:
        """
        Have something happen after so many seconds.
        """
        self.at(self.now + delay, event)

    def clear(self) -> None:
        """
        Nothing is to happen any more.
        """
        self._queue.clear()

    def run(self, until: float, done: Callable[[], bool] = lambda: False) -> bool:
        """
        Let happen what is due until a time, or until something holds.

        @return: C{done()} holds.
        """
        queue = self._queue
        while not done():
            if not queue or queue[0][0] > until:
                self.now = max(self.now, until)
                return done()
            when, _, event = heapq.heappop(queue)
            self.now = max(self.now, when)
            event()
        return True


@implementer(IReactorTime)
class ProcessClock:
    """
    The clock, and as far as anybody asks the reactor, of one process.

    @ivar alive: until L{stop}.
    """

    def __init__(self, scheduler: Scheduler, offset: float) -> None:
        """
        @param offset: what this clock shows when the simulation begins.
        """
        self._scheduler = scheduler
        self._offset = offset
        self.alive = True
        self._pausedUntil = 0.0
        # In the order of their making: a set would be in the order of addresses.
        self._calls: dict[DelayedCall, None] = {}
        self.buried: list[DelayedCall] = []

    def seconds(self) -> float:
        """
        See L{IReactorTime}.
        """
        return self._offset + self._scheduler.now

    def callLater(
        self, delay: float, function: Callable[..., Any], *args: Any, **kw: Any
    ) -> DelayedCall:
        """
        See L{IReactorTime}. A process that has been killed waits in vain.
        """
        assert delay >= 0
        call = DelayedCall(
            self._scheduler.now + delay,
            function,
            args,
            kw,
            self._cancelled,
            self._moved,
            self._scheduler_now,
        )
        if not self.alive:
            self.buried.append(call)
            return call
        self._calls[call] = None
        self._scheduler.at(call.getTime(), lambda: self._due(call))
        return call

    def _scheduler_now(self) -> float:
        return self._scheduler.now

    def _cancelled(self, call: DelayedCall) -> None:
        self._calls.pop(call, None)

    def _moved(self, call: DelayedCall) -> None:
        if self.alive:
            self._scheduler.at(call.getTime(), lambda: self._due(call))

    def _due(self, call: DelayedCall) -> None:
        if not self.alive or call not in self._calls:
            return
        if call.getTime() > self._scheduler.now:
            return
        if self._scheduler.now < self._pausedUntil:
            self._scheduler.at(self._pausedUntil, lambda: self._due(call))
            return
        del self._calls[call]
        call.called = 1
        try:
            call.func(*call.args, **call.kw)
        except Exception:
            # As the reactor does.
            _log.failure("a timed call failed")

    def pause(self, seconds: float) -> float:
        """
        The process is stopped for so long, and does not know it: what was due
        meanwhile happens afterwards.

        @return: when it goes on.
        """
        self._pausedUntil = max(self._pausedUntil, self._scheduler.now + seconds)
        return self._pausedUntil

    @property
    def pausedUntil(self) -> float:
        """
        When it goes on, or a time that is past.
        """
        return self._pausedUntil

    def getDelayedCalls(self) -> list[DelayedCall]:
        """
        See L{IReactorTime}.
        """
        return list(self._calls)

    def getThreadPool(self) -> InlinePool:
        """
        Nothing may wait here.
        """
        return InlinePool()

    def callFromThread(self, function: Any, *args: Any) -> None:
        """
        There is only one.
        """
        function(*args)

    def stop(self) -> None:
        """
        The process is killed. What it waited for is kept, so that its coroutines do
        not run to their C{finally} clauses, as those of a killed process do not.
        """
        self.alive = False
        self.buried.extend(self._calls)
        self._calls.clear()

    def __iter__(self) -> Iterator[DelayedCall]:
        return iter(self._calls)
