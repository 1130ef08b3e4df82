# -*- test-case-name: tests.nfs4.test_client -*-
"""
The slots of a session as its client sees them (RFC 8881, section 2.10.6.1).
"""

from __future__ import annotations


class SessionLost(Exception):
    """
    The session ended before the COMPOUND was known to be executed.
    """


class Slots:
    """
    A session of the server, with its free slots and their sequence IDs.

    @ivar uncertain: slots whose last request has had no answer: nobody knows
        whether the server has taken its sequence ID.
    """

    def __init__(self, sessionid: bytes, slots: int, ioBytes: int) -> None:
        self.sessionid = sessionid
        self.sequences = [1] * slots
        self.free = list(range(slots - 1, -1, -1))
        self.uncertain: set[int] = set()
        self.ioBytes = ioBytes
        self.highest = slots - 1

    def advance(self, slot: int) -> None:
        """
        The server has taken the slot's sequence ID.
        """
        self.sequences[slot] = (self.sequences[slot] + 1) & 0xFFFFFFFF
        self.uncertain.discard(slot)

    def giveBack(self, slot: int) -> None:
        """
        A slot is no longer used: an uncertain one shall be the last to be taken.
        """
        if slot > self.highest:
            return
        if slot in self.uncertain:
            self.free.insert(0, slot)
        else:
            self.free.append(slot)
