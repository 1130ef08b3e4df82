"""
Tests of L{pnfs.client.attributes}.
"""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pnfs.client.attributes import Attributes


class AttributesTests(SynchronousTestCase):
    """
    Attributes from the wire.
    """

    def test_missing(self) -> None:
        """
        A server need not tell everything.
        """
        found = Attributes.of({1: 2, 4: 7})
        self.assertEqual((found.ftype, found.size, found.owner), (2, 7, b""))

    def test_permissions(self) -> None:
        """
        As C{ls -l} shows them.
        """
        empty = Attributes.of({})
        for ftype, mode, text in (
            (1, 0o644, "-rw-r--r--"),
            (2, 0o1777, "drwxrwxrwt"),
            (1, 0o6711, "-rws--s--x"),
            (5, 0o7000, "l--S--S--T"),
            (0, 0, "?---------"),
        ):
            each = attrs.evolve(empty, ftype=ftype, mode=mode)
            self.assertEqual(each.permissions, text)
