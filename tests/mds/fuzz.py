"""
Bad input of every kind, always the same for the same seed.
"""

from __future__ import annotations

import struct
from random import Random
from typing import Any, Callable, Optional, Sequence

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from pnfs.nfs4 import requests
from pnfs.nfs4.results import OperationFailed, Results
from pnfs.rpc.hub import Hub
from pnfs.rpc.message import callHeader, parseReply
from pnfs.rpc.protocol import RPCProtocol
from pnfs.xdr.errors import XDRError

_EDGES = (0, 1, 2, 3, 4, 7, 8, 127, 128, 255, 1024, 65535, 1 << 20, (1 << 31) - 1)
EDGES = _EDGES + tuple(0xFFFFFFFF - n for n in (0, 1, 3)) + (1 << 31,)
"""Numbers at which decoders go wrong."""


def mutated(random: Random, data: bytes) -> bytes:
    """
    Bytes that differ from C{data} in one to four places.
    """
    out = bytearray(data)
    for _ in range(random.randint(1, 4)):
        how = random.randrange(7)
        at = random.randrange(len(out)) if out else 0
        word = at & ~3
        if how == 0 and out:
            out[at] ^= 1 << random.randrange(8)
        elif how == 1:
            del out[at:]
        elif how == 2:
            out[at:at] = random.randbytes(random.choice((1, 4, 8, 32)))
        elif how in (3, 4):
            out[word : word + 4] = struct.pack(">I", random.choice(EDGES))
        elif how == 5:
            del out[at : at + random.choice((1, 4, 8))]
        else:
            end = min(len(out), at + random.randrange(1, 64))
            out[end:end] = out[at:end]
    return bytes(out)


class Sink:
    """
    A transport that keeps what is written to it.
    """

    def __init__(self) -> None:
        self.written = b""
        self.ended = False

    def getPeer(self) -> Any:
        """
        An address.
        """
        return IPv4Address("TCP", "192.0.2.66", 666)

    def write(self, data: bytes) -> None:
        """
        Keep it.
        """
        self.written += data

    def writeSequence(self, pieces: Sequence[bytes]) -> None:
        """
        Keep them.
        """
        self.written += b"".join(pieces)

    def loseConnection(self) -> None:
        """
        The server hangs up.
        """
        self.ended = True

    abortConnection = loseConnection

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        It is never full.
        """

    def pauseProducing(self) -> None:
        """
        As L{IPushProducer.pauseProducing}.
        """

    def resumeProducing(self) -> None:
        """
        As L{IPushProducer.resumeProducing}.
        """


class Attacker:
    """
    A client that sends garbage, and well-formed requests with garbage in them.

    @ivar connections: how many it has needed.
    @ivar statuses: of COMPOUNDs answered, to see that the garbage gets far.
    """

    def __init__(
        self,
        hub: Hub,
        seed: int,
        credential: bytes,
        operations: Sequence[bytes],
        prefixes: Sequence[Sequence[bytes]] = ((),),
    ) -> None:
        """
        @param operations: well-formed operations to start from.
        @param prefixes: what to send before them, so that they get anywhere.
        """
        self.random = Random(seed)
        self._hub = hub
        self._credential = credential
        self._operations = list(operations)
        self._prefixes = list(prefixes)
        self._protocol: Optional[RPCProtocol] = None
        self._sink = Sink()
        self._xid = 0
        self._numbers = [struct.pack(">I", n) for n in (*range(80), 10044)]
        self._session = b""
        self._sequence = 0
        self._owners = 0
        self.connections = 0
        self.statuses: dict[int, int] = {}

    def _send(self, data: bytes) -> bytes:
        """
        @return: what came back.
        """
        if self._protocol is None:
            self.connections += 1
            self._sink = Sink()
            self._protocol = RPCProtocol(self._hub)
            self._protocol.makeConnection(self._sink)
        self._sink.written = b""
        self._protocol.dataReceived(data)
        answer = self._sink.written
        if self._sink.ended:
            self.end()
        return answer

    def end(self) -> None:
        """
        The connection ends.
        """
        if self._protocol is not None:
            self._protocol.connectionLost(Failure(ConnectionDone()))
            self._protocol = None

    def _record(self, operations: bytes) -> bytes:
        self._xid += 1
        header = callHeader(self._xid, 100003, 4, 1, self._credential, len(operations))
        return header + operations

    def _call(self, operations: bytes) -> Optional[Results]:
        """
        A COMPOUND in a well-formed call.
        """
        answer = self._send(self._record(operations))
        if len(answer) < 36:
            return None
        try:
            results = Results(answer, 4 + parseReply(answer[4:]))
        except Exception:
            return None
        self.statuses[results.status] = self.statuses.get(results.status, 0) + 1
        return results

    def _mount(self) -> None:
        """
        A session.
        """
        self._owners += 1
        owner = b"attacker %d" % (self._owners % 5)
        results = self._call(
            struct.pack(">III", 0, 1, 1)
            + requests.exchangeId(self.random.randbytes(8), owner, 0)
        )
        assert results is not None
        results.operation(42)
        clientid, sequence = results.uint64(), results.uint32()
        results = self._call(
            struct.pack(">III", 0, 1, 1)
            + requests.createSession(clientid, sequence, False, 4, 1 << 20, 1 << 20, 0)
        )
        assert results is not None
        results.operation(43)
        self._session = results.fixed(16)
        self._sequence = 1
        self._inSession(requests.reclaimComplete(), 1)

    def _inSession(self, operations: bytes, count: int) -> None:
        minor = self.random.choice((1, 2))
        results = self._call(
            struct.pack(">III", 0, minor, count + 1)
            + struct.pack(">I16sIIII", 53, self._session, self._sequence, 0, 0, 0)
            + operations
        )
        if results is None:
            self._session = b""
            return
        try:
            results.operation(53)
        except (OperationFailed, XDRError):
            self._session = b""
        else:
            self._sequence += 1

    def step(self) -> None:
        """
        Send something bad.
        """
        random = self.random
        choice = random.random()
        kinds: tuple[tuple[float, Callable[[], None]], ...] = (
            (0.60, self._badOperations),
            (0.80, self._badCompound),
            (0.92, self._badMessage),
            (1.00, self._badRecord),
        )
        for bound, kind in kinds:
            if choice < bound:
                kind()
                return

    def _some(self) -> list[bytes]:
        return [
            self.random.choice(self._operations)
            for _ in range(self.random.randint(1, 5))
        ]

    def _badOperations(self) -> None:
        """
        A good SEQUENCE, then operations of which one or more are bad.
        """
        if not self._session:
            self._mount()
        random = self.random
        prefix = random.choice(self._prefixes)
        some = [random.choice(self._operations) for _ in range(random.randint(1, 3))]
        count = len(prefix) + len(some)
        if random.random() < 0.1:
            body = mutated(random, b"".join([*prefix, *some]))
        elif random.random() < 0.1:
            body = b"".join([*prefix, random.choice(self._numbers), *some])
        else:
            at = random.randrange(len(some))
            some[at] = mutated(random, some[at])
            body = b"".join([*prefix, *some])
        if self.random.random() < 0.05:
            count = self.random.choice(EDGES)
        self._inSession(body, count & 0xFFFF)

    def _badCompound(self) -> None:
        """
        COMPOUND arguments with anything wrong.
        """
        some = self._some()
        body = struct.pack(">III", 0, 1, len(some)) + b"".join(some)
        self._call(mutated(self.random, body))

    def _badMessage(self) -> None:
        """
        A record whose RPC message is wrong anywhere, its header included.
        """
        if self.random.random() < 0.3:
            body = self.random.randbytes(self.random.randrange(200))
        else:
            record = self._record(struct.pack(">III", 0, 1, 1) + self._some()[0])
            body = mutated(self.random, record[4:])
        self._send(struct.pack(">I", 0x80000000 | len(body)) + body)

    def _badRecord(self) -> None:
        """
        Record marks that lie, fragments without end.
        """
        record = self._record(struct.pack(">III", 0, 1, 1) + self._some()[0])
        how = self.random.randrange(4)
        if how == 0:
            self._send(struct.pack(">I", self.random.choice(EDGES)) + record[4:])
        elif how == 1:
            self._send(struct.pack(">I", self.random.randrange(1, 9)) * 200)
        elif how == 2:
            self._send(self.random.randbytes(self.random.randrange(1, 100)))
        else:
            self._send(record[: self.random.randrange(len(record))])
        # What is left of it must not swallow what comes next.
        self.end()
