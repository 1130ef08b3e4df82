# -*- test-case-name: tests.state.test_stateids -*-
"""
Stateids: what names a client's state on a file (RFC 8881, section 8.2).

C{other} is the boot epoch (4 bytes) and 8 random ones, so a stateid of an earlier
start, or a guessed one, names nothing.
"""

from __future__ import annotations

import struct
from typing import Any, Callable, Optional

import attrs

from pnfs.state.errors import BadStateid, OldStateid, StateError

_pack = struct.Struct(">I12s").pack
_unpack = struct.Struct(">I12s").unpack

SEQID_MAX = 0xFFFFFFFF


@attrs.define(eq=False)
class State:
    """
    The base of everything a stateid names.

    @ivar other: the 12 bytes that never change.
    @ivar seqid: grows with each change; 1 at first.
    @ivar client: the L{pnfs.state.clients.Client} that holds it.
    @ivar file: the L{pnfs.state.files.FileState} it is on.
    @ivar revoked: the class of L{StateError} its use gets since it was revoked, or
        None. A revoked one stays until FREE_STATEID.
    """

    other: bytes
    client: Any
    file: Any
    seqid: int = 1
    revoked: Optional[type[StateError]] = None

    @property
    def stateid(self) -> bytes:
        """
        The C{stateid4} now.
        """
        return _pack(self.seqid, self.other)

    def advance(self) -> bytes:
        """
        Count a change. @return: the new C{stateid4}.
        """
        self.seqid = self.seqid + 1 if self.seqid < SEQID_MAX else 1
        return _pack(self.seqid, self.other)


@attrs.define(eq=False)
class RecallableState(State):
    """
    What may be recalled before its holder knows that it has it: the reply that says
    so can be overtaken by the callback. The callback then names the request that
    the client is to wait for (RFC 8881, section 2.10.6.3).

    @ivar slot: the fore channel's slot of the last request that has granted it, or
        None; slotNext: the sequence ID that follows. When the slot has moved on, the
        client has had its reply.
    @ivar earlier: (slot, slotNext) of others before, whose replies it may not have.
    """

    slot: Any = attrs.field(default=None, init=False)
    slotNext: int = attrs.field(default=0, init=False)
    earlier: tuple[tuple[Any, int], ...] = attrs.field(default=(), init=False)

    def grantedIn(self, slot: Any) -> None:
        """
        A request that is being served in a slot has granted (more of) it.
        """
        before = self.slot
        if before is not None and before is not slot and before.next == self.slotNext:
            self.earlier = tuple(
                (other, next)
                for other, next in self.earlier
                if other is not slot and other.next == next
            ) + ((before, self.slotNext),)
        self.slot = slot
        self.slotNext = slot.next

    def grantingCalls(self) -> list[tuple[bytes, int, int]]:
        """
        Requests that have granted it whose replies the client may not have yet:
        sessionid, slotid and sequence ID of each.
        """
        calls = []
        for slot, next in self.earlier + ((self.slot, self.slotNext),):
            if slot is None or slot.next != next:
                continue
            for session in self.client.sessions.values():
                if slot in session.slots:
                    slotid = session.slots.index(slot)
                    calls.append((session.id, slotid, next - 1 & SEQID_MAX))
        return calls


class StateidTable:
    """
    All stateids of a server by C{other}.
    """

    def __init__(self, epoch: int, entropy: Callable[[int], bytes]) -> None:
        """
        @param epoch: the boot epoch, 32 bits.
        """
        self._epoch = struct.pack(">I", epoch & 0xFFFFFFFF)
        self._entropy = entropy
        self._pool = b""
        self._used = 0
        self._states: dict[bytes, State] = {}

    def __len__(self) -> int:
        return len(self._states)

    def earlier(self, stateid: bytes) -> bool:
        """
        Is it one of an earlier start?
        """
        epoch = stateid[4:8]
        return epoch != self._epoch and epoch not in (bytes(4), b"\xff" * 4)

    def newOther(self) -> bytes:
        """
        A C{other} that no state has.
        """
        while True:
            if self._used >= len(self._pool):
                self._pool = self._entropy(4096)
                self._used = 0
            other = self._epoch + self._pool[self._used : self._used + 8]
            self._used += 8
            if other not in self._states:
                return other

    def add(self, state: State) -> None:
        """
        Make a state known.
        """
        self._states[state.other] = state

    def drop(self, state: State) -> None:
        """
        Forget a state.
        """
        self._states.pop(state.other, None)

    def find(
        self,
        stateid: bytes,
        client: Any,
        file: Any,
        kinds: Any = State,
        older: bool = False,
    ) -> Any:
        """
        The state a client names.

        @param file: the file it must be on, or None for any.
        @param kinds: the class or classes it must be of.
        @param older: an earlier seqid is accepted too.
        @raise BadStateid: no such state of this client on this file.
        @raise OldStateid: it has moved on.
        @raise StateError: it has been revoked.
        """
        seqid, other = _unpack(stateid)
        state = self._states.get(other)
        if (
            state is None
            or state.client is not client
            or (file is not None and state.file is not file)
            or not isinstance(state, kinds)
        ):
            inode = None if file is None else file.inode
            raise self.whyNot(stateid, client, inode, kinds)
        if state.revoked is not None:
            raise state.revoked()
        if seqid and seqid != state.seqid:
            if (seqid - state.seqid) & 0x80000000:
                if not older:
                    raise OldStateid()
            else:
                raise BadStateid()
        return state

    def whyNot(
        self, stateid: bytes, client: Any, inode: Any, kinds: Any = State
    ) -> StateError:
        """
        A stateid names nothing among what is held on a file now. It may have been
        revoked, and nobody held anything else there, or does since.

        @param inode: the file's L{pnfs.values.Inode}, or None.
        @return: what the client is to be told.
        """
        state = self._states.get(stateid[4:])
        if (
            state is not None
            and state.revoked is not None
            and state.client is client
            and state.file.inode is inode
            and isinstance(state, kinds)
        ):
            return state.revoked()
        return BadStateid()

    def lookup(self, other: bytes) -> Optional[State]:
        """
        The state of that C{other}, whoever holds it.
        """
        return self._states.get(other)
