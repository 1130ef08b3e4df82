"""
A reactor turned by hand: real descriptors, no waiting, time that is given.
"""

from __future__ import annotations

import select
from typing import Any, Callable

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure


class HandReactor(Clock):
    """
    L{IReactorFDSet} over poll(2) and L{IReactorTime} over L{Clock}.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.readers: set[Any] = set()
        self.writers: set[Any] = set()

    def addReader(self, reader: Any) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.discard(reader)

    def addWriter(self, writer: Any) -> None:
        self.writers.add(writer)

    def removeWriter(self, writer: Any) -> None:
        self.writers.discard(writer)

    def turn(self) -> bool:
        """
        One turn, as the reactors do it.

        @return: something happened.
        """
        before = len(self.getDelayedCalls())
        for due in [
            delayed for delayed in self.calls if delayed.getTime() <= self.seconds()
        ]:
            # Not advance(0): what these schedule has to wait for the next turn.
            if due.active():
                self.calls.remove(due)
                due.called = 1
                due.func(*due.args, **due.kw)
        poll = select.poll()
        things: dict[int, Any] = {}
        for thing in self.readers | self.writers:
            things[thing.fileno()] = thing
            events = select.POLLIN if thing in self.readers else 0
            poll.register(
                thing.fileno(),
                events | (select.POLLOUT if thing in self.writers else 0),
            )
        ready = poll.poll(0)
        for fd, event in ready:
            thing = things[fd]
            why = None
            if event & (select.POLLHUP | select.POLLERR) and not event & select.POLLIN:
                why = ConnectionDone()
            if not why and event & select.POLLIN and thing in self.readers:
                why = thing.doRead()
            if not why and event & select.POLLOUT and thing in self.writers:
                why = thing.doWrite()
            if why:
                self.removeReader(thing)
                self.removeWriter(thing)
                thing.connectionLost(Failure(why))  # type: ignore[no-untyped-call]
        return bool(ready) or len(self.getDelayedCalls()) < before

    def until(self, condition: Callable[[], object], turns: int = 20000) -> None:
        """
        Turn until something holds.
        """
        for _ in range(turns):
            if condition():
                return
            self.turn()
        raise AssertionError("it never became true")

    def settle(self) -> None:
        """
        Turn until nothing happens.
        """
        while self.turn():
            pass
