"""
Tests of L{pnfs.nfs4.types}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pnfs.nfs4.types import (
    decodeBitmap,
    encodeBitmap,
    fattr4,
    nfs_opnum4,
    state_owner4,
)
from pnfs.xdr.codec import codecFor
from pnfs.xdr.errors import XDRError


class BitmapTests(SynchronousTestCase):
    """
    C{bitmap4} as a number.
    """

    @given(st.integers(min_value=0, max_value=(1 << 512) - 1))
    def test_roundTrip(self, bits: int) -> None:
        """
        Any set of attributes comes back.
        """
        wire = encodeBitmap(bits)
        self.assertEqual(decodeBitmap(b"xx" + wire + b"yy", 2), (bits, len(wire) + 2))

    def test_short(self) -> None:
        """
        No word more than needed is sent; more than needed are taken.
        """
        self.assertEqual(encodeBitmap(0), bytes(4))
        self.assertEqual(len(encodeBitmap(1 << 31)), 8)
        self.assertEqual(len(encodeBitmap(1 << 32)), 12)
        self.assertEqual(decodeBitmap(b"\0\0\0\2" + bytes(8), 0), (0, 12))

    def test_bad(self) -> None:
        """
        Truncated ones, and those that are far too long, are malformed.
        """
        wire = encodeBitmap(1 << 40)
        for length in range(4, len(wire)):
            self.assertRaises(XDRError, decodeBitmap, wire[:length], 0)
        self.assertRaises(XDRError, decodeBitmap, b"\0\0\0\x11" + bytes(68), 0)


class StructTests(SynchronousTestCase):
    """
    Structures that many operations share.
    """

    @given(st.integers(0, (1 << 64) - 1), st.binary(max_size=1024))
    def test_owner(self, clientid: int, owner: bytes) -> None:
        """
        An open or lock owner comes back.
        """
        codec = codecFor(state_owner4)
        value = state_owner4(clientid, owner)
        wire = codec.encode(value)
        self.assertEqual(codec.decode(wire, 0), (value, len(wire)))
        for length in (0, 7, len(wire) - 1):
            self.assertRaises(XDRError, codec.decode, wire[:length], 0)

    def test_attributes(self) -> None:
        """
        Attribute values are opaque until somebody knows the bitmap.
        """
        codec = codecFor(fattr4)
        wire = codec.encode(fattr4(1 << 4, b"12345678"))
        value, end = codec.decode(wire, 0)
        self.assertEqual((value.attrmask, bytes(value.attr_vals)), (16, b"12345678"))
        self.assertEqual(end, len(wire))

    def test_numbers(self) -> None:
        """
        Operations have the numbers of the RFCs.
        """
        self.assertEqual(nfs_opnum4.OP_SEQUENCE, 53)
        self.assertEqual(nfs_opnum4(50).name, "OP_LAYOUTGET")
