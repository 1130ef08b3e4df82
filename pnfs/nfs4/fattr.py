# -*- test-case-name: tests.nfs4.ops.test_getattr -*-
"""
File attributes: their numbers, and how each is encoded (RFC 8881, section 5).

An attribute is constant in an export, or has a fixed size, or is a piece of its
own. Those that depend on the object are written as Python expressions of C{i},
the L{pnfs.values.Inode}, and C{fs}, the L{pnfs.values.FSStatistics}, which
L{pnfs.nfs4.fattr_plan} puts together into one function per set of attributes.
"""

from __future__ import annotations

import struct
from typing import Any, Callable, Iterable, Optional, Union

import attrs

from pnfs.nfs4.acl import ACL4_SUPPORT_ALLOW_ACL, ACL4_SUPPORT_DENY_ACL
from pnfs.nfs4.types import encodeBitmap
from pnfs.xdr.codec import PAD

FATTR4_SUPPORTED_ATTRS = 0
FATTR4_TYPE = 1
FATTR4_FH_EXPIRE_TYPE = 2
FATTR4_CHANGE = 3
FATTR4_SIZE = 4
FATTR4_LINK_SUPPORT = 5
FATTR4_SYMLINK_SUPPORT = 6
FATTR4_NAMED_ATTR = 7
FATTR4_FSID = 8
FATTR4_UNIQUE_HANDLES = 9
FATTR4_LEASE_TIME = 10
FATTR4_RDATTR_ERROR = 11
FATTR4_ACL = 12
FATTR4_ACLSUPPORT = 13
FATTR4_CANSETTIME = 15
FATTR4_CASE_INSENSITIVE = 16
FATTR4_CASE_PRESERVING = 17
FATTR4_CHOWN_RESTRICTED = 18
FATTR4_FILEHANDLE = 19
FATTR4_FILEID = 20
FATTR4_FILES_AVAIL = 21
FATTR4_FILES_FREE = 22
FATTR4_FILES_TOTAL = 23
FATTR4_HOMOGENEOUS = 26
FATTR4_MAXFILESIZE = 27
FATTR4_MAXLINK = 28
FATTR4_MAXNAME = 29
FATTR4_MAXREAD = 30
FATTR4_MAXWRITE = 31
FATTR4_MODE = 33
FATTR4_NO_TRUNC = 34
FATTR4_NUMLINKS = 35
FATTR4_OWNER = 36
FATTR4_OWNER_GROUP = 37
FATTR4_RAWDEV = 41
FATTR4_SPACE_AVAIL = 42
FATTR4_SPACE_FREE = 43
FATTR4_SPACE_TOTAL = 44
FATTR4_SPACE_USED = 45
FATTR4_TIME_ACCESS = 47
FATTR4_TIME_ACCESS_SET = 48
FATTR4_TIME_CREATE = 50
FATTR4_TIME_DELTA = 51
FATTR4_TIME_METADATA = 52
FATTR4_TIME_MODIFY = 53
FATTR4_TIME_MODIFY_SET = 54
FATTR4_MOUNTED_ON_FILEID = 55
FATTR4_DACL = 58
FATTR4_FS_LAYOUT_TYPES = 62
FATTR4_LAYOUT_TYPES = 64
FATTR4_LAYOUT_BLKSIZE = 65
FATTR4_LAYOUT_ALIGNMENT = 66
FATTR4_MDSTHRESHOLD = 68
FATTR4_SUPPATTR_EXCLCREAT = 75
FATTR4_FS_CHARSET_CAP = 76
FATTR4_CLONE_BLKSIZE = 77
FATTR4_SPACE_FREED = 78
FATTR4_CHANGE_ATTR_TYPE = 79
FATTR4_MODE_UMASK = 81
FATTR4_XATTR_SUPPORT = 82
FATTR4_TIME_DELEG_ACCESS = 84
FATTR4_TIME_DELEG_MODIFY = 85
FATTR4_OPEN_ARGUMENTS = 86

MAXFILESIZE = (1 << 63) - 1
MAXLINK = 32000
MAXNAME = 255
MAXIO = 1 << 20
"""Largest READ and WRITE; a session may allow less."""

NFS4_CHANGE_TYPE_IS_MONOTONIC_INCR = 0
FSCHARSET_CAP4_ALLOWS_ONLY_UTF8 = 2
FH4_PERSISTENT = 0

TH4_READ_SIZE = 0
TH4_WRITE_SIZE = 1

_DEFAULT_BLOCK = 1 << 20
_OWNERS_LIMIT = 65536


def bits(numbers: Iterable[int]) -> int:
    """
    A bitmap of these attributes.
    """
    return sum(1 << number for number in numbers)


SETTABLE = bits(
    (
        FATTR4_SIZE,
        FATTR4_ACL,
        FATTR4_MODE,
        FATTR4_OWNER,
        FATTR4_OWNER_GROUP,
        FATTR4_TIME_ACCESS_SET,
        FATTR4_TIME_MODIFY_SET,
        FATTR4_DACL,
        FATTR4_MODE_UMASK,
    )
)
DELEGATED_TIMES = bits((FATTR4_TIME_DELEG_ACCESS, FATTR4_TIME_DELEG_MODIFY))
"""What the holder of a delegation may set that keeps the times (RFC 9754, section 5)."""

WRITE_ONLY = (
    bits((FATTR4_TIME_ACCESS_SET, FATTR4_TIME_MODIFY_SET, FATTR4_MODE_UMASK))
    | DELEGATED_TIMES
)
GUARDED = bits((FATTR4_ACL, FATTR4_DACL))
"""What not everybody may read (RFC 8881, section 6.2.1.3.1: C{ACE4_READ_ACL})."""

FROM_DATA_SERVERS = bits(
    (
        FATTR4_CHANGE,
        FATTR4_SIZE,
        FATTR4_SPACE_USED,
        FATTR4_SPACE_FREED,
        FATTR4_TIME_ACCESS,
        FATTR4_TIME_METADATA,
        FATTR4_TIME_MODIFY,
    )
)
"""What writes to data servers change before the metadata server knows of it."""


@attrs.frozen
class Constant:
    """
    The same for all objects of an export.

    @ivar value: gives the encoded value, from the server, the export and the
        minor version.
    """

    value: Callable[[Any, Any, int], bytes]


@attrs.frozen
class Field:
    """
    Of fixed size, read off the object.

    @ivar format: C{struct} items, one for each of C{expressions}.
    """

    format: str
    expressions: tuple[str, ...]
    statistics: bool = False


@attrs.frozen
class Text:
    """
    Of variable size.

    @ivar expression: gives the encoded value.
    """

    expression: str


def opaque(data: bytes) -> bytes:
    """
    Variable-length opaque data on the wire.
    """
    return b"".join((struct.pack(">I", len(data)), data, PAD[len(data) & 3]))


class OwnerStrings(dict[int, bytes]):
    """
    Encoded owner strings by uid or gid, made at first use.
    """

    def __missing__(self, number: int) -> bytes:
        if len(self) >= _OWNERS_LIMIT:
            self.clear()
        self[number] = text = opaque(b"%d" % number)
        return text


def _u32(value: int) -> Constant:
    encoded = struct.pack(">I", value)
    return Constant(lambda server, export, minor: encoded)


def _u64(value: int) -> Constant:
    encoded = struct.pack(">Q", value)
    return Constant(lambda server, export, minor: encoded)


def _time(name: str) -> Field:
    return Field("qI", (f"i.{name} // 1000000000", f"i.{name} % 1000000000"))


def _statistic(name: str) -> Field:
    return Field("Q", (f"fs.{name}",), statistics=True)


def _layoutTypes(server: Any, export: Any, minor: int) -> bytes:
    types = list(export.drivers) if export.pnfs else []
    return struct.pack(f">{len(types) + 1}I", len(types), *types)


def _stripeUnit(server: Any, export: Any, minor: int) -> bytes:
    return struct.pack(">I", export.stripeUnit or _DEFAULT_BLOCK)


def _threshold(server: Any, export: Any, minor: int) -> bytes:
    """
    C{mdsthreshold4} (RFC 8881, section 5.12.4): files that are smaller are to be read
    and written through the metadata server. No least size of a request is told: small
    requests in large files are what data servers are for.

    There is one hint, for the layout type preferred: Linux reads no other, and takes
    what follows it for the next attribute. It does not expect that there is none.
    """
    hints = struct.pack(">QQ", export.threshold, export.threshold)
    return b"".join(
        (
            struct.pack(">II", 1, next(iter(export.drivers))),
            encodeBitmap(bits((TH4_READ_SIZE, TH4_WRITE_SIZE))),
            opaque(hints),
        )
    )


def _openArguments(server: Any, export: Any, minor: int) -> bytes:
    """
    C{open_arguments4}: what OPEN understands (RFC 9754, section 4). Bitmaps of access,
    deny, want, claim and create mode.
    """
    wants: tuple[int, ...] = (3, 4, 5, 17, 18, 20, 21)
    if server.delegations is None or not export.delegations:
        wants = (4, 5)
    return b"".join(
        encodeBitmap(bits(numbers))
        for numbers in ((1, 2, 3), (0, 1, 2, 3), wants, (0, 1, 2, 4, 5), (0, 1, 2, 3))
    )


_YES = _u32(1)
_NO = _u32(0)

ATTRIBUTES: dict[int, Union[Constant, Field, Text]] = {
    FATTR4_SUPPORTED_ATTRS: Constant(
        lambda server, export, minor: encodeBitmap(supported(minor, export))
    ),
    FATTR4_TYPE: Field("I", ("i.ftype",)),
    FATTR4_FH_EXPIRE_TYPE: _u32(FH4_PERSISTENT),
    FATTR4_CHANGE: Field("Q", ("i.change",)),
    FATTR4_SIZE: Field("Q", ("i.size",)),
    FATTR4_LINK_SUPPORT: _YES,
    FATTR4_SYMLINK_SUPPORT: _YES,
    FATTR4_NAMED_ATTR: _NO,
    FATTR4_FSID: Constant(
        lambda server, export, minor: struct.pack(">QQ", *export.fsid)
    ),
    FATTR4_UNIQUE_HANDLES: _YES,
    FATTR4_LEASE_TIME: Constant(
        lambda server, export, minor: struct.pack(
            ">I", max(1, int(server.leaseSeconds))
        )
    ),
    FATTR4_RDATTR_ERROR: _u32(0),
    FATTR4_ACL: Text("acl(i)"),
    FATTR4_ACLSUPPORT: _u32(ACL4_SUPPORT_ALLOW_ACL | ACL4_SUPPORT_DENY_ACL),
    FATTR4_CANSETTIME: _YES,
    FATTR4_CASE_INSENSITIVE: _NO,
    FATTR4_CASE_PRESERVING: _YES,
    FATTR4_CHOWN_RESTRICTED: _YES,
    FATTR4_FILEHANDLE: Text("opaque(filehandle(export, i))"),
    FATTR4_FILEID: Field("Q", ("i.fileid",)),
    FATTR4_FILES_AVAIL: _statistic("filesAvailable"),
    FATTR4_FILES_FREE: _statistic("filesFree"),
    FATTR4_FILES_TOTAL: _statistic("filesTotal"),
    FATTR4_HOMOGENEOUS: _YES,
    FATTR4_MAXFILESIZE: _u64(MAXFILESIZE),
    FATTR4_MAXLINK: _u32(MAXLINK),
    FATTR4_MAXNAME: _u32(MAXNAME),
    FATTR4_MAXREAD: _u64(MAXIO),
    FATTR4_MAXWRITE: _u64(MAXIO),
    FATTR4_MODE: Field("I", ("i.mode & 4095",)),
    FATTR4_NO_TRUNC: _YES,
    FATTR4_NUMLINKS: Field("I", ("i.nlink",)),
    FATTR4_OWNER: Text("owners[i.uid]"),
    FATTR4_OWNER_GROUP: Text("owners[i.gid]"),
    FATTR4_RAWDEV: Field("II", ("i.rdev[0]", "i.rdev[1]")),
    FATTR4_SPACE_AVAIL: _statistic("spaceAvailable"),
    FATTR4_SPACE_FREE: _statistic("spaceFree"),
    FATTR4_SPACE_TOTAL: _statistic("spaceTotal"),
    FATTR4_SPACE_USED: Field("Q", ("i.used",)),
    FATTR4_TIME_ACCESS: _time("atime"),
    FATTR4_TIME_CREATE: _time("btime"),
    FATTR4_TIME_DELTA: Constant(lambda server, export, minor: struct.pack(">qI", 0, 1)),
    FATTR4_TIME_METADATA: _time("ctime"),
    FATTR4_TIME_MODIFY: _time("mtime"),
    FATTR4_MOUNTED_ON_FILEID: Field("Q", ("mountedOn(i)",)),
    FATTR4_DACL: Text("dacl(i)"),
    FATTR4_FS_LAYOUT_TYPES: Constant(_layoutTypes),
    FATTR4_LAYOUT_TYPES: Constant(_layoutTypes),
    FATTR4_LAYOUT_BLKSIZE: Constant(_stripeUnit),
    FATTR4_LAYOUT_ALIGNMENT: Constant(_stripeUnit),
    FATTR4_MDSTHRESHOLD: Constant(_threshold),
    FATTR4_SUPPATTR_EXCLCREAT: Constant(
        lambda server, export, minor: encodeBitmap(SETTABLE & supported(minor))
    ),
    FATTR4_FS_CHARSET_CAP: _u32(FSCHARSET_CAP4_ALLOWS_ONLY_UTF8),
    FATTR4_CLONE_BLKSIZE: Constant(
        lambda server, export, minor: struct.pack(">I", export.cloneBlock)
    ),
    # What removing the file would give back (RFC 7862, section 12.2.2).
    FATTR4_SPACE_FREED: Field("Q", ("i.used",)),
    FATTR4_CHANGE_ATTR_TYPE: _u32(NFS4_CHANGE_TYPE_IS_MONOTONIC_INCR),
    FATTR4_XATTR_SUPPORT: Constant(
        lambda server, export, minor: struct.pack(">I", export.backend.xattrs)
    ),
    FATTR4_OPEN_ARGUMENTS: Constant(_openArguments),
}

_CLONE = bits((FATTR4_CLONE_BLKSIZE,))
_THRESHOLD = bits((FATTR4_MDSTHRESHOLD,))
_MINOR_2 = (
    bits(
        (
            FATTR4_CLONE_BLKSIZE,
            FATTR4_SPACE_FREED,
            FATTR4_CHANGE_ATTR_TYPE,
            FATTR4_MODE_UMASK,
            FATTR4_XATTR_SUPPORT,
            FATTR4_OPEN_ARGUMENTS,
        )
    )
    | DELEGATED_TIMES
)
_SUPPORTED_2 = bits(ATTRIBUTES) | WRITE_ONLY
_SUPPORTED_1 = _SUPPORTED_2 & ~_MINOR_2


def supported(minor: int, export: Any = None) -> int:
    """
    The bitmap of C{supported_attrs} in a minor version.

    @param export: where files may be able to share bytes, and small ones may be for
        the metadata server: else that is not so.
    """
    found = _SUPPORTED_1 if minor < 2 else _SUPPORTED_2
    if export is None or not export.cloneBlock:
        found &= ~_CLONE
    if export is None or not (export.threshold and export.pnfs and export.drivers):
        found &= ~_THRESHOLD
    return found
