"""
Tests of L{pnfs.backends.metadata.xattr_records}.
"""

from __future__ import annotations

from typing import Optional

import attrs
from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import IOFailed
from pnfs.backends.metadata.xattr_records import (
    packACL,
    packDataAttributes,
    packOwner,
    packPlacement,
    packSettings,
    unpackACL,
    unpackDataAttributes,
    unpackOwner,
    unpackPlacement,
    unpackSettings,
)
from pnfs.values import ACE, ACL, Placement, PlacementSettings, Who
from tests.contracts.metadata import placement

_uuids = strategies.binary(min_size=16, max_size=16)
_placements = strategies.builds(
    Placement,
    strategies.sampled_from(["files", "flexfiles", "yours", "é"]),
    strategies.integers(0, 0xFFFFFFFF),
    strategies.lists(
        strategies.lists(_uuids, min_size=1, max_size=4).map(tuple),
        min_size=1,
        max_size=6,
    ).map(tuple),
    strategies.text("0123456789abcdef", min_size=1, max_size=80).map(str.encode),
    strategies.integers(0, 0xFFFFFFFF),
    strategies.integers(0, 1 << 63),
    strategies.lists(_uuids, max_size=3).map(tuple),
)
_inChunks = strategies.builds(
    attrs.evolve,
    _placements,
    chunk=strategies.just(1 << 30),
    columns=strategies.lists(
        strategies.lists(
            strategies.sampled_from([bytes([n]) * 16 for n in range(5)]),
            min_size=1,
            max_size=4,
        ).map(tuple),
        min_size=1,
        max_size=64,
    ).map(tuple),
)


class RecordTests(SynchronousTestCase):
    """
    What is on disk is understood again, and damage is noticed.
    """

    @given(_placements | _inChunks, strategies.none() | _placements | _inChunks)
    def test_placementRoundTrip(
        self, here: Placement, there: Optional[Placement]
    ) -> None:
        """
        Every shape of placement survives, also of a file that is being moved.
        """
        wanted = attrs.evolve(here, next=there)
        self.assertEqual(unpackPlacement(packPlacement(wanted)), wanted)

    def test_format(self) -> None:
        """
        Files written by this version stay readable: the format is as documented.
        """
        wanted = Placement("files", 1 << 20, ((b"A" * 16,), (b"B" * 16,)), b"abc", 7)
        record = (
            bytes.fromhex("01 01 00100000 00000007 03 abc0 0002 01")
            + b"A" * 16
            + b"B" * 16
        )
        self.assertEqual(packPlacement(wanted), record)

    def test_ordinaryIsShort(self) -> None:
        """
        Five data servers fit into what is read at the first attempt.
        """
        columns = tuple((bytes([n]) * 16,) for n in range(5))
        record = packPlacement(Placement("files", 1 << 20, columns, b"0" * 32))
        self.assertLessEqual(len(record), 128)

    def test_chunksFormat(self) -> None:
        """
        Files in chunks written by this version stay readable, and the data servers of
        a large one stand there once, so that it fits into any file system's attribute.
        """
        a, b, c = (letter * 16 for letter in (b"A", b"B", b"C"))
        wanted = Placement("flexfiles", 0, ((a, b), (c, a)), b"abc", 7, 1 << 30)
        record = (
            bytes.fromhex("03 02 00000000 00000007 03 abc0 0002 02 03")
            + a
            + b
            + c
            + bytes.fromhex("00 01 02 00 0000000040000000 00 00")
        )
        self.assertEqual(packPlacement(wanted), record)
        large = attrs.evolve(wanted, columns=wanted.columns * 32, name=b"0" * 32)
        self.assertLess(len(packPlacement(large)), 256)
        short = attrs.evolve(wanted, columns=((a, b),))
        self.assertEqual(packPlacement(short)[0], 2)
        self.assertRaises(
            IOFailed, unpackPlacement, record.replace(b"\1\2\0", b"\1\3\0")
        )

    def test_truncated(self) -> None:
        """
        A damaged record is an I/O error, never another file's bytes.
        """
        mixed = Placement("mine", 0, ((b"A" * 16,), (b"B" * 16, b"C" * 16)), b"abc")
        moving = attrs.evolve(placement(), stale=(b"D" * 16,), next=mixed)
        a, b = b"A" * 16, b"B" * 16
        chunks = Placement("mine", 0, ((a, b), (b, a)), b"abc", chunk=1 << 30)
        for record in map(packPlacement, (placement(), mixed, moving, chunks)):
            for length in range(len(record)):
                self.assertRaises(IOFailed, unpackPlacement, record[:length])
            self.assertRaises(IOFailed, unpackPlacement, record + b"x")
            self.assertRaises(IOFailed, unpackPlacement, b"\x04" + record[1:])
            self.assertRaises(IOFailed, unpackPlacement, b"\x01\x77" + record[2:])

    def test_refused(self) -> None:
        """
        What the record cannot hold is refused before it is written.
        """
        for columns, name in (
            ((), b"aa"),
            (((),), b"aa"),
            (((b"short",),), b"aa"),
            (((b"A" * 16,),), b""),
            (((b"A" * 16,),), b"xyz"),
            (((b"A" * 16,),), b"a" * 81),
        ):
            self.assertRaises(
                ValueError, packPlacement, Placement("files", 0, columns, name)
            )

    def test_otherRecords(self) -> None:
        """
        Sizes, times before 1970 and owners survive; damage is noticed.
        """
        values = (1 << 63, 5, -7, 1 << 60, (1 << 64) - 1)
        record = packDataAttributes(*values)
        self.assertEqual(unpackDataAttributes(record), values)
        owner = packOwner(0o7777, 0xFFFFFFFE, 5)
        self.assertEqual(unpackOwner(owner), (0o7777, 0xFFFFFFFE, 5))
        for length in range(len(record)):
            self.assertRaises(IOFailed, unpackDataAttributes, record[:length])
        for length in range(len(owner)):
            self.assertRaises(IOFailed, unpackOwner, owner[:length])


class AccessRecordTests(SynchronousTestCase):
    """
    The C{acl} record.
    """

    def test_bytes(self) -> None:
        """
        The format that later versions must still read.
        """
        acl = ACL((ACE(1, 0x43, 0x1F01FF, 4294967294), ACE(0, 0, 1, Who.SERVICE)), 5)
        wanted = bytes.fromhex(
            "01050002" "0143001f01ff00fffffffe" "000000000001f600000000"
        )
        self.assertEqual(packACL(acl), wanted)
        self.assertEqual(unpackACL(wanted), acl)
        self.assertEqual(unpackACL(packACL(ACL(()))), ACL(()))
        self.assertEqual(unpackACL(packACL(ACL((ACE(0, 0, 1, 0),)))).aces[0].who, 0)

    def test_damaged(self) -> None:
        """
        A damaged record never grants anything: it is an error.
        """
        whole = packACL(ACL((ACE(0, 0, 1, 5),)))
        for record in (
            *(whole[:length] for length in range(len(whole))),
            whole + b"\0",
            b"\2" + whole[1:],
        ):
            self.assertRaises(IOFailed, unpackACL, record)


class SettingsRecordTests(SynchronousTestCase):
    """
    The C{policy} record.
    """

    def test_bytes(self) -> None:
        """
        The format that later versions must still read, and C{getfattr} shows.
        """
        said = PlacementSettings(
            2, 4, 65536, "nvme", "weighted", "files", ("a", "b"), 1 << 20
        )
        wanted = (
            b'{"version": 1, "mirrors": 2, "stripe_count": 4, "stripe_unit": 65536, '
            b'"chunk": 1048576, "class": "nvme", "placement": "weighted", "layout": "files", '
            b'"data_servers": ["a", "b"]}'
        )
        self.assertEqual(packSettings(said), wanted)
        self.assertEqual(unpackSettings(wanted), said)
        self.assertEqual(unpackSettings(b'{"version": 1}'), PlacementSettings())

    def test_damaged(self) -> None:
        """
        A damaged record, or one of a later version, is no setting but an error.
        """
        for record in (
            b"",
            b"[]",
            b"{}",
            b"null",
            b"\xff",
            b'{"version": 2, "mirrors": 2}',
            b'{"version": 1, "mirrors": "2"}',
            b'{"version": 1, "mirrors": true}',
            b'{"version": 1, "mirrors": -1}',
            b'{"version": 1, "class": 1}',
            b'{"version": 1, "data_servers": [1]}',
            b'{"version": 1, "data_servers": 1}',
            b'{"version": 1, "data_servers": "ab"}',
            b'{"version": 1, "copies": 2}',
        ):
            self.assertRaises(IOFailed, unpackSettings, record)
