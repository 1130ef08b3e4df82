"""
The load generator of C{make bench} against a real site, for moments only: what it
finds is not judged.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.cells import Metadata
from benchmarks.data import MIB, DataLoad
from benchmarks.load import Outcome
from benchmarks.memory import perClient, perOpenFile
from benchmarks.report import Row, dataTable, metadataTable
from benchmarks.run import CELLS, OURS, measureCell
from benchmarks.servers import OurSite


class BenchmarkTests(SynchronousTestCase):
    """
    Every cell of the matrix can be measured.
    """

    def setUp(self) -> None:
        self.site = OurSite(2)
        self.addCleanup(self.site.stop)
        self.server = Metadata(self.site.host, self.site.port, self.site.export)

    def test_metadata(self) -> None:
        """
        Each operation of the metadata server succeeds under load.
        """
        rows = []
        for cell in CELLS + OURS:
            found = measureCell(self.server, [self.site.mds], cell, 2, 2, 0.05)
            self.assertGreater(found.operations, 0, cell)
            rows.append(Row(cell, "2 × 2", [found], []))
        self.assertEqual(len(metadataTable(rows).splitlines()), 2 + len(rows))

    def test_data(self) -> None:
        """
        What is read and written goes to the data servers.
        """
        load = DataLoad(self.server, self.site.pids, True)
        rows = []
        for operation in ("read", "write"):
            for size in (4096, MIB):
                found: Outcome = load.measure(operation, size, 2, 0.05)
                self.assertGreater(found.operations, 0)
                rows.append(Row(operation, "2", [found], [found]))
        self.assertIn("1.00", dataTable(rows, lambda row: MIB))

    def test_memory(self) -> None:
        """
        Many clients and open files can be held.
        """
        perClient(self.server, self.site.mds, 130)
        perOpenFile(self.server, self.site.mds, 100)
