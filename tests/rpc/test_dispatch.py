"""
The shorter way from epoll to our connections, with a reactor of its own.
"""

from __future__ import annotations

import socket
from typing import Any, Callable
from unittest import skipIf

from twisted.trial.unittest import SynchronousTestCase

from pnfs.rpc import dispatch
from pnfs.rpc.connection import Connection
from pnfs.rpc.dispatch import hasten
from pnfs.rpc.hub import Hub
from tests.rpc.handreactor import HandReactor
from tests.rpc.wire import ECHO, VERSION, Service, call, mark, success


class _Reader:
    """
    A descriptor that is none of our connections.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.fileno = sock.fileno
        self._socket = sock
        self.said: list[bytes] = []

    def logPrefix(self) -> str:
        return "reader"

    def doRead(self) -> None:
        self.said.append(self._socket.recv(100))

    def connectionLost(self, reason: Any) -> None:
        raise AssertionError("nobody has hung up")


@skipIf(dispatch.EPollReactor is None, "this system has no epoll")
class HastenTests(SynchronousTestCase):
    """
    A reactor that calls our connections directly serves as before.
    """

    def setUp(self) -> None:
        self.reactor: Any = dispatch.EPollReactor()
        self.addCleanup(self._closeReactor)
        self.assertTrue(hasten(self.reactor))
        self.service = Service()
        self.events: list[str] = []
        self.hub = Hub([self.service.program], self.reactor)
        near, self.far = self.pair()
        self.gone: list[Connection] = []
        self.connection = Connection(self.reactor, near, self.hub, self.gone.append)
        self.connection.start()

    def _closeReactor(self) -> None:
        self.connection.close()
        self.reactor.removeAll()
        for waker in list(self.reactor._internalReaders):
            waker.connectionLost(None)
        self.reactor._poller.close()

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """
        Two ends of a connection.
        """
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        self.addCleanup(far.close)
        return near, far

    def test_serves(self) -> None:
        """
        A call is answered in the turn in which it arrives.
        """
        self.far.send(mark(call(0, xid=7)))
        self.reactor.doIteration(0)
        self.assertEqual(self.far.recv(1000), mark(success(xid=7)))

    def test_hangsUp(self) -> None:
        """
        Who hangs up is forgotten.
        """
        self.far.close()
        self.reactor.doIteration(0)
        self.reactor.doIteration(0)
        self.assertEqual(self.gone, [self.connection])

    def test_writes(self) -> None:
        """
        What the socket does not take at once is sent when it does.
        """
        size = 4 << 20
        self.connection._write([bytes(size)], size)
        left = size
        while left:
            self.reactor.doIteration(0)
            left -= len(self.far.recv(1 << 20))
        self.assertFalse(self.gone)

    def test_failure(self) -> None:
        """
        A defect costs the connection it occurs on, and is logged; the reactor
        goes on.
        """

        def broken(data: bytes) -> Any:
            raise ZeroDivisionError("a defect")

        self.connection._feed = broken
        self.far.send(b"anything")
        self.reactor.doIteration(0)
        self.assertEqual(self.gone, [self.connection])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_others(self) -> None:
        """
        Other descriptors are served in Twisted's way.
        """
        near, far = self.pair()
        self.addCleanup(near.close)
        reader = _Reader(near)
        self.reactor.addReader(reader)
        far.send(b"hello")
        self.reactor.doIteration(0)
        self.assertEqual(reader.said, [b"hello"])
        self.reactor.removeReader(reader)

    def serving(self, *effects: Callable[[], Any]) -> None:
        """
        Have the next calls do this, each before its answer.
        """
        left = list(effects)

        def procedure(call: Any, buf: Any, pos: int) -> list[Any]:
            left.pop(0)()
            return []

        self.service.program.versions[VERSION][ECHO] = procedure

    def another(self) -> None:
        """
        The other end sends a call.
        """
        self.far.send(mark(call(ECHO)))

    def noted(self) -> None:
        """
        What a timer or a thread calls.
        """
        self.events.append("called")

    def test_goesOn(self) -> None:
        """
        Call after call is served without a turn of the whole reactor in between,
        until a thread has something for it.
        """
        self.serving(
            self.another, self.another, lambda: self.reactor.callFromThread(self.noted)
        )
        self.another()
        self.reactor.doIteration(None)
        self.assertEqual(len(self.far.recv(1000)), 3 * len(mark(success())))
        self.reactor.runUntilCurrent()
        self.assertEqual(self.events, ["called"])

    def test_newTimer(self) -> None:
        """
        A timer set by a call is heeded at once.
        """
        self.serving(lambda: self.reactor.callLater(0, self.noted))
        self.another()
        self.reactor.doIteration(None)
        self.reactor.runUntilCurrent()
        self.assertEqual(self.events, ["called"])

    def test_timerDue(self) -> None:
        """
        However many calls come, a timer is not late.
        """
        self.reactor.callLater(0.01, self.noted)
        self.reactor.runUntilCurrent()
        self.serving(*[self.another] * 100000)
        self.another()
        turns = 0
        while not self.events:
            self.reactor.doIteration(self.reactor.timeout())
            self.reactor.runUntilCurrent()
            turns += 1
        self.assertLess(turns, 4)

    def test_oneTurn(self) -> None:
        """
        Who asks for a turn without waiting gets one.
        """
        self.serving(self.another, self.another)
        self.another()
        self.reactor.doIteration(0)
        self.assertEqual(self.far.recv(1000), mark(success()))


class OtherReactorTests(SynchronousTestCase):
    """
    Reactors that are not Twisted's epoll reactor stay as they are.
    """

    def test_untouched(self) -> None:
        """
        Services run on any reactor, if slower.
        """
        reactor = HandReactor()
        self.assertFalse(hasten(reactor))
        self.assertFalse(hasattr(reactor, "doIteration"))

    @skipIf(dispatch.EPollReactor is None, "this system has no epoll")
    def test_changed(self) -> None:
        """
        A later Twisted whose reactor looks different inside is left alone.
        """
        reactor: Any = object.__new__(dispatch.EPollReactor)
        self.assertFalse(hasten(reactor))
        self.assertNotIn("doIteration", vars(reactor))
