# -*- test-case-name: tests.nfs4.ops.test_secinfo -*-
"""
SECINFO_NO_NAME (RFC 8881, section 18.45).
"""

from __future__ import annotations

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.ops.secinfo import SECINFO4resok, answer
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import uint32_t
from pnfs.xdr.errors import XDRError

SECINFO_STYLE4_CURRENT_FH = 0
SECINFO_STYLE4_PARENT = 1


@attrs.define
class SECINFO_NO_NAME4args:
    """
    @ivar style: about the current filehandle, or the directory above it.
    """

    style: uint32_t


@operation(
    52,
    "SECINFO_NO_NAME",
    args=SECINFO_NO_NAME4args,
    resok=SECINFO4resok,
    errors=errorsOf("ACCESS BADXDR INVAL IO NOENT NOTDIR SYMLINK"),
)
async def secinfo_no_name(
    ctx: CompoundContext, args: SECINFO_NO_NAME4args
) -> SECINFO4resok:
    """
    Tell how the current object, or its parent, may be accessed.
    """
    ctx.requireInode()
    if args.style == SECINFO_STYLE4_CURRENT_FH:
        return answer(ctx, ctx.export)
    if args.style != SECINFO_STYLE4_PARENT:
        raise XDRError("secinfo_style4")
    above = await ctx.export.above(ctx.requireDirectory())
    if above is None:
        raise NFSError(nfsstat4.NFS4ERR_NOENT)
    return answer(ctx, above[0])
