"""
Tests of L{pnfs.client.layout}.
"""

from __future__ import annotations

from typing import Any, Optional

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pnfs.client.layout import (
    Device,
    FileOnServer,
    Layout,
    decodeDevice,
    decodeLayout,
    devicesOf,
)
from pnfs.layouts.addresses import netaddrOf
from pnfs.layouts.files import FilesLayoutDriver
from pnfs.layouts.files_xdr import (
    NFL4_UFLG_COMMIT_THRU_MDS,
    NFL4_UFLG_DENSE,
    fileDevice,
    fileLayout,
    nfsv4_1_file_layout4,
    nfsv4_1_file_layout_ds_addr4,
)
from pnfs.layouts.flexfiles import FlexFilesLayoutDriver
from pnfs.layouts.striping import split
from pnfs.nfs4.types import netaddr4
from pnfs.values import NFS4_UINT64_MAX, DataServer, LayoutRequest, Placement
from pnfs.xdr.errors import XDRError

UNIT = 65536
IO = 1 << 20


def server(number: int, **more: Any) -> DataServer:
    """
    A data server.
    """
    return DataServer(
        bytes([number]) * 16, f"ds{number}", (("192.0.2.%d" % number, 2050),), **more
    )


class Opened:
    """
    In the place of a data file.
    """

    def __init__(self, what: FileOnServer) -> None:
        self.what = what

    @property
    def place(self) -> Any:
        """
        Its server's address.
        """
        return self.what.device.servers[self.what.index][0][0]


class DriversTests(SynchronousTestCase):
    """
    What our own layout drivers say is understood.
    """

    def granted(self, driver: Any, placement: Placement, **more: Any) -> Layout:
        """
        The layout of a placement.
        """
        asked: dict[bytes, Any] = {}

        def deviceid(uuids: tuple[bytes, ...]) -> bytes:
            number = len(asked).to_bytes(16, "big")
            asked[number] = uuids
            return number

        request = LayoutRequest(
            2, 0, NFS4_UINT64_MAX, 0, 65536, b"handle", bytes(16), 7, 8, deviceid
        )
        (segment,) = driver.grant(request, placement)
        devices = {
            number: decodeDevice(
                driver.layoutType,
                driver.device([server(uuid[0], **more) for uuid in uuids]),
            )
            for number, uuids in asked.items()
        }
        named = set(devicesOf(driver.layoutType, segment.body))
        self.assertEqual(named, set(devices))
        return decodeLayout(
            (
                segment.offset,
                segment.length,
                segment.iomode,
                driver.layoutType,
                segment.body,
            ),
            devices,
            IO,
            Opened,  # type: ignore[arg-type]
            lambda device: 0,
            b"main",
        )

    def test_files(self) -> None:
        """
        The stripes of a files layout, sparse: the pieces are those of the server.
        """
        columns = ((b"\1" * 16,), (b"\2" * 16,), (b"\3" * 16,))
        layout = self.granted(
            FilesLayoutDriver(), Placement("files", UNIT, columns, b"aa")
        )
        places = [column[0].place for column in layout.columns]  # type: ignore
        self.assertEqual(places, ["192.0.2.1", "192.0.2.2", "192.0.2.3"])
        self.assertEqual(layout.columns[0][0].what.fh, b"handle")  # type: ignore
        self.assertEqual(
            layout.pieces(10, 3 * UNIT),
            [(c, o, o, n) for c, o, n in split(10, 3 * UNIT, UNIT, 3)],
        )
        self.assertEqual(layout.covered(1 << 60, 5), 5)

    def test_filesUnstriped(self) -> None:
        """
        One column is cut by the size of requests only.
        """
        layout = self.granted(
            FilesLayoutDriver(), Placement("files", 0, ((b"\1" * 16,),), b"aa")
        )
        self.assertEqual(
            layout.pieces(5, IO + 1), [(0, 5, 5, IO), (0, IO + 5, IO + 5, 1)]
        )

    def test_flexfiles(self) -> None:
        """
        Mirrors in the order in which to read them, and the server's sizes.
        """
        mirrors = ((b"\2" * 16, b"\1" * 16),)
        layout = self.granted(
            FlexFilesLayoutDriver(),
            Placement("flexfiles", 0, mirrors, b"aa"),
            readSize=4096,
        )
        places = [file.place for file in layout.columns[0]]  # type: ignore
        self.assertEqual(places, ["192.0.2.2", "192.0.2.1"])
        self.assertEqual(layout.most, 4096)
        what = layout.columns[0][0].what  # type: ignore
        self.assertEqual((what.user, what.group), (b"7", b"8"))


class ForeignTests(SynchronousTestCase):
    """
    What other servers may say.
    """

    device = Device(tuple(((f"192.0.2.{n}", 2049),) for n in range(3)), (0, 1, 2, 1))

    def layout(self, **changes: Any) -> Layout:
        """
        A files layout.
        """
        said = dict(
            nfl_deviceid=b"d" * 16,
            nfl_util=UNIT,
            nfl_first_stripe_index=0,
            nfl_pattern_offset=0,
            nfl_fh_list=[b"a", b"b", b"c"],
        )
        body = fileLayout.encode(nfsv4_1_file_layout4(**(said | changes)))  # type: ignore
        return decodeLayout(
            (0, 1 << 30, 1, 1, body),
            {b"d" * 16: self.device},
            IO,
            Opened,  # type: ignore[arg-type]
            lambda device: 0,
            b"main",
        )

    def handles(self, layout: Layout) -> list[bytes]:
        """
        The filehandle of each column.
        """
        return [column[0].what.fh for column in layout.columns]  # type: ignore

    def test_sparse(self) -> None:
        """
        Filehandles go by data server; without any it is the file's own.
        """
        self.assertEqual(self.handles(self.layout()), [b"a", b"b", b"c", b"b"])
        none = self.layout(nfl_fh_list=[])
        self.assertEqual(self.handles(none), [b"main"] * 4)

    def test_dense(self) -> None:
        """
        Filehandles go by stripe, and data files have no holes.
        """
        layout = self.layout(
            nfl_util=UNIT | NFL4_UFLG_DENSE | NFL4_UFLG_COMMIT_THRU_MDS,
            nfl_fh_list=[b"a", b"b", b"c", b"d"],
            nfl_first_stripe_index=1,
            nfl_pattern_offset=100,
        )
        self.assertEqual(self.handles(layout), [b"a", b"b", b"c", b"d"])
        self.assertTrue(layout.commitThroughMDS)
        self.assertEqual(
            layout.pieces(100 + 3 * UNIT + 5, UNIT),
            [
                (0, 100 + 3 * UNIT + 5, 5, UNIT - 5),
                (1, 100 + 4 * UNIT, UNIT, 5),
            ],
        )
        self.assertEqual(layout.covered(99, 5), 0)
        self.assertEqual(layout.covered(1 << 30, 1), 0)

    def test_refused(self) -> None:
        """
        What makes no sense is refused before it is used.
        """
        self.assertRaises(XDRError, self.layout, nfl_util=NFL4_UFLG_DENSE)
        self.assertRaises(XDRError, self.layout, nfl_fh_list=[b"a", b"b"])
        self.assertRaises(XDRError, devicesOf, 3, b"")
        self.assertRaises(XDRError, decodeDevice, 2, b"")
        address = [netaddrOf("192.0.2.1", 2049)]
        for indices, servers in (
            ([1], [address]),
            ([], [address]),
            ([0], [[]]),
            ([0], [[netaddr4(b"udp", b"192.0.2.1.8.1")]]),
            ([0], [[netaddr4(b"tcp", b"nonsense")]]),
        ):
            body = fileDevice.encode(nfsv4_1_file_layout_ds_addr4(indices, servers))
            self.assertRaises(XDRError, decodeDevice, 1, body)

    @given(
        st.integers(1, 5),
        st.booleans(),
        st.integers(0, 10 * UNIT),
        st.integers(1, 10 * UNIT),
        st.integers(1, 3),
    )
    def test_pieces(
        self, columns: int, dense: bool, offset: int, length: int, most: int
    ) -> None:
        """
        The pieces are the range, in order; no two bytes of a data file are the same.
        """
        files: Any = [[None]] * columns
        layout = Layout(
            1, 2, 0, NFS4_UINT64_MAX, UNIT, files, most * 30000, dense=dense
        )
        place = offset
        seen: dict[int, int] = {}
        for column, start, inside, size in layout.pieces(offset, length):
            self.assertEqual(start, place)
            self.assertGreater(size, 0)
            self.assertLessEqual(size, most * 30000)
            self.assertGreaterEqual(inside, seen.get(column, 0))
            seen[column] = inside + size
            place += size
        self.assertEqual(place, offset + length)

    def test_idle(self) -> None:
        """
        Whoever waits for a layout to be unused waits for the last request.
        """
        files: Any = [[None]]
        layout = Layout(1, 2, 0, 1, 0, files, IO, busy=2)
        waiting: Optional[Deferred[None]] = Deferred.fromCoroutine(layout.idle())
        assert waiting is not None
        layout.release()
        self.assertNoResult(waiting)
        layout.release()
        self.successResultOf(waiting)
        self.successResultOf(Deferred.fromCoroutine(layout.idle()))
