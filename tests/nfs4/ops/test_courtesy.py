"""
Tests for L{pnfs.nfs4.ops.courtesy}: clients whose lease is over.
"""

from __future__ import annotations

import struct
from typing import Any, Callable

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import IOFailed
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.ops.courtesy import sharesGiveWay
from pnfs.nfs4.ops.destroy_session import DESTROY_SESSION4args
from pnfs.nfs4.ops.unlinked import stateDropper
from pnfs.nfs4.requests import putfh
from pnfs.nfs4.status import nfsstat4
from pnfs.state.errors import Delay
from pnfs.state.opens import denied
from pnfs.state.stateids import State
from pnfs.values import NFS4_UINT64_MAX as ALL
from tests.nfs4.fixture import args, sequenceArgs
from tests.nfs4.layoutfixture import LayoutFixture
from tests.nfs4.ops.files import (
    BOTH,
    CLAIM_FH,
    READ,
    WRITE,
    FileFixture,
    Opened,
    closeArgs,
    lockNew,
    openArgs,
)
from tests.nfs4.ops.test_lock import locktArgs, lockuArgs

READ_LT, WRITE_LT = 1, 2
ANONYMOUS = bytes(16)


class CourtesyTests(SynchronousTestCase):
    """
    A client that holds something on a file and falls silent, and another one.
    """

    def setUp(self) -> None:
        self.fixture = FileFixture()
        self.clients = self.fixture.server.clients
        self.clients.courtesySeconds = 86400.0
        self.inode = self.fixture.make(b"file", 0o666)
        self.fixture.mount()
        self.first = self.fixture.client

    def open(self, access: int, deny: int = 0, owner: bytes = b"o") -> Any:
        """
        OPEN of the file. @return: the stateid, or the name of the status.
        """
        wire = openArgs(access=access, deny=deny, owner=owner, claim=CLAIM_FH)
        reply = self.fixture.at(self.inode, wire)
        if reply.status:
            return nfsstat4(reply.status).name.removeprefix("NFS4ERR_")
        return Opened(reply).stateid

    def status(self, *ops: bytes) -> str:
        """
        The status of operations on the file.
        """
        status = self.fixture.at(self.inode, *ops).status
        return nfsstat4(status).name.removeprefix("NFS4ERR_")

    def wait(self, seconds: float = 91.0) -> None:
        """
        Time goes by, and the server looks after its clients.
        """
        self.fixture.clock.advance(seconds)
        self.clients.expire(self.fixture.clock.seconds())

    def other(self) -> None:
        """
        From now on another client acts.
        """
        self.fixture.mount(b"second")

    def states(self) -> list[State]:
        """
        What the first client holds.
        """
        opens = list(self.first.opens)
        return [
            *opens,
            *(lock for each in opens for lock in (each.locks or {}).values()),
        ]

    def test_comesBack(self) -> None:
        """
        A client that was away for hours unlocks and closes what it had, in its old
        session ("Courteous: keep until conflict", chimera #549).
        """
        stateid = self.open(BOTH)
        reply = self.fixture.at(self.inode, lockNew(stateid, WRITE_LT, 0, ALL))
        reply.take(12)
        lock = reply.rest[:16]
        self.wait(36000.0)
        self.assertEqual(self.status(lockuArgs(lock, 0, ALL)), "NFS4_OK")
        self.assertEqual(self.status(closeArgs(stateid)), "NFS4_OK")
        self.assertFalse(self.clients.silent(self.first, self.fixture.clock.seconds()))

    def test_newSession(self) -> None:
        """
        Likewise one that has lost its session and makes another (CREATE_SESSION revives
        courtesy clients: chimera #516).
        """
        stateid = self.open(BOTH)
        fixture = self.fixture
        fixture.compound(args(44, DESTROY_SESSION4args(fixture.sessionid)))
        self.wait(36000.0)
        status, made = fixture.createSession(fixture.clientid, 2)
        self.assertEqual(status, 0)
        fixture.sessionid, fixture.sequenceid = made.csr_sessionid, 0
        self.assertFalse(self.clients.silent(self.first, fixture.clock.seconds()))
        self.assertEqual(self.status(closeArgs(stateid)), "NFS4_OK")

    def test_share(self) -> None:
        """
        A share reservation of a silent client is nobody's obstacle, neither its
        denial nor what it has open.
        """
        for access, deny, wanted, against in (
            (READ, WRITE, WRITE, 0),
            (WRITE, 0, READ, WRITE),
            (BOTH, 3, BOTH, 3),
        ):
            self.fixture.mount(b"away %d%d" % (access, deny))
            self.assertIsInstance(self.open(access, deny), bytes)
            away = self.fixture.client
            self.fixture.mount(b"here %d%d" % (access, deny))
            self.assertEqual(self.open(wanted, against), "SHARE_DENIED")
            self.wait()
            self.fixture.mount(b"new %d%d" % (access, deny))
            stateid = self.open(wanted, against)
            self.assertIsInstance(stateid, bytes)
            self.assertNotIn(away, list(self.clients))
            self.assertEqual(self.status(closeArgs(stateid)), "NFS4_OK")

    def test_purged(self) -> None:
        """
        One that has lost all is told so by the end of its session and client ID, before
        it could use a stateid (a purged client's stateids answer EXPIRED, not BAD:
        chimera #320; here none of them gets as far as that).
        """
        stateid = self.open(READ, WRITE)
        fixture = self.fixture
        old = fixture.clientid, fixture.sessionid, fixture.sequenceid
        self.wait()
        self.other()
        self.assertIsInstance(self.open(WRITE), bytes)
        clientid, sessionid, sequenceid = old
        reply = fixture.compound(
            sequenceArgs(sessionid, sequenceid + 1),
            putfh(fixture.fh(self.inode)),
            closeArgs(stateid),
        )
        self.assertEqual((reply.count, reply.status), (1, nfsstat4.NFS4ERR_BADSESSION))
        status, _ = fixture.createSession(clientid, 2)
        self.assertEqual(status, nfsstat4.NFS4ERR_STALE_CLIENTID)

    def test_noConflict(self) -> None:
        """
        Who shares the file with a silent client takes nothing from it.
        """
        self.open(BOTH, 0)
        self.wait()
        self.other()
        self.assertIsInstance(self.open(BOTH, 0), bytes)
        self.assertEqual(len(self.states()), 1)
        self.assertEqual(len(self.clients), 2)

    def test_somebodyElse(self) -> None:
        """
        While a client that is alive is in the way too, the silent one keeps all.
        """
        self.open(READ, 0)
        self.wait(50.0)
        self.other()
        self.assertIsInstance(self.open(READ, 0), bytes)
        self.wait(50.0)
        self.fixture.mount(b"third")
        self.assertEqual(self.open(READ, READ), "SHARE_DENIED")
        self.assertEqual(len(self.states()), 1)

    def test_ownConflict(self) -> None:
        """
        A client's own reservation is in its own way, however long ago it spoke.
        """
        self.open(READ, WRITE, b"one")
        self.fixture.clock.advance(500.0)
        self.assertEqual(self.open(WRITE, 0, b"two"), "SHARE_DENIED")
        self.assertEqual(len(self.states()), 1)

    def test_lock(self) -> None:
        """
        A silent client's byte-range lock goes to whoever asks for it; F_GETLK does
        not name it any more.
        """
        for ask in ("LOCK", "LOCKT"):
            self.fixture.mount(b"away " + ask.encode())
            stateid = self.open(BOTH)
            self.assertEqual(self.status(lockNew(stateid, WRITE_LT, 0, 10)), "NFS4_OK")
            away = self.fixture.client
            self.fixture.mount(b"here " + ask.encode())
            mine = self.open(BOTH)
            wire = {
                "LOCK": lockNew(mine, READ_LT, 9, 5, b"me"),
                "LOCKT": locktArgs(READ_LT, 9, 5, b"me"),
            }[ask]
            self.assertEqual(self.status(wire), "DENIED")
            self.fixture.clock.advance(60.0)
            self.status()
            self.wait(60.0)
            self.assertEqual(self.status(wire), "NFS4_OK")
            self.assertNotIn(away, list(self.clients))
            self.clients.revoke(self.fixture.client)

    def test_specialStateid(self) -> None:
        """
        A silent client's denial does not keep others from reading either.
        """
        self.open(BOTH, READ)
        self.other()
        wire = struct.pack(">I16sQI", 25, ANONYMOUS, 0, 10)
        self.assertEqual(self.status(wire), "LOCKED")
        self.fixture.clock.advance(60.0)
        self.status()
        self.wait(60.0)
        self.assertEqual(self.status(wire), "NFS4_OK")

    def test_strickenFirst(self) -> None:
        """
        The conflicting request is not served before it is recorded that the silent
        client may not reclaim (the first edge condition of RFC 8881, section 8.4.3).
        """
        self.open(READ, WRITE)
        self.assertIn(b"client", self.fixture.store.clients())
        self.wait()
        self.other()

        def fail(owners: Any) -> None:
            raise IOFailed()

        patch = self.patch(self.fixture.store, "removeClients", fail)
        self.assertEqual(self.open(WRITE), "DELAY")
        self.assertEqual(len(self.states()), 1)
        patch.restore()
        self.assertIsInstance(self.open(WRITE), bytes)
        self.assertNotIn(b"client", self.fixture.store.clients())

    def test_removedFile(self) -> None:
        """
        A file that only a silent client's open kept is gone when that gives way.
        """
        fh = self.fixture.fh(self.inode)
        self.open(READ, WRITE)
        self.inode.state.unlinked = True
        self.inode.nlink = 0
        self.wait()
        self.other()
        reply = self.fixture.run(
            struct.pack(">II", 22, len(fh)) + fh + bytes(-len(fh) % 4),
            openArgs(access=WRITE, claim=CLAIM_FH),
        )
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_STALE)
        self.assertIsNone(self.inode.state)


class ManyOpensTests(SynchronousTestCase):
    """
    A client that goes has so much open that it cannot all be dropped at once.
    """

    def setUp(self) -> None:
        fixture = self.fixture = FileFixture()
        self.clients = fixture.server.clients
        self.turns: list[Callable[[], None]] = []
        self.clients.listeners.pop()
        self.clients.listeners.append(stateDropper(fixture.server, self.turns.append))
        self.files = [fixture.make(b"%d" % number, 0o666) for number in range(100)]
        fixture.mount()
        self.first = fixture.client
        for number, inode in enumerate(self.files):
            self.open(inode, 3 if number else 0)

    def open(self, inode: Any, deny: int = 0) -> Any:
        """
        OPEN of a file to read and write, and a lock on all of it.

        @return: the status.
        """
        wire = openArgs(access=BOTH, deny=deny, claim=CLAIM_FH)
        reply = self.fixture.at(inode, wire)
        if reply.status:
            return reply.status
        locked = lockNew(Opened(reply).stateid, WRITE_LT, 0, ALL)
        return self.fixture.at(inode, locked).status

    def test_bitByBit(self) -> None:
        """
        It goes in pieces, so that requests of others are served in between; in the end
        nothing is left.
        """
        self.clients.revoke(self.first)
        counts = []
        while self.turns:
            self.turns.pop(0)()
            counts.append(self.fixture.server.opens.count)
        self.assertEqual(counts, [68, 36, 4, 0])
        self.assertEqual([inode.state for inode in self.files], [None] * 100)

    def test_nobodyWaits(self) -> None:
        """
        Who wants a file that has not been reached yet gets it, whatever the client that
        is gone had denied or locked there; also that client's next incarnation, and
        what it then opens and locks stays.
        """
        self.clients.revoke(self.first)
        self.fixture.mount(b"second")
        self.assertEqual(self.open(self.files[0]), 0)
        self.assertEqual(self.open(self.files[1], 3), 0)
        self.fixture.mount()
        self.assertEqual(self.open(self.files[2]), 0)
        self.assertEqual(self.open(self.files[0]), nfsstat4.NFS4ERR_DENIED)
        self.assertEqual(self.open(self.files[1]), nfsstat4.NFS4ERR_SHARE_DENIED)
        while self.turns:
            self.turns.pop(0)()
        left = [inode for inode in self.files if inode.state is not None]
        self.assertEqual(left, self.files[:3])
        self.assertEqual(self.fixture.server.opens.count, 4)


class LayoutCourtesyTests(SynchronousTestCase):
    """
    A silent client with a layout for writing.
    """

    def setUp(self) -> None:
        self.fixture = LayoutFixture(leaseSeconds=10.0)
        clients = self.fixture.server.clients
        clients.courtesySeconds = 86400.0
        clients.listeners.append(stateDropper(self.fixture.server))
        self.fixture.hold()
        self.first = self.fixture.client
        self.fixture.clock.advance(11.0)
        self.fixture.server.clients.expire(self.fixture.clock.seconds())

    def test_recall(self) -> None:
        """
        Whoever needs the layout back does not wait for a client that is away: it is
        not even called. The file is fenced, and the client gone.
        """
        self.assertEqual(len(self.first.layouts), 1)
        gate = self.fixture.data.pause = Deferred()
        with self.fixture.other():
            done = self.fixture.recaller.recallLayouts(self.fixture.state, "truncate")
            self.assertEqual(self.fixture.recalled, [])
            self.assertEqual(self.fixture.data.calls[-1], "fence")
            self.assertNoResult(done)
            self.assertNotIn(self.first, list(self.fixture.server.clients))
            self.fixture.data.pause = None
            gate.callback(None)
            self.successResultOf(done)

    def test_fencedFirst(self) -> None:
        """
        Who gets the share reservation of a silent client waits until that cannot
        write to the data servers any more.
        """
        file = self.fixture.state
        gate = self.fixture.data.pause = Deferred()
        self.fixture.mount(b"second")
        ctx = CompoundContext(
            self.fixture.server,
            None,
            self.fixture.credential,
            1,
            self.fixture.clock.seconds(),
            1,
            b"",
            0,
        )
        ctx.client = self.fixture.client
        self.assertRaises(Delay, sharesGiveWay, ctx, file, READ, WRITE)
        self.assertNotIn(self.first, list(self.fixture.server.clients))
        self.fixture.data.pause = None
        gate.callback(None)
        self.assertIsNone(file.recall)
        self.assertFalse(denied(file, READ, WRITE))

    def test_ownRecall(self) -> None:
        """
        The caller's own layout is none of this.
        """
        self.fixture.recaller.recallLayouts(self.fixture.state, "truncate", self.first)
        self.assertEqual(len(self.first.layouts), 1)
