"""
What has happened, as text and as a hash by which two runs are compared.
"""

from __future__ import annotations

from collections import deque
from hashlib import blake2b
from typing import Any, Callable


class Violation(AssertionError):
    """
    Something that must not happen has happened.
    """


class Trace:
    """
    Events with their times.

    @ivar violations: in the order of their discovery.
    """

    def __init__(
        self,
        now: Callable[[], float],
        keep: int = 200,
        show: Callable[[str], None] | None = None,
    ) -> None:
        """
        @param keep: how many events L{tail} gives at most.
        @param show: gets each event as it happens.
        """
        self._now = now
        self._hash = blake2b(digest_size=16)
        self._last: deque[tuple[float, str, tuple[Any, ...]]] = deque(maxlen=keep)
        self._show = show
        self.count = 0
        self.violations: list[str] = []

    def event(self, text: str, *values: Any) -> None:
        """
        @param text: a C{%} format of the values.
        """
        now = self._now()
        self.count += 1
        self._hash.update(repr((now, text, values)).encode("utf-8"))
        self._last.append((now, text, values))
        if self._show is not None:
            self._show(_line((now, text, values)))

    def violation(self, text: str, *values: Any) -> None:
        """
        Remember it; the simulation ends at the first one.
        """
        self.event("VIOLATION: " + text, *values)
        self.violations.append(text % values)

    def tail(self) -> list[str]:
        """
        The last events.
        """
        return [_line(event) for event in self._last]

    @property
    def digest(self) -> str:
        """
        The same if and only if the same has happened at the same times.
        """
        return self._hash.hexdigest()


def _line(event: tuple[float, str, tuple[Any, ...]]) -> str:
    now, text, values = event
    return f"{now:11.6f}  {text % values}"
