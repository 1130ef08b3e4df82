"""
Tests of L{pnfs.backends.ds.proxied} and its parts: a gateway in front of an NFSv4.1
server (our own metadata server) and in front of an NFSv3 server.
"""

from __future__ import annotations

import os
import struct
from typing import Any, Optional

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.ds import proxied_holes
from pnfs.backends.ds.local_record import ObjectRecord
from pnfs.backends.ds.local_threads import InlineExecutor
from pnfs.backends.ds.proxied import DEADLINE, SYNC_DEADLINE, ProxiedDataServerBackend
from pnfs.backends.ds.proxied_nfs3 import NFS3Upstream
from pnfs.backends.ds.proxied_nfs4 import NFS4Upstream
from pnfs.backends.ds.proxied_records import ObjectRecords
from pnfs.backends.ds.proxied_turns import Flow, Turns
from pnfs.backends.errors import (
    BadConfiguration,
    IOFailed,
    NoSpace,
    NoSuchObject,
    Unreachable,
    Unsupported,
)
from pnfs.nfs4.client import SessionClient
from pnfs.rpc.auth import encodeAuthSys
from pnfs.values import SetAttributes, Stable
from tests.backends.ds.upstreams import MDS, Folder3, Line
from tests.contracts.data import NAME, DataServerBackendContract, readBytes
from tests.contracts.digests import DigestsContract
from tests.contracts.holes import HolesContract

CREDENTIAL = encodeAuthSys(0, 0)
IO = 1 << 20


class _GatewayContract(DigestsContract, HolesContract, DataServerBackendContract):
    """
    What both kinds of upstream have in common.
    """

    knowsHoles = False
    tracks = False
    reserves = False
    clock: Clock
    folder: str

    def gateway(self, makeUpstream: Any, **more: Any) -> ProxiedDataServerBackend:
        """
        A gateway with its records in a folder of its own.
        """
        self.folder = self.mktemp()
        os.mkdir(self.folder)
        return ProxiedDataServerBackend(
            makeUpstream, self.records(), self.clock, **more
        )

    def test_tooManyZeros(self) -> None:
        """
        A hole that cannot be made, and is too large to be filled with zeros in time,
        is refused, and nothing is written.
        """
        self.patch(proxied_holes, "ZEROS_LIMIT", 4)
        self.put(0, b"x" * 10)
        self.fails(self.backend.deallocate(NAME, 0, 5), Unsupported)
        self.assertEqual(self.get(0, 10), (b"x" * 10, True))
        self.run_(self.backend.deallocate(NAME, 6, 100))
        self.assertEqual(self.get(0, 10), (b"x" * 6 + bytes(4), True))

    def records(self) -> ObjectRecords:
        """
        The records in the folder.
        """
        return ObjectRecords(self.folder, InlineExecutor(), b"g" * 16)

    def begin(self, coroutine: Any) -> "Deferred[Any]":
        """
        Run what will have to wait.
        """
        return Deferred.fromCoroutine(coroutine)

    def test_now(self) -> None:
        """
        Access can be checked without asking upstream, but no byte read or written.
        """
        self.assertIsNone(self.backend.writeNow(NAME, 1, memoryview(b"xyz"), 0))
        self.assertIsNone(self.backend.readNow(NAME, 0, 10))
        found = self.backend.peek(NAME)
        self.assertEqual((found.uid, found.gid, found.mode), (1000, 100, 0o640))

    def test_verifier(self) -> None:
        """
        The verifier that clients see is the upstream's own.
        """
        self.assertEqual(self.put(0, b"abc").verifier, self.run_(self.commit()))
        self.restart(b"another!")
        self.assertNotEqual(self.run_(self.commit()), b"upstream")
        self.assertEqual(self.put(0, b"abc").verifier, self.backend.verifier)

    def commit(self) -> Any:
        """
        COMMIT of everything.
        """
        return self.backend.commit(NAME, 0, 0)

    def restart(self, verifier: bytes) -> None:
        """
        The upstream gets another verifier.
        """
        raise NotImplementedError

    def lineNow(self) -> Line:
        """
        The line that calls go over.
        """
        raise NotImplementedError

    def test_cut(self) -> None:
        """
        What meets a cut line is done when it is mended, and the user sees nothing.
        """
        self.put(0, b"abc")
        self.lineNow().lost = True
        calls = [
            self.begin(self.backend.read(NAME, 0, 10)),
            self.begin(self.backend.write(NAME, 3, memoryview(b"def"), 0)),
            self.begin(self.backend.create(b"99", 1, 1, 0o600, 1)),
            self.begin(self.backend.remove(b"99")),
        ]
        self.clock.advance(0.15)
        for call in calls:
            self.assertNoResult(call)
        self.lineNow().lost = False
        self.clock.pump([0.2] * 10)
        for call in calls:
            self.successResultOf(call)
        self.assertEqual(self.get(0, 10), (b"abcdef", True))

    def test_dead(self) -> None:
        """
        A dead upstream is told as unreachable within the deadline, whatever is
        asked and however much: nothing hangs, and no timer is left.
        """
        self.put(0, b"abc")
        self.lineNow().silent = True
        calls = [
            self.begin(call)
            for call in (
                self.backend.getattr(NAME),
                self.backend.statfs(),
                *(self.backend.read(NAME, 0, 1 << 20) for _ in range(100)),
                *(
                    self.backend.write(NAME, 0, memoryview(bytes(1 << 20)), 0)
                    for _ in range(100)
                ),
            )
        ]
        self.clock.pump([0.1] * int(20 * DEADLINE + 2))
        for call in calls:
            self.failureResultOf(call, Unreachable)
        stable = self.begin(self.backend.write(NAME, 0, memoryview(b"x"), 2))
        self.clock.pump([0.5] * int(2 * SYNC_DEADLINE + 20))
        self.failureResultOf(stable, Unreachable)
        self.lineNow().silent = False
        self.assertEqual(self.get(0, 10), (b"abc", True))

    def test_deadAtStart(self) -> None:
        """
        A gateway starts while its upstream is down, and serves when that is up.
        """
        self.run_(self.backend.stop())
        self.backend = self.again()
        self.lineNow().lost = True
        started = self.begin(self.backend.start())
        self.clock.pump([0.5] * 12)
        self.successResultOf(started)
        self.assertEqual(self.backend.uuid, b"g" * 16)
        self.lineNow().lost = False
        self.put(0, b"abc")

    def again(self) -> ProxiedDataServerBackend:
        """
        A new gateway with the same records.
        """
        raise NotImplementedError

    def test_restart(self) -> None:
        """
        After a restart of the gateway objects, owners and fences are as before.
        """
        self.put(0, b"abc")
        self.run_(self.backend.fence(NAME, 7))
        uuid = self.backend.uuid
        self.run_(self.backend.stop())
        self.backend = self.again()
        self.run_(self.backend.start())
        self.assertEqual(self.backend.uuid, uuid)
        found = self.run_(self.backend.getattr(NAME))
        self.assertEqual(
            (found.uid, found.gid, found.mode, found.epoch), (1000, 100, 0o640, 7)
        )
        self.assertEqual(self.get(0, 10), (b"abc", True))

    def test_vanished(self) -> None:
        """
        A file that somebody has deleted upstream is no object any more, and
        removing it tidies up.
        """
        self.vanish()
        self.fails(self.backend.getattr(NAME), NoSuchObject)
        self.fails(self.backend.read(NAME, 0, 1), NoSuchObject)
        self.fails(self.backend.remove(NAME), NoSuchObject)
        self.assertEqual(self.run_(self.backend.list(b"", 10)), [])

    def vanish(self) -> None:
        """
        Delete the object's file behind the gateway's back.
        """
        raise NotImplementedError

    def test_fenceWaits(self) -> None:
        """
        A fence comes after the writes that were accepted before it, and at once
        keeps out what comes later.
        """
        self.put(0, b"abc")
        self.lineNow().lost = True
        write = self.begin(self.backend.write(NAME, 0, memoryview(b"xyz"), 0))
        fence = self.begin(self.backend.fence(NAME, 9))
        self.assertEqual(self.backend.peek(NAME).epoch, 9)
        self.assertNoResult(fence)
        self.lineNow().lost = False
        self.clock.advance(0.2)
        self.successResultOf(write)
        self.successResultOf(fence)


class NFS4Tests(_GatewayContract, SynchronousTestCase):
    """
    In front of an NFSv4.1 server.
    """

    def makeBackend(self) -> Any:
        """
        Before our own metadata server.
        """
        state = self.mktemp()
        os.mkdir(state)
        self.mds = MDS(state)
        self.clock = self.mds.clock
        self.lines: list[Line] = []
        return self.gateway(self.upstream)

    def upstream(self, uuid: bytes, path: str = "/export") -> NFS4Upstream:
        """
        A client of the server.
        """
        self.lines.append(self.mds.line())
        client = SessionClient(
            self.lines[-1],
            self.clock,
            b"gateway",
            os.urandom(8),
            CREDENTIAL,
            ioBytes=IO,
            callTimeout=DEADLINE,
            deadline=DEADLINE,
        )
        return NFS4Upstream(client, self.clock, path, openFiles=2)

    def again(self) -> ProxiedDataServerBackend:
        """
        The same records.
        """
        return ProxiedDataServerBackend(self.upstream, self.records(), self.clock)

    def lineNow(self) -> Line:
        """
        The newest, made by C{start}.
        """
        if not self.lines or self.lines[-1].closed:
            # C{start} will take this one.
            upstream = self.upstream(b"")
            self.backend._makeUpstream = lambda uuid: upstream
        return self.lines[-1]

    def restart(self, verifier: bytes) -> None:
        """
        The data server behind it restarts.
        """
        self.mds.stored.verifier = verifier

    def vanish(self) -> None:
        """
        As another client would.
        """
        tree = self.mds.export.backend
        self.run_(tree.remove(tree.root, NAME, False))

    def test_setTimes(self) -> None:
        """
        As the contract says; the server's clock is early.
        """
        self.run_(self.backend.setattr(NAME, SetAttributes(atime=10**18, mtime=5)))
        self.run_(self.backend.setattr(NAME, SetAttributes(mtime=7 * 10**17)))
        found = self.run_(self.backend.getattr(NAME))
        self.assertEqual((found.atime, found.mtime), (10**18, 7 * 10**17))

    def test_badPath(self) -> None:
        """
        A folder that is not there is a configuration error, told in one line.
        """
        self.run_(self.backend.stop())
        self.backend = ProxiedDataServerBackend(
            lambda uuid: self.upstream(uuid, "/export/nothing"),
            self.records(),
            self.clock,
        )
        error = self.failureResultOf(
            self.begin(self.backend.start()), BadConfiguration
        ).value
        self.assertIn("upstream.path", str(error))
        self.assertIn("NOENT", str(error))

    def test_serverRestart(self) -> None:
        """
        A server that has forgotten its clients is mounted again without notice.
        """
        self.put(0, b"abc")
        self.forgetClients()
        self.assertEqual(self.get(0, 10), (b"abc", True))

    def forgetClients(self) -> None:
        """
        All leases end.
        """
        self.mds.server.clients.expire(self.clock.seconds() + 1e6)

    def _refuseAnonymous(self, line: Line) -> list[int]:
        """
        Have the server refuse READ and WRITE with the anonymous stateid.

        @return: a list that gets an element for each refusal.
        """
        refusals: list[int] = []

        def refuse(program: int, procedure: int, wire: bytes) -> Optional[bytes]:
            for head in (struct.pack(">I16s", 25, b""), struct.pack(">I16s", 38, b"")):
                if head in wire:
                    refusals.append(1)
                    # SEQUENCE and PUTFH are good, the third operation is not. The
                    # server has to see a SEQUENCE all the same.
                    at = wire.index(struct.pack(">I", 53))
                    alone = wire[:8] + struct.pack(">I", 1) + wire[at : at + 36]
                    reply = self.successResultOf(
                        self.mds._serve(program, procedure, alone)
                    )
                    status = struct.pack(">III", 10025, 0, 3)
                    number = head[:4]
                    return (
                        status
                        + reply[12:]
                        + (
                            struct.pack(">II", 22, 0)
                            + number
                            + struct.pack(">I", 10025)
                        )
                    )
            return None

        line.refuse = refuse
        return refusals

    def test_insists(self) -> None:
        """
        At a server that wants files opened they are opened, few at a time, and
        opened again when the server has forgotten them.
        """
        refusals = self._refuseAnonymous(self.lineNow())
        self.put(0, b"abc")
        self.assertEqual(self.get(0, 10), (b"abc", True))
        names = [b"%02x" % n for n in range(5)]
        for name in names:
            self.run_(self.backend.create(name, 0, 0, 0o600, 1))
            self.run_(self.backend.write(name, 0, memoryview(name), 0))
        for name in names:
            read = self.run_(self.backend.read(name, 0, 10))
            self.assertEqual(readBytes(read), name)
        self.assertEqual(len(refusals), 1)
        self.assertEqual(len(self.opened()), 2)
        self.forgetClients()
        self.assertEqual(self.opened(), [])
        self.assertEqual(self.get(0, 10), (b"abc", True))
        self.assertEqual(len(refusals), 1)
        self.run_(self.backend.remove(NAME))
        self.assertEqual(self.opened(), [])

    def opened(self) -> list[Any]:
        """
        Opens held at the server.
        """
        tree = self.mds.export.backend
        entries, _ = self.run_(tree.readdir(tree.root, 0, 100))
        return [
            held
            for entry in entries
            if entry.inode.state is not None
            for held in entry.inode.state.opens.values()
        ]

    def test_createKeepsNothingOpen(self) -> None:
        """
        Making files leaves no state upstream.
        """
        self.assertEqual(self.opened(), [])

    def test_renews(self) -> None:
        """
        The lease upstream is kept while nobody uses the gateway.
        """
        before = len(self.lineNow().calls)
        self.clock.pump([10.0] * 30)
        self.assertGreater(len(self.lineNow().calls), before + 5)


class NFS3Tests(_GatewayContract, SynchronousTestCase):
    """
    In front of an NFSv3 server that takes 64 KiB at a time.
    """

    def makeBackend(self) -> Any:
        """
        Before a folder in memory.
        """
        self.clock = Clock()
        self.clock.advance(1_600_000_000)
        self.server = Folder3(self.clock)
        self.lines: list[Line] = []
        return self.gateway(self.upstream)

    def connect(self, port: int) -> Line:
        """
        A line to the NFS port, or to another.
        """
        line = self.server.line(port)
        if port == 2049:
            self.lines.append(line)
        return line

    def upstream(self, uuid: bytes, path: str = "/vol/folder") -> NFS3Upstream:
        """
        A client of the server.
        """
        return NFS3Upstream(self.connect, self.clock, CREDENTIAL, path, 2049, 0, IO)

    again = NFS4Tests.again
    lineNow = NFS4Tests.lineNow

    def restart(self, verifier: bytes) -> None:
        """
        The server restarts.
        """
        self.server.verifier = verifier

    def vanish(self) -> None:
        """
        As another client would.
        """
        del self.server.files[NAME]

    def test_badPath(self) -> None:
        """
        A folder that is not exported to us is told in one line; so is one that may
        not be written to.
        """
        self.run_(self.backend.stop())
        for path, granted, word in (
            ("/elsewhere", 0x3F, "NOENT"),
            ("/vol/folder", 0x03, "write"),
        ):
            self.server.granted = granted
            backend = ProxiedDataServerBackend(
                lambda uuid: self.upstream(uuid, path), self.records(), self.clock
            )
            error = self.failureResultOf(self.begin(backend.start()), BadConfiguration)
            self.assertIn("upstream.path", str(error.value))
            self.assertIn(word, str(error.value))
        self.server.granted = 0x3F
        self.backend = self.again()
        self.run_(self.backend.start())

    def test_shyServer(self) -> None:
        """
        A server that does not tell the handle of a new file is asked for it.
        """
        self.server.shy = True
        self.run_(self.backend.create(b"77", 0, 0, 0o600, 1))
        self.run_(self.backend.write(b"77", 0, memoryview(b"x"), 0))
        self.assertEqual(self.server.files[b"77"].data, b"x")

    def test_privateFiles(self) -> None:
        """
        The owner of an object does not matter upstream: the files there are for
        the gateway alone.
        """
        self.assertEqual(self.server.files[NAME].mode, 0o600)

    def test_newHandles(self) -> None:
        """
        A server that gives its files new handles does not disturb anybody.
        """
        self.put(0, b"abc")
        self.server.files[NAME].fh = b"another handle"
        self.server.root = b"another root"
        self.assertEqual(self.get(0, 10), (b"abc", True))
        self.put(3, b"d")

    def test_restartAmidst(self) -> None:
        """
        If the upstream restarts between the parts of a WRITE, all of it is written
        again: no byte acknowledged is lost.
        """
        self.put(0, b"")
        parts = 0

        def refuse(program: int, procedure: int, wire: bytes) -> Optional[bytes]:
            nonlocal parts
            if procedure == 7:
                parts += 1
                if parts == 2:
                    self.server.verifier = b"another!"
                    self.server.files[NAME].data.clear()
            return None

        self.lineNow().refuse = refuse
        result = self.put(0, b"x" * 100_000)
        self.assertEqual(
            (result.count, result.verifier, parts), (100_000, b"another!", 4)
        )
        self.assertEqual(self.get(0, 200_000), (b"x" * 100_000, True))

    def test_full(self) -> None:
        """
        A full upstream tells how much of a write it has taken, then that it is
        full.
        """
        self.server.room = 70_000
        self.assertEqual(self.put(0, b"x" * 100_000).count, 65536)
        self.fails(self.backend.write(NAME, 65536, memoryview(b"x" * 9000), 0), NoSpace)

    def test_jukebox(self) -> None:
        """
        A server that asks to come again is asked again, up to the deadline.
        """
        self.put(0, b"abc")
        self.lineNow().refuse = lambda program, procedure, wire: struct.pack(
            ">I", 10008
        )
        call = self.begin(self.backend.read(NAME, 0, 10))
        late = self.begin(self.backend.remove(NAME))
        self.clock.advance(0.15)
        self.assertNoResult(call)
        self.clock.pump([0.5] * 10)
        self.failureResultOf(call, Unreachable)
        self.lineNow().refuse = lambda program, procedure, wire: None
        self.clock.pump([0.5] * 4)
        self.successResultOf(late)

    def test_uncopied(self) -> None:
        """
        Bytes read are views of the reply that came from upstream.
        """
        self.put(0, b"abc")
        result = self.run_(self.backend.read(NAME, 0, 3))
        (piece,) = result.pieces
        self.assertIsInstance(piece, memoryview)
        self.assertGreater(len(piece.obj), 3)

    def test_bounded(self) -> None:
        """
        However much is asked, no more than the bound is under way upstream.
        """
        self.run_(self.backend.stop())
        self.backend = ProxiedDataServerBackend(
            self.upstream, self.records(), self.clock, calls=4, limitBytes=200_000
        )
        self.run_(self.backend.start())
        self.put(0, b"x" * 100_000)
        self.lineNow().silent = True
        before = len(self.lineNow().calls)
        calls = [self.begin(self.backend.read(NAME, 0, 60_000)) for _ in range(10)]
        self.assertEqual(len(self.lineNow().calls) - before, 3)
        self.clock.pump([0.1] * int(20 * DEADLINE + 2))
        for call in calls:
            self.failureResultOf(call, Unreachable)


class RecordsTests(SynchronousTestCase):
    """
    Owner, mode and epoch of objects.
    """

    def setUp(self) -> None:
        self.folder = self.mktemp()
        os.mkdir(self.folder)
        self.records = self.open(cached=2)

    def open(self, **more: Any) -> ObjectRecords:
        """
        Open the folder's records.
        """
        records = ObjectRecords(self.folder, InlineExecutor(), os.urandom(16), **more)
        records.open()
        self.addCleanup(records.close)
        return records

    def run_(self, coroutine: Any) -> Any:
        """
        The result of what need not wait.
        """
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def test_beyondMemory(self) -> None:
        """
        More objects than are kept in memory are known all the same.
        """
        for number in range(5):
            self.run_(self.records.put(b"%02x" % number, ObjectRecord(number, 1, 2, 3)))
        self.assertIsNone(self.records.peek(b"00"))
        found = self.records.get(b"00")
        assert found is not None
        self.assertEqual(found.uid, 0)
        self.assertEqual(self.records.peek(b"00"), found)
        self.assertEqual(self.records.names(b"01", 2), [b"02", b"03"])

    def test_oneProcess(self) -> None:
        """
        A second process with the same state folder is refused.
        """
        error = self.assertRaises(BadConfiguration, self.open)
        self.assertIn("another process", str(error))

    def test_damaged(self) -> None:
        """
        A damaged database is told in one line.
        """
        self.records.close()
        with open(os.path.join(self.folder, "objects.sqlite"), "wb") as stream:
            stream.write(b"something else" * 1000)
        error = self.assertRaises(BadConfiguration, self.open)
        self.assertIn("objects.sqlite", str(error))

    def test_together(self) -> None:
        """
        Changes that come while others are being written are one transaction; each
        is told when it is on disk, and failures are told too.
        """

        class Later(InlineExecutor):
            """
            Runs when told.
            """

            jobs: list[Any] = []

            def defer(self, function: Any, *arguments: Any) -> Any:
                """
                Keep it.
                """
                done: Deferred[Any] = Deferred()
                self.jobs.append((done, function, arguments))
                return done

        later = Later()
        self.records._executor = later
        first = Deferred.fromCoroutine(
            self.records.put(b"aa", ObjectRecord(1, 1, 1, 1))
        )
        rest = [
            Deferred.fromCoroutine(self.records.fence(b"aa", 5)),
            Deferred.fromCoroutine(self.records.change(b"aa", 7, None, None)),
            Deferred.fromCoroutine(self.records.fence(b"bb", 5)),
        ]
        done, function, arguments = later.jobs.pop()
        done.callback(function(*arguments))
        self.successResultOf(first)
        (job,) = later.jobs
        later.jobs.clear()
        self.assertNoResult(rest[0])
        job[0].callback(job[1](*job[2]))
        self.successResultOf(rest[0])
        self.successResultOf(rest[1])
        self.failureResultOf(rest[2], NoSuchObject)
        self.assertEqual(self.records.get(b"aa"), ObjectRecord(7, 1, 1, 5))
        last = Deferred.fromCoroutine(self.records.remove(b"aa"))
        later.jobs.pop()[0].errback(OSError("disk"))
        self.failureResultOf(last, IOFailed)


class TurnsTests(SynchronousTestCase):
    """
    Who waits for whom.
    """

    def take(self, coroutine: Any) -> "Deferred[None]":
        """
        Ask.
        """
        return Deferred.fromCoroutine(coroutine)

    def test_order(self) -> None:
        """
        Many share; who wants to be alone waits for those before, and is waited for
        by those after. Other objects are not concerned.
        """
        turns = Turns()
        self.successResultOf(self.take(turns.share(b"a")))
        self.successResultOf(self.take(turns.share(b"a")))
        alone = self.take(turns.alone(b"a"))
        after = self.take(turns.share(b"a"))
        self.successResultOf(self.take(turns.alone(b"b")))
        turns.done(b"a")
        self.assertNoResult(alone)
        turns.done(b"a")
        self.successResultOf(alone)
        self.assertNoResult(after)
        turns.done(b"a")
        self.successResultOf(after)
        turns.done(b"a")
        turns.done(b"b")
        self.assertEqual(turns._locks, {})

    def test_cancelled(self) -> None:
        """
        Who stops waiting holds nobody up.
        """
        turns = Turns()
        self.successResultOf(self.take(turns.share(b"a")))
        alone = self.take(turns.alone(b"a"))
        after = self.take(turns.share(b"a"))
        alone.cancel()
        self.failureResultOf(alone)
        self.successResultOf(after)
        turns.done(b"a")
        turns.done(b"a")
        self.assertEqual(turns._locks, {})

    def test_flow(self) -> None:
        """
        Who finds no room waits until there is some, until its deadline, until it is
        cancelled, or until the end; what is larger than all the room goes alone.
        """
        clock = Clock()
        flow = Flow(clock, 2, 100)
        self.successResultOf(self.take(flow.take(500, 1.0)))
        late = self.take(flow.take(10, 1.0))
        cancelled = self.take(flow.take(10, 9.0))
        patient = self.take(flow.take(10, 9.0))
        clock.advance(1.0)
        self.failureResultOf(late, Unreachable)
        cancelled.cancel()
        self.failureResultOf(cancelled)
        flow.give(500)
        self.successResultOf(patient)
        self.successResultOf(self.take(flow.take(10, 9.0)))
        last = self.take(flow.take(10, 9.0))
        pause = self.take(flow.pause(5.0))
        flow.close()
        self.failureResultOf(last, Unreachable)
        self.failureResultOf(pause, Unreachable)
        self.assertEqual(clock.getDelayedCalls(), [])
