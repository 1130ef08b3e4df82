# -*- test-case-name: tests.nfs4.ops.test_remove -*-
"""
REMOVE (RFC 8881, section 18.25).
"""

from __future__ import annotations

from typing import Any

from pnfs.namespace.access import mayDelete
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import hotOperation, okHeader
from pnfs.nfs4.ops.conflicts import requireNoDelegations, withdrawDelegations
from pnfs.nfs4.ops.directories import (
    changeInfo,
    decodeName,
    findChild,
)
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.ops.removal import prepareRemoval
from pnfs.nfs4.status import NFSError, nfsstat4

_OK = okHeader(28)


@hotOperation(
    28,
    "REMOVE",
    modifies=True,
    errors=errorsOf(
        "ACCESS BADCHAR BADNAME BADXDR DQUOT FILE_OPEN GRACE INVAL IO NAMETOOLONG NOENT "
        "NOSPC NOTDIR NOTEMPTY ROFS SYMLINK WRONG_TYPE"
    ),
)
async def remove(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    Take a name away, of a file or of an empty directory.
    """
    name, pos = decodeName(buf, pos)
    directory = ctx.requireDirectory()
    export = ctx.export
    backend = export.backend
    credential = export.effective(ctx.credential)
    child = await findChild(export, directory, name)
    if export.readOnly:
        raise NFSError(nfsstat4.NFS4ERR_ROFS)
    if not mayDelete(directory, child, credential):
        raise NFSError(nfsstat4.NFS4ERR_ACCESS)
    requireNoDelegations(ctx, directory, True)
    removal = await prepareRemoval(ctx, export, child)
    removed = None
    try:
        now = backend.cachedChild(directory, name)
        if now is not None and now is not child:
            # Somebody has put another object there while we waited.
            raise NFSError(nfsstat4.NFS4ERR_DELAY)
        removal.checkAgain(ctx)
        requireNoDelegations(ctx, directory, True)
        before = directory.change
        removed = await backend.remove(directory, name, removal.keep)
    finally:
        if removed is None:
            await removal.abandon(export)
    withdrawDelegations(ctx, directory)
    after = directory.change
    await removal.finish(ctx, export, removed)
    ctx.out.append(_OK + changeInfo(before, after))
    return pos
