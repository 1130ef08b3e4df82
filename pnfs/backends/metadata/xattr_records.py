# -*- test-case-name: tests.backends.metadata.test_records -*-
"""
The records kept in extended attributes. All integers are big-endian.

C{pnfsd.dsfile}, where a file's bytes are:

====== ========= =======================================================
offset bytes     content
====== ========= =======================================================
0      1         format version: 1; 2 with the last five; 3 with a table as well
1      1         layout: 1 C{files}, 2 C{flexfiles}; otherwise 0
2      4         stripe unit in bytes
6      4         fence epoch
10     1         hexadecimal digits of the data-file name, n
11     (n+1)//2  the name, packed, a last odd digit in the high half
..     1         bytes of the layout's name, only if layout is 0
..     any       the layout's name
..     2         stripe columns, c
..     1         mirrors of each column; 0: they differ
..     c         mirrors of each column by itself, only if they differ
..     16 each   UUIDs of the data servers, column after column; not in version 3
..     1         data servers in the table, d; version 3
..     16 each   their UUIDs; version 3
..     1 each    numbers in that table, from 0, column after column; version 3
..     8         bytes of a chunk, 0: the columns are stripes
..     1         stale data servers, s
..     1         1 if the file is being moved
..     16 each   UUIDs of the stale ones
..     rest      where the file is being moved to: a record like this one
====== ========= =======================================================

With a name of 32 digits and five data servers it has 124 bytes, below the 128
that CPython tries to read at first.

C{pnfsd.dsattr}: version 1 (1 byte), size, used (u64), atime, mtime (i64 of
nanoseconds), change (u64): 41 bytes.

C{pnfsd.owner}: version 1 (1 byte), mode (u16), uid, gid (u32): 11 bytes; only
where the process may not give files away (see L{xattr_owners}).

C{pnfsd.verf}: the 8 bytes of an exclusive create.

C{pnfsd.acl}: version 1 (1 byte), C{aclflag4} (1 byte), entries (u16), and for each
entry C{acetype4} (1 byte), C{aceflag4} (1 byte), C{acemask4} (u32), a L{Who} (i8; 0
for a number) and the uid or gid (u32): 11 bytes.

C{pnfsd.policy}, of a directory: what is said of new files below it, as JSON, such as
C{{"version": 1, "mirrors": 2, "class": "nvme"}}.
"""

from __future__ import annotations

import json
import struct
from itertools import islice

from pnfs.backends.errors import IOFailed
from pnfs.values import ACE, ACL, SETTING_NAMES, Placement, PlacementSettings

DSFILE = "pnfsd.dsfile"
DSATTR = "pnfsd.dsattr"
OWNER = "pnfsd.owner"
VERIFIER = "pnfsd.verf"
ACCESS = "pnfsd.acl"
SETTINGS = "pnfsd.policy"

OURS = (DSFILE, DSATTR, OWNER, ACCESS)
"""What is read when an object is loaded."""

_VERSION = 1
_WITH_MORE = 2
_WITH_TABLE = 3
_HEAD = struct.Struct(">BBIIB")
_SHAPE = struct.Struct(">HB")
_MORE = struct.Struct(">QBB")
_DSATTR = struct.Struct(">BQQqqQ")
_OWNER = struct.Struct(">BHII")
_ACL = struct.Struct(">BBH")
_ACE = struct.Struct(">BBIbI")
_LAYOUT_CODES = {"files": 1, "flexfiles": 2}
_LAYOUT_NAMES = {code: name for name, code in _LAYOUT_CODES.items()}
_HEX = frozenset(b"0123456789abcdef")


def packPlacement(placement: Placement) -> bytes:
    """
    The C{dsfile} record of a placement.

    @raise ValueError: a name, UUID or count that the record cannot hold.
    """
    name = placement.name
    if not 1 <= len(name) <= 80 or not _HEX.issuperset(name):
        raise ValueError("data-file name must be 1 to 80 hexadecimal digits")
    if any(len(uuid) != 16 for column in placement.columns for uuid in column):
        raise ValueError("a data server's UUID has 16 bytes")
    counts = [len(column) for column in placement.columns]
    if not counts or not all(1 <= count <= 255 for count in counts):
        raise ValueError("each column needs 1 to 255 mirrors")
    code = _LAYOUT_CODES.get(placement.layout, 0)
    more = bool(placement.chunk or placement.stale or placement.next)
    servers = [uuid for column in placement.columns for uuid in column]
    table = placement.dataServers
    tabled = bool(placement.chunk) and len(table) < min(len(servers), 256)
    pieces = [
        _HEAD.pack(
            _WITH_TABLE if tabled else _WITH_MORE if more else _VERSION,
            code,
            placement.stripeUnit,
            placement.epoch,
            len(name),
        ),
        bytes.fromhex((name + b"0" * (len(name) % 2)).decode("ascii")),
    ]
    if not code:
        layout = placement.layout.encode("utf-8")
        pieces += [bytes([len(layout)]), layout]
    same = min(counts) == max(counts)
    pieces.append(_SHAPE.pack(len(counts), counts[0] if same else 0))
    if not same:
        pieces.append(bytes(counts))
    if tabled:
        number = {uuid: index for index, uuid in enumerate(table)}
        pieces += [bytes([len(table)]), *table, bytes([number[u] for u in servers])]
    else:
        pieces += servers
    if more:
        stale = placement.stale
        following = placement.next
        pieces.append(_MORE.pack(placement.chunk, len(stale), following is not None))
        pieces += stale
        if following is not None:
            pieces.append(packPlacement(following))
    return b"".join(pieces)


def unpackPlacement(record: bytes) -> Placement:
    """
    The placement in a C{dsfile} record.

    @raise IOFailed: it is damaged or of a later version.
    """
    try:
        version, code, unit, epoch, digits = _HEAD.unpack_from(record)
        if version not in (_VERSION, _WITH_MORE, _WITH_TABLE):
            raise IOFailed(f"dsfile record of version {version}")
        end = _HEAD.size
        packed = record[end : end + (digits + 1) // 2]
        end += len(packed)
        if code:
            layout = _LAYOUT_NAMES[code]
        else:
            length = record[end]
            layout = record[end + 1 : end + 1 + length].decode("utf-8")
            end += 1 + length
        columns, mirrors = _SHAPE.unpack_from(record, end)
        end += _SHAPE.size
        counts = [mirrors] * columns
        if not mirrors:
            counts = list(record[end : end + columns])
            end += columns
        if version == _WITH_TABLE:
            table = _identities(record, end + 1, record[end])
            end += 1 + 16 * len(table)
            more = end + sum(counts)
            listed = [table[index] for index in record[end:more]]
        else:
            listed = list(_identities(record, end, sum(counts)))
            more = end + 16 * sum(counts)
        if len(counts) != columns or len(listed) != sum(counts):
            raise IOFailed("dsfile record of the wrong length")
        chunk = 0
        stale: tuple[bytes, ...] = ()
        following = None
        if version != _VERSION:
            chunk, count, moving = _MORE.unpack_from(record, more)
            more += _MORE.size
            stale = _identities(record, more, count)
            more += 16 * count
            if moving:
                following = unpackPlacement(record[more:])
                more = len(record)
        if len(record) != more:
            raise IOFailed("dsfile record of the wrong length")
    except (struct.error, KeyError, IndexError, UnicodeDecodeError) as damage:
        raise IOFailed("damaged dsfile record") from damage
    each = iter(listed)
    servers = [tuple(islice(each, count)) for count in counts]
    name = packed.hex()[:digits].encode("ascii")
    return Placement(layout, unit, tuple(servers), name, epoch, chunk, stale, following)


def _identities(record: bytes, start: int, count: int) -> tuple[bytes, ...]:
    """
    UUIDs. @raise IOFailed: the record ends before.
    """
    if len(record) < start + 16 * count:
        raise IOFailed("dsfile record of the wrong length")
    return tuple(record[start + 16 * i : start + 16 * i + 16] for i in range(count))


def packDataAttributes(
    size: int, used: int, atime: int, mtime: int, change: int
) -> bytes:
    """
    The C{dsattr} record.
    """
    return _DSATTR.pack(_VERSION, size, used, atime, mtime, change)


def unpackDataAttributes(record: bytes) -> tuple[int, int, int, int, int]:
    """
    Size, used, atime, mtime and change in a C{dsattr} record.

    @raise IOFailed: it is damaged or of a later version.
    """
    if len(record) != _DSATTR.size or record[0] != _VERSION:
        raise IOFailed("damaged dsattr record")
    _, size, used, atime, mtime, change = _DSATTR.unpack(record)
    return size, used, atime, mtime, change


def packOwner(mode: int, uid: int, gid: int) -> bytes:
    """
    The C{owner} record.
    """
    return _OWNER.pack(_VERSION, mode, uid, gid)


def unpackOwner(record: bytes) -> tuple[int, int, int]:
    """
    Mode, uid and gid in an C{owner} record.

    @raise IOFailed: it is damaged or of a later version.
    """
    if len(record) != _OWNER.size or record[0] != _VERSION:
        raise IOFailed("damaged owner record")
    _, mode, uid, gid = _OWNER.unpack(record)
    return mode, uid, gid


def packACL(acl: ACL) -> bytes:
    """
    The C{acl} record.
    """
    return _ACL.pack(_VERSION, acl.flags, len(acl.aces)) + b"".join(
        [
            _ACE.pack(ace.type, ace.flag, ace.mask, min(ace.who, 0), max(ace.who, 0))
            for ace in acl.aces
        ]
    )


def unpackACL(record: bytes) -> ACL:
    """
    The list in an C{acl} record.

    @raise IOFailed: it is damaged or of a later version.
    """
    if len(record) < _ACL.size or record[0] != _VERSION:
        raise IOFailed("damaged acl record")
    _, flags, count = _ACL.unpack_from(record)
    if len(record) != _ACL.size + count * _ACE.size:
        raise IOFailed("acl record of the wrong length")
    return ACL(
        tuple(
            ACE(kind, flag, mask, special or number)
            for kind, flag, mask, special, number in _ACE.iter_unpack(
                record[_ACL.size :]
            )
        ),
        flags,
    )


def packSettings(settings: PlacementSettings) -> bytes:
    """
    The C{policy} record.
    """
    said = {
        key: value
        for key, name in SETTING_NAMES.items()
        if (value := getattr(settings, name)) is not None
    }
    return json.dumps({"version": _VERSION, **said}).encode("utf-8")


def unpackSettings(record: bytes) -> PlacementSettings:
    """
    What a C{policy} record says.

    @raise IOFailed: it is damaged or of a later version.
    """
    try:
        said = json.loads(record)
        if said.pop("version") != _VERSION:
            raise IOFailed("policy record of another version")
        names = said.get("data_servers")
        if isinstance(names, list):
            said["data_servers"] = tuple(names)
        elif names is not None:
            raise IOFailed("damaged policy record")
        found = {SETTING_NAMES[key]: value for key, value in said.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as damage:
        raise IOFailed("damaged policy record") from damage
    numbers = ("mirrors", "stripeCount", "stripeUnit", "chunk")
    for name, value in found.items():
        if name in numbers and (type(value) is not int or value < 0):
            raise IOFailed("damaged policy record")
        texts = value if name == "dataServers" else (value,)
        if name not in numbers and not all(isinstance(text, str) for text in texts):
            raise IOFailed("damaged policy record")
    return PlacementSettings(**found)
