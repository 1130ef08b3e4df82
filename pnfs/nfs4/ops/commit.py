# -*- test-case-name: tests.nfs4.ops.test_write -*-
"""
COMMIT at the metadata server (RFC 8881, section 18.3): for clients without a layout.
"""

from __future__ import annotations

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.conflicts import requireIOPermission
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.ops.read import MAX_OFFSET
from pnfs.nfs4.types import count4, offset4, verifier4
from pnfs.state.opens import WRITE


@attrs.define
class COMMIT4args:
    """
    @ivar offset: first byte to flush.
    @ivar count: bytes to flush; 0 means to the end of the file.
    """

    offset: offset4
    count: count4


@attrs.define
class COMMIT4resok:
    """
    @ivar writeverf: equal to that of the WRITEs, or those must be sent again.
    """

    writeverf: verifier4


@operation(
    5,
    "COMMIT",
    args=COMMIT4args,
    resok=COMMIT4resok,
    errors=errorsOf("ACCESS BADXDR IO ISDIR SYMLINK WRONG_TYPE"),
)
async def commit(ctx: CompoundContext, args: COMMIT4args) -> COMMIT4resok:
    """
    Flush a range on the data servers. One beyond what a file can have is flushed
    as far as it goes.
    """
    inode = ctx.requireFile()
    requireIOPermission(ctx, inode, WRITE, True)
    offset = min(args.offset, MAX_OFFSET)
    count = args.count if offset + args.count <= MAX_OFFSET else 0
    return COMMIT4resok(await ctx.server.data.commit(ctx.export, inode, offset, count))
