"""
Tests for L{pnfs.layouts.files}.
"""

from __future__ import annotations

from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pnfs.interfaces import ILayoutDriver
from pnfs.layouts.files import FilesLayoutDriver
from pnfs.layouts.files_xdr import fileDevice, fileLayout
from pnfs.values import (
    NFS4_UINT64_MAX,
    DataServer,
    IOMode,
    LayoutReport,
    LayoutRequest,
    PlaceRequest,
    Placement,
)
from pnfs.xdr.errors import XDRError
from tests.layouts import linux


def servers(count: int) -> list[DataServer]:
    """
    Some data servers; each has two addresses.
    """
    return [
        DataServer(
            bytes([index]) * 16,
            f"ds{index}",
            ((f"10.0.0.{index}", 2049), (f"fd00::{index:x}", 2050)),
        )
        for index in range(1, count + 1)
    ]


def place(**more: Any) -> PlaceRequest:
    """
    A request for striping over all data servers.
    """
    return attrs.evolve(PlaceRequest(1 << 20, 0, 1, b"ab12", 0), **more)


def request(**more: Any) -> LayoutRequest:
    """
    A LAYOUTGET of a Linux client; a device ID is told from the UUIDs.
    """
    return attrs.evolve(
        LayoutRequest(
            iomode=IOMode.RW,
            offset=0,
            length=NFS4_UINT64_MAX,
            minlength=4096,
            maxcount=4096,
            handle=b"capability" * 5,
            stateid=bytes(16),
            uid=1000,
            gid=100,
            deviceid=lambda uuids: bytes([len(uuids)]) + uuids[0][1:],
        ),
        **more,
    )


class FilesTests(SynchronousTestCase):
    """
    The files layout stripes a file over data servers.
    """

    def setUp(self) -> None:
        self.driver = FilesLayoutDriver()

    def test_provides(self) -> None:
        """
        It is a layout driver.
        """
        verifyObject(ILayoutDriver, self.driver)

    def test_placeFirst(self) -> None:
        """
        A file goes to those data servers that the placement policy wants first.
        """
        some = list(reversed(servers(3)))
        placement = self.driver.place(place(stripeCount=2), some)
        self.assertEqual([column[0][0] for column in placement.columns], [3, 2])

    def test_placeAll(self) -> None:
        """
        A stripe count of 0 uses every data server; one that is down is left out.
        """
        placement = self.driver.place(place(), servers(3))
        self.assertEqual(
            (placement.layout, placement.stripeUnit, placement.name),
            ("files", 1 << 20, b"ab12"),
        )
        self.assertEqual(len(placement.columns), 3)
        some = servers(3)
        some[1] = attrs.evolve(some[1], available=False)
        found = self.driver.place(place(), some)
        self.assertEqual([column[0][0] for column in found.columns], [1, 3])

    def test_placeOne(self) -> None:
        """
        A file on one data server has no stripe unit.
        """
        placement = self.driver.place(place(stripeCount=1), servers(2))
        self.assertEqual(
            (placement.columns, placement.stripeUnit), (((b"\1" * 16,),), 0)
        )

    def test_placeRefused(self) -> None:
        """
        What cannot be had is refused: mirrors, too many columns, units that old
        clients cannot read.
        """
        for wrong in (
            {"mirrors": 2},
            {"stripeCount": 4},
            {"stripeUnit": 65537},
            {"stripeUnit": 0},
            {"stripeUnit": 1 << 32},
        ):
            self.assertRaises(ValueError, self.driver.place, place(**wrong), servers(3))
        self.assertRaises(ValueError, self.driver.place, place(), [])

    def test_supports(self) -> None:
        """
        Placements without mirrors can be served, whichever driver made them.
        """
        one, two = b"1" * 16, b"2" * 16
        for columns, unit, expected in (
            (((one,), (two,)), 65536, True),
            (((one,),), 0, True),
            (((one, two),), 0, False),
            (((one,), (two,)), 0, False),
            (((one,), (two,)), 100, False),
        ):
            placement = Placement("other", unit, columns, b"a")
            self.assertEqual(self.driver.supports(placement), expected)

    def test_grant(self) -> None:
        """
        A Linux client accepts the layout and takes it for striped: whole file,
        sparse, a filehandle for each data server.
        """
        placement = self.driver.place(place(), servers(3))
        (segment,) = self.driver.grant(request(), placement)
        self.assertEqual(
            (segment.offset, segment.length, segment.iomode),
            (0, NFS4_UINT64_MAX, IOMode.RW),
        )
        deviceid, unit, handle = linux.filesLayout(segment.body, 3, 3)
        self.assertEqual(deviceid, b"\3" + b"\1" * 15)
        self.assertEqual(unit, 1 << 20)
        self.assertEqual(handle, b"capability" * 5)

    def test_grantUnstriped(self) -> None:
        """
        With one column the client still gets a stripe unit it can divide by.
        """
        placement = self.driver.place(place(stripeCount=1), servers(1))
        (segment,) = self.driver.grant(request(), placement)
        self.assertEqual(linux.filesLayout(segment.body, 1, 1)[1], 1 << 30)

    def test_grantTooSmall(self) -> None:
        """
        A client that takes few bytes is refused rather than overrun.
        """
        placement = self.driver.place(place(), servers(3))
        (segment,) = self.driver.grant(request(), placement)
        size = len(segment.body)
        self.driver.grant(request(maxcount=size), placement)
        self.assertRaises(
            ValueError, self.driver.grant, request(maxcount=size - 1), placement
        )

    def test_device(self) -> None:
        """
        A Linux client finds each column's data server with all its addresses.
        """
        indices, lists = linux.filesDevice(self.driver.device(servers(2)))
        self.assertEqual(indices, [0, 1])
        self.assertEqual(
            lists,
            [
                [("10.0.0.1", 2049), ("fd00::1", 2050)],
                [("10.0.0.2", 2049), ("fd00::2", 2050)],
            ],
        )

    def test_deviceTwice(self) -> None:
        """
        A data server that serves two columns is described once.
        """
        one, two = servers(2)
        indices, lists = linux.filesDevice(self.driver.device([one, two, one]))
        self.assertEqual((indices, len(lists)), ([0, 1, 0], 2))

    def test_decoders(self) -> None:
        """
        This layout type has nothing to say in LAYOUTRETURN and LAYOUTSTATS.
        """
        self.assertEqual(self.driver.decodeReturn(b""), LayoutReport())
        self.assertIsNone(self.driver.decodeStatistics(b""))
        self.assertRaises(XDRError, self.driver.decodeReturn, b"1234")
        self.assertRaises(XDRError, self.driver.decodeStatistics, b"1234")

    def test_roundTrip(self) -> None:
        """
        Our own client reads what our server writes, and nothing that is cut off.
        """
        placement = self.driver.place(place(), servers(3))
        (segment,) = self.driver.grant(request(), placement)
        for codec, body in (
            (fileLayout, segment.body),
            (fileDevice, self.driver.device(servers(3))),
        ):
            value, end = codec.decode(body, 0)
            self.assertEqual((codec.encode(value), end), (body, len(body)))
            for size in range(len(body)):
                self.assertRaises(XDRError, codec.decode, body[:size], 0)
