"""
RPC headers.
"""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from pnfs.rpc import message
from pnfs.rpc.errors import BadReply, RecordError, RPCRefused
from tests.rpc import wire


class CallTests(SynchronousTestCase):
    """
    Headers of calls.
    """

    def test_roundTrip(self) -> None:
        """
        What is sent is what RFC 5531 says, and is understood.
        """
        record = message.callHeader(7, 100003, 4, 1, wire.authSys(), 3) + b"abc"
        expected = wire.call(1, b"abc", 7, wire.authSys(), 100003, 4)
        self.assertEqual(record, wire.mark(expected))
        header = message.parseCallHeader(expected)
        self.assertEqual((header.program, header.version), (100003, 4))
        self.assertEqual((header.procedure, header.flavor), (1, 1))
        self.assertEqual(expected[header.end :], b"abc")

    def test_truncated(self) -> None:
        """
        A header cut off anywhere is refused.
        """
        record = wire.call(1, b"", 7, wire.authSys())
        for end in range(len(record)):
            with self.assertRaises(RecordError):
                message.parseCallHeader(record[:end])

    def test_lengths(self) -> None:
        """
        Credential and verifier are at most 400 bytes long.
        """
        for length, good in ((400, True), (401, False), (0xFFFFFFFF, False)):
            body = bytes(min(length, 401))
            credential = struct.pack(">II", 1, length) + body + bytes(-len(body) % 4)
            record = wire.call(1, b"", 7, credential + bytes(8))
            if good:
                self.assertEqual(message.parseCallHeader(record).end, len(record))
            else:
                self.assertRaises(RecordError, message.parseCallHeader, record)


class ReplyTests(SynchronousTestCase):
    """
    Headers of replies.
    """

    def test_success(self) -> None:
        """
        The results follow the header, also after a verifier that is not empty.
        """
        record = wire.success(b"data")
        self.assertEqual(record[message.parseReply(record) :], b"data")
        verified = struct.pack(">5I", 1, 1, 0, 1, 5) + b"12345\0\0\0" + bytes(4) + b"x"
        self.assertEqual(verified[message.parseReply(verified) :], b"x")

    def test_made(self) -> None:
        """
        Each kind of reply is what RFC 5531 says, and is understood as such.
        """
        made = {
            message.acceptError(1, 3): (wire.accepted(3), False, 3, 0, None),
            message.acceptError(1, 5): (wire.accepted(5), False, 5, 0, None),
            message.programMismatch(1, 2, 4): (
                wire.accepted(2, 1, struct.pack(">II", 2, 4)),
                False,
                2,
                0,
                (2, 4),
            ),
            message.rpcMismatch(1): (wire.denied(0, 2, 2), True, 0, 0, (2, 2)),
            message.authError(1, 5): (wire.denied(1, 5), True, 1, 5, None),
        }
        for record, (plain, denied, stat, detail, versions) in made.items():
            self.assertEqual(record, wire.mark(plain))
            error = self.assertRaises(RPCRefused, message.parseReply, plain)
            self.assertEqual(
                (error.denied, error.stat, error.detail, error.versions),
                (denied, stat, detail, versions),
            )
        self.assertEqual(
            message.replyHeader(1, 4) + b"data", wire.mark(wire.success(b"data"))
        )

    def test_truncated(self) -> None:
        """
        A reply that does not decode is a failed call (defects, #547).
        """
        for record in (wire.success(), wire.denied(1, 5), wire.denied(0, 2, 2)):
            for end in range(8, len(record)):
                self.assertRaises(BadReply, message.parseReply, record[:end])
        for record in (wire.accepted(6), wire.denied(2, 1), wire.accepted(2)):
            self.assertRaises(BadReply, message.parseReply, record)
