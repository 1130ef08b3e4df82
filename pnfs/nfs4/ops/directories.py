# -*- test-case-name: tests.nfs4.ops.test_remove -*-
"""
What the operations on names in directories have in common.
"""

from __future__ import annotations

import struct
from typing import Any

from pnfs.namespace.access import mayAdd
from pnfs.namespace.names import checkName
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import NFS4_PATH_LIMIT
from pnfs.values import Credential, FileType, Inode
from pnfs.xdr.errors import XDRError

_unpackLength = struct.Struct(">I").unpack_from
_packChange = struct.Struct(">IQQ").pack


def decodeName(buf: Any, pos: int) -> tuple[bytes, int]:
    """
    A C{component4} and the position after it.
    """
    (length,) = _unpackLength(buf, pos)
    if length > NFS4_PATH_LIMIT:
        raise XDRError("a name that long")
    pos += 4
    name = bytes(buf[pos : pos + length])
    pos += length + (-length & 3)
    if pos > len(buf):
        raise XDRError("truncated")
    return name, pos


def requireWritable(
    export: Any, directory: Inode, credential: Credential, subdirectory: bool = False
) -> None:
    """
    May a new name come into this directory?

    @param credential: after root squash.
    @param subdirectory: that of a directory.
    @raise NFSError: ROFS or ACCESS.
    """
    if export.readOnly:
        raise NFSError(nfsstat4.NFS4ERR_ROFS)
    if not mayAdd(directory, credential, subdirectory):
        raise NFSError(nfsstat4.NFS4ERR_ACCESS)


def requireSavedDirectory(ctx: CompoundContext) -> Inode:
    """
    The saved object, a directory.

    @raise NFSError: NOFILEHANDLE, SYMLINK or NOTDIR.
    """
    inode: Any = ctx.savedInode
    if inode is None:
        raise NFSError(nfsstat4.NFS4ERR_NOFILEHANDLE)
    if inode.ftype != FileType.DIR:
        raise NFSError(
            nfsstat4.NFS4ERR_SYMLINK
            if inode.ftype == FileType.LNK
            else nfsstat4.NFS4ERR_NOTDIR
        )
    return inode  # type: ignore[no-any-return]


async def findChild(export: Any, directory: Inode, name: bytes) -> Inode:
    """
    The object of that name, in this export.

    @raise BackendError: as L{pnfs.interfaces.IMetadataBackend.lookup} and
        L{checkName} do.
    """
    child: Any = export.backend.cachedChild(directory, name)
    if child is None:
        checkName(name)
        child = await export.backend.lookup(directory, name)
    return child  # type: ignore[no-any-return]


def changeInfo(before: int, after: int) -> bytes:
    """
    C{change_info4}, from the same counter as the change attribute.
    """
    return _packChange(1, before, after)
