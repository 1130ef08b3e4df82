# -*- test-case-name: tests.nfs4.ops.test_want_delegation -*-
"""
WANT_DELEGATION (RFC 8881, section 18.49): a delegation of a file without an open.
"""

from __future__ import annotations

from typing import Annotated, Any

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.delegation_types import (
    OPEN_DELEGATE_NONE_EXT,
    OPEN_DELEGATE_WRITE_ATTRS_DELEG,
    WANT_CANCEL,
    WANT_MASK,
    WANT_NO_PREFERENCE,
    WANT_PUSH_WHEN_UNCONTENDED,
    WANT_READ_DELEG,
    WANT_SIGNAL_WHEN_AVAILABLE,
    WANT_TIMESTAMPS,
    WANT_WRITE_DELEG,
    WND4_IS_DIR,
    WND4_NOT_SUPP_FTYPE,
    whyNone,
)
from pnfs.nfs4.operation import hotOperation, okHeader
from pnfs.nfs4.ops.conflicts import mayAccess
from pnfs.nfs4.ops.delegating import delegate, pendingProof, reclaimDelegation
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.ops.open_args import CLAIM_DELEG_PREV_FH, CLAIM_FH, CLAIM_PREVIOUS
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import uint32_t
from pnfs.state.files import FileState
from pnfs.state.opens import READ, WRITE
from pnfs.values import FileType
from pnfs.xdr.codec import Union, codecFor
from pnfs.xdr.errors import XDRError

_OK = okHeader(56)
_KNOWN = (
    WANT_MASK
    | WANT_SIGNAL_WHEN_AVAILABLE
    | WANT_PUSH_WHEN_UNCONTENDED
    | WANT_TIMESTAMPS
)


@attrs.define
class WANT_DELEGATION4args:
    """
    @ivar wda_want: OPEN4_SHARE_ACCESS_WANT_* bits.
    @ivar wda_claim: CLAIM_FH; or CLAIM_PREVIOUS with the C{open_delegation_type4} that
        was held.
    """

    wda_want: uint32_t
    wda_claim: Annotated[
        tuple[int, Any],
        Union({CLAIM_FH: None, CLAIM_DELEG_PREV_FH: None, CLAIM_PREVIOUS: uint32_t}),
    ]


_decode = codecFor(WANT_DELEGATION4args).decode


@hotOperation(
    56,
    "WANT_DELEGATION",
    modifies=True,
    errors=errorsOf(
        "ACCESS ADMIN_REVOKED BADXDR BAD_STATEID DELEG_ALREADY_WANTED EXPIRED GRACE "
        "INVAL IO NOTSUPP NO_GRACE OLD_STATEID RECLAIM_BAD RECLAIM_CONFLICT "
        "WRONG_TYPE"
    ),
)
async def want_delegation(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    Give a delegation of the current object, or say why not. What the caller may do
    with the file decides what it may be given, as if it had opened it.

    The current stateid stays as it is.
    """
    args, pos = _decode(buf, pos)
    claim, kind = args.wda_claim
    want = args.wda_want
    wanted = want & WANT_MASK
    inode = ctx.requireInode()
    server = ctx.server
    if claim == CLAIM_DELEG_PREV_FH:
        raise NFSError(nfsstat4.NFS4ERR_NOTSUPP)
    if claim == CLAIM_PREVIOUS:
        if kind > OPEN_DELEGATE_WRITE_ATTRS_DELEG:
            raise XDRError("open_delegation_type4")
        if not kind or kind == OPEN_DELEGATE_NONE_EXT:
            raise NFSError(nfsstat4.NFS4ERR_INVAL)
        if inode.ftype != FileType.REG:
            raise NFSError(nfsstat4.NFS4ERR_WRONG_TYPE)
        server.recovery.checkReclaim(ctx.client, ctx.now)
        ctx.out.append(_OK + reclaimDelegation(ctx, inode, _stateOf(ctx), kind))
        return pos
    if want & ~_KNOWN or wanted > WANT_CANCEL or wanted == WANT_NO_PREFERENCE:
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    proof = pendingProof(ctx, want)
    if proof is not None:
        await proof
    server.recovery.checkOrdinary(ctx.client, ctx.now)
    server.layouts.requireFenced(ctx.export, inode)
    if inode.ftype != FileType.REG:
        isDirectory = inode.ftype == FileType.DIR
        why = whyNone(WND4_IS_DIR if isDirectory else WND4_NOT_SUPP_FTYPE)
        ctx.out.append(_OK + why)
        return pos
    file = _stateOf(ctx)
    credential = ctx.export.effective(ctx.credential)
    access = WRITE if mayAccess(inode, credential, WRITE) else 0
    if wanted == WANT_READ_DELEG or ctx.export.readOnly:
        access = 0
    if wanted == WANT_WRITE_DELEG and not access:
        raise NFSError(nfsstat4.NFS4ERR_ACCESS)
    if not access and not mayAccess(inode, credential, READ):
        raise NFSError(nfsstat4.NFS4ERR_ACCESS)
    if wanted != WANT_CANCEL and server.delegating is not None:
        if server.delegating.wants(ctx.client, file):
            raise NFSError(nfsstat4.NFS4ERR_DELEG_ALREADY_WANTED)
    _, delegation = delegate(ctx, inode, file, access or READ, want)
    ctx.out.append(_OK + delegation)
    return pos


def _stateOf(ctx: CompoundContext) -> FileState:
    """
    The state of the current file; not the inode's yet if it had none.
    """
    inode = ctx.requireInode()
    if inode.state is None:
        return FileState(ctx.requireFH(), inode, ctx.export.base)
    return inode.state  # type: ignore[no-any-return]
