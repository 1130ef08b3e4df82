# -*- test-case-name: tests.callbacks.test_delegation_ops -*-
"""
What we send to clients about delegations (RFC 8881, sections 20.1, 20.2, 20.5 and 20.7).
"""

from __future__ import annotations

import struct
from typing import Any, Optional

import attrs

from pnfs.callbacks.ops import (
    OP_CB_GETATTR,
    OP_CB_PUSH_DELEG,
    OP_CB_RECALL,
    OP_CB_RECALLABLE_OBJ_AVAIL,
    CB_RECALL4args,
    CB_RECALL_ANY4args,
    encodeOp,
)
from pnfs.nfs4.types import bitmap4, fattr4, nfs_fh4
from pnfs.values import HeldAttributes
from pnfs.xdr.codec import PAD, codecFor
from pnfs.xdr.errors import XDRError

_packTwo = struct.Struct(">II").pack
_unpackLong = struct.Struct(">Q").unpack_from
_unpackTime = struct.Struct(">qI").unpack_from
_decodeFattr = codecFor(fattr4).decode

_HELD = ((3, "change"), (4, "size"), (84, "atime"), (85, "mtime"))
"""FATTR4_CHANGE, SIZE, TIME_DELEG_ACCESS, TIME_DELEG_MODIFY."""
_GETATTR = 1 << 3 | 1 << 4
_GETATTR_TIMES = 1 << 84 | 1 << 85


@attrs.define
class CB_GETATTR4args:
    """
    Tell attributes of a file under a write delegation (section 20.1).
    """

    fh: nfs_fh4
    attr_request: bitmap4


def cbRecall(stateid: bytes, truncate: bool, fh: bytes) -> bytes:
    """
    CB_RECALL of a delegation.
    """
    return encodeOp(OP_CB_RECALL, CB_RECALL4args(stateid, truncate, fh))


def cbGetattr(fh: bytes, timestamps: bool) -> bytes:
    """
    CB_GETATTR of what the holder of a write delegation knows better.

    @param timestamps: of the times, too (RFC 9754).
    """
    wanted = _GETATTR | _GETATTR_TIMES if timestamps else _GETATTR
    return encodeOp(OP_CB_GETATTR, CB_GETATTR4args(fh, wanted))


def decodeGetattr(status: int, buf: Any, pos: int) -> Optional[HeldAttributes]:
    """
    The result of CB_GETATTR; None if it failed.

    @raise XDRError: it is malformed, or tells what was not asked for.
    """
    if status:
        return None
    fattr, _ = _decodeFattr(buf, pos)
    found: dict[str, int] = {}
    values = fattr.attr_vals
    if fattr.attrmask & ~(_GETATTR | _GETATTR_TIMES):
        raise XDRError("attributes that were not asked for")
    at = 0
    try:
        for number, name in _HELD:
            if not fattr.attrmask >> number & 1:
                continue
            if name in ("change", "size"):
                (found[name],) = _unpackLong(values, at)
                at += 8
            else:
                seconds, nanoseconds = _unpackTime(values, at)
                found[name] = seconds * 1000000000 + nanoseconds
                at += 12
    except struct.error:
        raise XDRError("truncated") from None
    return HeldAttributes(**found)


def cbPushDeleg(fh: bytes, delegation: bytes) -> bytes:
    """
    CB_PUSH_DELEG (section 20.5).

    @param delegation: an C{open_delegation4}.
    """
    return b"".join(
        (_packTwo(OP_CB_PUSH_DELEG, len(fh)), fh, PAD[len(fh) & 3], delegation)
    )


def cbRecallableObjAvail(keep: int, typeMask: int) -> bytes:
    """
    CB_RECALLABLE_OBJ_AVAIL (section 20.7): there are some again.

    @param typeMask: as for L{pnfs.callbacks.ops.cbRecallAny}.
    """
    return encodeOp(OP_CB_RECALLABLE_OBJ_AVAIL, CB_RECALL_ANY4args(keep, typeMask))
