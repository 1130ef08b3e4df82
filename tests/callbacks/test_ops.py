"""
Tests for L{pnfs.callbacks.ops}.
"""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from pnfs.callbacks import ops
from pnfs.xdr.errors import XDRError

SESSION = bytes(range(16))
STATEID = bytes(range(16, 32))


class EncodeTests(SynchronousTestCase):
    """
    What goes to clients, against the RFC's XDR written out by hand.
    """

    def test_compound(self) -> None:
        """
        CB_COMPOUND: empty tag, minor version, callback_ident 0, operations.
        """
        self.assertEqual(
            ops.encodeCompound(1, b"aaaa", b"bbbb"),
            bytes.fromhex("00000000 00000001 00000000 00000002") + b"aaaabbbb",
        )

    def test_sequence(self) -> None:
        """
        CB_SEQUENCE never asks to cache the reply.
        """
        self.assertEqual(
            ops.cbSequence(SESSION, 5, 1, 2),
            struct.pack(">I16sIIIII", 11, SESSION, 5, 1, 2, 0, 0),
        )
        referring = ops.referring_call_list4(SESSION, [ops.referring_call4(8, 9)])
        self.assertEqual(
            ops.cbSequence(SESSION, 5, 1, 2, [referring])[-32:],
            struct.pack(">I16sIII", 1, SESSION, 1, 8, 9),
        )

    def test_layoutRecallFile(self) -> None:
        """
        CB_LAYOUTRECALL of a file: type, iomode, changed, kind, then the file.
        """
        self.assertEqual(
            ops.cbLayoutRecallFile(4, 3, True, b"handle", 0, 2**64 - 1, STATEID),
            struct.pack(">IIIII", 5, 4, 3, 1, 1)
            + struct.pack(">I", 6)
            + b"handle\0\0"
            + struct.pack(">QQ16s", 0, 2**64 - 1, STATEID),
        )

    def test_layoutRecallOthers(self) -> None:
        """
        CB_LAYOUTRECALL of a file system and of everything.
        """
        self.assertEqual(
            ops.cbLayoutRecallFSID(1, 3, False, (7, 8)),
            struct.pack(">IIIIIQQ", 5, 1, 3, 0, 2, 7, 8),
        )
        self.assertEqual(
            ops.cbLayoutRecallAll(1, 3, False), struct.pack(">IIIII", 5, 1, 3, 0, 3)
        )

    def test_recallAny(self) -> None:
        """
        CB_RECALL_ANY: how many to keep, which kinds.
        """
        self.assertEqual(ops.cbRecallAny(10, 1 << 3), struct.pack(">IIII", 8, 10, 1, 8))

    def test_notifyDeviceid(self) -> None:
        """
        CB_NOTIFY_DEVICEID has what Linux insists on: a bitmap of one word, 4 with
        20 bytes or 2 with 24.
        """
        self.assertEqual(
            ops.cbNotifyDeviceid([(1, SESSION)], [(4, STATEID, True)]),
            struct.pack(">II", 14, 2)
            + struct.pack(">IIII16s", 1, 4, 20, 1, SESSION)
            + struct.pack(">IIII16sI", 1, 2, 24, 4, STATEID, 1),
        )


class DecodeTests(SynchronousTestCase):
    """
    What clients answer.
    """

    wire = (
        struct.pack(">II4sI", 10060, 3, b"tag\0", 2)
        + struct.pack(">II16sIIII", 11, 0, SESSION, 5, 0, 0, 0)
        + struct.pack(">II", 5, 10060)
    )

    def test_result(self) -> None:
        """
        Both statuses are found, and where the body goes on.
        """
        result = ops.decodeResult(b"xx" + self.wire, 2, SESSION, 5, 0)
        self.assertEqual(
            (result.sequenceStatus, result.number, result.status, result.pos),
            (0, 5, 10060, len(self.wire) + 2),
        )

    def test_truncated(self) -> None:
        """
        An answer cut off anywhere is malformed.
        """
        for end in range(len(self.wire)):
            self.assertRaises(
                XDRError, ops.decodeResult, self.wire[:end], 0, SESSION, 5, 0
            )

    def test_other(self) -> None:
        """
        An answer to another CB_SEQUENCE is not taken for this one's.
        """
        for asked in ((STATEID, 5, 0), (SESSION, 6, 0), (SESSION, 5, 1)):
            self.assertRaises(XDRError, ops.decodeResult, self.wire, 0, *asked)

    def test_failed(self) -> None:
        """
        A CB_SEQUENCE that fails has its status, also if no results come at all.
        """
        failed = struct.pack(">IIIII", 10052, 0, 1, 11, 10052)
        self.assertEqual(
            ops.decodeResult(failed, 0, SESSION, 5, 0).sequenceStatus, 10052
        )
        empty = struct.pack(">III", 10021, 0, 0)
        self.assertEqual(
            ops.decodeResult(empty, 0, SESSION, 5, 0).sequenceStatus, 10021
        )
