# -*- test-case-name: tests.nfs4.ops.test_reclaim_complete -*-
"""
RECLAIM_COMPLETE (RFC 8881, section 18.51): the client has nothing more to reclaim.
"""

from __future__ import annotations

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import bool_t


@attrs.define
class RECLAIM_COMPLETE4args:
    """
    @ivar rca_one_fs: it is about the file system of the current filehandle only.
    """

    rca_one_fs: bool_t


@operation(
    58,
    "RECLAIM_COMPLETE",
    args=RECLAIM_COMPLETE4args,
    errors=frozenset(
        {
            nfsstat4.NFS4ERR_BADXDR,
            nfsstat4.NFS4ERR_COMPLETE_ALREADY,
            nfsstat4.NFS4ERR_DEADSESSION,
            nfsstat4.NFS4ERR_DELAY,
            nfsstat4.NFS4ERR_FHEXPIRED,
            nfsstat4.NFS4ERR_MOVED,
            nfsstat4.NFS4ERR_NOFILEHANDLE,
            nfsstat4.NFS4ERR_OP_NOT_IN_SESSION,
            nfsstat4.NFS4ERR_REP_TOO_BIG,
            nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE,
            nfsstat4.NFS4ERR_REQ_TOO_BIG,
            nfsstat4.NFS4ERR_RETRY_UNCACHED_REP,
            nfsstat4.NFS4ERR_SERVERFAULT,
            nfsstat4.NFS4ERR_STALE,
            nfsstat4.NFS4ERR_TOO_MANY_OPS,
        }
    ),
    modifies=True,
)
def reclaim_complete(ctx: CompoundContext, args: RECLAIM_COMPLETE4args) -> None:
    """
    After the one for everything the client may obtain new state, and not reclaim.
    """
    if args.rca_one_fs:
        ctx.requireFH()
        # A data server has no exports.
        export = ctx.export
        ctx.server.recovery.completeFS(ctx.client, export.id if export else 0)
    else:
        ctx.server.recovery.complete(ctx.client, ctx.now)
