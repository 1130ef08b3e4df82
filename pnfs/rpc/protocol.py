# -*- test-case-name: tests.rpc.test_protocol -*-
"""
RPC over any Twisted transport: TLS, UNIX sockets, memory.

The same parser and the same L{Peer} as L{pnfs.rpc.connection}, which is faster on
plain TCP.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Optional, Sequence

from twisted.internet.interfaces import IAddress, IPushProducer, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from pnfs.rpc.errors import RecordError
from pnfs.rpc.hub import Hub
from pnfs.rpc.limits import Limits
from pnfs.rpc.message import Buffer
from pnfs.rpc.peer import Peer
from pnfs.rpc.program import Program
from pnfs.rpc.record import RecordParser
from pnfs.values import FileSlice, Piece

_log = Logger()


def readSlice(piece: FileSlice) -> bytes:
    """
    The bytes of a slice, with zeros where the file has become shorter. Releases it.
    """
    parts: list[bytes] = []
    done = 0
    try:
        while done < piece.count:
            data = os.pread(piece.fd, piece.count - done, piece.offset + done)
            if not data:
                data = bytes(piece.count - done)
            parts.append(data)
            done += len(data)
    finally:
        piece.release()
    return parts[0] if len(parts) == 1 else b"".join(parts)


@implementer(IPushProducer)
class RPCProtocol(Protocol):
    """
    Feeds a L{Peer} from a transport and writes what it sends.

    Not read while the transport's buffer is full or too many calls wait.

    @ivar peer: set when connected.
    """

    peer: Peer

    def __init__(
        self, hub: Hub, onConnect: Optional[Callable[[Peer], None]] = None
    ) -> None:
        """
        @param onConnect: called with the peer of the new connection.
        """
        self._hub = hub
        self._onConnect = onConnect
        limits = hub.limits
        self._parser = RecordParser(
            limits.recordBytes, limits.fragments, hub.pool, hub.replies
        )
        self._backlog: list[Buffer] = []
        self._full = False
        self._serving = False
        self._lost = False

    def connectionMade(self) -> None:
        """
        As C{Protocol.connectionMade}.
        """
        transport: Any = self.transport
        address = transport.getPeer()
        host, port = getattr(address, "host", None), getattr(address, "port", None)
        self.peer = Peer(
            (),
            self._write,
            self._hub.clock,
            disconnect=transport.loseConnection,
            address=None if host is None or port is None else (host, port),
            hub=self._hub,
        )
        self.peer.onBusy = self._flow
        self.peer.onRelief = self._flow
        self._hub.counters.accepted += 1
        self._hub.counters.connections += 1
        transport.registerProducer(self, True)
        if self._onConnect is not None:
            self._onConnect(self.peer)

    def dataReceived(self, data: bytes) -> None:
        """
        As C{Protocol.dataReceived}.
        """
        if self._lost:
            return
        self._hub.counters.bytesIn += len(data)
        try:
            self._backlog += self._parser.feed(data)
            self._serve()
        except RecordError as error:
            self._lost = True
            self._backlog.clear()
            self._hub.counters.violations += 1
            _log.warn(
                "closing the connection of {address}: {error}",
                address=self.peer.address,
                error=str(error),
            )
            transport: Any = self.transport
            transport.loseConnection()

    def _serve(self) -> None:
        if self._serving:
            return
        self._serving = True
        backlog = self._backlog
        try:
            while backlog and not self._full and not self.peer.busy:
                self.peer.recordReceived(backlog.pop(0))
        finally:
            self._serving = False

    def _write(self, pieces: Sequence[Piece], size: int) -> None:
        transport: Any = self.transport
        self._hub.counters.bytesOut += size
        transport.writeSequence(
            [
                readSlice(piece) if isinstance(piece, FileSlice) else bytes(piece)
                for piece in pieces
            ]
        )

    # -- flow ----------------------------------------------------------------------

    def _flow(self) -> None:
        """
        Read, or do not.
        """
        transport: Any = self.transport
        if self._full or self.peer.busy:
            transport.pauseProducing()
            return
        try:
            self._serve()
        except RecordError:
            self._lost = True
            self._backlog.clear()
            transport.abortConnection()
            return
        if not (self._full or self.peer.busy):
            transport.resumeProducing()

    def pauseProducing(self) -> None:
        """
        The transport has enough to send.
        """
        self._full = True
        self._flow()

    def resumeProducing(self) -> None:
        """
        The transport has sent it.
        """
        self._full = False
        self._flow()

    def stopProducing(self) -> None:
        """
        The connection is going away; L{connectionLost} follows.
        """
        self._full = True

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        As C{Protocol.connectionLost}.
        """
        self._lost = True
        self._backlog.clear()
        self._parser.rest = None
        self._hub.counters.connections -= 1
        self.peer.connectionLost()


class RPCFactory(Factory):
    """
    Makes L{RPCProtocol}s that share a L{Hub}: for endpoints.
    """

    noisy = False

    def __init__(
        self, hub: Hub, onConnect: Optional[Callable[[Peer], None]] = None
    ) -> None:
        self.hub = hub
        self.onConnect = onConnect

    def buildProtocol(self, addr: Optional[IAddress]) -> RPCProtocol:
        """
        As C{Factory.buildProtocol}.
        """
        protocol = RPCProtocol(self.hub, self.onConnect)
        protocol.factory = self
        return protocol


def makeProtocol(
    programs: Sequence[Program],
    clock: IReactorTime,
    limits: Optional[Limits] = None,
) -> RPCProtocol:
    """
    A protocol of its own, for one connection.
    """
    return RPCProtocol(Hub(programs, clock, limits))
