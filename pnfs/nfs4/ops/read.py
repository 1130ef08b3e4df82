# -*- test-case-name: tests.nfs4.ops.test_read -*-
"""
READ at the metadata server (RFC 8881, section 18.22): for clients without a layout.
"""

from __future__ import annotations

import struct
from typing import Any

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.current import refreshWritten
from pnfs.nfs4.operation import hotOperation
from pnfs.nfs4.ops.conflicts import requireIOPermission, requireIOState
from pnfs.nfs4.ops.errorlists import errorsOf
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
    errors=errorsOf(
        "ACCESS ADMIN_REVOKED BADXDR BAD_STATEID DELEG_REVOKED EXPIRED GRACE "
        "INVAL IO ISDIR LOCKED OLD_STATEID OPENMODE PNFS_IO_HOLE "
        "PNFS_NO_LAYOUT SYMLINK WRONG_TYPE"
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
    state = inode.state
    if (
        state is not None
        and (state.layouts or state.reclaimed)
        and offset + count > inode.size
    ):
        # Others, or the reader itself, may have written more.
        await refreshWritten(ctx.server, ctx.export, inode)
        requireIOState(ctx, inode, stateid, READ)
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
    ctx.server.readBytes += length
    ctx.out.append(_pack(25, 0, 1 if result.eof else 0, length))
    ctx.out.extend(result.pieces)
    if length & 3:
        ctx.out.append(PAD[length & 3])
    return pos + 28
