"""
Tests of L{pnfs.backends.metadata.listing}.
"""

from __future__ import annotations

from typing import Any, cast

from hypothesis import given, settings, strategies
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.metadata import listing
from pnfs.backends.metadata.listing import Listing, cookieFor
from pnfs.values import Inode

NODE = cast(Inode, object())


class ListingTests(SynchronousTestCase):
    """
    Names in cookie order.
    """

    def walk(self, names: Listing, limit: int = 3) -> list[bytes]:
        """
        All names.
        """
        found, cookie, last = [], 0, False
        while not last:
            _, part, last = names.after(cookie, limit)
            found += [entry.name for entry in part]
            cookie = part[-1].cookie if part else cookie
        return found

    def collide(self) -> None:
        """
        Let all names have one of two hashes.
        """
        self.patch(listing, "cookieFor", lambda name: 100 + name[0] % 2)

    def test_cookieIsStable(self) -> None:
        """
        A cookie outlives the server, since only the name makes it.
        """
        self.assertEqual(cookieFor(b"a"), cookieFor(b"a"))
        self.assertTrue(3 <= cookieFor(b"a") < 1 << 62)

    def test_equalHashes(self) -> None:
        """
        Names with equal hashes are all given, can be removed, and keep their
        cookies while the others come and go.
        """
        self.collide()
        names = Listing([])
        for letter in b"abcdef":
            names.add(bytes([letter]), NODE)
        self.assertEqual(
            sorted(self.walk(names, 2)), [b"a", b"b", b"c", b"d", b"e", b"f"]
        )
        _, before, _ = names.after(0, 10)
        names.discard(before[0].name)
        _, after, _ = names.after(0, 10)
        self.assertEqual(after, before[1:])
        names.discard(before[-1].name)
        names.add(before[2].name, NODE)
        self.assertEqual(len(self.walk(names)), 4)

    def test_replaced(self) -> None:
        """
        A name that means another object keeps its cookie.
        """
        names = Listing([b"a", b"b"])
        _, before, _ = names.after(0, 2)
        names.add(b"a", NODE)
        _, after, _ = names.after(0, 2)
        self.assertEqual([e.cookie for e in after], [e.cookie for e in before])
        self.assertIs({e.name: e.inode for e in after}[b"a"], NODE)

    @settings(max_examples=60)
    @given(
        strategies.lists(
            strategies.tuples(
                strategies.sampled_from(["add", "discard", "read"]),
                strategies.integers(0, 150),
                strategies.integers(1, 90),
            ),
            max_size=30,
        ),
        strategies.booleans(),
    )
    def test_asASet(self, steps: list[Any], collide: bool) -> None:
        """
        Whatever is done, one by one or many at once, the names are those of a set.
        """
        real = listing.cookieFor
        if collide:
            listing.cookieFor = lambda name: 50 + int(name) // 3
        try:
            names, model = Listing([b"1", b"2"]), {b"1", b"2"}
            for what, first, count in steps:
                for number in range(first, first + count):
                    name = b"%d" % number
                    if what == "add":
                        names.add(name, NODE)
                        model.add(name)
                    elif what == "discard":
                        names.discard(name)
                        model.discard(name)
                if what == "read":
                    found = self.walk(names, count)
                    self.assertEqual((set(found), len(found)), (model, len(model)))
            found = self.walk(names)
            self.assertEqual((set(found), len(found)), (model, len(model)))
        finally:
            listing.cookieFor = real
