# -*- test-case-name: tests.mds.test_datafiles -*-
"""
Deleting data files in the background.

What is to be deleted is in the metadata backend's durable queue already; here is
only what makes it happen: some at a time, and again later if a data server does
not answer.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Awaitable, Callable, Optional
from weakref import WeakSet

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from pnfs.backends.ds.remote import gatherOutcomes
from pnfs.backends.errors import BackendError, NoSuchObject, Unreachable
from pnfs.values import Placement

RETRY_SECONDS = 5.0
AT_ONCE = 16

_log = Logger()

On = Callable[[bytes, Callable[[Any], Any]], Awaitable[Any]]
"""
Does something with the backend of the data server of a UUID.
"""


class Removals:
    """
    Deletes the data files of placements.

    @ivar onGone: told of each that has been deleted, with its export.
    """

    def __init__(self, on: On, clock: IReactorTime) -> None:
        self._on = on
        self._clock = clock
        self._due: deque[tuple[Any, Placement]] = deque()
        self._later: list[tuple[Any, Placement]] = []
        self._running = 0
        self._retry: Optional[IDelayedCall] = None
        self._stopped = False
        self._abandoned: WeakSet[Any] = WeakSet()
        self.onGone: Callable[[Any, Placement], None] = lambda export, placement: None

    def __len__(self) -> int:
        """
        Placements whose data files are still there, as far as known.
        """
        return len(self._due) + len(self._later) + self._running

    def add(self, export: Any, placement: Placement) -> None:
        """
        Delete these as well.
        """
        if not self._stopped and export not in self._abandoned:
            self._due.append((export, placement))
            self._go()

    def abandon(self, export: Any) -> None:
        """
        An export goes: what is not removed yet stays in its durable queue.
        """
        self._abandoned.add(export)
        self._due = deque(item for item in self._due if item[0] is not export)
        self._later = [item for item in self._later if item[0] is not export]

    def stop(self) -> None:
        """
        What is not removed yet stays in the durable queue.
        """
        self._stopped = True
        self._due.clear()
        self._later.clear()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _go(self) -> None:
        while self._due and self._running < AT_ONCE:
            export, placement = self._due.popleft()
            self._running += 1
            running = Deferred.fromCoroutine(self._remove(export, placement))
            running.addErrback(
                lambda failure: _log.failure("removing data files failed", failure)
            )
            running.addCallback(lambda _: self._ended())

    def _ended(self) -> None:
        self._running -= 1
        self._go()

    async def _remove(self, export: Any, placement: Placement) -> None:
        outcomes = await gatherOutcomes(
            [
                self._on(uuid, lambda ds: ds.remove(placement.name))
                for uuid in placement.everywhere
            ]
        )
        if self._stopped or export in self._abandoned:
            return
        again = False
        for uuid, outcome in zip(placement.everywhere, outcomes):
            if isinstance(outcome, NoSuchObject) or not isinstance(outcome, Exception):
                continue
            if not isinstance(outcome, BackendError):
                raise outcome
            if not isinstance(outcome, Unreachable):
                _log.warn(
                    "data file {name} cannot be removed at {uuid}, trying again: "
                    "{reason}",
                    name=placement.name.decode("ascii"),
                    uuid=uuid.hex(),
                    reason=outcome,
                )
            again = True
        if not again:
            await export.backend.finishRemoval(placement, True)
            self.onGone(export, placement)
            return
        self._later.append((export, placement))
        if self._retry is None:
            self._retry = self._clock.callLater(RETRY_SECONDS, self._again)

    def _again(self) -> None:
        self._retry = None
        self._due.extend(self._later)
        self._later.clear()
        self._go()
