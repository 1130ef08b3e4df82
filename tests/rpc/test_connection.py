"""
The fast connection, over a real pair of sockets.
"""

from __future__ import annotations

import os
import socket
import struct
import tempfile
from typing import Any, Optional

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject
from twisted.internet.interfaces import IReadWriteDescriptor

from pnfs.rpc.connection import Connection
from pnfs.rpc.hub import Hub
from pnfs.rpc.limits import Limits
from pnfs.values import FileSlice
from tests.rpc import wire
from tests.rpc.handreactor import HandReactor
from tests.rpc.wire import Service, call, mark, success


class ConnectionTestCase(SynchronousTestCase):
    """
    One connection; C{self.far} is the client's end.
    """

    limits: Optional[Limits] = None

    def setUp(self) -> None:
        self.reactor = HandReactor()
        self.service = Service()
        self.hub = Hub([self.service.program], self.reactor, self.limits)
        near, self.far = socket.socketpair()
        near.setblocking(False)
        self.far.setblocking(False)
        self.addCleanup(self.far.close)
        for sock in (near, self.far):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000)
        self.gone: list[Connection] = []
        self.connection = Connection(
            self.reactor, near, self.hub, self.gone.append, ("192.0.2.1", 700)
        )
        self.connection.start()

    def tearDown(self) -> None:
        self.connection.close()
        self.far.close()
        self.reactor.settle()
        self.reactor.advance(31)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.reactor.readers | self.reactor.writers, set())
        self.assertEqual(self.hub.counters.connections, 0)
        self.assertEqual(self.gone, [self.connection])

    def receive(self) -> bytes:
        """
        All that has arrived at the client.
        """
        parts = []
        try:
            while data := self.far.recv(1 << 20):
                parts.append(data)
        except OSError:
            pass
        return b"".join(parts)

    def exchange(self, data: bytes, turns: int = 5000) -> bytes:
        """
        Send it all, give all that comes back until nothing happens.
        """
        out = []
        while data:
            try:
                data = data[self.far.send(data) :]
            except BlockingIOError:
                pass
            self.reactor.turn()
            out.append(self.receive())
        while self.reactor.turn():
            out.append(self.receive())
        out.append(self.receive())
        return b"".join(out)


class ServeTests(ConnectionTestCase):
    """
    Requests in, replies out.
    """

    def test_interface(self) -> None:
        """
        The reactors know how to use it.
        """
        verifyObject(IReadWriteDescriptor, self.connection)

    def test_sameTurn(self) -> None:
        """
        The answers are sent in the turn that brought the calls, without waiting for
        the socket to be writable.
        """
        self.far.send(b"".join(mark(call(wire.ECHO, b"data", xid)) for xid in range(9)))
        self.connection.doRead()
        self.assertEqual(
            wire.unmark(self.receive()), [success(b"data", xid) for xid in range(9)]
        )
        self.assertEqual(self.reactor.writers, set())

    def test_oneByteAtATime(self) -> None:
        """
        A slow client is served.
        """
        for byte in mark(call(wire.ECHO, b"data")):
            self.far.send(bytes((byte,)))
            self.connection.doRead()
        self.assertEqual(wire.unmark(self.receive()), [success(b"data")])

    def test_large(self) -> None:
        """
        Large calls arrive intact and use the same buffer, one after the other, mixed
        with small ones.
        """
        stream = b""
        expected = []
        for xid in range(6):
            data = bytes((xid + i) & 0xFF for i in range(700_000 + xid))
            stream += mark(call(wire.LENGTH, data, xid)) + mark(
                call(wire.NULL, b"", 99)
            )
            results = struct.pack(">II", len(data), sum(data))
            expected += [success(results, xid), success(b"", 99)]
        self.assertEqual(wire.unmark(self.exchange(stream)), expected)
        self.assertIn(memoryview, self.service.buffers)
        self.assertEqual(len(self.hub.pool._free), 1)

    def _alike(self, *sizes: int) -> tuple[bytes, list[bytes]]:
        """
        Calls with so many bytes, and the answers to them.
        """
        stream = b""
        expected = []
        for xid, size in enumerate(sizes):
            data = bytes([xid + 1]) * size
            stream += mark(call(wire.LENGTH, data, xid))
            expected.append(success(struct.pack(">II", size, size * (xid + 1)), xid))
        return stream, expected

    def test_alike(self) -> None:
        """
        Large calls of the same size, and what comes after them, arrive intact
        wherever the stream is cut; they are served in one turn if they are there.
        """
        first, answers = self._alike(70_000)
        self.assertEqual(wire.unmark(self.exchange(first)), answers)
        stream, expected = self._alike(*[70_000] * 4, 50, 70_000, 33_000, 200_000, 50)
        self.assertEqual(wire.unmark(self.exchange(stream)), expected)
        for cut in (1, 3, 8, 11, 12, 70_000, 70_043, 70_044, 70_050, 70_300, 140_100):
            self.assertEqual(wire.unmark(self.exchange(first)), answers)
            out = self.exchange(stream[:cut]) + self.exchange(stream[cut:])
            self.assertEqual(wire.unmark(out), expected)
        stream, expected = self._alike(70_000, 70_000)
        self.assertEqual(wire.unmark(self.exchange(first)), answers)
        self.far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 400_000)
        self.far.send(stream)
        self.connection.doRead()
        self.assertEqual(wire.unmark(self.receive()), expected)
        self.assertEqual(len(self.hub.pool._free), 1)

    def test_alikeHangUp(self) -> None:
        """
        Who hangs up after large calls is answered first.
        """
        first, answers = self._alike(70_000)
        self.assertEqual(wire.unmark(self.exchange(first)), answers)
        self.far.send(first)
        self.far.shutdown(socket.SHUT_WR)
        self.reactor.turn()
        self.assertEqual(wire.unmark(self.receive()), answers)
        self.reactor.turn()
        self.assertTrue(self.connection.lost)

    def test_alikeViolation(self) -> None:
        """
        Nonsense after a large call ends the connection, but that is answered.
        """
        first, answers = self._alike(70_000)
        self.assertEqual(wire.unmark(self.exchange(first)), answers)
        self.far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 400_000)
        self.far.send(first + b"\xff" * 20)
        self.reactor.turn()
        self.assertEqual(wire.unmark(self.receive()), answers)
        self.assertTrue(self.connection.lost)
        self.assertEqual(self.hub.counters.violations, 1)

    def test_largeReply(self) -> None:
        """
        An answer larger than the socket's buffer comes out whole.
        """
        data = os.urandom(900_000)
        self.assertEqual(
            wire.unmark(self.exchange(mark(call(wire.ECHO, data)))), [success(data)]
        )

    def test_joined(self) -> None:
        """
        Calls answered later in one turn leave together.
        """
        for xid in range(3):
            self.far.send(mark(call(wire.WAIT, b"", xid)))
        self.reactor.turn()
        for wait in self.service.waits[:2]:
            wait.callback(b"x")
        self.assertEqual(self.receive(), b"")
        self.reactor.turn()
        self.assertEqual(len(wire.unmark(self.receive())), 2)
        self.service.waits[2].callback(b"x")
        self.assertEqual(len(wire.unmark(self.receive())), 1)

    def test_violation(self) -> None:
        """
        A record over the limit, and one that is no RPC message, end the connection.
        """
        self.far.send(mark(call(wire.NULL)) + mark(b"nonsense"))
        self.reactor.settle()
        self.assertEqual(wire.unmark(self.receive()), [success()])
        self.assertTrue(self.connection.lost)
        self.assertEqual(self.hub.counters.violations, 1)

    def test_tooLong(self) -> None:
        """
        So does an announcement of too much.
        """
        self.far.send(b"\xff\xff\xff\xff")
        self.reactor.settle()
        self.assertTrue(self.connection.lost)

    def test_endOfInput(self) -> None:
        """
        When the client hangs up the connection is gone.
        """
        self.far.close()
        self.reactor.settle()
        self.assertTrue(self.connection.lost)
        self.assertTrue(self.connection.peer.closed)

    def test_counters(self) -> None:
        """
        Bytes and calls are counted.
        """
        out = self.exchange(mark(call(wire.ECHO, bytes(100_000))))
        counters = self.hub.counters
        self.assertEqual(counters.bytesIn, 100_044)
        self.assertEqual(counters.bytesOut, len(out))
        self.assertEqual((counters.calls, counters.accepted), (1, 1))

    def test_close(self) -> None:
        """
        Closing sends what is left to send first.
        """
        self.service.program.versions[2][50] = self.closing
        self.far.send(mark(call(50)) + mark(call(wire.NULL)))
        received = b""
        for _ in range(200):
            self.reactor.turn()
            received += self.receive()
        self.assertEqual(wire.unmark(received), [success(bytes(500_000))])
        self.assertTrue(self.connection.lost)

    def closing(self, call: Any, buf: Any, pos: int) -> Any:
        call.connection.close()
        return [bytes(500_000)]

    def test_closeUnread(self) -> None:
        """
        A client that never reads cannot keep a closing connection for ever.
        """
        self.far.send(mark(call(wire.ECHO, bytes(50_000))) * 1)
        self.service.program.versions[2][50] = self.closing
        self.far.send(mark(call(50)))
        self.reactor.turn()
        self.reactor.turn()
        self.assertFalse(self.connection.lost)
        self.reactor.advance(31)
        self.assertTrue(self.connection.lost)


class FlowTests(ConnectionTestCase):
    """
    Nobody can make us hold too much, nobody starves others.
    """

    limits = Limits(outputBytes=300_000, waiting=4, recordsPerTurn=8)

    def test_fairness(self) -> None:
        """
        A burst is served in portions; the rest without any new input.
        """
        self.far.send(b"".join(mark(call(wire.NULL, b"", xid)) for xid in range(20)))
        self.reactor.turn()
        self.assertEqual(len(wire.unmark(self.receive())), 8)
        self.reactor.turn()
        self.assertEqual(len(wire.unmark(self.receive())), 8)
        self.reactor.turn()
        self.assertEqual(len(wire.unmark(self.receive())), 4)
        self.reactor.settle()
        self.assertEqual(self.reactor.readers, {self.connection})

    def test_unreadOutput(self) -> None:
        """
        A client that does not read its answers is not read either, until it does.
        """
        self.service.program.versions[2][50] = lambda call, buf, pos: [bytes(100_000)]
        requests = b"".join(mark(call(50, b"", xid)) for xid in range(60))
        self.far.send(requests)
        self.reactor.settle()
        self.assertNotIn(self.connection, self.reactor.readers)
        self.assertLess(self.connection._queue.size, 2_000_000)
        self.assertLess(len(self.service.calls), 60)
        out = b""
        for _ in range(500):
            out += self.receive()
            self.reactor.turn()
        self.assertEqual(
            wire.unmark(out), [success(bytes(100_000), xid) for xid in range(60)]
        )
        self.assertIn(self.connection, self.reactor.readers)

    def test_waiting(self) -> None:
        """
        Only so many calls wait at once; the others are served later.
        """
        self.far.send(b"".join(mark(call(wire.WAIT, b"", xid)) for xid in range(10)))
        self.reactor.settle()
        self.assertEqual(len(self.service.waits), 4)
        self.assertNotIn(self.connection, self.reactor.readers)
        answered = 0
        while answered < 10:
            waits, self.service.waits = self.service.waits, []
            self.assertLessEqual(len(waits), 4)
            for wait in waits:
                wait.callback(b"")
                answered += 1
            self.reactor.settle()
        self.assertEqual(len(wire.unmark(self.receive())), 10)
        self.assertIn(self.connection, self.reactor.readers)

    def test_drain(self) -> None:
        """
        A connection that is being drained answers what it has begun, then closes.
        """
        self.far.send(mark(call(wire.WAIT)))
        self.reactor.turn()
        self.connection.drain()
        self.far.send(mark(call(wire.NULL)))
        self.reactor.settle()
        self.assertFalse(self.connection.lost)
        self.service.waits[0].callback(b"done")
        self.assertTrue(self.connection.lost)
        self.assertEqual(wire.unmark(self.receive()), [success(b"done")])


class FileTests(ConnectionTestCase):
    """
    Pieces that are sent from a file.
    """

    def setUp(self) -> None:
        super().setUp()
        self.content = os.urandom(600_000)
        file = tempfile.TemporaryFile()
        self.addCleanup(file.close)
        file.write(self.content)
        file.flush()
        self.fd = file.fileno()
        self.released = 0

    def release(self) -> None:
        self.released += 1

    def serve(self, offset: int, count: int) -> None:
        self.service.file = FileSlice(self.fd, offset, count, self.release)

    def test_sent(self) -> None:
        """
        Small and large slices arrive between the pieces around them; each is
        released once.
        """
        for number, (offset, count) in enumerate(
            ((0, 600_000), (5, 100), (599_999, 1), (7, 0))
        ):
            self.serve(offset, count)
            out = self.exchange(mark(call(wire.FILE)))
            expected = b"head" + self.content[offset : offset + count] + b"tail"
            self.assertEqual(wire.unmark(out), [success(expected)])
            self.assertEqual(self.released, number + 1)

    def test_shorter(self) -> None:
        """
        If the file has become shorter zeros take the place of what is missing, and
        the connection stays in step.
        """
        self.serve(500_000, 300_000)
        out = self.exchange(mark(call(wire.FILE)) + mark(call(wire.NULL)))
        expected = b"head" + self.content[500_000:] + bytes(200_000) + b"tail"
        self.assertEqual(wire.unmark(out), [success(expected), success()])
        self.assertEqual(self.released, 1)

    def test_lost(self) -> None:
        """
        A connection that ends in the middle releases the file once.
        """
        self.serve(0, 600_000)
        self.far.send(mark(call(wire.FILE)) + mark(call(wire.NULL)))
        self.reactor.turn()
        self.assertEqual(self.released, 0)
        self.far.close()
        self.reactor.settle()
        self.assertTrue(self.connection.lost)
        self.assertEqual(self.released, 1)

    def test_broken(self) -> None:
        """
        A file that cannot be read ends the connection, since the answer has begun.
        """
        self.serve(0, 1000)
        assert self.service.file is not None
        self.service.file.fd = os.open("/", os.O_RDONLY)
        self.addCleanup(os.close, self.service.file.fd)
        self.far.send(mark(call(wire.FILE)))
        self.reactor.settle()
        self.assertTrue(self.connection.lost)
        self.assertEqual(self.released, 1)
