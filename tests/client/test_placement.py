"""
Tests of L{pnfs.client.placement}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pnfs.client.placement import describe, objectName
from pnfs.namespace.filehandles import CapabilityCodec
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


class NothingTests(SynchronousTestCase):
    """
    What is not known.
    """

    def test_noLayout(self) -> None:
        """
        Without a layout the bytes go through the metadata server.
        """
        where = describe(None)
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
