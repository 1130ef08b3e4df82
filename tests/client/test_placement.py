"""
Tests of L{pnfs.client.placement}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pnfs.client.placement import describe, objectName
from pnfs.namespace.filehandles import CapabilityCodec
from pnfs.client.url import parseURL
from pnfs.command.file import lines
from tests.client.site import ClientCase


class PlacementTests(ClientCase):
    """
    Where a file of a site is.
    """

    layout = "flexfiles"
    mirrors = 2

    def test_describe(self) -> None:
        """
        Addresses and the object's name are those of the data servers.
        """
        file = self.create()
        self.now(file.write(0, b"x"))
        where = describe(self.now(file.placement()))
        ((first, second),) = where.columns
        self.assertEqual(where.layout, "flexfiles")
        numbers = [each.addresses[0][1] - 2050 for each in (first, second)]
        for number in numbers:
            (name,) = self.now(self.backends[number].list(b"", 10))
            self.assertEqual(name.decode("ascii"), first.name)
        self.assertIn("2 mirrors", where.line())
        told = where.describe()
        self.assertEqual(told["columns"][0][1]["object"], second.name)


class ChunksTests(ClientCase):
    """
    Where the chunks of a file are.
    """

    layout = "flexfiles"
    mirrors = 2
    count = 4
    chunk = 65536

    def test_describe(self) -> None:
        """
        Each chunk has data servers of its own.
        """
        file = self.create()
        self.now(file.write(0, bytes(3 * self.chunk)))
        where = describe(self.now(file.placement()))
        self.assertEqual((where.chunk, where.unit, len(where.columns)), (65536, 0, 3))
        first, second, _ = [
            {copy.addresses[0] for copy in column} for column in where.columns
        ]
        self.assertEqual((len(first), len(second)), (2, 2))
        self.assertTrue(first.isdisjoint(second))
        self.assertIn("3 chunks of 65536 bytes, 2 mirrors", where.line())
        told = where.describe()
        self.assertEqual((told["chunk"], len(told["columns"])), (65536, 3))
        found = "\n".join(lines(parseURL("pnfs://mds/export/f"), file.size, where))
        self.assertIn("chunk        65536 bytes\nchunks       3\n", found)
        self.assertIn("\nchunk 2      ", found)


class NothingTests(SynchronousTestCase):
    """
    What is not known.
    """

    def test_noLayout(self) -> None:
        """
        Without a layout the bytes go through the metadata server.
        """
        where = describe([])
        self.assertIn("metadata server", where.line())
        self.assertEqual(where.describe()["layout"], None)

    def test_objectName(self) -> None:
        """
        Only the filehandles of our own data servers show a name.
        """
        fh = CapabilityCodec(b"k" * 32).mint(1, 1, b"0a0b")
        self.assertEqual(objectName(fh), "0a0b")
        self.assertEqual(objectName(b"foreign" * 5), "")
        self.assertEqual(objectName(b""), "")
