"""
Tests for L{pnfs.state.sessions}.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import NoSpace
from pnfs.state.clients import Client
from pnfs.state.errors import BadSession, BadSlot, TooSmall
from pnfs.state.sessions import (
    SEQ4_STATUS_BACKCHANNEL_FAULT,
    SEQ4_STATUS_CB_PATH_DOWN,
    SEQ4_STATUS_RECALLABLE_STATE_REVOKED,
    Channel,
    Session,
    SessionLimits,
    SessionTable,
    digestOf,
    negotiateBack,
    negotiateFore,
)
from pnfs.values import FileSlice
from tests.nfs4.fixture import Connection, entropy

LINUX = Channel(1049620, 1049480, 7584, 8, 64)
LINUX_BACK = Channel(4096, 4096, 0, 2, 1)


def size(thing: Any, seen: set[int]) -> int:
    """
    Memory of an object and what only it refers to, in bytes.
    """
    if id(thing) in seen or isinstance(thing, (type, Connection)):
        return 0
    seen.add(id(thing))
    total = sys.getsizeof(thing)
    if isinstance(thing, dict):
        total += sum(size(k, seen) + size(v, seen) for k, v in thing.items())
    elif isinstance(thing, (list, set, tuple)):
        total += sum(size(each, seen) for each in thing)
    else:
        for cls in type(thing).__mro__:
            for name in getattr(cls, "__slots__", ()):
                if hasattr(thing, name) and name != "__weakref__":
                    total += size(getattr(thing, name), seen)
    return total


class Context:
    """
    As much of a COMPOUND as a slot needs.
    """

    count = 2


class SessionTests(SynchronousTestCase):
    """
    Sessions, their slots and connections.
    """

    def setUp(self) -> None:
        self.table = SessionTable(entropy(), SessionLimits(maxSessions=3))
        self.client = Client(1, b"a", b"1", (1, 0), 0.0)
        self.session = self.make()
        self.connection = Connection(Clock())

    def make(self) -> Session:
        """
        A session as Linux asks for it.
        """
        return self.table.create(self.client, 1, LINUX, LINUX_BACK, 7, bytes(16))

    def test_negotiateFore(self) -> None:
        """
        A client gets what it asks for, up to the server's limits.
        """
        limits = SessionLimits()
        self.assertEqual(negotiateFore(LINUX, limits), LINUX)
        most = negotiateFore(Channel(*[0xFFFFFFFF] * 5), limits)
        self.assertEqual(
            most,
            Channel(limits.maxRequest, limits.maxResponse, 65536, 64, 64),
        )
        for small in (
            Channel(20, 4096, 0, 8, 8),
            Channel(4096, 20, 0, 8, 8),
            Channel(4096, 4096, 0, 0, 8),
            Channel(4096, 4096, 0, 8, 0),
        ):
            self.assertRaises(TooSmall, negotiateFore, small, limits)

    def test_negotiateBack(self) -> None:
        """
        A back channel on which no recall would fit is refused; without slots it is
        none, which will do if none is wanted.
        """
        self.assertEqual(negotiateBack(LINUX_BACK, True), LINUX_BACK)
        small = Channel(100, 100, 0, 1, 1)
        for wanted in (True, False):
            self.assertRaises(TooSmall, negotiateBack, small, wanted)
        none = Channel(100, 100, 0, 1, 0)
        self.assertRaises(TooSmall, negotiateBack, none, True)
        self.assertEqual(negotiateBack(none, False), none)

    def test_idleIsSmall(self) -> None:
        """
        A client that has mounted and does nothing takes less than 8 KiB.
        """
        self.client.createReply = (0, bytes(100))
        slot = self.session.slotAt(0)
        slot.cacheThis = 1
        slot.finish(Context(), [bytes(12), bytes(44), bytes(300)])
        self.table.bind(self.session, self.connection, True, True)
        self.assertLess(size(self.client, set()), 4096)

    def test_slots(self) -> None:
        """
        Slots are made when used, as many as were agreed.
        """
        self.assertEqual(self.session.slots, [])
        slot = self.session.slotAt(3)
        self.assertIs(self.session.slotAt(3), slot)
        self.assertEqual(len(self.session.slots), 4)
        self.session.slotAt(63)
        self.assertRaises(BadSlot, self.session.slotAt, 64)

    def test_finish(self) -> None:
        """
        A reply is kept if the client asks for it, or if it is SEQUENCE alone.
        """
        slot = self.session.slotAt(0)
        out = [b"head", b"sequence", memoryview(b"more")]
        slot.finish(Context(), out)
        self.assertEqual((slot.kept, slot.reply), (False, b"sequence"))
        slot.cacheThis = 1
        slot.finish(Context(), out)
        self.assertEqual((slot.kept, slot.reply), (True, b"headsequencemore"))

    def test_finishFile(self) -> None:
        """
        Data that is sent from a file is not kept.
        """
        slot = self.session.slotAt(0)
        slot.cacheThis = 1
        out = [b"head", b"sequence", FileSlice(3, 0, 10, lambda: None)]
        slot.finish(Context(), out)
        self.assertEqual((slot.kept, slot.reply), (False, b"sequence"))

    def test_tooMany(self) -> None:
        """
        One client cannot make any number of sessions.
        """
        self.make()
        self.make()
        self.assertRaises(NoSpace, self.make)

    def test_destroy(self) -> None:
        """
        A session that is gone is not found, and its connections forget it.
        """
        self.table.bind(self.session, self.connection, True, True)
        self.table.destroy(self.session)
        self.assertRaises(BadSession, self.table.find, self.session.id)
        self.assertEqual((self.client.sessions, self.client.backDown), ({}, True))
        self.connection.connectionLost()

    def test_connectionOfSeveral(self) -> None:
        """
        One connection may serve several sessions; when it closes, all lose it.
        """
        other = self.make()
        for session in (self.session, other):
            self.table.bind(session, self.connection, True, True)
            self.table.bind(session, self.connection, True, True)
        self.assertEqual(other.back, [self.connection])
        self.assertFalse(self.client.backDown)
        self.connection.connectionLost()
        self.assertEqual((other.fore, other.back, self.session.back), (set(), [], []))
        self.assertTrue(self.client.backDown)

    def test_bindClosed(self) -> None:
        """
        A connection that has closed meanwhile is not kept.
        """
        self.connection.connectionLost()
        self.table.bind(self.session, self.connection, True, True)
        self.assertEqual((self.session.fore, self.session.back), (set(), []))

    def test_dropClient(self) -> None:
        """
        A client goes with all its sessions.
        """
        self.make()
        self.table.dropClient(self.client)
        self.assertEqual(len(self.table), 0)

    def test_statusFlags(self) -> None:
        """
        A client learns what it has lost, and that callbacks do not reach it once
        there is something to recall.
        """
        self.assertEqual(self.session.statusFlags(), 0)
        self.client.layouts["f"] = object()
        self.assertEqual(self.session.statusFlags(), SEQ4_STATUS_CB_PATH_DOWN)
        self.session.backFault = True
        self.assertEqual(
            self.session.statusFlags(),
            SEQ4_STATUS_BACKCHANNEL_FAULT | SEQ4_STATUS_CB_PATH_DOWN,
        )
        self.table.bind(self.session, self.connection, True, True)
        self.assertEqual(self.session.statusFlags(), 0)
        self.client.revoked = 1
        self.assertEqual(
            self.session.statusFlags(), SEQ4_STATUS_RECALLABLE_STATE_REVOKED
        )

    def test_digest(self) -> None:
        """
        A request is told from another by its bytes at both ends, its length and
        who sends it.
        """
        short = bytes(100)
        long = bytes(5000)
        digests = {
            digestOf(short, 0, 0, 1),
            digestOf(short, 0, 1, 1),
            digestOf(short, 0, 0, 0),
            digestOf(short[:-4], 0, 0, 1),
            digestOf(long, 0, 0, 1),
            digestOf(long[:-4], 0, 0, 1),
            digestOf(long[:-1] + b"x", 0, 0, 1),
            digestOf(b"x" + long[1:], 0, 0, 1),
        }
        self.assertEqual(len(digests), 8)
        self.assertEqual(
            digestOf(b"header" + long, 6, 0, 1),
            digestOf(memoryview(long), 0, 0, 1),
        )
