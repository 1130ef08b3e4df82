# -*- test-case-name: tests.nfs4.ops.test_create -*-
"""
LINK (RFC 8881, section 18.9).
"""

from __future__ import annotations

import attrs

from pnfs.namespace.names import checkName
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.conflicts import (
    requireNoDelegations,
    requireNoReclaims,
    withdrawDelegations,
)
from pnfs.nfs4.ops.directories import requireWritable
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import change_info4, component4
from pnfs.values import FileType


@attrs.define
class LINK4args:
    """
    @ivar newname: the further name, in the current directory.
    """

    newname: component4


@attrs.define
class LINK4resok:
    """
    @ivar cinfo: of the directory.
    """

    cinfo: change_info4


@operation(
    11,
    "LINK",
    args=LINK4args,
    resok=LINK4resok,
    modifies=True,
    errors=errorsOf(
        "ACCESS BADCHAR BADNAME BADXDR DQUOT EXIST FILE_OPEN GRACE INVAL IO ISDIR MLINK "
        "NAMETOOLONG NOENT NOSPC NOTDIR ROFS SYMLINK WRONGSEC WRONG_TYPE XDEV"
    ),
)
async def link(ctx: CompoundContext, args: LINK4args) -> LINK4resok:
    """
    Give the saved object a further name.
    """
    checkName(args.newname)
    inode = ctx.savedInode
    directory = ctx.requireDirectory()
    if inode is None:
        raise NFSError(nfsstat4.NFS4ERR_NOFILEHANDLE)
    export = ctx.export
    if ctx.savedExport is None or ctx.savedExport.base is not export.base:
        raise NFSError(nfsstat4.NFS4ERR_XDEV)
    if inode.ftype == FileType.DIR:
        raise NFSError(nfsstat4.NFS4ERR_ISDIR)
    requireWritable(export, directory, export.effective(ctx.credential))
    if inode.state is not None and inode.state.unlinked:
        # Its data files are in the removal queue: it cannot come back.
        raise NFSError(nfsstat4.NFS4ERR_NOENT)
    requireNoReclaims(ctx, inode)
    requireNoDelegations(ctx, inode, True)
    requireNoDelegations(ctx, directory, True)
    before = directory.change
    await export.backend.link(inode, directory, args.newname)
    withdrawDelegations(ctx, inode)
    withdrawDelegations(ctx, directory)
    return LINK4resok(change_info4(True, before, directory.change))
