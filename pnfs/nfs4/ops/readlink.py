# -*- test-case-name: tests.nfs4.ops.test_secinfo -*-
"""
READLINK (RFC 8881, section 18.24).
"""

from __future__ import annotations

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import linktext4
from pnfs.values import FileType


@attrs.define
class READLINK4resok:
    """
    @ivar link: the text of the symbolic link.
    """

    link: linktext4


@operation(
    27, "READLINK", resok=READLINK4resok, errors=errorsOf("ACCESS INVAL IO WRONG_TYPE")
)
async def readlink(ctx: CompoundContext) -> READLINK4resok:
    """
    Tell where a symbolic link leads.
    """
    inode = ctx.requireInode()
    if inode.ftype != FileType.LNK:
        raise NFSError(nfsstat4.NFS4ERR_WRONG_TYPE)
    return READLINK4resok(await ctx.export.backend.readlink(inode))
