# -*- test-case-name: tests.backends.ds.test_tracking -*-
"""
What has been changed in data files since somebody began to look: who copies a file
that is being written goes over it again, for what was written behind its back.

Kept in memory, for the files that somebody asks about only. Changes are numbered;
a token is the number of the last one when it was made, so that to ask twice gives
the same answer (or a larger one), and who has lost an answer asks again.

Nobody says that it has finished: a file that was not asked about for L{SECONDS} is
no longer followed, nor are those asked about longest ago when there are more than
L{FILES}. Its tokens then mean nothing, which is said. So it is with those from
before a restart, as each start takes new random bytes for its tokens.
"""

from __future__ import annotations

import os
import struct
import time
from collections import OrderedDict
from typing import Callable, Optional

import attrs

GRANULE = 1 << 20
"""Bytes: changes are kept and told in multiples of it."""

FILES = 4096
GRANULES = 4096
"""Of a file: with more, they are made twice as large."""

SECONDS = 900.0
_SWEEP = 1024
_LARGEST = 1 << 63

Ranges = list[tuple[int, int]]
_token = struct.Struct(">8sQ")


@attrs.define(eq=False)
class _File:
    """
    @ivar since: number of the last change before it was followed.
    @ivar asked: when it was last asked about.
    @ivar size: of its granules.
    @ivar last: by index of a granule the number of its last change.
    """

    since: int
    asked: float
    size: int
    last: dict[int, int] = attrs.Factory(dict)

    def note(self, number: int, offset: int, end: int) -> None:
        """
        A range has changed.
        """
        while (end - 1) // self.size - offset // self.size >= GRANULES:
            self._double()
        last = self.last
        for index in range(offset // self.size, (end - 1) // self.size + 1):
            last[index] = number
        while len(self.last) > GRANULES:
            self._double()

    def _double(self) -> None:
        last: dict[int, int] = {}
        for index, number in self.last.items():
            last[index // 2] = max(number, last.get(index // 2, 0))
        self.last = last
        self.size *= 2

    def since_(self, number: int) -> Ranges:
        """
        What has changed after a change of that number, in order.
        """
        found: Ranges = []
        for index in sorted(i for i, last in self.last.items() if last > number):
            start = index * self.size
            if found and sum(found[-1]) == start:
                found[-1] = (found[-1][0], found[-1][1] + self.size)
            else:
                found.append((start, self.size))
        return found


class Tracking:
    """
    The files that are followed.

    @ivar active: any are. Whoever changes bytes looks here first, and calls
        L{note} only then.
    """

    __slots__ = (
        "active",
        "_files",
        "_number",
        "_boot",
        "_seconds",
        "_entropy",
        "_granule",
    )

    def __init__(
        self,
        seconds: Callable[[], float] = time.monotonic,
        entropy: Callable[[int], bytes] = os.urandom,
        granule: int = GRANULE,
    ) -> None:
        """
        @param granule: bytes in which changes of a file are kept at first.
        """
        self.active = False
        self._files: OrderedDict[bytes, _File] = OrderedDict()
        self._number = 0
        self._boot = b""
        self._seconds = seconds
        self._entropy = entropy
        self._granule = granule

    def track(self, name: bytes) -> bytes:
        """
        Follow a file, if it is not followed yet.

        @return: a token for what has changed until now.
        """
        now = self._seconds()
        self._boot = self._boot or self._entropy(8)
        file = self._files.get(name)
        if file is None:
            self._sweep(now)
            file = self._files[name] = _File(self._number, now, self._granule)
            while len(self._files) > FILES:
                self._files.popitem(last=False)
            self.active = True
        file.asked = now
        self._files.move_to_end(name)
        return _token.pack(self._boot, self._number)

    def changes(self, name: bytes, token: bytes) -> Optional[Ranges]:
        """
        What has changed since a token was given; None: that is not known.
        """
        file = self._files.get(name)
        if file is None or len(token) != _token.size:
            return None
        boot, number = _token.unpack(token)
        if boot != self._boot or not file.since <= number <= self._number:
            return None
        file.asked = self._seconds()
        self._files.move_to_end(name)
        return file.since_(number)

    def note(self, name: bytes, offset: int, length: int) -> None:
        """
        Bytes of a file have changed, or are being changed: where that takes time it
        is noted when it begins and when it has ended.
        """
        self._number += 1
        if not self._number % _SWEEP:
            self._sweep(self._seconds())
        file = self._files.get(name)
        if file is not None and length > 0:
            file.note(self._number, offset, min(offset + length, _LARGEST))

    def forget(self, name: bytes) -> None:
        """
        The file is removed: what gets its name later is another one.
        """
        self._files.pop(name, None)
        self.active = bool(self._files)

    def forgetAll(self) -> None:
        """
        What is stored may be less than was written.
        """
        self._files.clear()
        self.active = False

    def _sweep(self, now: float) -> None:
        while self._files:
            name, file = next(iter(self._files.items()))
            if now - file.asked < SECONDS:
                break
            del self._files[name]
        self.active = bool(self._files)
