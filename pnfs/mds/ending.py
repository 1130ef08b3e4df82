# -*- test-case-name: tests.mds.commands.test_progress -*-
"""
The end of long work, for those who wait for it.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime


class Ending:
    """
    Of some work. It may begin again, and end again.
    """

    def __init__(self) -> None:
        self._waiting: list[Deferred[None]] = []

    def tell(self) -> None:
        """
        It has ended.
        """
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    def within(self, clock: IReactorTime, seconds: float) -> Deferred[None]:
        """
        Wait for that, but no longer than so. Can be cancelled.
        """

        def over(result: None) -> None:
            if timer.active():
                timer.cancel()
            if ended in self._waiting:
                self._waiting.remove(ended)
            return result

        ended: Deferred[None] = Deferred()
        timer = clock.callLater(seconds, ended.callback, None)
        self._waiting.append(ended)
        return ended.addBoth(over)
