"""
Tests of L{pnfs.namespace.squash}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pnfs.namespace.squash import Squash, squashOf
from pnfs.values import ANONYMOUS, NOBODY, ROOT, Credential

ALICE = Credential(1000, 100, frozenset({100, 0}), 1)


class SquashTests(SynchronousTestCase):
    """
    Whom callers are taken for.
    """

    def test_root(self) -> None:
        """
        The superuser and its group become the anonymous ones, everybody else stays.
        """
        squash = Squash(uid=7, gid=8)
        found = squash.effective(ROOT)
        self.assertEqual((found.uid, found.gid, found.groups), (7, 8, {8}))
        found = squash.effective(ALICE)
        self.assertEqual((found.uid, found.gid, found.groups), (1000, 100, {100, 8}))
        bob = Credential(5, 5, frozenset({5}), 1)
        self.assertIdentical(squash.effective(bob), bob)

    def test_all(self) -> None:
        """
        Everybody is the anonymous user, in no other group.
        """
        squash = Squash(all=True, uid=7, gid=8)
        for who in (ROOT, ALICE, ANONYMOUS):
            found = squash.effective(who)
            self.assertEqual((found.uid, found.gid, found.groups), (7, 8, {8}))
            self.assertEqual(found.flavor, who.flavor)
            self.assertIdentical(squash.effective(who), found)

    def test_none(self) -> None:
        """
        Root is root; only who has not said who he is is the anonymous user.
        """
        squash = Squash(root=False, uid=7, gid=8)
        self.assertIdentical(squash.effective(ROOT), ROOT)
        self.assertEqual(squash.effective(ANONYMOUS).uid, 7)
        self.assertIdentical(Squash(root=False).effective(ANONYMOUS), ANONYMOUS)

    def test_changes(self) -> None:
        """
        What changes nobody need not be said to data servers.
        """
        self.assertFalse(Squash(root=False).changes)
        for squash in (Squash(), Squash(False, True), Squash(False, gid=3)):
            self.assertTrue(squash.changes)

    def test_same(self) -> None:
        """
        Equal ones are the same object, with one memory of who is who; it is
        bounded.
        """
        self.assertIdentical(squashOf(True, False), squashOf(True, False))
        self.assertEqual(squashOf(True, False), Squash())
        squash = Squash()
        for uid in range(3000):
            who = Credential(0, uid, frozenset({uid}), 1)
            self.assertEqual(squash.effective(who).uid, NOBODY)
        self.assertLess(len(squash._known), 1025)
