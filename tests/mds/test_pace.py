"""
Tests of L{pnfs.mds.pace}: a limit of bytes in a second.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pnfs.mds.pace import LARGE, SMALLEST, Pace


class PaceTests(SynchronousTestCase):
    """
    L{Pace}.
    """

    def setUp(self) -> None:
        """
        A thousand bytes in a second.
        """
        self.clock = Clock()
        self.limit = 1000
        self.pace = Pace(self.clock, lambda: self.limit)

    def begin(self, count: int) -> Deferred[float]:
        """
        Ask for some.
        """
        return Deferred.fromCoroutine(self.pace.begin(count))

    def test_inTurn(self) -> None:
        """
        Of several at the same time one begins at once, the next when that one is over
        at the limit: there is no burst.
        """
        first, second, third = [self.begin(500) for _ in range(3)]
        self.successResultOf(first)
        self.clock.advance(0.4)
        self.assertNoResult(second)
        self.clock.advance(0.2)
        self.successResultOf(second)
        self.clock.advance(0.3)
        self.assertNoResult(third)
        self.clock.advance(0.2)
        self.successResultOf(third)

    def test_end(self) -> None:
        """
        Who was faster waits, who was slower does not.
        """
        until = self.successResultOf(self.begin(1000))
        self.clock.advance(0.5)
        ended = Deferred.fromCoroutine(self.pace.end(until))
        self.assertNoResult(ended)
        self.clock.advance(0.5)
        self.successResultOf(ended)
        until = self.successResultOf(self.begin(1000))
        self.clock.advance(2)
        self.successResultOf(Deferred.fromCoroutine(self.pace.end(until)))

    def test_spent(self) -> None:
        """
        What was copied without asking counts as well.
        """
        spent = Deferred.fromCoroutine(self.pace.spent(3000))
        self.clock.advance(2.9)
        self.assertNoResult(spent)
        self.clock.advance(0.2)
        self.successResultOf(spent)

    def test_large(self) -> None:
        """
        Much is copied of a few files at a time; who gives up waiting takes no place.
        """
        gates: list[Deferred[None]] = []

        async def copy() -> None:
            async with self.pace.large():
                gates.append(Deferred())
                await gates[-1]

        files = [Deferred.fromCoroutine(copy()) for _ in range(LARGE + 2)]
        self.assertEqual(len(gates), LARGE)
        files[LARGE].cancel()
        self.failureResultOf(files[LARGE], CancelledError)
        gates[0].callback(None)
        gates[1].errback(ValueError())
        self.failureResultOf(files[1], ValueError)
        self.assertEqual(len(gates), LARGE + 1)
        for gate in gates[2:]:
            gate.callback(None)
        for file in (files[0], *files[2:LARGE], files[-1]):
            self.successResultOf(file)

    def test_unlimited(self) -> None:
        """
        Without a limit nobody waits; one that is set later counts from then on.
        """
        self.limit = 0
        self.assertEqual(self.pace.piece(1 << 24), 1 << 24)
        for _ in range(3):
            until = self.successResultOf(self.begin(1 << 40))
            self.successResultOf(Deferred.fromCoroutine(self.pace.end(until)))
        self.limit = 1000
        self.successResultOf(self.begin(1000))
        self.assertNoResult(self.begin(1))

    def test_piece(self) -> None:
        """
        Pieces are small where the limit is, but not tiny.
        """
        self.assertEqual(self.pace.piece(1 << 24), SMALLEST)
        for limit in (80 << 20, 81 << 20):
            self.limit = limit
            self.assertEqual(self.pace.piece(1 << 24), 10 << 20)
        self.assertEqual(self.pace.piece(1 << 20), 1 << 20)
