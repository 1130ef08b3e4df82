"""
The shorter way from epoll to our connections, with a reactor of its own.
"""

from __future__ import annotations

import socket
from typing import Any
from unittest import skipIf

from twisted.trial.unittest import SynchronousTestCase

from pnfs.rpc import dispatch
from pnfs.rpc.connection import Connection
from pnfs.rpc.dispatch import hasten
from pnfs.rpc.hub import Hub
from tests.rpc.handreactor import HandReactor
from tests.rpc.wire import Service, call, mark, success


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
