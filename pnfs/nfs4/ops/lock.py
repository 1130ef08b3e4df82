# -*- test-case-name: tests.nfs4.ops.test_lock -*-
"""
LOCK (RFC 8881, section 18.10).
"""

from __future__ import annotations

from typing import Annotated, Any

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.conflicts import requireState
from pnfs.nfs4.ops.courtesy import locksGiveWay
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.ops.lock_types import (
    deniedError,
    isBlocking,
    isExclusive,
    nfs_lock_type4,
)
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import (
    bool_t,
    length4,
    offset4,
    seqid4,
    state_owner4,
    stateid4,
)
from pnfs.state.errors import LockDenied
from pnfs.state.locks import LockState, rangeOf
from pnfs.state.opens import OpenState
from pnfs.xdr.codec import Union


@attrs.define
class open_to_lock_owner4:
    """
    The first lock of a lock owner on a file, made through an open.

    @ivar open_seqid: and C{lock_seqid} mean nothing in NFSv4.1, nor does the
        clientid in C{lock_owner}: it is the session's.
    """

    open_seqid: seqid4
    open_stateid: stateid4
    lock_seqid: seqid4
    lock_owner: state_owner4


@attrs.define
class exist_lock_owner4:
    """
    A further lock of a lock owner on a file.
    """

    lock_stateid: stateid4
    lock_seqid: seqid4


@attrs.define
class LOCK4args:
    """
    @ivar reclaim: the lock was held before the server's restart.
    @ivar length: bytes; all ones means to the end of the file.
    @ivar locker: (1, open_to_lock_owner4) or (0, exist_lock_owner4).
    """

    locktype: nfs_lock_type4
    reclaim: bool_t
    offset: offset4
    length: length4
    locker: Annotated[
        tuple[int, Any], Union({1: open_to_lock_owner4, 0: exist_lock_owner4})
    ]


@attrs.define
class LOCK4resok:
    """
    @ivar lock_stateid: stands for the lock owner on this file.
    """

    lock_stateid: stateid4


@operation(
    12,
    "LOCK",
    args=LOCK4args,
    resok=LOCK4resok,
    modifies=True,
    errors=errorsOf(
        "ACCESS ADMIN_REVOKED BADXDR BAD_RANGE BAD_STATEID DEADLOCK DENIED "
        "EXPIRED GRACE INVAL ISDIR LOCK_NOTSUPP LOCK_RANGE NO_GRACE "
        "OLD_STATEID OPENMODE RECLAIM_BAD RECLAIM_CONFLICT ROFS SYMLINK "
        "WRONG_CRED WRONG_TYPE"
    ),
)
def lock(ctx: CompoundContext, args: LOCK4args) -> LOCK4resok:
    """
    Lock a byte range of the current file, or say who is in the way. Whoever waits
    is told when nobody is any more (L{pnfs.state.waiting}).
    """
    inode = ctx.requireFile()
    server = ctx.server
    isNew, locker = args.locker
    if isNew:
        opened = requireState(ctx, inode, locker.open_stateid, OpenState)
        owner = locker.lock_owner.owner
    else:
        state = requireState(ctx, inode, locker.lock_stateid, LockState)
        opened, owner = state.open, state.owner
    if args.reclaim:
        server.recovery.checkReclaim(ctx.client, ctx.now)
    else:
        server.recovery.checkOrdinary(ctx.client, ctx.now)
        server.layouts.requireFenced(ctx.export, inode)
    exclusive = isExclusive(args.locktype)
    what = (owner, exclusive, args.offset, args.length)
    state = None
    while state is None:
        try:
            state = server.locks.lock(opened, *what)
        except LockDenied as denied:
            if args.reclaim:
                raise NFSError(nfsstat4.NFS4ERR_RECLAIM_CONFLICT) from None
            if locksGiveWay(ctx, opened.file, *what):
                continue
            if isBlocking(args.locktype) and server.waiting is not None:
                start, end = rangeOf(args.offset, args.length)
                server.waiting.wait(opened, owner, exclusive, start, end)
            raise deniedError(denied) from None
    ctx.stateid = state.stateid
    return LOCK4resok(state.stateid)
