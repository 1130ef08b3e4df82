# -*- test-case-name: tests.nfs4.ops.test_locku -*-
"""
LOCKU (RFC 8881, section 18.12).
"""

from __future__ import annotations

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.conflicts import requireState
from pnfs.nfs4.ops.lock_types import nfs_lock_type4
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import length4, offset4, seqid4, stateid4
from pnfs.state.locks import LockState


@attrs.define
class LOCKU4args:
    """
    @ivar locktype: of no meaning, but checked.
    @ivar seqid: means nothing in NFSv4.1.
    """

    locktype: nfs_lock_type4
    seqid: seqid4
    lock_stateid: stateid4
    offset: offset4
    length: length4


@attrs.define
class LOCKU4resok:
    """
    @ivar lock_stateid: with a new seqid.
    """

    lock_stateid: stateid4


@operation(
    14,
    "LOCKU",
    args=LOCKU4args,
    resok=LOCKU4resok,
    modifies=True,
    errors=frozenset(
        {
            nfsstat4.NFS4ERR_ACCESS,
            nfsstat4.NFS4ERR_ADMIN_REVOKED,
            nfsstat4.NFS4ERR_BADXDR,
            nfsstat4.NFS4ERR_BAD_RANGE,
            nfsstat4.NFS4ERR_BAD_STATEID,
            nfsstat4.NFS4ERR_DEADSESSION,
            nfsstat4.NFS4ERR_DELAY,
            nfsstat4.NFS4ERR_EXPIRED,
            nfsstat4.NFS4ERR_FHEXPIRED,
            nfsstat4.NFS4ERR_INVAL,
            nfsstat4.NFS4ERR_LOCK_RANGE,
            nfsstat4.NFS4ERR_MOVED,
            nfsstat4.NFS4ERR_NOFILEHANDLE,
            nfsstat4.NFS4ERR_OLD_STATEID,
            nfsstat4.NFS4ERR_OP_NOT_IN_SESSION,
            nfsstat4.NFS4ERR_REP_TOO_BIG,
            nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE,
            nfsstat4.NFS4ERR_RETRY_UNCACHED_REP,
            nfsstat4.NFS4ERR_SERVERFAULT,
            nfsstat4.NFS4ERR_STALE,
            nfsstat4.NFS4ERR_TOO_MANY_OPS,
            nfsstat4.NFS4ERR_WRONG_CRED,
        }
    ),
)
def locku(ctx: CompoundContext, args: LOCKU4args) -> LOCKU4resok:
    """
    Unlock a byte range: POSIX fashion, any part of what is held.
    """
    inode = ctx.requireInode()
    state = requireState(ctx, inode, args.lock_stateid, LockState)
    ctx.server.locks.unlock(state, args.offset, args.length)
    ctx.stateid = state.stateid
    return LOCKU4resok(state.stateid)
