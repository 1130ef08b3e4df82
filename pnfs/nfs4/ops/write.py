# -*- test-case-name: tests.nfs4.ops.test_write -*-
"""
WRITE at the metadata server (RFC 8881, section 18.32): for clients without a layout.
"""

from __future__ import annotations

import struct
from typing import Any

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import hotOperation
from pnfs.nfs4.ops.conflicts import (
    clearSetuid,
    requireIOPermission,
    requireIOState,
    withdrawDelegations,
)
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.ops.read import MAX_OFFSET
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.state.opens import WRITE
from pnfs.values import Stable
from pnfs.xdr.errors import XDRError

_unpack = struct.Struct(">16sQII").unpack_from
_pack = struct.Struct(">IIII8s").pack


@hotOperation(
    38,
    "WRITE",
    modifies=True,
    errors=errorsOf(
        "ACCESS ADMIN_REVOKED BADXDR BAD_STATEID DELEG_REVOKED DQUOT EXPIRED "
        "FBIG GRACE INVAL IO ISDIR LOCKED NOSPC OLD_STATEID OPENMODE "
        "PNFS_IO_HOLE PNFS_NO_LAYOUT ROFS SYMLINK WRONG_TYPE"
    ),
)
async def write(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    Write to the data servers, from the request itself without a copy.
    """
    stateid, offset, stable, length = _unpack(buf, pos)
    pos += 32
    end = pos + length
    following: int = end + (-length & 3)
    if stable > Stable.FILE_SYNC or following > len(buf):
        raise XDRError("WRITE4args")
    export = ctx.export
    inode = ctx.requireFile()
    if offset > MAX_OFFSET or length > MAX_OFFSET - offset:
        raise NFSError(nfsstat4.NFS4ERR_FBIG)
    state = requireIOState(ctx, inode, stateid, WRITE)
    if export.readOnly:
        raise NFSError(nfsstat4.NFS4ERR_ROFS)
    credential = requireIOPermission(ctx, inode, WRITE, offset >= inode.size)
    data = memoryview(buf)[pos:end]
    result = await ctx.server.data.write(export, inode, offset, data, stable)
    if state is None:
        withdrawDelegations(ctx, inode)
    ctx.server.writeBytes += result.count
    if inode.mode & 0o6000 and length:
        await clearSetuid(export, inode, credential)
    ctx.out.append(_pack(38, 0, result.count, result.committed, result.verifier))
    return following
