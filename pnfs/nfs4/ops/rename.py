# -*- test-case-name: tests.nfs4.ops.test_remove -*-
"""
RENAME (RFC 8881, section 18.26).
"""

from __future__ import annotations

from typing import Any, Optional

from pnfs.backends.errors import NoSuchName
from pnfs.namespace.access import EXECUTE, WRITE, checkAccess, mayDelete
from pnfs.namespace.names import checkName
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import hotOperation, okHeader
from pnfs.nfs4.ops.conflicts import (
    requireNoDelegations,
    requireNoReclaims,
    withdrawDelegations,
)
from pnfs.nfs4.ops.directories import (
    changeInfo,
    decodeName,
    findChild,
    requireSavedDirectory,
    requireWritable,
)
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.ops.removal import Removal, prepareRemoval
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.values import Credential, FileType, Inode

_OK = okHeader(29)


def _requirePermission(
    source: Inode,
    target: Inode,
    inode: Inode,
    victim: Optional[Inode],
    credential: Credential,
) -> None:
    """
    May the caller move the object away, and what it replaces be replaced? A
    directory that changes its parent is itself written to.
    """
    if not mayDelete(source, inode, credential):
        raise NFSError(nfsstat4.NFS4ERR_ACCESS)
    if victim is not None and not mayDelete(target, victim, credential):
        raise NFSError(nfsstat4.NFS4ERR_ACCESS)
    if inode.ftype == FileType.DIR and source is not target:
        if not checkAccess(inode, credential, WRITE):
            raise NFSError(nfsstat4.NFS4ERR_ACCESS)


@hotOperation(
    29,
    "RENAME",
    modifies=True,
    errors=errorsOf(
        "ACCESS BADCHAR BADNAME BADXDR DQUOT EXIST FILE_OPEN GRACE INVAL IO MLINK "
        "NAMETOOLONG NOENT NOSPC NOTDIR NOTEMPTY ROFS SYMLINK WRONGSEC XDEV"
    ),
)
async def rename(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    Move a name from the saved directory into the current one, replacing what is
    there; for what is replaced the rules of REMOVE hold.
    """
    oldname, pos = decodeName(buf, pos)
    newname, pos = decodeName(buf, pos)
    checkName(oldname)
    checkName(newname)
    source = requireSavedDirectory(ctx)
    target = ctx.requireDirectory()
    export = ctx.export
    if ctx.savedExport is None or ctx.savedExport.base is not export.base:
        raise NFSError(nfsstat4.NFS4ERR_XDEV)
    backend = export.backend
    credential = export.effective(ctx.credential)
    if export.readOnly:
        raise NFSError(nfsstat4.NFS4ERR_ROFS)
    for directory in (source, target):
        if not checkAccess(directory, credential, EXECUTE):
            raise NFSError(nfsstat4.NFS4ERR_ACCESS)
    inode = await findChild(export, source, oldname)
    requireWritable(export, target, credential, inode.ftype == FileType.DIR)
    victim: Optional[Inode]
    try:
        victim = await findChild(export, target, newname)
    except NoSuchName:
        victim = None
    _requirePermission(source, target, inode, victim, credential)
    requireNoReclaims(ctx, inode)
    moved = (inode, source, target)
    for each in moved:
        requireNoDelegations(ctx, each, True)
    removal = Removal(inode)
    if victim is not None and victim is not inode:
        _requireSameKind(inode, victim)
        removal = await prepareRemoval(ctx, export, victim)
    done = False
    try:
        for directory, name, known in (
            (source, oldname, inode),
            (target, newname, victim),
        ):
            now = backend.cachedChild(directory, name)
            if now is not None and now is not known:
                # Somebody has put another object there while we waited.
                raise NFSError(nfsstat4.NFS4ERR_DELAY)
        removal.checkAgain(ctx)
        for each in moved:
            requireNoDelegations(ctx, each, True)
        before = (source.change, target.change)
        removed = await backend.rename(source, oldname, target, newname, removal.keep)
        done = True
    finally:
        if not done:
            await removal.abandon(export)
    for each in moved:
        withdrawDelegations(ctx, each)
    after = (source.change, target.change)
    await removal.finish(ctx, export, removed)
    ctx.out.append(
        _OK + changeInfo(before[0], after[0]) + changeInfo(before[1], after[1])
    )
    return pos


def _requireSameKind(inode: Inode, victim: Inode) -> None:
    """
    Said here so that no recall is started for a RENAME that cannot be
    (RFC 8881, section 18.26.3).
    """
    if (inode.ftype == FileType.DIR) != (victim.ftype == FileType.DIR):
        raise NFSError(nfsstat4.NFS4ERR_EXIST)
