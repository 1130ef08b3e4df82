"""
Tests of L{pnfs.mds.commands.progress}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pnfs.mds.commands.progress import LOOK_SECONDS, TELL_SECONDS, tell


class Request:
    """
    Somebody who listens.
    """

    connected = True

    def __init__(self) -> None:
        self.told: list[Any] = []

    def progress(self, value: Any) -> None:
        """
        Note it.
        """
        self.told.append(value)


class TellTests(SynchronousTestCase):
    """
    Work of some seconds.
    """

    def setUp(self) -> None:
        """
        It has just begun.
        """
        self.clock = Clock()
        self.request = Request()
        self.active = True
        self.waiting = Deferred.fromCoroutine(
            tell(
                self.request,  # type: ignore[arg-type]
                self.clock,
                lambda: self.active,
                self.describe,
            )
        )

    async def describe(self) -> float:
        """
        How far it is.
        """
        return self.clock.seconds()

    def passes(self, seconds: float) -> None:
        """
        Time, in small steps.
        """
        self.clock.pump([LOOK_SECONDS] * round(seconds / LOOK_SECONDS))

    def test_told(self) -> None:
        """
        At once, and now and then.
        """
        self.assertEqual(self.request.told, [0.0])
        self.passes(3 * TELL_SECONDS + LOOK_SECONDS)
        self.assertEqual(len(self.request.told), 4)
        self.assertNoResult(self.waiting)

    def test_end(self) -> None:
        """
        Who waits goes on as soon as it has ended.
        """
        self.passes(2 * LOOK_SECONDS)
        self.active = False
        self.passes(LOOK_SECONDS)
        self.successResultOf(self.waiting)
        self.assertEqual(self.request.told, [0.0])

    def test_nobodyListens(self) -> None:
        """
        Nobody is told when nobody listens any more.
        """
        self.request.connected = False
        self.passes(TELL_SECONDS * 2)
        self.successResultOf(self.waiting)
        self.assertEqual(self.request.told, [0.0])
