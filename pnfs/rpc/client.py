# -*- test-case-name: tests.rpc.test_client -*-
"""
An RPC client: one connection, made when needed and made again after loss.

A call that was sent when the connection was lost fails with L{ConnectionClosed}:
whether it has been executed only the layer above can find out (NFSv4.1 sessions
make sending it again safe). A call that waits for the connection fails with the
attempt that fails, so that a dead server is noticed in C{connectTimeout}, or at
its own deadline.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from typing import Any, Callable, Coroutine, Optional, Sequence

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHostResolution,
    IReactorTime,
    IResolutionReceiver,
    IWriteDescriptor,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from pnfs.clock import MonotonicClock
from pnfs.rpc.auth import NO_CREDENTIAL
from pnfs.rpc.connection import Connection
from pnfs.rpc.coroutines import Running, drive
from pnfs.rpc.errors import CallTimeout, ConnectionClosed
from pnfs.rpc.hub import Hub, release
from pnfs.rpc.limits import Limits
from pnfs.rpc.message import Buffer
from pnfs.rpc.peer import Peer
from pnfs.rpc.program import Program
from pnfs.rpc.server import tuneSocket
from pnfs.values import Piece

_FIRST_DELAY = 0.1
_LONGEST_DELAY = 5.0
_SHORT_LIFE = 1.0
_MOST_QUEUED = 4096
_RESERVED_PORTS = range(1023, 664, -1)

Reply = tuple[Buffer, int]


@implementer(IWriteDescriptor)
class _Connecting:
    """
    A socket that is being connected.
    """

    def __init__(
        self,
        reactor: Any,
        sock: socket.socket,
        finished: Callable[[Optional[str]], None],
    ) -> None:
        self._reactor = reactor
        self._socket = sock
        self._finished = finished
        self.fileno = sock.fileno

    def logPrefix(self) -> str:
        return "RPC client"

    def doWrite(self) -> None:
        self._end(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def connectionLost(self, reason: Failure) -> None:
        # An error or a hang-up; the socket knows which.
        self._end(
            self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            or errno.ECONNRESET
        )

    def stop(self) -> None:
        """
        Do not wait any longer.
        """
        self._end(errno.ETIMEDOUT)

    def _end(self, code: int) -> None:
        self._reactor.removeWriter(self)
        finished, self._finished = self._finished, _ignore
        finished(os.strerror(code) if code else None)


def _ignore(error: Optional[str]) -> None:
    pass


@implementer(IResolutionReceiver)
class _Resolution:
    """
    Collects the addresses of a name.
    """

    def __init__(self, finished: Callable[[list[str]], None]) -> None:
        self._finished = finished
        self._hosts: list[str] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        pass

    def addressResolved(self, address: IAddress) -> None:
        host = getattr(address, "host", None)
        if isinstance(host, str):
            self._hosts.append(host)

    def resolutionComplete(self) -> None:
        self._finished(self._hosts)


class _Queued(Deferred[Reply]):
    """
    A call that waits for the connection.
    """

    timer: IDelayedCall
    deadline: float
    arguments: tuple[int, int, int, bytes, Sequence[Piece]]


class RPCClient:
    """
    Calls programs of one server, and serves its calls on the same connection.

    @ivar host: numeric address or name.
    @ivar port: TCP port.
    @ivar hub: limits and counters; C{programs} are what the server may call.
    """

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        programs: Sequence[Program] = (),
        connectTimeout: float = 10.0,
        callTimeout: float = 30.0,
        onConnect: Optional[Callable[[Peer], Coroutine[Any, Any, None]]] = None,
        credential: bytes = NO_CREDENTIAL,
        limits: Optional[Limits] = None,
        clock: Optional[IReactorTime] = None,
        reservedPort: bool = False,
    ) -> None:
        """
        @param connectTimeout: seconds for connecting to one address, and for
            C{onConnect}.
        @param callTimeout: seconds for a call that names no other time.
        @param onConnect: a coroutine function run on each new connection before
            any other call goes out; if it raises, the connection is closed and the
            waiting calls fail.
        @param credential: of calls that name no other (L{encodeAuthSys}).
        @param clock: for deadlines; monotonic by default.
        @param reservedPort: call from a port below 1024, which some NFS servers
            demand, if this process may.
        """
        self.host = host
        self.port = port
        self._reactor = reactor
        self._clock = clock or MonotonicClock(reactor)
        self.hub = Hub(programs, self._clock, limits)
        self._connectTimeout = connectTimeout
        self._callTimeout = callTimeout
        self._onConnect = onConnect
        self._credential = credential
        self._reservedPort = reservedPort
        self._connection: Optional[Connection] = None
        self._ready = False
        self._connecting: Optional[_Connecting] = None
        self._setup: Optional[Running[None]] = None
        self._attempting = False
        self._addresses: list[str] = []
        self._queued: deque[_Queued] = deque()
        self._delay = 0.0
        self._notBefore = 0.0
        self._since = 0.0
        self._timer: Optional[IDelayedCall] = None
        self._closed = False

    @property
    def peer(self) -> Optional[Peer]:
        """
        The other end while connected and set up.
        """
        if self._connection is not None and self._ready:
            return self._connection.peer
        return None

    def call(
        self,
        program: int,
        version: int,
        procedure: int,
        pieces: Sequence[Piece] = (),
        credential: Optional[bytes] = None,
        timeout: Optional[float] = None,
    ) -> Deferred[Reply]:
        """
        Call a procedure of the server, connecting first if need be.

        @param pieces: the encoded arguments; views must stay unchanged until the
            reply.
        @param credential: credential and verifier as on the wire.
        @param timeout: seconds, connecting included.
        @return: fires with the reply's record, which belongs to the caller, and the
            position of the results in it.
        @raise CallTimeout: (asynchronously) @raise ConnectionClosed: @raise RPCRefused:
        @raise BadReply:
        """
        if credential is None:
            credential = self._credential
        if timeout is None:
            timeout = self._callTimeout
        connection = self._connection
        if connection is not None and self._ready:
            return connection.peer.call(
                program, version, procedure, credential, pieces, timeout
            )
        queued = _Queued(self._forget)
        if self._closed or len(self._queued) >= _MOST_QUEUED:
            release(pieces)
            reason = "the client is closed" if self._closed else "too many calls wait"
            queued.errback(ConnectionClosed(reason))
            return queued
        queued.arguments = (program, version, procedure, credential, pieces)
        queued.deadline = self._clock.seconds() + timeout
        queued.timer = self._clock.callLater(timeout, self._tooLate, queued)
        self._queued.append(queued)
        self._connect()
        return queued

    def _forget(self, cancelled: Deferred[Reply]) -> None:
        assert isinstance(cancelled, _Queued)
        if cancelled in self._queued:
            self._queued.remove(cancelled)
            cancelled.timer.cancel()
            release(cancelled.arguments[4])

    def _tooLate(self, queued: _Queued) -> None:
        self._queued.remove(queued)
        release(queued.arguments[4])
        queued.errback(CallTimeout("not connected in time"))

    def disconnect(self) -> None:
        """
        Drop the connection: calls under way fail. The next call connects again.
        """
        if self._connection is not None:
            self._connection.drop(ConnectionDone())

    # -- connecting ----------------------------------------------------------------

    def _connect(self) -> None:
        """
        Begin an attempt, now or when the back-off allows it.
        """
        if self._attempting or self._timer is not None or self._closed:
            return
        wait = self._notBefore - self._clock.seconds()
        if wait > 0:
            self._timer = self._clock.callLater(wait, self._waited)
        else:
            self._attempt()

    def _waited(self) -> None:
        self._timer = None
        if self._queued:
            self._attempt()

    def _attempt(self) -> None:
        self._attempting = True
        if isIPAddress(self.host) or isIPv6Address(self.host):
            self._resolved([self.host])
        else:
            self._reactor.nameResolver.resolveHostName(
                _Resolution(self._resolved), self.host, self.port
            )

    def _resolved(self, hosts: list[str]) -> None:
        if self._closed:
            return
        self._addresses = hosts
        self._tryNext(f"the name {self.host} has no address")

    def _tryNext(self, error: str) -> None:
        if not self._addresses:
            self._attemptFailed(error)
            return
        host = self._addresses.pop(0)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            tuneSocket(sock)
            if self._reservedPort:
                _bindReserved(sock)
            code = sock.connect_ex((host, self.port))
        except OSError as problem:
            code = problem.errno or errno.EINVAL
        if code not in (0, errno.EINPROGRESS):
            sock.close()
            self._tryNext(f"{host}: {os.strerror(code)}")
            return

        def finished(error: Optional[str]) -> None:
            if timer.active():
                timer.cancel()
            self._connecting = None
            if error is None and not self._closed:
                self._connected(sock, host)
            else:
                sock.close()
                if not self._closed:
                    self._tryNext(f"{host}: {error}")

        connecting = _Connecting(self._reactor, sock, finished)
        self._connecting = connecting
        timer = self._clock.callLater(self._connectTimeout, connecting.stop)
        self._reactor.addWriter(connecting)

    def _connected(self, sock: socket.socket, host: str) -> None:
        self._established(
            Connection(self._reactor, sock, self.hub, _ended, (host, self.port))
        )

    def _established(self, connection: Connection) -> None:
        """
        There is a connection: set it up.
        """
        connection.peer.onClose(lambda: self._lost(connection))
        self._connection = connection
        connection.start()
        if self._onConnect is None:
            self._setUp()
            return
        timer = self._clock.callLater(
            self._connectTimeout, connection.drop, ConnectionDone()
        )
        connection.peer.onClose(lambda: timer.cancel() if timer.active() else None)

        def setUp(result: None) -> None:
            if timer.active():
                timer.cancel()
            self._setup = None
            if self._connection is connection:
                self._setUp()

        def failed(error: Exception) -> None:
            self._setup = None
            if self._connection is connection:
                self._connection = None
                connection.drop(ConnectionDone())
                self._attemptFailed(f"setting up the connection: {error}")

        self._setup = drive(self._onConnect(connection.peer), setUp, failed)

    def _setUp(self) -> None:
        """
        The connection is ready: send what waits for it.
        """
        self._attempting = False
        self._ready = True
        self._since = now = self._clock.seconds()
        queued, self._queued = self._queued, deque()
        for call in queued:
            call.timer.cancel()
            program, version, procedure, credential, pieces = call.arguments
            self.call(
                program, version, procedure, pieces, credential, call.deadline - now
            ).chainDeferred(call)

    def _attemptFailed(self, error: str) -> None:
        self._attempting = False
        self._backOff()
        self._failQueued(error)

    def _failQueued(self, error: str) -> None:
        queued, self._queued = self._queued, deque()
        for call in queued:
            call.timer.cancel()
            release(call.arguments[4])
            call.errback(ConnectionClosed(error))

    def _backOff(self) -> None:
        self._delay = min(max(_FIRST_DELAY, self._delay * 2), _LONGEST_DELAY)
        self._notBefore = self._clock.seconds() + self._delay

    def _lost(self, connection: Connection) -> None:
        if self._connection is not connection:
            return
        self._connection = None
        if not self._ready:
            if self._setup is not None:
                self._setup.cancel()
            self._attemptFailed("the connection was lost while being set up")
        elif self._clock.seconds() - self._since < _SHORT_LIFE:
            # A server that accepts and hangs up must not keep us busy.
            self._backOff()
        else:
            self._delay = 0.0
        self._ready = False

    # -- the end -------------------------------------------------------------------

    def close(self) -> Deferred[None]:
        """
        Close the connection, after sending what has been given to it. Calls without
        a reply fail with L{ConnectionClosed}; so do all later ones.

        @return: fires when it is closed.
        """
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._connecting is not None:
            self._connecting.stop()
        connection = self._connection
        self._failQueued("the client is closed")
        if connection is None:
            return succeed(None)
        done: Deferred[None] = Deferred()
        connection.peer.onClose(lambda: done.callback(None))
        connection.close()
        return done


def _ended(connection: Connection) -> None:
    # Its peer has told us already.
    pass


def _bindReserved(sock: socket.socket) -> None:
    """
    Take a free port below 1024, if allowed.
    """
    host = "::" if sock.family == socket.AF_INET6 else "0.0.0.0"
    for port in _RESERVED_PORTS:
        try:
            sock.bind((host, port))
        except PermissionError:
            return
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return
