# -*- test-case-name: tests.nfs4.ops.test_lock -*-
"""
LOCKU (RFC 8881, section 18.12).
"""

from __future__ import annotations

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.conflicts import requireState
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.ops.lock_types import nfs_lock_type4
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
    errors=errorsOf(
        "ACCESS ADMIN_REVOKED BADXDR BAD_RANGE BAD_STATEID EXPIRED INVAL "
        "LOCK_RANGE OLD_STATEID WRONG_CRED"
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
