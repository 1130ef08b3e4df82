"""
Tests of L{pnfs.mds.commands.progress}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pnfs.mds.commands.progress import TELL_SECONDS, tell
from pnfs.mds.ending import Ending


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
        self.ending = Ending()
        self.waiting = Deferred.fromCoroutine(
            tell(
                self.request,  # type: ignore[arg-type]
                self.clock,
                lambda: self.active,
                self.ending,
                self.describe,
            )
        )

    async def describe(self) -> float:
        """
        How far it is.
        """
        return self.clock.seconds()

    def test_told(self) -> None:
        """
        At once, and now and then.
        """
        self.assertEqual(self.request.told, [0.0])
        self.clock.pump([TELL_SECONDS] * 3)
        self.assertEqual(len(self.request.told), 4)
        self.assertNoResult(self.waiting)

    def test_end(self) -> None:
        """
        Who waits goes on as soon as it has ended.
        """
        self.clock.advance(TELL_SECONDS / 2)
        self.active = False
        self.ending.tell()
        self.successResultOf(self.waiting)
        self.assertEqual(self.request.told, [0.0])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_endsMeanwhile(self) -> None:
        """
        So does who comes when it is just ending: nobody would tell him.
        """

        async def slow() -> None:
            self.active = False
            self.ending.tell()

        self.active = True
        waiting = Deferred.fromCoroutine(
            tell(
                self.request,  # type: ignore[arg-type]
                self.clock,
                lambda: self.active,
                self.ending,
                slow,
            )
        )
        self.successResultOf(waiting)

    def test_cancelled(self) -> None:
        """
        Nothing is left when nobody waits any more.
        """
        self.waiting.cancel()
        self.failureResultOf(self.waiting, CancelledError)
        self.ending.tell()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nobodyListens(self) -> None:
        """
        Nobody is told when nobody listens any more.
        """
        self.request.connected = False
        self.clock.advance(TELL_SECONDS)
        self.successResultOf(self.waiting)
        self.assertEqual(self.request.told, [0.0])
