# -*- test-case-name: tests.nfs4.ops.test_read_plus -*-
"""
READ_PLUS at the metadata server (RFC 7862, section 15.10): READ that tells where
holes are instead of sending their zeros.
"""

from __future__ import annotations

import struct
from typing import Any

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.current import refreshWritten
from pnfs.nfs4.operation import hotOperation
from pnfs.nfs4.ops.conflicts import requireIOPermission, requireIOState
from pnfs.nfs4.ops.read import MAX_OFFSET, RESERVE, read
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.state.opens import READ
from pnfs.values import SegmentsResult
from pnfs.xdr.codec import PAD

_unpack = struct.Struct(">16sQI").unpack_from
_pack = struct.Struct(">IIII").pack
_data = struct.Struct(">IQI").pack
_hole = struct.Struct(">IQQ").pack

_HEADS = 64
"""Bytes left for the heads of segments: more than two of them take."""


def appendSegments(ctx: CompoundContext, result: SegmentsResult) -> int:
    """
    Append a successful C{READ_PLUS4res}; the pieces go into it as they are.

    @return: bytes of data in it.
    """
    out = ctx.out
    segments = result.segments
    out.append(_pack(68, 0, 1 if result.eof else 0, len(segments)))
    total = 0
    for segment in segments:
        count = segment.count
        if segment.pieces is None:
            out.append(_hole(1, segment.offset, count))
            continue
        total += count
        out.append(_data(0, segment.offset, count))
        out.extend(segment.pieces)
        if count & 3:
            out.append(PAD[count & 3])
    return total


@hotOperation(68, "READ_PLUS", minor=2, errors=read.errors | {nfsstat4.NFS4ERR_NOTSUPP})
async def read_plus(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    Segments of the range that was asked for, in order and without gaps between
    them. The checks are those of READ.
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
        await refreshWritten(ctx.server, ctx.export, inode)
        requireIOState(ctx, inode, stateid, READ)
    room = ctx.limitBytes - ctx.size - RESERVE - _HEADS
    if count and room <= 0:
        raise NFSError(
            nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE
            if ctx.slot is not None and ctx.slot.cacheThis
            else nfsstat4.NFS4ERR_REP_TOO_BIG
        )
    count = min(count, room & ~3, max(MAX_OFFSET - offset, 0))
    if count <= 0:
        ctx.out.append(_pack(68, 0, 1 if offset >= inode.size else 0, 0))
        return pos + 28
    result = await ctx.server.data.readSegments(ctx.export, inode, offset, count)
    ctx.server.readBytes += appendSegments(ctx, result)
    return pos + 28
