# -*- test-case-name: tests.nfs4.ops.test_setattr -*-
"""
SETATTR (RFC 8881, section 18.30).
"""

from __future__ import annotations

from typing import Any

import attrs

from pnfs.backends.errors import BackendError
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.fattr import DELEGATED_TIMES, FATTR4_SIZE, FATTR4_TIME_DELEG_MODIFY
from pnfs.nfs4.fattr_lists import agreeing, checkList
from pnfs.nfs4.fattr_set import decodeDelegatedTimes, decodeSettable, permitted
from pnfs.nfs4.operation import hotOperation, okHeader
from pnfs.nfs4.ops.conflicts import (
    requireIOPermission,
    requireIOState,
    requireNoDelegations,
    requireNoLayouts,
    requireNoReclaims,
    requireState,
    withdrawDelegations,
)
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.status import NFSError, nfsstat4, statusOf
from pnfs.nfs4.types import encodeBitmap, fattr4, stateid4
from pnfs.state.delegations import DelegationState
from pnfs.state.errors import OpenMode, StateError
from pnfs.state.opens import WRITE
from pnfs.values import MODE_ONLY, NOW, FileType, Inode, SetAttributes
from pnfs.xdr.codec import codecFor

_OK = okHeader(34)
_NOTHING_SET = encodeBitmap(0)
_SIZE = 1 << FATTR4_SIZE
_NOTHING = SetAttributes()


@attrs.define
class SETATTR4args:
    """
    @ivar stateid: for the size: of an open for writing, or a special one.
    """

    stateid: stateid4
    obj_attributes: fattr4


_decode = codecFor(SETATTR4args).decode


@hotOperation(
    34,
    "SETATTR",
    modifies=True,
    errorBody=_NOTHING_SET,
    errors=errorsOf(
        "ACCESS ADMIN_REVOKED ATTRNOTSUPP BADCHAR BADOWNER BADXDR BAD_STATEID "
        "DELEG_REVOKED DQUOT EXPIRED FBIG GRACE INVAL IO LOCKED NOSPC OLD_STATEID "
        "OPENMODE PERM ROFS UNKNOWN_LAYOUTTYPE WRONG_TYPE"
    ),
)
async def setattr(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    Change attributes. Which ones have been changed is told with errors too.
    """
    done = [0]
    try:
        args, pos = _decode(buf, pos)
        await _apply(ctx, args, done)
    except NFSError as error:
        raise NFSError(error.status, encodeBitmap(done[0])) from error
    except (BackendError, StateError) as error:
        status = statusOf(error)
        assert status is not None
        raise NFSError(status, encodeBitmap(done[0])) from error
    ctx.out.append(_OK + encodeBitmap(done[0]))
    return pos


async def _apply(ctx: CompoundContext, args: SETATTR4args, done: list[int]) -> None:
    """
    @param done: its only element becomes the bitmap of what has been set.
    """
    inode = ctx.requireInode()
    export = ctx.export
    changes, mask = _NOTHING, 0
    if ctx.minor >= 2:
        changes, mask = decodeDelegatedTimes(
            args.obj_attributes, inode, ctx.server.wallTime()
        )
    if mask:
        _requireDelegatedTimes(ctx, inode, args.stateid, mask)
    else:
        changes, mask = decodeSettable(args.obj_attributes, None, export, ctx.minor)
    if export.readOnly:
        raise NFSError(nfsstat4.NFS4ERR_ROFS)
    if changes.size is not None:
        _requireTruncatable(ctx, inode, args.stateid, changes.size)
    if changes.mode is not None and inode.ftype == FileType.LNK:
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    if changes.acl is not None:
        checkList(inode.ftype, changes.acl)
    chmod = changes.mode is not None
    if not mask & DELEGATED_TIMES:
        changes = permitted(inode, changes, export.effective(ctx.credential))
    requireNoReclaims(ctx, inode)
    requireNoDelegations(ctx, inode, True)
    if changes.size is not None:
        requireNoLayouts(ctx, inode, ctx.client, "truncate")
        await ctx.server.data.truncate(export, inode, changes.size)
        done[0] |= mask & _SIZE
        changes = attrs.evolve(changes, size=None)
    if changes != _NOTHING:
        if changes.acl is not None or inode.acl is not None:
            changes = agreeing(inode, changes, chmod)
        guards = inode.hasPlacement and _changesRights(inode, changes)
        if guards:
            requireNoLayouts(ctx, inode, None, "access")
        await export.backend.setattr(inode, changes)
        done[0] = mask
        if guards:
            # Data servers take for granted what handles grant: make new ones.
            await ctx.server.data.fence(export, inode)
        if inode.hasPlacement and (changes.mode, changes.uid, changes.gid) != (
            None,
            None,
            None,
        ):
            await ctx.server.data.applyOwner(export, inode)
        if inode.hasPlacement and changes.mtime not in (None, NOW):
            await ctx.server.data.applyTimes(export, inode)
    done[0] = mask
    withdrawDelegations(ctx, inode, changes.acl is not None)


def _changesRights(inode: Inode, changes: SetAttributes) -> bool:
    """
    Does anybody lose or get rights to a file by its access control list? Whose it is
    decides who C{OWNER@} and C{GROUP@} are.
    """
    if changes.acl is not None:
        return changes.acl != MODE_ONLY
    return inode.acl is not None and (changes.uid, changes.gid) != (None, None)


def _requireDelegatedTimes(
    ctx: CompoundContext, inode: Inode, stateid: bytes, mask: int
) -> None:
    """
    Only who holds a delegation that keeps the times may tell them; whoever's they
    are, permissions were checked when it was given (RFC 9754, section 5).

    @raise NFSError: BAD_STATEID.
    @raise OpenMode: its holder may not write.
    @raise StateError: see L{requireState}.
    """
    held = requireState(ctx, inode, stateid, DelegationState)
    if not held.timestamps:
        raise NFSError(nfsstat4.NFS4ERR_BAD_STATEID)
    if mask >> FATTR4_TIME_DELEG_MODIFY & 1 and not held.writes:
        raise OpenMode()


def _requireTruncatable(
    ctx: CompoundContext, inode: Inode, stateid: bytes, size: int
) -> None:
    """
    May the caller set the size?

    @raise NFSError: INVAL: not a regular file. ACCESS.
    @raise StateError: see L{requireIOState}.
    """
    if inode.ftype != FileType.REG:
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    requireIOState(ctx, inode, stateid, WRITE)
    requireIOPermission(ctx, inode, WRITE, size >= inode.size)
