# -*- test-case-name: tests.client.test_mount -*-
"""
Deviceids and what they stand for: asked once, until the server says otherwise.
"""

from __future__ import annotations

import struct
from typing import Any, Optional, Sequence

from pnfs.client.dataservers import NFS3, DataFile, DataServers
from pnfs.client.layout import (
    Device,
    FileOnServer,
    Layout,
    decodeDevice,
    decodeLayout,
    devicesOf,
)
from pnfs.client.nfs3file import NFS3DataFile
from pnfs.nfs4 import requests
from pnfs.nfs4.types import ANONYMOUS_STATEID
from pnfs.rpc.auth import encodeAuthSys
from pnfs.xdr.errors import XDRError

_GETDEVICEINFO = 47
_MOST_KNOWN = 4096
_DEVICE_BYTES = 1 << 16


class Devices:
    """
    The devices of one metadata server.
    """

    def __init__(self, mount: Any, servers: DataServers) -> None:
        """
        @param mount: L{pnfs.client.mount.Mount}.
        """
        self._mount = mount
        self._servers = servers
        self._known: dict[bytes, Device] = {}

    async def find(self, deviceid: bytes, layoutType: int) -> Device:
        """
        What a deviceid stands for.

        @raise NFSError: the server does not know it.
        @raise XDRError: we do not understand it.
        """
        found = self._known.get(deviceid)
        if found is None:
            results = await self._mount.compound(
                [requests.getdeviceinfo(deviceid, layoutType, _DEVICE_BYTES)], 1
            )
            results.operation(_GETDEVICEINFO)
            if results.uint32() != layoutType:
                raise XDRError("a device of another layout type")
            found = decodeDevice(layoutType, results.opaque(_DEVICE_BYTES))
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[deviceid] = found
        return found

    def forget(self, deviceids: Sequence[bytes]) -> None:
        """
        Ask again for these when they are next met.
        """
        for deviceid in deviceids:
            self._known.pop(deviceid, None)

    async def layout(
        self, segments: Sequence[tuple[int, int, int, int, bytes]], file: Any
    ) -> Layout:
        """
        The first segment of a layout, ready for use.

        @param file: L{pnfs.client.file.File}.
        @raise XDRError: it makes no sense, or needs what we cannot do.
        @raise NFSError: the server does not know a device.
        """
        if not segments:
            raise XDRError("a layout without segments")
        segment = segments[0]
        layoutType, body = segment[3:]
        devices = {
            deviceid: await self.find(deviceid, layoutType)
            for deviceid in dict.fromkeys(devicesOf(layoutType, body))
        }
        return decodeLayout(
            segment,
            devices,
            self._mount.session.ioBytes,
            lambda what: self._open(what, file),
            _usable,
            file.fh,
        )

    def _open(self, what: FileOnServer, file: Any) -> DataFile:
        """
        A data file, to be reached with the protocol that its device speaks.
        """
        device = what.device
        addresses = device.servers[what.index]
        minor = self._mount.session.minor
        if device.versions is not None:
            version, minor, *_, tight = device.versions[what.version]
            if version == 3:
                return self._openNFS3(what)
            if not tight:
                credential = _credential(what)
                found = DataFile(
                    self._mount.clock,
                    self._servers.find(addresses, minor, credential),
                    what.fh,
                    ANONYMOUS_STATEID,
                )
                found.deviceid = what.deviceid
                return found
        # The open stateid, its seqid zero: whichever is the newest (RFC 8881,
        # section 13.9.1).
        stateid = what.stateid or bytes(4) + file.stateid[4:]
        found = DataFile(
            self._mount.clock, self._servers.find(addresses, minor), what.fh, stateid
        )
        found.deviceid = what.deviceid
        return found

    def _openNFS3(self, what: FileOnServer) -> DataFile:
        server = self._servers.find(what.device.servers[what.index], NFS3)
        credential = _credential(what)
        found = NFS3DataFile(self._mount.clock, server, what.fh, credential)
        found.deviceid = what.deviceid
        return found

    async def close(self) -> None:
        """
        Leave all data servers.
        """
        await self._servers.close()


def _credential(what: FileOnServer) -> bytes:
    """
    The user that a layout says to be (RFC 8435, section 2.2).

    @raise XDRError: it is not given as a number.
    """
    try:
        return encodeAuthSys(int(what.user), int(what.group))
    except (ValueError, struct.error):
        raise XDRError(f"no uid and gid: {what.user!r}, {what.group!r}") from None


def _usable(device: Device) -> Optional[int]:
    """
    The protocol to speak: NFSv4.1 or 4.2 rather than NFSv3.
    """
    if device.versions is None:
        return 0
    best: Optional[int] = None
    for index, (version, minor, *_) in enumerate(device.versions):
        if version == 4 and minor in (1, 2):
            return index
        if version == 3 and best is None:
            best = index
    return best
