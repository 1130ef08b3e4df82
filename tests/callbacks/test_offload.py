"""
Tests of L{pnfs.callbacks.offload}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pnfs.callbacks.channel import CallbackFailed, NoBackChannel
from pnfs.callbacks.offload import ATTEMPTS, PAUSE_SECONDS, OffloadReporter
from pnfs.callbacks.ops import CB_OFFLOAD4args, cbOffload
from pnfs.nfs4.context import ServerContext
from pnfs.nfs4.status import nfsstat4
from pnfs.state.clients import Client
from pnfs.state.copies import CopyTable
from pnfs.state.files import FileState
from pnfs.state.stateids import StateidTable
from pnfs.xdr.codec import codecFor
from tests.nfs4.fixture import entropy


class Channels:
    """
    A back channel that notes what goes out.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[bytes, Any, Deferred[int]]] = []

    def channelOf(self, client: Any) -> Any:
        """
        The one channel.
        """
        return self

    def call(self, op: bytes, timeout: float, referring: Any) -> Deferred[int]:
        """
        Note the call.
        """
        answer: Deferred[int] = Deferred()
        self.calls.append((op, referring, answer))
        return answer


class OffloadTests(SynchronousTestCase):
    """
    A client hears what has come of its copy.
    """

    def setUp(self) -> None:
        """
        A copy that has ended.
        """
        self.clock = Clock()
        self.channels = Channels()
        self.server = ServerContext(self.clock, None, None, channels=self.channels)
        self.copies = self.server.copies = CopyTable(StateidTable(1, entropy()))
        self.client = Client(1, b"owner", b"verifier", (1, 0), 0.0)
        self.copy = self.copies.add(self.client, FileState(b"fh", None, None), None)
        self.copy.status = 0
        self.copy.done = 4096
        self.copy.verifier = b"writever"
        self.reporter = OffloadReporter(self.server)

    def test_success(self) -> None:
        """
        It is told how much has been written, how safely and under which verifier;
        when it has answered the copy is forgotten.
        """
        self.reporter.copyEnded(self.copy)
        ((op, referring, answer),) = self.channels.calls
        self.assertEqual(
            op.hex(),
            "0000000f"  # CB_OFFLOAD
            + "00000002"
            + b"fh\0\0".hex()
            + self.copy.stateid.hex()
            + "00000000"
            + "00000000"  # OK, no further stateid
            + "0000000000001000"
            + "00000000"
            + b"writever".hex(),
        )
        self.assertIs(referring, self.copy)
        self.assertTrue(self.copies.holds(self.copy))
        answer.callback(0)
        self.assertFalse(self.copies.holds(self.copy))

    def test_failure(self) -> None:
        """
        After a failure it is told how many bytes had been copied.
        """
        self.copy.status = nfsstat4.NFS4ERR_NOSPC
        self.reporter.copyEnded(self.copy)
        op = self.channels.calls[0][0]
        value, end = codecFor(CB_OFFLOAD4args).decode(op, 4)
        self.assertEqual(end, len(op))
        self.assertEqual(value.coa_offload_info, (nfsstat4.NFS4ERR_NOSPC, 4096))
        self.assertEqual(op, cbOffload(b"fh", self.copy.stateid, 28, 4096, 0, bytes(8)))

    def test_delay(self) -> None:
        """
        A client that asks for patience is told again, after a while.
        """
        self.reporter.copyEnded(self.copy)
        self.channels.calls[0][2].callback(nfsstat4.NFS4ERR_DELAY)
        self.assertEqual(len(self.channels.calls), 1)
        self.clock.advance(PAUSE_SECONDS)
        self.channels.calls[1][2].callback(0)
        self.assertFalse(self.copies.holds(self.copy))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_notUnderstood(self) -> None:
        """
        One that never understands us is left alone after some attempts; the copy is
        kept, so that it may ask.
        """
        self.reporter.copyEnded(self.copy)
        for number in range(ATTEMPTS):
            self.channels.calls[number][2].errback(CallbackFailed("what?"))
            self.clock.advance(PAUSE_SECONDS)
        self.assertEqual(len(self.channels.calls), ATTEMPTS)
        self.assertTrue(self.copies.holds(self.copy))

    def test_unreachable(self) -> None:
        """
        One that cannot be reached is told when it can be: older Linux kernels wait
        for this and ask for nothing.
        """
        self.reporter.copyEnded(self.copy)
        for number in range(2 * ATTEMPTS):
            self.channels.calls[number][2].errback(NoBackChannel())
        self.channels.calls[-1][2].callback(0)
        self.assertFalse(self.copies.holds(self.copy))

    def test_gone(self) -> None:
        """
        One that is gone, or has cancelled the copy, is told nothing.
        """
        self.reporter.copyEnded(self.copy)
        self.copies.dropClient(self.client)
        self.channels.calls[0][2].errback(NoBackChannel())
        self.assertEqual(len(self.channels.calls), 1)
        self.reporter.copyEnded(self.copy)
        self.assertEqual(len(self.channels.calls), 1)
