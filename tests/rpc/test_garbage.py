"""
Whatever a peer sends: an RPC error or a closed connection, and a quiet log.
"""

from __future__ import annotations

import random
import socket
import struct
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from pnfs.rpc.connection import Connection
from pnfs.rpc.hub import Hub
from pnfs.rpc.limits import Limits
from pnfs.rpc.protocol import RPCProtocol
from tests.rpc import wire
from tests.rpc.handreactor import HandReactor
from tests.rpc.wire import Service, authSys, call, mark, success

LIMITS = Limits(recordBytes=100_000)


def mutated(chance: random.Random) -> bytes:
    """
    A record, with its mark, that is more or less damaged.
    """
    kind = chance.randrange(8)
    if kind == 0:
        return mark(chance.randbytes(chance.randrange(80)))
    if kind == 1:
        return chance.randbytes(chance.randrange(1, 200))
    credential = chance.choice(
        (authSys(), wire.NOBODY, authSys(1, 1, tuple(range(17))))
    )
    procedure = chance.choice((wire.NULL, wire.ECHO, wire.GARBAGE, wire.XDR, 99))
    record = bytearray(
        chance.choice(
            (
                call(procedure, b"data", 1, credential),
                success(b"data"),
                wire.denied(1, 2),
            )
        )
    )
    for _ in range(chance.randrange(1, 4)):
        how = chance.randrange(4)
        pos = chance.randrange(len(record)) if record else 0
        if how == 0 and record:
            record[pos] = chance.randrange(256)
        elif how == 1:
            del record[pos:]
        elif how == 2 and len(record) >= pos + 4:
            word = chance.choice((0, 1, 2, 400, 401, 0x7FFFFFFF, 0xFFFFFFFF))
            struct.pack_into(">I", record, pos & ~3, word)
        else:
            record[pos:pos] = chance.randbytes(chance.choice((1, 4, 40, 500)))
    data = bytes(record)
    if kind == 2:
        cut = chance.randrange(len(data) + 1)
        return mark(data[:cut], b"", data[cut:])
    if kind == 3:
        return struct.pack(">I", chance.getrandbits(32)) + data
    return mark(data)


class GarbageTests(SynchronousTestCase):
    """
    Ten thousand bad records.
    """

    def setUp(self) -> None:
        self.chance = random.Random(20260101)
        self.events: list[Any] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)
        self.hub = Hub([Service().program], Clock(), LIMITS)

    def quiet(self, connections: int) -> None:
        """
        At most a line per connection, and no traceback.
        """
        self.assertLessEqual(len(self.events), connections)
        for event in self.events:
            self.assertNotIn("log_failure", event)

    def test_protocol(self) -> None:
        """
        After each of them the connection is closed or in step: every answer is an
        RPC reply.
        """
        connections = closed = answers = 0
        number = 0
        while number < 10_000:
            connections += 1
            protocol = RPCProtocol(self.hub)
            transport = StringTransport()
            protocol.makeConnection(transport)
            ours = protocol.peer.call(wire.PROGRAM, 2, 0)
            ours.addErrback(lambda _: None)
            transport.clear()
            while number < 10_000 and not transport.disconnecting:
                number += 1
                protocol.dataReceived(mutated(self.chance))
            closed += transport.disconnecting
            for record in wire.unmark(transport.value()):
                answers += 1
                self.assertEqual(struct.unpack(">I", record[4:8]), (1,))
            protocol.connectionLost()
        self.quiet(connections)
        self.assertGreater(closed, 100)
        self.assertGreater(answers, 500)

    def test_connection(self) -> None:
        """
        The fast connection behaves likewise.
        """
        reactor = HandReactor()
        for _ in range(300):
            near, far = socket.socketpair()
            near.setblocking(False)
            connection = Connection(reactor, near, self.hub, lambda _: None)
            connection.start()
            for _ in range(20):
                if connection.lost:
                    break
                far.send(mutated(self.chance))
                reactor.turn()
            far.close()
            reactor.settle()
            self.assertTrue(connection.lost)
        self.quiet(300)
        self.assertEqual(self.hub.counters.connections, 0)
