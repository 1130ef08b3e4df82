# -*- test-case-name: tests.rpc.test_dispatch -*-
"""
A shorter way from epoll to our connections.

Twisted calls each descriptor through its logging context and a chain of checks,
which costs as much as serving a small call. What is ready here is mostly one of
our own connections, which need none of that: L{hasten} has those called directly,
and everything else the usual way. It leans on private names of C{EPollReactor};
where they are missing nothing is changed, and a test notices (ADR 0004).
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

_log = Logger()


def hasten(reactor: Any) -> bool:
    """
    Let a reactor call our connections directly.

    @return: False if it is not Twisted's own epoll reactor, or not as we know it.
    """
    if type(reactor) is not EPollReactor:
        return False
    try:
        iterate = iterator(
            reactor._poller.poll,
            reactor._selectables,
            reactor._doReadOrWrite,
            reactor._disconnectSelectable,
        )
    except AttributeError:
        return False
    setattr(reactor, "doIteration", iterate)
    return True


def iterator(
    poll: Callable[[float, int], list[tuple[int, int]]],
    selectables: dict[int, Any],
    usual: Callable[[Any, int, int], Any],
    disconnect: Callable[[Any, Any, bool], None],
) -> Callable[[Any], None]:
    """
    Make one turn of the reactor.

    @param poll: waits up to so many seconds for up to so many events.
    @param selectables: what waits, by file descriptor.
    @param usual: serves an event in Twisted's way.
    @param disconnect: ends a descriptor for a reason, from reading or not.
    @return: a function of the seconds to wait, None for any time.
    """

    def iterate(timeout: Any) -> None:
        for fd, event in poll(-1 if timeout is None else timeout, len(selectables)):
            selectable = selectables.get(fd)
            if selectable is None:
                # Closed by one that was served before it in this turn.
                continue
            if selectable.__class__ is not Connection:
                callWithLogger(  # type: ignore[no-untyped-call]
                    selectable, usual, selectable, fd, event
                )
                continue
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

    return iterate
