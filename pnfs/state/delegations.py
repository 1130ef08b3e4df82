# -*- test-case-name: tests.state.test_delegations -*-
"""
Delegations that clients hold (RFC 8881, sections 10.2 and 10.4): of files, to read
by many clients or to write by one, and of directories.

The server alone decides who gets one. What stands against it for a file:

  - another client's delegation or open that does not go with it;
  - a recall lately, or writers from several clients lately: the next conflict would
    only take the delegation away again. Both are remembered by filehandle for
    C{windowSeconds}, also when no state is left on the file.

A delegation being recalled counts as held until it is returned or revoked.
"""

from __future__ import annotations

from typing import Any, Optional

import attrs

from pnfs.state.errors import DelegRevoked
from pnfs.state.files import FileState
from pnfs.state.opens import READ, WRITE, BOTH
from pnfs.state.stateids import RecallableState, StateidTable

REMEMBERED_LIMIT = 65536
"""Files whose last writer, and files whose contention, is remembered."""

_WRITERS = 0xFFFFFFFF << 32
"""The counter of opens for writing in C{FileState.shares}."""


@attrs.define(eq=False)
class DelegationState(RecallableState):
    """
    What one client has been delegated.

    @ivar access: READ, or BOTH for a write delegation: what it stands for as an open.
    @ivar timestamps: its holder says when the file was read and written (RFC 9754).
    @ivar recall: the recall under way, or None.
    @ivar change: the change attribute when it was given: its holder tells another
        one if it has changed the file (RFC 8881, section 10.4.3).
    @ivar query: a CB_GETATTR under way, or None.
    """

    access: int = READ
    timestamps: bool = False
    recall: Any = None
    change: int = 0
    query: Any = None

    @property
    def writes(self) -> bool:
        """
        It is a write delegation.
        """
        return bool(self.access & WRITE)


class DelegationTable:
    """
    All delegations, found through their file, client and stateid.

    @ivar count: how many are held; maximum: how many may be.
    """

    def __init__(
        self,
        stateids: StateidTable,
        maximum: int = 65536,
        windowSeconds: float = 30.0,
    ) -> None:
        """
        @param windowSeconds: how long contention of a file is remembered.
        """
        self._stateids = stateids
        self._windowSeconds = windowSeconds
        self._writers: dict[bytes, tuple[int, float]] = {}
        self._contended: dict[bytes, float] = {}
        self._revoked: dict[DelegationState, None] = {}
        self.maximum = maximum
        self.count = 0

    def __len__(self) -> int:
        return self.count

    # -- contention --------------------------------------------------------

    def noteWriter(self, file: FileState, client: Any, now: float) -> None:
        """
        A client opens a file for writing.
        """
        fh = file.fh
        clientid = client.clientid
        last = self._writers.pop(fh, None)
        if last is not None and last[0] != clientid:
            if now < last[1] + self._windowSeconds:
                self.contend(file, now)
        elif len(self._writers) >= REMEMBERED_LIMIT:
            del self._writers[next(iter(self._writers))]
        self._writers[fh] = (clientid, now)

    def contend(self, file: FileState, now: float) -> None:
        """
        Clients are at odds over a file.
        """
        contended = self._contended
        contended.pop(file.fh, None)
        if len(contended) >= REMEMBERED_LIMIT:
            del contended[next(iter(contended))]
        contended[file.fh] = now + self._windowSeconds

    def contended(self, file: FileState, now: float) -> bool:
        """
        Were clients at odds over a file lately?
        """
        until = self._contended.get(file.fh)
        if until is None:
            return False
        if now < until:
            return True
        del self._contended[file.fh]
        return False

    def available(self, file: FileState, client: Any, write: bool, now: float) -> bool:
        """
        Might a client be given a delegation of this file?
        """
        clientid = client.clientid
        if self._contended and self.contended(file, now):
            return False
        if file.delegations is not None:
            for held in file.delegations.values():
                if held.client is not client and (write or held.access & WRITE):
                    return False
                if held.recall is not None:
                    return False
        if write:
            for key in file.opens:
                if key[0] != clientid:
                    return False
        elif file.shares & _WRITERS:
            for key, state in file.opens.items():
                if state.access & WRITE and key[0] != clientid:
                    return False
        return True

    # -- giving and taking back ----------------------------------------------

    def held(self, file: FileState, client: Any) -> Optional[DelegationState]:
        """
        What a client holds of a file.
        """
        if file.delegations is None:
            return None
        return file.delegations.get(client.clientid)  # type: ignore[no-any-return]

    def grant(
        self,
        file: FileState,
        client: Any,
        write: bool,
        timestamps: bool = False,
        change: int = 0,
        slot: Any = None,
    ) -> DelegationState:
        """
        Record what is given to a client that holds none of this file.

        @param slot: of the request that gets it.
        """
        stateids = self._stateids
        state = DelegationState(
            stateids.newOther(),
            client,
            file,
            1,
            None,
            BOTH if write else READ,
            timestamps,
            None,
            change,
        )
        if slot is not None:
            state.grantedIn(slot)
        if file.delegations is None:
            file.delegations = {}
        file.delegations[client.clientid] = state
        if write:
            file.writer = state
        client.delegations[state.other] = state
        stateids.add(state)
        self.count += 1
        return state

    def conflicting(
        self, file: FileState, client: Any, write: bool
    ) -> list[DelegationState]:
        """
        Delegations of other clients that an access by this one conflicts with.

        @param write: it changes something; else only write delegations matter.
        """
        return [
            held
            for held in (file.delegations or {}).values()
            if held.client is not client and (write or held.access & WRITE)
        ]

    def drop(self, state: DelegationState) -> None:
        """
        The client holds it no more. Ends a recall under way.
        """
        self._stateids.drop(state)
        self._remove(state)

    def revoke(self, state: DelegationState) -> None:
        """
        Take it from a client that does not return it. Its stateid gets
        DELEG_REVOKED until it is freed (RFC 8881, section 10.2.1).
        """
        state.revoked = DelegRevoked
        state.client.revoked += 1
        self._revoked[state] = None
        self._remove(state)

    def free(self, state: DelegationState) -> None:
        """
        Forget a revoked one: FREE_STATEID.
        """
        if state in self._revoked:
            del self._revoked[state]
            state.client.revoked -= 1
            self._stateids.drop(state)

    def dropClient(self, client: Any) -> list[FileState]:
        """
        A client is gone with all its delegations.

        @return: the files concerned; some may be idle now.
        """
        if client.revoked:
            for state in [held for held in self._revoked if held.client is client]:
                self.free(state)
        states = list(client.delegations.values())
        for state in states:
            self.drop(state)
        return [state.file for state in states]

    def _remove(self, state: DelegationState) -> None:
        client = state.client
        file = state.file
        if client.delegations.pop(state.other, None) is None:
            return
        del file.delegations[client.clientid]
        if not file.delegations:
            file.delegations = None
        if file.writer is state:
            file.writer = None
        self.count -= 1
        if state.recall is not None:
            state.recall.gone()
