"""
Calls in both directions, without I/O.
"""

from __future__ import annotations

import gc
import struct
import weakref
from typing import Any, Optional

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pnfs.rpc.errors import (
    BadReply,
    CallTimeout,
    ConnectionClosed,
    RecordError,
    RPCRefused,
)
from pnfs.rpc.hub import Hub
from pnfs.rpc.limits import Limits
from pnfs.rpc.peer import Peer
from pnfs.values import ANONYMOUS, FileSlice
from tests.rpc import wire
from tests.rpc.wire import Service, authSys, call, denied, success


class PeerTestCase(SynchronousTestCase):
    """
    A peer whose output is kept.
    """

    limits: Optional[Limits] = None

    def setUp(self) -> None:
        self.clock = Clock()
        self.service = Service()
        self.hub = Hub([self.service.program], self.clock, self.limits)
        self.output = b""
        self.disconnected = 0
        self.peer = self.makePeer()

    def makePeer(self) -> Peer:
        def disconnect() -> None:
            self.disconnected += 1

        return Peer(
            (), self.write, self.clock, disconnect=disconnect, hub=self.hub, firstXID=9
        )

    def write(self, pieces: Any, size: int) -> None:
        data = b"".join(pieces)
        self.assertEqual(len(data), size)
        self.output += data

    def sent(self) -> list[bytes]:
        """
        The records written since the last look.
        """
        records, self.output = wire.unmark(self.output), b""
        return records

    def ask(self, *args: Any, **kw: Any) -> list[bytes]:
        """
        The answers to a call.
        """
        self.peer.recordReceived(call(*args, **kw))
        return self.sent()


class ServeTests(PeerTestCase):
    """
    A peer serves calls.
    """

    def test_null(self) -> None:
        """
        The NULL procedure answers with nothing.
        """
        self.assertEqual(self.ask(wire.NULL, xid=77), [success(xid=77)])

    def test_echo(self) -> None:
        """
        A procedure gets its arguments, its results reach the caller.
        """
        for xid in (1, 2, 0xFFFFFFFF):
            self.assertEqual(
                self.ask(wire.ECHO, b"data", xid, authSys()), [success(b"data", xid)]
            )

    def test_credential(self) -> None:
        """
        A procedure learns who calls; it is the same object as long as the same
        user calls on this connection.
        """
        for credential in (authSys(5), authSys(6), authSys(5), wire.NOBODY):
            self.ask(wire.ECHO, b"", 1, credential)
        self.ask(wire.LENGTH, b"", 1, authSys(5))
        seen = [each.credential for each in self.service.calls]
        self.assertEqual([each.uid for each in seen[:3]], [5, 6, 5])
        self.assertIs(seen[0], seen[2])
        self.assertIs(seen[0], seen[4])
        self.assertIs(seen[3], ANONYMOUS)
        self.assertIs(self.service.calls[0].connection, self.peer)

    def test_received(self) -> None:
        """
        The whole record's length is known, for limits of the layer above.
        """
        self.ask(wire.ECHO, b"data")
        self.assertEqual(self.service.calls[0].received, 44)

    def test_manyUsers(self) -> None:
        """
        A connection that carries thousands of users is bounded in what is kept.
        """
        for uid in range(1000):
            self.assertEqual(len(self.ask(wire.ECHO, b"", 1, authSys(uid))), 1)
        self.assertEqual(self.service.calls[-1].credential.uid, 999)
        self.assertLessEqual(len(self.peer._credentials), 128)
        self.assertLessEqual(len(self.peer._headers), 128)

    def test_unknown(self) -> None:
        """
        Unknown programs, versions and procedures are told apart.
        """
        self.assertEqual(self.ask(99), [wire.accepted(3)])
        self.assertEqual(self.ask(0, program=5), [wire.accepted(1)])
        mismatch = wire.accepted(2, 1, struct.pack(">II", 2, 4))
        self.assertEqual(self.ask(0, version=3), [mismatch])
        self.assertEqual(self.ask(0, rpcvers=3), [denied(0, 2, 2)])

    def test_refusals(self) -> None:
        """
        What a procedure raises becomes the right RPC error; GSS is refused in a way
        that makes clients try something else.
        """
        self.assertEqual(self.ask(wire.GARBAGE), [wire.accepted(4)])
        self.assertEqual(self.ask(wire.XDR), [wire.accepted(4)])
        self.assertEqual(self.ask(wire.AUTH), [denied(1, 5)])
        gss = struct.pack(">II", 6, 0) + bytes(8)
        self.assertEqual(self.ask(wire.NULL, credential=gss), [denied(1, 2)])
        long = struct.pack(">II", 1, 404) + bytes(404 + 8)
        self.assertEqual(self.ask(wire.NULL, credential=long), [denied(1, 1)])

    def test_bug(self) -> None:
        """
        A defect of ours is one traceback in the log, and SYSTEM_ERR for the caller.
        """
        self.assertEqual(self.ask(wire.BUG), [wire.accepted(5)])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_wait(self) -> None:
        """
        Calls that wait do not hold up others, and are answered as they finish.
        """
        self.assertEqual(self.ask(wire.WAIT, b"argument", xid=1), [])
        self.assertEqual(self.ask(wire.WAIT, b"question", xid=2), [])
        self.assertEqual(self.ask(wire.NULL, xid=3), [success(xid=3)])
        self.service.waits[1].callback(b"two:")
        self.service.waits[0].callback(b"one:")
        self.assertEqual(
            self.sent(), [success(b"two:question", 2), success(b"one:argument", 1)]
        )
        self.assertEqual((self.peer.waiting, self.hub.running), (0, set()))

    def test_waitTwice(self) -> None:
        """
        A call may wait more than once.
        """
        self.ask(wire.TWICE)
        self.service.waits[0].callback(b"a")
        self.assertEqual(self.sent(), [])
        self.service.waits[1].callback(b"b")
        self.assertEqual(self.sent(), [success(b"ab")])

    def test_waitFails(self) -> None:
        """
        An error after a wait is answered as one before it.
        """
        self.ask(wire.WAIT)
        self.service.waits[0].errback(ZeroDivisionError())
        self.assertEqual(self.sent(), [wire.accepted(5)])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_noResults(self) -> None:
        """
        A procedure that returns no pieces is a defect, not a dead connection.
        """
        self.ask(wire.WAIT)
        self.service.waits[0].callback(None)
        self.assertEqual(self.sent(), [wire.accepted(5)])
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_connectionLost(self) -> None:
        """
        Work goes on when its client is gone; its answer is dropped.
        """
        self.ask(wire.WAIT)
        self.peer.connectionLost()
        self.assertEqual(len(self.hub.running), 1)
        self.service.waits[0].callback(b"late")
        self.assertEqual((self.output, self.hub.running), (b"", set()))

    def test_lateFile(self) -> None:
        """
        The file of a dropped answer is given back once.
        """
        released: list[int] = []
        self.ask(wire.WAIT)
        self.peer.connectionLost()
        piece = FileSlice(0, 0, 5, lambda: released.append(1))
        self.service.waits[0].callback(piece)
        self.assertEqual(released, [1])

    def test_cancel(self) -> None:
        """
        When the server ends, what still waits is cancelled without an answer.
        """
        self.ask(wire.WAIT)
        self.hub.cancel()
        self.assertEqual((self.output, self.hub.running), (b"", set()))

    def test_noMessage(self) -> None:
        """
        A record that is no RPC message ends the connection.
        """
        good = call(wire.NULL)
        bad = [good[:end] for end in range(40)]
        bad += [struct.pack(">II", 1, 2) + bytes(40), b""]
        for record in bad:
            self.assertRaises(RecordError, self.peer.recordReceived, record)
        self.assertEqual(self.output, b"")

    def test_largeBuffer(self) -> None:
        """
        A large record's buffer is used again after the answer, but not while the
        call waits, and never if its bytes are kept.
        """
        pool = self.hub.pool

        def large(procedure: int) -> bytearray:
            buffer = pool.take()
            record = call(procedure, bytes(40000))
            buffer[: len(record)] = record
            self.peer.recordReceived(memoryview(buffer)[: len(record)])
            return buffer

        buffer = large(wire.LENGTH)
        self.assertIs(pool.take(), buffer)
        buffer = large(wire.WAIT)
        self.assertIsNot(pool.take(), buffer)
        self.service.waits[0].callback(b"")
        self.assertIs(pool.take(), buffer)
        buffer = large(wire.KEEP)
        self.assertIsNot(pool.take(), buffer)
        self.assertEqual(len(self.service.kept[0]), 40000)

    def test_noCycle(self) -> None:
        """
        A connection that is gone leaves nothing for the garbage collector.
        """
        self.peer = self.makePeer()
        self.ask(wire.WAIT)
        self.service.waits[0].callback(b"")
        ref = weakref.ref(self.peer)
        self.service.calls.clear()
        gc.disable()
        self.addCleanup(gc.enable)
        self.peer.connectionLost()
        del self.peer
        self.assertIs(ref(), None)


class BusyTests(PeerTestCase):
    """
    The number of waiting calls is bounded.
    """

    limits = Limits(waiting=4)

    def test_busy(self) -> None:
        """
        At the bound the connection is not read; below half of it, it is again.
        """
        events: list[str] = []
        self.peer.onBusy = lambda: events.append("busy")
        self.peer.onRelief = lambda: events.append("relief")
        for _ in range(4):
            self.assertEqual(events, [])
            self.ask(wire.WAIT)
        self.assertEqual(events, ["busy"])
        self.service.waits[0].callback(b"")
        self.assertTrue(self.peer.busy)
        self.service.waits[1].callback(b"")
        self.assertEqual(events, ["busy", "relief"])


class CallTests(PeerTestCase):
    """
    A peer calls the other end: callbacks of a server, calls of a client.
    """

    def call(self, *args: Any, **kw: Any) -> Any:
        return self.peer.call(wire.PROGRAM, 2, 1, wire.NOBODY, *args, **kw)

    def test_call(self) -> None:
        """
        The call is sent, the reply's results come back.
        """
        result = self.call([b"da", memoryview(b"ta")])
        self.assertEqual(self.sent(), [call(1, b"data", 10)])
        self.assertNoResult(result)
        self.peer.recordReceived(success(b"answer", 10))
        buf, pos = self.successResultOf(result)
        self.assertEqual(buf[pos:], b"answer")

    def test_shortReply(self) -> None:
        """
        A reply without results is short; it is understood all the same.
        """
        result = self.call()
        self.peer.recordReceived(success(b"", 10))
        buf, pos = self.successResultOf(result)
        self.assertEqual(buf[pos:], b"")

    def test_byXID(self) -> None:
        """
        Replies may come in any order; unknown ones and second ones are dropped.
        """
        first, second = self.call(), self.call()
        for xid in (11, 11, 500, 10):
            self.peer.recordReceived(success(b"%d" % xid, xid))
        self.assertEqual(self.successResultOf(first)[0][24:], b"10")
        self.assertEqual(self.successResultOf(second)[0][24:], b"11")

    def test_timeout(self) -> None:
        """
        A call that gets no reply fails at its own deadline; a late reply is dropped.
        """
        slow, fast = self.call(timeout=20), self.call(timeout=5)
        self.clock.advance(4.9)
        self.assertNoResult(fast)
        self.clock.advance(0.2)
        self.failureResultOf(fast, CallTimeout)
        self.peer.recordReceived(success(b"", 11))
        self.assertNoResult(slow)
        self.clock.advance(15)
        self.failureResultOf(slow, CallTimeout)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_refused(self) -> None:
        """
        An RPC error is a failed call that says why.
        """
        for record in (wire.accepted(3, 10), denied(1, 5, xid=11)):
            result = self.call()
            self.peer.recordReceived(record)
            self.failureResultOf(result, RPCRefused)

    def test_badReply(self) -> None:
        """
        A reply that does not decode is a failed call, never a crash (defects, #547).
        """
        xid = 10
        for record in (wire.accepted(9, 1), denied(7, 1), success()[:20]):
            result = self.call()
            self.peer.recordReceived(struct.pack(">I", xid) + record[4:])
            self.failureResultOf(result, BadReply)
            xid += 1

    def test_lost(self) -> None:
        """
        Calls without a reply fail with the connection, later ones at once; no timer
        is left.
        """
        closed: list[int] = []
        self.peer.onClose(lambda: closed.append(1))
        result = self.call()
        self.peer.connectionLost()
        self.peer.connectionLost()
        self.failureResultOf(result, ConnectionClosed)
        self.failureResultOf(self.call(), ConnectionClosed)
        self.peer.onClose(lambda: closed.append(2))
        self.assertEqual(closed, [1, 2])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancel(self) -> None:
        """
        A cancelled call is forgotten.
        """
        result = self.call()
        result.cancel()
        self.failureResultOf(result)
        self.peer.recordReceived(success(b"", 10))

    def test_xidWraps(self) -> None:
        """
        xids go around, and one in use is not used twice.
        """
        self.peer._xid = 0xFFFFFFFE
        self.call()
        self.peer._xid = 0xFFFFFFFE
        self.call()
        self.call()
        xids = [struct.unpack(">I", record[:4])[0] for record in self.sent()]
        self.assertEqual(xids, [0xFFFFFFFF, 0, 1])

    def test_close(self) -> None:
        """
        Closing asks the transport to close.
        """
        self.peer.close()
        self.assertEqual(self.disconnected, 1)
