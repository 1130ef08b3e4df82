"""
Layouts, and what clients say of them.
"""

from __future__ import annotations

import enum
from typing import Any

import attrs

NFS4_UINT64_MAX = 0xFFFFFFFFFFFFFFFF
"""The length that means "to the end of the file" (RFC 8881, section 3.3)."""


class IOMode(enum.IntEnum):
    """
    C{layoutiomode4} (RFC 8881, section 3.3.20).
    """

    READ = 1
    RW = 2
    ANY = 3


@attrs.frozen
class LayoutRequest:
    """
    A LAYOUTGET that may be granted (RFC 8881, section 18.43).

    @ivar minlength: bytes from C{offset} on that must be in it, at least one.
    @ivar handle: the capability filehandle for the data servers, minted by the core
        for this placement, epoch and iomode: the same one for all of them.
    @ivar stateid: 16 bytes for C{ffds_stateid}.
    @ivar uid: the file's owner, for loosely coupled servers.
    @ivar tightlyCoupled: none of the file's servers is loosely coupled.
    @ivar deviceid: gives the 16-byte deviceid for an ordered tuple of UUIDs, and
        remembers what it means.
    """

    iomode: int
    offset: int
    length: int
    minlength: int
    maxcount: int
    handle: bytes
    stateid: bytes
    uid: int
    gid: int
    deviceid: Any
    tightlyCoupled: bool = False


@attrs.frozen
class LayoutSegment:
    """
    One C{layout4} (RFC 8881, section 3.3.13): a range and an encoded body.
    """

    offset: int
    length: int
    iomode: int
    body: bytes


@attrs.frozen
class DeviceError:
    """
    A client could not use a device (RFC 8435 section 9.1, RFC 7862 section 15.6).

    @ivar status: nfsstat4; opnum: the operation that failed.
    """

    deviceid: bytes
    offset: int
    length: int
    status: int
    opnum: int


@attrs.frozen
class DeviceStatistics:
    """
    I/O of a client on a device, cumulative (RFC 8435 section 9.2).
    """

    deviceid: bytes
    readCount: int
    readBytes: int
    writeCount: int
    writeBytes: int


@attrs.frozen
class LayoutReport:
    """
    What a client says about its devices in LAYOUTRETURN or LAYOUTSTATS.
    """

    errors: tuple[DeviceError, ...] = ()
    statistics: tuple[DeviceStatistics, ...] = ()
