# -*- test-case-name: tests.nfs4.ops.test_create -*-
"""
CREATE (RFC 8881, section 18.4): everything but regular files.
"""

from __future__ import annotations

from typing import Annotated, Any

import attrs

from pnfs.namespace.names import checkName
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.fattr_lists import initial
from pnfs.nfs4.fattr_set import decodeSettable
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.conflicts import requireNoDelegations, withdrawDelegations
from pnfs.nfs4.ops.directories import requireWritable
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import (
    bitmap4,
    change_info4,
    component4,
    fattr4,
    linktext4,
    uint32_t,
)
from pnfs.values import FileType, NewObject
from pnfs.xdr.codec import Union

_KINDS = (
    FileType.DIR,
    FileType.BLK,
    FileType.CHR,
    FileType.LNK,
    FileType.SOCK,
    FileType.FIFO,
)
_DEVICES = (FileType.BLK, FileType.CHR)
_DEFAULT_MODES = {FileType.DIR: 0o755, FileType.LNK: 0o777}


@attrs.define
class specdata4:
    """
    Major and minor number of a device.
    """

    specdata1: uint32_t
    specdata2: uint32_t


createtype4 = Annotated[
    tuple[int, Any],
    Union(
        {
            FileType.LNK: linktext4,
            FileType.BLK: specdata4,
            FileType.CHR: specdata4,
        },
        default=None,
    ),
]


@attrs.define
class CREATE4args:
    """
    @ivar objtype: C{nfs_ftype4} and what belongs to it.
    """

    objtype: createtype4
    objname: component4
    createattrs: fattr4


@attrs.define
class CREATE4resok:
    """
    @ivar cinfo: of the directory.
    @ivar attrset: the attributes that were set as asked.
    """

    cinfo: change_info4
    attrset: bitmap4


@operation(
    6,
    "CREATE",
    args=CREATE4args,
    resok=CREATE4resok,
    modifies=True,
    errors=errorsOf(
        "ACCESS ATTRNOTSUPP BADCHAR BADNAME BADOWNER BADTYPE BADXDR DQUOT EXIST INVAL IO "
        "MLINK NAMETOOLONG NOSPC NOTDIR PERM ROFS UNSAFE_COMPOUND"
    ),
)
async def create(ctx: CompoundContext, args: CREATE4args) -> CREATE4resok:
    """
    Make an object, which becomes the current one.
    """
    number, what = args.objtype
    if number not in _KINDS:
        raise NFSError(nfsstat4.NFS4ERR_BADTYPE)
    kind = FileType(number)
    checkName(args.objname)
    directory = ctx.requireInode()
    if directory.ftype != FileType.DIR:
        raise NFSError(nfsstat4.NFS4ERR_NOTDIR)
    export = ctx.export
    credential = export.effective(ctx.credential)
    changes, attrset = decodeSettable(args.createattrs, credential, export, ctx.minor)
    if changes.size is not None or (kind == FileType.LNK and not what):
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    requireWritable(export, directory, credential, kind == FileType.DIR)
    if kind in _DEVICES and credential.uid:
        raise NFSError(nfsstat4.NFS4ERR_PERM)
    requireNoDelegations(ctx, directory, True)
    mode, acl = initial(directory, kind, changes, _DEFAULT_MODES.get(kind, 0o644))
    new = NewObject(
        kind,
        mode,
        credential.uid if changes.uid is None else changes.uid,
        credential.gid if changes.gid is None else changes.gid,
        target=what if kind == FileType.LNK else b"",
        rdev=(what.specdata1, what.specdata2) if kind in _DEVICES else (0, 0),
        atime=changes.atime,
        mtime=changes.mtime,
        acl=acl,
    )
    before = directory.change
    inode = await export.backend.create(directory, args.objname, new)
    withdrawDelegations(ctx, directory)
    ctx.setCurrent(ctx.server.filehandles.encode(export, inode), inode, export)
    return CREATE4resok(change_info4(True, before, directory.change), attrset)
