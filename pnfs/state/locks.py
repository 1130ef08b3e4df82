# -*- test-case-name: tests.state.test_locks -*-
"""
Byte-range locks with POSIX semantics (RFC 8881, sections 9.1 to 9.6): a lock
owner's later request on a range replaces its earlier ones there, in part too.

Ranges are (start, end, exclusive) with the end exclusive; a lock to the end of
the file ends at C{2**64}. A lock owner's ranges are kept sorted and disjoint, and
merged where they touch.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any, Iterator, Optional

import attrs

from pnfs.state.errors import Invalid, LockDenied, OpenMode
from pnfs.state.files import FileState
from pnfs.state.opens import READ, WRITE, OpenState
from pnfs.state.stateids import State, StateidTable
from pnfs.values import NFS4_UINT64_MAX

READ_LT = 1
WRITE_LT = 2

_END = 1 << 64

Range = tuple[int, int, bool]


def _start(held: Range) -> int:
    return held[0]


def _end(held: Range) -> int:
    return held[1]


def rangeOf(offset: int, length: int) -> tuple[int, int]:
    """
    Start and end of a range on the wire (RFC 8881, section 18.10.3).

    @raise Invalid: it is empty or goes beyond 64 bits.
    """
    if length == NFS4_UINT64_MAX:
        return offset, _END
    end = offset + length
    if not length or end > NFS4_UINT64_MAX:
        raise Invalid()
    return offset, end


def overlapping(ranges: list[Range], start: int, end: int) -> Iterator[Range]:
    """
    Those of sorted disjoint ranges that have a byte of C{start} to C{end}.
    """
    index = bisect_right(ranges, start, key=_end)
    while index < len(ranges) and ranges[index][0] < end:
        yield ranges[index]
        index += 1


def inTheWay(
    file: FileState,
    client: Any,
    owner: bytes,
    exclusive: bool,
    offset: int,
    length: int,
) -> set[Any]:
    """
    The clients whose locks L{LockTable.test} is about.
    """
    start, end = rangeOf(offset, length)
    mine = (client.clientid, owner)
    return {
        state.client
        for key, state in file.locks.items()
        if key != mine
        and any(exclusive or held[2] for held in overlapping(state.ranges, start, end))
    }


def replaced(
    ranges: list[Range], start: int, end: int, exclusive: Optional[bool]
) -> list[Range]:
    """
    Sorted disjoint ranges after a lock, or an unlock (C{exclusive} is None).
    """
    first = bisect_left(ranges, start, key=_end)
    last = bisect_right(ranges, end, key=_start)
    before: list[Range] = []
    after: list[Range] = []
    newStart, newEnd = start, end
    for held in ranges[first:last]:
        heldStart, heldEnd, kind = held
        if kind is exclusive:
            newStart = min(newStart, heldStart)
            newEnd = max(newEnd, heldEnd)
            continue
        if heldStart < start:
            before.append((heldStart, min(heldEnd, start), kind))
        if heldEnd > end:
            after.append((max(heldStart, end), heldEnd, kind))
    middle: list[Range] = [] if exclusive is None else [(newStart, newEnd, exclusive)]
    return ranges[:first] + before + middle + after + ranges[last:]


def conflict(
    file: FileState, mine: tuple[int, bytes], exclusive: bool, start: int, end: int
) -> Optional[tuple[tuple[int, bytes], Range]]:
    """
    A lock that is in the way of one.

    @param mine: whose locks are not, as in C{FileState.locks}.
    @return: its owner likewise, and its range; None if there is none.
    """
    for key, state in file.locks.items():
        if key == mine:
            continue
        for held in overlapping(state.ranges, start, end):
            if exclusive or held[2]:
                return key, held
    return None


@attrs.define(eq=False)
class LockState(State):
    """
    The byte ranges of a file that one lock owner of a client holds.

    @ivar owner: the lock owner, without its clientid.
    @ivar open: the L{OpenState} it was made from: with that it ends.
    @ivar ranges: see the module.
    """

    owner: bytes = b""
    open: Any = None
    ranges: list[Range] = attrs.Factory(list)


class LockTable:
    """
    All byte-range locks. They are found through their file and their stateid.
    """

    def __init__(self, stateids: StateidTable) -> None:
        self._stateids = stateids

    def find(self, file: FileState, client: Any, owner: bytes) -> Optional[LockState]:
        """
        The state of a lock owner on a file.
        """
        return file.locks.get((client.clientid, owner))

    def test(
        self,
        file: FileState,
        client: Any,
        owner: bytes,
        exclusive: bool,
        offset: int,
        length: int,
    ) -> None:
        """
        Would a lock be granted?

        @raise LockDenied: no; it names a lock in the way, or one whose turn it is
            (L{pnfs.state.waiting}).
        @raise Invalid: no such range.
        """
        start, end = rangeOf(offset, length)
        mine = (client.clientid, owner)
        found = conflict(file, mine, exclusive, start, end)
        if found is None:
            waiters = file.waiters
            if waiters is None:
                return
            waiter = waiters.inTheWay(mine, exclusive, start, end)
            if waiter is None:
                return
            found = waiter.key, (waiter.start, waiter.end, waiter.exclusive)
        (clientid, holder), (start, end, kind) = found
        length = NFS4_UINT64_MAX if end == _END else end - start
        raise LockDenied(
            (start, length, WRITE_LT if kind else READ_LT, clientid, holder)
        )

    def lock(
        self,
        open: OpenState,
        owner: bytes,
        exclusive: bool,
        offset: int,
        length: int,
    ) -> LockState:
        """
        Lock a range, or turn the owner's lock there into another kind.

        @param open: what the owner acts through.
        @raise OpenMode: not opened for writing (exclusive) or reading (shared).
        @raise LockDenied: another owner's lock is in the way.
        @raise Invalid: no such range.
        """
        start, end = rangeOf(offset, length)
        if not open.access & (WRITE if exclusive else READ):
            raise OpenMode()
        file = open.file
        self.test(file, open.client, owner, exclusive, offset, length)
        key = (open.client.clientid, owner)
        state: Optional[LockState] = file.locks.get(key)
        if state is None:
            state = LockState(
                self._stateids.newOther(), open.client, file, 1, None, owner, open
            )
            file.locks[key] = state
            if open.locks is None:
                open.locks = {}
            open.locks[owner] = state
            self._stateids.add(state)
        else:
            state.advance()
        state.ranges = replaced(state.ranges, start, end, exclusive)
        if file.waiters is not None:
            file.waiters.locked(key, start, end)
        return state

    def unlock(self, state: LockState, offset: int, length: int) -> None:
        """
        Unlock a range; what is not locked of it does not matter.

        @raise Invalid: no such range.
        """
        start, end = rangeOf(offset, length)
        state.ranges = replaced(state.ranges, start, end, None)
        state.advance()
        if state.file.waiters is not None:
            state.file.waiters.released()

    def drop(self, state: LockState) -> None:
        """
        Forget a lock owner's state with all its ranges.
        """
        state.file.locks.pop((state.client.clientid, state.owner), None)
        if state.open.locks is not None:
            state.open.locks.pop(state.owner, None)
        self._stateids.drop(state)
        if state.file.waiters is not None:
            state.file.waiters.released()
