"""
Connections in memory that take time, can be cut at any byte, stall, and are lost
when the process at one end is killed.

Bytes of one direction arrive in order; between connections there is no order.
"""

from __future__ import annotations

import random
from typing import Any, Optional, Sequence

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from pnfs.rpc.client import RPCClient
from pnfs.rpc.hub import Hub
from pnfs.rpc.protocol import RPCProtocol
from tests.simulation.scheduler import ProcessClock, Scheduler
from tests.simulation.trace import Trace
from tests.simulation.wiretext import Message

Address = tuple[str, int]

_FASTEST, _SLOWEST = 0.0001, 0.003
_RARELY, _LONG_WAY = 0.02, 0.25
"""How many messages are late, and by how many seconds at most."""


def addressOf(name: str) -> str:
    """
    The IP address of C{mds}, C{ds0}, C{client0} and so on.
    """
    kind = name.rstrip("0123456789")
    first = {"mds": 1, "ds": 10, "client": 100}[kind]
    return f"192.0.2.{first + int(name[len(kind):] or 0)}"


def nameOf(address: str) -> str:
    """
    Who has an address.
    """
    number = int(address.rsplit(".", 1)[1])
    if number >= 100:
        return f"client{number - 100}"
    return f"ds{number - 10}" if number >= 10 else "mds"


class Process:
    """
    What is killed as a whole.

    @ivar host: the name of where it runs.
    @ivar clock: its clock, and its reactor as far as it needs one.
    @ivar kept: what only it refers to, so that nothing of it is finalized.
    """

    def __init__(self, network: "Network", host: str, offset: float) -> None:
        self.network = network
        self.host = host
        self.clock = ProcessClock(network.scheduler, offset)
        self.clock.process = self  # type: ignore[attr-defined]
        self.kept: list[Any] = []

    @property
    def alive(self) -> bool:
        """
        It has not been killed.
        """
        return self.clock.alive


class Network:
    """
    All connections.

    @ivar cutting: the probability that a message is the last of its connection.
    @ivar stalls: host, or two as C{mds-ds0}, to the time until which nothing gets to
        it or from it, or between them.
    @ivar off: hosts without power: nobody there says that nobody is there.
    """

    def __init__(
        self, scheduler: Scheduler, chance: random.Random, trace: Trace
    ) -> None:
        self.scheduler = scheduler
        self.chance = chance
        self.trace = trace
        self.cutting = 0.0
        self.stalls: dict[str, float] = {}
        self.off: set[str] = set()
        self._listening: dict[Address, tuple[Hub, Process]] = {}
        self._ends: dict[End, None] = {}
        self._connections = 0
        self.graves: list[Any] = []

    # -- servers -------------------------------------------------------------------

    def listen(self, address: Address, hub: Hub, process: Process) -> None:
        """
        Serve at an address, as long as the process lives.
        """
        self._listening[address] = (hub, process)

    def kill(self, process: Process) -> None:
        """
        It does nothing any more; who is connected with it learns that, unless its
        host is off.
        """
        process.clock.stop()
        self.graves.append(process)
        for end in [each for each in self._ends if each.process is process]:
            del self._ends[end]
            self.graves.append(end)
            end.dead = True
            if process.host not in self.off:
                self._after(end, end.other, None)

    def connections(self, host: str) -> list["End"]:
        """
        The ends of connections at a host.
        """
        return [end for end in self._ends if end.process.host == host]

    # -- connecting ----------------------------------------------------------------

    def connect(self, client: "_Attempt", address: Address) -> None:
        """
        Have a client told, some time, that it is connected, or is not.
        """
        process = client.process
        self.scheduler.at(
            self._arrival(process.host, nameOf(address[0])),
            lambda: self._arrived(client, address),
        )

    def _arrived(self, client: "_Attempt", address: Address) -> None:
        process = client.process
        listening = self._listening.get(address)
        if nameOf(address[0]) in self.off:
            return
        if listening is None or not listening[1].alive:
            self._tell(process, lambda: client.refused("connection refused"))
            return
        hub, server = listening
        self._connections += 1
        near = End(self, process, server.host, self._connections)
        far = End(self, server, process.host, self._connections)
        near.other, far.other = far, near
        near.protocol = _Nobody()
        self._ends[near] = self._ends[far] = None
        far.protocol = RPCProtocol(hub)
        far.protocol.makeConnection(far)
        self.trace.event(
            "%s connects to %s (%d)", process.host, server.host, near.number
        )
        self._tell(process, lambda: client.connected(near))

    def _tell(self, process: Process, what: Any) -> None:
        def now() -> None:
            if process.alive:
                what()

        self.scheduler.after(self._latency(), now)

    # -- carrying ------------------------------------------------------------------

    def _latency(self) -> float:
        chance = self.chance
        if chance.random() < _RARELY:
            return chance.uniform(_SLOWEST, _LONG_WAY)
        return chance.uniform(_FASTEST, _SLOWEST)

    def _arrival(self, near: str, far: str) -> float:
        when = self.scheduler.now + self._latency()
        for where in (near, far, f"{near}-{far}", f"{far}-{near}"):
            until = self.stalls.get(where, 0.0)
            if until > self.scheduler.now:
                when = max(when, until + self._latency())
        return when

    def send(self, end: "End", data: bytes) -> None:
        """
        Carry bytes to the other end, perhaps not all of them, perhaps in two parts.
        """
        chance = self.chance
        self.trace.event(
            "%s > %s (%d) %s",
            end.process.host,
            end.other.process.host,
            end.number,
            Message(data),
        )
        if self.cutting and chance.random() < self.cutting:
            arrived = chance.randint(0, len(data))
            self.trace.event("cut (%d) after %d of %d", end.number, arrived, len(data))
            self._after(end, end.other, data[:arrived])
            self.cut(end)
        elif chance.random() < 0.05:
            middle = chance.randint(0, len(data))
            self._after(end, end.other, data[:middle])
            self._after(end, end.other, data[middle:])
        else:
            self._after(end, end.other, data)

    def cut(self, end: "End") -> None:
        """
        End a connection for both, each at its time.
        """
        self._after(end, end.other, None)
        self._after(end.other, end, None)

    def _after(self, end: "End", other: "End", data: Optional[bytes]) -> None:
        when = max(
            end.last,
            self._arrival(end.process.host, other.process.host),
            other.process.clock.pausedUntil,
        )
        end.last = when
        self.scheduler.at(when, lambda: self._deliver(end, other, data))

    def _deliver(self, end: "End", other: "End", data: Optional[bytes]) -> None:
        if other.dead:
            if data and not end.dead and other.process.host not in self.off:
                # Nobody knows this connection there.
                self._after(other, end, None)
            return
        paused = other.process.clock.pausedUntil
        if paused > self.scheduler.now:
            self.scheduler.at(paused, lambda: self._deliver(end, other, data))
            end.last = max(end.last, paused)
            return
        if data is None:
            other.lost(ConnectionLost())
        elif data:
            other.protocol.dataReceived(data)

    def closed(self, end: "End") -> None:
        """
        One end is no more.
        """
        self._ends.pop(end, None)


class End:
    """
    One end of a connection: what L{RPCProtocol} needs of a transport.

    @ivar number: of the connection, for people.
    @ivar dead: nothing arrives here any more.
    @ivar last: when the last bytes sent from here arrive.
    """

    other: "End"
    protocol: Any = None

    def __init__(
        self, network: Network, process: Process, peer: str, number: int
    ) -> None:
        self.network = network
        self.process = process
        self.number = number
        self.dead = False
        self.last = 0.0
        self._peer = IPv4Address("TCP", addressOf(peer), 700)

    def getPeer(self) -> IPv4Address:
        return self._peer

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", addressOf(self.process.host), 2049)

    def write(self, data: bytes) -> None:
        if not self.dead and data:
            self.network.send(self, data)

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
        if not self.dead:
            self.network._after(self, self.other, None)
            self.lost(ConnectionDone())

    abortConnection = loseConnection

    def lost(self, reason: Any) -> None:
        """
        Tell the protocol.
        """
        if not self.dead:
            self.dead = True
            self.network.closed(self)
            self.protocol.connectionLost(Failure(reason))


class _ClientConnection:
    """
    Stands for an L{pnfs.rpc.connection.Connection}.
    """

    def __init__(self, end: End, hub: Hub) -> None:
        self._end = end
        end.protocol = RPCProtocol(hub)
        end.protocol.makeConnection(end)
        self.peer = end.protocol.peer

    def start(self) -> None:
        """
        It reads already.
        """

    def close(self) -> None:
        """
        As L{pnfs.rpc.connection.Connection.close}.
        """
        self._end.loseConnection()

    def drop(self, reason: Any) -> None:
        """
        As L{pnfs.rpc.connection.Connection.drop}.
        """
        self._end.loseConnection()


class SimulatedClient(RPCClient):
    """
    An L{RPCClient} over a L{Network}. What it takes for a reactor is the clock of
    its process.
    """

    def __init__(self, reactor: Any, host: str, port: int, **more: Any) -> None:
        more.setdefault("clock", reactor)
        super().__init__(reactor, host, port, **more)
        self.process: Process = reactor.process
        self._attemptNumber = 0
        self._attemptTimer: Any = None

    def _tryNext(self, error: str) -> None:
        if not self._addresses:
            self._attemptFailed(error)
            return
        self._addresses.pop(0)
        self._attemptNumber += 1
        number = self._attemptNumber
        self._attemptTimer = self._clock.callLater(
            self._connectTimeout, lambda: self._end(number, "connecting timed out")
        )
        self.process.network.connect(_Attempt(self, number), (self.host, self.port))

    def _end(
        self, number: int, error: Optional[str], end: Optional[End] = None
    ) -> None:
        """
        An attempt has ended.
        """
        if number != self._attemptNumber or self._attemptTimer is None:
            if end is not None:
                end.protocol = _Nobody()
                end.loseConnection()
            return
        if self._attemptTimer.active():
            self._attemptTimer.cancel()
        self._attemptTimer = None
        if self._closed:
            if end is not None:
                end.protocol = _Nobody()
                end.loseConnection()
        elif end is None:
            self._tryNext(f"{self.host}: {error}")
        else:
            self._established(_ClientConnection(end, self.hub))

    def close(self) -> Any:
        """
        As L{RPCClient.close}.
        """
        if self._attemptTimer is not None and self._attemptTimer.active():
            self._attemptTimer.cancel()
        self._attemptTimer = None
        return super().close()


class _Nobody:
    def connectionLost(self, reason: Any) -> None:
        """
        Nobody waits for this connection any more.
        """

    dataReceived = connectionLost


class _Attempt:
    """
    What a L{Network} tells of an attempt to connect.
    """

    def __init__(self, client: SimulatedClient, number: int) -> None:
        self.process = client.process
        self._client = client
        self._number = number

    def connected(self, end: End) -> None:
        if end.dead:
            self._client._end(self._number, "the connection was lost")
        else:
            self._client._end(self._number, None, end)

    def refused(self, error: str) -> None:
        self._client._end(self._number, error)
