# -*- test-case-name: tests.nfs4.ops.test_read -*-
"""
READ at the metadata server (RFC 8881, section 18.22): for clients without a layout.
"""

from __future__ import annotations

import struct
from typing import Any

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import hotOperation
from pnfs.nfs4.ops.conflicts import requireIOPermission, requireIOState
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.state.opens import READ
from pnfs.xdr.codec import PAD

MAX_OFFSET = (1 << 63) - 1
"""The largest offset, and size, of a file."""

RESERVE = 256
"""Bytes of a reply left for what is not data."""

_unpack = struct.Struct(">16sQI").unpack_from
_pack = struct.Struct(">IIII").pack


@hotOperation(
    25,
    "READ",
    errors=frozenset(
        {
            nfsstat4.NFS4ERR_ACCESS,
            nfsstat4.NFS4ERR_ADMIN_REVOKED,
            nfsstat4.NFS4ERR_BADXDR,
            nfsstat4.NFS4ERR_BAD_STATEID,
            nfsstat4.NFS4ERR_DEADSESSION,
            nfsstat4.NFS4ERR_DELAY,
            nfsstat4.NFS4ERR_DELEG_REVOKED,
            nfsstat4.NFS4ERR_EXPIRED,
            nfsstat4.NFS4ERR_FHEXPIRED,
            nfsstat4.NFS4ERR_GRACE,
            nfsstat4.NFS4ERR_INVAL,
            nfsstat4.NFS4ERR_IO,
            nfsstat4.NFS4ERR_ISDIR,
            nfsstat4.NFS4ERR_LOCKED,
            nfsstat4.NFS4ERR_MOVED,
            nfsstat4.NFS4ERR_NOFILEHANDLE,
            nfsstat4.NFS4ERR_OLD_STATEID,
            nfsstat4.NFS4ERR_OPENMODE,
            nfsstat4.NFS4ERR_OP_NOT_IN_SESSION,
            nfsstat4.NFS4ERR_PNFS_IO_HOLE,
            nfsstat4.NFS4ERR_PNFS_NO_LAYOUT,
            nfsstat4.NFS4ERR_REP_TOO_BIG,
            nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE,
            nfsstat4.NFS4ERR_RETRY_UNCACHED_REP,
            nfsstat4.NFS4ERR_SERVERFAULT,
            nfsstat4.NFS4ERR_STALE,
            nfsstat4.NFS4ERR_SYMLINK,
            nfsstat4.NFS4ERR_TOO_MANY_OPS,
            nfsstat4.NFS4ERR_WRONG_TYPE,
        }
    ),
)
async def read(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    Read from the data servers; their pieces go into the reply as they are.
    """
    stateid, offset, count = _unpack(buf, pos)
    inode = ctx.requireFile()
    requireIOState(ctx, inode, stateid, READ)
    requireIOPermission(ctx, inode, READ)
    room = ctx.limitBytes - ctx.size - RESERVE
    if count and room <= 0:
        raise NFSError(
            nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE
            if ctx.slot is not None and ctx.slot.cacheThis
            else nfsstat4.NFS4ERR_REP_TOO_BIG
        )
    count = min(count, room & ~3, max(MAX_OFFSET - offset, 0))
    if count <= 0:
        # No data can be there, or none is wanted.
        ctx.out.append(_pack(25, 0, 1 if offset >= inode.size else 0, 0))
        return pos + 28
    result = await ctx.server.data.read(ctx.export, inode, offset, count)
    length = result.count
    ctx.out.append(_pack(25, 0, 1 if result.eof else 0, length))
    ctx.out.extend(result.pieces)
    if length & 3:
        ctx.out.append(PAD[length & 3])
    return pos + 28
