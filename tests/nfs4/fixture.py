"""
A server to speak bytes to: whole COMPOUNDs in, whole COMPOUNDs out.

    fixture = Fixture({1: table})
    fixture.mount()
    reply = fixture.run(args(9, GETATTR4args(…)))
    status, result = reply.take(9, GETATTR4resok)
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import Any, Callable, Mapping, Optional

from twisted.internet.task import Clock

from pnfs.backends.metadata.recovery import MemoryRecoveryStore
from pnfs.nfs4.compound import CompoundServer
from pnfs.nfs4.context import ServerContext
from pnfs.nfs4.operation import Operation, tableOf
from pnfs.nfs4.ops.backchannel_ctl import backchannel_ctl
from pnfs.nfs4.ops.bind_conn_to_session import bind_conn_to_session
from pnfs.nfs4.ops.create_session import (
    CREATE_SESSION4_FLAG_CONN_BACK_CHAN,
    CREATE_SESSION4args,
    CREATE_SESSION4resok,
    channel_attrs4,
    create_session,
)
from pnfs.nfs4.ops.destroy_clientid import destroy_clientid
from pnfs.nfs4.ops.destroy_session import destroy_session
from pnfs.nfs4.ops.exchange_id import (
    EXCHANGE_ID4args,
    EXCHANGE_ID4resok,
    client_owner4,
    exchange_id,
)
from pnfs.nfs4.ops.reclaim_complete import RECLAIM_COMPLETE4args, reclaim_complete
from pnfs.nfs4.ops.sequence import sequence
from pnfs.rpc.coroutines import drive
from pnfs.rpc.peer import Peer
from pnfs.rpc.program import Call
from pnfs.state.clients import ClientTable
from pnfs.state.recovery import Grace
from pnfs.state.sessions import SessionLimits, SessionTable
from pnfs.state.stateids import StateidTable
from pnfs.values import Credential
from pnfs.xdr.codec import codecFor
from pnfs.xdr.errors import XDRError

SESSION_OPERATIONS: tuple[Operation, ...] = (
    backchannel_ctl,
    bind_conn_to_session,
    create_session,
    destroy_clientid,
    destroy_session,
    exchange_id,
    reclaim_complete,
    sequence,
)

USE_PNFS_MDS = 0x20000


def args(number: int, value: Any = None) -> bytes:
    """
    One C{nfs_argop4} from an attrs object of its arguments.
    """
    head = struct.pack(">I", number)
    return head if value is None else head + codecFor(type(value)).encode(value)


def sequenceArgs(
    sessionid: bytes, sequenceid: int, slot: int = 0, highest: int = 0, cache: int = 0
) -> bytes:
    """
    SEQUENCE as an C{nfs_argop4}.
    """
    return struct.pack(">I16sIIII", 53, sessionid, sequenceid, slot, highest, cache)


def compoundArgs(ops: tuple[bytes, ...], minor: int = 1, tag: bytes = b"") -> bytes:
    """
    C{COMPOUND4args}.
    """
    return b"".join(
        (
            struct.pack(">I", len(tag)),
            tag,
            bytes(-len(tag) % 4),
            struct.pack(">II", minor, len(ops)),
            *ops,
        )
    )


def entropy(seed: bytes = b"") -> Any:
    """
    Random bytes that are the same in every run.
    """
    counter = 0

    def more(count: int) -> bytes:
        nonlocal counter
        out = bytearray()
        while len(out) < count:
            counter += 1
            out += blake2b(seed + counter.to_bytes(8, "big")).digest()
        return bytes(out[:count])

    return more


class Reply:
    """
    C{COMPOUND4res}, read from the front.

    @ivar wire: all of it; pos: what has not been taken yet.
    """

    def __init__(self, wire: bytes) -> None:
        self.wire = wire
        self.status, length = struct.unpack_from(">II", wire)
        self.tag = wire[8 : 8 + length]
        self.pos = 8 + length + (-length % 4)
        (self.count,) = struct.unpack_from(">I", wire, self.pos)
        self.pos += 4

    def head(self) -> tuple[int, int]:
        """
        Number and status of the next result; its body comes next.
        """
        number, status = struct.unpack_from(">II", self.wire, self.pos)
        self.pos += 8
        return number, status

    def take(self, number: int, resok: Any = None) -> tuple[int, Any]:
        """
        The next result, which must be of operation C{number}: its status and, if
        that is 0, its C{resok} decoded.
        """
        found, status = self.head()
        if found != number:
            raise AssertionError(f"operation {found} instead of {number}")
        value = None
        if status == 0 and resok is not None:
            value, self.pos = codecFor(resok).decode(self.wire, self.pos)
        return status, value

    def takeSequence(self) -> tuple[int, ...]:
        """
        A successful SEQUENCE: sessionid, sequenceid, slotid, highest, target, flags.
        """
        status, _ = self.take(53)
        if status:
            raise AssertionError(f"SEQUENCE: {status}")
        found = struct.unpack_from(">16sIIIII", self.wire, self.pos)
        self.pos += 36
        return found

    @property
    def rest(self) -> bytes:
        """
        What has not been taken.
        """
        return self.wire[self.pos :]


class Connection(Peer):
    """
    A connection whose records go into a list.

    @ivar sent: records written, without the record mark.
    """

    def __init__(self, clock: Clock) -> None:
        self.sent: list[bytes] = []

        def write(pieces: list[Any], size: int) -> None:
            self.sent.append(b"".join(pieces)[4:])

        super().__init__((), write, clock, disconnect=self.connectionLost, firstXID=1)


def serve(
    compounds: CompoundServer,
    call: Call,
    wire: bytes,
    done: Callable[[Any], None],
    failed: Callable[[Any], None],
) -> None:
    """
    Have a COMPOUND served, whether it is answered at once or later.
    """
    try:
        served = compounds.compound(call, wire, 0)
    except XDRError as error:
        failed(error)
    else:
        if isinstance(served, list):
            done(served)
        else:
            drive(served, done, failed)


class Fixture:
    """
    A server in memory, and one client of it.

    @ivar clock: the server's monotonic clock.
    @ivar server: the L{ServerContext}; fill in what the test needs.
    @ivar connection: what the client speaks over.
    @ivar sessionid: the client's session once L{mount} has been called.
    """

    def __init__(
        self,
        tables: Optional[Mapping[int, Mapping[int, Operation]]] = None,
        *operations: Operation,
        store: Any = None,
        limits: SessionLimits = SessionLimits(),
        leaseSeconds: float = 90.0,
        seed: bytes = b"",
    ) -> None:
        """
        @param tables: operations per minor version; by default those for sessions
            and C{operations}, in minor versions 1 and 2.
        """
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.store = store if store is not None else MemoryRecoveryStore()
        epoch = self.store.beginEpoch()
        random = entropy(seed)
        now = self.clock.seconds()
        recovery = Grace(self.store, now, leaseSeconds)
        self.server = ServerContext(
            self.clock,
            lambda: 1_700_000_000_000_000_000 + int(self.clock.seconds() * 1e9),
            random,
            leaseSeconds=leaseSeconds,
            owner=b"server-owner",
            scope=b"server-scope",
            exchangeFlags=USE_PNFS_MDS,
            clients=ClientTable(epoch, random, leaseSeconds, recovery),
            sessions=SessionTable(random, limits),
            recovery=recovery,
            stateids=StateidTable(epoch, random),
        )
        self.server.clients.listeners.append(self.server.sessions.dropClient)
        if tables is None:
            every = SESSION_OPERATIONS + operations
            tables = {1: tableOf(*every, minor=1), 2: tableOf(*every, minor=2)}
        self.compounds = CompoundServer(self.server, tables)
        self.credential = Credential(0, 0, frozenset({0}), 1)
        self.connection = self.connect()
        self.clientid = 0
        self.sessionid = b""
        self.sequenceid = 0

    def connect(self) -> Connection:
        """
        A further connection.
        """
        return Connection(self.clock)

    def send(
        self,
        *ops: bytes,
        credential: Optional[Credential] = None,
        connection: Any = None,
        minor: int = 1,
        tag: bytes = b"",
        received: Optional[int] = None,
    ) -> list[Any]:
        """
        Have a COMPOUND served. @return: a list with the L{Reply}, or with the
        exception that went to the RPC layer, as soon as there is one.
        """
        wire = compoundArgs(ops, minor, tag)
        call = Call(
            1,
            credential or self.credential,
            connection or self.connection,
            len(wire) + 40 if received is None else received,
        )
        outcome: list[Any] = []

        def finished(pieces: list[Any]) -> None:
            outcome.append(Reply(b"".join([bytes(piece) for piece in pieces])))

        serve(self.compounds, call, wire, finished, outcome.append)
        return outcome

    def compound(self, *ops: bytes, **more: Any) -> Reply:
        """
        As L{send}, for one that is answered at once.
        """
        outcome = self.send(*ops, **more)
        if not outcome:
            raise AssertionError("no answer yet")
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        reply: Reply = outcome[0]
        return reply

    def exchangeId(
        self,
        owner: bytes = b"client",
        verifier: bytes = b"verifier",
        flags: int = 0,
        **more: Any,
    ) -> tuple[int, Any]:
        """
        EXCHANGE_ID: status and result.
        """
        arguments = EXCHANGE_ID4args(
            client_owner4(verifier, owner), flags, (0, None), []
        )
        reply = self.compound(args(42, arguments), **more)
        return reply.take(42, EXCHANGE_ID4resok)

    def createSession(
        self,
        clientid: int,
        sequenceid: int,
        flags: int = 0,
        fore: Optional[channel_attrs4] = None,
        back: Optional[channel_attrs4] = None,
        security: Any = ((0, None),),
        **more: Any,
    ) -> tuple[int, Any]:
        """
        CREATE_SESSION with what Linux asks for, unless told otherwise: status and
        result.
        """
        arguments = CREATE_SESSION4args(
            clientid,
            sequenceid,
            flags,
            fore or channel_attrs4(0, 1049620, 1049480, 7584, 8, 64, []),
            back or channel_attrs4(0, 4096, 4096, 0, 2, 1, []),
            0x40000000,
            list(security),
        )
        reply = self.compound(args(43, arguments), **more)
        return reply.take(43, CREATE_SESSION4resok)

    def mount(
        self,
        owner: bytes = b"client",
        verifier: bytes = b"verifier",
        reclaimComplete: bool = True,
        back: bool = False,
        minor: int = 1,
    ) -> None:
        """
        Become a client with a session, which L{run} then uses.

        @param back: ask for a back channel on the connection.
        """
        status, found = self.exchangeId(owner, verifier, minor=minor)
        if status:
            raise AssertionError(f"EXCHANGE_ID: {status}")
        self.clientid = found.eir_clientid
        status, made = self.createSession(
            found.eir_clientid,
            found.eir_sequenceid,
            CREATE_SESSION4_FLAG_CONN_BACK_CHAN if back else 0,
            minor=minor,
        )
        if status:
            raise AssertionError(f"CREATE_SESSION: {status}")
        self.sessionid = made.csr_sessionid
        self.sequenceid = 0
        self.minor = minor
        if reclaimComplete:
            reply = self.run(args(58, RECLAIM_COMPLETE4args(False)))
            if reply.status:
                raise AssertionError(f"RECLAIM_COMPLETE: {reply.status}")

    def sendRun(self, *ops: bytes, cache: int = 0, **more: Any) -> list[Any]:
        """
        As L{send}, with the next SEQUENCE of slot 0 before it.
        """
        self.sequenceid += 1
        head = sequenceArgs(self.sessionid, self.sequenceid, 0, 0, cache)
        more.setdefault("minor", self.minor)
        return self.send(head, *ops, **more)

    def run(self, *ops: bytes, **more: Any) -> Reply:
        """
        As L{compound}, with the next SEQUENCE of slot 0 before it, whose result has
        been taken already.
        """
        outcome = self.sendRun(*ops, **more)
        if not outcome:
            raise AssertionError("no answer yet")
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        reply: Reply = outcome[0]
        reply.takeSequence()
        return reply

    @property
    def client(self) -> Any:
        """
        The server's record of the client.
        """
        return self.server.clients.find(self.clientid)

    @property
    def session(self) -> Any:
        """
        The server's record of the session.
        """
        return self.server.sessions.find(self.sessionid)
