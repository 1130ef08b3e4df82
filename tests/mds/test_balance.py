"""
Tests of L{pnfs.mds.balance}: C{rebalance} in a whole site.
"""

from __future__ import annotations

from typing import Any

from tests.mds.faulty import pattern
from tests.mds.test_mover import MoverCase

SIZE = 60_000


class BalanceTests(MoverCase):
    """
    Small data servers, two of which have everything.
    """

    layout = "flexfiles"

    def stripes(self) -> int:
        """
        None.
        """
        return 1

    def setUp(self) -> None:
        """
        Forty files.
        """
        super().setUp()
        for ds in self.backends:
            ds.capacity = 4 << 20
        for number in (2, 3):
            self.command("ds.drain", name=f"ds{number}")
        self.rest(3)
        self.contents = {b"n%02d" % n: pattern(SIZE + n, n) for n in range(40)}
        for name, data in self.contents.items():
            self.put(name, data)
        for number in (2, 3):
            self.command("ds.enable", name=f"ds{number}")
        self.rest(5)

    def used(self) -> list[int]:
        """
        Percent of each data server.
        """
        spaces = [self.now(ds.statfs()) for ds in self.backends]
        return [round(100 - 100 * s.spaceFree / s.spaceTotal) for s in spaces]

    def plan(self, **more: Any) -> Any:
        """
        What would be done.
        """
        planning = self.begin("rebalance", dry=True, **more)
        self.rest(1)
        return self.successResultOf(planning)

    def test_balance(self) -> None:
        """
        The new data servers fill up to the average and no further; nothing else moves,
        and a second time nothing at all.
        """
        before = self.used()
        self.assertEqual(before[2:], [0, 0])
        told = self.done(self.command("rebalance"), 60)
        self.assertEqual((told["state"], told["failed"]), ("done", 0))
        after = self.used()
        average = sum(before) / 4
        for share in after:
            self.assertApproximates(share, average, 6)
        self.assertLessEqual(max(after[2:]), average + 1)
        self.assertGreater(told["files"], 10)
        self.assertLess(told["files"], 25)
        for name, data in self.contents.items():
            self.assertThere(name, data)
        self.rest(5)
        self.assertEqual(self.done(self.command("rebalance"))["files"], 0)

    def test_dryRun(self) -> None:
        """
        What would be moved is told, and nothing is.
        """
        before = self.used()
        plan = self.plan(within=2)
        self.assertEqual(self.used(), before)
        self.assertEqual(self.command("jobs.list")[-1]["what"], "drain ds3")
        self.assertGreater(plan["files"], 10)
        self.assertApproximates(plan["bytes"], plan["files"] * SIZE, SIZE * 3)
        for server in plan["servers"]:
            self.assertEqual(server["total"], 4 << 20)
            self.assertApproximates(server["then"] / server["total"], 0.145, 0.03)
        told = self.done(self.command("rebalance", within=2), 60)
        self.assertApproximates(told["files"], plan["files"], 3)

    def test_restarted(self) -> None:
        """
        It goes on after a restart, when data servers have said how full they are.
        """
        self.command("rebalance", limit=100_000)
        self.rest(2)
        for number in range(4):
            self.killDataServer(number)
        self.restartMetadataServer()
        self.rest(1)
        for number in range(4):
            self.startDataServer(number)
        self.rest(60)
        self.mount()
        self.assertApproximates(max(self.used()), min(self.used()), 12)
        for name, data in self.contents.items():
            self.assertThere(name, data)

    def test_even(self) -> None:
        """
        Where all are about equally full nothing is to be done.
        """
        plan = self.plan(within=50)
        self.assertEqual((plan["files"], plan["bytes"]), (0, 0))

    def test_refused(self) -> None:
        """
        Numbers that mean nothing are refused.
        """
        for within in (0, 51):
            self.assertIn("within", self.refused("rebalance", within=within))
