"""
Tests of L{pnfs.placement.roundrobin}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import BadConfiguration
from pnfs.placement.roundrobin import RoundRobinPolicy
from tests.contracts.placement import GB, PlacementPolicyContract, servers


class RoundRobinTests(PlacementPolicyContract, SynchronousTestCase):
    """
    Data servers in turn.
    """

    def setUp(self) -> None:
        """
        Make the policy.
        """
        self.policy = RoundRobinPolicy({})

    def test_inTurn(self) -> None:
        """
        Successive files begin on successive data servers, however full these are.
        """
        self.assertEqual(
            self.first(4, servers(GB, 9 * GB, 0), take=2),
            [[2, 3], [3, 1], [1, 2], [2, 3]],
        )

    def test_options(self) -> None:
        """
        It has no options; who gives it some is told so.
        """
        error = self.assertRaises(BadConfiguration, RoundRobinPolicy, {"x": 1})
        self.assertIn("remove x", str(error))
