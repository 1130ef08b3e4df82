# -*- test-case-name: tests.state.test_devices -*-
"""
Device IDs: short names of what clients must know to reach data servers.

A device ID is a digest of what it means, so it is the same after a restart and on
every metadata server, and a data server whose address changes gets another one: a
device ID never changes its meaning. One that clients have been told is deleted is not
used again as long as they are here (RFC 8881, section 20.12): if the data server
comes back to where it was before, the digest is another one.
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import Any, Collection, Iterable, Optional, Sequence

import attrs

from pnfs.values import DataServer

DEVICES_LIMIT = 65536


class NoSuchServer(LookupError):
    """
    A placement names a data server that is not configured.
    """


@attrs.frozen(eq=False)
class Device:
    """
    What a device ID means.

    @ivar driver: the L{pnfs.interfaces.ILayoutDriver} that names it to clients.
    @ivar servers: the data servers, in order, as they were when it was made.
    """

    deviceid: bytes
    driver: Any
    servers: tuple[DataServer, ...]


def digestOf(driver: str, servers: Sequence[DataServer]) -> bytes:
    """
    The device ID of an ordered list of data servers under a layout driver.
    """
    digest = blake2b(driver.encode("utf-8"), digest_size=16, person=b"pnfs device")
    for server in servers:
        digest.update(
            struct.pack(
                ">16s3I2Q?",
                server.uuid,
                len(server.addresses),
                *server.version,
                server.readSize,
                server.writeSize,
                server.tightlyCoupled,
            )
        )
        for host, port in server.addresses:
            digest.update(f"{host} {port}\n".encode("utf-8"))
    return digest.digest()


class DeviceTable:
    """
    The data servers, and the device IDs given out.

    @ivar generation: grows whenever device IDs of the same data servers may have
        become others: what was encoded with them before is out of date.
    """

    def __init__(self, servers: Iterable[DataServer] = ()) -> None:
        self.generation = 0
        self._servers: dict[bytes, DataServer] = {}
        self._ids: dict[tuple[str, tuple[bytes, ...]], bytes] = {}
        self._devices: dict[bytes, Device] = {}
        self._bodies: dict[bytes, bytes] = {}
        self._layoutTypes: set[int] = set()
        self._spent: dict[bytes, int] = {}
        self.setServers(servers)

    def __len__(self) -> int:
        return len(self._devices)

    def setServers(self, servers: Iterable[DataServer]) -> set[bytes]:
        """
        Say which data servers there are now. Device IDs given out before keep
        their meaning.

        @return: the UUIDs of those that are reached elsewhere now, or not at all.
        """
        before = self._meanings()
        self._servers = {server.uuid: server for server in servers}
        after = self._meanings()
        if after != before:
            self._ids.clear()
            self.generation += 1
        return {uuid for uuid, old in before.items() if after.get(uuid) != old}

    def outdated(self, uuids: Collection[bytes]) -> list[Device]:
        """
        Those that name one of some data servers, and not as it is now.
        """
        return [
            device
            for device in self._devices.values()
            if any(s.uuid in uuids and not self._stands(s) for s in device.servers)
        ]

    def _stands(self, server: DataServer) -> bool:
        now = self._servers.get(server.uuid)
        return now is not None and digestOf("", [now]) == digestOf("", [server])

    def retire(self, devices: Iterable[Device]) -> list[Device]:
        """
        Forget those of some devices that are (still) outdated: nobody has a layout
        that names them.

        @return: those.
        """
        gone = []
        for device in devices:
            if device.deviceid not in self._devices or all(
                map(self._stands, device.servers)
            ):
                continue
            del self._devices[device.deviceid]
            self._bodies.pop(device.deviceid, None)
            digest = digestOf(device.driver.name, device.servers)
            if len(self._spent) >= DEVICES_LIMIT:
                del self._spent[next(iter(self._spent))]
            self._spent[digest] = self._spent.pop(digest, 0) + 1
            gone.append(device)
        return gone

    def _meanings(self) -> dict[bytes, bytes]:
        return {uuid: digestOf("", [one]) for uuid, one in self._servers.items()}

    def server(self, uuid: bytes) -> DataServer:
        """
        A data server as it is now.

        @raise NoSuchServer: it is not configured.
        """
        server = self._servers.get(uuid)
        if server is None:
            raise NoSuchServer(uuid.hex())
        return server

    def addDriver(self, driver: Any) -> None:
        """
        Clients may ask for devices of this driver's layout type.
        """
        self._layoutTypes.add(driver.layoutType)

    def knows(self, layoutType: int) -> bool:
        """
        Is there a driver of that type?
        """
        return layoutType in self._layoutTypes

    def deviceid(self, driver: Any, uuids: tuple[bytes, ...]) -> bytes:
        """
        The device ID of an ordered list of data servers, remembered.

        @raise NoSuchServer: one of them is not configured.
        """
        key = (driver.name, uuids)
        found = self._ids.get(key)
        if found is None:
            servers = tuple([self.server(uuid) for uuid in uuids])
            found = digestOf(driver.name, servers)
            times = self._spent.get(found)
            if times is not None:
                found = blake2b(b"%d" % times, key=found, digest_size=16).digest()
            if found not in self._devices:
                self._makeRoom()
                self._devices[found] = Device(found, driver, servers)
                self._layoutTypes.add(driver.layoutType)
            self._ids[key] = found
        return found

    def _makeRoom(self) -> None:
        """
        Forget the oldest devices when there are too many. A client that still asks
        for one is told that it is unknown, and gets a new layout.
        """
        while len(self._devices) >= DEVICES_LIMIT:
            oldest = next(iter(self._devices))
            del self._devices[oldest]
            self._bodies.pop(oldest, None)
            self._ids.clear()
            self.generation += 1

    def lookup(self, deviceid: bytes) -> Optional[Device]:
        """
        What a device ID means, or None.
        """
        return self._devices.get(deviceid)

    def body(self, device: Device) -> bytes:
        """
        The device as its driver encodes it (C{da_addr_body}).

        @raise ValueError: a data server has no usable address.
        """
        body = self._bodies.get(device.deviceid)
        if body is None:
            body = device.driver.device(device.servers)
            self._bodies[device.deviceid] = body
        return body
