# -*- test-case-name: tests.nfs4.ops.test_close -*-
"""
OPEN_DOWNGRADE (RFC 8881, section 18.18).
"""

from __future__ import annotations

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.delegation_types import WANT_MASK
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.conflicts import requireState
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.ops.open_args import SHARE_ACCESS_MASK
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import seqid4, stateid4, uint32_t
from pnfs.state.opens import WRITE, OpenState


@attrs.define
class OPEN_DOWNGRADE4args:
    """
    @ivar seqid: means nothing in NFSv4.1.
    @ivar share_access: what to keep; share_deny: likewise.
    """

    open_stateid: stateid4
    seqid: seqid4
    share_access: uint32_t
    share_deny: uint32_t


@attrs.define
class OPEN_DOWNGRADE4resok:
    """
    @ivar open_stateid: with a new seqid.
    """

    open_stateid: stateid4


@operation(
    21,
    "OPEN_DOWNGRADE",
    args=OPEN_DOWNGRADE4args,
    resok=OPEN_DOWNGRADE4resok,
    modifies=True,
    errors=errorsOf(
        "ADMIN_REVOKED BADXDR BAD_STATEID EXPIRED INVAL OLD_STATEID ROFS " "WRONG_CRED"
    ),
)
def open_downgrade(
    ctx: CompoundContext, args: OPEN_DOWNGRADE4args
) -> OPEN_DOWNGRADE4resok:
    """
    Keep only some of the modes that the open owner has asked for.
    """
    inode = ctx.requireInode()
    access = args.share_access & ~WANT_MASK
    if not access or access > SHARE_ACCESS_MASK or args.share_deny > SHARE_ACCESS_MASK:
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    state = requireState(ctx, inode, args.open_stateid, OpenState)
    ctx.server.opens.downgrade(state, access, args.share_deny)
    if not access & WRITE:
        layout = state.file.layouts.get(ctx.client.clientid)
        if layout is not None:
            layout.stoppedWriting()
    ctx.stateid = state.stateid
    return OPEN_DOWNGRADE4resok(state.stateid)
