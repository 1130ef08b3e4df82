"""
Tests for L{pnfs.nfs4.ops.layoutreturn}.
"""

from __future__ import annotations

import struct
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import Unreachable
from pnfs.nfs4.ops.layoutcommit import layoutupdate4
from pnfs.nfs4.ops.layouterror import LAYOUTERROR4args
from pnfs.nfs4.ops.layoutreturn import layoutreturn
from pnfs.nfs4.ops.layoutstats import LAYOUTSTATS4args, io_info4
from pnfs.nfs4.status import nfsstat4
from pnfs.values import DeviceError, FileType
from tests.layouts.test_flexfiles import DEVICE, failure, statistics, update
from tests.nfs4.fixture import args
from tests.nfs4.layoutfixture import LAYOUTRETURN, MAX, LayoutFixture

OK = nfsstat4.NFS4_OK
FSID, ALL = 2, 3


class LayoutReturnTests(SynchronousTestCase):
    """
    LAYOUTRETURN gives up what LAYOUTGET gave.
    """

    def setUp(self) -> None:
        self.fixture = LayoutFixture()
        self.giveBack = self.fixture.giveBack

    def assertStatus(self, expected: nfsstat4, *args: Any, **more: Any) -> None:
        """
        LAYOUTRETURN fails so; the error is among those of the RFC's list, and what
        was held is held still.
        """
        before = len(self.fixture.server.layouts)
        status, _ = self.giveBack(*args, **more)
        self.assertEqual(nfsstat4(status), expected)
        self.assertIn(status, layoutreturn.errors)
        self.assertEqual(len(self.fixture.server.layouts), before)

    def test_read(self) -> None:
        """
        The last segment takes the stateid with it; no data server is asked.
        """
        held = self.fixture.hold(iomode=1)
        self.assertEqual(self.giveBack(held), (OK, None))
        self.assertNotIn("refresh", self.fixture.data.calls)
        self.assertStatus(nfsstat4.NFS4ERR_BAD_STATEID, held)

    def test_written(self) -> None:
        """
        When a writer returns its layout, everybody sees the file's new size.
        """
        held = self.fixture.hold()
        self.fixture.data.sizes[self.fixture.inode.handle] = 12345
        self.assertEqual(self.giveBack(held), (OK, None))
        self.assertEqual(self.fixture.inode.size, 12345)

    def test_partial(self) -> None:
        """
        What is not returned stays, under a stateid whose seqid has moved (a partial
        range keeps the rest: chimera #1426).
        """
        held = self.fixture.hold()
        status, left = self.giveBack(held, iomode=2, offset=0, length=65536)
        self.assertEqual((status, left), (OK, b"\0\0\0\2" + held[4:]))
        (layout,) = self.fixture.state.layouts.values()
        self.assertEqual(layout.segments, [(2, 65536, 1 << 64)])
        self.assertEqual(self.giveBack(left, iomode=2, offset=65536), (OK, None))

    def test_iomode(self) -> None:
        """
        Returning the READ segment keeps the one for writing.
        """
        self.fixture.hold(iomode=1)
        held = self.fixture.hold()
        status, left = self.giveBack(held, iomode=1)
        self.assertEqual((status, left[:4]), (OK, b"\0\0\0\3"))
        self.assertNotIn("refresh", self.fixture.data.calls)
        self.assertEqual(self.giveBack(left, iomode=2), (OK, None))

    def test_dataServerDown(self) -> None:
        """
        If a data server does not say what was written, the client is asked to
        return the layout later: its size is not lost.
        """
        held = self.fixture.hold()
        self.fixture.data.failure = Unreachable()
        status, _ = self.giveBack(held)
        self.assertEqual(status, nfsstat4.NFS4ERR_DELAY)
        self.fixture.data.failure = None
        self.assertEqual(self.giveBack(held), (OK, None))

    def test_goneMeanwhile(self) -> None:
        """
        A layout revoked while the data servers were asked is gone; that is what
        the client wanted.
        """
        held = self.fixture.hold()
        self.fixture.data.pause = pause = Deferred()
        outcome = self.fixture.sendRun(self.fixture.putfh(), self.fixture.give(held))
        (layout,) = self.fixture.state.layouts.values()
        self.fixture.server.layouts.revoke(layout)
        pause.callback(None)
        self.assertEqual(outcome[0].status, OK)
        self.assertEqual(outcome[0].wire[-4:], bytes(4))

    def test_badArguments(self) -> None:
        """
        Requests that make no sense are refused.
        """
        held = self.fixture.hold()
        for error, more in (
            (nfsstat4.NFS4ERR_BADIOMODE, {"iomode": 0}),
            (nfsstat4.NFS4ERR_BADIOMODE, {"iomode": 4}),
            (nfsstat4.NFS4ERR_INVAL, {"length": 0}),
            (nfsstat4.NFS4ERR_INVAL, {"offset": 2, "length": MAX - 1}),
            (nfsstat4.NFS4ERR_INVAL, {"layoutType": 4}),
            (nfsstat4.NFS4ERR_UNKNOWN_LAYOUTTYPE, {"layoutType": 3}),
            (nfsstat4.NFS4ERR_BADXDR, {"body": b"1234"}),
        ):
            self.assertStatus(error, held, **more)
        made = self.fixture.make(b"dir", FileType.DIR)
        reply = self.fixture.onFile(self.fixture.give(held), inode=made)
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_WRONG_TYPE)
        reply = self.fixture.run(self.fixture.give(held))
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_NOFILEHANDLE)

    def test_truncated(self) -> None:
        """
        A request that is cut off is malformed, wherever the cut is.
        """
        whole = self.fixture.give(self.fixture.hold(), body=b"1234")
        for size in range(4, len(whole)):
            reply = self.fixture.onFile(whole[:size])
            self.assertEqual(reply.status, nfsstat4.NFS4ERR_BADXDR)

    def test_malformedWhat(self) -> None:
        """
        A return of something unknown, or a boolean that is none, is malformed.
        """
        for reclaim, what in ((0, 4), (0, 0), (2, 1)):
            wire = struct.pack(">IIIII", LAYOUTRETURN, reclaim, 1, 3, what)
            reply = self.fixture.onFile(wire + bytes(36))
            self.assertEqual(reply.status, nfsstat4.NFS4ERR_BADXDR)

    def test_stateids(self) -> None:
        """
        The stateid must be a layout's, of the caller, on this file; its seqid must not
        be 0, not ahead, and not from before the last LAYOUTGET (LAYOUTRETURN with seqid
        0 is BAD_STATEID: chimera #1093).
        """
        first = self.fixture.hold()
        held = self.fixture.hold()
        with self.fixture.other() as opened:
            others = self.fixture.hold(stateid=opened.stateid)
        for stateid in (
            self.fixture.opened.stateid,
            others,
            bytes(4) + held[4:],
            b"\0\0\0\3" + held[4:],
            bytes(16),
        ):
            self.assertStatus(nfsstat4.NFS4ERR_BAD_STATEID, stateid)
        self.assertStatus(nfsstat4.NFS4ERR_OLD_STATEID, first)
        inode = self.fixture.make(b"elsewhere")
        self.fixture.open(inode=inode)
        reply = self.fixture.onFile(self.fixture.give(held), inode=inode)
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_BAD_STATEID)

    def test_revoked(self) -> None:
        """
        A revoked layout cannot be returned.
        """
        held = self.fixture.hold()
        (layout,) = self.fixture.state.layouts.values()
        self.fixture.server.layouts.revoke(layout)
        self.assertStatus(nfsstat4.NFS4ERR_DELEG_REVOKED, held)

    def test_revokedAlone(self) -> None:
        """
        The client is told why whatever it does with the stateid, also when nobody has
        anything else of the file any more.
        """
        fixture = self.fixture
        held = fixture.hold()
        (layout,) = fixture.state.layouts.values()
        fixture.server.layouts.revoke(layout)
        fixture.server.opens.drop(fixture.opened)
        fixture.recaller.settle(fixture.state)
        self.assertIsNone(fixture.inode.state)
        self.assertStatus(nfsstat4.NFS4ERR_DELEG_REVOKED, held)
        self.assertEqual(fixture.get(held)[0], nfsstat4.NFS4ERR_DELEG_REVOKED)
        none, counts = io_info4(0, 0), layoutupdate4(4, update())
        for wire in (
            args(64, LAYOUTERROR4args(0, 1, held, [])),
            args(65, LAYOUTSTATS4args(0, 1, held, none, none, DEVICE, counts)),
        ):
            status = fixture.onFile(wire, minor=2).status
            self.assertEqual(status, nfsstat4.NFS4ERR_DELEG_REVOKED)
        other = fixture.make(b"untouched")
        self.assertEqual(fixture.get(held, other)[0], nfsstat4.NFS4ERR_BAD_STATEID)

    def test_duringRecall(self) -> None:
        """
        A client that returns its layout before the recall has reached it uses the
        seqid that it knows.
        """
        held = self.fixture.hold()
        done = self.fixture.recaller.recallLayouts(self.fixture.state, "test")
        self.assertEqual(self.giveBack(held), (OK, None))
        self.assertIsNone(self.successResultOf(done))

    def test_report(self) -> None:
        """
        The errors and statistics of a flexible files client are counted, even if
        the data servers cannot be asked for the size.
        """
        fixture = self.fixture
        fixture.data.placing = fixture.data.placing.__class__(0, 1, 1, b"ab", 0)
        fixture.export.layout = "flexfiles"
        held = fixture.hold(layoutType=4)
        told: list[Any] = []
        fixture.server.layouts.listeners.append(lambda *said: told.append(said))
        fixture.data.failure = Unreachable()
        body = b"\0\0\0\1" + failure() + b"\0\0\0\1" + statistics()
        status, _ = self.giveBack(held, layoutType=4, body=body)
        self.assertEqual(status, nfsstat4.NFS4ERR_DELAY)
        self.assertEqual(fixture.server.layouts.reports.errors, {(DEVICE, 6): 1})
        ((client, file, report),) = told
        self.assertEqual((client, file), (fixture.client, fixture.state))
        self.assertEqual(report.errors, (DeviceError(DEVICE, 4096, 8192, 6, 38),))

    def test_afterRestart(self) -> None:
        """
        A client whose server has restarted reports with the anonymous stateid
        (Linux 6.12), or reclaims; once it has reclaimed, neither is possible.
        """
        self.fixture.client.reclaimComplete = False
        anonymous = bytes(16)
        self.assertEqual(self.giveBack(anonymous), (OK, None))
        self.assertEqual(self.giveBack(anonymous, reclaim=1), (OK, None))
        self.fixture.client.reclaimComplete = True
        self.assertStatus(nfsstat4.NFS4ERR_BAD_STATEID, anonymous)
        self.assertStatus(nfsstat4.NFS4ERR_NO_GRACE, anonymous, reclaim=1)

    def many(
        self, what: int, *before: bytes, layoutType: int = 1, iomode: int = 3
    ) -> int:
        """
        LAYOUTRETURN of a file system or of everything: its status.
        """
        wire = struct.pack(">IIIII", LAYOUTRETURN, 0, layoutType, iomode, what)
        return int(self.fixture.run(*before, wire).status)

    def test_everything(self) -> None:
        """
        LAYOUTRETURN4_ALL gives up all layouts of the client and the type, and no
        others; sizes are learned first (ALL forgets state: chimera #1004).
        """
        fixture = self.fixture
        fixture.hold()
        second = fixture.make(b"second")
        fixture.hold(stateid=fixture.open(inode=second).stateid, inode=second, iomode=1)
        with fixture.other() as opened:
            fixture.hold(stateid=opened.stateid)
        fixture.data.sizes[fixture.inode.handle] = 777
        self.assertEqual(self.many(ALL, layoutType=9), 10062)
        self.assertEqual(self.many(ALL, iomode=0), nfsstat4.NFS4ERR_BADIOMODE)
        self.assertEqual(len(fixture.server.layouts), 3)
        self.assertEqual(self.many(ALL), OK)
        self.assertEqual(len(fixture.server.layouts), 1)
        self.assertEqual(fixture.inode.size, 777)

    def test_fileSystem(self) -> None:
        """
        LAYOUTRETURN4_FSID needs a filehandle, and spares other file systems (FSID
        forgets state: chimera #1004).
        """
        self.fixture.hold()
        self.assertEqual(self.many(FSID), nfsstat4.NFS4ERR_NOFILEHANDLE)
        self.fixture.state.export = type("Elsewhere", (), {"fsid": (9, 9)})
        self.assertEqual(self.many(FSID, self.fixture.putfh()), OK)
        self.assertEqual(len(self.fixture.server.layouts), 1)
        self.fixture.state.export = self.fixture.export
        self.assertEqual(self.many(FSID, self.fixture.putfh()), OK)
        self.assertEqual(len(self.fixture.server.layouts), 0)

    def test_manyPartial(self) -> None:
        """
        Returning all READ segments keeps those for writing.
        """
        self.fixture.hold(iomode=1)
        self.fixture.hold()
        self.assertEqual(self.many(ALL, iomode=1), OK)
        (layout,) = self.fixture.state.layouts.values()
        self.assertEqual(layout.segments, [(2, 0, 1 << 64)])

    def test_closedBefore(self) -> None:
        """
        The last layout of a closed file takes the file's state with it.
        """
        for iomode in (1, 2):
            opened = self.fixture.open()
            held = self.fixture.hold(stateid=opened.stateid, iomode=iomode)
            for each in list(self.fixture.state.opens.values()):
                self.fixture.server.opens.drop(each)
            self.assertEqual(self.giveBack(held), (OK, None))
            self.assertIsNone(self.fixture.inode.state)

    def test_sequenceInCompound(self) -> None:
        """
        LAYOUTGET and LAYOUTRETURN in one COMPOUND pass the stateid on.
        """
        fixture = self.fixture
        current = b"\0\0\0\1" + bytes(12)
        reply = fixture.onFile(
            fixture.getArgs(), fixture.give(current, length=10), fixture.give(current)
        )
        self.assertEqual(reply.status, OK)
        self.assertEqual(len(fixture.server.layouts), 0)
