# -*- test-case-name: tests.nfs4.ops.test_allocate -*-
"""
DEALLOCATE at the metadata server (RFC 7862, section 15.4): make a hole.
"""

from __future__ import annotations

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.allocate import (
    ALLOCATE_ERRORS,
    finishChange,
    requireRange,
    requireSparseFile,
    requireWritable,
)
from pnfs.nfs4.ops.read import MAX_OFFSET
from pnfs.nfs4.types import length4, offset4, stateid4


@attrs.define
class DEALLOCATE4args:
    """
    @ivar da_stateid: as for WRITE.
    """

    da_stateid: stateid4
    da_offset: offset4
    da_length: length4


@operation(
    62,
    "DEALLOCATE",
    args=DEALLOCATE4args,
    minor=2,
    modifies=True,
    errors=ALLOCATE_ERRORS,
)
async def deallocate(ctx: CompoundContext, args: DEALLOCATE4args) -> None:
    """
    The size stays as it is, wherever the range ends.
    """
    offset, length = args.da_offset, args.da_length
    requireRange(offset, length)
    inode = requireSparseFile(ctx)
    state, credential = requireWritable(ctx, inode, args.da_stateid)
    offset = min(offset, MAX_OFFSET)
    length = min(length, MAX_OFFSET - offset)
    if length:
        await ctx.server.data.deallocate(ctx.export, inode, offset, length)
    await finishChange(ctx, inode, state, credential)
