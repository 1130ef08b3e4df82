# -*- test-case-name: tests.nfs3.procs.test_attributes -*-
"""
Types of NFSv3 that several procedures share (RFC 1813, section 2.5 and 2.6).
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import Annotated, Any, Optional

import attrs

from pnfs.rpc.message import Buffer
from pnfs.values import NOW, FileType, ObjectAttributes, SetAttributes
from pnfs.xdr.codec import REFUSED, Fixed, Maybe, Union, codecFor
from pnfs.xdr.errors import XDRError

NFS_PROGRAM = 100003
NFS_V3 = 3

NFS3_FHSIZE = 64
NFS3_WRITEVERFSIZE = 8
MAX_FILE_SIZE = (1 << 63) - 1

ACCESS3_READ = 0x0001
ACCESS3_LOOKUP = 0x0002
ACCESS3_MODIFY = 0x0004
ACCESS3_EXTEND = 0x0008
ACCESS3_DELETE = 0x0010
ACCESS3_EXECUTE = 0x0020

DONT_CHANGE = 0
SET_TO_SERVER_TIME = 1
SET_TO_CLIENT_TIME = 2

uint32 = Annotated[int, Fixed("I")]
uint64 = Annotated[int, Fixed("Q")]

NO_ATTRIBUTES = bytes(4)
"""C{post_op_attr} or C{pre_op_attr}: they do not follow."""

NO_WCC = bytes(8)
"""C{wcc_data} without either half."""

_BILLION = 1_000_000_000
_length = struct.Struct(">I").unpack_from
_fattr3 = struct.Struct(">5I2Q2I2Q6I").pack


@attrs.define
class nfstime3:
    """
    @ivar seconds: since the epoch; C{nseconds}: below 10**9.
    """

    seconds: uint32
    nseconds: uint32


_set_time = Annotated[
    Any,
    Union(
        {
            DONT_CHANGE: None,
            SET_TO_SERVER_TIME: None,
            SET_TO_CLIENT_TIME: nfstime3,
        },
        REFUSED,
    ),
]


@attrs.define
class sattr3:
    """
    Attributes to set; None leaves one alone. The times are pairs of C{time_how}
    and, for the client's time, a L{nfstime3}.
    """

    mode: Annotated[Optional[int], Maybe(uint32)]
    uid: Annotated[Optional[int], Maybe(uint32)]
    gid: Annotated[Optional[int], Maybe(uint32)]
    size: Annotated[Optional[int], Maybe(uint64)]
    atime: _set_time
    mtime: _set_time


@attrs.define
class SETATTR3rest:
    """
    C{SETATTR3args} behind the filehandle.

    @ivar guard: the ctime that the object must have, or None.
    """

    new_attributes: sattr3
    guard: Annotated[Optional[nfstime3], Maybe(nfstime3)]


setattrCodec = codecFor(SETATTR3rest)


def decodeFH(buf: Buffer, pos: int) -> tuple[bytes, int]:
    """
    Decode an C{nfs_fh3}.

    @return: the handle, which may be longer than any handle can be (BADHANDLE),
        and what follows it.
    @raise XDRError: it is cut off.
    """
    try:
        (length,) = _length(buf, pos)
    except struct.error:
        raise XDRError("a filehandle is cut off") from None
    pos += 4
    end = pos + (length + 3 & ~3)
    if end > len(buf):
        raise XDRError("a filehandle is cut off")
    return bytes(buf[pos : pos + length]), end


def setAttributes(wanted: sattr3) -> SetAttributes:
    """
    What a backend is asked to change.

    @raise ValueError: a time has a thousand million nanoseconds or more.
    """
    return SetAttributes(
        mode=None if wanted.mode is None else wanted.mode & 0o7777,
        uid=wanted.uid,
        gid=wanted.gid,
        size=wanted.size,
        atime=_nanoseconds(wanted.atime),
        mtime=_nanoseconds(wanted.mtime),
    )


def _nanoseconds(how: tuple[int, Any]) -> Optional[int]:
    """
    A time to set, as backends want it.
    """
    kind, time = how
    if kind == DONT_CHANGE:
        return None
    if kind == SET_TO_SERVER_TIME:
        return NOW
    if time.nseconds >= _BILLION:
        raise ValueError("nseconds")
    return int(time.seconds * _BILLION + time.nseconds)


def time3(nanoseconds: int) -> tuple[int, int]:
    """
    Seconds and nanoseconds of an C{nfstime3}. It has 32 bits: what lies before
    1970 or after 2106 is told as the nearest time there is.
    """
    seconds, rest = divmod(nanoseconds, _BILLION)
    if 0 <= seconds <= 0xFFFFFFFF:
        return seconds, rest
    return (0, 0) if seconds < 0 else (0xFFFFFFFF, _BILLION - 1)


def fileid3(name: bytes) -> int:
    """
    A number for a data file, the same at every start. Never 0.
    """
    digest = blake2b(name, digest_size=8).digest()
    return int.from_bytes(digest, "big") or 1


def encodeFattr(
    attributes: ObjectAttributes,
    fsid: int,
    fileid: int,
    ftype: int = FileType.REG,
) -> bytes:
    """
    Encode C{fattr3} (84 bytes).
    """
    return _fattr3(
        ftype,
        attributes.mode,
        1 if ftype == FileType.REG else 2,
        attributes.uid,
        attributes.gid,
        attributes.size,
        attributes.used,
        0,
        0,
        fsid,
        fileid,
        *time3(attributes.atime),
        *time3(attributes.mtime),
        *time3(attributes.ctime),
    )


def encodeWCC(after: bytes) -> bytes:
    """
    Encode C{wcc_data}. Others may have written between a look before and the
    operation, so the first half is never given.

    @param after: C{fattr3}.
    """
    return b"\0\0\0\0\0\0\0\1" + after
