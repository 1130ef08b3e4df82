# -*- test-case-name: tests.nfs4.ops.test_lookup -*-
"""
LOOKUPP (RFC 8881, section 18.14).
"""

from __future__ import annotations

from pnfs.namespace.access import EXECUTE, permissions
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.admission import requireFlavor
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.status import NFSError, nfsstat4


@operation(16, "LOOKUPP", errors=errorsOf("ACCESS IO NOENT NOTDIR SYMLINK WRONGSEC"))
async def lookupp(ctx: CompoundContext) -> None:
    """
    Go to the directory above: from an export's root into the pseudo file system.
    """
    directory = ctx.requireDirectory()
    if not permissions(directory, ctx.export.effective(ctx.credential)) & EXECUTE:
        raise NFSError(nfsstat4.NFS4ERR_ACCESS)
    above = await ctx.export.above(directory)
    if above is None:
        raise NFSError(nfsstat4.NFS4ERR_NOENT)
    export, parent = above
    requireFlavor(ctx, export)
    ctx.setCurrent(ctx.server.filehandles.encode(export, parent), parent, export)
