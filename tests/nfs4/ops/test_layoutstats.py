"""
Tests for L{pnfs.nfs4.ops.layoutstats}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pnfs.nfs4.ops.layoutcommit import layoutupdate4
from pnfs.nfs4.ops.layoutstats import LAYOUTSTATS4args, io_info4, layoutstats
from pnfs.nfs4.status import nfsstat4
from pnfs.values import DeviceStatistics
from tests.layouts.test_flexfiles import DEVICE, update
from tests.nfs4.fixture import args
from tests.nfs4.layoutfixture import MAX, LayoutFixture


class LayoutStatsTests(SynchronousTestCase):
    """
    LAYOUTSTATS tells the metadata server what clients do at data servers.
    """

    def setUp(self) -> None:
        self.fixture = LayoutFixture()

    def stats(
        self, stateid: bytes, layoutType: int = 4, body: bytes = update(), n: int = 3
    ) -> int:
        """
        LAYOUTSTATS: its status.
        """
        wire = args(
            65,
            LAYOUTSTATS4args(
                0,
                MAX,
                stateid,
                io_info4(n, 100 * n),
                io_info4(4, 400),
                DEVICE,
                layoutupdate4(layoutType, body),
            ),
        )
        status, _ = self.fixture.onFile(wire, minor=2).take(65)
        return status

    def test_kept(self) -> None:
        """
        The last numbers for a device count, since they are cumulative (LAYOUTSTATS:
        chimera #415).
        """
        held = self.fixture.hold()
        self.assertEqual(self.stats(held), 0)
        self.assertEqual(self.stats(held, n=5), 0)
        reports = self.fixture.server.layouts.reports
        ((device, about),) = reports.ofFile(self.fixture.inode.state.fh)
        self.assertEqual(device, DEVICE)
        self.assertEqual(
            about.statistics,
            {self.fixture.clientid: DeviceStatistics(DEVICE, 5, 500, 4, 400)},
        )
        self.assertEqual(reports.totals[DEVICE].readCount, 5)

    def test_refused(self) -> None:
        """
        Without a layout, of an unknown type, or malformed, it does not count.
        """
        held = self.fixture.hold()
        for expected, status in (
            (nfsstat4.NFS4ERR_BAD_STATEID, self.stats(self.fixture.opened.stateid)),
            (nfsstat4.NFS4ERR_UNKNOWN_LAYOUTTYPE, self.stats(held, layoutType=9)),
            (nfsstat4.NFS4ERR_BADXDR, self.stats(held, body=update()[:-4])),
        ):
            self.assertEqual(status, expected)
            self.assertIn(status, layoutstats.errors)
        self.assertEqual(self.fixture.server.layouts.reports.totals, {})
