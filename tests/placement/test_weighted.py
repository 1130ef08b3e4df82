"""
Tests of L{pnfs.placement.weighted}.
"""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import BadConfiguration
from pnfs.placement.weighted import WeightedPolicy
from tests.contracts.placement import GB, PlacementPolicyContract, request, servers


class WeightedTests(PlacementPolicyContract, SynchronousTestCase):
    """
    More files where more is free.
    """

    def setUp(self) -> None:
        """
        Make the policy.
        """
        self.policy = WeightedPolicy({})

    def counts(self, found: list[list[int]]) -> dict[int, int]:
        """
        How many files each has got.
        """
        return dict(Counter(number for file in found for number in file))

    def test_equal(self) -> None:
        """
        Data servers with as much room get as many files each, few files included.
        """
        for files in (4, 8, 400):
            found = self.counts(self.first(files, servers(GB, GB, GB, GB)))
            self.assertEqual(found, dict.fromkeys((1, 2, 3, 4), files // 4))

    def test_shares(self) -> None:
        """
        One that is nearly full gets few files, an empty one many: each as its share
        of what is free.
        """
        found = self.counts(self.first(1000, servers(GB, 9 * GB, 90 * GB)))
        self.assertEqual(found, {1: 10, 2: 90, 3: 900})

    def test_none(self) -> None:
        """
        One without any room gets no file as long as others have some.
        """
        self.assertEqual(
            self.counts(self.first(50, servers(0, GB, GB))), {2: 25, 3: 25}
        )
        self.assertEqual(self.counts(self.first(50, servers(0, 0))), {1: 25, 2: 25})

    def test_unknown(self) -> None:
        """
        One whose space is not known yet is taken for one like the others.
        """
        found = self.counts(self.first(40, servers(GB, None, 3 * GB)))
        self.assertEqual(found, {1: 7, 2: 13, 3: 20})

    def test_mirrors(self) -> None:
        """
        Mirrored files too: all get as many copies and are as often the copy that is
        read; and each has mirrors with every other one, so that a lost one is
        repaired from all.
        """
        found = self.first(240, servers(*[GB] * 4), take=2, mirrors=2)
        self.assertEqual(self.counts(found), dict.fromkeys((1, 2, 3, 4), 120))
        firsts = Counter(file[0] for file in found)
        self.assertEqual(set(firsts), {1, 2, 3, 4})
        self.assertLess(max(firsts.values()) - min(firsts.values()), 8)
        self.assertEqual(len({frozenset(file) for file in found}), 6)

    def test_mirrorsUnequal(self) -> None:
        """
        One with nearly all of the free space is in every file, but in none twice; the
        other copies are shared out by the space that is left.
        """
        found = self.first(
            90, servers(GB, 100 * GB, 2 * GB), take=2, mirrors=2, stripeCount=0
        )
        counts = self.counts(found)
        self.assertEqual(counts[2], 90)
        self.assertGreater(counts[3], 1.5 * counts[1])

    def test_stripes(self) -> None:
        """
        Files striped over all data servers begin on each in turn: small files have
        no bytes elsewhere. Not every order of them is used, since each is a device
        of its own to clients.
        """
        found = self.first(12, servers(*[GB] * 4), take=4, stripeCount=0)
        self.assertEqual(
            Counter(file[0] for file in found), dict.fromkeys((1, 2, 3, 4), 3)
        )
        self.assertEqual(len(set(map(tuple, found))), 4)
        some = self.first(24, servers(*[GB] * 4), take=2, stripeCount=2)
        self.assertEqual(self.counts(some), dict.fromkeys((1, 2, 3, 4), 12))

    def test_deterministic(self) -> None:
        """
        The same files and data servers give the same placements.
        """
        some = servers(GB, 2 * GB, 3 * GB)
        others = WeightedPolicy({})
        for number in range(1, 100):
            asked = request(number, mirrors=2)
            self.assertEqual(self.policy.order(asked, some), others.order(asked, some))

    def test_newcomer(self) -> None:
        """
        A new data server begins to get its share at once, but not everything.
        """
        self.first(100, servers(GB, GB))
        found = self.counts(self.first(30, servers(GB, GB, GB)))
        self.assertEqual(found, {1: 10, 2: 10, 3: 10})

    def test_options(self) -> None:
        """
        It has no options; who gives it some is told so.
        """
        error = self.assertRaises(BadConfiguration, WeightedPolicy, {"x": 1})
        self.assertIn("remove x", str(error))
