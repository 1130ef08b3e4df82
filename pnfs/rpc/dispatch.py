# -*- test-case-name: tests.rpc.test_dispatch -*-
"""
A shorter way from epoll to our connections.

Twisted calls each descriptor through its logging context and a chain of checks,
which costs as much as serving a small call. What is ready here is mostly one of
our own connections, which need none of that: L{hasten} has those called directly,
turn after turn, and everything else the usual way. It leans on private names of
C{EPollReactor}; where they are missing nothing is changed, and a test notices
(ADR 0004).
"""

from __future__ import annotations

from typing import Any, Callable

from twisted.internet.error import ConnectionLost
from twisted.logger import Logger
from twisted.python.log import callWithLogger

from pnfs.rpc.connection import Connection

try:
    from twisted.internet.epollreactor import EPollReactor
except ImportError:
    EPollReactor = None  # type: ignore[assignment,misc]

_IN = 1
_OUT = 4
"""C{EPOLLIN} and C{EPOLLOUT}, which only Linux names."""

_PRIVATE = (
    "_poller",
    "_selectables",
    "_doReadOrWrite",
    "_disconnectSelectable",
    "_newTimedCalls",
    "_pendingTimedCalls",
    "_justStopped",
    "threadCallQueue",
)

_log = Logger()


def hasten(reactor: Any) -> bool:
    """
    Let a reactor call our connections directly.

    @return: False if it is not Twisted's own epoll reactor, or not as we know it.
    """
    if type(reactor) is not EPollReactor:
        return False
    if not all(hasattr(reactor, name) for name in _PRIVATE):
        return False
    setattr(reactor, "doIteration", iterator(reactor))
    return True


def iterator(reactor: Any) -> Callable[[Any], None]:
    """
    Make what takes the place of C{EPollReactor.doIteration}: a function of the
    seconds to wait, None for any time.

    It goes on as long as nobody but our connections has anything to do: no timer
    is new or due, no thread has called, nobody stops the reactor. What the reactor
    does between two turns would be to no purpose then.
    """
    poll = reactor._poller.poll
    selectables = reactor._selectables
    usual = reactor._doReadOrWrite
    disconnect = reactor._disconnectSelectable
    fromThreads = reactor.threadCallQueue
    seconds = reactor.seconds

    def iterate(timeout: Any) -> None:
        wait = -1 if timeout is None else timeout
        while True:
            alone = False
            others = False
            for fd, event in poll(wait, len(selectables)):
                selectable = selectables.get(fd)
                if selectable.__class__ is not Connection:
                    # None: closed by one that was served before it in this turn.
                    if selectable is not None:
                        others = True
                        callWithLogger(  # type: ignore[no-untyped-call]
                            selectable, usual, selectable, fd, event
                        )
                    continue
                alone = True
                try:
                    if event == _IN:
                        reason = selectable.doRead()
                    elif event == _OUT:
                        reason = selectable.doWrite()
                    else:
                        # Hung up, or both at once.
                        reason = usual(selectable, fd, event)
                except Exception as error:
                    _log.failure("a connection failed")
                    reason = ConnectionLost(str(error))
                if reason is not None:
                    disconnect(selectable, reason, event == _IN)
            if others or not (alone and wait):
                return
            if reactor._newTimedCalls or fromThreads or reactor._justStopped:
                return
            timers = reactor._pendingTimedCalls
            if timers:
                wait = timers[0].time - seconds()
                if wait <= 0:
                    return
            elif timeout is not None:
                return

    return iterate
