# -*- test-case-name: tests.nfs4.ops.test_acl -*-
"""
The attributes C{acl} and C{dacl} on the wire (RFC 8881, sections 6.2.1 and 6.2.2).

Users and groups travel as their owner strings do: as numbers, and by name as far as
the name is known here.
"""

from __future__ import annotations

import struct

from pnfs.namespace.acl import (
    ACES_LIMIT,
    AUTO_INHERIT,
    DEFAULTED,
    DENY,
    GROUP_FLAG,
    INHERITANCE,
    INHERITED,
    PROTECTED,
    UNKNOWABLE,
)
from pnfs.namespace.identity import BadOwner, Identities
from pnfs.namespace.modes import ofMode
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import NFS4_OPAQUE_LIMIT
from pnfs.values import ACE, ACL, FileType, Inode, Who
from pnfs.xdr.codec import PAD
from pnfs.xdr.errors import XDRError

ACL4_SUPPORT_ALLOW_ACL = 0x01
ACL4_SUPPORT_DENY_ACL = 0x02

_KNOWN_FLAGS = INHERITANCE | GROUP_FLAG | INHERITED
_KNOWN_LIST_FLAGS = AUTO_INHERIT | PROTECTED | DEFAULTED
_KNOWN_MASK = 0x1F07FF
_NAMES = {b"%s@" % who.name.encode("ascii"): int(who) for who in Who}
_SPECIAL = {who: name for name, who in _NAMES.items()}

_count = struct.Struct(">I")
_entry = struct.Struct(">IIII")


def listOf(inode: Inode) -> ACL:
    """
    An object's list, or the one that says what its mode does.
    """
    if inode.acl is not None:
        return inode.acl
    return ofMode(inode.mode, inode.ftype == FileType.DIR)


def encodeACL(inode: Inode) -> bytes:
    """
    The C{acl} attribute. C{INHERITED} is not for those who ask for it
    (section 6.2.1.4.1).
    """
    return _encode(listOf(inode), ~INHERITED)


def encodeDACL(inode: Inode) -> bytes:
    """
    The C{dacl} attribute.
    """
    acl = listOf(inode)
    flags = acl.flags if inode.acl is not None else DEFAULTED
    return _count.pack(flags) + _encode(acl, -1)


def _encode(acl: ACL, flags: int) -> bytes:
    parts = [_count.pack(len(acl.aces))]
    for ace in acl.aces:
        who = _SPECIAL[ace.who] if ace.who < 0 else b"%d" % ace.who
        parts += (
            _entry.pack(ace.type, ace.flag & flags, ace.mask, len(who)),
            who,
            PAD[len(who) & 3],
        )
    return b"".join(parts)


def decodeACL(values: bytes, pos: int, identities: Identities) -> tuple[ACL, int]:
    """
    The C{acl} attribute at a position, and the position after it.

    @raise NFSError: ATTRNOTSUPP for entries that cannot be enforced; BADOWNER;
        INVAL: there are too many.
    @raise XDRError: malformed.
    @raise struct.error: it ends too early.
    """
    return _decode(values, pos, identities, 0, ~INHERITED)


def decodeDACL(values: bytes, pos: int, identities: Identities) -> tuple[ACL, int]:
    """
    Likewise the C{dacl} attribute.
    """
    (flags,) = _count.unpack_from(values, pos)
    if flags & ~_KNOWN_LIST_FLAGS:
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    return _decode(values, pos + 4, identities, flags, -1)


def _decode(
    values: bytes, pos: int, identities: Identities, flags: int, kept: int
) -> tuple[ACL, int]:
    (count,) = _count.unpack_from(values, pos)
    pos += 4
    if pos + count * _entry.size > len(values):
        raise XDRError("truncated")
    if count > ACES_LIMIT:
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    aces = []
    for _ in range(count):
        kind, flag, mask, length = _entry.unpack_from(values, pos)
        pos += _entry.size
        who = values[pos : pos + length]
        if length > NFS4_OPAQUE_LIMIT or len(who) != length:
            raise XDRError("an entry's name")
        pos += length + (-length & 3)
        aces.append(_checked(kind, flag & kept, mask, who, identities))
    if pos > len(values):
        raise XDRError("truncated")
    return ACL(tuple(aces), flags), pos


def _checked(
    kind: int, flag: int, mask: int, name: bytes, identities: Identities
) -> ACE:
    """
    One entry. What cannot be enforced is refused rather than stored (section
    6.2.1.1): AUDIT and ALARM, rights and flags unknown here, and denials to callers
    of a kind that cannot be told.
    """
    if kind > DENY or flag & ~_KNOWN_FLAGS or mask & ~_KNOWN_MASK:
        raise NFSError(nfsstat4.NFS4ERR_ATTRNOTSUPP)
    who = _NAMES.get(name)
    if who is not None:
        if kind == DENY and who in UNKNOWABLE:
            raise NFSError(nfsstat4.NFS4ERR_ATTRNOTSUPP)
        return ACE(kind, flag & ~GROUP_FLAG, mask, who)
    try:
        who = identities.gid(name) if flag & GROUP_FLAG else identities.uid(name)
    except BadOwner:
        raise NFSError(nfsstat4.NFS4ERR_BADOWNER) from None
    return ACE(kind, flag, mask, who)
