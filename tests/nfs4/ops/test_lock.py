"""
Tests for L{pnfs.nfs4.ops.lock}, L{pnfs.nfs4.ops.lockt} and L{pnfs.nfs4.ops.locku}.
"""

from __future__ import annotations

import struct
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import pnfs.state.waiting
from pnfs.backends.metadata.recovery import MemoryRecoveryStore
from pnfs.nfs4.ops.lock import LOCK4args, lock
from pnfs.nfs4.ops.lockt import LOCKT4args, lockt
from pnfs.nfs4.ops.locku import LOCKU4args, locku
from pnfs.nfs4.requests import opaque
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import CURRENT_STATEID
from pnfs.state.waiting import PER_FILE, TURN_SECONDS, WaitingTable
from pnfs.values import NFS4_UINT64_MAX as ALL
from pnfs.values import FileType, Inode
from pnfs.xdr.codec import codecFor
from pnfs.xdr.errors import XDRError
from tests.nfs4.ops.files import (
    BOTH,
    CLAIM_FH,
    CLAIM_PREVIOUS,
    READ,
    WRITE,
    FileFixture,
    Opened,
    closeArgs,
    lockMore,
    lockNew,
    openArgs,
)

READ_LT, WRITE_LT, READW_LT, WRITEW_LT = 1, 2, 3, 4


def locktArgs(locktype: int, offset: int, length: int, owner: bytes) -> bytes:
    """
    LOCKT.
    """
    return struct.pack(">IIQQQ", 13, locktype, offset, length, 99) + opaque(owner)


def lockuArgs(stateid: bytes, offset: int, length: int, locktype: int = 1) -> bytes:
    """
    LOCKU.
    """
    return struct.pack(">III16sQQ", 14, locktype, 0, stateid, offset, length)


class LockMixin:
    """
    A file to lock, and how.
    """

    fixture: FileFixture
    inode: Inode
    stateid: bytes

    def open(self, access: int, owner: bytes = b"o", claim: bytes = CLAIM_FH) -> bytes:
        """
        Open the file. @return: the stateid.
        """
        arguments = openArgs(access=access, owner=owner, claim=claim)
        return Opened(self.fixture.at(self.inode, arguments)).stateid

    def operate(self, number: int, wire: bytes) -> tuple[str, bytes]:
        """
        Run an operation. @return: status and what follows.
        """
        reply = self.fixture.at(self.inode, wire)
        status = nfsstat4(reply.take(number)[0])
        operation = {12: lock, 13: lockt, 14: locku}[number]
        if status:
            assert status in operation.errors, status
        return status.name.removeprefix("NFS4ERR_"), reply.rest

    def lock(
        self, locktype: int, offset: int, length: int, owner: bytes = b"l"
    ) -> bytes:
        """
        Lock through the open. @return: the lock stateid.
        """
        status, rest = self.operate(
            12, lockNew(self.stateid, locktype, offset, length, owner)
        )
        assert (status, len(rest)) == ("NFS4_OK", 16), status
        return rest


class LockTests(LockMixin, SynchronousTestCase):
    """
    Byte-range locks of two clients on one file.
    """

    def setUp(self) -> None:
        self.fixture = FileFixture()
        self.fixture.mount()
        self.inode = self.fixture.make(b"file", 0o666)
        self.stateid = self.open(BOTH)
        self.other = self.fixture.another(b"second")

    def test_lock(self) -> None:
        """
        The first lock makes a stateid; further ones, and unlocking, move its seqid. An
        owner that says again that it is new goes on with it, whatever the sequence ids
        of NFSv4.0 are (new_lock_owner on an existing owner: chimera #969; RFC 8881,
        section 18.10.3).
        """
        stateid = self.lock(WRITE_LT, 0, 10)
        self.assertEqual(stateid[:4], b"\0\0\0\1")
        status, second = self.operate(12, lockMore(stateid, READ_LT, 20, ALL))
        self.assertEqual((status, second), ("NFS4_OK", b"\0\0\0\2" + stateid[4:]))
        status, third = self.operate(14, lockuArgs(second, 0, ALL))
        self.assertEqual((status, third), ("NFS4_OK", b"\0\0\0\3" + stateid[4:]))
        self.assertEqual(self.operate(14, lockuArgs(second, 0, 1))[0], "OLD_STATEID")
        again = self.lock(WRITE_LT, 0, 1)
        self.assertEqual(again, b"\0\0\0\4" + stateid[4:])
        wire = bytearray(lockNew(self.stateid, WRITE_LT, 0, 1, b"l"))
        struct.pack_into(">I16sI", wire, 32, 77, self.stateid, 78)
        status, last = self.operate(12, bytes(wire))
        self.assertEqual((status, last), ("NFS4_OK", b"\0\0\0\5" + stateid[4:]))

    def test_denied(self) -> None:
        """
        Who is refused learns the range, the kind and the owner of the lock in the way,
        and may ask beforehand (denied reply names the owner: chimera #968; LOCKT uses
        the session's client id, not that of its arguments: chimera #1076).
        """
        self.lock(WRITE_LT, 10, 10, b"holder")
        holder = struct.pack(">QQIQ", 10, 10, 2, self.fixture.clientid) + opaque(
            b"holder"
        )
        with self.other:
            stateid = self.open(BOTH)
            for locktype in (READ_LT, WRITE_LT, READW_LT, WRITEW_LT):
                for number, wire in (
                    (12, lockNew(stateid, locktype, 0, ALL)),
                    (13, locktArgs(locktype, 0, ALL, b"holder")),
                ):
                    self.assertEqual(self.operate(number, wire), ("DENIED", holder))
            self.assertEqual(
                self.operate(13, locktArgs(2, 0, 10, b"x")), ("NFS4_OK", b"")
            )
        self.assertEqual(
            self.operate(13, locktArgs(2, 0, ALL, b"holder")), ("NFS4_OK", b"")
        )

    def test_ranges(self) -> None:
        """
        Empty ranges and those beyond 64 bits are invalid everywhere.
        """
        stateid = self.lock(WRITE_LT, 0, 10)
        for offset, length in ((0, 0), (ALL, 1), (2, ALL - 1)):
            for number, wire in (
                (12, lockNew(self.stateid, 1, offset, length)),
                (13, locktArgs(1, offset, length, b"x")),
                (14, lockuArgs(stateid, offset, length)),
            ):
                self.assertEqual(self.operate(number, wire)[0], "INVAL")
        self.lock(WRITE_LT, ALL, ALL)

    def test_openMode(self) -> None:
        """
        A write lock needs a file opened for writing (write lock needs write open:
        chimera #966).
        """
        stateid = self.open(READ, b"reader")
        self.assertEqual(
            self.operate(12, lockNew(stateid, WRITE_LT, 0, 1))[0], "OPENMODE"
        )
        self.assertEqual(
            self.operate(12, lockNew(stateid, READ_LT, 0, 1))[0], "NFS4_OK"
        )
        stateid = self.open(WRITE, b"writer")
        self.assertEqual(
            self.operate(12, lockNew(stateid, READ_LT, 0, 1, b"m"))[0], "OPENMODE"
        )

    def test_foreignStateid(self) -> None:
        """
        Stateids of other clients, and of the wrong kind, lock nothing (stateid must
        belong to the caller's client: chimera #967).
        """
        stateid = self.lock(WRITE_LT, 0, 10)
        for wire in (
            lockNew(stateid, 1, 50, 1),
            lockMore(self.stateid, 1, 50, 1),
            lockNew(bytes(16), 1, 50, 1),
            lockNew(CURRENT_STATEID, 1, 50, 1),
        ):
            self.assertEqual(self.operate(12, wire)[0], "BAD_STATEID")
        self.assertEqual(
            self.operate(14, lockuArgs(self.stateid, 0, 1))[0], "BAD_STATEID"
        )
        with self.other:
            self.assertEqual(
                self.operate(12, lockNew(self.stateid, 1, 50, 1))[0], "BAD_STATEID"
            )
            self.assertEqual(
                self.operate(14, lockuArgs(stateid, 0, 9))[0], "BAD_STATEID"
            )

    def test_kinds(self) -> None:
        """
        Only regular files have locks (LOCKT on directory and other types: chimera #307,
        #368).
        """
        for ftype, status in (
            (FileType.DIR, nfsstat4.NFS4ERR_ISDIR),
            (FileType.LNK, nfsstat4.NFS4ERR_SYMLINK),
            (FileType.FIFO, nfsstat4.NFS4ERR_WRONG_TYPE),
        ):
            inode = self.fixture.make(b"%d" % ftype, ftype=ftype)
            for number, wire in (
                (12, lockNew(self.stateid, 1, 0, 1)),
                (13, locktArgs(1, 0, 1, b"x")),
            ):
                reply = self.fixture.at(inode, wire)
                self.assertEqual(reply.take(number)[0], status)

    def test_malformed(self) -> None:
        """
        Every truncation and every lock type that does not exist is BADXDR.
        """
        for cls, wire in (
            (LOCK4args, lockNew(self.stateid, 1, 0, 1)),
            (LOCKT4args, locktArgs(1, 0, 1, b"x")),
            (LOCKU4args, lockuArgs(self.stateid, 0, 1)),
        ):
            decode = codecFor(cls).decode
            self.assertEqual(decode(wire, 4)[1], len(wire))
            for length in range(4, len(wire), 4):
                self.assertRaises(XDRError, decode, wire[:length], 4)
        for number, wire in (
            (12, lockNew(self.stateid, 5, 0, 1)),
            (13, locktArgs(0, 0, 1, b"x")),
            (14, lockuArgs(self.stateid, 0, 1, 7)),
        ):
            self.assertEqual(self.operate(number, wire)[0], "BADXDR")

    def test_noGrace(self) -> None:
        """
        Without a restart there is nothing to reclaim (LOCK reclaim flag honoured,
        NO_GRACE: chimera #1075).
        """
        self.assertEqual(
            self.operate(12, lockNew(self.stateid, 1, 0, 1, reclaim=1))[0], "NO_GRACE"
        )


class BlockingTests(LockMixin, SynchronousTestCase):
    """
    Locks that somebody waits for (RFC 8881, section 9.6).
    """

    def setUp(self) -> None:
        self.fixture = FileFixture()
        server = self.fixture.server
        self.clock = self.fixture.clock
        self.waiting = server.waiting = WaitingTable(self.clock, 90.0)
        self.turns: list[bytes] = []
        self.waiting.onTurn = lambda waiter: self.turns.append(waiter.owner)
        self.fixture.mount()
        self.inode = self.fixture.make(b"file", 0o666)
        self.stateid = self.open(BOTH)
        self.second = self.fixture.another(b"second")
        self.third = self.fixture.another(b"third")

    def ask(
        self,
        who: Any,
        locktype: int = WRITEW_LT,
        offset: int = 0,
        length: int = ALL,
        owner: bytes = b"",
    ) -> str:
        """
        A client asks for a lock; by default its owner has the client's name.
        """
        with who:
            client = self.fixture.client.owner
            stateid = self.open(BOTH)
            wire = lockNew(stateid, locktype, offset, length, owner or client)
            return self.operate(12, wire)[0]

    def unlock(self, stateid: bytes, offset: int = 0, length: int = ALL) -> None:
        """
        The first client unlocks.
        """
        self.assertEqual(
            self.operate(14, lockuArgs(stateid, offset, length))[0], "NFS4_OK"
        )

    def test_inOrder(self) -> None:
        """
        Who has waited longest gets the lock, though others ask before: the range
        is kept for it, against those who do not wait as well.
        """
        held = self.lock(WRITE_LT, 0, ALL)
        self.assertEqual(self.ask(self.second), "DENIED")
        self.assertEqual(self.ask(self.third), "DENIED")
        self.unlock(held)
        self.assertEqual(self.ask(self.third), "DENIED")
        self.assertEqual(self.ask(self.third, WRITE_LT, 5, 1), "DENIED")
        self.assertEqual(self.turns, [b"second"])
        self.assertEqual(self.ask(self.second), "NFS4_OK")
        self.assertEqual(self.turns, [b"second"])

    def test_tested(self) -> None:
        """
        LOCKT says whose turn it is.
        """
        held = self.lock(WRITE_LT, 0, ALL)
        self.ask(self.second, WRITEW_LT, 7, 5)
        self.unlock(held)
        with self.second:
            clientid = self.fixture.clientid
        status, body = self.operate(13, locktArgs(1, 0, ALL, b"x"))
        self.assertEqual(status, "DENIED")
        self.assertEqual(
            body, struct.pack(">QQIQ", 7, 5, 2, clientid) + opaque(b"second")
        )
        self.assertEqual(self.operate(13, locktArgs(2, 0, 7, b"x"))[0], "NFS4_OK")

    def test_toldInItsTurn(self) -> None:
        """
        A waiter is told when the lock in its way has gone, not before.
        """
        held = self.lock(WRITE_LT, 0, 10)
        self.ask(self.second, READW_LT, 5, 10)
        self.unlock(held, 0, 7)
        self.clock.advance(0)
        self.assertEqual(self.turns, [])
        self.unlock(held[:3] + b"\2" + held[4:], 7, 3)
        self.clock.advance(0)
        self.assertEqual(self.turns, [b"second"])

    def test_readersTogether(self) -> None:
        """
        Readers get their turn at the same time.
        """
        held = self.lock(WRITE_LT, 0, 10)
        self.ask(self.second, READW_LT)
        self.ask(self.third, READW_LT)
        self.ask(self.third, WRITEW_LT, owner=b"writer")
        self.unlock(held)
        self.clock.advance(0)
        self.assertEqual(self.turns, [b"second", b"third"])
        self.assertEqual(self.ask(self.third, READW_LT), "NFS4_OK")
        self.assertEqual(self.ask(self.second, READW_LT), "NFS4_OK")
        self.assertEqual(self.turns, [b"second", b"third"])

    def test_downgrade(self) -> None:
        """
        A writer that goes on as a reader lets readers in.
        """
        held = self.lock(WRITE_LT, 0, 10)
        self.ask(self.second, READW_LT)
        self.operate(12, lockMore(held, READ_LT, 0, 10))
        self.clock.advance(0)
        self.assertEqual(self.turns, [b"second"])

    def test_missedTurn(self) -> None:
        """
        Who does not come in its turn loses it: the next is told, and what nobody
        comes for is free again.
        """
        held = self.lock(WRITE_LT, 0, ALL)
        self.ask(self.second)
        self.ask(self.third)
        self.unlock(held)
        self.clock.advance(0)
        self.clock.advance(TURN_SECONDS)
        self.clock.advance(0)
        self.assertEqual(self.turns, [b"second", b"third"])
        self.assertEqual(self.ask(self.second), "DENIED")
        self.clock.advance(TURN_SECONDS)
        self.clock.advance(0)
        self.assertEqual(self.turns, [b"second", b"third", b"second"])
        self.clock.advance(TURN_SECONDS)
        self.assertEqual(self.ask(self.third, WRITE_LT), "NFS4_OK")
        self.assertEqual(self.waiting.queues, set())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closed(self) -> None:
        """
        A process that is killed while it waits closes the file, and keeps nobody
        waiting.
        """
        held = self.lock(WRITE_LT, 0, ALL)
        self.ask(self.second)
        self.ask(self.third)
        self.unlock(held)
        self.clock.advance(0)
        with self.second:
            stateid = self.open(BOTH)
            self.fixture.at(self.inode, closeArgs(stateid))
        self.clock.advance(0)
        self.assertEqual(self.turns, [b"second", b"third"])

    def test_holderGone(self) -> None:
        """
        The locks of a client that is gone are had by who waits.
        """
        self.lock(WRITE_LT, 0, ALL, b"one")
        self.ask(self.second)
        self.fixture.server.clients.revoke(self.fixture.client)
        self.clock.advance(0)
        self.assertEqual(self.turns, [b"second"])

    def test_waiterGone(self) -> None:
        """
        A client that is gone waits for nothing.
        """
        self.lock(WRITE_LT, 0, ALL)
        self.ask(self.second)
        with self.second:
            self.fixture.server.clients.revoke(self.fixture.client)
        self.assertEqual(self.waiting.queues, set())
        self.assertIsNone(self.inode.state.waiters)

    def test_gaveUp(self) -> None:
        """
        Who has not asked again for long has given up.
        """
        held = self.lock(WRITE_LT, 0, ALL)
        self.ask(self.second)
        self.clock.advance(60)
        self.ask(self.third)
        self.clock.advance(40)
        self.unlock(held)
        self.clock.advance(0)
        self.assertEqual(self.turns, [b"third"])

    def test_notBlocking(self) -> None:
        """
        Who does not want to wait is not told of anything.
        """
        held = self.lock(WRITE_LT, 0, ALL)
        self.ask(self.second, WRITE_LT)
        self.ask(self.third, READ_LT)
        self.unlock(held)
        self.clock.advance(0)
        self.assertEqual(self.turns, [])

    def test_bounded(self) -> None:
        """
        A client cannot fill the server's memory with locks it waits for; when the
        queue is full it has to ask again, as without one.
        """
        self.lock(WRITE_LT, 0, ALL)
        for number in range(PER_FILE + 5):
            self.ask(self.second, WRITEW_LT, number, 1)
        self.assertEqual(len(self.inode.state.waiters.waiters), PER_FILE)
        self.clock.advance(91)
        self.fixture.run()
        self.ask(self.third)
        self.assertEqual(len(self.inode.state.waiters.waiters), 1)
        self.patch(pnfs.state.waiting, "PER_CLIENT", 2)
        for number in range(5):
            self.ask(self.second, WRITEW_LT, number, 1)
        self.assertEqual(len(self.inode.state.waiters.waiters), 3)

    def test_stop(self) -> None:
        """
        A server that stops leaves no timer behind.
        """
        held = self.lock(WRITE_LT, 0, ALL)
        self.ask(self.second)
        self.ask(self.third)
        self.unlock(held)
        self.clock.advance(0)
        self.waiting.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ReclaimTests(LockMixin, SynchronousTestCase):
    """
    Locks after a restart.
    """

    def setUp(self) -> None:
        store = MemoryRecoveryStore()
        store.beginEpoch()
        for owner in (b"client", b"second"):
            store.addClient(owner)
        self.fixture = FileFixture(store=store)
        self.inode = self.fixture.make(b"file", 0o666)
        self.fixture.mount(reclaimComplete=False)
        self.stateid = self.open(BOTH, claim=CLAIM_PREVIOUS)

    def test_grace(self) -> None:
        """
        During the grace period only what was held before is locked (LOCK reclaim flag
        honoured, GRACE: chimera #1075).
        """
        self.assertEqual(self.operate(12, lockNew(self.stateid, 1, 0, 1))[0], "GRACE")
        self.assertEqual(self.operate(13, locktArgs(1, 0, 1, b"x"))[0], "GRACE")
        wire = lockNew(self.stateid, 2, 0, 10, reclaim=1)
        self.assertEqual(self.operate(12, wire)[0], "NFS4_OK")

    def test_conflict(self) -> None:
        """
        Two clients cannot both reclaim one lock.
        """
        self.operate(12, lockNew(self.stateid, 2, 0, 10, reclaim=1))
        self.fixture.mount(b"second", reclaimComplete=False)
        stateid = self.open(BOTH, claim=CLAIM_PREVIOUS)
        wire = lockNew(stateid, 2, 5, 10, reclaim=1)
        self.assertEqual(self.operate(12, wire)[0], "RECLAIM_CONFLICT")
