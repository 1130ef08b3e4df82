"""
The whole service under faults, from a few seeds; C{make simulate} runs many more.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from pnfs.mds.transfer import Transfer
from tests.simulation.simulate import VICTIMS, Plan, repairPlan, simulate

_SEEDS = (1, 2, 3)
_TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class SimulateTests(SynchronousTestCase):
    """
    Runs of L{simulate}.
    """

    def test_seeds(self) -> None:
        """
        Servers and clients are killed, stand still and lose connections: nothing
        that was acknowledged is lost, nobody shares what he was given alone, and
        nothing is left in the end.
        """
        for seed in _SEEDS:
            outcome = simulate(seed)
            self.assertEqual(outcome.violations, (), "\n".join(outcome.tail[-60:]))
            self.assertGreater(outcome.steps, 200)

    def test_streams(self) -> None:
        """
        Clients append where the server says that the file ends, while data servers
        and the metadata server die: every byte is where it belongs.
        """
        outcome = simulate(1, Plan(streamsOnly=True, faults=6))
        self.assertEqual(outcome.violations, (), "\n".join(outcome.tail[-60:]))

    def test_mirrors(self) -> None:
        """
        Data servers are away so long that files go on without them, and come back to be
        repaired, while they and the metadata server die at any step of that: no mirror
        counts before it has everything, all do in the end, and each has by itself what
        was acknowledged.
        """
        repaired = 0
        for seed in _SEEDS:
            outcome = simulate(seed, Plan(mirrors=2, faults=10))
            self.assertEqual(outcome.violations, (), "\n".join(outcome.tail[-60:]))
            repaired += outcome.repaired
            self.assertGreater(outcome.audited, 10_000)
        self.assertGreater(repaired, 10)

    def test_repairKilled(self) -> None:
        """
        The metadata server, the data server that is repaired, or the one that is copied
        from is killed at some step of a repair: it is resumed, a mirror counts when it
        is good and not before, and nothing that was acknowledged is lost.
        """
        for number, victim in enumerate(VICTIMS):
            steps = simulate(number, repairPlan(victim, 0)).repairSteps
            for part in (4, 6):
                step = steps * part // 8 + number
                outcome = simulate(number, repairPlan(victim, step))
                tail = "\n".join(outcome.tail[-60:])
                self.assertEqual(outcome.violations, (), f"{victim} {step}\n{tail}")
                self.assertGreater(outcome.repaired, 0)

    def test_moved(self) -> None:
        """
        Files are moved, striped otherwise and given more copies or fewer, and looked
        through, and data servers drained, while clients use them and everything dies:
        the bytes are right all the time, every job comes to an end, and nothing is
        left of it. So it is with files in chunks.
        """
        orders = 0
        for seed, mirrors, chunk in ((1, 1, 0), (2, 2, 0), (3, 2, 131072)):
            plan = Plan(mirrors=mirrors, chunk=chunk, faults=5, orders=8)
            outcome = simulate(seed, plan)
            self.assertEqual(outcome.violations, (), "\n".join(outcome.tail[-60:]))
            orders += outcome.orders
        self.assertGreater(orders, 4)

    def test_badRepair(self) -> None:
        """
        It is noticed if a repair leaves something out.
        """

        async def nothing(*args: Any) -> list[Any]:
            return []

        with mock.patch.object(Transfer, "_ranges", nothing):
            found = simulate(2, Plan(mirrors=2, faults=10))
        self.assertIn("counts, but is not right", found.violations[0])

    def test_again(self) -> None:
        """
        A seed that fails can be looked at again: the same happens, in another
        process too, where addresses and hashes are others.
        """
        plan = "mirrors=2, orders=8, faults=8"
        first = simulate(8, Plan(mirrors=2, orders=8, faults=8))
        self.assertGreater(first.repaired, 0)
        self.assertGreater(first.orders, 0)
        self.assertEqual(first, simulate(8, Plan(mirrors=2, orders=8, faults=8)))
        elsewhere = subprocess.run(
            [
                sys.executable,
                "-c",
                "from tests.simulation.simulate import Plan, simulate;"
                f"print(simulate(8, Plan({plan})).digest)",
            ],
            env={**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": _TOP},
            cwd=_TOP,
            stdout=subprocess.PIPE,
            check=True,
        )
        self.assertEqual(elsewhere.stdout.decode("ascii").strip(), first.digest)

    def test_lyingDisk(self) -> None:
        """
        It is noticed if a data server's COMMIT does not do what it says.
        """
        found = [
            simulate(seed, Plan(streamsOnly=True, faults=12, lyingDisks=True))
            for seed in (1, 2, 3)
        ]
        self.assertNotEqual([each.violations for each in found], [()] * 3)
