"""
A server on loopback, its reactor turned by hand.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import Any, Optional

from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SynchronousTestCase

from pnfs.rpc.limits import Limits
from pnfs.rpc.peer import Peer
from pnfs.rpc.server import RPCServer
from tests.rpc import wire
from tests.rpc.handreactor import HandReactor
from tests.rpc.wire import Service, call, mark, success


class ServerTests(SynchronousTestCase):
    """
    L{RPCServer} accepts, serves and ends.
    """

    def setUp(self) -> None:
        self.reactor = HandReactor()
        self.service = Service()
        self.peers: list[Peer] = []
        self.server = RPCServer(
            self.reactor,
            [self.service.program],
            Limits(connections=2),
            self.reactor,
            self.peers.append,
        )
        self.port = self.server.listenTCP("127.0.0.1", 0)
        self.clients: list[socket.socket] = []

    def tearDown(self) -> None:
        for client in self.clients:
            client.close()
        self.service.waits.clear()
        drained = self.server.drain(1)
        self.reactor.settle()
        self.reactor.advance(1)
        self.reactor.settle()
        self.successResultOf(drained)
        self.assertEqual(self.reactor.readers | self.reactor.writers, set())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port.getHost().port))
        client.setblocking(False)
        self.clients.append(client)
        return client

    def receive(self, client: socket.socket) -> Optional[bytes]:
        """
        What has come; None at the end.
        """
        try:
            return client.recv(1 << 20) or None
        except BlockingIOError:
            return b""
        except ConnectionResetError:
            return None

    def exchange(self, client: socket.socket, record: bytes) -> bytes:
        client.send(record)
        self.reactor.until(lambda: self.reactor.turn())
        self.reactor.settle()
        return self.receive(client) or b""

    def test_serves(self) -> None:
        """
        Clients are served; the layer above learns where they come from.
        """
        for _ in range(2):
            client = self.connect()
            reply = self.exchange(client, mark(call(wire.ECHO, b"data")))
            self.assertEqual(reply, mark(success(b"data")))
        self.assertEqual(self.peers[0].address, self.clients[0].getsockname())
        self.assertEqual(self.server.counters.connections, 2)
        self.assertEqual(len(self.server.peers), 2)

    def test_acknowledgesReplies(self) -> None:
        """
        Nothing follows the reply to a callback, but the client's kernel hears at
        once that it has come: one that holds small packets back until then (Nagle's
        algorithm) would send its next call 40 ms late.
        """

        def unacknowledged() -> int:
            info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 28)
            return int(struct.unpack_from("=I", info, 24)[0])

        client = self.connect()
        for _ in range(64):
            # The kernel learns that this connection is one of calls and answers.
            self.exchange(client, mark(call(wire.NULL)))
        answer = self.peers[0].call(1, 1, 0)
        self.reactor.settle()
        xid = int.from_bytes(self.receive(client)[4:8], "big")
        client.send(mark(success(xid=xid)))
        self.assertEqual(unacknowledged(), 1)
        self.reactor.until(lambda: answer.called)
        self.assertEqual(unacknowledged(), 0)
        self.successResultOf(answer)

    def test_inUse(self) -> None:
        """
        A port that is taken is said to be.
        """
        self.assertRaises(
            CannotListenError,
            self.server.listenTCP,
            "127.0.0.1",
            self.port.getHost().port,
        )

    def test_hookFails(self) -> None:
        """
        A defect in the layer above costs the connection, not the port.
        """

        def bad(peer: Peer) -> None:
            raise ZeroDivisionError()

        self.server._onConnect = bad
        self.assertEqual(self.exchange(self.connect(), mark(call(0))), b"")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.server._onConnect = None
        self.assertEqual(self.exchange(self.connect(), mark(call(0))), mark(success()))

    def test_limit(self) -> None:
        """
        Connections are bounded: another one waits until one ends.
        """
        first, second, third = self.connect(), self.connect(), self.connect()
        for client in (first, second):
            self.assertEqual(len(self.exchange(client, mark(call(wire.NULL)))), 28)
        third.send(mark(call(wire.NULL)))
        self.reactor.settle()
        self.assertEqual(self.receive(third), b"")
        first.close()
        self.reactor.until(lambda: self.receive(third))

    def test_noDescriptors(self) -> None:
        """
        Without file descriptors the server does not spin; it accepts again a second
        later.
        """

        class Exhausted:
            def accept(self) -> Any:
                raise OSError(errno.EMFILE, "Too many open files")

            fileno = self.port._socket.fileno

        real, self.port._socket = self.port._socket, Exhausted()  # type: ignore
        client = self.connect()
        self.reactor.until(lambda: self.port not in self.reactor.readers)
        self.port._socket = real
        self.reactor.advance(1)
        self.assertEqual(len(self.exchange(client, mark(call(wire.NULL)))), 28)

    def test_drain(self) -> None:
        """
        A server told to end answers what it has begun, accepts nothing more, and
        says when it is done.
        """
        idle, busy = self.connect(), self.connect()
        self.exchange(idle, mark(call(wire.NULL)))
        self.exchange(busy, mark(call(wire.WAIT)))
        drained = self.server.drain(10)
        self.assertRaises(ConnectionRefusedError, self.connect)
        self.reactor.settle()
        self.assertEqual(self.receive(idle), None)
        self.assertNoResult(drained)
        self.service.waits[0].callback(b"done")
        self.successResultOf(drained)
        self.assertEqual(self.receive(busy), mark(success(b"done")))
        self.assertEqual(self.receive(busy), None)

    def test_drainTimeout(self) -> None:
        """
        What does not end in time is cancelled and cut off, also if its client has
        already gone.
        """
        for client in (self.connect(), self.connect()):
            self.exchange(client, mark(call(wire.WAIT)))
        self.clients[0].close()
        self.reactor.settle()
        drained = self.server.drain(10)
        self.reactor.advance(9)
        self.assertNoResult(drained)
        self.reactor.advance(2)
        self.successResultOf(drained)
        self.assertEqual(self.receive(self.clients[1]), None)
        self.assertTrue(all(wait.called for wait in self.service.waits))

    def test_ipv6(self) -> None:
        """
        IPv6 is served; an IPv4 client of such a port has its IPv4 address.
        """
        try:
            port = self.server.listenTCP("::", 0)
        except CannotListenError:
            self.skipTest("no IPv6 here")
        client = socket.create_connection(("127.0.0.1", port.getHost().port))
        client.setblocking(False)
        self.clients.append(client)
        self.exchange(client, mark(call(wire.NULL)))
        self.assertEqual(self.peers[0].address, client.getsockname())
