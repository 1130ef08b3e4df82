# -*- test-case-name: tests.state.test_slots -*-
"""
The slots of a session's fore channel (RFC 8881, section 2.10.6.1).

A slot knows the sequence ID it waits for, a digest of the last request and, if the
client asked for it, the whole reply. Slots are made when first used, so that an idle
client costs little; and taken back from a client that does not use them any more:

  - its replies name a lower C{sr_target_highest_slotid};
  - as soon as a request shows that the client has seen that, since it comes on a
    slot on which it was told, and that it has nothing under way above the target
    (C{sa_highest_slotid}), the slots above are gone, with the replies they kept.
    C{sr_highest_slotid} says so, and BADSLOT;
  - a client that uses all it has left is given twice as many, up to what was
    agreed when the session was made.

What was rejected: to take C{sa_highest_slotid} alone for a sign that the client has
done with the slots above. It says what is under way when the request is made, and
requests overtake each other.

The sequence ID of a slot that is gone is remembered: when it comes back some clients
go on counting, others begin again, and neither is a mistake.
"""

from __future__ import annotations

from typing import Any

from pnfs.state.errors import BadSlot

SLOTS_KEPT = 4
"""So many slots a session keeps that does next to nothing."""

_QUIET = 8
"""Requests between two looks at a session that is next to nothing."""


class Slot:
    """
    One slot of a fore channel.

    @ivar next: the sequence ID of the next request.
    @ivar busy: the last request is still being served.
    @ivar cacheThis: the last request asked to keep its reply.
    @ivar digest: of the last request.
    @ivar reply: the whole reply if C{kept}, else the result of SEQUENCE alone.
    @ivar told: which lowering of the target the last reply has told of.
    @ivar resumed: what C{next} was when the slot came back, or 0: then sequence ID
        1 will do as well.
    """

    __slots__ = (
        "next",
        "busy",
        "cacheThis",
        "digest",
        "reply",
        "kept",
        "told",
        "resumed",
    )

    def __init__(self) -> None:
        self.next = 1
        self.busy = False
        self.cacheThis = 0
        self.digest = 0
        self.reply: Any = b""
        self.kept = False
        self.told = 0
        self.resumed = 0

    def finish(self, ctx: Any, out: list[Any]) -> None:
        """
        The request has been served.

        @param out: the pieces of C{COMPOUND4res}.
        """
        self.busy = False
        if self.cacheThis or ctx.count == 1:
            try:
                self.reply = b"".join(out)
                self.kept = True
                return
            except TypeError:
                # A slice of a file: it would be read for a retry that hardly
                # ever comes. Such a reply only ever holds data just read.
                pass
        self.reply = out[1]
        self.kept = False

    def restarts(self, sequenceid: int) -> bool:
        """
        Does a sequence ID, not the expected one, begin the slot anew?
        """
        if sequenceid != 1 or self.busy or not self.resumed:
            return False
        if self.resumed != self.next:
            return False
        self.resumed = 0
        return True


class SlotTable:
    """
    The slots of a session.

    @ivar slots: those used so far.
    @ivar highest: the highest that is accepted; target: the highest that the client
        should use.
    @ivar trimmed: one of the two is lower than agreed: L{adjust} is to be called
        with each request.
    """

    __slots__ = (
        "slots",
        "highest",
        "target",
        "trimmed",
        "_most",
        "_lowered",
        "_gone",
        "_work",
    )

    def __init__(self, maxSlots: int) -> None:
        self.slots: list[Slot] = []
        self.highest = self.target = self._most = maxSlots - 1
        self.trimmed = False
        self._lowered = 0
        self._gone: dict[int, int] = {}
        self._work = 0

    def slotAt(self, slotid: int) -> Slot:
        """
        A slot, made if it is used for the first time.

        @raise BadSlot: there are fewer.
        """
        if slotid > self.highest:
            raise BadSlot()
        slots = self.slots
        while len(slots) <= slotid:
            slot = Slot()
            if self._gone:
                slot.next = self._gone.pop(len(slots), 1)
                slot.resumed = slot.next
            slots.append(slot)
        return slots[slotid]

    def lower(self, target: int) -> None:
        """
        The client should make do with the slots up to C{target}.
        """
        if target < self.target:
            self.target = target
            self.trimmed = True
            self._lowered += 1

    def adjust(self, slot: Slot, slotid: int, asked: int) -> None:
        """
        A new request has come on a slot.

        @param asked: C{sa_highest_slotid}.
        """
        target = self.target
        if slotid >= target:
            self.target = target = min(self._most, 2 * target + 1)
            self.highest = max(self.highest, target)
            self.trimmed = target < self._most
        elif asked > target or self.highest == target:
            return
        elif slot.told != self._lowered:
            slot.told = self._lowered
        elif not any(each.busy for each in self.slots[target + 1 :]):
            for gone in range(target + 1, len(self.slots)):
                self._gone[gone] = self.slots[gone].next
            del self.slots[target + 1 :]
            self.highest = target

    def look(self) -> None:
        """
        Lower the target if there has been next to no request since the last look.
        """
        work = sum([slot.next for slot in self.slots])
        if work - self._work <= _QUIET and len(self.slots) > SLOTS_KEPT:
            self.lower(SLOTS_KEPT - 1)
        self._work = work
