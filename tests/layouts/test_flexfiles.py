"""
Tests for L{pnfs.layouts.flexfiles}.
"""

from __future__ import annotations

import struct
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pnfs.interfaces import ILayoutDriver
from pnfs.layouts.files import FilesLayoutDriver
from pnfs.layouts.flexfiles import FlexFilesLayoutDriver
from pnfs.layouts.flexfiles_xdr import flexDevice, flexLayout, flexReturn, flexUpdate
from pnfs.layouts.striping import CHUNKS_LIMIT
from pnfs.values import (
    NFS4_UINT64_MAX,
    DeviceError,
    DeviceStatistics,
    IOMode,
    LayoutReport,
    Placement,
)
from pnfs.xdr.errors import XDRError
from tests.layouts import linux
from tests.layouts.test_files import place, request, servers

DEVICE = b"D" * 16


def latency(number: int) -> bytes:
    """
    C{ff_io_latency4}.
    """
    return struct.pack(">5Q", *range(number, number + 5)) + struct.pack(
        ">qIqI", 1, 2, 3, 4
    )


def update() -> bytes:
    """
    C{ff_layoutupdate4} of a data server at 10.0.0.1, port 2049.
    """
    return (
        struct.pack(">I4sI12s", 3, b"tcp", 12, b"10.0.0.1.8.1")
        + struct.pack(">I8s", 5, b"fh-17")
        + latency(10)
        + latency(20)
        + struct.pack(">qII", 60, 0, 0)
    )


def statistics() -> bytes:
    """
    C{ff_iostats4}: 3 READs of 300 bytes, 4 WRITEs of 400.
    """
    return (
        struct.pack(">QQ16s", 0, NFS4_UINT64_MAX, bytes(16))
        + struct.pack(">4Q16s", 3, 300, 4, 400, DEVICE)
        + update()
    )


def failure(status: int = 6, opnum: int = 38) -> bytes:
    """
    C{ff_ioerr4} with one error: by default a WRITE to a dead data server.
    """
    return struct.pack(">QQ16sI16sII", 4096, 8192, bytes(16), 1, DEVICE, status, opnum)


class FlexFilesTests(SynchronousTestCase):
    """
    The flexible files layout keeps copies of a file on several data servers.
    """

    def setUp(self) -> None:
        self.driver = FlexFilesLayoutDriver()

    def test_provides(self) -> None:
        """
        It is a layout driver.
        """
        verifyObject(ILayoutDriver, self.driver)

    def test_place(self) -> None:
        """
        A file's copies go to those data servers that the placement policy wants
        first, and the first of these is read.
        """
        some = list(reversed(servers(3)))
        (column,) = self.driver.place(place(mirrors=2), some).columns
        self.assertEqual([uuid[0] for uuid in column], [3, 2])

    def test_placeRefused(self) -> None:
        """
        More copies than data servers, and stripes, cannot be had.
        """
        for wrong in ({"mirrors": 4}, {"mirrors": 0}, {"stripeCount": 2}):
            self.assertRaises(ValueError, self.driver.place, place(**wrong), servers(3))

    def test_supports(self) -> None:
        """
        Any placement with one column can be served.
        """
        one, two = b"1" * 16, b"2" * 16
        self.assertTrue(self.driver.supports(Placement("files", 0, ((one,),), b"a")))
        self.assertTrue(self.driver.supports(Placement("x", 0, ((one, two),), b"a")))
        striped = Placement("files", 65536, ((one,), (two,)), b"a")
        self.assertFalse(self.driver.supports(striped))
        chunks = attrs.evolve(striped, stripeUnit=0, chunk=1 << 20)
        self.assertTrue(self.driver.supports(chunks))
        self.assertFalse(FilesLayoutDriver().supports(chunks))

    def test_grant(self) -> None:
        """
        A Linux client accepts the layout and reads from the first mirror.
        """
        placement = self.driver.place(place(mirrors=3), servers(3))
        (segment,) = self.driver.grant(request(iomode=IOMode.READ), placement)
        self.assertEqual(
            (segment.offset, segment.length, segment.iomode),
            (0, NFS4_UINT64_MAX, IOMode.READ),
        )
        mirrors = linux.flexLayout(segment.body, versionThree=True)
        self.assertEqual([mirror[0][1] for mirror in mirrors], [1, 2, 3])
        for _, _, stateid, handle, uid, gid in mirrors:
            self.assertEqual(
                (stateid, handle, uid, gid), (bytes(16), b"capability" * 5, 1000, 100)
            )

    def test_grantUser(self) -> None:
        """
        With tight coupling a layout for reading names another user than one for
        writing, and the same group; a loosely coupled server knows only the owner.
        """
        placement = self.driver.place(place(), servers(1))
        for tight, iomode, uid, expected in (
            (True, IOMode.READ, 1000, 65534),
            (True, IOMode.READ, 65534, 65533),
            (True, IOMode.RW, 1000, 1000),
            (False, IOMode.READ, 1000, 1000),
            (False, IOMode.RW, 1000, 1000),
        ):
            wanted = request(iomode=iomode, tightlyCoupled=tight, uid=uid)
            (segment,) = self.driver.grant(wanted, placement)
            ((_, _, _, _, user, group),) = linux.flexLayout(segment.body)
            self.assertEqual((user, group), (expected, 100))

    def chunks(self, columns: int, **more: Any) -> list[tuple[int, int, int]]:
        """
        Offset, length and data server of each segment of a layout that is granted.
        """
        placement = Placement(
            "flexfiles",
            0,
            tuple((servers(3)[n % 3].uuid,) for n in range(columns)),
            b"a",
            chunk=100,
        )
        found = self.driver.grant(request(iomode=IOMode.READ, **more), placement)
        return [
            (
                segment.offset,
                segment.length,
                linux.flexLayout(segment.body)[0][0][1],
            )
            for segment in found
        ]

    def test_placeInChunks(self) -> None:
        """
        The first chunk of a new file is placed like any file.
        """
        placement = self.driver.place(place(mirrors=2, chunk=1 << 20), servers(3))
        self.assertEqual((len(placement.columns), placement.chunk), (1, 1 << 20))

    def test_grantChunk(self) -> None:
        """
        A layout of a file in chunks ends where the chunk does that was asked for, that
        of a small file, too: what lies behind may come to other data servers.
        """
        self.assertEqual(self.chunks(1, minlength=1), [(0, 100, 1)])
        self.assertEqual(self.chunks(3, offset=100, minlength=100), [(100, 100, 2)])
        self.assertEqual(self.chunks(3, offset=299, minlength=1), [(200, 100, 3)])

    def test_grantChunks(self) -> None:
        """
        Who cannot do with less gets several; nobody gets what is not there.
        """
        self.assertEqual(
            self.chunks(3, offset=99, minlength=102),
            [(0, 100, 1), (100, 100, 2), (200, 100, 3)],
        )
        self.assertEqual(self.chunks(3, offset=299, minlength=2), [])
        self.assertEqual(self.chunks(3, offset=300, minlength=1), [])

    def test_grantTurns(self) -> None:
        """
        In a very large file data servers take turns, and no segment goes beyond what
        can be said.
        """
        width = CHUNKS_LIMIT
        self.assertEqual(
            self.chunks(width, offset=100 * width, minlength=1), [(100 * width, 100, 1)]
        )
        ((offset, length, _),) = self.chunks(
            width, offset=NFS4_UINT64_MAX - 1, minlength=1
        )
        self.assertLess(offset, NFS4_UINT64_MAX)
        self.assertEqual(length, NFS4_UINT64_MAX)

    def test_grantTooSmall(self) -> None:
        """
        A client that takes few bytes is refused rather than overrun.
        """
        placement = self.driver.place(place(mirrors=3), servers(3))
        self.assertRaises(
            ValueError, self.driver.grant, request(maxcount=300), placement
        )

    def test_device(self) -> None:
        """
        A data server of ours is tightly coupled and speaks NFSv4.1.
        """
        hosts, version = linux.flexDevice(self.driver.device(servers(1)))
        self.assertEqual(hosts, [("10.0.0.1", 2049), ("fd00::1", 2050)])
        self.assertEqual(version, (4, 1, 1 << 20, 1 << 20, 1))

    def test_deviceVersionThree(self) -> None:
        """
        An NFSv3 data server has no minor version, and clients come with the synthetic
        owner (NFSv3 means minor version 0 and not tightly coupled: chimera #1172).
        """
        (server,) = servers(1)
        server = attrs.evolve(server, version=(3, 1), readSize=65536)
        self.assertEqual(
            linux.flexDevice(self.driver.device([server]))[1],
            (3, 0, 65536, 1 << 20, 0),
        )

    def test_decodeReturn(self) -> None:
        """
        The server learns which data server a client could not reach, and how much
        it has read and written.
        """
        body = b"".join(
            (
                struct.pack(">I", 2),
                failure(),
                failure(13, 25),
                struct.pack(">I", 1),
                statistics(),
            )
        )
        self.assertEqual(
            self.driver.decodeReturn(body),
            LayoutReport(
                (
                    DeviceError(DEVICE, 4096, 8192, 6, 38),
                    DeviceError(DEVICE, 4096, 8192, 13, 25),
                ),
                (DeviceStatistics(DEVICE, 3, 300, 4, 400),),
            ),
        )
        for size in range(1, len(body)):
            self.assertRaises(XDRError, self.driver.decodeReturn, body[:size])
        self.assertRaises(XDRError, self.driver.decodeReturn, body + b"1234")

    def test_decodeReturnLimits(self) -> None:
        """
        A client cannot make the server build endless lists.
        """
        for body in (
            struct.pack(">I", 1 << 30),
            struct.pack(">I", 1025) + failure() * 1025 + bytes(4),
            struct.pack(">IQQ16sI", 1, 0, 1, bytes(16), 1 << 30),
        ):
            self.assertRaises(XDRError, self.driver.decodeReturn, body)

    def test_decodeReturnEmpty(self) -> None:
        """
        A client without news returns its layout all the same.
        """
        self.assertEqual(self.driver.decodeReturn(b""), LayoutReport())
        self.assertEqual(self.driver.decodeReturn(bytes(8)), LayoutReport())

    def test_decodeStatistics(self) -> None:
        """
        LAYOUTSTATS names the data server's filehandle.
        """
        self.assertEqual(self.driver.decodeStatistics(update()), b"fh-17")
        self.assertIsNone(self.driver.decodeStatistics(b""))
        self.assertRaises(XDRError, self.driver.decodeStatistics, update()[:-1])
        self.assertRaises(XDRError, self.driver.decodeStatistics, update() + bytes(4))

    def test_roundTrip(self) -> None:
        """
        Our own client reads what our server writes, and nothing that is cut off.
        """
        placement = self.driver.place(place(mirrors=2), servers(3))
        (segment,) = self.driver.grant(request(), placement)
        for codec, body in (
            (flexLayout, segment.body),
            (flexDevice, self.driver.device(servers(1))),
            (flexReturn, struct.pack(">I", 1) + failure() + b"\0\0\0\1" + statistics()),
            (flexUpdate, update()),
        ):
            value, end = codec.decode(body, 0)
            self.assertEqual((codec.encode(value), end), (body, len(body)))
            for size in range(len(body)):
                self.assertRaises(XDRError, codec.decode, body[:size], 0)
