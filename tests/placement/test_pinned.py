"""
Tests of L{pnfs.placement.pinned}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import BadConfiguration
from pnfs.placement.pinned import PinnedPolicy
from tests.contracts.placement import GB, PlacementPolicyContract, servers


class PinnedTests(PlacementPolicyContract, SynchronousTestCase):
    """
    Directories have data servers of their own.
    """

    def setUp(self) -> None:
        """
        Make the policy.
        """
        self.policy = PinnedPolicy(
            {"/video": ["ds3"], "/video/raw/": ["ds1", "ds2"], "/gone": ["ds9"]}
        )

    def at(self, *path: bytes) -> list[list[int]]:
        """
        The data servers of some files in a directory.
        """
        return self.first(4, servers(GB, GB, GB), path=path)

    def test_pinned(self) -> None:
        """
        Files below the path go to its data servers alone, also deep below it.
        """
        self.assertEqual(self.at(b"video"), [[3]] * 4)
        self.assertEqual(self.at(b"video", b"cut", b"1"), [[3]] * 4)

    def test_longest(self) -> None:
        """
        The longest path counts; several data servers share its files.
        """
        self.assertEqual(self.at(b"video", b"raw"), [[1], [2], [1], [2]])

    def test_elsewhere(self) -> None:
        """
        Other files go by free space, those in C{videos} too.
        """
        for path in ((), (b"videos",), (b"a", b"video")):
            self.assertEqual({file[0] for file in self.at(*path)}, {1, 2, 3})

    def test_absent(self) -> None:
        """
        Where none of its data servers can be used, a file cannot be placed, and the
        log says why.
        """
        error = self.assertRaises(ValueError, self.at, b"gone")
        self.assertEqual(str(error), "files below /gone are for ds9 alone")

    def test_refused(self) -> None:
        """
        Options that mean nothing are refused in one line.
        """
        wrong: list[tuple[dict[str, Any], str]] = [
            ({}, "needs to know what goes where"),
            ({"video": ["ds1"]}, "write a path in the export"),
            ({"/": ["ds1"]}, "write a path in the export"),
            ({"/a/../b": ["ds1"]}, "write a path in the export"),
            ({"/a": []}, "/a: write a list of names"),
            ({"/a": "ds1"}, "/a: write a list of names"),
            ({"/a": [1]}, "/a: write a list of names"),
        ]
        for options, words in wrong:
            error = self.assertRaises(BadConfiguration, PinnedPolicy, options)
            self.assertIn(words, str(error))
            self.assertNotIn("\n", str(error))
