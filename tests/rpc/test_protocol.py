"""
RPC over any transport.
"""

from __future__ import annotations

import tempfile
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from pnfs.rpc.errors import ConnectionClosed
from pnfs.rpc.hub import Hub
from pnfs.rpc.limits import Limits
from pnfs.rpc.peer import Peer
from pnfs.rpc.protocol import RPCFactory
from pnfs.values import FileSlice
from tests.rpc import wire
from tests.rpc.wire import Service, call, mark, success


class ProtocolTests(SynchronousTestCase):
    """
    L{RPCProtocol} over a transport in memory.
    """

    def setUp(self) -> None:
        self.service = Service()
        self.hub = Hub([self.service.program], Clock(), Limits(waiting=4))
        self.peers: list[Peer] = []
        factory = RPCFactory(self.hub, self.peers.append)
        self.protocol = factory.buildProtocol(None)
        self.transport = StringTransport(
            peerAddress=IPv4Address("TCP", "192.0.2.1", 700)
        )
        self.protocol.makeConnection(self.transport)

    def sent(self) -> list[bytes]:
        records = wire.unmark(self.transport.value())
        self.transport.clear()
        return records

    def test_serves(self) -> None:
        """
        Small and large calls are answered, at once and byte by byte.
        """
        stream = mark(call(wire.ECHO, b"data")) + mark(call(wire.ECHO, bytes(50_000)))
        expected = [success(b"data"), success(bytes(50_000))]
        self.protocol.dataReceived(stream)
        self.assertEqual(self.sent(), expected)
        for pos in range(0, len(stream), 99):
            self.protocol.dataReceived(stream[pos : pos + 99])
        self.assertEqual(self.sent(), expected)

    def test_peer(self) -> None:
        """
        The layers above get the peer, with its address, and can call it.
        """
        self.assertEqual(self.peers, [self.protocol.peer])
        self.assertEqual(self.peers[0].address, ("192.0.2.1", 700))
        result = self.peers[0].call(wire.PROGRAM, 2, 0)
        xid = int.from_bytes(self.sent()[0][:4], "big")
        self.protocol.dataReceived(mark(success(b"ok", xid)))
        self.assertEqual(self.successResultOf(result)[0][24:], b"ok")

    def test_file(self) -> None:
        """
        Pieces from a file are read, with zeros past its end, and released.
        """
        released: list[int] = []
        with tempfile.TemporaryFile() as file:
            file.write(b"content")
            file.flush()
            self.service.file = FileSlice(
                file.fileno(), 3, 8, lambda: released.append(1)
            )
            self.protocol.dataReceived(mark(call(wire.FILE)))
        self.assertEqual(self.sent(), [success(b"headtent\0\0\0\0tail")])
        self.assertEqual(released, [1])

    def test_backPressure(self) -> None:
        """
        While the transport is full nothing more is served or read.
        """
        self.protocol.pauseProducing()
        self.protocol.dataReceived(mark(call(wire.NULL)))
        self.assertEqual(self.sent(), [])
        self.assertEqual(self.transport.producerState, "paused")
        self.protocol.resumeProducing()
        self.assertEqual(self.sent(), [success()])
        self.assertEqual(self.transport.producerState, "producing")

    def test_waiting(self) -> None:
        """
        Nor while too many calls wait.
        """
        for xid in range(6):
            self.protocol.dataReceived(mark(call(wire.WAIT, b"", xid)))
        self.assertEqual(len(self.service.waits), 4)
        self.assertEqual(self.transport.producerState, "paused")
        for wait in self.service.waits[:2]:
            wait.callback(b"")
        self.assertEqual(len(self.service.waits), 6)

    def test_violation(self) -> None:
        """
        A bad record closes the connection; nothing after it is looked at.
        """
        self.protocol.dataReceived(mark(b"nonsense") + mark(call(wire.NULL)))
        self.protocol.dataReceived(mark(call(wire.NULL)))
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(self.sent(), [])

    def test_lost(self) -> None:
        """
        Calls end with the connection.
        """
        result: Any = self.protocol.peer.call(wire.PROGRAM, 2, 0)
        self.protocol.connectionLost(
            Failure(ConnectionDone())  # type: ignore[no-untyped-call]
        )
        self.failureResultOf(result, ConnectionClosed)
        self.assertEqual(self.hub.counters.connections, 0)
