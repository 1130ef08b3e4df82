"""
Tests of L{pnfs.backends.ds.tracking}.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.ds import tracking
from pnfs.backends.ds.tracking import GRANULE, GRANULES, SECONDS, Tracking


class TrackingTests(SynchronousTestCase):
    """
    Changes of the files that somebody asks about.
    """

    def setUp(self) -> None:
        """
        Nothing is followed.
        """
        self.clock = Clock()
        self.tracking = Tracking(self.clock.seconds, lambda count: b"b" * count)

    def test_inactive(self) -> None:
        """
        As long as nobody asks there is nothing to note.
        """
        self.assertFalse(self.tracking.active)
        self.tracking.track(b"a")
        self.assertTrue(self.tracking.active)
        self.tracking.forget(b"a")
        self.assertFalse(self.tracking.active)

    def test_others(self) -> None:
        """
        Changes of a file that nobody asks about take no memory.
        """
        token = self.tracking.track(b"a")
        self.tracking.note(b"b", 0, 10)
        self.assertEqual(self.tracking.changes(b"a", token), [])
        self.assertIsNone(self.tracking.changes(b"b", token))

    def test_expires(self) -> None:
        """
        A file that is no longer asked about is forgotten, and that is said; one that
        is asked about is kept.
        """
        token = self.tracking.track(b"a")
        kept = self.tracking.track(b"b")
        for _ in range(3):
            self.clock.advance(SECONDS * 0.5)
            self.assertEqual(self.tracking.changes(b"b", kept), [])
        self.tracking.track(b"c")
        self.assertIsNone(self.tracking.changes(b"a", token))
        self.assertEqual(self.tracking.changes(b"b", kept), [])

    def test_expiresByWriting(self) -> None:
        """
        When all is forgotten, writing costs no more than before.
        """
        self.tracking.track(b"a")
        self.clock.advance(SECONDS + 1)
        for _ in range(2000):
            self.tracking.note(b"b", 0, 10)
        self.assertFalse(self.tracking.active)

    def test_forgottenToken(self) -> None:
        """
        A token from before a file was forgotten stays worthless when it is followed
        again.
        """
        token = self.tracking.track(b"a")
        self.tracking.note(b"a", 0, 1)
        self.tracking.forget(b"a")
        self.tracking.track(b"a")
        self.assertIsNone(self.tracking.changes(b"a", token))

    def test_files(self) -> None:
        """
        The number of files that are followed is bounded.
        """
        self.patch(tracking, "FILES", 3)
        tokens = [self.tracking.track(b"%d" % i) for i in range(4)]
        found = [self.tracking.changes(b"%d" % i, tokens[i]) for i in range(4)]
        self.assertEqual(found, [None, [], [], []])

    def test_granules(self) -> None:
        """
        Many changes all over a file are told coarser, none is lost, and the memory
        for them is bounded.
        """
        token = self.tracking.track(b"a")
        for index in range(0, 3 * GRANULES, 2):
            self.tracking.note(b"a", index * GRANULE, 5)
        found = self.tracking.changes(b"a", token)
        assert found is not None
        self.assertLessEqual(len(found), GRANULES)
        for index in range(0, 3 * GRANULES, 2):
            at = index * GRANULE
            self.assertTrue(any(o <= at < o + length for o, length in found), index)

    def test_huge(self) -> None:
        """
        A change of everything is noted at once, up to the last byte there can be.
        """
        token = self.tracking.track(b"a")
        self.tracking.note(b"a", 100, 1 << 64)
        found = self.tracking.changes(b"a", token)
        assert found is not None
        self.assertEqual((found[0][0], sum(found[-1])), (0, 1 << 63))

    def test_restart(self) -> None:
        """
        After a restart the tokens from before it mean nothing.
        """
        token = self.tracking.track(b"a")
        again = Tracking(self.clock.seconds, lambda count: b"c" * count)
        again.track(b"a")
        self.assertIsNone(again.changes(b"a", token))
