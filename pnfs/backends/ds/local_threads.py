# -*- test-case-name: tests.backends.ds.test_local -*-
"""
Where blocking system calls run.

C{deferToThread} costs about 65 microseconds of CPU per call; this pool (a
C{SimpleQueue} in, a deque and one descriptor back to the reactor) about a third
of it. Use it only for what really waits for a device.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from queue import SimpleQueue
from typing import Any, Callable, Optional

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import Interface, implementer


class IExecutor(Interface):
    """
    Runs blocking functions.
    """

    def start() -> None:
        """
        Make ready; called once, before the first C{defer}.
        """

    def stop() -> None:
        """
        Finish what is queued and end. Blocks until it has ended.
        """

    def defer(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """
        Run C{function(*arguments)} where it may block.

        @return: fires in the reactor's thread with what it returned or raised.
        """


@implementer(IExecutor)
class InlineExecutor:
    """
    Runs everything at once in the caller: for tests and for tools without a
    reactor.
    """

    def start(self) -> None:
        """
        Nothing to make ready.
        """

    def stop(self) -> None:
        """
        Nothing is ever queued.
        """

    def defer(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """
        Call now; the Deferred has fired already.
        """
        deferred: Deferred[Any] = Deferred()
        try:
            result = function(*arguments)
        except Exception:
            deferred.errback()
        else:
            deferred.callback(result)
        return deferred


class _Wakeup:
    """
    A descriptor that makes the reactor look: an eventfd, or a pipe where there is
    none.
    """

    def __init__(self) -> None:
        if hasattr(os, "eventfd"):
            self.readFD = self.writeFD = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:
            self.readFD, self.writeFD = os.pipe()
            os.set_blocking(self.readFD, False)
            os.set_blocking(self.writeFD, False)

    def signal(self) -> None:
        """
        Make the descriptor readable.
        """
        os.write(self.writeFD, b"\1\0\0\0\0\0\0\0")

    def drain(self) -> None:
        """
        Make it unreadable again.
        """
        try:
            os.read(self.readFD, 64)
        except BlockingIOError:
            return

    def close(self) -> None:
        """
        Give the descriptors back.
        """
        for fd in {self.readFD, self.writeFD}:
            os.close(fd)


@implementer(IExecutor, IReadDescriptor)
class ThreadExecutor:
    """
    A fixed number of threads that hand their results to the reactor.

    The reactor is woken once for many results: a thread signals only if nobody
    has since the last look. C{doRead} clears the mark B{before} it empties the
    deque, so a result is either seen by that look or signalled again.

    @param reactor: watches the descriptor on which results are announced.
    @param threads: how many calls may block at the same time.
    """

    _log = Logger()

    def __init__(self, reactor: IReactorFDSet, threads: int = 4) -> None:
        self._reactor = reactor
        self._count = threads
        self._jobs: SimpleQueue[Any] = SimpleQueue()
        self._done: deque[tuple[Deferred[Any], Any, Optional[BaseException]]] = deque()
        self._signalled = False
        self._threads: list[threading.Thread] = []
        self._wakeup: Optional[_Wakeup] = None

    def start(self) -> None:
        """
        Start the threads and watch for results.
        """
        self._wakeup = _Wakeup()
        self._reactor.addReader(self)
        for number in range(self._count):
            thread = threading.Thread(
                target=self._work, name=f"pnfs-data-{number}", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """
        Let the threads finish what is queued, then deliver the last results.
        """
        if self._wakeup is None:
            return
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._reactor.removeReader(self)
        self.doRead()
        self._wakeup.close()
        self._wakeup = None

    def defer(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """
        Queue a call.
        """
        deferred: Deferred[Any] = Deferred()
        self._jobs.put((deferred, function, arguments))
        return deferred

    def _work(self) -> None:
        """
        The life of one thread.
        """
        take = self._jobs.get
        while True:
            job = take()
            if job is None:
                return
            deferred, function, arguments = job
            result: Any = None
            error: Optional[BaseException] = None
            try:
                result = function(*arguments)
            except BaseException as exception:
                error = exception
            self._done.append((deferred, result, error))
            if not self._signalled:
                self._signalled = True
                assert self._wakeup is not None
                self._wakeup.signal()
            del job, deferred, function, arguments, result, error

    # -- IReadDescriptor -------------------------------------------------------

    def fileno(self) -> int:
        """
        What the reactor watches.
        """
        return -1 if self._wakeup is None else self._wakeup.readFD

    def doRead(self) -> None:
        """
        Deliver what the threads have finished.
        """
        assert self._wakeup is not None
        self._wakeup.drain()
        self._signalled = False
        done = self._done
        while done:
            deferred, result, error = done.popleft()
            if error is None:
                deferred.callback(result)
            else:
                deferred.errback(error)

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor has given up the descriptor: only at its own end.
        """
        self._log.debug("data threads are no longer watched: {reason}", reason=reason)

    def logPrefix(self) -> str:
        """
        How the reactor names it in its log.
        """
        return "pnfs-data"
