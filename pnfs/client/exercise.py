# -*- test-case-name: tests.client.test_transfer -*-
"""
Write a file through its layouts, read it back, compare: what C{pnfs demo} does.
"""

from __future__ import annotations

from typing import Any

import attrs

from pnfs.client.dataservers import Address
from pnfs.client.mount import SHARE_BOTH, SHARE_READ, Mount
from pnfs.client.placement import describe
from pnfs.client.transfer import Digest, Pattern, Transferred, download, upload


@attrs.frozen
class ServerTraffic:
    """
    Bytes at one data server, and the seconds of the whole transfers.
    """

    address: Address
    written: int
    writeSeconds: float
    read: int
    readSeconds: float

    def describe(self) -> dict[str, Any]:
        """
        For people and programs.
        """
        return {
            "bytes_written": self.written,
            "write_mb_s": round(self.written / 1e6 / max(self.writeSeconds, 1e-9), 1),
            "bytes_read": self.read,
            "read_mb_s": round(self.read / 1e6 / max(self.readSeconds, 1e-9), 1),
        }


@attrs.frozen
class Outcome:
    """
    @ivar same: what was read is what was written.
    @ivar digest: sha256 of what was written, in hex.
    @ivar writeRate: 10**6 bytes per second; C{readRate}: likewise.
    @ivar placement: where it lies, in a line.
    """

    same: bool
    digest: str
    writeRate: float
    readRate: float
    traffic: tuple[ServerTraffic, ...]
    placement: str


async def exercise(
    reactor: Any, host: str, port: int, path: str, size: int, minor: int = 2
) -> Outcome:
    """
    Do it.

    @param path: of the file to write; it stays.
    @param size: bytes.
    @raise NFSError: @raise BackendError: @raise CallFailed: it does not work.
    """
    mount = Mount(reactor, host, port, minor=minor)
    try:
        await mount.connect()
        source = Pattern(size)
        file = await mount.open(path, SHARE_BOTH, create=True, truncate=True)
        complete = False
        try:
            written = await upload(source, file)
            complete = True
        finally:
            await file.close(complete)
        sink = Digest()
        file = await mount.open(path, SHARE_READ)
        try:
            read = await download(file, sink)
            placement = describe(await file.placement())
        finally:
            await file.close()
    finally:
        await mount.close()
    digest = source.sha256.hexdigest()
    return Outcome(
        sink.sha256.hexdigest() == digest and read.count == size,
        digest,
        written.rate,
        read.rate,
        _byServer(written, read),
        placement.line(),
    )


def _byServer(written: Transferred, read: Transferred) -> tuple[ServerTraffic, ...]:
    wrote = {each.address: each.written for each in written.traffic}
    got = {each.address: each.read for each in read.traffic}
    return tuple(
        ServerTraffic(
            address,
            wrote.get(address, 0),
            written.seconds,
            got.get(address, 0),
            read.seconds,
        )
        for address in sorted({**wrote, **got})
    )
