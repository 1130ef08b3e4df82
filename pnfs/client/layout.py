# -*- test-case-name: tests.client.test_layout -*-
"""
Layouts as the client reads them: which data file of which server holds which bytes.

A layout of either type becomes the same thing here: stripe columns, and in each
column the mirrors of it.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping, Optional, Sequence

import attrs
from twisted.internet.defer import Deferred

from pnfs.client.dataservers import Address, DataFile, parseNetaddr
from pnfs.layouts.files_xdr import (
    LAYOUT4_NFSV4_1_FILES,
    NFL4_UFLG_COMMIT_THRU_MDS,
    NFL4_UFLG_DENSE,
    NFL4_UFLG_STRIPE_UNIT_SIZE_MASK,
    fileDevice,
    fileLayout,
)
from pnfs.layouts.flexfiles_xdr import (
    FF_FLAGS_NO_LAYOUTCOMMIT,
    LAYOUT4_FLEX_FILES,
    flexDevice,
    flexLayout,
)
from pnfs.values import NFS4_UINT64_MAX
from pnfs.xdr.errors import XDRError

SUPPORTED = (LAYOUT4_FLEX_FILES, LAYOUT4_NFSV4_1_FILES)


@attrs.frozen
class Device:
    """
    What a deviceid stands for.

    @ivar servers: the addresses of each data server of it.
    @ivar columns: for each stripe, an index into C{servers}.
    @ivar versions: (version, minor version, read size, write size, tightly coupled)
        of each protocol spoken; None: that of the metadata server.
    """

    servers: tuple[tuple[Address, ...], ...]
    columns: tuple[int, ...]
    versions: Optional[tuple[tuple[int, int, int, int, bool], ...]] = None


def decodeDevice(layoutType: int, body: bytes) -> Device:
    """
    Decode C{da_addr_body}.

    @raise XDRError: it is malformed, or of a type that we do not know.
    """
    if layoutType == LAYOUT4_NFSV4_1_FILES:
        files, _ = fileDevice.decode(body, 0)
        servers = [_addresses(each) for each in files.nflda_multipath_ds_list]
        columns = files.nflda_stripe_indices
        if not columns or max(columns) >= len(servers):
            raise XDRError("a stripe without a data server")
        return Device(tuple(servers), tuple(columns))
    if layoutType != LAYOUT4_FLEX_FILES:
        raise XDRError(f"a device of layout type {layoutType}")
    flex, _ = flexDevice.decode(body, 0)
    versions = [
        (
            each.ffdv_version,
            each.ffdv_minorversion,
            each.ffdv_rsize,
            each.ffdv_wsize,
            each.ffdv_tightly_coupled,
        )
        for each in flex.ffda_versions
    ]
    return Device((_addresses(flex.ffda_netaddrs),), (0,), tuple(versions))


def _addresses(listed: Sequence[Any]) -> tuple[Address, ...]:
    found = tuple(
        parseNetaddr(each) for each in listed if each.na_r_netid in (b"tcp", b"tcp6")
    )
    if not found:
        raise XDRError("a data server without an address for TCP")
    return found


@attrs.define(eq=False)
class Layout:
    """
    A layout segment in use.

    @ivar layoutType: C{layouttype4}; iomode: as granted.
    @ivar offset: first byte that it is for; end: the one after the last.
    @ivar unit: bytes of a stripe unit.
    @ivar columns: for each stripe, the mirrors, best first.
    @ivar first: the column of the first unit; pattern: where that begins.
    @ivar dense: the data files have no holes where other columns are.
    @ivar most: largest READ or WRITE.
    @ivar commitThroughMDS: COMMIT goes to the metadata server.
    @ivar wantsCommit: LAYOUTCOMMIT is wanted after writing.
    @ivar busy: requests under way that rely on it.
    @ivar deviceErrors: (deviceid, offset, length, status, opnum) of what failed.
    """

    layoutType: int
    iomode: int
    offset: int
    end: int
    unit: int
    columns: Sequence[Sequence[DataFile]]
    most: int
    first: int = 0
    pattern: int = 0
    dense: bool = False
    commitThroughMDS: bool = False
    wantsCommit: bool = True
    busy: int = 0
    deviceErrors: list[tuple[bytes, int, int, int, int]] = attrs.Factory(list)
    _idle: list[Deferred[None]] = attrs.Factory(list)

    def pieces(self, offset: int, length: int) -> list[tuple[int, int, int, int]]:
        """
        Cut a range into requests.

        @return: column, offset in the file, offset in the data file, and length of
            each, in order.
        """
        most = self.most
        columns = len(self.columns)
        end = offset + length
        if columns == 1 and not self.dense:
            if length <= most:
                return [(0, offset, offset, length)]
            return [
                (0, start, start, min(most, end - start))
                for start in range(offset, end, most)
            ]
        found = []
        unit = self.unit
        while offset < end:
            number, inside = divmod(offset - self.pattern, unit)
            size = min(unit - inside, most, end - offset)
            place = number // columns * unit + inside if self.dense else offset
            found.append(((number + self.first) % columns, offset, place, size))
            offset += size
        return found

    def covered(self, offset: int, length: int) -> int:
        """
        How much of the beginning of a range it is for.
        """
        if not self.offset <= offset < self.end:
            return 0
        return min(length, self.end - offset)

    def release(self) -> None:
        """
        A request that relied on it has ended.
        """
        self.busy -= 1
        if not self.busy and self._idle:
            waiting, self._idle = self._idle, []
            for each in waiting:
                each.callback(None)

    async def idle(self) -> None:
        """
        Wait until nothing relies on it.
        """
        while self.busy:
            waiter: Deferred[None] = Deferred()
            self._idle.append(waiter)
            await waiter


def devicesOf(layoutType: int, body: bytes) -> list[bytes]:
    """
    The deviceids that a layout's body names.

    @raise XDRError: it is malformed, or of a type that we do not know.
    """
    if layoutType == LAYOUT4_NFSV4_1_FILES:
        return [fileLayout.decode(body, 0)[0].nfl_deviceid]
    if layoutType != LAYOUT4_FLEX_FILES:
        raise XDRError(f"layout type {layoutType}")
    return [
        server.ffds_deviceid
        for mirror in flexLayout.decode(body, 0)[0].ffl_mirrors
        for server in mirror.ffm_data_servers
    ]


@attrs.frozen
class FileOnServer:
    """
    A data file as a layout names it.

    @ivar index: of the server in the device; version: of the protocol in it.
    @ivar stateid: None for that of the open file.
    @ivar user: as which to speak to a loosely coupled server, with C{group}.
    """

    deviceid: bytes
    device: Device
    fh: bytes
    index: int = 0
    version: int = 0
    stateid: Optional[bytes] = None
    user: bytes = b""
    group: bytes = b""


OpenFile = Callable[[FileOnServer], DataFile]


def decodeLayout(
    segment: tuple[int, int, int, int, bytes],
    devices: Mapping[bytes, Device],
    ioBytes: int,
    openFile: OpenFile,
    usable: Callable[[Device], Optional[int]],
    mainFH: bytes,
) -> Layout:
    """
    Make a layout usable.

    @param segment: offset, length, iomode, layout type and body.
    @param devices: those of L{devicesOf}.
    @param openFile: makes a L{DataFile}.
    @param usable: which of a device's versions to speak; None if we speak none.
    @param mainFH: the file's filehandle at the metadata server.
    @raise XDRError: it is malformed or does not fit the devices.
    """
    offset, length, iomode, layoutType, body = segment
    end = NFS4_UINT64_MAX if length == NFS4_UINT64_MAX else offset + length
    if layoutType == LAYOUT4_NFSV4_1_FILES:
        files, _ = fileLayout.decode(body, 0)
        device = devices[files.nfl_deviceid]
        dense = bool(files.nfl_util & NFL4_UFLG_DENSE)
        handles = files.nfl_fh_list or [mainFH]
        columns = []
        for column, server in enumerate(device.columns):
            place = 0 if len(handles) == 1 else column if dense else server
            if place >= len(handles):
                raise XDRError("a stripe without a filehandle")
            columns.append(
                [
                    openFile(
                        FileOnServer(files.nfl_deviceid, device, handles[place], server)
                    )
                ]
            )
        unit = files.nfl_util & NFL4_UFLG_STRIPE_UNIT_SIZE_MASK
        if not unit:
            raise XDRError("a stripe unit of nothing")
        return Layout(
            layoutType,
            iomode,
            max(offset, files.nfl_pattern_offset),
            end,
            unit,
            columns,
            ioBytes,
            files.nfl_first_stripe_index,
            files.nfl_pattern_offset,
            dense,
            bool(files.nfl_util & NFL4_UFLG_COMMIT_THRU_MDS),
        )
    flex, _ = flexLayout.decode(body, 0)
    if not flex.ffl_mirrors:
        raise XDRError("a layout without mirrors")
    count = len(flex.ffl_mirrors[0].ffm_data_servers)
    unit = flex.ffl_stripe_unit
    if count > 1 and not unit:
        raise XDRError("a stripe unit of nothing")
    mirrors: list[list[tuple[int, DataFile]]] = [[] for _ in range(count)]
    most = ioBytes
    for mirror in flex.ffl_mirrors:
        if len(mirror.ffm_data_servers) != count or not count:
            raise XDRError("mirrors of different shapes")
        for column, said in enumerate(mirror.ffm_data_servers):
            device = devices[said.ffds_deviceid]
            version = usable(device)
            if version is None or version >= len(said.ffds_fh_vers):
                raise XDRError("a data server that speaks nothing we know")
            if device.versions is not None:
                _, _, rsize, wsize, _ = device.versions[version]
                most = min(most, rsize or most, wsize or most)
            file = openFile(
                FileOnServer(
                    said.ffds_deviceid,
                    device,
                    said.ffds_fh_vers[version],
                    0,
                    version,
                    said.ffds_stateid,
                    said.ffds_user,
                    said.ffds_group,
                )
            )
            mirrors[column].append((-said.ffds_efficiency, file))
    return Layout(
        layoutType,
        iomode,
        offset,
        end,
        unit or most,
        [
            [file for _, file in sorted(each, key=lambda one: one[0])]
            for each in mirrors
        ],
        most,
        wantsCommit=not flex.ffl_flags & FF_FLAGS_NO_LAYOUTCOMMIT,
    )
