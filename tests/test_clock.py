"""
Tests of L{pnfs.clock}.
"""

from __future__ import annotations

import time

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pnfs.clock import MonotonicClock


class MonotonicClockTests(SynchronousTestCase):
    """
    Leases do not end because somebody has set the date.
    """

    def test_seconds(self) -> None:
        """
        The time is that of the monotonic clock, whatever the reactor says.
        """
        reactor = Clock()
        clock = MonotonicClock(reactor)
        verifyObject(IReactorTime, clock)
        before = time.monotonic()
        reactor.advance(1e9)
        self.assertTrue(before <= clock.seconds() <= time.monotonic())

    def test_callLater(self) -> None:
        """
        Delayed calls are the reactor's.
        """
        reactor = Clock()
        clock = MonotonicClock(reactor)
        called: list[int] = []
        clock.callLater(5, called.append, 1)
        self.assertEqual(len(clock.getDelayedCalls()), 1)
        reactor.advance(5)
        self.assertEqual(called, [1])
