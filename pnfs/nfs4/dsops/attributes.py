# -*- test-case-name: tests.nfs4.dsops.test_attributes -*-
"""
The attributes that a data server knows of its objects, on the wire
(RFC 8881, section 5).
"""

from __future__ import annotations

import struct
from typing import Any, Callable, Optional

from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import encodeBitmap, fattr4
from pnfs.values import NOW, FSStatistics, FileType, ObjectAttributes, SetAttributes
from pnfs.xdr.codec import PAD
from pnfs.xdr.errors import XDRError

SUPPORTED_ATTRS = 0
TYPE = 1
CHANGE = 3
SIZE = 4
LEASE_TIME = 10
MAXREAD = 30
MAXWRITE = 31
MODE = 33
OWNER = 36
OWNER_GROUP = 37
SPACE_AVAIL = 42
SPACE_FREE = 43
SPACE_TOTAL = 44
SPACE_USED = 45
TIME_ACCESS = 47
TIME_ACCESS_SET = 48
TIME_METADATA = 52
TIME_MODIFY = 53
TIME_MODIFY_SET = 54
CLONE_BLKSIZE = 77

_u32 = struct.Struct(">I").pack
_u64 = struct.Struct(">Q").pack
_time = struct.Struct(">qI").pack
_NANO = 1_000_000_000
_U32_MAX = 0xFFFFFFFF


def string(value: int) -> bytes:
    """
    A number as a C{utf8string}.
    """
    text = str(value).encode("ascii")
    return _u32(len(text)) + text + PAD[len(text) & 3]


def nfstime(nanoseconds: int) -> bytes:
    """
    An C{nfstime4}.
    """
    return _time(*divmod(nanoseconds, _NANO))


_OBJECT: dict[int, Callable[[ObjectAttributes], bytes]] = {
    TYPE: lambda a: _u32(FileType.REG),
    CHANGE: lambda a: _u64(a.change),
    SIZE: lambda a: _u64(a.size),
    MODE: lambda a: _u32(a.mode),
    OWNER: lambda a: string(a.uid),
    OWNER_GROUP: lambda a: string(a.gid),
    SPACE_USED: lambda a: _u64(a.used),
    TIME_ACCESS: lambda a: nfstime(a.atime),
    TIME_METADATA: lambda a: nfstime(a.ctime),
    TIME_MODIFY: lambda a: nfstime(a.mtime),
}
_SPACE: dict[int, Callable[[FSStatistics], bytes]] = {
    SPACE_AVAIL: lambda s: _u64(s.spaceAvailable),
    SPACE_FREE: lambda s: _u64(s.spaceFree),
    SPACE_TOTAL: lambda s: _u64(s.spaceTotal),
    CLONE_BLKSIZE: lambda s: _u32(s.cloneBlock),
}
_SETTABLE = {SIZE, MODE, OWNER, OWNER_GROUP, TIME_ACCESS_SET, TIME_MODIFY_SET}
_SERVER = {SUPPORTED_ATTRS, LEASE_TIME, MAXREAD, MAXWRITE}
SUPPORTED = sum(
    1 << bit for bit in set(_OBJECT) | set(_SPACE) | set(_SETTABLE) | _SERVER
)


def wantsSpace(wanted: int) -> bool:
    """
    Does a bitmap ask for the space of the storage?
    """
    return any(wanted >> bit & 1 for bit in _SPACE)


def encodeAttributes(
    wanted: int,
    attributes: Optional[ObjectAttributes],
    space: Optional[FSStatistics],
    leaseSeconds: float,
    ioBytes: int,
) -> bytes:
    """
    C{fattr4} with those of the wanted attributes that there are.

    @param attributes: None for the data server itself.
    @raise NFSError: INVAL for one that can only be written.
    """
    if wanted >> TIME_ACCESS_SET & 1 or wanted >> TIME_MODIFY_SET & 1:
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    given = 0
    parts = []
    for bit in range(wanted.bit_length()):
        if not wanted >> bit & 1:
            continue
        if bit == SUPPORTED_ATTRS:
            part = encodeBitmap(SUPPORTED)
        elif bit == LEASE_TIME:
            part = _u32(int(leaseSeconds))
        elif bit in (MAXREAD, MAXWRITE):
            part = _u64(ioBytes)
        elif bit in _SPACE and space is not None:
            part = _SPACE[bit](space)
        elif bit in _OBJECT and attributes is not None:
            part = _OBJECT[bit](attributes)
        elif bit == TYPE:
            part = _u32(FileType.DIR)
        else:
            continue
        given |= 1 << bit
        parts.append(part)
    values = b"".join(parts)
    return encodeBitmap(given) + _u32(len(values)) + values


def decodeAttributes(attributes: fattr4) -> SetAttributes:
    """
    What a SETATTR or OPEN asks to set.

    @raise NFSError: ATTRNOTSUPP, INVAL, BADOWNER.
    @raise XDRError: the values do not fit the bitmap.
    """
    mask = attributes.attrmask
    if mask & ~SUPPORTED:
        raise NFSError(nfsstat4.NFS4ERR_ATTRNOTSUPP)
    fields: dict[str, Any] = {}
    buf, pos = attributes.attr_vals, 0
    try:
        for bit in range(mask.bit_length()):
            if not mask >> bit & 1:
                continue
            if bit == SIZE:
                (fields["size"],) = struct.unpack_from(">Q", buf, pos)
                pos += 8
            elif bit == MODE:
                (mode,) = struct.unpack_from(">I", buf, pos)
                fields["mode"] = mode & 0o7777
                pos += 4
            elif bit in (OWNER, OWNER_GROUP):
                (length,) = struct.unpack_from(">I", buf, pos)
                text = buf[pos + 4 : pos + 4 + length]
                if not (text.isdigit() and len(text) <= 10 and int(text) <= _U32_MAX):
                    raise NFSError(nfsstat4.NFS4ERR_BADOWNER)
                fields["uid" if bit == OWNER else "gid"] = int(text)
                pos += 4 + length + (-length & 3)
            elif bit in (TIME_ACCESS_SET, TIME_MODIFY_SET):
                name = "atime" if bit == TIME_ACCESS_SET else "mtime"
                (how,) = struct.unpack_from(">I", buf, pos)
                pos += 4
                if how == 0:
                    fields[name] = NOW
                    continue
                seconds, nanoseconds = struct.unpack_from(">qI", buf, pos)
                if how != 1 or nanoseconds >= _NANO:
                    raise NFSError(nfsstat4.NFS4ERR_INVAL)
                fields[name] = seconds * _NANO + nanoseconds
                pos += 12
            else:
                raise NFSError(nfsstat4.NFS4ERR_INVAL)
    except struct.error:
        raise XDRError("attribute values") from None
    if pos != len(buf):
        raise XDRError("attribute values")
    return SetAttributes(**fields)
