"""
RPC messages for people to read: what is asked, and how it ended.
"""

from __future__ import annotations

import struct
from zlib import crc32

from pnfs.nfs4.status import nfsstat4

_NAMES = dict(
    enumerate(
        "ACCESS CLOSE COMMIT CREATE DELEGPURGE DELEGRETURN GETATTR GETFH LINK LOCK "
        "LOCKT LOCKU LOOKUP LOOKUPP NVERIFY OPEN OPENATTR OPEN_CONFIRM OPEN_DOWNGRADE "
        "PUTFH PUTPUBFH PUTROOTFH READ READDIR READLINK REMOVE RENAME RENEW RESTOREFH "
        "SAVEFH SECINFO SETATTR SETCLIENTID SETCLIENTID_CONFIRM VERIFY WRITE "
        "RELEASE_LOCKOWNER BACKCHANNEL_CTL BIND_CONN_TO_SESSION EXCHANGE_ID "
        "CREATE_SESSION DESTROY_SESSION FREE_STATEID GET_DIR_DELEGATION GETDEVICEINFO "
        "GETDEVICELIST LAYOUTCOMMIT LAYOUTGET LAYOUTRETURN SECINFO_NO_NAME SEQUENCE "
        "SET_SSV TEST_STATEID WANT_DELEGATION DESTROY_CLIENTID RECLAIM_COMPLETE".split(),
        3,
    )
)
_NAMES[73] = "SETXATTR"

_WITHOUT_ARGUMENTS = frozenset((10, 16, 23, 24, 27, 31, 32))


class Message:
    """
    Bytes on their way: their length and checksum for comparing runs, what they mean
    for people.
    """

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __repr__(self) -> str:
        return f"{len(self._data)}:{crc32(self._data):08x}"

    def __str__(self) -> str:
        try:
            return f"{_message(self._data)} [{len(self._data)}]"
        except struct.error:
            return f"[{len(self._data)}]"


def _u32(data: bytes, pos: int) -> int:
    return struct.unpack_from(">I", data, pos)[0]  # type: ignore[no-any-return]


def _opaque(data: bytes, pos: int) -> int:
    length = _u32(data, pos)
    return pos + 4 + length + (-length & 3)


def _message(data: bytes) -> str:
    xid, kind = struct.unpack_from(">II", data, 4)
    if kind == 0:
        program, version, procedure = struct.unpack_from(">III", data, 16)
        pos = _opaque(data, _opaque(data, 28 + 4) + 4)
        head = f"call {xid & 0xFFFF:04x} "
        if procedure == 0:
            return head + "NULL"
        if program == 100003 and version == 4:
            return head + _call(data, pos)
        if program == 100003:
            return head + f"v3 procedure {procedure}"
        return head + _callback(data, pos)
    status = _u32(data, 12)
    head = f"reply {xid & 0xFFFF:04x} "
    if status or _u32(data, _opaque(data, 20)):
        return head + "refused"
    return head + _reply(data, _opaque(data, 20) + 4)


def _call(data: bytes, pos: int) -> str:
    pos = _opaque(data, pos)
    count = _u32(data, pos + 4)
    pos += 8
    shown = []
    for _ in range(count):
        number = _u32(data, pos)
        pos += 4
        name = _NAMES.get(number, str(number))
        if number == 53:
            sequence, slot = struct.unpack_from(">II", data, pos + 16)
            shown.append(f"s{crc32(data[pos:pos + 16]) & 0xFFF:03x}/{slot}#{sequence}")
            pos += 32
        elif number == 22:
            end = _opaque(data, pos)
            shown.append(f"fh{crc32(data[pos:end]) & 0xFFFF:04x}")
            pos = end
        elif number == 15:
            length = _u32(data, pos)
            shown.append(f"LOOKUP {data[pos + 4:pos + 4 + length]!r}")
            pos = _opaque(data, pos)
        elif number in _WITHOUT_ARGUMENTS:
            shown.append(name)
        elif number == 9:
            words = _u32(data, pos)
            pos += 4 + 4 * words
            shown.append(name)
        else:
            if number in (25, 38):
                offset, more = struct.unpack_from(">QI", data, pos + 16)
                name += f" {offset}"
                if number == 38:
                    name += f" stable={more} {_u32(data, pos + 28)} bytes"
                    tag = data[pos + 32 : pos + 40]
                    name += f" {tag!r}"
            elif number == 18:
                access, deny = struct.unpack_from(">II", data, pos + 4)
                name += f" access={access:x} deny={deny}"
            shown.append(name)
            break
    return " ".join(shown)


def _callback(data: bytes, pos: int) -> str:
    pos = _opaque(data, pos)
    count = _u32(data, pos + 8)
    number = _u32(data, pos + 12)
    return f"callback of {count} operations, first {number}"


def _reply(data: bytes, pos: int) -> str:
    status = _u32(data, pos)
    count = _u32(data, _opaque(data, pos + 4))
    try:
        name = nfsstat4(status).name.replace("NFS4ERR_", "")
    except ValueError:
        name = str(status)
    return f"{name} of {count}"
