# -*- test-case-name: tests.nfs4.ops.test_clone -*-
"""
CLONE (RFC 7862, section 15.13): a file shares bytes of another one, which takes no
time and no space. It is done by the file systems of the data servers, so each of
them must be able to, and have both: else NOTSUPP or XDEV is the answer, and clients
copy instead.

It is durable when it is answered: nothing comes with it that a COMMIT could confirm.
"""

from __future__ import annotations

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.copy_types import CLONE4args
from pnfs.nfs4.current import refreshWritten
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.conflicts import clearSetuid, withdrawDelegations
from pnfs.nfs4.ops.copy import (
    placeLike,
    requireCopyable,
    requireFiles,
    requireRange,
)
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.values import Inode


@operation(
    71,
    "CLONE",
    args=CLONE4args,
    modifies=True,
    minor=2,
    errors=errorsOf(
        "ACCESS ADMIN_REVOKED BADXDR BAD_STATEID DELEG_REVOKED DQUOT EXPIRED FBIG GRACE "
        "INVAL IO ISDIR LOCKED NOSPC NOTSUPP OLD_STATEID OPENMODE PNFS_IO_HOLE "
        "PNFS_NO_LAYOUT ROFS SYMLINK WRONG_TYPE XDEV"
    ),
)
async def clone(ctx: CompoundContext, args: CLONE4args) -> None:
    """
    Share a range, or the rest of a file, from the saved filehandle to the current
    one.
    """
    source, inode = requireFiles(ctx)
    block = ctx.export.cloneBlock
    if not block:
        raise NFSError(nfsstat4.NFS4ERR_NOTSUPP)
    stateids = args.cl_src_stateid, args.cl_dst_stateid
    requireCopyable(ctx, source, stateids[0], inode, stateids[1])
    await refreshWritten(ctx.server, ctx.savedExport, source)
    credential = requireCopyable(ctx, source, stateids[0], inode, stateids[1])
    sourceOffset, offset = args.cl_src_offset, args.cl_dst_offset
    count = requireRange(source, sourceOffset, offset, args.cl_count)
    _requireAligned(source, sourceOffset, offset, count, block)
    if (ctx.savedExport.id, source.handle) == (
        ctx.export.id,
        inode.handle,
    ) and abs(offset - sourceOffset) < count:
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    if not count:
        return
    await placeLike(ctx, source, inode)
    requireCopyable(ctx, source, stateids[0], inode, stateids[1])
    await ctx.server.data.clone(
        ctx.export, inode, offset, ctx.savedExport, source, sourceOffset, count
    )
    withdrawDelegations(ctx, inode)
    await clearSetuid(ctx.export, inode, credential)


def _requireAligned(
    source: Inode, sourceOffset: int, offset: int, count: int, block: int
) -> None:
    """
    Ranges begin and end at multiples of C{clone_blksize}, or end where the source
    does (RFC 7862, section 12.2.1).

    @raise NFSError: INVAL.
    """
    if (
        sourceOffset % block
        or offset % block
        or (count % block and sourceOffset + count < source.size)
    ):
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
