"""
A metadata server in memory that gives delegations, and clients that answer
callbacks over their connections.
"""

from __future__ import annotations

import struct
from typing import Any, Optional


from twisted.trial.unittest import SynchronousTestCase

from pnfs.callbacks.channel import BackChannels
from pnfs.callbacks.ops import OP_CB_GETATTR, OP_CB_RECALL, OP_CB_SEQUENCE
from pnfs.callbacks.ops import CB_RECALL4args
from pnfs.callbacks.recall_delegations import DelegationRecaller
from pnfs.nfs4.compound import CompoundServer
from pnfs.nfs4.optable import mdsTables
from pnfs.nfs4.requests import opaque
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import decodeBitmap, encodeBitmap
from pnfs.state.delegations import DelegationState, DelegationTable
from pnfs.values import Credential, Inode
from pnfs.xdr.codec import codecFor
from tests.callbacks.test_channel import Callback
from tests.nfs4.fixture import Connection, Reply
from tests.nfs4.ops.files import CLAIM_FH, READ, FileFixture, MemoryData, openArgs

LEASE = 10.0

ANY, WANT_READ, WANT_WRITE = 0x300, 0x100, 0x200
NO_DELEG, CANCEL = 0x400, 0x500
SIGNAL, PUSH = 0x10000, 0x20000
TIMESTAMPS, XOR = 0x100000, 0x200000
NONE, READ_DELEG, WRITE_DELEG, NONE_EXT, READ_ATTRS, WRITE_ATTRS = range(6)

CHANGE, SIZE, ATIME, MTIME = 3, 4, 47, 53
DELEG_ATIME, DELEG_MTIME = 84, 85


class Delegation:
    """
    C{open_delegation4}, decoded.

    @ivar kind: C{open_delegation_type4}; why: C{why_no_delegation4}; later: whether
        the server will push or signal.
    @ivar ace: type, flag, mask and who.
    """

    def __init__(self, wire: bytes, pos: int) -> None:
        (self.kind,) = struct.unpack_from(">I", wire, pos)
        pos += 4
        self.why: Optional[int] = None
        self.later: Optional[int] = None
        self.stateid = b""
        self.recall = 0
        self.limit: Optional[tuple[int, int]] = None
        self.ace: Any = None
        if self.kind == NONE_EXT:
            (self.why,) = struct.unpack_from(">I", wire, pos)
            pos += 4
            if self.why in (1, 2):
                (self.later,) = struct.unpack_from(">I", wire, pos)
                pos += 4
        elif self.kind:
            self.stateid, self.recall = struct.unpack_from(">16sI", wire, pos)
            pos += 20
            if self.kind in (WRITE_DELEG, WRITE_ATTRS):
                self.limit = struct.unpack_from(">IQ", wire, pos)
                pos += 12
            *ace, length = struct.unpack_from(">IIII", wire, pos)
            pos += 16
            self.ace = (*ace, wire[pos : pos + length])
            pos += length + (-length & 3)
        self.end = pos


class Opened:
    """
    The result of OPEN: its status; if that is 0, stateid, flags, and the
    L{Delegation}.
    """

    def __init__(self, reply: Reply) -> None:
        self.status = nfsstat4(reply.take(18)[0])
        self.stateid = b""
        self.kind = NONE
        self.why: Optional[int] = None
        if self.status:
            return
        wire, pos = reply.wire, reply.pos
        self.stateid, _, _, _, self.flags = struct.unpack_from(">16sIQQI", wire, pos)
        _, pos = decodeBitmap(wire, pos + 40)
        self.delegation = Delegation(wire, pos)
        self.kind = self.delegation.kind
        self.why = self.delegation.why
        reply.pos = self.delegation.end


class Holder:
    """
    A client with a connection of its own, which answers callbacks when it is told to.

    @ivar callbacks: those that have come: their L{Callback}s.
    @ivar status: what it answers, by operation.
    @ivar attributes: what it answers to CB_GETATTR, by number.
    """

    def __init__(
        self,
        fixture: "DelegationFixture",
        owner: bytes,
        minor: int,
        back: bool,
        first: bool,
    ) -> None:
        self._fixture = fixture
        self._minor = minor
        self.connection: Connection = fixture.connect()
        self.callbacks: list[Callback] = []
        self.status: dict[int, int] = {}
        self.attributes: dict[int, bytes] = {}
        self.deaf = False
        kept = fixture.connection
        fixture.connection = self.connection
        try:
            more = {} if first else {"reclaimComplete": False}
            fixture.mount(owner, back=back, minor=minor, **more)
        finally:
            fixture.connection = kept
        self.sessionid, self.sequenceid = fixture.sessionid, fixture.sequenceid
        self.clientid = fixture.clientid
        self.client = fixture.client
        fixture.clock.advance(0)
        self.answer()

    def send(self, *ops: bytes, credential: Optional[Credential] = None) -> list[Any]:
        """
        Begin a COMPOUND after SEQUENCE, over its own connection.
        """
        fixture = self._fixture
        fixture.sessionid, fixture.sequenceid = self.sessionid, self.sequenceid
        outcome = fixture.sendRun(
            *ops, credential=credential, connection=self.connection, minor=self._minor
        )
        self.sequenceid = fixture.sequenceid
        return outcome

    def run(self, *ops: bytes, **more: Any) -> Reply:
        """
        A COMPOUND that is answered at once; SEQUENCE has been taken.
        """
        outcome = self.send(*ops, **more)
        if not outcome:
            raise AssertionError("no answer yet")
        reply: Reply = outcome[0]
        self.flags = reply.takeSequence()[5]
        return reply

    def at(self, inode: Inode, *ops: bytes, **more: Any) -> Reply:
        """
        As L{run}, with a current filehandle; the next result is that of C{ops}.
        """
        reply = self.run(self._fixture.putfh(inode), *ops, **more)
        reply.take(22)
        return reply

    def status_(self, inode: Inode, *ops: bytes, **more: Any) -> str:
        """
        How such a COMPOUND ends.
        """
        return nfsstat4(self.at(inode, *ops, **more).status).name

    def open(
        self, inode: Inode, access: int = READ, want: int = 0, **more: Any
    ) -> Opened:
        """
        OPEN of the file itself.
        """
        credential = more.pop("credential", None)
        more.setdefault("claim", CLAIM_FH)
        arguments = openArgs(access=access | want, **more)
        return Opened(self.at(inode, arguments, credential=credential))

    def give(self, inode: Inode, stateid: bytes) -> str:
        """
        DELEGRETURN.
        """
        return self.status_(inode, delegreturn(stateid))

    def answer(self) -> list[int]:
        """
        Take the callbacks that have come, and answer them.

        @return: the operations after CB_SEQUENCE.
        """
        taken = []
        while self.connection.sent and not self.deaf:
            callback = Callback(self.connection.sent.pop(0))
            found = callback.sequence
            number = 0
            if callback.op:
                (number,) = struct.unpack_from(">I", callback.op)
                self.callbacks.append(callback)
                taken.append(number)
            status = self.status.get(number, 0)
            wire = struct.pack(">III", status, 0, callback.count)
            wire += struct.pack(
                ">II16sIIII",
                OP_CB_SEQUENCE,
                0,
                found.csa_sessionid,
                found.csa_sequenceid,
                found.csa_slotid,
                0,
                0,
            )
            if callback.op:
                wire += struct.pack(">II", number, status)
                if number == OP_CB_GETATTR and not status:
                    wire += self._fattr()
            header = struct.pack(">6I", callback.xid, 1, 0, 0, 0, 0)
            self.connection.recordReceived(header + wire, 0)
        return taken

    def _fattr(self) -> bytes:
        mask = sum(1 << number for number in self.attributes)
        values = b"".join(self.attributes[number] for number in sorted(self.attributes))
        return encodeBitmap(mask) + opaque(values)

    def recalled(self) -> list[CB_RECALL4args]:
        """
        Answer what has come: the CB_RECALLs among it.
        """
        before = len(self.callbacks)
        self.answer()
        return [
            codecFor(CB_RECALL4args).decode(callback.op, 4)[0]
            for callback in self.callbacks[before:]
            if callback.op[:4] == OP_CB_RECALL.to_bytes(4, "big")
        ]


class DelegationFixture(FileFixture):
    """
    The server of L{FileFixture} with all operations and with delegations.

    @ivar table: L{DelegationTable}; recalls: L{DelegationRecaller}.
    """

    def __init__(self, maximum: int = 100, **more: Any) -> None:
        more.setdefault("leaseSeconds", LEASE)
        super().__init__(**more)
        server = self.server
        self.compounds = CompoundServer(server, mdsTables())
        server.channels = BackChannels(self.clock, server.sessions)
        self.table = server.delegations = DelegationTable(
            server.stateids, maximum, windowSeconds=30.0
        )
        self.recalls = server.delegating = DelegationRecaller(server)
        server.clients.listeners.insert(0, self.recalls.clientGone)

    def holder(
        self, owner: bytes, minor: int = 2, back: bool = True, first: bool = True
    ) -> Holder:
        """
        A client, which answers callbacks unless it has no back channel.

        @param first: it has no session yet.
        """
        return Holder(self, owner, minor, back, first)

    def putfh(self, inode: Inode) -> bytes:
        """
        PUTFH.
        """
        return struct.pack(">I", 22) + opaque(self.fh(inode))

    def heldOf(self, inode: Inode) -> list[DelegationState]:
        """
        The delegations of a file.
        """
        state = inode.state
        return [] if state is None else list((state.delegations or {}).values())


class DelegationCase(SynchronousTestCase):
    """
    Two clients, C{one} and C{two}, which answer callbacks, and a file of everybody's.
    """

    maximum = 100

    def setUp(self) -> None:
        self.fixture = DelegationFixture(self.maximum)
        self.clock = self.fixture.clock
        self.table = self.fixture.table
        self.data: MemoryData = self.fixture.data
        self.one = self.fixture.holder(b"one")
        self.two = self.fixture.holder(b"two")
        self.file = self.fixture.make(b"file", 0o666)

    def tearDown(self) -> None:
        """
        No timer outlives the server.
        """
        self.fixture.recalls.stop()
        for holder in (self.one, self.two):
            holder.connection.connectionLost()
        self.clock.advance(11)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def readDelegation(self, holder: Optional[Holder] = None) -> bytes:
        """
        A client gets a read delegation: its stateid. It keeps the open.
        """
        opened = (holder or self.one).open(self.file, READ)
        self.assertEqual(opened.kind, READ_DELEG)
        self.opened = opened.stateid
        return opened.delegation.stateid

    def writeDelegation(self, holder: Optional[Holder] = None, want: int = 0) -> bytes:
        """
        A client gets a write delegation: its stateid. It keeps the open.
        """
        opened = (holder or self.one).open(self.file, 3, want)
        self.assertIn(opened.kind, (WRITE_DELEG, WRITE_ATTRS))
        self.opened = opened.stateid
        return opened.delegation.stateid


def delegreturn(stateid: bytes) -> bytes:
    """
    DELEGRETURN.
    """
    return struct.pack(">I16s", 8, stateid)


def freeStateid(stateid: bytes) -> bytes:
    """
    FREE_STATEID.
    """
    return struct.pack(">I16s", 45, stateid)


def testStateid(stateid: bytes) -> bytes:
    """
    TEST_STATEID of one.
    """
    return struct.pack(">II16s", 55, 1, stateid)


def readArgs(stateid: bytes) -> bytes:
    """
    READ of some bytes.
    """
    return struct.pack(">I16sQI", 25, stateid, 0, 100)


def writeArgs(stateid: bytes, data: bytes = b"data") -> bytes:
    """
    WRITE at the beginning.
    """
    return struct.pack(">I16sQI", 38, stateid, 0, 2) + opaque(data)


def setattrArgs(stateid: bytes, values: dict[int, bytes]) -> bytes:
    """
    SETATTR.
    """
    mask = encodeBitmap(sum(1 << number for number in values))
    encoded = b"".join(values[number] for number in sorted(values))
    return struct.pack(">I16s", 34, stateid) + mask + opaque(encoded)


def getattrArgs(*numbers: int) -> bytes:
    """
    GETATTR.
    """
    return struct.pack(">I", 9) + encodeBitmap(sum(1 << n for n in numbers))


def u64(value: int) -> bytes:
    """
    C{uint64_t}.
    """
    return struct.pack(">Q", value)


def time4(nanoseconds: int) -> bytes:
    """
    C{nfstime4}.
    """
    return struct.pack(">qI", nanoseconds // 10**9, nanoseconds % 10**9)


def pending(outcome: list[Any]) -> bool:
    """
    A COMPOUND that waits.
    """
    return not outcome


def finished(outcome: list[Any]) -> Reply:
    """
    A COMPOUND that has been answered; SEQUENCE and PUTFH have been taken.
    """
    reply: Reply = outcome[0]
    reply.takeSequence()
    reply.take(22)
    return reply
