# -*- test-case-name: tests.nfs4.ops.test_commit -*-
"""
COMMIT at the metadata server (RFC 8881, section 18.3): for clients without a layout.
"""

from __future__ import annotations

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.conflicts import requireIOPermission
from pnfs.nfs4.ops.read import MAX_OFFSET
from pnfs.nfs4.status import nfsstat4
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
    errors=frozenset(
        {
            nfsstat4.NFS4ERR_ACCESS,
            nfsstat4.NFS4ERR_BADXDR,
            nfsstat4.NFS4ERR_DEADSESSION,
            nfsstat4.NFS4ERR_DELAY,
            nfsstat4.NFS4ERR_FHEXPIRED,
            nfsstat4.NFS4ERR_IO,
            nfsstat4.NFS4ERR_ISDIR,
            nfsstat4.NFS4ERR_MOVED,
            nfsstat4.NFS4ERR_NOFILEHANDLE,
            nfsstat4.NFS4ERR_OP_NOT_IN_SESSION,
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
async def commit(ctx: CompoundContext, args: COMMIT4args) -> COMMIT4resok:
    """
    Flush a range on the data servers. One beyond what a file can have is flushed
    as far as it goes.
    """
    inode = ctx.requireFile()
    requireIOPermission(ctx, inode, WRITE)
    offset = min(args.offset, MAX_OFFSET)
    count = args.count if offset + args.count <= MAX_OFFSET else 0
    return COMMIT4resok(await ctx.server.data.commit(ctx.export, inode, offset, count))
