"""
Tests of L{pnfs.mds.targets}.
"""

from __future__ import annotations

from typing import Any, Callable

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.metadata.memory import MemoryMetadataBackend
from pnfs.layouts.files import FilesLayoutDriver
from pnfs.layouts.flexfiles import FlexFilesLayoutDriver
from pnfs.mds import targets
from pnfs.mds.targets import Impossible
from pnfs.namespace.exports import Export
from pnfs.values import Placement
from tests.nfs4.fixture import entropy

A, B, C, D, E = (bytes([n]) * 16 for n in range(1, 6))


def striped(*servers: bytes) -> Placement:
    """
    A file in stripes.
    """
    unit = 65536 if len(servers) > 1 else 0
    return Placement("files", unit, tuple((s,) for s in servers), b"ab", 3)


def mirrored(*servers: bytes) -> Placement:
    """
    A file with mirrors.
    """
    return Placement("flexfiles", 0, (servers,), b"ab", 3)


class TargetsTests(SynchronousTestCase):
    """
    Where a file is to be.
    """

    def refused(self, call: Callable[..., Any], *args: Any) -> str:
        """
        It is impossible. @return: why, in one line.
        """
        line = str(self.assertRaises(Impossible, call, *args))
        self.assertNotIn("\n", line)
        return line

    def test_away(self) -> None:
        """
        A drained data server's stripe goes to the best one that has none of the file
        yet, and if all have some, to one that has; a mirror never to where one is.
        """
        for placement, ranked, columns in (
            (striped(A, B), [B, C, D], ((C,), (B,))),
            (striped(A, B), [B], ((B,), (B,))),
            (mirrored(A, B), [B, C], ((C, B),)),
            (striped(B, C), [D], ((B,), (C,))),
        ):
            found = targets.away(placement, A, ranked)
            self.assertEqual(found.columns, columns)
            self.assertEqual(found.stripeUnit, placement.stripeUnit)
        self.assertIn("ds add", self.refused(targets.away, mirrored(A, B), A, [B]))
        chunks = attrs.evolve(striped(A, A, A), stripeUnit=0, chunk=65536)
        self.assertEqual(targets.away(chunks, A, [B, C]).columns, ((B,), (C,), (B,)))
        self.assertEqual(targets.away(chunks, A, [B], 1).columns, ((B,), (A,), (A,)))

    def test_onto(self) -> None:
        """
        Who is named and has some of the file keeps it; the others take what is left.
        """
        self.assertEqual(targets.onto(striped(A, B), [B, C]), striped(C, B))
        self.assertEqual(targets.onto(striped(A), [D]), striped(D))
        self.assertEqual(targets.onto(mirrored(A, B), [C, D]), mirrored(C, D))
        self.assertIn("--from", self.refused(targets.onto, striped(A, B), [C]))
        self.assertIn("twice", self.refused(targets.onto, striped(A, B), [C, C]))

    def test_striped(self) -> None:
        """
        More stripes begin with those that are there; fewer leave the first.
        """
        self.assertEqual(
            targets.striped(striped(B, A), 4, 65536, [A, C, B, D]), striped(B, A, C, D)
        )
        self.assertEqual(targets.striped(striped(B, A, C), 1, 65536, []), striped(B))
        self.assertIn("4 stripes", self.refused(targets.striped, striped(A), 4, 1, [B]))
        self.assertIn(
            "mirror remove", self.refused(targets.striped, mirrored(A, B), 2, 1, [C])
        )

    def test_mirrored(self) -> None:
        """
        Further copies go behind those that are there. Of several the stale ones go
        first.
        """
        self.assertEqual(targets.mirrored(mirrored(A), 3, [A, C, B]), mirrored(A, C, B))
        stale = attrs.evolve(mirrored(A, B, C), stale=(A,))
        self.assertEqual(targets.mirrored(stale, 2, []).columns, ((B, C),))
        self.assertIn(
            "stripe-count", self.refused(targets.mirrored, striped(A, B), 2, [C])
        )

    def test_require(self) -> None:
        """
        What no layout driver of the export can serve, or would leave no good copy, is
        refused with a line that says so.
        """
        export = Export("/e", MemoryMetadataBackend(lambda: 0, entropy()))
        files, flex = FilesLayoutDriver(), FlexFilesLayoutDriver()
        export.drivers = {files.layoutType: files}
        single = striped(A)
        self.assertEqual(targets.require(export, single, striped(B)).layout, "files")
        self.assertIn(
            "files", self.refused(targets.require, export, single, mirrored(A, B))
        )
        export.drivers[flex.layoutType] = flex
        found = targets.require(export, single, mirrored(A, B))
        self.assertEqual(found.layout, "flexfiles")
        stale = attrs.evolve(mirrored(A, B), stale=(A,))
        self.assertIn(
            "repair",
            self.refused(targets.require, export, stale, targets.without(stale, B)),
        )
