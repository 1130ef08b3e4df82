"""
Tests of L{pnfs.nfs4.client}: COMPOUNDs are executed exactly once, whatever happens
to connections and servers.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import Any, Optional, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import Unreachable
from pnfs.nfs4 import requests
from pnfs.nfs4.client import SessionClient
from pnfs.nfs4.slots import SessionLost
from pnfs.nfs4.operation import operation
from pnfs.nfs4.results import OperationFailed, Results
from pnfs.nfs4.status import nfsstat4
from pnfs.rpc.errors import CallTimeout, ConnectionClosed
from pnfs.rpc.program import Call
from pnfs.state.sessions import SessionLimits
from tests.nfs4.fixture import Fixture, serve

_u32 = struct.Struct(">I").pack


class Line:
    """
    In the place of an RPC client: calls a L{Fixture}'s server.

    @ivar lose: how to treat the next calls: C{""} as usual, C{"call"} the server does
        not see it, C{"reply"} we do not see the answer, C{"silence"} nothing comes.
    """

    def __init__(self, fixture: Fixture) -> None:
        self.fixture = fixture
        self.lose: deque[str] = deque()
        self.sent: list[bytes] = []
        self.closed = False
        self.pending: list[Deferred[Any]] = []
        self.refuse = False

    def call(
        self,
        program: int,
        version: int,
        procedure: int,
        pieces: Sequence[Any],
        credential: bytes,
        timeout: float,
    ) -> Deferred[Any]:
        """
        As L{pnfs.rpc.client.RPCClient.call}.
        """
        result: Deferred[Any] = Deferred()
        how = self.lose.popleft() if self.lose else ""
        if how == "call" or self.refuse:
            result.errback(ConnectionClosed("lost"))
            return result
        wire = b"".join(pieces)
        self.sent.append(wire)
        fixture = self.fixture
        call = Call(1, fixture.credential, fixture.connection, len(wire) + 40)

        def finished(answer: list[Any]) -> None:
            if how == "reply":
                result.errback(ConnectionClosed("lost"))
            elif how == "silence":
                result.errback(CallTimeout("silence"))
            else:
                result.callback((b"".join(bytes(piece) for piece in answer), 0))

        serve(fixture.compounds, call, wire, finished, result.errback)
        return result

    def close(self) -> None:
        """
        As L{pnfs.rpc.client.RPCClient.close}.
        """
        self.closed = True


class SessionClientTests(SynchronousTestCase):
    """
    A client of a server with operations that count.
    """

    def setUp(self) -> None:
        """
        A server with one operation, number 5, which counts.
        """
        self.count = 0
        self.held: Optional[Deferred[None]] = None

        @operation(5, "COUNT")
        async def count(ctx: Any) -> None:
            if self.held is not None:
                held, self.held = self.held, None
                await held
            self.count += 1

        self.operation = count
        self.fixture = Fixture(
            None, count, limits=SessionLimits(maxSlots=2), leaseSeconds=90.0
        )
        self.clock: Clock = self.fixture.clock
        self.line = Line(self.fixture)
        self.client = self.make()

    def make(self, **more: Any) -> SessionClient:
        """
        A client that gives up after 20 seconds.
        """
        return SessionClient(
            self.line, self.clock, b"owner", b"verifier", bytes(16), deadline=20, **more
        )

    def begin(self, cache: bool = False, **more: Any) -> Deferred[Results]:
        """
        Send one COUNT.
        """
        return Deferred.fromCoroutine(
            self.client.compound([_u32(5)], 1, cache=cache, **more)
        )

    def do(self, **more: Any) -> None:
        """
        COUNT successfully, at once.
        """
        self.successResultOf(self.begin(**more)).operation(5)

    def restart(self) -> None:
        """
        The server forgets all its clients.
        """
        self.fixture = Fixture(
            None,
            self.operation,
            store=self.fixture.store,
            limits=SessionLimits(maxSlots=2),
            seed=b"again",
        )
        self.fixture.clock = self.clock
        self.line.fixture = self.fixture

    def test_session(self) -> None:
        """
        The first COMPOUND makes the session, later ones use it.
        """
        told: list[str] = []
        self.client.onNewClientid = lambda: told.append("new")
        self.do()
        self.do()
        self.assertEqual(self.count, 2)
        self.assertEqual(told, ["new"])
        self.assertEqual(self.client.serverOwner, b"server-owner")
        self.assertEqual(len(self.client.sessionid), 16)
        self.assertEqual(len(self.line.sent), 3 + 2)

    def test_limits(self) -> None:
        """
        The sizes that the server grants are those that are used.
        """
        self.do()
        limit = SessionLimits()
        self.assertLessEqual(
            self.client.ioBytes, min(limit.maxRequest, limit.maxResponse)
        )
        self.assertGreater(self.client.ioBytes, 1 << 19)

    def test_replyLost(self) -> None:
        """
        A COMPOUND whose answer was lost is not executed twice if it was cached.
        """
        self.do()
        self.line.lose.append("reply")
        done = self.begin(cache=True)
        self.clock.pump([0.1] * 5)
        self.successResultOf(done).operation(5)
        self.assertEqual(self.count, 2)

    def test_reclaimCompleteAnswerLost(self) -> None:
        """
        If the answer to RECLAIM_COMPLETE is lost, the server gives it again, and
        there is a session.
        """
        self.line.lose.extend(["", "", "reply"])
        done = self.begin()
        self.clock.pump([0.1] * 5)
        self.successResultOf(done).operation(5)
        self.assertEqual(self.count, 1)

    def test_replyLostUncached(self) -> None:
        """
        One that need not be cached is simply executed again.
        """
        self.do()
        self.line.lose.append("reply")
        done = self.begin()
        self.clock.pump([0.1] * 5)
        self.successResultOf(done).operation(5)
        self.assertEqual(self.count, 3)

    def test_callLost(self) -> None:
        """
        A COMPOUND that did not arrive is sent again.
        """
        self.do()
        self.line.lose.append("call")
        done = self.begin()
        self.clock.pump([0.1] * 5)
        self.successResultOf(done).operation(5)
        self.assertEqual(self.count, 2)

    def test_abandoned(self) -> None:
        """
        The slot of a COMPOUND that was given up is put right before it is used
        again: its late answer is never taken for that of another.
        """
        self.do()
        for how in ("call", "reply"):
            before = self.count
            self.line.lose.extend([how] + ["call"] * 1000)
            done = self.begin(cache=True)
            self.clock.pump([0.1] * 210)
            self.failureResultOf(done, Unreachable)
            self.line.lose.clear()
            for _ in range(4):
                self.do(cache=True)
            self.assertEqual(self.count, before + 4 + (how == "reply"))

    def test_slow(self) -> None:
        """
        A COMPOUND that takes long is waited for.
        """
        self.do()
        self.held = held = Deferred()
        done = self.begin(cache=True)
        self.assertNoResult(done)
        held.callback(None)
        self.successResultOf(done).operation(5)
        self.assertEqual(self.count, 2)

    def test_slots(self) -> None:
        """
        More COMPOUNDs than slots wait for their turn.
        """
        self.do()
        holds = []
        begun = []
        for _ in range(2):
            self.held = Deferred()
            holds.append(self.held)
            begun.append(self.begin())
        waiting = [self.begin() for _ in range(3)]
        waiting[0].cancel()
        self.failureResultOf(waiting[0])
        self.assertEqual(self.count, 1)
        holds[0].callback(None)
        for each in [begun[0], *waiting[1:]]:
            self.successResultOf(each).operation(5)
        self.assertNoResult(begun[1])
        holds[1].callback(None)
        self.successResultOf(begun[1])
        self.assertEqual(self.count, 5)

    def test_serverRestart(self) -> None:
        """
        After a restart of the server there is a new client ID and a new session,
        and the owner of the client is told.
        """
        self.do()
        told: list[str] = []
        self.client.onNewClientid = lambda: told.append("new")
        before = self.client.clientid
        self.restart()
        self.do()
        self.assertNotEqual(self.client.clientid, before)
        self.assertEqual(told, ["new"])
        self.assertEqual(self.count, 2)

    def test_notAgain(self) -> None:
        """
        What must not be repeated in another session fails.
        """
        self.do()
        self.restart()
        self.failureResultOf(self.begin(again=False), SessionLost)
        self.assertEqual(self.count, 1)

    def test_reclaimCompleteLost(self) -> None:
        """
        If the new client ID's RECLAIM_COMPLETE was cut short it is said again:
        else the server would let nobody open anything.
        """
        self.line.lose.extend(["", "", *["call"] * 1000])
        done = self.begin()
        self.clock.pump([0.1] * 210)
        self.failureResultOf(done, Unreachable)
        self.line.lose.clear()
        self.do()
        (client,) = self.fixture.server.clients
        self.assertTrue(client.reclaimComplete)

    def test_unreachable(self) -> None:
        """
        A server that is not there is given up at the deadline; a shorter one can
        be given.
        """
        self.line.refuse = True
        done = self.begin()
        quick = Deferred.fromCoroutine(self.make().connect(2.0))
        self.clock.pump([0.1] * 25)
        self.failureResultOf(quick, Unreachable)
        self.assertNoResult(done)
        self.clock.pump([0.1] * 200)
        self.failureResultOf(done, Unreachable)

    def test_refused(self) -> None:
        """
        An operation's error is not the session's.
        """
        results = self.successResultOf(
            Deferred.fromCoroutine(self.client.compound([_u32(4711)], 1))
        )
        error = self.assertRaises(OperationFailed, results.operation, 4711)
        self.assertEqual(error.status, nfsstat4.NFS4ERR_OP_ILLEGAL)
        self.do()

    def test_keepAlive(self) -> None:
        """
        An idle client keeps its lease, also over a restart; after C{close} nothing
        is left.
        """
        self.do()
        self.client.keepAlive(30.0)
        before = len(self.line.sent)
        self.clock.pump([10.0] * 10)
        self.assertEqual(len(self.line.sent) - before, 3)
        self.successResultOf(Deferred.fromCoroutine(self.client.close()))
        self.assertTrue(self.line.closed)
        self.assertEqual(list(self.fixture.server.clients), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.failureResultOf(self.begin(), Unreachable)

    def test_statusFlags(self) -> None:
        """
        What SEQUENCE tells besides is passed on.
        """
        told: list[int] = []
        self.client.onStatusFlags = told.append
        self.do()
        self.assertEqual(told, [])
        (client,) = self.fixture.server.clients
        client.revoked = 1
        self.do()
        self.assertEqual(len(told), 1)

    def test_limitSlots(self) -> None:
        """
        After CB_RECALL_SLOT only the slots below are used.
        """
        self.do()
        self.client.limitSlots(0)
        self.held = held = Deferred()
        first = self.begin()
        second = self.begin()
        self.assertEqual(self.count, 1)
        held.callback(None)
        self.successResultOf(first)
        self.successResultOf(second)
        self.client.limitSlots(7)
        self.do()
        self.assertEqual(self.count, 4)

    def test_bindConnection(self) -> None:
        """
        A new connection is bound to the session if there is to be a back channel,
        else left alone.
        """
        called: list[bytes] = []

        class Peer:
            def call(self, *args: Any) -> Any:
                called.append(b"".join(args[4]))
                done: Deferred[Any] = Deferred()
                done.callback((b"", 0))
                return done

        def bind(client: SessionClient) -> None:
            self.successResultOf(Deferred.fromCoroutine(client.bindConnection(Peer())))

        bind(self.client)
        self.do()
        bind(self.client)
        self.assertEqual(called, [])
        self.client = self.make(callbackProgram=0x40000000)
        bind(self.client)
        self.assertEqual(called, [])
        self.do()
        bind(self.client)
        self.assertEqual(len(called), 1)
        self.assertIn(requests.bindConnToSession(self.client.sessionid, 3), called[0])
