# -*- test-case-name: tests.nfs4.ops.test_allocate -*-
"""
ALLOCATE at the metadata server (RFC 7862, section 15.1): reserve space.
"""

from __future__ import annotations

from typing import Any

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.conflicts import (
    clearSetuid,
    requireIOPermission,
    requireIOState,
    withdrawDelegations,
)
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.ops.read import MAX_OFFSET
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import length4, offset4, stateid4
from pnfs.state.opens import WRITE
from pnfs.values import NFS4_UINT64_MAX, Credential, FileType, Inode

ALLOCATE_ERRORS = errorsOf(
    "ACCESS ADMIN_REVOKED BADXDR BAD_STATEID DELEG_REVOKED DQUOT EXPIRED FBIG GRACE "
    "INVAL IO LOCKED NOSPC NOTSUPP OLD_STATEID OPENMODE ROFS WRONG_TYPE"
)


@attrs.define
class ALLOCATE4args:
    """
    @ivar aa_stateid: as for WRITE.
    """

    aa_stateid: stateid4
    aa_offset: offset4
    aa_length: length4


def requireSparseFile(ctx: CompoundContext) -> Inode:
    """
    The current object, a regular file.

    @raise NFSError: WRONG_TYPE for all that is none (RFC 7862, section 15.1.3).
    """
    inode = ctx.requireInode()
    if inode.ftype != FileType.REG:
        raise NFSError(nfsstat4.NFS4ERR_WRONG_TYPE)
    return inode


def requireRange(offset: int, length: int) -> None:
    """
    A range of bytes, not empty, that ends where numbers do or before.

    @raise NFSError: INVAL.
    """
    if not length or offset > NFS4_UINT64_MAX - length:
        raise NFSError(nfsstat4.NFS4ERR_INVAL)


def requireWritable(
    ctx: CompoundContext, inode: Inode, stateid: bytes
) -> tuple[Any, Credential]:
    """
    May the caller change the bytes of a file? The checks are those of WRITE.

    @return: the state, as L{requireIOState} has it, and the caller's credential
        after root squash; both for L{finishChange}.
    """
    state = requireIOState(ctx, inode, stateid, WRITE)
    if ctx.export.readOnly:
        raise NFSError(nfsstat4.NFS4ERR_ROFS)
    return state, requireIOPermission(ctx, inode, WRITE)


async def finishChange(
    ctx: CompoundContext, inode: Inode, state: Any, credential: Credential
) -> None:
    """
    What follows a change of the bytes of a file, as with WRITE.
    """
    if state is None:
        withdrawDelegations(ctx, inode)
    if inode.mode & 0o6000:
        await clearSetuid(ctx.export, inode, credential)


@operation(
    59,
    "ALLOCATE",
    args=ALLOCATE4args,
    minor=2,
    modifies=True,
    errors=ALLOCATE_ERRORS,
)
async def allocate(ctx: CompoundContext, args: ALLOCATE4args) -> None:
    """
    The file grows if the range ends behind it.
    """
    offset, length = args.aa_offset, args.aa_length
    requireRange(offset, length)
    inode = requireSparseFile(ctx)
    if offset + length > MAX_OFFSET:
        raise NFSError(nfsstat4.NFS4ERR_FBIG)
    state, credential = requireWritable(ctx, inode, args.aa_stateid)
    await ctx.server.data.allocate(ctx.export, inode, offset, length)
    await finishChange(ctx, inode, state, credential)
