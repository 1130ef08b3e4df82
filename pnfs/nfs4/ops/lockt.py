# -*- test-case-name: tests.nfs4.ops.test_lock -*-
"""
LOCKT (RFC 8881, section 18.11).
"""

from __future__ import annotations

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.courtesy import locksGiveWay
from pnfs.nfs4.ops.errorlists import errorsOf
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
    errors=errorsOf(
        "ACCESS BADXDR BAD_RANGE DENIED GRACE INVAL ISDIR LOCK_RANGE ROFS "
        "SYMLINK WRONG_CRED WRONG_TYPE"
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
    file = inode.state
    what = (args.owner.owner, isExclusive(args.locktype), args.offset, args.length)
    while True:
        try:
            server.locks.test(file, ctx.client, *what)
            return
        except LockDenied as denied:
            if not locksGiveWay(ctx, file, *what):
                raise deniedError(denied) from None
