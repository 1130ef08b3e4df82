# -*- test-case-name: tests.nfs4.test_types -*-
"""
NFSv4 wire types that more than one operation uses (RFC 5662, RFC 7863).

A C{stateid4} is its 16 bytes: 4 of seqid, 12 of C{other}. A C{bitmap4} is an int
whose bit n is attribute n.
"""

from __future__ import annotations

import enum
import struct
from typing import Annotated, Any

import attrs

from pnfs.xdr.codec import Array, Bool, Custom, Fixed, Opaque
from pnfs.xdr.errors import XDRError

uint32_t = Annotated[int, Fixed("I")]
int32_t = Annotated[int, Fixed("i")]
uint64_t = Annotated[int, Fixed("Q")]
int64_t = Annotated[int, Fixed("q")]
bool_t = Annotated[bool, Bool()]

NFS4_FHSIZE = 128
NFS4_OPAQUE_LIMIT = 1024
NFS4_NAME_LIMIT = 255
NFS4_PATH_LIMIT = 4096

changeid4 = Annotated[int, Fixed("Q")]
clientid4 = Annotated[int, Fixed("Q")]
count4 = Annotated[int, Fixed("I")]
length4 = Annotated[int, Fixed("Q")]
offset4 = Annotated[int, Fixed("Q")]
seqid4 = Annotated[int, Fixed("I")]
sequenceid4 = Annotated[int, Fixed("I")]
slotid4 = Annotated[int, Fixed("I")]
sessionid4 = Annotated[bytes, Fixed("16s")]
deviceid4 = Annotated[bytes, Fixed("16s")]
stateid4 = Annotated[bytes, Fixed("16s")]
verifier4 = Annotated[bytes, Fixed("8s")]
nfs_fh4 = Annotated[bytes, Opaque(NFS4_FHSIZE)]
owner4 = Annotated[bytes, Opaque(NFS4_OPAQUE_LIMIT)]
component4 = Annotated[bytes, Opaque(NFS4_PATH_LIMIT)]
"""A name may be longer on the wire than 255 bytes, so that it gets NAMETOOLONG."""
linktext4 = Annotated[bytes, Opaque(NFS4_PATH_LIMIT)]

_U32 = struct.Struct(">I").unpack_from
_TWO = struct.Struct(">III")
_BITMAP_WORDS = 16


def decodeBitmap(buf: Any, pos: int) -> tuple[int, int]:
    """
    C{bitmap4} to an int; words beyond the second are mostly absent.
    """
    (count,) = _U32(buf, pos)
    if count > _BITMAP_WORDS:
        raise XDRError(f"a bitmap of {count} words")
    end = pos + 4 + 4 * count
    if end > len(buf):
        raise XDRError("truncated")
    bits = 0
    for index in range(count):
        bits |= _U32(buf, pos + 4 + 4 * index)[0] << (32 * index)
    return bits, end


def encodeBitmap(bits: int) -> bytes:
    """
    An int to C{bitmap4}, without trailing words of zero.
    """
    count = (bits.bit_length() + 31) >> 5
    return struct.pack(
        f">{count + 1}I",
        count,
        *[(bits >> (32 * index)) & 0xFFFFFFFF for index in range(count)],
    )


bitmap4 = Annotated[int, Custom(decodeBitmap, encodeBitmap)]


@attrs.define
class fattr4:
    """
    Attributes as on the wire (RFC 8881, section 3.3.9).

    @ivar attrmask: which.
    @ivar attr_vals: their values in ascending order, each encoded.
    """

    attrmask: bitmap4
    attr_vals: Annotated[bytes, Opaque(65536)]


@attrs.define
class change_info4:
    """
    How a directory's change attribute moved (RFC 8881, section 3.3.3).
    """

    atomic: bool_t
    before: changeid4
    after: changeid4


@attrs.define
class state_owner4:
    """
    An open or lock owner (RFC 8881, section 3.3.12).
    """

    clientid: clientid4
    owner: owner4


@attrs.define
class netaddr4:
    """
    A universal address (RFC 5665).
    """

    na_r_netid: Annotated[bytes, Opaque(16)]
    na_r_addr: Annotated[bytes, Opaque(128)]


@attrs.define
class nfstime4:
    """
    Seconds since the epoch and nanoseconds.
    """

    seconds: int64_t
    nseconds: uint32_t


deviceid4s = Annotated[list[bytes], Array(deviceid4, 4096)]

ANONYMOUS_STATEID = bytes(16)
"""RFC 8881, section 8.2.3: seqid 0, other all zeros."""
READ_BYPASS_STATEID = b"\xff" * 16
CURRENT_STATEID = b"\0\0\0\1" + bytes(12)
INVALID_STATEID = b"\xff\xff\xff\xff" + bytes(12)


class nfs_opnum4(enum.IntEnum):
    """
    Operation numbers (RFC 8881 section 16.2.3, RFC 7862 section 15, RFC 8276).
    """

    OP_ACCESS = 3
    OP_CLOSE = 4
    OP_COMMIT = 5
    OP_CREATE = 6
    OP_DELEGPURGE = 7
    OP_DELEGRETURN = 8
    OP_GETATTR = 9
    OP_GETFH = 10
    OP_LINK = 11
    OP_LOCK = 12
    OP_LOCKT = 13
    OP_LOCKU = 14
    OP_LOOKUP = 15
    OP_LOOKUPP = 16
    OP_NVERIFY = 17
    OP_OPEN = 18
    OP_OPENATTR = 19
    OP_OPEN_CONFIRM = 20
    OP_OPEN_DOWNGRADE = 21
    OP_PUTFH = 22
    OP_PUTPUBFH = 23
    OP_PUTROOTFH = 24
    OP_READ = 25
    OP_READDIR = 26
    OP_READLINK = 27
    OP_REMOVE = 28
    OP_RENAME = 29
    OP_RENEW = 30
    OP_RESTOREFH = 31
    OP_SAVEFH = 32
    OP_SECINFO = 33
    OP_SETATTR = 34
    OP_SETCLIENTID = 35
    OP_SETCLIENTID_CONFIRM = 36
    OP_VERIFY = 37
    OP_WRITE = 38
    OP_RELEASE_LOCKOWNER = 39
    OP_BACKCHANNEL_CTL = 40
    OP_BIND_CONN_TO_SESSION = 41
    OP_EXCHANGE_ID = 42
    OP_CREATE_SESSION = 43
    OP_DESTROY_SESSION = 44
    OP_FREE_STATEID = 45
    OP_GET_DIR_DELEGATION = 46
    OP_GETDEVICEINFO = 47
    OP_GETDEVICELIST = 48
    OP_LAYOUTCOMMIT = 49
    OP_LAYOUTGET = 50
    OP_LAYOUTRETURN = 51
    OP_SECINFO_NO_NAME = 52
    OP_SEQUENCE = 53
    OP_SET_SSV = 54
    OP_TEST_STATEID = 55
    OP_WANT_DELEGATION = 56
    OP_DESTROY_CLIENTID = 57
    OP_RECLAIM_COMPLETE = 58
    OP_ALLOCATE = 59
    OP_COPY = 60
    OP_COPY_NOTIFY = 61
    OP_DEALLOCATE = 62
    OP_IO_ADVISE = 63
    OP_LAYOUTERROR = 64
    OP_LAYOUTSTATS = 65
    OP_OFFLOAD_CANCEL = 66
    OP_OFFLOAD_STATUS = 67
    OP_READ_PLUS = 68
    OP_SEEK = 69
    OP_WRITE_SAME = 70
    OP_CLONE = 71
    OP_GETXATTR = 72
    OP_SETXATTR = 73
    OP_LISTXATTRS = 74
    OP_REMOVEXATTR = 75
    OP_ILLEGAL = 10044
