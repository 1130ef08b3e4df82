"""
Tests for L{pnfs.callbacks.delegation_ops}.
"""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from pnfs.callbacks import delegation_ops as ops
from pnfs.values import HeldAttributes
from pnfs.xdr.errors import XDRError

STATEID = bytes(range(16, 32))


class EncodeTests(SynchronousTestCase):
    """
    What goes to clients, against the RFC's XDR written out by hand.
    """

    def test_recall(self) -> None:
        """
        CB_RECALL names stateid and filehandle.
        """
        self.assertEqual(
            ops.cbRecall(STATEID, False, b"fhfh"),
            struct.pack(">I16sII4s", 4, STATEID, 0, 4, b"fhfh"),
        )

    def test_getattr(self) -> None:
        """
        CB_GETATTR asks for change and size, and for delegated times if there are any.
        """
        self.assertEqual(
            ops.cbGetattr(b"fhfh", False),
            struct.pack(">II4sII", 3, 4, b"fhfh", 1, 0x18),
        )
        self.assertEqual(
            ops.cbGetattr(b"fhfh", True),
            struct.pack(">II4sIIII", 3, 4, b"fhfh", 3, 0x18, 0, 3 << 20),
        )

    def test_pushDeleg(self) -> None:
        """
        CB_PUSH_DELEG: filehandle and delegation.
        """
        self.assertEqual(
            ops.cbPushDeleg(b"fhfhf", b"delegate"),
            struct.pack(">II5s3x8s", 7, 5, b"fhfhf", b"delegate"),
        )

    def test_recallableObjAvail(self) -> None:
        """
        CB_RECALLABLE_OBJ_AVAIL has the arguments of CB_RECALL_ANY.
        """
        self.assertEqual(
            ops.cbRecallableObjAvail(0, 3), struct.pack(">IIII", 9, 0, 1, 3)
        )


class GetattrTests(SynchronousTestCase):
    """
    What comes back from CB_GETATTR.
    """

    def test_decoded(self) -> None:
        """
        Change, size and times in nanoseconds; a failure tells nothing.
        """
        values = struct.pack(">QQqIqI", 5, 6, 7, 8, 9, 10)
        wire = struct.pack(">IIIII", 3, 0x18, 0, 3 << 20, len(values)) + values
        self.assertEqual(
            ops.decodeGetattr(0, wire, 0),
            HeldAttributes(5, 6, 7 * 10**9 + 8, 9 * 10**9 + 10),
        )
        self.assertIsNone(ops.decodeGetattr(10001, b"", 0))
        for end in range(len(wire)):
            self.assertRaises(XDRError, ops.decodeGetattr, 0, wire[:end], 0)

    def test_partly(self) -> None:
        """
        What is not told is not known.
        """
        wire = struct.pack(">IIIQ", 1, 0x8, 8, 5)
        self.assertEqual(ops.decodeGetattr(0, wire, 0), HeldAttributes(change=5))

    def test_more(self) -> None:
        """
        What was not asked for is not to be read.
        """
        wire = struct.pack(">IIII", 1, 0x2, 4, 1)
        self.assertRaises(XDRError, ops.decodeGetattr, 0, wire, 0)
