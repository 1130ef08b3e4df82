"""
Tests for L{pnfs.nfs4.ops.delegreturn} and L{pnfs.nfs4.ops.delegpurge}.
"""

from __future__ import annotations

import struct

from pnfs.backends.errors import Unreachable
from pnfs.nfs4.current import mustAsk
from pnfs.nfs4.requests import opaque
from pnfs.nfs4.status import nfsstat4
from pnfs.state.files import RECLAIMED
from pnfs.state.layouts import WHOLE_RW
from tests.nfs4.ops.delegations import (
    LEASE,
    XOR,
    DelegationCase,
    delegreturn,
    readArgs,
)
from tests.nfs4.ops.files import READ, closeArgs


class ReturnTests(DelegationCase):
    """
    DELEGRETURN and DELEGPURGE (RFC 8881, sections 18.5 and 18.6).
    """

    def test_returned(self) -> None:
        """
        Nothing is left of a file whose last state was the delegation.
        """
        held = self.one.open(self.file, READ, XOR).delegation.stateid
        self.assertEqual(self.one.give(self.file, held), "NFS4_OK")
        self.assertIsNone(self.file.state)
        self.assertEqual(self.table.count, 0)
        self.assertEqual(self.one.client.delegations, {})

    def test_twice(self) -> None:
        """
        It can be returned once.
        """
        held = self.readDelegation()
        self.one.give(self.file, held)
        self.assertEqual(self.one.give(self.file, held), "NFS4ERR_BAD_STATEID")

    def test_byAnother(self) -> None:
        """
        By its owner alone (chimera #1414: DELEGRETURN only by the owner).
        """
        held = self.readDelegation()
        self.assertEqual(self.two.give(self.file, held), "NFS4ERR_BAD_STATEID")
        self.assertEqual(self.table.count, 1)

    def test_notADelegation(self) -> None:
        """
        An open's stateid is no delegation.
        """
        self.readDelegation()
        self.assertEqual(self.one.give(self.file, self.opened), "NFS4ERR_BAD_STATEID")

    def test_otherFile(self) -> None:
        """
        Nor is it another file's.
        """
        held = self.readDelegation()
        other = self.fixture.make(b"other", 0o666)
        self.assertEqual(self.one.give(other, held), "NFS4ERR_BAD_STATEID")

    def test_wrongSeqid(self) -> None:
        """
        The seqid is that of the grant; zero stands for it, too (chimera #302).
        """
        held = self.readDelegation()
        later = b"\0\0\0\2" + held[4:]
        self.assertEqual(self.one.give(self.file, later), "NFS4ERR_BAD_STATEID")
        self.assertEqual(self.one.give(self.file, bytes(4) + held[4:]), "NFS4_OK")

    def test_opensStay(self) -> None:
        """
        What is open stays open.
        """
        held = self.readDelegation()
        self.one.give(self.file, held)
        self.assertEqual(self.one.status_(self.file, readArgs(self.opened)), "NFS4_OK")
        self.one.at(self.file, closeArgs(self.opened))
        self.assertIsNone(self.file.state)

    def test_sizeOfWhatWasWritten(self) -> None:
        """
        What its holder has written through a layout is told to others from then on,
        also if it has closed the file before (close order).
        """
        held = self.writeDelegation()
        self.fixture.server.layouts.grant(
            self.file.state, self.one.client, 1, (b"u" * 16,), WHOLE_RW
        )
        self.one.at(self.file, closeArgs(self.opened))
        self.data.calls.clear()
        self.assertEqual(self.one.give(self.file, held), "NFS4_OK")
        self.assertEqual(self.data.calls, [("refresh",)])

    def test_dataServerAway(self) -> None:
        """
        A delegation that has been reclaimed can be returned while a data server is
        down, which is asked later: nobody knows of a layout that went with it.
        """
        held = self.writeDelegation()
        self.file.hasPlacement = self.file.asked = True
        self.file.state.reclaimed = RECLAIMED
        self.data.failure = Unreachable()
        self.assertEqual(self.one.give(self.file, held), "NFS4_OK")
        self.assertTrue(mustAsk(self.fixture.server, self.file))

    def test_destroyClientid(self) -> None:
        """
        A client that holds one cannot be destroyed.
        """
        self.assertFalse(self.one.client.hasState)
        held = self.one.open(self.file, READ, XOR).delegation.stateid
        self.assertTrue(self.one.client.hasState)
        self.one.give(self.file, held)
        self.assertFalse(self.one.client.hasState)

    def test_clientGone(self) -> None:
        """
        A client that vanishes leaves nothing behind.
        """
        self.one.open(self.file, READ, XOR)
        other = self.fixture.make(b"other", 0o666)
        self.one.open(other, READ, XOR)
        self.table.revoke(self.fixture.heldOf(other)[0])
        self.clock.advance(LEASE + 1)
        self.fixture.server.clients.expire(self.clock.seconds())
        self.assertIsNone(self.file.state)
        self.assertEqual(self.table.count, 0)
        self.assertEqual(len(self.fixture.server.stateids), 0)

    def test_purge(self) -> None:
        """
        There is nothing to purge, as CLAIM_DELEGATE_PREV is not supported.
        """
        reply = self.one.run(struct.pack(">IQ", 7, 0))
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_NOTSUPP)

    def test_unlinked(self) -> None:
        """
        A file that its holder has removed goes with the delegation.
        """
        opened = self.one.open(self.file, READ)
        remove = struct.pack(">I", 28) + opaque(b"file")
        self.assertEqual(self.one.status_(self.fixture.root, remove), "NFS4_OK")
        self.one.at(self.file, closeArgs(opened.stateid))
        reply = self.one.at(self.file, delegreturn(opened.delegation.stateid))
        self.assertEqual(reply.status, 0)
        self.assertEqual(self.one.status_(self.file), "NFS4ERR_STALE")
