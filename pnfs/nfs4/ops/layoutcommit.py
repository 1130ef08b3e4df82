# -*- test-case-name: tests.nfs4.ops.test_layoutcommit -*-
"""
LAYOUTCOMMIT (RFC 8881, section 18.42).
"""

from __future__ import annotations

from typing import Annotated, Any, Optional

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import (
    bool_t,
    length4,
    nfstime4,
    offset4,
    stateid4,
    uint32_t,
)
from pnfs.state.errors import BadStateid
from pnfs.state.layouts import LayoutState
from pnfs.values import NFS4_UINT64_MAX, FileType
from pnfs.xdr.codec import Maybe, Opaque

LAYOUTUPDATE_LIMIT = 65536


@attrs.define
class layoutupdate4:
    """
    What a layout type adds (RFC 8881, section 3.3.18).
    """

    lou_type: uint32_t
    lou_body: Annotated[bytes, Opaque(LAYOUTUPDATE_LIMIT)]


@attrs.define
class LAYOUTCOMMIT4args:
    """
    @ivar loca_last_write_offset: last byte written, if any was.
    @ivar loca_time_modify: when, if the client wants to say.
    """

    loca_offset: offset4
    loca_length: length4
    loca_reclaim: bool_t
    loca_stateid: stateid4
    loca_last_write_offset: Annotated[Optional[int], Maybe(offset4)]
    loca_time_modify: Annotated[Optional[nfstime4], Maybe(nfstime4)]
    loca_layoutupdate: layoutupdate4


@attrs.define
class LAYOUTCOMMIT4resok:
    """
    @ivar locr_newsize: the file's size, if it has changed.
    """

    locr_newsize: Annotated[Optional[int], Maybe(length4)]


@operation(
    49,
    "LAYOUTCOMMIT",
    args=LAYOUTCOMMIT4args,
    resok=LAYOUTCOMMIT4resok,
    modifies=True,
    errors=frozenset(
        {
            nfsstat4.NFS4ERR_ACCESS,
            nfsstat4.NFS4ERR_ADMIN_REVOKED,
            nfsstat4.NFS4ERR_ATTRNOTSUPP,
            nfsstat4.NFS4ERR_BADIOMODE,
            nfsstat4.NFS4ERR_BADLAYOUT,
            nfsstat4.NFS4ERR_BADXDR,
            nfsstat4.NFS4ERR_DEADSESSION,
            nfsstat4.NFS4ERR_DELAY,
            nfsstat4.NFS4ERR_DELEG_REVOKED,
            nfsstat4.NFS4ERR_EXPIRED,
            nfsstat4.NFS4ERR_FBIG,
            nfsstat4.NFS4ERR_FHEXPIRED,
            nfsstat4.NFS4ERR_GRACE,
            nfsstat4.NFS4ERR_INVAL,
            nfsstat4.NFS4ERR_IO,
            nfsstat4.NFS4ERR_ISDIR,
            nfsstat4.NFS4ERR_MOVED,
            nfsstat4.NFS4ERR_NOFILEHANDLE,
            nfsstat4.NFS4ERR_NOTSUPP,
            nfsstat4.NFS4ERR_NO_GRACE,
            nfsstat4.NFS4ERR_OP_NOT_IN_SESSION,
            nfsstat4.NFS4ERR_RECLAIM_BAD,
            nfsstat4.NFS4ERR_RECLAIM_CONFLICT,
            nfsstat4.NFS4ERR_REP_TOO_BIG,
            nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE,
            nfsstat4.NFS4ERR_REQ_TOO_BIG,
            nfsstat4.NFS4ERR_RETRY_UNCACHED_REP,
            nfsstat4.NFS4ERR_SERVERFAULT,
            nfsstat4.NFS4ERR_STALE,
            nfsstat4.NFS4ERR_SYMLINK,
            nfsstat4.NFS4ERR_TOO_MANY_OPS,
            nfsstat4.NFS4ERR_UNKNOWN_LAYOUTTYPE,
            nfsstat4.NFS4ERR_WRONG_CRED,
        }
    ),
)
async def layoutcommit(
    ctx: CompoundContext, args: LAYOUTCOMMIT4args
) -> LAYOUTCOMMIT4resok:
    """
    Make what was written to data servers visible. What the client says of size and
    time are hints; the data servers are asked, and the file never shrinks by it.

    A reclaim (RFC 8881, section 18.42.3) comes from a client whose layout went
    with an earlier start of the server, and needs no layout.
    """
    inode = ctx.requireInode()
    if inode.ftype != FileType.REG:
        raise NFSError(
            {
                FileType.DIR: nfsstat4.NFS4ERR_ISDIR,
                FileType.LNK: nfsstat4.NFS4ERR_SYMLINK,
            }.get(FileType(inode.ftype), nfsstat4.NFS4ERR_INVAL)
        )
    length = args.loca_length
    if length != NFS4_UINT64_MAX and args.loca_offset + length > NFS4_UINT64_MAX:
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    if args.loca_layoutupdate.lou_type not in ctx.export.drivers:
        raise NFSError(nfsstat4.NFS4ERR_UNKNOWN_LAYOUTTYPE)
    layout = None
    if args.loca_reclaim:
        ctx.server.recovery.checkReclaim(ctx.client, ctx.now)
    else:
        try:
            layout = _requireLayout(ctx, inode, args.loca_stateid)
        except NFSError:
            # Of a layout from before our restart Linux takes the error for an
            # answer: what it has written must be known all the same.
            if ctx.server.stateids.earlier(args.loca_stateid):
                await ctx.server.data.refresh(ctx.export, inode)
            raise
        if not layout.holdsWrite:
            raise NFSError(nfsstat4.NFS4ERR_BADIOMODE)
        if layout.layoutType != args.loca_layoutupdate.lou_type:
            raise NFSError(nfsstat4.NFS4ERR_BADLAYOUT)
    before = inode.size
    asked = ctx.server.clock.seconds()
    await ctx.server.data.refresh(ctx.export, inode)
    ctx.asked, ctx.askedAt = inode, asked
    if layout is not None:
        layout.refreshed()
    return LAYOUTCOMMIT4resok(inode.size if inode.size != before else None)


def _requireLayout(ctx: CompoundContext, inode: Any, stateid: bytes) -> Any:
    """
    The layout to be committed. Any earlier seqid will do: Linux kernels before
    mid-2026 would repeat an OLD_STATEID without end.

    @raise NFSError: BADLAYOUT, since this operation has no BAD_STATEID.
    @raise StateError: why it was revoked.
    """
    stateid = ctx.resolveStateid(stateid)
    server = ctx.server
    try:
        if inode.state is None:
            raise server.stateids.whyNot(stateid, ctx.client, inode, LayoutState)
        return server.layouts.find(stateid, ctx.client, inode.state)
    except BadStateid:
        raise NFSError(nfsstat4.NFS4ERR_BADLAYOUT) from None
