"""
Tests of L{pnfs.mds.repaired}: how far a repair is.
"""

from __future__ import annotations

from typing import Any

from pnfs.backends.errors import IOFailed
from pnfs.mds.repaired import Repaired, measure
from tests.mds.test_repairs import RepairsCase


class RepairedTests(RepairsCase):
    """
    L{Repaired} and L{measure}.
    """

    def test_unknown(self) -> None:
        """
        Before it is known what there is to do nobody says how long it takes.
        """
        self.assertIsNone(Repaired(began=5.0).seconds(10.0))

    def test_progress(self) -> None:
        """
        Files that are gone through count, although only what differs in them is copied.
        """
        done = Repaired(began=100.0, left=4, leftBytes=4000)
        self.assertIsNone(done.seconds(110.0))
        done.bytes = done.current = 50
        done.repaired(1000, 50)
        self.assertEqual((done.files, done.left, done.leftBytes), (1, 3, 3000))
        self.assertEqual(done.seconds(110.0), 30.0)
        self.assertEqual(done.rate(110.0), 5.0)
        done.current = 500
        self.assertAlmostEqual(done.seconds(110.0) or 0, 2500 * 10 / 1500)
        done.current = 0
        for _ in range(3):
            done.repaired(1000, 0)
        self.assertEqual((done.left, done.seconds(120.0)), (0, 0.0))

    def test_grown(self) -> None:
        """
        Files that have grown since they were measured do not make it end in the past.
        """
        done = Repaired(began=0.0, left=2, leftBytes=10)
        done.repaired(1000, 0)
        self.assertEqual((done.left, done.leftBytes), (1, 0))
        self.assertIsNone(done.seconds(1.0))

    def measured(self) -> Repaired:
        """
        Of the data server of the first mirror of C{f0}.
        """
        done = Repaired()
        uuid = self.placement(b"f0").columns[0][0]
        self.now(measure(self.mds.index, self.mds.context.exports, {uuid: done}))
        return done

    def test_measure(self) -> None:
        """
        Stale files and their lengths are added up.
        """
        for number in range(3):
            self.put(b"f%d" % number, bytes(1000))
        self.rest(3)
        uuid = self.placement(b"f0").columns[0][0]
        mine = [n for n in (b"f0", b"f1", b"f2") if uuid in self._on(n)]
        self.mds.repairs.automatic = False
        for name in mine:
            self.lose(name, uuid)
        done = self.measured()
        self.assertEqual((done.left, done.leftBytes), (len(mine), 1000 * len(mine)))

    def _on(self, name: bytes) -> Any:
        return self.placement(name).dataServers

    def test_notKnown(self) -> None:
        """
        Without the index nothing is known, and that is no failure.
        """
        self.put(b"f0", b"data")
        whole = set(self.mds.index.whole)
        self.mds.index.whole.clear()
        self.assertIsNone(self.measured().left)
        self.mds.index.whole.update(whole)

        async def fails() -> None:
            raise IOFailed("the disk of the index is broken")

        self.patch(self.mds.index, "counts", fails)
        self.assertIsNone(self.measured().left)
