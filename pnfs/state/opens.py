# -*- test-case-name: tests.state.test_opens -*-
"""
Opens and share reservations (RFC 8881, sections 9.7 to 9.11).

A share reservation is checked against all other opens of a file, those of the
same owner included, in constant time: C{FileState.shares} packs four counters of
32 bits, and what an open adds to them is a constant for its modes.
"""

from __future__ import annotations

from typing import Any, Optional

import attrs

from pnfs.state.errors import Invalid, LocksHeld, ShareDenied
from pnfs.state.files import FileState
from pnfs.state.stateids import State, StateidTable

READ = 1
WRITE = 2
BOTH = 3

_ONES = 0xFFFFFFFF
_READERS, _WRITERS, _DENY_READ, _DENY_WRITE = (1 << shift for shift in (0, 32, 64, 96))


def _perMode(access: tuple[int, int], deny: tuple[int, int]) -> tuple[int, ...]:
    """
    For each C{access | deny << 2} the sum of what its bits stand for.
    """
    values = access + deny
    return tuple(
        sum(value for bit, value in enumerate(values) if mode >> bit & 1)
        for mode in range(16)
    )


_WEIGHT = _perMode((_READERS, _WRITERS), (_DENY_READ, _DENY_WRITE))
_CONFLICTS = _perMode(
    (_DENY_READ * _ONES, _DENY_WRITE * _ONES), (_READERS * _ONES, _WRITERS * _ONES)
)


@attrs.define(eq=False)
class OpenState(State):
    """
    What one open owner has open of one file.

    @ivar owner: the open owner, without its clientid.
    @ivar access: READ and WRITE bits; deny: likewise.
    @ivar held: bit C{access | deny << 2} is set for each combination that an OPEN
        has asked for and no OPEN_DOWNGRADE has given up.
    @ivar locks: the L{pnfs.state.locks.LockState}s made from it by lock owner, or
        None.
    """

    owner: bytes = b""
    access: int = 0
    deny: int = 0
    held: int = 0
    locks: Optional[dict[bytes, Any]] = None


def denied(file: Optional[FileState], access: int, deny: int = 0) -> bool:
    """
    Does a share reservation forbid this access, or an access this reservation?
    """
    return file is not None and bool(file.shares & _CONFLICTS[access | deny << 2])


def inTheWay(file: FileState, access: int, deny: int = 0) -> set[Any]:
    """
    The clients whose share reservations L{denied} is about.
    """
    mode = _WEIGHT[access | deny << 2]
    return {
        state.client
        for state in file.opens.values()
        if mode & _CONFLICTS[state.access | state.deny << 2]
    }


class OpenTable:
    """
    All opens. They are found through their file, their client and their stateid.
    """

    def __init__(self, stateids: StateidTable) -> None:
        self._stateids = stateids
        self.count = 0

    def find(self, file: FileState, client: Any, owner: bytes) -> Optional[OpenState]:
        """
        What an owner has open of a file.
        """
        return file.opens.get((client.clientid, owner))

    def open(
        self, file: FileState, client: Any, owner: bytes, access: int, deny: int
    ) -> OpenState:
        """
        Open a file, or add to what the owner has open (the stateid's seqid moves).

        @raise ShareDenied: a reservation is in the way; nothing has changed.
        """
        mode = access | deny << 2
        shares = file.shares
        if shares & _CONFLICTS[mode]:
            raise ShareDenied()
        key = (client.clientid, owner)
        state: Optional[OpenState] = file.opens.get(key)
        if state is None:
            stateids = self._stateids
            state = OpenState(
                stateids.newOther(),
                client,
                file,
                1,
                None,
                owner,
                access,
                deny,
                1 << mode,
            )
            file.opens[key] = state
            file.shares = shares + _WEIGHT[mode]
            client.opens[state] = None
            stateids.add(state)
            self.count += 1
            return state
        state.held |= 1 << mode
        self._change(state, state.access | access, state.deny | deny)
        state.advance()
        return state

    def downgrade(self, state: OpenState, access: int, deny: int) -> None:
        """
        Give up modes (RFC 8881, section 18.18).

        @raise Invalid: the modes are not the union of some that the owner has
            asked for.
        """
        wanted = access | deny << 2
        kept = union = 0
        for mode in range(16):
            if state.held >> mode & 1 and not mode & ~wanted:
                kept |= 1 << mode
                union |= mode
        if union != wanted or not access:
            raise Invalid()
        state.held = kept
        self._change(state, access, deny)
        state.advance()

    def _change(self, state: OpenState, access: int, deny: int) -> None:
        file = state.file
        file.shares += (
            _WEIGHT[access | deny << 2] - _WEIGHT[state.access | state.deny << 2]
        )
        state.access = access
        state.deny = deny

    def checkClose(self, state: OpenState) -> None:
        """
        May an open be closed?

        @raise LocksHeld: a lock owner of it still holds a byte range.
        """
        if state.locks is not None:
            for lock in state.locks.values():
                if lock.ranges:
                    raise LocksHeld()

    def close(self, state: OpenState) -> None:
        """
        Forget an open, and its lock owners.

        @raise LocksHeld: as L{checkClose}.
        """
        self.checkClose(state)
        self.drop(state)

    def drop(self, state: OpenState) -> None:
        """
        Forget an open with all its locks.
        """
        file = state.file
        clientid = state.client.clientid
        if state.locks is not None:
            for owner, lock in state.locks.items():
                file.locks.pop((clientid, owner), None)
                self._stateids.drop(lock)
            state.locks = None
        if file.waiters is not None:
            file.waiters.openGone(state)
        if file.opens.pop((clientid, state.owner), None) is not None:
            file.shares -= _WEIGHT[state.access | state.deny << 2]
            self.count -= 1
        state.client.opens.pop(state, None)
        self._stateids.drop(state)

    def closeSome(self, client: Any, limit: int) -> list[FileState]:
        """
        Drop what a client that is gone has open, with its locks; not more than
        C{limit} opens, since there may be a million.

        @return: the files concerned; some may be idle now.
        """
        opens = client.opens
        states = [opens.popitem()[0] for _ in range(min(limit, len(opens)))]
        for state in states:
            self.drop(state)
        return list({id(state.file): state.file for state in states}.values())

    def closeGone(self, file: FileState) -> None:
        """
        Drop what clients that are gone still have open of one file.
        """
        for state in list(file.opens.values()):
            if state.client.gone:
                self.drop(state)
