# -*- test-case-name: tests.rpc.test_server -*-
"""
An RPC server on TCP.
"""

from __future__ import annotations

import errno
import socket
from typing import Any, Callable, Optional, Sequence, Union

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.interfaces import (
    IDelayedCall,
    IListeningPort,
    IReactorTime,
    IReadDescriptor,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from pnfs.clock import MonotonicClock
from pnfs.rpc.connection import Connection
from pnfs.rpc.hub import Hub, nothing
from pnfs.rpc.limits import Counters, Limits
from pnfs.rpc.peer import Peer
from pnfs.rpc.program import Program
from pnfs.rpc.protocol import RPCFactory

_log = Logger()

_BACKLOG = 1024
_ACCEPTS_PER_TURN = 32
_RETRY_SECONDS = 1.0
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def tuneSocket(sock: socket.socket) -> None:
    """
    What every RPC connection wants: no delay, no blocking, and notice of a peer
    that has vanished.
    """
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 6)


@implementer(IReadDescriptor, IListeningPort)
class Port:
    """
    A listening socket.
    """

    def __init__(
        self,
        reactor: Any,
        sock: socket.socket,
        accepted: Callable[[socket.socket, Any], bool],
    ) -> None:
        """
        @param accepted: called with each new socket and its address; says whether
            another one is welcome. If not, call L{resume} when it is.
        """
        self._reactor = reactor
        self._socket = sock
        self._accepted = accepted
        self._retry: Optional[IDelayedCall] = None
        self._closed = False
        self.fileno = sock.fileno
        name = sock.getsockname()
        self._host: Union[IPv4Address, IPv6Address]
        if sock.family == socket.AF_INET6:
            self._host = IPv6Address("TCP", name[0], name[1])
        else:
            self._host = IPv4Address("TCP", name[0], name[1])

    def logPrefix(self) -> str:
        """
        As C{ILoggingContext.logPrefix}.
        """
        return "RPC port"

    def startListening(self) -> None:
        """
        As C{IListeningPort.startListening}.
        """
        self._reactor.addReader(self)

    def doRead(self) -> None:
        """
        Accept some connections.
        """
        for _ in range(_ACCEPTS_PER_TURN):
            if self._closed:
                return
            try:
                sock, address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    # The connection stays in the kernel's queue and the port
                    # readable: look away for a while.
                    _log.error("cannot accept: {error}", error=str(error))
                    self._reactor.removeReader(self)
                    self._retry = self._reactor.callLater(_RETRY_SECONDS, self.resume)
                return
            try:
                welcome = self._accepted(sock, address)
            except OSError:
                # Gone again before its options could be set.
                sock.close()
                continue
            if not welcome:
                self._reactor.removeReader(self)
                return

    def resume(self) -> None:
        """
        Accept again.
        """
        if self._retry is not None and self._retry.active():
            self._retry.cancel()
        self._retry = None
        if not self._closed:
            self._reactor.addReader(self)

    def getHost(self) -> Union[IPv4Address, IPv6Address]:
        """
        The address it listens at.
        """
        return self._host

    def stopListening(self) -> Deferred[None]:
        """
        As C{IListeningPort.stopListening}; connections go on.
        """
        if not self._closed:
            self._reactor.removeReader(self)
            self.connectionLost(None)
        return succeed(None)

    def connectionLost(self, reason: Optional[Failure]) -> None:
        """
        As C{IReadDescriptor.connectionLost}.
        """
        if self._closed:
            return
        self._closed = True
        if self._retry is not None and self._retry.active():
            self._retry.cancel()
        self._retry = None
        self._socket.close()


class RPCServer:
    """
    Serves programs at any number of ports.

    @ivar hub: what its connections share; its C{counters} are for the metrics.
    """

    def __init__(
        self,
        reactor: Any,
        programs: Sequence[Program],
        limits: Optional[Limits] = None,
        clock: Optional[IReactorTime] = None,
        onConnect: Optional[Callable[[Peer], None]] = None,
    ) -> None:
        """
        @param reactor: the reactor; provides L{IReactorFDSet} and C{IReactorTime}.
        @param clock: for deadlines of calls to the clients; monotonic by default.
        @param onConnect: called with the L{Peer} of each new connection.
        """
        self._reactor = reactor
        self.hub = Hub(programs, clock or MonotonicClock(reactor), limits)
        self._onConnect = onConnect
        self._ports: list[Port] = []
        self._connections: set[Connection] = set()
        self._full = False
        self._drained: Optional[Deferred[None]] = None
        self._drainTimer: Optional[IDelayedCall] = None

    @property
    def counters(self) -> Counters:
        """
        Facts for the metrics.
        """
        return self.hub.counters

    @property
    def peers(self) -> list[Peer]:
        """
        The other ends of the connections of its TCP ports.
        """
        return [connection.peer for connection in self._connections]

    def factory(self) -> RPCFactory:
        """
        For endpoints other than plain TCP: the same programs, limits, counters.
        Stop such a port yourself before L{drain}.
        """
        return RPCFactory(self.hub, self._onConnect)

    def listenTCP(self, host: str, port: int) -> Port:
        """
        Listen.

        @param host: a numeric address; C{""} is every IPv4 address, C{"::"} every
            address.
        @param port: 0 for any.
        @raise CannotListenError: the address cannot be had.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            sock.listen(_BACKLOG)
        except OSError as error:
            sock.close()
            raise CannotListenError(  # type: ignore[no-untyped-call]
                host, port, error
            ) from None
        listening = Port(self._reactor, sock, self._acceptedSocket)
        self._ports.append(listening)
        listening.startListening()
        return listening

    def _acceptedSocket(self, sock: socket.socket, address: Any) -> bool:
        tuneSocket(sock)
        host = str(address[0])
        if host.startswith("::ffff:") and "." in host:
            host = host[7:]
        connection = Connection(
            self._reactor, sock, self.hub, self._lost, (host, address[1])
        )
        self._connections.add(connection)
        connection.peer.onReply = connection.acknowledge
        connection.start()
        if self._onConnect is not None:
            try:
                self._onConnect(connection.peer)
            except Exception:
                # Must not end the port.
                _log.failure("the hook for new connections failed")
                connection.drop(ConnectionDone())
        if len(self._connections) < self.hub.limits.connections:
            return True
        if not self._full:
            self._full = True
            _log.warn(
                "{count} connections: no more are accepted until one ends",
                count=len(self._connections),
            )
        return False

    def _lost(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if self._full and self._drained is None:
            self._full = False
            for port in self._ports:
                port.resume()
        self._drainStep()

    # -- the end -----------------------------------------------------------------

    def drain(self, timeout: float) -> Deferred[None]:
        """
        Stop: accept nothing more, finish what is being served, close.

        @param timeout: seconds after which the rest is cancelled and cut off.
        @return: fires when nothing is left.
        """
        done: Deferred[None] = Deferred()
        if self._drained is not None:
            self._drained.addCallback(lambda _: done.callback(None))
            return done
        self._drained = done
        for port in self._ports:
            port.stopListening()
        self.hub.finished = self._callFinished
        self._drainTimer = self._reactor.callLater(timeout, self._cutOff)
        for connection in list(self._connections):
            connection.drain()
        self._drainStep()
        return done

    def _callFinished(self) -> None:
        for connection in list(self._connections):
            connection.closeIfIdle()
        self._drainStep()

    def _drainStep(self) -> None:
        if self._drained is None or self._connections or self.hub.running:
            return
        timer, self._drainTimer = self._drainTimer, None
        if timer is None:
            return
        if timer.active():
            timer.cancel()
        self.hub.finished = nothing
        self._drained.callback(None)

    def _cutOff(self) -> None:
        self.hub.cancel()
        for connection in list(self._connections):
            connection.drop(ConnectionDone())
        # What swallows its cancellation is left behind.
        self.hub.running.clear()
        self._drainStep()
