# -*- test-case-name: tests.layouts.test_flexfiles -*-
"""
The flexible files layout (RFC 8435): mirrors, each on one data server.

The whole file, or of a file in chunks those that are asked for, a segment for each: it
ends where its chunk does, even if there is no other one yet, and so stays true when the
file grows.

Chunks with mirrors are read through layouts, but written through the metadata server.
Linux gathers the requests to each mirror of a file in a list, and keeps one segment for
all lists (C{nfs_pageio_add_request} in C{fs/nfs/pagelist.c}, in 6.1, 6.12 and the latest
seen). At the border of a segment the second mirror's list is sent to where it belongs;
then comes the next segment, and all other lists go to that one's data servers: bytes that
the client takes for safe are missing at a mirror. To give the data servers the means to
refuse such writes was rejected: Linux repeats them in the same way, thousands of times.
So was to have the segments next to a border differ in the number of their mirrors, at
which Linux sends nothing and begins anew: it does so with cached writes, but forgets what
has been written with O_DIRECT. Without mirrors there is one list, and nothing wrong.

Each data server is a device of its own, so a file is moved by a new layout
and no device ever changes its meaning.
"""

from __future__ import annotations

from typing import Optional, Sequence

from zope.interface import implementer

from pnfs.interfaces import ILayoutDriver
from pnfs.layouts.addresses import netaddrsOf
from pnfs.layouts.flexfiles_xdr import (
    LAYOUT4_FLEX_FILES,
    MIRRORS_LIMIT,
    ff_data_server4,
    ff_device_addr4,
    ff_device_versions4,
    ff_layout4,
    ff_mirror4,
    flexDevice,
    flexLayout,
    flexReturn,
    flexUpdate,
)
from pnfs.layouts.mirrors import efficiencies
from pnfs.layouts.striping import CHUNKS_LIMIT
from pnfs.values import (
    NFS4_UINT64_MAX,
    NOBODY,
    DataServer,
    DeviceError,
    DeviceStatistics,
    IOMode,
    LayoutReport,
    LayoutRequest,
    LayoutSegment,
    PlaceRequest,
    Placement,
)
from pnfs.xdr.errors import XDRError

STATISTICS_HINT_SECONDS = 60


def _userOf(request: LayoutRequest) -> int:
    """
    C{ffds_user}: of loosely coupled data servers the owner, as which clients then
    write and read there. With tight coupling clients come as themselves, and the
    name says no more than that a layout for reading is none for writing (RFC 8435,
    section 2.2): only then may it be somebody who might not read.
    """
    if request.tightlyCoupled and request.iomode == IOMode.READ:
        return NOBODY if request.uid != NOBODY else NOBODY - 1
    return request.uid


def _body(request: LayoutRequest, mirrors: Sequence[bytes]) -> bytes:
    """
    C{ff_layout4}: mirrors on some data servers.
    """
    user = b"%d" % _userOf(request)
    group = b"%d" % request.gid
    return flexLayout.encode(
        ff_layout4(
            ffl_stripe_unit=0,
            ffl_mirrors=[
                ff_mirror4(
                    [
                        ff_data_server4(
                            request.deviceid((uuid,)),
                            efficiency,
                            request.stateid,
                            [request.handle],
                            user,
                            group,
                        )
                    ]
                )
                for uuid, efficiency in zip(mirrors, efficiencies(len(mirrors)))
            ],
            ffl_flags=0,
            ffl_stats_collect_hint=STATISTICS_HINT_SECONDS,
        )
    )


def _requireFit(request: LayoutRequest, size: int) -> None:
    if size > request.maxcount:
        raise ValueError(f"{size} bytes, {request.maxcount} allowed")


@implementer(ILayoutDriver)
class FlexFilesLayoutDriver:
    """
    LAYOUT4_FLEX_FILES.
    """

    name = "flexfiles"
    layoutType = LAYOUT4_FLEX_FILES

    def place(self, request: PlaceRequest, servers: Sequence[DataServer]) -> Placement:
        """
        As L{ILayoutDriver.place}: one column, a mirror on each of the first data
        servers. The first of them is read first.
        """
        usable = [server for server in servers if server.available]
        count = request.mirrors
        if request.stripeCount > 1:
            raise ValueError("flexible files are not striped")
        if not 1 <= count <= min(len(usable), MIRRORS_LIMIT):
            raise ValueError(f"{count} mirrors wanted, {len(usable)} data servers")
        mirrors = tuple([server.uuid for server in usable[:count]])
        return Placement(self.name, 0, (mirrors,), request.name, chunk=request.chunk)

    def supports(self, placement: Placement) -> bool:
        """
        As L{ILayoutDriver.supports}: one column, or chunks; mirrored or not.
        """
        return (len(placement.columns) == 1 or placement.chunk > 0) and all(
            1 <= len(column) <= MIRRORS_LIMIT for column in placement.columns
        )

    def grant(
        self, request: LayoutRequest, placement: Placement
    ) -> Sequence[LayoutSegment]:
        """
        As L{ILayoutDriver.grant}.
        """
        if not placement.chunk:
            body = _body(request, placement.columns[0])
            _requireFit(request, len(body))
            return (LayoutSegment(0, NFS4_UINT64_MAX, request.iomode, body),)
        chunk = placement.chunk
        first = request.offset // chunk
        last = (request.offset + request.minlength - 1) // chunk
        columns = len(placement.columns)
        if (last >= columns and columns < CHUNKS_LIMIT) or last - first >= columns:
            return ()
        segments = [
            LayoutSegment(
                number * chunk,
                chunk if (number + 1) * chunk <= NFS4_UINT64_MAX else NFS4_UINT64_MAX,
                request.iomode,
                _body(request, placement.columns[number % columns]),
            )
            for number in range(first, last + 1)
        ]
        _requireFit(request, sum([len(segment.body) for segment in segments]))
        return segments

    def device(self, servers: Sequence[DataServer]) -> bytes:
        """
        As L{ILayoutDriver.device}, of the one server. NFSv3 knows no minor version
        and no tight coupling (RFC 8435, section 4.1).
        """
        (server,) = servers
        version, minor = server.version
        return flexDevice.encode(
            ff_device_addr4(
                netaddrsOf(server),
                [
                    ff_device_versions4(
                        version,
                        0 if version == 3 else minor,
                        server.readSize,
                        server.writeSize,
                        server.tightlyCoupled and version != 3,
                    )
                ],
            )
        )

    def decodeReturn(self, body: bytes) -> LayoutReport:
        """
        As L{ILayoutDriver.decodeReturn}; a client without news may send nothing.
        """
        if not body:
            return LayoutReport()
        said, end = flexReturn.decode(body, 0)
        if end != len(body):
            raise XDRError("bytes after ff_layoutreturn4")
        errors = [
            DeviceError(
                error.de_deviceid,
                report.ffie_offset,
                report.ffie_length,
                error.de_status,
                error.de_opnum,
            )
            for report in said.fflr_ioerr_report
            for error in report.ffie_errors
        ]
        statistics = [
            DeviceStatistics(
                report.ffis_deviceid,
                report.ffis_read.ii_count,
                report.ffis_read.ii_bytes,
                report.ffis_write.ii_count,
                report.ffis_write.ii_bytes,
            )
            for report in said.fflr_iostats_report
        ]
        return LayoutReport(tuple(errors), tuple(statistics))

    def decodeStatistics(self, body: bytes) -> Optional[bytes]:
        """
        As L{ILayoutDriver.decodeStatistics}.
        """
        if not body:
            return None
        update, end = flexUpdate.decode(body, 0)
        if end != len(body):
            raise XDRError("bytes after ff_layoutupdate4")
        handle: bytes = update.ffl_fhandle
        return handle
