"""
Connections in memory: both ends run L{pnfs.rpc.protocol.RPCProtocol}, and bytes
arrive as soon as nothing else is being delivered.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Optional, Sequence

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from pnfs.rpc.errors import ConnectionClosed
from pnfs.rpc.hub import Hub
from pnfs.rpc.limits import Limits
from pnfs.rpc.protocol import RPCProtocol
from pnfs.values import Piece


class Wire:
    """
    Carries bytes between any number of pairs of protocols, in order.

    @ivar hosts: address to the hub that serves there; without one, connecting fails.
    @ivar clientHost: where connections made from now on come from.
    @ivar cut: addresses that swallow everything from now on.
    """

    def __init__(self) -> None:
        self.hosts: dict[tuple[str, int], Hub] = {}
        self.clientHost = "192.0.2.9"
        self.cut: set[tuple[str, int]] = set()
        self._queue: deque[tuple[Any, Optional[bytes]]] = deque()
        self._delivering = False
        self._transports: list["_Transport"] = []

    def connect(self, address: tuple[str, int], client: RPCProtocol) -> "_Transport":
        """
        Connect a protocol to who serves at an address.

        @return: the client's transport.
        """
        server = RPCProtocol(self.hosts[address])
        near = _Transport(self, address, IPv4Address("TCP", *address))
        far = _Transport(self, address, IPv4Address("TCP", self.clientHost, 999))
        near.other, near.protocol = far, client
        far.other, far.protocol = near, server
        self._transports += [near, far]
        server.makeConnection(far)
        client.makeConnection(near)
        return near

    def send(self, transport: "_Transport", data: Optional[bytes]) -> None:
        """
        Deliver bytes, or None for the end, when it is their turn.
        """
        if transport.address in self.cut:
            return
        self._queue.append((transport, data))
        self.deliver()

    def deliver(self) -> None:
        """
        Deliver everything that can be delivered.
        """
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._queue:
                transport, data = self._queue.popleft()
                if transport.disconnected:
                    continue
                if data is None:
                    transport.lost()
                else:
                    transport.protocol.dataReceived(data)
        finally:
            self._delivering = False

    def hangUp(self, address: tuple[str, int]) -> None:
        """
        End all connections to an address, as a killed server does.
        """
        for transport in list(self._transports):
            if transport.address == address and not transport.disconnected:
                transport.lost()
        self._transports = [t for t in self._transports if not t.disconnected]


class _Transport:
    """
    One end of a connection: what L{RPCProtocol} needs of L{ITransport}.
    """

    protocol: Any
    other: "_Transport"

    def __init__(self, wire: Wire, address: tuple[str, int], peer: Any) -> None:
        self.address = address
        self._wire = wire
        self._peer = peer
        self.disconnected = False

    def getPeer(self) -> Any:
        return self._peer

    def getHost(self) -> Any:
        return self._peer

    def write(self, data: bytes) -> None:
        if not self.disconnected:
            self._wire.send(self.other, data)

    def writeSequence(self, pieces: Sequence[bytes]) -> None:
        self.write(b"".join(pieces))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        pass

    def unregisterProducer(self) -> None:
        pass

    def pauseProducing(self) -> None:
        pass

    def resumeProducing(self) -> None:
        pass

    def loseConnection(self) -> None:
        if not self.disconnected:
            self._wire.send(self.other, None)
            self._wire.send(self, None)

    abortConnection = loseConnection

    def lost(self) -> None:
        if not self.disconnected:
            self.disconnected = True
            self.protocol.connectionLost(Failure(ConnectionDone()))


class MemoryRPCClient:
    """
    In the place of L{pnfs.rpc.client.RPCClient}: connects when called, and again
    after loss.
    """

    def __init__(
        self,
        wire: Wire,
        address: tuple[str, int],
        clock: Any,
        limits: Optional[Limits] = None,
    ) -> None:
        self._wire = wire
        self._address = address
        self._clock = clock
        self.hub = Hub([], clock, limits)
        self._protocol: Optional[RPCProtocol] = None
        self.calls = 0

    def call(
        self,
        program: int,
        version: int,
        procedure: int,
        pieces: Sequence[Piece] = (),
        credential: Optional[bytes] = None,
        timeout: Optional[float] = None,
    ) -> Deferred[Any]:
        """
        As L{pnfs.rpc.client.RPCClient.call}.
        """
        self.calls += 1
        protocol = self._protocol
        if protocol is None or protocol.peer.closed:
            if self._address not in self._wire.hosts:
                return fail(ConnectionClosed("connection refused"))
            protocol = self._protocol = RPCProtocol(self.hub)
            self._wire.connect(self._address, protocol)
        return protocol.peer.call(
            program, version, procedure, credential or bytes(16), pieces, timeout or 30
        )

    def disconnect(self) -> None:
        """
        As L{pnfs.rpc.client.RPCClient.disconnect}.
        """
        if self._protocol is not None:
            self._protocol.peer.close()

    def close(self) -> None:
        """
        End the connection.
        """
        if self._protocol is not None:
            self._protocol.peer.close()
            self._protocol = None
