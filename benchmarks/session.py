"""
A client with one connection and one session, which waits for each answer.
"""

from __future__ import annotations

import copy
import os
import socket
import struct
from typing import Optional

from benchmarks import wire
from benchmarks.wire import AFTER_SEQUENCE, BenchmarkError, Results

DELAY = (10008, 10013)
"""NFS4ERR_DELAY and NFS4ERR_GRACE: ask again."""

USE_PNFS_DS = 0x40000
_IO = (1 << 20) + 4096


class Session:
    """
    A connection with a client ID and a session of its own.

    @ivar socket: the connection.
    @ivar slots: how many slots the session has.
    @ivar sequenceids: the last one used, per slot.
    """

    def __init__(
        self, host: str, port: int, slots: int = 1, flags: int = 0, owner: bytes = b""
    ) -> None:
        self._connect(host, port)
        owner = owner or b"bench-" + os.urandom(8).hex().encode()
        made = Results(self.bare(wire.exchangeId(owner, flags)), wire.RESULTS + 8)
        self.clientid, sequenceid = struct.unpack(">QI", made.fixed(12))
        self._begin(sequenceid, slots)
        if not flags & USE_PNFS_DS:
            self.run(wire.reclaimComplete())

    def _begin(self, sequenceid: int, slots: int) -> None:
        self._next = sequenceid + 1
        made = Results(
            self.bare(wire.createSession(self.clientid, sequenceid, slots, _IO)),
            wire.RESULTS + 8,
        )
        self.sessionid = made.fixed(16)
        self.slots = min(slots, made.ints(8)[7])
        self.sequenceids = [0] * slots

    def another(self, slots: int) -> Session:
        """
        A further session of the same client, on a connection of its own.
        """
        session = copy.copy(self)
        session._connect(*self.socket.getpeername()[:2])
        session._begin(self._next, slots)
        self._next = session._next
        return session

    def _connect(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), 30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(self, request: bytes) -> bytes:
        """
        Send a record, give the record that comes back.
        """
        self.socket.sendall(request)
        return self.receive()

    def receive(self) -> bytes:
        """
        The next record.
        """
        (mark,) = struct.unpack(">I", self._receive(4))
        return self._receive(mark & 0x7FFFFFFF)

    def _receive(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise BenchmarkError("the server has hung up")
            data += part
        return bytes(data)

    def bare(self, operation: bytes) -> bytes:
        """
        An operation without SEQUENCE.
        """
        reply = self.call(wire.record(1, wire.compound(operation)))
        checkReply(reply)
        return reply

    def request(self, slot: int, *operations: bytes, more: int = 0) -> bytes:
        """
        The next request of a slot; its xid is the slot.
        """
        self.sequenceids[slot] += 1
        head = wire.sequence(
            self.sessionid, self.sequenceids[slot], slot, self.slots - 1
        )
        return wire.record(slot, wire.compound(head, *operations), more=more)

    def run(self, *operations: bytes) -> Results:
        """
        Operations after a SEQUENCE on slot 0.

        @return: their results, from the first on.
        """
        while True:
            reply = self.call(self.request(0, *operations))
            if checkReply(reply) == 0:
                return Results(reply, AFTER_SEQUENCE)

    def find(self, path: str) -> bytes:
        """
        The filehandle of a path.
        """
        names = [part.encode() for part in path.split("/") if part]
        steps = [wire.lookup(name) for name in names]
        found = self.run(wire.PUTROOTFH, *steps, wire.GETFH)
        found.pos += 8 * (1 + len(steps))
        return found.filehandle()

    def directory(self, parent: bytes, name: bytes) -> bytes:
        """
        Make a directory. @return: its filehandle.
        """
        self.run(wire.putfh(parent), wire.makeDirectory(name))
        found = self.run(wire.putfh(parent), wire.lookup(name), wire.GETFH)
        found.pos += 16
        return found.filehandle()

    def open(
        self, directory: bytes, name: bytes, owner: Optional[bytes] = None
    ) -> tuple[bytes, bytes]:
        """
        Open a file, making it if need be. @return: its filehandle and the stateid.
        """
        operation = wire.open_(self.clientid, owner or name, name, True)
        found = self.run(wire.putfh(directory), operation, wire.GETFH)
        found.pos += 8
        stateid = found.opened()
        return found.filehandle(), stateid

    def disconnect(self) -> None:
        """
        Close the connection, having told the server that nobody will come back.
        """
        self.bare(struct.pack(">I16s", 44, self.sessionid))
        self.socket.close()


def checkReply(reply: bytes) -> int:
    """
    @return: 0, or the status of a COMPOUND that is to be asked again.
    """
    kind, stat, _, _, accepted, status = struct.unpack_from(">6I", reply, 4)
    if (kind, stat, accepted) != (1, 0, 0):
        raise BenchmarkError(f"RPC: {kind} {stat} {accepted}")
    if status and status not in DELAY:
        raise BenchmarkError(f"COMPOUND: {status}, {reply[24:].hex()}")
    return int(status)
