"""
Tests for L{pnfs.callbacks.recall_delegations}.
"""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pnfs.callbacks.ops import OP_CB_RECALL, OP_CB_RECALL_ANY
from pnfs.callbacks.pacing import PER_TURN
from pnfs.interfaces import IDelegationRecaller
from pnfs.nfs4.status import nfsstat4
from pnfs.state.layouts import WHOLE_RW
from pnfs.state.sessions import (
    SEQ4_STATUS_CB_PATH_DOWN,
    SEQ4_STATUS_RECALLABLE_STATE_REVOKED,
)
from tests.nfs4.ops.delegations import (
    LEASE,
    NO_DELEG,
    XOR,
    DelegationCase,
    DelegationFixture,
    freeStateid,
    readArgs,
    testStateid as testStateidArgs,
)
from tests.nfs4.ops.files import BOTH, READ, WRITE, closeArgs

DELAY = nfsstat4.NFS4ERR_DELAY


class RecallTests(DelegationCase):
    """
    C{one} holds a read delegation that C{two} wants back, to write.
    """

    def setUp(self) -> None:
        super().setUp()
        self.held = self.readDelegation()
        self.counts = self.fixture.recalls.counts

    def want(self) -> nfsstat4:
        """
        C{two} opens the file to write.
        """
        return self.two.open(self.file, WRITE, NO_DELEG).status

    def passTime(self, seconds: float, step: float = 1.0) -> None:
        """
        Time passes; both clients renew their leases, C{one} answers callbacks.
        """
        while seconds > 0:
            self.clock.advance(min(step, seconds))
            seconds -= step
            self.one.answer()
            self.one.run()
            self.two.run()

    def test_provides(self) -> None:
        """
        It is what operations know.
        """
        verifyObject(IDelegationRecaller, self.fixture.recalls)

    def test_returned(self) -> None:
        """
        A recall ends with DELEGRETURN, however often it was asked for; one CB_RECALL
        is enough.
        """
        for _ in range(3):
            self.assertEqual(self.want(), DELAY)
            self.passTime(0.3)
        self.assertEqual(len(self.one.callbacks), 1)
        self.assertEqual(self.one.give(self.file, self.held), "NFS4_OK")
        self.assertEqual(self.want(), 0)
        self.assertEqual(self.counts, {"returned": 1, "forgotten": 0, "revoked": 0})

    def test_delay(self) -> None:
        """
        A holder that is busy is asked again, less and less often.
        """
        self.one.status[OP_CB_RECALL] = DELAY
        self.want()
        self.one.answer()
        for seconds in (0.1, 0.2, 0.4, 0.8, 1.0, 1.0):
            self.clock.advance(seconds - 0.01)
            self.assertEqual(self.one.answer(), [])
            self.clock.advance(0.01)
            self.assertEqual(self.one.answer(), [OP_CB_RECALL])

    def test_unknownAtFirst(self) -> None:
        """
        A holder that does not know the delegation yet, since our reply is on its way,
        is asked again and keeps it.
        """
        self.one.status[OP_CB_RECALL] = nfsstat4.NFS4ERR_BAD_STATEID
        self.want()
        self.one.answer()
        del self.one.status[OP_CB_RECALL]
        self.passTime(1, 0.1)
        self.assertEqual(len(self.one.callbacks), 2)
        self.assertEqual(self.table.count, 1)

    def test_forgotten(self) -> None:
        """
        One that keeps saying so does not hold it: the other need not wait for the
        deadline.
        """
        self.one.status[OP_CB_RECALL] = nfsstat4.NFS4ERR_BADHANDLE
        self.want()
        self.passTime(3, 0.1)
        self.assertEqual(self.want(), 0)
        self.assertEqual(self.counts["forgotten"], 1)
        self.assertEqual(self.one.run().status, 0)
        self.assertEqual(self.one.flags, 0)

    def test_revoked(self) -> None:
        """
        A holder that answers but does not return the delegation loses it at the
        deadline. It is told by the status flags of SEQUENCE, its stateid gets
        DELEG_REVOKED, until it has freed it (RFC 8881, section 10.2.1).
        """
        self.want()
        self.passTime(2 * LEASE - 0.5)
        self.assertEqual(self.want(), DELAY)
        self.passTime(1)
        self.assertEqual(self.want(), 0)
        self.assertEqual(
            self.one.status_(self.file, readArgs(self.held)), "NFS4ERR_DELEG_REVOKED"
        )
        self.assertEqual(self.one.flags, SEQ4_STATUS_RECALLABLE_STATE_REVOKED)
        self.assertEqual(self.one.give(self.file, self.held), "NFS4ERR_DELEG_REVOKED")
        tested = self.one.at(self.file, testStateidArgs(self.held))
        self.assertEqual(tested.take(55), (0, None))
        self.assertEqual(
            struct.unpack_from(">II", tested.rest),
            (1, nfsstat4.NFS4ERR_DELEG_REVOKED),
        )
        self.assertEqual(self.one.status_(self.file, freeStateid(self.held)), "NFS4_OK")
        self.one.run()
        self.assertEqual(self.one.flags, 0)
        self.assertEqual(self.counts["revoked"], 1)

    def test_revokedAlone(self) -> None:
        """
        The holder hears that as well if nobody has anything else of the file any more,
        or somebody has by now: what it held is on neither.
        """
        self.one.at(self.file, closeArgs(self.opened))
        self.want()
        self.passTime(2 * LEASE + 0.5)
        opened = self.two.open(self.file, WRITE, NO_DELEG)
        self.two.at(self.file, closeArgs(opened.stateid))
        self.assertIsNone(self.file.state)
        revoked = "NFS4ERR_DELEG_REVOKED"
        for _ in range(2):
            self.assertEqual(self.one.status_(self.file, readArgs(self.held)), revoked)
            self.assertEqual(self.one.give(self.file, self.held), revoked)
            self.two.open(self.file, WRITE, NO_DELEG)
        self.assertEqual(self.one.status_(self.file, freeStateid(self.held)), "NFS4_OK")

    def test_openRemains(self) -> None:
        """
        What the holder had opened besides is not touched by the revocation.
        """
        self.want()
        self.passTime(2 * LEASE + 1)
        self.assertEqual(self.one.status_(self.file, readArgs(self.opened)), "NFS4_OK")

    def test_unreachable(self) -> None:
        """
        While there is no way to the holder the recall waits; on a new connection, or
        in a new session, it goes out (DSESS9003).
        """
        self.one.connection.connectionLost()
        self.assertEqual(self.want(), DELAY)
        again = self.fixture.holder(b"one", first=False)
        self.assertEqual(again.client, self.one.client)
        self.assertEqual(len(again.callbacks), 1)
        self.assertEqual(again.give(self.file, self.held), "NFS4_OK")
        again.connection.connectionLost()

    def test_pathDown(self) -> None:
        """
        A holder whom callbacks do not reach is told so.
        """
        self.one.connection.connectionLost()
        self.one.connection = self.fixture.connect()
        self.one.run()
        self.assertEqual(self.one.flags, SEQ4_STATUS_CB_PATH_DOWN)

    def test_clientGone(self) -> None:
        """
        A holder whose lease has run out does not keep others waiting.
        """
        self.want()
        self.clock.advance(LEASE + 1)
        self.two.run()
        self.fixture.server.clients.expire(self.clock.seconds())
        self.assertEqual(self.table.count, 0)
        self.assertEqual(self.want(), 0)

    def test_courtesy(self) -> None:
        """
        One that is kept by courtesy only gives way at once to whoever wants the file.
        """
        self.fixture.server.clients.courtesySeconds = 1000.0
        self.clock.advance(2 * LEASE)
        self.two.run()
        self.fixture.server.clients.expire(self.clock.seconds())
        self.assertEqual(self.table.count, 1)
        self.assertEqual(self.want(), 0)
        self.assertEqual(self.table.count, 0)

    def test_stop(self) -> None:
        """
        When the server stops no timer is left.
        """
        self.one.status[OP_CB_RECALL] = DELAY
        self.want()
        self.one.answer()
        self.one.connection.connectionLost()
        self.two.connection.connectionLost()
        self.fixture.recalls.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class RevokedWriterTests(DelegationCase):
    """
    A write delegation that is revoked.
    """

    def hold(self, want: int) -> bytes:
        """
        C{one} holds a write delegation and a layout; C{two} opens the file, until the
        delegation is revoked.
        """
        opened = self.one.open(self.file, BOTH, want)
        self.fixture.server.layouts.grant(
            self.file.state, self.one.client, 1, (b"u" * 16,), WHOLE_RW
        )
        self.two.open(self.file, READ)
        for _ in range(int(2 * LEASE) + 1):
            self.clock.advance(1)
            self.one.answer()
            self.one.run()
            self.two.run()
        self.assertEqual(self.table.count, 0)
        return opened.delegation.stateid

    def test_layoutsToo(self) -> None:
        """
        If there is nothing else to write under, the layout is recalled as well, and
        fenced off in the end: its holder must not write behind the other's back.
        """
        self.hold(XOR)
        reasons = [reason for _, reason, _ in self.fixture.recaller.calls]
        self.assertEqual(reasons, ["delegation revoked"])

    def test_layoutOfAnOpen(self) -> None:
        """
        Who has the file open goes on writing under that.
        """
        self.hold(0)
        self.assertEqual(self.fixture.recaller.calls, [])


class PressureTests(DelegationCase):
    """
    CB_RECALL_ANY when there are nearly too many (chimera #404).
    """

    maximum = 10

    def test_whoHoldsMost(self) -> None:
        """
        Who holds most is asked to give back half of it; whoever holds few is not.
        """
        self.readDelegation(self.two)
        for number in range(8):
            inode = self.fixture.make(b"f%d" % number, 0o666)
            self.one.open(inode, READ)
        self.assertEqual(self.one.answer(), [])
        self.one.open(self.fixture.make(b"more", 0o666), READ)
        self.assertEqual(self.one.answer(), [OP_CB_RECALL_ANY])
        self.assertEqual(
            self.one.callbacks[-1].op, struct.pack(">IIII", OP_CB_RECALL_ANY, 4, 1, 3)
        )
        self.assertEqual(self.two.answer(), [])

    def test_notTooOften(self) -> None:
        """
        Clients are given a few seconds.
        """
        for number in range(12):
            self.one.open(self.fixture.make(b"f%d" % number, 0o666), READ)
        self.assertEqual(self.one.answer(), [OP_CB_RECALL_ANY])
        self.assertEqual(self.table.count, 10)
        self.clock.advance(5)
        self.one.open(self.fixture.make(b"last", 0o666), READ)
        self.assertEqual(self.one.answer(), [OP_CB_RECALL_ANY])


class ManyReadersTests(SynchronousTestCase):
    """
    A file that very many clients have delegated.
    """

    def test_paced(self) -> None:
        """
        Who writes it does not make everybody else wait while thousands of callbacks
        are sent: a few go out per turn of the reactor.
        """
        fixture = DelegationFixture(maximum=1000)
        inode = fixture.make(b"file", 0o666)
        readers = [fixture.holder(b"r%d" % number) for number in range(100)]
        for reader in readers:
            reader.open(inode, READ, XOR)
        writer = fixture.holder(b"writer")
        self.assertEqual(writer.open(inode, WRITE, NO_DELEG).status, DELAY)

        def sent() -> int:
            return sum(len(reader.connection.sent) for reader in readers)

        self.assertEqual(sent(), PER_TURN)
        fixture.clock.advance(0)
        self.assertEqual(sent(), 100)
        for reader in readers:
            (recalled,) = reader.recalled()
            self.assertEqual(reader.give(inode, recalled.stateid), "NFS4_OK")
        self.assertEqual(writer.open(inode, WRITE, NO_DELEG).status, 0)
        fixture.recalls.stop()
        for each in [*readers, writer]:
            each.connection.connectionLost()
