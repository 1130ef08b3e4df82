"""
A client and a server on loopback, in one reactor turned by hand.
"""

from __future__ import annotations

import os
from typing import Any, Optional

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pnfs.rpc.auth import encodeAuthSys
from pnfs.rpc.client import RPCClient
from pnfs.rpc.errors import CallTimeout, ConnectionClosed, RPCRefused
from pnfs.rpc.peer import Peer
from pnfs.rpc.server import RPCServer
from tests.rpc import wire
from tests.rpc.handreactor import HandReactor
from tests.rpc.wire import PROGRAM, Service


class ClientTests(SynchronousTestCase):
    """
    L{RPCClient} connects, calls, loses and connects again.
    """

    def setUp(self) -> None:
        self.reactor = HandReactor()
        self.service = Service()
        self.peers: list[Peer] = []
        self.server: Optional[RPCServer] = None
        self.number = 0
        self.startServer()
        self.clients: list[RPCClient] = []
        self.client = self.makeClient(credential=encodeAuthSys(5, 6))

    def startServer(self) -> None:
        self.server = RPCServer(
            self.reactor,
            [self.service.program],
            clock=self.reactor,
            onConnect=self.peers.append,
        )
        self.number = self.server.listenTCP("127.0.0.1", self.number).getHost().port

    def stopServer(self) -> None:
        if self.server is not None:
            drained = self.server.drain(0)
            self.reactor.advance(0)
            self.successResultOf(drained)
            self.server = None

    def makeClient(self, **kw: Any) -> RPCClient:
        client = RPCClient(
            self.reactor, "127.0.0.1", self.number, clock=self.reactor, **kw
        )
        self.clients.append(client)
        return client

    def tearDown(self) -> None:
        closed = [client.close() for client in self.clients]
        self.reactor.settle()
        for each in closed:
            self.successResultOf(each)
        self.stopServer()
        self.reactor.settle()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.reactor.readers | self.reactor.writers, set())

    def call(self, procedure: int, *pieces: Any, **kw: Any) -> Any:
        return self.client.call(PROGRAM, wire.VERSION, procedure, pieces, **kw)

    def finish(self, result: Deferred[Any]) -> None:
        self.reactor.until(lambda: result.called)

    def results(self, result: Deferred[Any]) -> bytes:
        """
        Turn the reactor until the results are there.
        """
        self.finish(result)
        buf, pos = self.successResultOf(result)
        return bytes(buf[pos:])

    def test_call(self) -> None:
        """
        The first call connects; further ones use the connection; calls made
        meanwhile wait for it. The server learns who calls.
        """
        calls = [self.call(wire.ECHO, b"%d" % n) for n in range(5)]
        self.assertEqual(
            [self.results(each) for each in calls], [b"0", b"1", b"2", b"3", b"4"]
        )
        self.assertEqual(self.results(self.call(wire.ECHO, b"x")), b"x")
        self.assertEqual(len(self.peers), 1)
        self.assertEqual(self.service.calls[0].credential.uid, 5)

    def test_large(self) -> None:
        """
        Large arguments go out from where they lie, large results come in a buffer of
        the caller's own.
        """
        data = os.urandom(1_000_000)
        first = self.call(wire.ECHO, memoryview(data))
        second = self.call(wire.ECHO, b"abcd", memoryview(data))
        self.assertEqual(self.results(first), data)
        self.assertEqual(self.results(second), b"abcd" + data)

    def test_refused(self) -> None:
        """
        An RPC error is a failed call; the connection stays.
        """
        result = self.call(77)
        self.finish(result)
        self.failureResultOf(result, RPCRefused)
        self.assertEqual(self.results(self.call(wire.NULL)), b"")
        self.assertEqual(len(self.peers), 1)

    def test_timeout(self) -> None:
        """
        A server that does not answer fails the call at its deadline.
        """
        self.results(self.call(wire.NULL))
        result = self.call(wire.WAIT, timeout=5)
        self.reactor.settle()
        self.reactor.advance(5)
        self.failureResultOf(result, CallTimeout)
        self.service.waits[0].callback(b"late")
        self.assertEqual(self.results(self.call(wire.ECHO, b"x")), b"x")

    def test_lost(self) -> None:
        """
        Calls without a reply fail when the connection is lost; the next one makes
        another connection.
        """
        result = self.call(wire.WAIT)
        self.reactor.until(lambda: self.service.waits)
        self.peers[0].close()
        self.finish(result)
        self.failureResultOf(result, ConnectionClosed)
        again = self.call(wire.ECHO, b"x")
        self.reactor.advance(0.2)
        self.assertEqual(self.results(again), b"x")
        self.assertEqual(len(self.peers), 2)

    def test_resentAtOnce(self) -> None:
        """
        Whoever calls again as soon as the failure is known gets a new connection; a
        server that keeps hanging up is not called in a tight loop.
        """
        again: list[Any] = []

        def resend(reason: object) -> None:
            again.append(self.call(wire.ECHO, b"x"))

        self.call(wire.WAIT).addErrback(resend)
        self.reactor.until(lambda: self.service.waits)
        self.peers[0].close()
        self.reactor.settle()
        self.assertNoResult(again[0])
        self.reactor.advance(0.2)
        self.assertEqual(self.results(again[0]), b"x")

    def test_noServer(self) -> None:
        """
        A server that is not there fails the calls at once; attempts are made less
        and less often, and succeed when it is back.
        """
        self.stopServer()
        failed = self.call(wire.NULL)
        self.finish(failed)
        self.failureResultOf(failed, ConnectionClosed)
        for delay in (0.1, 0.2, 0.4):
            failed = self.call(wire.NULL)
            self.reactor.settle()
            self.reactor.advance(delay * 0.9)
            self.reactor.settle()
            self.assertNoResult(failed)
            self.reactor.advance(delay * 0.2)
            self.finish(failed)
            self.failureResultOf(failed, ConnectionClosed)
        self.startServer()
        good = self.call(wire.NULL)
        self.reactor.advance(1)
        self.assertEqual(self.results(good), b"")

    def test_deadlineWhileWaiting(self) -> None:
        """
        A call's deadline counts while the connection is being made.
        """
        self.client = self.makeClient(onConnect=self.hang)
        result = self.call(wire.NULL, timeout=3)
        self.reactor.settle()
        self.reactor.advance(3)
        self.failureResultOf(result, CallTimeout)

    async def hang(self, peer: Peer) -> None:
        await peer.call(PROGRAM, wire.VERSION, wire.WAIT)

    def test_setUp(self) -> None:
        """
        The set-up of a connection goes before any call, on every new connection.
        """
        seen: list[bytes] = []

        async def setUp(peer: Peer) -> None:
            buf, pos = await peer.call(
                PROGRAM, wire.VERSION, wire.ECHO, wire.NOBODY, [b"session"]
            )
            seen.append(bytes(buf[pos:]))

        self.client = self.makeClient(onConnect=setUp)
        for number in range(2):
            result = self.call(wire.ECHO, b"x")
            self.reactor.advance(0.2)
            self.assertIs(self.client.peer, None)
            self.assertEqual(self.results(result), b"x")
            self.assertEqual(seen, [b"session"] * (number + 1))
            self.peers[-1].close()
            self.reactor.settle()

    def test_setUpFails(self) -> None:
        """
        If the set-up fails so do the waiting calls, and the connection is closed.
        """

        async def setUp(peer: Peer) -> None:
            await peer.call(PROGRAM, wire.VERSION, 77)

        self.client = self.makeClient(onConnect=setUp)
        result = self.call(wire.NULL)
        self.finish(result)
        self.failureResultOf(result, ConnectionClosed)
        self.reactor.settle()
        self.assertTrue(self.peers[0].closed)

    def test_setUpHangs(self) -> None:
        """
        A set-up that does not end in time fails likewise.
        """
        self.client = self.makeClient(onConnect=self.hang, connectTimeout=4)
        result = self.call(wire.NULL)
        self.reactor.until(lambda: self.service.waits)
        self.reactor.advance(4)
        self.failureResultOf(result, ConnectionClosed)

    def test_callback(self) -> None:
        """
        The server calls back on the same connection.
        """
        callbacks = Service()
        self.client = self.makeClient(programs=[callbacks.program])
        self.results(self.call(wire.NULL))
        result = self.peers[0].call(
            PROGRAM, wire.VERSION, wire.ECHO, wire.NOBODY, [b"recall"]
        )
        self.assertEqual(self.results(result), b"recall")
        self.assertEqual(len(callbacks.calls), 1)

    def test_name(self) -> None:
        """
        A name is resolved; all its addresses are tried.
        """
        reactor: Any = self.reactor
        reactor.nameResolver = Resolver(["127.0.0.2", "127.0.0.1"])
        self.client = self.makeClient()
        self.client.host = "server.example"
        self.assertEqual(self.results(self.call(wire.ECHO, b"x")), b"x")
        reactor.nameResolver = Resolver([])
        self.client = self.makeClient()
        self.client.host = "nowhere.example"
        self.failureResultOf(self.call(wire.NULL), ConnectionClosed)

    def test_close(self) -> None:
        """
        Closing fails what waits and all later calls.
        """
        sent = self.call(wire.WAIT)
        self.reactor.until(lambda: self.service.waits)
        self.successResultOf(self.client.close())
        self.failureResultOf(sent, ConnectionClosed)
        self.failureResultOf(self.call(wire.NULL), ConnectionClosed)

    def test_closeWhileConnecting(self) -> None:
        """
        So it does while the connection is being made.
        """
        waiting = self.call(wire.NULL)
        self.successResultOf(self.client.close())
        self.failureResultOf(waiting, ConnectionClosed)

    def test_cancelQueued(self) -> None:
        """
        A call that waits for the connection can be cancelled.
        """
        waiting = self.call(wire.WAIT)
        waiting.cancel()
        self.failureResultOf(waiting)
        self.reactor.settle()
        self.assertEqual(self.service.calls, [])


class Resolver:
    """
    Knows the addresses of every name.
    """

    def __init__(self, hosts: list[str]) -> None:
        self.hosts = hosts

    def resolveHostName(self, receiver: Any, name: str, port: int) -> None:
        from twisted.internet.address import IPv4Address

        receiver.resolutionBegan(None)
        for host in self.hosts:
            receiver.addressResolved(IPv4Address("TCP", host, port))
        receiver.resolutionComplete()
