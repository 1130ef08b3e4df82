# -*- test-case-name: tests.nfs4.ops.test_open -*-
"""
The arguments of OPEN (RFC 8881, section 18.16.1), decoded by hand: OPEN is the
largest part of opening a file.
"""

from __future__ import annotations

import struct
from typing import Any, Optional

import attrs

from pnfs.nfs4.delegation_types import (
    OPEN_DELEGATE_NONE_EXT,
    OPEN_DELEGATE_WRITE_ATTRS_DELEG,
    WANT_CANCEL,
    WANT_MASK,
    WANT_OPEN_XOR_DELEGATION,
    WANT_PUSH_WHEN_UNCONTENDED,
    WANT_SIGNAL_WHEN_AVAILABLE,
    WANT_TIMESTAMPS,
)
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import NFS4_OPAQUE_LIMIT, NFS4_PATH_LIMIT, fattr4
from pnfs.xdr.codec import codecFor
from pnfs.xdr.errors import XDRError

NOCREATE = -1
UNCHECKED4 = 0
GUARDED4 = 1
EXCLUSIVE4 = 2
EXCLUSIVE4_1 = 3

CLAIM_NULL = 0
CLAIM_PREVIOUS = 1
CLAIM_DELEGATE_CUR = 2
CLAIM_DELEGATE_PREV = 3
CLAIM_FH = 4
CLAIM_DELEG_CUR_FH = 5
CLAIM_DELEG_PREV_FH = 6

SHARE_ACCESS_MASK = 0x3
_WANTS = (
    WANT_MASK
    | WANT_SIGNAL_WHEN_AVAILABLE
    | WANT_PUSH_WHEN_UNCONTENDED
    | WANT_TIMESTAMPS
    | WANT_OPEN_XOR_DELEGATION
)
_KNOWN_ACCESS_BITS = _WANTS | SHARE_ACCESS_MASK

_head = struct.Struct(">IIIQI").unpack_from
_two = struct.Struct(">II").unpack_from
_one = struct.Struct(">I").unpack_from
_verifier = struct.Struct(">8s").unpack_from
_decodeFattr = codecFor(fattr4).decode
_MODE_ONLY = struct.pack(">IIII", 2, 0, 2, 4)
"""A C{fattr4} with nothing but a mode, up to its value: what nearly all creators send."""
_UMASK_ONLY = struct.pack(">IIIII", 3, 0, 0, 1 << 17, 8)
"""With nothing but C{mode_umask}, as those of NFSv4.2 do."""
_modes: dict[bytes, fattr4] = {}
_MODES = 4096


@attrs.define(eq=False)
class OpenArgs:
    """
    What an OPEN asks for.

    @ivar access: READ and WRITE bits; deny: likewise; want: what delegation is
        wanted, and how (OPEN4_SHARE_ACCESS_WANT_*).
    @ivar owner: the open owner. Its clientid means nothing beside a session's.
    @ivar create: NOCREATE, or the C{createmode4}.
    @ivar createattrs: attributes for a new file, as on the wire.
    @ivar verifier: of an exclusive create.
    @ivar claim: the C{open_claim_type4}; name: of CLAIM_NULL and CLAIM_DELEGATE_CUR.
    @ivar delegation: the stateid of CLAIM_DELEGATE_CUR and CLAIM_DELEG_CUR_FH.
    @ivar reclaims: the C{open_delegation_type4} of CLAIM_PREVIOUS.
    """

    access: int
    deny: int
    want: int
    owner: bytes
    create: int
    createattrs: Optional[fattr4]
    verifier: bytes
    claim: int
    name: bytes = b""
    delegation: bytes = b""
    reclaims: int = 0


def _opaque(buf: Any, pos: int, limit: int) -> tuple[bytes, int]:
    (length,) = _one(buf, pos)
    pos += 4
    end = pos + length
    if length > limit or end > len(buf):
        raise XDRError("opaque")
    return bytes(buf[pos:end]), end + (-length & 3)


def _createattrs(buf: Any, pos: int) -> tuple[fattr4, int]:
    if buf[pos : pos + 16] == _MODE_ONLY:
        start, end = pos + 16, pos + 20
    elif buf[pos : pos + 20] == _UMASK_ONLY:
        start, end = pos + 20, pos + 28
    else:
        return _decodeFattr(buf, pos)
    value = bytes(buf[start:end])
    attributes = _modes.get(value)
    if attributes is None:
        attributes, end = _decodeFattr(buf, pos)
        if len(_modes) < _MODES:
            _modes[value] = attributes
    return attributes, end


def decodeOpen(buf: Any, pos: int) -> tuple[OpenArgs, int]:
    """
    @raise NFSError: INVAL for share bits that make no sense.
    @raise XDRError: it is malformed.
    """
    _, access, deny, _, length = _head(buf, pos)
    pos += 24
    if length > NFS4_OPAQUE_LIMIT:
        raise XDRError("open owner")
    end = pos + length
    owner = bytes(buf[pos:end])
    pos = end + (-length & 3)
    createattrs = None
    verifier = b""
    create = NOCREATE
    how, claim = _two(buf, pos)
    pos += 8
    if how == 1:
        create = claim
        if create > EXCLUSIVE4_1:
            raise XDRError("createmode4")
        if create >= EXCLUSIVE4:
            (verifier,) = _verifier(buf, pos)
            pos += 8
        if create != EXCLUSIVE4:
            createattrs, pos = _createattrs(buf, pos)
        (claim,) = _one(buf, pos)
        pos += 4
    elif how:
        raise XDRError("opentype4")
    name = delegation = b""
    reclaims = 0
    if claim == CLAIM_NULL:
        name, pos = _opaque(buf, pos, NFS4_PATH_LIMIT)
    elif claim == CLAIM_PREVIOUS:
        (reclaims,) = _one(buf, pos)
        pos += 4
        if reclaims > OPEN_DELEGATE_WRITE_ATTRS_DELEG:
            raise XDRError("open_delegation_type4")
        if reclaims == OPEN_DELEGATE_NONE_EXT:
            raise NFSError(nfsstat4.NFS4ERR_INVAL)
    elif claim == CLAIM_DELEGATE_CUR:
        delegation = bytes(buf[pos : pos + 16])
        name, pos = _opaque(buf, pos + 16, NFS4_PATH_LIMIT)
    elif claim == CLAIM_DELEGATE_PREV:
        _, pos = _opaque(buf, pos, NFS4_PATH_LIMIT)
    elif claim == CLAIM_DELEG_CUR_FH:
        delegation = bytes(buf[pos : pos + 16])
        pos += 16
    elif claim > CLAIM_DELEG_PREV_FH:
        raise XDRError("open_claim_type4")
    if pos > len(buf):
        raise XDRError("truncated")
    if (
        not access & SHARE_ACCESS_MASK
        or access & ~_KNOWN_ACCESS_BITS
        or access & WANT_MASK > WANT_CANCEL
        or deny > SHARE_ACCESS_MASK
    ):
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    return (
        OpenArgs(
            access & SHARE_ACCESS_MASK,
            deny,
            access & _WANTS,
            owner,
            create,
            createattrs,
            verifier,
            claim,
            name,
            delegation,
            reclaims,
        ),
        pos,
    )
