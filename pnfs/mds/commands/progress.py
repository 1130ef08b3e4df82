# -*- test-case-name: tests.mds.commands.test_progress -*-
"""
How far long work is, for whoever waits for its end.
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable

from twisted.internet.interfaces import IReactorTime

from pnfs.admin.control import Request
from pnfs.mds.ending import Ending

TELL_SECONDS = 0.5
"""How often progress is told."""


async def tell(
    request: Request,
    clock: IReactorTime,
    active: Callable[[], bool],
    ending: Ending,
    describe: Callable[[], Awaitable[Any]],
) -> None:
    """
    Tell it while the work goes on and somebody listens.
    """
    while active() and request.connected:
        request.progress(await describe())
        if active():
            await ending.within(clock, TELL_SECONDS)
