# -*- test-case-name: tests.nfs4.ops.test_seek -*-
"""
SEEK at the metadata server (RFC 7862, section 15.11): where is the next data, or the
next hole?
"""

from __future__ import annotations

from typing import Optional

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.current import refreshWritten
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.allocate import requireSparseFile
from pnfs.nfs4.ops.conflicts import requireIOPermission, requireIOState
from pnfs.nfs4.ops.read import read
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import bool_t, offset4, stateid4, uint32_t
from pnfs.state.opens import READ

CONTENT_DATA = 0
CONTENT_HOLE = 1


@attrs.define
class SEEK4args:
    """
    @ivar sa_what: a C{data_content4}.
    """

    sa_stateid: stateid4
    sa_offset: offset4
    sa_what: uint32_t


@attrs.define
class SEEK4resok:
    """
    @ivar sr_eof: nothing of what was wanted is left but the hole at the end.
    """

    sr_eof: bool_t
    sr_offset: offset4


SEEK_ERRORS = read.errors | {
    nfsstat4.NFS4ERR_NOTSUPP,
    nfsstat4.NFS4ERR_NXIO,
    nfsstat4.NFS4ERR_UNION_NOTSUPP,
}


def isHole(what: int) -> bool:
    """
    @raise NFSError: UNION_NOTSUPP, for any other content.
    """
    if what not in (CONTENT_DATA, CONTENT_HOLE):
        raise NFSError(nfsstat4.NFS4ERR_UNION_NOTSUPP)
    return what == CONTENT_HOLE


def sought(offset: int, found: Optional[int], size: int) -> SEEK4resok:
    """
    @param offset: where the search began; C{found}: where it ended.
    @raise NFSError: NXIO, if it began at the end of the file or behind it.
    """
    if offset >= size:
        raise NFSError(nfsstat4.NFS4ERR_NXIO)
    if found is None or found >= size:
        return SEEK4resok(True, size)
    return SEEK4resok(False, found)


@operation(69, "SEEK", args=SEEK4args, resok=SEEK4resok, minor=2, errors=SEEK_ERRORS)
async def seek(ctx: CompoundContext, args: SEEK4args) -> SEEK4resok:
    """
    The size is asked for first while others write to the data servers.
    """
    hole = isHole(args.sa_what)
    inode = requireSparseFile(ctx)
    requireIOState(ctx, inode, args.sa_stateid, READ)
    requireIOPermission(ctx, inode, READ)
    state = inode.state
    if state is not None and (state.layouts or state.reclaimed):
        await refreshWritten(ctx.server, ctx.export, inode)
        requireIOState(ctx, inode, args.sa_stateid, READ)
    offset = args.sa_offset
    found = None
    if offset < inode.size:
        found = await ctx.server.data.seek(ctx.export, inode, offset, hole)
    return sought(offset, found, inode.size)
