"""
Tests of L{pnfs.nfs4.dsops.attributes}.
"""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from pnfs.nfs4 import requests
from pnfs.nfs4.dsops.attributes import (
    SUPPORTED,
    decodeAttributes,
    encodeAttributes,
    wantsSpace,
)
from pnfs.nfs4.results import Results
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import fattr4
from pnfs.values import NOW, FSStatistics, ObjectAttributes, SetAttributes
from pnfs.xdr.errors import XDRError

OBJECT = ObjectAttributes(5, 4096, -1, 10**18 + 7, 3, 99, 1000, 100, 0o640, 2)
SPACE = FSStatistics(300, 200, 100, 0, 0, 0)


class EncodeTests(SynchronousTestCase):
    """
    What GETATTR answers.
    """

    def encoded(self, wanted: int, attributes: object = OBJECT) -> dict[int, object]:
        """
        Encode and decode.
        """
        wire = encodeAttributes(wanted, attributes, SPACE, 90.0, 1 << 20)  # type: ignore[arg-type]
        found: dict[int, object] = Results(bytes(12) + wire, 0).attributes()
        return found

    def test_all(self) -> None:
        """
        Each attribute that can be read comes back with its value.
        """
        readable = SUPPORTED & ~(1 << 48 | 1 << 54)
        found = self.encoded(readable)
        self.assertEqual(set(found), {n for n in range(96) if readable >> n & 1})
        self.assertEqual(
            [found[n] for n in (0, 1, 3, 4, 10, 30, 33, 36, 37, 45)],
            [SUPPORTED, 1, 99, 5, 90, 1 << 20, 0o640, b"1000", b"100", 4096],
        )
        self.assertEqual((found[47], found[53]), (-1, 10**18 + 7))
        self.assertEqual((found[44], found[43], found[42]), (300, 200, 100))

    def test_unknown(self) -> None:
        """
        What is not supported is left out; the data server itself is a directory.
        """
        self.assertEqual(self.encoded(1 << 4 | 1 << 20 | 1 << 200), {4: 5})
        self.assertEqual(self.encoded(1 << 1 | 1 << 4, None), {1: 2})

    def test_writeOnly(self) -> None:
        """
        Attributes that can only be set cannot be asked for.
        """
        for bit in (48, 54):
            error = self.assertRaises(NFSError, self.encoded, 1 << bit)
            self.assertEqual(error.status, nfsstat4.NFS4ERR_INVAL)

    def test_wantsSpace(self) -> None:
        """
        The storage is only asked if somebody wants to know.
        """
        self.assertTrue(wantsSpace(1 << 42))
        self.assertFalse(wantsSpace(1 << 4 | 1 << 45))


class DecodeTests(SynchronousTestCase):
    """
    What SETATTR and OPEN ask for.
    """

    def test_all(self) -> None:
        """
        Everything that can be set.
        """
        values = [
            requests.sizeAttribute(7),
            requests.modeAttribute(0o107777),
            *requests.ownerAttributes(1, 4294967295),
            requests.accessTimeAttribute(None),
            requests.modifyTimeAttribute(-1),
        ]
        mask = sum(1 << n for n, _ in values)
        self.assertEqual(
            decodeAttributes(fattr4(mask, b"".join(v for _, v in values))),
            SetAttributes(0o7777, 1, 4294967295, 7, NOW, -1),
        )

    def test_bad(self) -> None:
        """
        Unknown attributes, names instead of numbers, times that are none.
        """
        opaque = requests.opaque
        for number, value, status in (
            (20, bytes(8), nfsstat4.NFS4ERR_ATTRNOTSUPP),
            (1, bytes(4), nfsstat4.NFS4ERR_INVAL),
            (36, opaque(b"root"), nfsstat4.NFS4ERR_BADOWNER),
            (36, opaque(b"-1"), nfsstat4.NFS4ERR_BADOWNER),
            (37, opaque(b"4294967296"), nfsstat4.NFS4ERR_BADOWNER),
            (36, opaque(b"9" * 10000), nfsstat4.NFS4ERR_BADOWNER),
            (54, struct.pack(">IqI", 1, 0, 10**9), nfsstat4.NFS4ERR_INVAL),
            (54, struct.pack(">IqI", 2, 0, 0), nfsstat4.NFS4ERR_INVAL),
        ):
            error = self.assertRaises(
                NFSError, decodeAttributes, fattr4(1 << number, value)
            )
            self.assertEqual(error.status, status)

    def test_lengths(self) -> None:
        """
        Values that are too short or too long for their bitmap are malformed.
        """
        good = requests.ownerAttribute(1000)[1] + requests.modifyTimeAttribute(5)[1]
        mask = 1 << 36 | 1 << 54
        decodeAttributes(fattr4(mask, good))
        for length in range(len(good)):
            self.assertRaises(
                (XDRError, NFSError), decodeAttributes, fattr4(mask, good[:length])
            )
        self.assertRaises(XDRError, decodeAttributes, fattr4(mask, good + bytes(4)))
