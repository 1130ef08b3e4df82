"""
Tests for L{pnfs.callbacks.notify}.
"""

from __future__ import annotations

import struct
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pnfs.callbacks.channel import BackChannels
from pnfs.callbacks.notify import LockNotifier
from pnfs.nfs4.requests import opaque
from pnfs.nfs4.status import nfsstat4
from pnfs.state.waiting import TURN_SECONDS, WaitingTable
from tests.callbacks.test_channel import Callback
from tests.nfs4.ops.files import (
    BOTH,
    CLAIM_FH,
    FileFixture,
    Opened,
    lockNew,
    openArgs,
)

WRITE_LT, WRITEW_LT = 2, 4
ALL = 0xFFFFFFFFFFFFFFFF


class NotifyTests(SynchronousTestCase):
    """
    A client whose lock request was denied is called when it may have the lock.
    """

    def setUp(self) -> None:
        self.fixture = fixture = FileFixture()
        server = fixture.server
        server.channels = BackChannels(fixture.clock, server.sessions)
        server.waiting = WaitingTable(fixture.clock, 90.0)
        server.waiting.onTurn = LockNotifier(server).turn
        self.inode = fixture.make(b"file", 0o666)
        fixture.mount(b"holder")
        self.stateid = self.open().stateid
        self.assertEqual(self.lock(self.stateid, WRITE_LT, b"h"), 0)
        fixture.mount(b"waiter", back=True)
        self.opened = self.open()
        self.connection = fixture.connection

    def tearDown(self) -> None:
        self.fixture.server.waiting.stop()
        self.connection.connectionLost()
        self.fixture.clock.advance(11)
        self.assertEqual(self.fixture.clock.getDelayedCalls(), [])

    def open(self) -> Opened:
        """
        Open the file to lock it.
        """
        arguments = openArgs(access=BOTH, owner=b"o", claim=CLAIM_FH)
        return Opened(self.fixture.at(self.inode, arguments))

    def lock(self, stateid: bytes, locktype: int, owner: bytes) -> int:
        """
        Lock the whole file.
        """
        reply = self.fixture.at(self.inode, lockNew(stateid, locktype, 0, ALL, owner))
        return reply.take(12)[0]

    def release(self) -> None:
        """
        The holder is gone.
        """
        server = self.fixture.server
        (holder,) = [each for each in server.clients if each.owner == b"holder"]
        server.clients.revoke(holder)
        self.fixture.clock.advance(0)

    def reply(self, callback: Callback, status: int) -> None:
        """
        Answer CB_NOTIFY_LOCK.
        """
        found = callback.sequence
        wire = struct.pack(">6I", callback.xid, 1, 0, 0, 0, 0)
        wire += struct.pack(">III", status, 0, 2)
        wire += struct.pack(">II16sIIII", 11, 0, found.csa_sessionid, 1, 0, 0, 0)
        wire += struct.pack(">II", 13, status)
        self.connection.recordReceived(wire, 0)

    def test_openSaysSo(self) -> None:
        """
        A client that callbacks reach learns that it will be called, so that it
        need not ask so often; another is not promised that.
        """
        self.assertEqual(self.opened.flags, 0x24)
        self.fixture.mount(b"not reachable")
        self.assertEqual(self.open().flags, 4)

    def test_notified(self) -> None:
        """
        The callback names the file by the very handle, and the lock owner by the
        very bytes, that the client has used.
        """
        denied = nfsstat4.NFS4ERR_DENIED
        self.assertEqual(self.lock(self.opened.stateid, WRITEW_LT, b"owner"), denied)
        self.connection.sent.clear()
        self.release()
        (record,) = self.connection.sent
        callback = Callback(record)
        self.assertEqual(
            callback.op,
            struct.pack(">I", 13)
            + opaque(self.fixture.fh(self.inode))
            + struct.pack(">Q", self.fixture.clientid)
            + opaque(b"owner"),
        )
        self.reply(callback, 0)
        self.assertEqual(self.lock(self.opened.stateid, WRITEW_LT, b"owner"), 0)

    def taken(self, who: bytes) -> Any:
        """
        Another client tries to get the lock.
        """
        self.fixture.mount(who)
        return self.lock(self.open().stateid, WRITE_LT, who)

    def test_noUse(self) -> None:
        """
        If the client has no use for the lock any more, others get it at once.
        """
        self.lock(self.opened.stateid, WRITEW_LT, b"owner")
        self.connection.sent.clear()
        self.release()
        self.reply(Callback(self.connection.sent[0]), nfsstat4.NFS4ERR_BADHANDLE)
        self.assertEqual(self.taken(b"third"), 0)

    def test_noAnswer(self) -> None:
        """
        A client that does not answer holds others up for a moment only.
        """
        self.lock(self.opened.stateid, WRITEW_LT, b"owner")
        self.release()
        self.assertEqual(self.taken(b"third"), nfsstat4.NFS4ERR_DENIED)
        self.fixture.clock.advance(TURN_SECONDS)
        self.assertEqual(self.taken(b"fourth"), 0)

    def test_garbled(self) -> None:
        """
        An answer that does not decode is as good as none (chimera #547).
        """
        self.lock(self.opened.stateid, WRITEW_LT, b"owner")
        self.connection.sent.clear()
        self.release()
        callback = Callback(self.connection.sent[0])
        wire = struct.pack(">6I", callback.xid, 1, 0, 0, 0, 0) + b"\xff" * 8
        self.connection.recordReceived(wire, 0)
        self.assertEqual(self.lock(self.opened.stateid, WRITEW_LT, b"owner"), 0)

    def test_unreachable(self) -> None:
        """
        A client that cannot be called has its turn all the same, and finds out
        when it asks again.
        """
        self.lock(self.opened.stateid, WRITEW_LT, b"owner")
        self.connection.connectionLost()
        self.fixture.connection = self.fixture.connect()
        self.release()
        self.assertEqual(self.lock(self.opened.stateid, WRITEW_LT, b"owner"), 0)
