# -*- test-case-name: tests.nfs4.ops.test_verify -*-
"""
VERIFY (RFC 8881, section 18.31).
"""

from __future__ import annotations

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.current import currentAttributes
from pnfs.nfs4.fattr import FATTR4_RDATTR_ERROR, WRITE_ONLY, supported
from pnfs.nfs4.fattr_plan import entryPlanFor
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import encodeBitmap, fattr4

VERIFY_ERRORS = "ACCESS ATTRNOTSUPP BADCHAR BADXDR INVAL IO UNKNOWN_LAYOUTTYPE"


@attrs.define
class VERIFY4args:
    """
    @ivar obj_attributes: what the client believes.
    """

    obj_attributes: fattr4


async def holds(ctx: CompoundContext, expected: fattr4) -> bool:
    """
    Does the current object have these attributes?

    @raise NFSError: NOFILEHANDLE; INVAL for attributes that cannot be compared;
        ATTRNOTSUPP.
    """
    ctx.requireInode()
    mask = expected.attrmask
    if mask & ~supported(ctx.minor, ctx.export):
        raise NFSError(nfsstat4.NFS4ERR_ATTRNOTSUPP)
    if mask & (WRITE_ONLY | 1 << FATTR4_RDATTR_ERROR):
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    plan = entryPlanFor(ctx.server, ctx.export, ctx.minor, mask)
    encoded = await currentAttributes(ctx, plan)
    return encoded[len(encodeBitmap(mask)) + 4 :] == expected.attr_vals


@operation(37, "VERIFY", args=VERIFY4args, errors=errorsOf(VERIFY_ERRORS + " NOT_SAME"))
async def verify(ctx: CompoundContext, args: VERIFY4args) -> None:
    """
    Go on only if the attributes are as the client believes.
    """
    if not await holds(ctx, args.obj_attributes):
        raise NFSError(nfsstat4.NFS4ERR_NOT_SAME)
