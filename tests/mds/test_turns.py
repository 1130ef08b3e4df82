"""
Tests of L{pnfs.mds.turns}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from pnfs.mds.turns import Turns


class TurnsTests(SynchronousTestCase):
    """
    Sizes are set by one alone, bytes are written by many.
    """

    def setUp(self) -> None:
        """
        Nobody is at work.
        """
        self.turns = Turns()

    def take(self) -> Deferred[Any]:
        """
        Ask to be alone.
        """
        return Deferred.fromCoroutine(self.turns.take("f"))

    def share(self) -> Deferred[Any]:
        """
        Ask to share.
        """
        return Deferred.fromCoroutine(self.turns.share("f"))

    def test_alone(self) -> None:
        """
        Of two truncations one waits for the other; other files do not.
        """
        self.successResultOf(self.take())
        second = self.take()
        self.assertNoResult(second)
        self.successResultOf(Deferred.fromCoroutine(self.turns.take("g")))
        self.turns.give("f")
        self.successResultOf(second)
        self.turns.give("f")
        self.turns.give("g")
        self.assertEqual(len(self.turns), 0)

    def test_shared(self) -> None:
        """
        Writes run side by side; a truncation waits for all of them.
        """
        self.successResultOf(self.share())
        self.successResultOf(self.share())
        alone = self.take()
        self.turns.unshare("f")
        self.assertNoResult(alone)
        self.turns.unshare("f")
        self.successResultOf(alone)
        self.turns.give("f")
        self.assertEqual(len(self.turns), 0)

    def test_notOvertaken(self) -> None:
        """
        A stream of writes does not keep a truncation waiting for ever.
        """
        self.successResultOf(self.share())
        alone = self.take()
        late = [self.share(), self.share()]
        self.turns.unshare("f")
        self.successResultOf(alone)
        self.assertNoResult(late[0])
        self.turns.give("f")
        self.successResultOf(late[0])
        self.successResultOf(late[1])
        self.turns.unshare("f")
        self.turns.unshare("f")
        self.assertEqual(len(self.turns), 0)

    def test_cancelled(self) -> None:
        """
        Who gives up waiting does not keep those behind it waiting.
        """
        self.successResultOf(self.share())
        alone = self.take()
        late = self.share()
        alone.cancel()
        self.failureResultOf(alone, CancelledError)
        self.successResultOf(late)
        self.turns.unshare("f")
        self.turns.unshare("f")
        self.assertEqual(len(self.turns), 0)
