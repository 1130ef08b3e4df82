# -*- test-case-name: tests.nfs4.ops.test_setxattr -*-
"""
What the operations on extended attributes have in common (RFC 8276).

The names are those of Linux's C{user.} name space, without that prefix. Reading and
listing them needs the right to read the object's data, changing them that to write
it, as on Linux; in a sticky directory, as there, only its owner changes those of the
directory itself.
"""

from __future__ import annotations

from typing import Annotated

from pnfs.namespace.access import READ, STICKY, WRITE, permissions
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.ops.conflicts import requireNoDelegations
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import NFS4_PATH_LIMIT
from pnfs.values import FileType, Inode
from pnfs.xdr.codec import Opaque

xattrkey4 = Annotated[bytes, Opaque(NFS4_PATH_LIMIT)]
"""A name may be longer on the wire than is allowed, so that it gets NAMETOOLONG."""

xattrvalue4 = Annotated[bytes, Opaque(1 << 20)]
"""Likewise, for XATTR2BIG."""

READ_ERRORS = (
    "ACCESS BADCHAR BADXDR INVAL IO NAMETOOLONG NOTSUPP NOXATTR PERM WRONG_TYPE"
)
CHANGE_ERRORS = READ_ERRORS + " DQUOT GRACE NOSPC ROFS"


def requireReadable(ctx: CompoundContext) -> Inode:
    """
    The current object, whose attributes the caller may read.

    @raise NFSError: NOFILEHANDLE, NOTSUPP, ACCESS.
    """
    inode = ctx.requireInode()
    if not ctx.export.backend.xattrs:
        raise NFSError(nfsstat4.NFS4ERR_NOTSUPP)
    if not permissions(inode, ctx.export.effective(ctx.credential)) & READ:
        raise NFSError(nfsstat4.NFS4ERR_ACCESS)
    return inode


def requireChangeable(ctx: CompoundContext) -> Inode:
    """
    The current object, whose attributes the caller may change.

    @raise NFSError: NOFILEHANDLE, NOTSUPP, ROFS, ACCESS, PERM; DELAY: another
        client holds a delegation.
    """
    inode = ctx.requireInode()
    export = ctx.export
    if not export.backend.xattrs:
        raise NFSError(nfsstat4.NFS4ERR_NOTSUPP)
    if export.readOnly:
        raise NFSError(nfsstat4.NFS4ERR_ROFS)
    credential = export.effective(ctx.credential)
    if not permissions(inode, credential) & WRITE:
        raise NFSError(nfsstat4.NFS4ERR_ACCESS)
    if (
        inode.ftype == FileType.DIR
        and inode.mode & STICKY
        and credential.uid not in (0, inode.uid)
    ):
        raise NFSError(nfsstat4.NFS4ERR_PERM)
    requireNoDelegations(ctx, inode, True)
    return inode
