"""
The whole service under faults, from a few seeds; C{make simulate} runs many more.
"""

from __future__ import annotations

import os
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.simulation.simulate import Plan, simulate

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

    def test_again(self) -> None:
        """
        A seed that fails can be looked at again: the same happens, in another
        process too, where addresses and hashes are others.
        """
        plan = "streamsOnly=True, faults=4"
        first = simulate(7, Plan(streamsOnly=True, faults=4))
        self.assertEqual(first, simulate(7, Plan(streamsOnly=True, faults=4)))
        elsewhere = subprocess.run(
            [
                sys.executable,
                "-c",
                "from tests.simulation.simulate import Plan, simulate;"
                f"print(simulate(7, Plan({plan})).digest)",
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
