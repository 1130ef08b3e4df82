# -*- test-case-name: tests.mds.test_repair -*-
"""
What a data server lacks of a file that is to be there.
"""

from __future__ import annotations

import math
from typing import Any, Awaitable, Callable, Iterator, Optional, Sequence

import attrs

from pnfs.layouts.striping import pieces, portions
from pnfs.mds.pace import UNLIMITED, Pace
from pnfs.mds.ranges import Range
from pnfs.values import Placement

SCRAP = 1 << 20
"""Bytes of a stripe unit that counts as a small piece, at most."""

PERIOD = 4096
"""Rows of stripes that are looked through for columns that lack nothing."""

Told = Callable[[int], Awaitable[None]]
"""Is told how many bytes have been copied; may raise."""

Idle = Callable[[], bool]
"""Tells whether nobody seems to be at work with a file."""


@attrs.frozen
class Source:
    """
    Where a column of the file is right.

    @ivar token: of the moment from which on its data server tells what has changed;
        empty: it does not.
    @ivar todo: ranges of the column to be compared, as well as what has changed; None:
        all of it.
    """

    column: int
    uuid: bytes
    token: bytes
    todo: Optional[Sequence[Range]] = None


@attrs.frozen
class Task:
    """
    What a data server is to be given.

    @ivar live: where the file is right, and is read and written.
    @ivar target: where it is to be.
    @ivar uuid: the data server.
    @ivar key: of the L{Turns}, if each piece is to be copied in a shared turn; None if
        who began has the turn, or nobody uses the data file yet.
    @ivar told: of progress.
    @ivar pace: how fast to go.
    @ivar idle: is it likely that nobody writes? Then it is not asked ahead what has
        changed while the file was copied.
    """

    live: Placement
    target: Placement
    uuid: bytes
    told: Told
    key: Any = None
    pace: Pace = UNLIMITED
    idle: Idle = lambda: False

    @property
    def inUse(self) -> bool:
        """
        The data server has some of the file already.
        """
        return self.uuid in self.live.dataServers

    @property
    def whole(self) -> Optional[int]:
        """
        The column of which all is lacking, with nothing else in that data file: no
        stripes have to be told apart. None if it is not so.
        """
        live, target = self.live, self.target
        if (
            self.inUse
            or live.chunk
            or target.chunk
            or live.stripeUnit != target.stripeUnit
            or len(live.columns) != len(target.columns)
        ):
            return None
        mine = [n for n, column in enumerate(target.columns) if self.uuid in column]
        return mine[0] if len(mine) == 1 else None

    def lacking(self, offset: int, length: int) -> Iterator[tuple[int, int, int]]:
        """
        What it lacks of a range of the file.

        @return: (column where it is now, offset, length) of each piece.
        """
        live, target, uuid = self.live, self.target, self.uuid
        whole = self.whole
        if whole is not None:
            yield whole, offset, length
            return
        for column, mirrors in enumerate(target.columns):
            if uuid not in mirrors:
                continue
            for at, part in portions(target, column, offset, length):
                for origin, start, count in pieces(live, at, part):
                    if uuid not in live.columns[origin]:
                        yield origin, start, count

    @property
    def scraps(self) -> bool:
        """
        It lacks many small pieces.
        """
        units = {self.live.stripeUnit, self.target.stripeUnit} - {0}
        return self.whole is None and 0 < min(units, default=0) <= SCRAP

    def columns(self) -> list[int]:
        """
        The columns that it may lack something of.
        """
        whole = self.whole
        if whole is not None:
            return [whole]
        live, target = self.live, self.target
        mine = {n for n, mirrors in enumerate(target.columns) if self.uuid in mirrors}
        others = {
            n for n, mirrors in enumerate(live.columns) if self.uuid not in mirrors
        }
        if not mine or not others:
            return []
        if live.chunk or target.chunk:
            return sorted(others & mine if live.chunk == target.chunk else others)
        rows = [
            each.stripeUnit * len(each.columns)
            for each in (live, target)
            if len(each.columns) > 1
        ]
        period = math.lcm(*rows)
        if period > PERIOD * min(rows, default=1):
            return sorted(others)
        # Stripes lie alike again after that.
        return sorted({column for column, _, _ in self.lacking(0, period)})
