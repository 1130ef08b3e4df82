"""
Tests for L{pnfs.nfs4.ops.layoutget}.
"""

from __future__ import annotations

import os
import struct
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import (
    BackendError,
    IOFailed,
    NoSpace,
    NoSuchObject,
    Unreachable,
)
from pnfs.layouts.files import FilesLayoutDriver
from pnfs.mds.intents import WriteIntents
from pnfs.namespace.filehandles import CapabilityCodec
from pnfs.namespace.squash import Squash
from pnfs.nfs4.ops.layoutget import layoutget
from pnfs.nfs4.status import nfsstat4
from pnfs.rpc.coroutines import drive
from pnfs.state.opens import READ, WRITE
from pnfs.values import ACE, ACL, Credential, FileType, LayoutSegment
from tests.layouts import linux
from tests.layouts.test_files import servers
from tests.nfs4.fixture import Reply
from tests.nfs4.layoutfixture import CURRENT, LAYOUTGET, MAX, LayoutFixture

OK = nfsstat4.NFS4_OK
MIB = 1 << 20


class LayoutGetTests(SynchronousTestCase):
    """
    LAYOUTGET gives clients the way to the data servers.
    """

    def setUp(self) -> None:
        self.fixture = LayoutFixture()
        self.get = self.fixture.get

    def assertStatus(self, expected: nfsstat4, **more: object) -> None:
        """
        LAYOUTGET fails so; the error is among those of the RFC's list, and nothing
        is held afterwards that was not before.
        """
        before = len(self.fixture.server.layouts)
        status, rest = self.get(**more)
        self.assertEqual(nfsstat4(status), expected)
        self.assertIn(status, layoutget.errors)
        self.assertEqual(
            rest, bytes(4) if expected == nfsstat4.NFS4ERR_LAYOUTTRYLATER else b""
        )
        self.assertEqual(len(self.fixture.server.layouts), before)

    def layoutOf(self, rest: bytes) -> tuple[bytes, int, int, bytes]:
        """
        Read a LAYOUTGET4resok of one layout: stateid, iomode, layout type, body.
        """
        wire = linux.Wire(rest)
        self.assertEqual(wire.take("I"), 0, "return_on_close")
        stateid = wire.take("16s")
        self.assertEqual(wire.take("I"), 1, "one layout")
        self.assertEqual((wire.take("Q"), wire.take("Q")), (0, MAX))
        iomode, layoutType = wire.take("I"), wire.take("I")
        body = wire.opaque()
        wire.end()
        return stateid, iomode, layoutType, body

    def test_files(self) -> None:
        """
        A Linux client gets a files layout that it can use, with a handle that lets
        it write, and finds the device that it names.
        """
        status, rest = self.get()
        self.assertEqual(status, OK)
        stateid, iomode, layoutType, body = self.layoutOf(rest)
        self.assertEqual((iomode, layoutType), (2, 1))
        deviceid, unit, handle = linux.filesLayout(body, 2, 2)
        self.assertEqual(unit, 65536)
        capability = CapabilityCodec(b"k" * 32).decode(handle)
        self.assertEqual((capability.rights, capability.name), (2, b"ab12"))
        self.assertIsNotNone(self.fixture.server.devices.lookup(deviceid))
        self.assertEqual(stateid[:4], b"\0\0\0\1")

    def test_flexfiles(self) -> None:
        """
        A mirrored file's layout names all mirrors and the file's owner.
        """
        self.fixture.export.layout = "flexfiles"
        data = self.fixture.data
        data.placing = attrs.evolve(data.placing, mirrors=2)
        status, rest = self.get(layoutType=4, iomode=2)
        self.assertEqual(status, OK)
        _, iomode, layoutType, body = self.layoutOf(rest)
        self.assertEqual((iomode, layoutType), (2, 4))
        mirrors = linux.flexLayout(body)
        self.assertEqual([mirror[4:] for mirror in mirrors], [(1000, 100)] * 2)

    def chunks(self, **more: Any) -> tuple[bytes, list[tuple[int, int]]]:
        """
        Get a layout of a file in chunks of a MiB: stateid, and offset and length of
        its segments.
        """
        self.fixture.export.layout = "flexfiles"
        data = self.fixture.data
        data.placing = attrs.evolve(data.placing, chunk=MIB)
        status, rest = self.get(layoutType=4, maxcount=65536, **more)
        self.assertEqual(status, OK)
        wire = linux.Wire(rest)
        self.assertEqual(wire.take("I"), 0, "return_on_close")
        stateid = wire.take("16s")
        found = []
        for _ in range(wire.take("I")):
            found.append((wire.take("Q"), wire.take("Q")))
            self.assertEqual(wire.take("I"), more.get("iomode", 2))
            self.assertEqual(wire.take("I"), 4)
            self.assertEqual(len(linux.flexLayout(wire.opaque())), 1)
        wire.end()
        return stateid, found

    def test_chunks(self) -> None:
        """
        Of a file in chunks a client gets a segment for the chunk that it asks for,
        added first if it wants to write there, and holds all that it was given under
        one stateid, until it returns one of them.
        """
        stateid, found = self.chunks()
        self.assertEqual(found, [(0, MIB)])
        for at, expected in ((3 * MIB - 1, 2 * MIB), (3 * MIB, 3 * MIB), (7, 0)):
            minlength = 1 if at & 1 else 4096
            stateid, found = self.chunks(
                offset=at, length=minlength, minlength=minlength, stateid=stateid
            )
            self.assertEqual(found, [(expected, MIB)])
        self.assertEqual(stateid[:4], b"\0\0\0\4")
        (layout,) = self.fixture.state.layouts.values()
        self.assertEqual(sorted(layout.segments), [(2, 0, MIB), (2, 2 * MIB, 4 * MIB)])
        status, left = self.fixture.giveBack(
            stateid, offset=3 * MIB, length=MIB, layoutType=4
        )
        self.assertEqual(status, OK)
        assert left is not None
        self.assertEqual(sorted(layout.segments), [(2, 0, MIB), (2, 2 * MIB, 3 * MIB)])

    def test_chunksCached(self) -> None:
        """
        Each chunk's layout is made once, and none is given for another chunk.
        """
        for _ in range(2):
            for number in (0, 1):
                _, found = self.chunks(offset=number * MIB)
                self.assertEqual(found, [(number * MIB, MIB)])
        self.assertEqual(self.fixture.data.calls.count("mint"), 2 + 1)

    def test_severalChunks(self) -> None:
        """
        Who must have more than a chunk, or the file to its end, gets segments one
        after the other.
        """
        _, found = self.chunks(offset=MIB - 1, minlength=2)
        self.assertEqual(found, [(0, MIB), (MIB, MIB)])
        self.fixture.inode.size = 2 * MIB + 1
        _, found = self.chunks(minlength=MAX)
        self.assertEqual(found, [(0, MIB), (MIB, MIB), (2 * MIB, MIB)])

    def test_mirroredChunks(self) -> None:
        """
        Chunks with mirrors are for reading; nobody is given a layout to write them
        with, since Linux would write some of its bytes to the wrong data servers.
        """
        self.fixture.export.layout = "flexfiles"
        data = self.fixture.data
        data.placing = attrs.evolve(data.placing, mirrors=2, chunk=MIB)
        self.assertStatus(nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE, layoutType=4)
        status, rest = self.get(layoutType=4, iomode=1)
        self.assertEqual(status, OK)
        wire = linux.Wire(rest)
        wire.take("I")
        wire.take("16s")
        self.assertEqual([wire.take("I"), wire.take("Q"), wire.take("Q")], [1, 0, MIB])

    def test_someMirroredChunks(self) -> None:
        """
        It is enough that one chunk has mirrors: some have lost theirs by 'pnfs mirror
        remove'.
        """
        self.chunks()
        fixture = self.fixture
        inode, backend = fixture.inode, fixture.export.backend
        drive(backend.loadPlacement(inode), self.store, self.fail)
        self.assertStatus(nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE, layoutType=4)
        self.assertEqual(self.get(layoutType=4, iomode=1)[0], OK)

    def store(self, placement: Any) -> None:
        """
        Give the file a second chunk, with mirrors.
        """
        both = tuple(server.uuid for server in servers(2))
        new = attrs.evolve(placement, columns=placement.columns + (both,))
        backend = self.fixture.export.backend
        stored = backend.storePlacement(self.fixture.inode, new)
        drive(stored, lambda _: None, self.fail)

    def test_behindLastChunk(self) -> None:
        """
        There is nothing to be read behind the last chunk, and no layout to do so: one
        would not know where the bytes come to when the file grows. Linux then reads
        through the metadata server this time, and asks again.
        """
        self.chunks()
        for minlength, status in (
            (0, nfsstat4.NFS4ERR_LAYOUTTRYLATER),
            (4096, nfsstat4.NFS4ERR_BADLAYOUT),
        ):
            before = len(self.fixture.server.layouts)
            found, _ = self.get(layoutType=4, iomode=1, offset=MIB, minlength=minlength)
            self.assertEqual(found, status)
            self.assertIn(found, layoutget.errors)
            self.assertEqual(len(self.fixture.server.layouts), before)
        self.chunks(offset=MIB)
        _, segments = self.chunks(offset=MIB, iomode=1)
        self.assertEqual(segments, [(MIB, MIB)])

    def test_ownerChanges(self) -> None:
        """
        After a chown, clients come to loosely coupled data servers as the new owner.
        """
        self.fixture.export.layout = "flexfiles"
        self.fixture.hold(layoutType=4)
        self.fixture.inode.uid = 2000
        _, rest = self.get(layoutType=4)
        mirrors = linux.flexLayout(self.layoutOf(rest)[3])
        self.assertEqual(mirrors[0][4], 2000)

    def test_again(self) -> None:
        """
        Further LAYOUTGETs move the seqid of one stateid, and the handle is minted
        once per iomode.
        """
        first = self.fixture.hold()
        second = self.fixture.hold(stateid=first)
        third = self.fixture.hold(iomode=1)
        self.assertEqual(first[4:], second[4:])
        self.assertEqual([s[3] for s in (first, second, third)], [1, 2, 3])
        self.assertEqual(self.fixture.data.calls.count("mint"), 2)

    def test_inParallel(self) -> None:
        """
        Two LAYOUTGETs that were sent with the same layout stateid both succeed.
        """
        first = self.fixture.hold(iomode=1)
        self.fixture.hold(stateid=first)
        self.assertEqual(self.fixture.hold(stateid=first)[3], 3)

    def test_currentStateid(self) -> None:
        """
        LAYOUTGET in the same COMPOUND as OPEN uses the current stateid; without one
        it is refused. The layout stateid is the current one afterwards.
        """
        self.assertStatus(nfsstat4.NFS4ERR_BAD_STATEID, stateid=CURRENT)
        fixture = self.fixture
        reply = fixture.onFile(fixture.getArgs(), fixture.getArgs(CURRENT))
        self.assertEqual(reply.status, OK)
        (held,) = fixture.state.layouts.values()
        self.assertEqual(held.seqid, 2)

    def test_threshold(self) -> None:
        """
        Where small files are for the metadata server, an OPEN of one does not bring a
        layout along, nor makes data files; who asks for one in so many words gets it.
        """
        fixture = self.fixture
        fixture.export.threshold = 65536
        fixture.inode.size = 65535
        self.assertStatus(nfsstat4.NFS4ERR_BAD_STATEID, stateid=CURRENT)
        fixture.hold()
        reply = fixture.onFile(fixture.getArgs(), fixture.getArgs(CURRENT))
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE)
        fixture.inode.size = 65536
        reply = fixture.onFile(fixture.getArgs(), fixture.getArgs(CURRENT))
        self.assertEqual(reply.status, OK)

    def test_badArguments(self) -> None:
        """
        Requests that make no sense are refused (iomode ANY or junk is BADIOMODE:
        chimera #1092; maxcount respected: #1003).
        """
        for error, more in (
            (nfsstat4.NFS4ERR_BADIOMODE, {"iomode": 3}),
            (nfsstat4.NFS4ERR_BADIOMODE, {"iomode": 0}),
            (nfsstat4.NFS4ERR_INVAL, {"length": 0, "minlength": 0}),
            (nfsstat4.NFS4ERR_INVAL, {"length": 10, "minlength": 11}),
            (nfsstat4.NFS4ERR_INVAL, {"offset": 2, "length": MAX - 1}),
            (nfsstat4.NFS4ERR_INVAL, {"offset": MAX, "minlength": 4096}),
            (nfsstat4.NFS4ERR_UNKNOWN_LAYOUTTYPE, {"layoutType": 3}),
            (nfsstat4.NFS4ERR_TOOSMALL, {"maxcount": 50}),
        ):
            self.assertStatus(error, **more)

    def test_largestRange(self) -> None:
        """
        A range up to the last possible byte is no overflow.
        """
        self.assertEqual(self.get(offset=1, length=MAX - 1, minlength=0)[0], OK)
        self.assertEqual(self.get(offset=MAX - 1, length=MAX, minlength=1)[0], OK)

    def test_kinds(self) -> None:
        """
        Only regular files have layouts.
        """
        for number, ftype in enumerate((FileType.DIR, FileType.LNK, FileType.FIFO)):
            made = self.fixture.make(b"%d" % number, ftype)
            self.assertStatus(nfsstat4.NFS4ERR_WRONG_TYPE, inode=made)

    def test_noFilehandle(self) -> None:
        """
        Without a current filehandle there is nothing to get.
        """
        reply = self.fixture.run(self.fixture.getArgs())
        self.assertEqual(reply.take(LAYOUTGET)[0], nfsstat4.NFS4ERR_NOFILEHANDLE)

    def test_truncated(self) -> None:
        """
        A request that is cut off is malformed, wherever the cut is.
        """
        whole = self.fixture.getArgs()
        for size in range(4, len(whole)):
            reply = self.fixture.onFile(whole[:size])
            self.assertEqual(reply.take(LAYOUTGET)[0], nfsstat4.NFS4ERR_BADXDR)
        wrong = struct.pack(">II", LAYOUTGET, 2) + whole[8:]
        self.assertEqual(
            self.fixture.onFile(wrong).take(LAYOUTGET)[0], nfsstat4.NFS4ERR_BADXDR
        )

    def test_stateids(self) -> None:
        """
        The stateid must be the caller's, of this file, and current (the stateid in
        LAYOUTGET is checked: chimera #970).
        """
        fixture = self.fixture
        opened = fixture.opened.stateid
        elsewhere = fixture.open(inode=fixture.make(b"elsewhere"))
        with fixture.other() as foreign:
            others = foreign.stateid
        for stateid in (
            bytes(16),
            b"\xff" * 16,
            others,
            elsewhere.stateid,
            b"\0\0\0\2" + opened[4:],
        ):
            self.assertStatus(nfsstat4.NFS4ERR_BAD_STATEID, stateid=stateid)
        fixture.opened.advance()
        self.assertStatus(nfsstat4.NFS4ERR_OLD_STATEID, stateid=opened)
        self.assertEqual(self.get(bytes(4) + opened[4:])[0], OK)

    def test_layoutStateids(self) -> None:
        """
        A layout stateid may not be 0, not be ahead, and not be from before a
        LAYOUTRETURN.
        """
        held = self.fixture.hold()
        for seqid in (0, 2):
            self.assertStatus(
                nfsstat4.NFS4ERR_BAD_STATEID, stateid=bytes([0, 0, 0, seqid]) + held[4:]
            )
        self.fixture.giveBack(held, iomode=2, offset=0, length=65536)
        self.assertStatus(nfsstat4.NFS4ERR_OLD_STATEID, stateid=held)
        self.assertEqual(self.get(b"\0\0\0\2" + held[4:])[0], OK)

    def test_access(self) -> None:
        """
        An open for reading gives no layout for writing, and the other way round;
        with a layout stateid the client's opens count, and what it holds already.
        """
        fixture = self.fixture
        inode = fixture.make(b"second")
        readable = fixture.open(READ, inode).stateid
        self.assertStatus(
            nfsstat4.NFS4ERR_OPENMODE, stateid=readable, inode=inode, iomode=2
        )
        held = fixture.hold(stateid=readable, inode=inode, iomode=1)
        self.assertStatus(
            nfsstat4.NFS4ERR_OPENMODE, stateid=held, inode=inode, iomode=2
        )
        writable = fixture.open(WRITE, inode)
        self.assertStatus(
            nfsstat4.NFS4ERR_OPENMODE, stateid=writable.stateid, inode=inode, iomode=1
        )
        held = fixture.hold(stateid=held, inode=inode, iomode=2)
        fixture.server.opens.drop(writable)
        fixture.hold(stateid=held, inode=inode, iomode=2)

    def test_lockStateid(self) -> None:
        """
        A lock stateid does as well as the open that it was made from.
        """
        lock = self.fixture.server.locks.lock(
            self.fixture.opened, b"owner", True, 0, 10
        )
        self.assertEqual(self.get(lock.stateid)[0], OK)

    def test_grace(self) -> None:
        """
        A client that has not finished reclaiming waits for its layouts.
        """
        self.fixture.client.reclaimComplete = False
        self.assertStatus(nfsstat4.NFS4ERR_GRACE)

    def test_readOnly(self) -> None:
        """
        A read-only export gives no layout for writing, and makes no data files.
        """
        self.fixture.export.readOnly = True
        self.assertStatus(nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE)
        self.assertStatus(nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE, iomode=1)
        self.fixture.export.readOnly = False
        self.fixture.hold(iomode=1)
        self.fixture.export.readOnly = True
        self.assertEqual(self.get(iomode=1)[0], OK)

    def test_withoutPNFS(self) -> None:
        """
        An export without layouts sends clients through the metadata server.
        """
        self.fixture.export.pnfs = False
        self.assertStatus(nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE)
        self.assertNotIn("ensure", self.fixture.data.calls)
        self.fixture.export.pnfs = True
        self.fixture.export.drivers = {}
        self.assertStatus(nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE)

    def test_squash(self) -> None:
        """
        The handle tells data servers whom the client's users are to be taken for:
        never those of another client with other terms.
        """
        export = self.fixture.export
        minted = []
        for root in (True, False, True):
            export.rootSquash = root
            self.fixture.hold()
            minted.append(self.fixture.data.minted[-1])
        self.assertEqual(minted, [Squash(), Squash(root=False), Squash(root=False)])
        _, rest = self.get()
        fh = linux.filesLayout(self.layoutOf(rest)[3], 2, 2)[2]
        self.assertEqual(CapabilityCodec(b"k" * 32).decode(fh).squash, Squash())

    def test_full(self) -> None:
        """
        A file whose data servers are full is written through the metadata server,
        which is the only one that the application hears of it from; reading goes
        on through layouts.
        """
        self.fixture.data.full = True
        self.assertStatus(nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE)
        self.assertEqual(self.get(iomode=1)[0], OK)
        self.fixture.data.full = False
        self.fixture.state.fullUntil = self.fixture.clock.seconds() + 5
        self.assertStatus(nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE)
        self.assertEqual(self.get(iomode=1)[0], OK)
        self.fixture.clock.advance(6)
        self.assertEqual(self.get()[0], OK)

    def test_noRoom(self) -> None:
        """
        Where a handle would become too long, clients use the metadata server.
        """
        placing = attrs.evolve(self.fixture.data.placing, name=b"ab" * 40)
        self.fixture.data.placing = placing
        self.fixture.export.anonymous = (7, 7)
        self.assertStatus(nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE)

    def test_otherShape(self) -> None:
        """
        A striped file cannot be served as flexible files, so clients that ask for
        those use the metadata server; nor can one client hold both types.
        """
        self.assertStatus(nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE, layoutType=4)
        self.fixture.data.placing = attrs.evolve(
            self.fixture.data.placing, stripeCount=1
        )
        inode = self.fixture.make(b"single")
        opened = self.fixture.open(inode=inode).stateid
        self.fixture.hold(stateid=opened, inode=inode, layoutType=4)
        self.assertStatus(
            nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE, stateid=opened, inode=inode
        )

    def test_dataServerTrouble(self) -> None:
        """
        Trouble with data servers never reaches the application: the client goes
        through the metadata server, or comes back.
        """
        for failure, error in (
            (Unreachable(), nfsstat4.NFS4ERR_LAYOUTTRYLATER),
            (NoSpace(), nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE),
            (IOFailed(), nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE),
            (NoSuchObject(), nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE),
            (BackendError(), nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE),
        ):
            self.fixture.data.failure = failure
            self.assertStatus(error)

    def test_lostMeanwhile(self) -> None:
        """
        A data server is lost between the look at the file and the answer: who writes
        comes again, since what it would write to the others alone would be missing in
        a mirror that counts. Who reads need not.
        """
        self.fixture.data.lost = True
        self.assertStatus(nfsstat4.NFS4ERR_LAYOUTTRYLATER)
        status, _ = self.get(iomode=1)
        self.assertEqual(status, 0)

    def test_unfenced(self) -> None:
        """
        While a client that has not come back after a restart may write the file, nobody
        gets a layout of it.
        """
        fixture = self.fixture
        folder = self.mktemp()
        os.makedirs(folder)
        writers = WriteIntents(folder)
        self.addCleanup(writers.stop)
        fixture.server.layouts.writers = writers
        writers.unfenced.add((fixture.export.id, fixture.inode.handle))
        self.assertStatus(nfsstat4.NFS4ERR_DELAY)
        writers.unfenced.clear()
        self.assertEqual(self.get()[0], 0)

    def test_unknownDataServer(self) -> None:
        """
        A file on a data server that is not configured is not offered.
        """
        self.fixture.server.devices.setServers(servers(1))
        self.assertStatus(nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE)

    def test_addressChanges(self) -> None:
        """
        Once a data server has another address, layouts name another device.
        """
        _, rest = self.get()
        before = linux.filesLayout(self.layoutOf(rest)[3], 2, 2)[0]
        one, two = servers(2)
        moved = attrs.evolve(one, addresses=(("10.7.7.7", 1),))
        self.fixture.server.devices.setServers([moved, two])
        _, rest = self.get()
        after = linux.filesLayout(self.layoutOf(rest)[3], 2, 2)[0]
        self.assertNotEqual(before, after)

    def test_recallUnderWay(self) -> None:
        """
        While a recall runs, nobody gets a layout of the file (LAYOUTGET during a recall
        is RECALLCONFLICT: chimera #1378).
        """
        self.fixture.hold()
        self.fixture.recaller.recallLayouts(self.fixture.state, "test")
        self.assertStatus(nfsstat4.NFS4ERR_RECALLCONFLICT)
        with self.fixture.other() as opened:
            self.assertStatus(nfsstat4.NFS4ERR_RECALLCONFLICT, stateid=opened.stateid)

    def waiting(self) -> list[Reply]:
        """
        A LAYOUTGET that waits for a data server.
        """
        self.fixture.data.pause = Deferred()
        outcome = self.fixture.sendRun(self.fixture.putfh(), self.fixture.getArgs())
        self.assertEqual(outcome, [])
        return outcome

    def resume(self, outcome: list[Reply]) -> int:
        """
        The data server answers. @return: the status of the LAYOUTGET.
        """
        pause = self.fixture.data.pause
        assert pause is not None
        self.fixture.data.pause = None
        pause.callback(None)
        (reply,) = outcome
        return int(reply.status)

    def test_waits(self) -> None:
        """
        The first layout of a file may have to wait for data files to be made.
        """
        self.assertEqual(self.resume(self.waiting()), OK)

    def test_recallMeanwhile(self) -> None:
        """
        A recall that has begun while LAYOUTGET waited is not missed.
        """
        with self.fixture.other() as opened:
            self.fixture.hold(stateid=opened.stateid)
        outcome = self.waiting()
        self.fixture.recaller.recallLayouts(self.fixture.state, "test")
        self.assertEqual(self.resume(outcome), nfsstat4.NFS4ERR_RECALLCONFLICT)

    def test_closedMeanwhile(self) -> None:
        """
        Whoever has closed the file while LAYOUTGET waited gets no layout.
        """
        outcome = self.waiting()
        self.fixture.server.opens.drop(self.fixture.opened)
        self.assertEqual(self.resume(outcome), nfsstat4.NFS4ERR_BAD_STATEID)

    def test_replyTooBig(self) -> None:
        """
        A layout that does not fit into the reply is not given.
        """

        class BigLayoutDriver(FilesLayoutDriver):
            def grant(self, request: Any, placement: Any) -> Any:
                return [LayoutSegment(0, MAX, request.iomode, bytes(2000))]

        self.fixture.export.drivers = {1: BigLayoutDriver()}
        self.fixture.session.limit = 1500
        self.assertStatus(nfsstat4.NFS4ERR_REP_TOO_BIG)
        self.fixture.session.limit = 3000
        self.assertEqual(self.get()[0], OK)
        self.assertStatus(nfsstat4.NFS4ERR_TOOSMALL, maxcount=1000)


class ListedTests(SynchronousTestCase):
    """
    Files with an access control list: data servers know nothing of it.
    """

    def setUp(self) -> None:
        self.fixture = LayoutFixture()
        self.server = self.fixture.server

    def get(self, **more: Any) -> Any:
        """
        LAYOUTGET.
        """
        credential = more.pop("credential")
        fixture = self.fixture
        reply = fixture.onFile(fixture.getArgs(**more), credential=credential)
        return reply.take(LAYOUTGET)[0]

    def test_rights(self) -> None:
        """
        A handle is given to who may do by the list what it is good for, whatever
        the mode.
        """
        ACCESS = nfsstat4.NFS4ERR_ACCESS
        for uid, aces, reading, writing in (
            (7, [(0, 1)], 0, ACCESS),
            (7, [(0, 7)], 0, 0),
            (7, [(1, 2), (0, 7)], 0, ACCESS),
            (7, [(1, 1), (0, 7)], ACCESS, 0),
            (8, [(0, 7)], ACCESS, ACCESS),
            (1000, [], 0, 0),
        ):
            self.fixture.inode.acl = ACL(tuple(ACE(k, 0, m, 7) for k, m in aces))
            user = Credential(uid, 99, frozenset({99}), 1)
            for iomode, status in ((1, reading), (2, writing)):
                got = self.get(iomode=iomode, credential=user)
                self.assertEqual(got, status, (uid, aces, iomode))

    def test_appendOnly(self) -> None:
        """
        Where somebody may only append nobody writes to data servers.
        """
        self.fixture.inode.acl = ACL((ACE(0, 0, 7, 7), ACE(0, 0, 5, 8)))
        user = Credential(7, 99, frozenset({99}), 1)
        self.assertEqual(
            self.get(iomode=2, credential=user), nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE
        )
        self.assertEqual(self.get(iomode=1, credential=user), 0)

    def test_meanwhile(self) -> None:
        """
        A list set while data files are being made counts.
        """
        fixture = self.fixture
        pause = fixture.data.pause = Deferred()
        user = Credential(8, 99, frozenset({99}), 1)
        outcome = fixture.sendRun(
            fixture.putfh(), fixture.getArgs(iomode=1), credential=user
        )
        self.assertEqual(outcome, [])
        fixture.inode.acl = ACL((ACE(0, 0, 7, 7),))
        fixture.data.pause = None
        pause.callback(None)
        self.assertEqual(outcome[0].status, nfsstat4.NFS4ERR_ACCESS)
