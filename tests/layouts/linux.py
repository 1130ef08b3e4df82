"""
What a Linux client (6.1 and later) makes of the bodies it is sent, read with nothing
but C{struct}. Each rule that it refuses a body for is an C{AssertionError} here.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import Any

BODY_LIMIT = 4096


class Wire:
    """
    Bytes read from the front.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.pos = 0

    def take(self, form: str) -> Any:
        """
        One fixed value.
        """
        (value,) = struct.unpack_from(">" + form, self.data, self.pos)
        self.pos += struct.calcsize(">" + form)
        return value

    def opaque(self) -> bytes:
        """
        A counted byte string with its padding, which is zero.
        """
        size = self.take("I")
        value = self.data[self.pos : self.pos + size]
        padding = self.data[self.pos + size : self.pos + size + -size % 4]
        assert len(value) == size and not padding.strip(b"\0")
        self.pos += size + len(padding)
        return value

    def end(self) -> None:
        """
        Nothing is left over.
        """
        assert self.pos == len(self.data), f"{len(self.data) - self.pos} bytes left"


def addresses(wire: Wire) -> list[tuple[str, int]]:
    """
    A list of C{netaddr4}: the host must be numeric, and fit the transport's name.
    """
    found = []
    for _ in range(wire.take("I")):
        netid = wire.opaque().decode("ascii")
        text = wire.opaque().decode("ascii")
        assert len(text) <= 70
        host, high, low = text.rsplit(".", 2)
        version = ipaddress.ip_address(host).version
        assert netid == {4: "tcp", 6: "tcp6"}[version]
        assert 0 <= int(high) <= 255 and 0 <= int(low) <= 255
        found.append((host, int(high) * 256 + int(low)))
    assert found, "no address that can be used"
    return found


def filesDevice(body: bytes) -> tuple[list[int], list[list[tuple[str, int]]]]:
    """
    C{nfsv4_1_file_layout_ds_addr4}: stripe indices and address lists.
    """
    wire = Wire(body)
    count = wire.take("I")
    assert 0 < count <= 4096
    indices = [wire.take("I") for _ in range(count)]
    servers = wire.take("I")
    assert 0 < servers <= 256
    lists = [addresses(wire) for _ in range(servers)]
    wire.end()
    assert all(index < servers for index in indices)
    return indices, lists


def filesLayout(body: bytes, stripes: int, servers: int) -> tuple[bytes, int, bytes]:
    """
    C{nfsv4_1_file_layout4} of a whole file: device ID, stripe unit, and the
    filehandle for all data servers.
    """
    assert len(body) <= BODY_LIMIT
    wire = Wire(body)
    deviceid = wire.take("16s")
    util = wire.take("I")
    assert not util & 1, "dense"
    assert not util & 2, "commits through the metadata server"
    unit = util & ~63
    assert unit and unit % 65536 == 0
    assert wire.take("I") < stripes
    assert wire.take("Q") == 0
    handles = [wire.opaque() for _ in range(wire.take("I"))]
    wire.end()
    # Linux takes a layout with one filehandle for one that is not striped.
    assert len(handles) == servers
    assert all(0 < len(handle) <= 128 for handle in handles)
    return deviceid, unit, handles[0]


def flexDevice(body: bytes) -> tuple[list[tuple[str, int]], tuple[int, ...]]:
    """
    C{ff_device_addr4}: addresses, and the first version, which is the one used:
    version, minor version, read size, write size, tightly coupled.
    """
    wire = Wire(body)
    hosts = addresses(wire)
    versions = [tuple(wire.take("I") for _ in range(5)) for _ in range(wire.take("I"))]
    wire.end()
    version, minor, rsize, wsize, tight = versions[0]
    assert (version, minor) in ((3, 0), (4, 0), (4, 1), (4, 2))
    assert rsize and wsize and tight in (0, 1)
    return hosts, versions[0]


def flexLayout(body: bytes, versionThree: bool = False) -> list[tuple[Any, ...]]:
    """
    C{ff_layout4}: the mirrors in the order in which they are read: device ID,
    efficiency, stateid, filehandle, user, group.
    """
    assert len(body) <= BODY_LIMIT
    wire = Wire(body)
    assert wire.take("Q") == 0
    mirrors = []
    for _ in range(wire.take("I")):
        assert wire.take("I") == 1, "one data server in each mirror"
        deviceid, efficiency, stateid = (
            wire.take("16s"),
            wire.take("I"),
            wire.take("16s"),
        )
        handles = [wire.opaque() for _ in range(wire.take("I"))]
        assert handles
        assert 0 < len(handles[0]) <= (64 if versionThree else 128)
        owner = []
        for _ in range(2):
            text = wire.opaque().decode("ascii")
            assert len(text) < 16 and text.isdigit()
            assert text == "0" or text[0] != "0", "would be read as octal"
            owner.append(int(text))
        mirrors.append((deviceid, efficiency, stateid, handles[0], *owner))
    assert 0 < len(mirrors) <= 4096
    assert wire.take("I") == 0, "flags"
    wire.take("I")
    wire.end()
    return sorted(mirrors, key=lambda mirror: -mirror[1])
