# -*- test-case-name: tests.layouts.test_files -*-
"""
The files layout (RFC 8881, section 13): striped over data servers, no mirrors.

Always the whole file, sparse. One device stands for the ordered data servers of all
columns. The DS filehandle is the same for all of them, but stands in the layout
once for each: Linux since 6.1 takes a layout with one filehandle for unstriped, and
then reads and writes across the boundaries of stripe units (docs/adr/0003).
"""

from __future__ import annotations

from typing import Optional, Sequence

from zope.interface import implementer

from pnfs.interfaces import ILayoutDriver
from pnfs.layouts.addresses import netaddrsOf
from pnfs.layouts.files_xdr import (
    LAYOUT4_NFSV4_1_FILES,
    NFL4_UFLG_STRIPE_UNIT_SIZE_MASK,
    fileDevice,
    fileLayout,
    nfsv4_1_file_layout4,
    nfsv4_1_file_layout_ds_addr4,
)
from pnfs.values import (
    NFS4_UINT64_MAX,
    DataServer,
    LayoutReport,
    LayoutRequest,
    LayoutSegment,
    PlaceRequest,
    Placement,
)
from pnfs.xdr.errors import XDRError

STRIPE_UNIT_STEP = 65536
"""Stripe units are multiples of this: old clients want those of a page."""

COLUMNS_LIMIT = 59
"""So many filehandles of 64 bytes fit in the 4096 bytes of a layout that Linux takes."""

UNSTRIPED_UNIT = 1 << 30
"""The unit of a file with one column, where it only must not split requests."""


@implementer(ILayoutDriver)
class FilesLayoutDriver:
    """
    LAYOUT4_NFSV4_1_FILES.
    """

    name = "files"
    layoutType = LAYOUT4_NFSV4_1_FILES

    def place(self, request: PlaceRequest, servers: Sequence[DataServer]) -> Placement:
        """
        As L{ILayoutDriver.place}: a column on each of the first data servers.
        """
        usable = [server for server in servers if server.available]
        count = request.stripeCount or min(len(usable), COLUMNS_LIMIT)
        if request.mirrors != 1:
            raise ValueError("the files layout has no mirrors")
        if not 1 <= count <= len(usable):
            raise ValueError(f"{count} columns wanted, {len(usable)} data servers")
        if count > COLUMNS_LIMIT:
            raise ValueError(f"{count} columns wanted, {COLUMNS_LIMIT} allowed")
        unit = request.stripeUnit if count > 1 else 0
        if count > 1 and not (
            0 < unit <= NFL4_UFLG_STRIPE_UNIT_SIZE_MASK and unit % STRIPE_UNIT_STEP == 0
        ):
            raise ValueError(f"a stripe unit of {unit} bytes")
        columns = tuple([(server.uuid,) for server in usable[:count]])
        return Placement(self.name, unit, columns, request.name)

    def supports(self, placement: Placement) -> bool:
        """
        As L{ILayoutDriver.supports}: any striping, if each column is there once.
        """
        if placement.chunk or not 1 <= len(placement.columns) <= COLUMNS_LIMIT:
            return False
        unit = placement.stripeUnit
        if len(placement.columns) > 1 and (
            unit <= 0 or unit & ~NFL4_UFLG_STRIPE_UNIT_SIZE_MASK
        ):
            return False
        return all(len(column) == 1 for column in placement.columns)

    def grant(
        self, request: LayoutRequest, placement: Placement
    ) -> Sequence[LayoutSegment]:
        """
        As L{ILayoutDriver.grant}.
        """
        body = fileLayout.encode(
            nfsv4_1_file_layout4(
                nfl_deviceid=request.deviceid(
                    tuple([column[0] for column in placement.columns])
                ),
                nfl_util=(
                    placement.stripeUnit
                    if len(placement.columns) > 1
                    else UNSTRIPED_UNIT
                ),
                nfl_first_stripe_index=0,
                nfl_pattern_offset=0,
                nfl_fh_list=[request.handle] * len(placement.dataServers),
            )
        )
        if len(body) > request.maxcount:
            raise ValueError(f"{len(body)} bytes, {request.maxcount} allowed")
        return (LayoutSegment(0, NFS4_UINT64_MAX, request.iomode, body),)

    def device(self, servers: Sequence[DataServer]) -> bytes:
        """
        As L{ILayoutDriver.device}: a server in several columns is listed once.
        """
        distinct = list(dict.fromkeys(server.uuid for server in servers))
        byUUID = {server.uuid: server for server in servers}
        place = {uuid: index for index, uuid in enumerate(distinct)}
        return fileDevice.encode(
            nfsv4_1_file_layout_ds_addr4(
                [place[server.uuid] for server in servers],
                [netaddrsOf(byUUID[uuid]) for uuid in distinct],
            )
        )

    def decodeReturn(self, body: bytes) -> LayoutReport:
        """
        As L{ILayoutDriver.decodeReturn}: this type has no body.
        """
        if body:
            raise XDRError("a body in the return of a files layout")
        return LayoutReport()

    def decodeStatistics(self, body: bytes) -> Optional[bytes]:
        """
        As L{ILayoutDriver.decodeStatistics}: this type has no body.
        """
        if body:
            raise XDRError("a body in the statistics of a files layout")
        return None
