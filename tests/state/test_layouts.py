"""
Tests for L{pnfs.state.layouts}.
"""

from __future__ import annotations

import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pnfs.state import layouts
from pnfs.state.clients import Client
from pnfs.state.errors import BadStateid, DelegRevoked, OldStateid
from pnfs.state.files import FileState
from pnfs.state.layouts import (
    WHOLE_READ,
    WHOLE_RW,
    LayoutState,
    LayoutTable,
    added,
    removed,
    segmentsOf,
)
from pnfs.state.stateids import StateidTable
from pnfs.values import (
    NFS4_UINT64_MAX,
    DeviceError,
    DeviceStatistics,
    IOMode,
    LayoutReport,
    LayoutSegment,
    Placement,
)
from tests.nfs4.fixture import entropy

ONE, TWO = b"\1" * 16, b"\2" * 16


def newClient(number: int) -> Client:
    """
    A client record.
    """
    return Client(number, b"client%d" % number, b"verifier", (1, 0), 0.0)


def withSeqid(layout: LayoutState, seqid: int) -> bytes:
    """
    The layout's stateid with another seqid.
    """
    return seqid.to_bytes(4, "big") + layout.other


class SegmentTests(SynchronousTestCase):
    """
    What a client holds is a set of ranges per iomode.
    """

    def test_whole(self) -> None:
        """
        The whole file twice is the whole file once; READ and RW are kept apart.
        """
        both = added(added(added([], (1, 0, 1 << 64)), (2, 0, 1 << 64)), (1, 0, 9))
        self.assertEqual(sorted(both), [(1, 0, 1 << 64), (2, 0, 1 << 64)])

    def test_fromDriver(self) -> None:
        """
        Whole-file segments of any driver share one record.
        """
        for iomode, expected in ((IOMode.READ, WHOLE_READ), (IOMode.RW, WHOLE_RW)):
            made = segmentsOf([LayoutSegment(0, NFS4_UINT64_MAX, iomode, b"")])
            self.assertIs(made, expected)
        made = segmentsOf([LayoutSegment(10, 5, IOMode.READ, b"")])
        self.assertEqual(made, [(1, 10, 15)])

    @given(
        st.lists(
            st.tuples(
                st.booleans(),
                st.sampled_from([1, 2, 3]),
                st.integers(0, 12),
                st.integers(1, 12),
            ),
            max_size=12,
        )
    )
    def test_model(self, steps: list[tuple[bool, int, int, int]]) -> None:
        """
        A partial return keeps the rest, however ranges were granted before.
        """
        segments: list[Any] = []
        model: set[tuple[int, int]] = set()
        for give, iomode, start, length in steps:
            touched = {
                (mode, byte)
                for mode in (1, 2)
                if mode == iomode or iomode == 3
                for byte in range(start, start + length)
            }
            if give and iomode != 3:
                segments = added(segments, (iomode, start, start + length))
                model |= touched
            elif not give:
                segments = removed(segments, iomode, start, start + length)
                model -= touched
            held = [(m, b) for m, first, end in segments for b in range(first, end)]
            self.assertEqual(len(held), len(set(held)))
            self.assertEqual(set(held), model)


class LayoutTests(SynchronousTestCase):
    """
    Layouts are held by clients, one stateid per file.
    """

    def setUp(self) -> None:
        self.stateids = StateidTable(7, entropy())
        self.table = LayoutTable(self.stateids)
        self.client = newClient(1)
        self.file = FileState(b"fh", None, None)

    def grant(self, segments: Any = WHOLE_RW, **more: Any) -> LayoutState:
        """
        Give the whole file.
        """
        return self.table.grant(
            more.get("file", self.file),
            more.get("client", self.client),
            1,
            more.get("servers", (ONE, TWO)),
            segments,
        )

    def test_oneStateid(self) -> None:
        """
        Every LAYOUTGET of a client on a file moves the seqid of the same stateid.
        """
        first = self.grant(WHOLE_READ)
        self.assertEqual(first.stateid, withSeqid(first, 1))
        second = self.grant(WHOLE_RW)
        self.assertIs(first, second)
        self.assertEqual(first.seqid, 2)
        self.assertEqual(len(self.table), 1)
        other = self.grant(client=newClient(2))
        self.assertNotEqual(other.other, first.other)
        self.assertEqual(len(self.table), 2)

    def test_iomode(self) -> None:
        """
        Others can see whether a client may be writing.
        """
        layout = self.grant(WHOLE_READ)
        self.assertEqual((layout.iomode, layout.holdsWrite), (IOMode.READ, False))
        self.assertFalse(layout.mayHaveWritten())
        self.grant(WHOLE_RW)
        self.assertEqual((layout.iomode, layout.holdsWrite), (IOMode.RW, True))
        layout.refreshed()
        self.assertTrue(layout.mayHaveWritten())
        self.table.giveBack(layout, IOMode.RW)
        self.assertTrue(layout.mayHaveWritten())
        layout.refreshed()
        self.assertFalse(layout.mayHaveWritten())

    def test_partialReturn(self) -> None:
        """
        Returning a part keeps the rest and moves the seqid; the stateid goes with
        the last part.
        """
        layout = self.grant()
        self.assertTrue(self.table.giveBack(layout, IOMode.RW, 100, 200))
        self.assertEqual(layout.segments, [(2, 0, 100), (2, 200, 1 << 64)])
        self.assertEqual(layout.seqid, 2)
        self.assertTrue(self.table.giveBack(layout, IOMode.READ))
        self.assertFalse(self.table.giveBack(layout, IOMode.ANY))
        self.assertEqual((len(self.table), len(self.stateids)), (0, 0))
        self.assertTrue(self.file.idle)
        self.assertEqual(self.client.layouts, {})
        self.assertRaises(
            BadStateid, self.table.find, layout.stateid, self.client, self.file
        )

    def test_othersStateid(self) -> None:
        """
        A stateid of another client or another file is refused.
        """
        layout = self.grant()
        for client, file in (
            (newClient(2), self.file),
            (self.client, FileState(b"other", None, None)),
        ):
            self.assertRaises(BadStateid, self.table.find, layout.stateid, client, file)
            self.assertRaises(
                BadStateid, self.table.forReturn, layout.stateid, client, file
            )

    def test_seqidInGet(self) -> None:
        """
        LAYOUTGETs sent in parallel carry the same seqid, and both are served. One
        from before a LAYOUTRETURN is old; 0 and one not reached yet are bad.
        """
        layout = self.grant(WHOLE_READ)
        self.grant()
        self.table.forGet(withSeqid(layout, 1), layout)
        self.table.forGet(withSeqid(layout, 2), layout)
        for seqid in (0, 3):
            self.assertRaises(
                BadStateid, self.table.forGet, withSeqid(layout, seqid), layout
            )
        self.table.giveBack(layout, IOMode.READ)
        self.assertEqual(layout.seqid, 3)
        self.table.forGet(withSeqid(layout, 3), layout)
        self.assertRaises(OldStateid, self.table.forGet, withSeqid(layout, 2), layout)

    def test_seqidInReturn(self) -> None:
        """
        A LAYOUTRETURN that crosses a recall is accepted; one that does not know of
        the last LAYOUTGET would give too much away.
        """
        layout = self.grant()
        layout.advance()
        found = self.table.forReturn(withSeqid(layout, 1), self.client, self.file)
        self.assertIs(found, layout)
        self.grant(WHOLE_READ)
        for seqid, error in ((0, BadStateid), (1, OldStateid), (4, BadStateid)):
            self.assertRaises(
                error,
                self.table.forReturn,
                withSeqid(layout, seqid),
                self.client,
                self.file,
            )

    def test_seqidWraps(self) -> None:
        """
        After 2**32 - 1 comes 1, and what was before is still older.
        """
        layout = self.grant()
        layout.seqid = layout.granted = layout.returned = 0xFFFFFFFF
        self.grant()
        self.assertEqual(layout.seqid, 1)
        self.assertRaises(
            OldStateid,
            self.table.forReturn,
            withSeqid(layout, 0xFFFFFFFF),
            self.client,
            self.file,
        )
        self.table.forGet(withSeqid(layout, 0xFFFFFFFF), layout)

    def test_revoke(self) -> None:
        """
        A revoked layout is no longer held; its stateid says why until it is freed.
        """
        layout = self.grant()
        self.table.revoke(layout)
        self.assertEqual(self.client.revoked, 1)
        self.assertFalse(self.client.hasState)
        self.assertTrue(self.file.idle)
        self.assertRaises(
            DelegRevoked, self.table.find, layout.stateid, self.client, self.file
        )
        self.table.free(layout)
        self.table.free(layout)
        self.assertEqual((self.client.revoked, len(self.stateids)), (0, 0))

    def test_dropClient(self) -> None:
        """
        With a client go its layouts, the revoked ones too.
        """
        self.table.revoke(self.grant())
        held = self.grant(file=FileState(b"2", None, None))
        self.assertEqual(self.table.dropClient(self.client), [held])
        self.assertEqual(
            (len(self.table), len(self.stateids), self.client.revoked), (0, 0, 0)
        )

    def test_onServer(self) -> None:
        """
        The layouts that a lost data server makes useless are found.
        """
        first = self.grant()
        second = self.grant(file=FileState(b"2", None, None), servers=(TWO,))
        self.assertEqual(list(self.table.onServer(ONE)), [first])
        self.assertEqual(set(self.table.onServer(TWO)), {first, second})
        self.table.drop(first)
        self.assertEqual(list(self.table.onServer(ONE)), [])
        self.grant(file=second.file, servers=(ONE,))
        self.assertEqual(list(self.table.onServer(ONE)), [second])
        self.assertEqual(list(self.table.onServer(TWO)), [second])

    def test_tellsRecall(self) -> None:
        """
        A recall under way learns of each layout that goes.
        """
        told = []

        class Recall:
            def gone(self, layout: LayoutState) -> None:
                told.append(layout)

        layout = self.grant()
        self.file.recall = Recall()
        self.table.giveBack(layout, IOMode.RW, 0, 10)
        self.assertEqual(told, [])
        self.table.giveBack(layout, IOMode.ANY)
        self.assertEqual(told, [layout])

    def test_cachedGrant(self) -> None:
        """
        An encoded layout is used again for the very same placement only, and not
        after data servers have got other addresses.
        """
        placement = Placement("files", 0, ((ONE,),), b"ab")
        self.assertIsNone(self.table.cachedGrant(1, placement, "key"))
        self.table.keepGrant(placement, "key", "grant")
        self.assertEqual(self.table.cachedGrant(1, placement, "key"), "grant")
        self.assertIsNone(self.table.cachedGrant(1, placement, "other"))
        fenced = Placement("files", 0, ((ONE,),), b"ab", 2)
        self.assertIsNone(self.table.cachedGrant(1, fenced, "key"))
        self.assertIsNone(self.table.cachedGrant(2, placement, "key"))
        self.assertIsNone(self.table.cachedGrant(2, placement, "key"))

    def test_cachedGrantBounded(self) -> None:
        """
        Many files do not fill the memory with encoded layouts.
        """
        self.patch(layouts, "GRANTS_LIMIT", 2)
        placements = [Placement("files", 0, ((ONE,),), b"%d" % n) for n in range(3)]
        self.table.cachedGrant(1, placements[0], "key")
        for placement in placements:
            self.table.keepGrant(placement, "key", placement.name)
        found = [self.table.cachedGrant(1, each, "key") for each in placements]
        self.assertEqual(found, [None, b"1", b"2"])

    def test_report(self) -> None:
        """
        What clients say of their devices is kept and passed on.
        """
        told: list[Any] = []
        self.table.listeners.append(lambda *said: told.append(said))
        error = DeviceError(ONE, 0, 10, 6, 38)
        self.table.report(self.client, self.file, LayoutReport())
        for count in (1, 2):
            said = DeviceStatistics(ONE, count, 0, 0, 0)
            report = LayoutReport((error,), (said,))
            self.table.report(self.client, self.file, report)
        self.assertEqual(self.table.reports.errors, {(ONE, 6): 2})
        self.assertEqual(told[-1], (self.client, self.file, report))
        self.assertEqual(len(told), 2)

    def test_memory(self) -> None:
        """
        A held layout takes less than a KiB.
        """
        layout = self.grant()
        own = (layout, layout.other, layout.segments, *layout.segments)
        entries = 4 * 104
        self.assertLess(sum(sys.getsizeof(each) for each in own) + entries, 1024)
