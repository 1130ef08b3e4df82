# -*- test-case-name: tests.nfs4.ops.test_putfh -*-
"""
RESTOREFH (RFC 8881, section 18.27).
"""

from __future__ import annotations

from typing import Any

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import hotOperation, okHeader
from pnfs.nfs4.ops.admission import admit
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.status import NFSError, nfsstat4

_OK = okHeader(31)


@hotOperation(31, "RESTOREFH", errors=errorsOf("WRONGSEC"))
def restorefh(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    Make the saved filehandle the current one, with the stateid saved beside it.
    """
    if not ctx.savedFH:
        raise NFSError(nfsstat4.NFS4ERR_NOFILEHANDLE)
    if ctx.savedExport is not None and ctx.savedExport.picky:
        admit(ctx, ctx.savedExport, buf, pos)
    ctx.setCurrent(ctx.savedFH, ctx.savedInode, ctx.savedExport)
    ctx.stateid = ctx.savedStateid
    ctx.out.append(_OK)
    return pos
