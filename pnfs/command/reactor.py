"""
Running a coroutine as a program.
"""

from __future__ import annotations

import signal
import sys
from typing import Any, Callable, Coroutine

from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, globalLogPublisher, textFileLogObserver
from twisted.logger import FilteringLogObserver, LogLevelFilterPredicate


def runUntilDone(
    main: Callable[[Any, Deferred[None]], Coroutine[Any, Any, int]],
) -> int:
    """
    Run a coroutine with the reactor.

    @param main: is given the reactor and a Deferred that fires at the first Ctrl-C
        or SIGTERM; it returns the exit status.
    """
    from twisted.internet import reactor as chosen

    reactor: Any = chosen
    globalLogPublisher.addObserver(
        FilteringLogObserver(
            textFileLogObserver(sys.stderr),
            [LogLevelFilterPredicate(defaultLogLevel=LogLevel.error)],
        )
    )
    stop: Deferred[None] = Deferred()
    statuses: list[int] = []
    failures: list[Any] = []

    def interrupted(number: int, frame: Any) -> None:
        reactor.callFromThread(fire)

    def fire() -> None:
        if not stop.called:
            stop.callback(None)

    def begin() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, interrupted)
        done = Deferred.fromCoroutine(main(reactor, stop))
        done.addCallbacks(statuses.append, failures.append)
        done.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    if failures:
        failures[0].raiseException()
    return statuses[0] if statuses else 1
