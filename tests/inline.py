"""
A pool of threads that has none: everything runs at once in the caller.
"""

from __future__ import annotations

from typing import Any, Callable

from twisted.python.failure import Failure


class InlinePool:
    """
    What L{twisted.internet.threads.deferToThreadPool} needs of a pool.
    """

    def callInThreadWithCallback(
        self, onResult: Callable[[bool, Any], None], function: Any, *args: Any
    ) -> None:
        """
        Run it now.
        """
        try:
            result = function(*args)
        except Exception:
            onResult(False, Failure())
        else:
            onResult(True, result)
