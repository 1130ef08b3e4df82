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
)
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
    errors=frozenset(
        {
            nfsstat4.NFS4ERR_ACCESS,
            nfsstat4.NFS4ERR_ADMIN_REVOKED,
            nfsstat4.NFS4ERR_BADXDR,
            nfsstat4.NFS4ERR_BAD_STATEID,
            nfsstat4.NFS4ERR_DEADSESSION,
            nfsstat4.NFS4ERR_DELAY,
            nfsstat4.NFS4ERR_DELEG_REVOKED,
            nfsstat4.NFS4ERR_DQUOT,
            nfsstat4.NFS4ERR_EXPIRED,
            nfsstat4.NFS4ERR_FBIG,
            nfsstat4.NFS4ERR_FHEXPIRED,
            nfsstat4.NFS4ERR_GRACE,
            nfsstat4.NFS4ERR_INVAL,
            nfsstat4.NFS4ERR_IO,
            nfsstat4.NFS4ERR_ISDIR,
            nfsstat4.NFS4ERR_LOCKED,
            nfsstat4.NFS4ERR_MOVED,
            nfsstat4.NFS4ERR_NOFILEHANDLE,
            nfsstat4.NFS4ERR_NOSPC,
            nfsstat4.NFS4ERR_OLD_STATEID,
            nfsstat4.NFS4ERR_OPENMODE,
            nfsstat4.NFS4ERR_OP_NOT_IN_SESSION,
            nfsstat4.NFS4ERR_PNFS_IO_HOLE,
            nfsstat4.NFS4ERR_PNFS_NO_LAYOUT,
            nfsstat4.NFS4ERR_REP_TOO_BIG,
            nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE,
            nfsstat4.NFS4ERR_RETRY_UNCACHED_REP,
            nfsstat4.NFS4ERR_ROFS,
            nfsstat4.NFS4ERR_SERVERFAULT,
            nfsstat4.NFS4ERR_STALE,
            nfsstat4.NFS4ERR_SYMLINK,
            nfsstat4.NFS4ERR_TOO_MANY_OPS,
            nfsstat4.NFS4ERR_WRONG_TYPE,
        }
    ),
)
async def write(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    Write to the data servers, from the request itself without a copy.
    """
    stateid, offset, stable, length = _unpack(buf, pos)
    pos += 32
    end: int = pos + length
    if stable > Stable.FILE_SYNC or end + (-length & 3) > len(buf):
        raise XDRError("WRITE4args")
    export = ctx.export
    inode = ctx.requireFile()
    if offset > MAX_OFFSET or length > MAX_OFFSET - offset:
        raise NFSError(nfsstat4.NFS4ERR_FBIG)
    requireIOState(ctx, inode, stateid, WRITE)
    if export.readOnly:
        raise NFSError(nfsstat4.NFS4ERR_ROFS)
    credential = requireIOPermission(ctx, inode, WRITE)
    data = memoryview(buf)[pos:end]
    result = await ctx.server.data.write(export, inode, offset, data, stable)
    if inode.mode & 0o6000 and length:
        await clearSetuid(export, inode, credential)
    ctx.out.append(_pack(38, 0, result.count, result.committed, result.verifier))
    return end + (-length & 3)
