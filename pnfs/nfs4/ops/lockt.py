# -*- test-case-name: tests.nfs4.ops.test_lockt -*-
"""
LOCKT (RFC 8881, section 18.11).
"""

from __future__ import annotations

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.lock_types import deniedError, isExclusive, nfs_lock_type4
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import length4, offset4, state_owner4
from pnfs.state.errors import LockDenied
from pnfs.state.locks import rangeOf


@attrs.define
class LOCKT4args:
    """
    @ivar owner: whose own locks are not in the way; its clientid is the session's,
        whatever it says.
    """

    locktype: nfs_lock_type4
    offset: offset4
    length: length4
    owner: state_owner4


@operation(
    13,
    "LOCKT",
    args=LOCKT4args,
    errors=frozenset(
        {
            nfsstat4.NFS4ERR_ACCESS,
            nfsstat4.NFS4ERR_BADXDR,
            nfsstat4.NFS4ERR_BAD_RANGE,
            nfsstat4.NFS4ERR_DEADSESSION,
            nfsstat4.NFS4ERR_DELAY,
            nfsstat4.NFS4ERR_DENIED,
            nfsstat4.NFS4ERR_FHEXPIRED,
            nfsstat4.NFS4ERR_GRACE,
            nfsstat4.NFS4ERR_INVAL,
            nfsstat4.NFS4ERR_ISDIR,
            nfsstat4.NFS4ERR_LOCK_RANGE,
            nfsstat4.NFS4ERR_MOVED,
            nfsstat4.NFS4ERR_NOFILEHANDLE,
            nfsstat4.NFS4ERR_OP_NOT_IN_SESSION,
            nfsstat4.NFS4ERR_REP_TOO_BIG,
            nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE,
            nfsstat4.NFS4ERR_RETRY_UNCACHED_REP,
            nfsstat4.NFS4ERR_ROFS,
            nfsstat4.NFS4ERR_SERVERFAULT,
            nfsstat4.NFS4ERR_STALE,
            nfsstat4.NFS4ERR_SYMLINK,
            nfsstat4.NFS4ERR_TOO_MANY_OPS,
            nfsstat4.NFS4ERR_WRONG_CRED,
            nfsstat4.NFS4ERR_WRONG_TYPE,
        }
    ),
)
def lockt(ctx: CompoundContext, args: LOCKT4args) -> None:
    """
    Would a lock be granted? During grace nobody knows.
    """
    inode = ctx.requireFile()
    rangeOf(args.offset, args.length)
    server = ctx.server
    if server.recovery.inGrace(ctx.now):
        raise NFSError(nfsstat4.NFS4ERR_GRACE)
    if inode.state is None:
        return
    try:
        server.locks.test(
            inode.state,
            ctx.client,
            args.owner.owner,
            isExclusive(args.locktype),
            args.offset,
            args.length,
        )
    except LockDenied as denied:
        raise deniedError(denied) from None
