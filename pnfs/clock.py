# -*- test-case-name: tests.test_clock -*-
"""
Time that never steps.
"""

from __future__ import annotations

import time
from typing import Any, Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer


@implementer(IReactorTime)
class MonotonicClock:
    """
    An C{IReactorTime} whose C{seconds()} is the monotonic clock: C{reactor.seconds()}
    is wall time, and leases must not end because somebody set the date.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor

    seconds = staticmethod(time.monotonic)

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: Any, **kw: Any
    ) -> IDelayedCall:
        """
        As C{IReactorTime.callLater}; C{delay} in seconds.
        """
        return self._reactor.callLater(delay, callable, *args, **kw)

    def getDelayedCalls(self) -> Any:
        """
        As C{IReactorTime.getDelayedCalls}.
        """
        return self._reactor.getDelayedCalls()
