"""
Tests for L{pnfs.nfs4.current.heldAttributes}: what is told of a file that another
client holds a write delegation of (RFC 8881, section 10.4.3; RFC 9754).
"""

from __future__ import annotations

import struct
from typing import Any

import attrs

from pnfs.callbacks.ops import OP_CB_GETATTR, OP_CB_RECALL
from pnfs.nfs4.requests import opaque
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import ANONYMOUS_STATEID, decodeBitmap, encodeBitmap
from pnfs.state.layouts import WHOLE_RW
from tests.nfs4.fixture import Reply
from tests.nfs4.ops.delegations import (
    ATIME,
    CHANGE,
    DELEG_ATIME,
    DELEG_MTIME,
    LEASE,
    MTIME,
    SIZE,
    TIMESTAMPS,
    DelegationCase,
    Holder,
    finished,
    getattrArgs,
    pending,
    setattrArgs,
    time4,
    u64,
)
from tests.nfs4.ops.files import READ, now

SECOND = 10**9
OPEN_ARGUMENTS = 86


@attrs.define
class Seen:
    """
    Attributes that a client has been told.
    """

    change: int
    size: int
    atime: int
    mtime: int


def seen(reply: Reply) -> Seen:
    """
    The result of GETATTR of change, size, atime and mtime.
    """
    status, _ = reply.take(9)
    assert not status, nfsstat4(status).name
    _, pos = decodeBitmap(reply.wire, reply.pos)
    change, size, asec, ansec, msec, mnsec = struct.unpack_from(
        ">QQqIqI", reply.wire, pos + 4
    )
    return Seen(change, size, asec * SECOND + ansec, msec * SECOND + mnsec)


class GetattrTests(DelegationCase):
    """
    C{one} holds a write delegation, C{two} asks for attributes.
    """

    def hold(self, want: int = 0) -> None:
        """
        C{one} gets it, and says that it has changed nothing.
        """
        self.held = self.writeDelegation(want=want)
        self.first = self.file.change
        self.says(self.first, 0)

    def says(self, change: int, size: int, **times: int) -> None:
        """
        What C{one} answers to CB_GETATTR.
        """
        self.one.attributes = {CHANGE: u64(change), SIZE: u64(size)}
        if times:
            self.one.attributes[DELEG_ATIME] = time4(times["atime"])
            self.one.attributes[DELEG_MTIME] = time4(times["mtime"])

    def begin(self, holder: Holder) -> list[Any]:
        """
        GETATTR.
        """
        return holder.send(
            self.fixture.putfh(self.file), getattrArgs(CHANGE, SIZE, ATIME, MTIME)
        )

    def ask(self) -> Seen:
        """
        C{two} asks; C{one} answers.
        """
        outcome = self.begin(self.two)
        self.assertTrue(pending(outcome))
        self.assertEqual(self.one.answer(), [OP_CB_GETATTR])
        return seen(finished(outcome))

    def test_unchanged(self) -> None:
        """
        A holder that has changed nothing says so: attributes are as they were.
        """
        self.hold()
        before = self.file.mtime
        self.clock.advance(1)
        self.assertEqual(self.ask().change, self.first)
        self.assertEqual(self.ask(), Seen(self.first, 0, self.file.atime, before))

    def test_changed(self) -> None:
        """
        What it has not written back yet counts; the change attribute grows each time
        somebody asks, since its holder does not count any further (chimera #1052: apply
        the 10.4.3 combine rule, strictly increasing change).
        """
        self.hold()
        self.says(self.first + 1, 4711)
        self.clock.advance(1)
        found = self.ask()
        self.assertEqual(found.size, 4711)
        self.assertGreater(found.change, self.first)
        self.assertEqual(found.mtime, self.fixture.server.wallTime())
        again = self.ask()
        self.assertGreater(again.change, found.change)

    def test_neverBack(self) -> None:
        """
        When the delegation has been returned the change attribute is not less than it
        was told before.
        """
        self.hold()
        self.says(self.first + 1, 10)
        told = self.ask().change
        self.one.give(self.file, self.held)
        found = seen(finished(self.begin(self.two)))
        self.assertGreaterEqual(found.change, told)

    def test_dataServersKnowMore(self) -> None:
        """
        The size is never less than what the data servers have.
        """
        self.hold()
        self.fixture.server.layouts.grant(
            self.file.state, self.one.client, 1, (b"u" * 16,), WHOLE_RW
        )
        now(self.fixture.backend.storeDataAttributes(self.file, 9000, 9000, None, None))
        self.says(self.first, 4711)
        self.assertEqual(self.ask().size, 9000)
        self.assertIn(("refresh",), self.data.calls)

    def test_ownGetattr(self) -> None:
        """
        The holder itself is told what the server knows, without being asked.
        """
        self.hold()
        self.assertEqual(seen(finished(self.begin(self.one))).change, self.file.change)
        self.assertEqual(self.one.answer(), [])

    def test_readDelegation(self) -> None:
        """
        The holder of a read delegation has nothing to tell.
        """
        self.readDelegation()
        self.assertFalse(pending(self.begin(self.two)))

    def test_otherAttributes(self) -> None:
        """
        Nobody is asked for what cannot have changed.
        """
        self.hold()
        reply = self.two.at(self.file, getattrArgs(1, 33))
        self.assertEqual(reply.status, 0)
        self.assertEqual(self.one.answer(), [])

    def test_onlyOnceForMany(self) -> None:
        """
        Many who ask at the same time share one callback.
        """
        self.hold()
        three = self.fixture.holder(b"three")
        self.says(self.first + 1, 5)
        waiting = [self.begin(self.two), self.begin(three)]
        self.assertEqual(self.one.answer(), [OP_CB_GETATTR])
        self.assertEqual([seen(finished(each)).size for each in waiting], [5, 5])
        three.connection.connectionLost()

    def test_silent(self) -> None:
        """
        A holder that does not answer in time has its delegation recalled; whoever
        asks is told to come again.
        """
        self.hold()
        self.one.deaf = True
        outcome = self.begin(self.two)
        self.clock.advance(2.1)
        self.assertEqual(outcome[0].status, nfsstat4.NFS4ERR_DELAY)
        self.assertIsNotNone(self.fixture.heldOf(self.file)[0].recall)

    def test_leaseOver(self) -> None:
        """
        A holder whose lease is over is not asked: it gives way.
        """
        self.hold()
        self.fixture.server.clients.courtesySeconds = 1000.0
        self.clock.advance(2 * LEASE)
        self.two.run()
        self.fixture.server.clients.expire(self.clock.seconds())
        self.assertEqual(self.table.count, 1)
        self.assertEqual(seen(finished(self.begin(self.two))).size, 0)
        self.assertEqual(self.table.count, 0)

    def test_refused(self) -> None:
        """
        So has one that answers with an error.
        """
        self.hold()
        self.one.status[OP_CB_GETATTR] = nfsstat4.NFS4ERR_BADHANDLE
        outcome = self.begin(self.two)
        self.assertEqual(self.one.answer(), [OP_CB_GETATTR, OP_CB_RECALL])
        self.assertEqual(outcome[0].status, nfsstat4.NFS4ERR_DELAY)

    def test_returnedMeanwhile(self) -> None:
        """
        One that returns the delegation before it answers is not believed any more.
        """
        self.hold()
        self.says(self.first + 1, 4711)
        outcome = self.begin(self.two)
        self.one.give(self.file, self.held)
        self.one.answer()
        found = seen(finished(outcome))
        self.assertEqual((found.size, found.change), (0, self.first))

    def test_malformed(self) -> None:
        """
        An answer that makes no sense is as good as none.
        """
        self.hold()
        self.one.attributes = {CHANGE: u64(1), SIZE: b"\0\0\0\1"}
        outcome = self.begin(self.two)
        self.one.answer()
        self.assertEqual(outcome[0].status, nfsstat4.NFS4ERR_DELAY)

    def test_readdir(self) -> None:
        """
        A listing tells the same size.
        """
        self.hold()
        self.fixture.make(b"other")
        self.says(self.first + 1, 4711)
        readdir = struct.pack(">IQ8sII", 26, 0, bytes(8), 4096, 4096)
        outcome = self.two.send(
            self.fixture.putfh(self.fixture.root), readdir + encodeBitmap(1 << SIZE)
        )
        self.assertEqual(self.one.answer(), [OP_CB_GETATTR])
        self.assertIn(encodeBitmap(1 << SIZE) + opaque(u64(4711)), outcome[0].wire)

    def test_readdirSilent(self) -> None:
        """
        A holder that does not answer hides no directory.
        """
        self.hold()
        self.one.deaf = True
        readdir = struct.pack(">IQ8sII", 26, 0, bytes(8), 4096, 4096)
        outcome = self.two.send(
            self.fixture.putfh(self.fixture.root), readdir + encodeBitmap(1 << SIZE)
        )
        self.clock.advance(2.1)
        self.assertEqual(outcome[0].status, 0)

    def test_timesOfHolder(self) -> None:
        """
        A holder that keeps the times is asked for them (RFC 9754, section 5), and one
        that does not is not.
        """
        self.hold(TIMESTAMPS)
        atime, mtime = self.file.atime + SECOND, self.file.mtime + 2 * SECOND
        self.clock.advance(5)
        self.says(self.first + 1, 5, atime=atime, mtime=mtime)
        self.assertEqual(self.ask(), Seen(self.file.change, 5, atime, mtime))
        mask, _ = decodeBitmap(self.one.callbacks[-1].op, 4 + 4 + 36)
        self.assertEqual(mask >> 84, 3)

    def test_timesInTheFuture(self) -> None:
        """
        A clock that is ahead does not count.
        """
        self.hold(TIMESTAMPS)
        late = self.fixture.server.wallTime() + 3600 * SECOND
        self.says(self.first + 1, 5, atime=late, mtime=late)
        found = self.ask()
        wall = self.fixture.server.wallTime()
        self.assertEqual((found.atime, found.mtime), (wall, wall))

    def test_timesInThePast(self) -> None:
        """
        Time does not go back.
        """
        self.hold(TIMESTAMPS)
        atime, mtime = self.file.atime, self.file.mtime
        self.says(self.first + 1, 5, atime=1, mtime=1)
        found = self.ask()
        self.assertEqual((found.atime, found.mtime), (atime, mtime))


class DelegatedTimesTests(DelegationCase):
    """
    SETATTR of the times that the holder of a delegation has kept (RFC 9754, section
    5): what Linux sends before DELEGRETURN.
    """

    def set(self, stateid: bytes, values: dict[int, bytes], holder: Any = None) -> str:
        """
        SETATTR: its status.
        """
        result: str = (holder or self.one).status_(
            self.file, setattrArgs(stateid, values)
        )
        return result

    def test_set(self) -> None:
        """
        The times are those that the client tells.
        """
        held = self.writeDelegation(want=TIMESTAMPS)
        atime, mtime = self.file.atime + 1 * SECOND, self.file.mtime + 2 * SECOND
        self.clock.advance(5)
        values = {DELEG_ATIME: time4(atime), DELEG_MTIME: time4(mtime)}
        reply = self.one.at(self.file, setattrArgs(held, values))
        self.assertEqual(reply.take(34), (0, None))
        self.assertEqual(decodeBitmap(reply.wire, reply.pos)[0], 3 << 84)
        self.assertEqual((self.file.atime, self.file.mtime), (atime, mtime))

    def test_neitherPastNorFuture(self) -> None:
        """
        Neither before what is known nor after the present.
        """
        held = self.writeDelegation(want=TIMESTAMPS)
        atime = self.file.atime
        self.clock.advance(5)
        wall = self.fixture.server.wallTime()
        values = {DELEG_ATIME: time4(1), DELEG_MTIME: time4(wall + SECOND)}
        self.assertEqual(self.set(held, values), "NFS4_OK")
        self.assertEqual((self.file.atime, self.file.mtime), (atime, wall))

    def test_withoutDelegation(self) -> None:
        """
        Only who holds such a delegation may tell.
        """
        values = {DELEG_MTIME: time4(SECOND)}
        plain = self.writeDelegation()
        for stateid in (ANONYMOUS_STATEID, self.opened, plain):
            self.assertEqual(self.set(stateid, values), "NFS4ERR_BAD_STATEID")

    def test_reader(self) -> None:
        """
        Who may only read cannot have written.
        """
        held = self.one.open(self.file, READ, TIMESTAMPS).delegation.stateid
        self.clock.advance(5)
        later = time4(self.file.mtime + SECOND)
        self.assertEqual(self.set(held, {DELEG_MTIME: later}), "NFS4ERR_OPENMODE")
        self.assertEqual(self.set(held, {DELEG_ATIME: later}), "NFS4_OK")

    def test_alone(self) -> None:
        """
        They are not set together with others.
        """
        held = self.writeDelegation(want=TIMESTAMPS)
        values = {33: struct.pack(">I", 0o600), DELEG_MTIME: time4(SECOND)}
        self.assertEqual(self.set(held, values), "NFS4ERR_INVAL")

    def test_malformed(self) -> None:
        """
        Truncated, too many nanoseconds, too long.
        """
        held = self.writeDelegation(want=TIMESTAMPS)
        for value, status in (
            (b"\0" * 8, "NFS4ERR_BADXDR"),
            (struct.pack(">qI", 1, SECOND), "NFS4ERR_INVAL"),
            (b"\0" * 16, "NFS4ERR_BADXDR"),
        ):
            self.assertEqual(self.set(held, {DELEG_MTIME: value}), status)

    def test_notReadable(self) -> None:
        """
        They are no attributes to ask for.
        """
        status = self.one.status_(self.file, getattrArgs(DELEG_MTIME))
        self.assertEqual(status, "NFS4ERR_INVAL")


class OpenArgumentsTests(DelegationCase):
    """
    C{open_arguments} (RFC 9754, section 4): what a client may ask for in OPEN.
    """

    def wants(self) -> int:
        """
        The bitmap of wants.
        """
        reply = self.one.at(self.file, getattrArgs(OPEN_ARGUMENTS))
        self.assertEqual(reply.take(9), (0, None))
        _, pos = decodeBitmap(reply.wire, reply.pos)
        access, pos = decodeBitmap(reply.wire, pos + 4)
        deny, pos = decodeBitmap(reply.wire, pos)
        wants, pos = decodeBitmap(reply.wire, pos)
        claims, pos = decodeBitmap(reply.wire, pos)
        modes, pos = decodeBitmap(reply.wire, pos)
        self.assertEqual((access, deny, claims, modes), (0xE, 0xF, 0x37, 0xF))
        return wants

    def test_told(self) -> None:
        """
        Linux keeps times, and does without open stateids, if it is told that it may.
        """
        expected = sum(1 << bit for bit in (3, 4, 5, 17, 18, 20, 21))
        self.assertEqual(self.wants(), expected)

    def test_withoutDelegations(self) -> None:
        """
        Where there are none there is nothing to want.
        """
        self.fixture.export.delegations = False
        self.assertEqual(self.wants(), 1 << 4 | 1 << 5)

    def test_earlierMinorVersion(self) -> None:
        """
        NFSv4.1 has no such attribute, nor the delegated times.
        """
        three = self.fixture.holder(b"three", minor=1)
        reply = three.at(self.file, getattrArgs(0))
        reply.take(9)
        _, pos = decodeBitmap(reply.wire, reply.pos)
        supported, _ = decodeBitmap(reply.wire, pos + 4)
        self.assertEqual(supported >> 84, 0)
        three.connection.connectionLost()
