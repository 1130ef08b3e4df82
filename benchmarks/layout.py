"""
Where the bytes of a file are, by its files layout (RFC 8881, section 13).
"""

from __future__ import annotations

from typing import Iterator

import attrs

from benchmarks import wire
from benchmarks.session import Session
from benchmarks.wire import AFTER_SEQUENCE, Results


@attrs.frozen
class Column:
    """
    One data server's part of a file.

    @ivar fh: the filehandle there.
    @ivar index: its place among the C{width} columns, as stripes come round.
    """

    host: str
    port: int
    fh: bytes
    index: int
    width: int
    unit: int

    def offsets(self, size: int, fileSize: int, start: int) -> Iterator[int]:
        """
        The offsets of pieces of C{size} bytes that are here, round and round.

        @param start: with which piece to begin.
        """
        # The stripe of a file that is not striped may be longer than the file.
        unit = min(self.unit, fileSize)
        stripes = range(self.index, fileSize // unit, self.width)
        pieces = unit // size
        count = start
        while True:
            stripe, piece = divmod(count % (len(stripes) * pieces), pieces)
            yield stripes[stripe] * unit + piece * size
            count += 1


def columns(session: Session, fh: bytes, stateid: bytes) -> list[Column]:
    """
    The data servers of an open file.
    """
    found = session.run(wire.putfh(fh), wire.layoutget(stateid))
    found.pos = AFTER_SEQUENCE + 8 + 8 + 4 + 16 + 4 + 16 + 8
    body = Results(found.opaque())
    deviceid = body.fixed(16)
    util, first = body.ints(2)
    body.pos += 8
    (count,) = body.ints(1)
    handles = [body.opaque() for _ in range(count)]
    found = session.run(wire.getdeviceinfo(deviceid))
    found.pos += 12
    device = Results(found.opaque())
    (count,) = device.ints(1)
    indices = device.ints(count)
    (count,) = device.ints(1)
    servers = []
    for _ in range(count):
        addresses = []
        for _ in range(device.ints(1)[0]):
            device.opaque()
            addresses.append(device.opaque().decode())
        servers.append(addresses[0])
    result = []
    width = len(indices)
    for index in range(width):
        server = indices[(index + first) % width]
        host, high, low = servers[server].rsplit(".", 2)
        handle = handles[server] if len(handles) > 1 else handles[0]
        port = int(high) << 8 | int(low)
        result.append(Column(host, port, handle, index, width, util & ~0x3F))
    return result
