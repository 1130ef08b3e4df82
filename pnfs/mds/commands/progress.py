# -*- test-case-name: tests.mds.commands.test_progress -*-
"""
How far long work is, for whoever waits for its end.
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable

from twisted.internet.interfaces import IReactorTime

from pnfs.admin.control import Request
from pnfs.mds.withdrawal import pause

TELL_SECONDS = 0.5
"""How often progress is told."""

LOOK_SECONDS = 0.05
"""How soon it is noticed that the work has ended."""


async def tell(
    request: Request,
    clock: IReactorTime,
    active: Callable[[], bool],
    describe: Callable[[], Awaitable[Any]],
) -> None:
    """
    Tell it while the work goes on and somebody listens.
    """
    due = clock.seconds()
    while active() and request.connected:
        if clock.seconds() >= due:
            request.progress(await describe())
            due = clock.seconds() + TELL_SECONDS
        await pause(clock, LOOK_SECONDS)
