# -*- test-case-name: tests.nfs4.ops.test_lookup -*-
"""
LOOKUP (RFC 8881, section 18.13).
"""

from __future__ import annotations

import struct
from typing import Any, Awaitable, Union

from pnfs.namespace.access import EXECUTE, permissions
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import hotOperation, okHeader
from pnfs.nfs4.ops.admission import enter, requireFlavor
from pnfs.nfs4.ops.directories import findChild
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import NFS4_PATH_LIMIT
from pnfs.values import FileType
from pnfs.xdr.errors import XDRError

_OK = okHeader(15)
_DIR = FileType.DIR
_unpackLength = struct.Struct(">I").unpack_from


@hotOperation(
    15,
    "LOOKUP",
    errors=errorsOf(
        "ACCESS BADCHAR BADNAME BADXDR INVAL IO NAMETOOLONG NOENT NOTDIR SYMLINK "
        "WRONGSEC"
    ),
)
def lookup(ctx: CompoundContext, buf: Any, pos: int) -> Union[int, Awaitable[int]]:
    """
    Go to an entry of the current directory; into another export, if one is there.
    """
    (length,) = _unpackLength(buf, pos)
    if length > NFS4_PATH_LIMIT:
        raise XDRError("a name that long")
    pos += 4
    name = buf[pos : pos + length]
    if name.__class__ is not bytes:
        name = bytes(name)
    pos += length + (-length & 3)
    if pos > len(buf):
        raise XDRError("truncated")
    directory = ctx.inode
    if directory is None or directory.ftype != _DIR:
        directory = ctx.requireDirectory()
    export = ctx.export
    if export.picky:
        requireFlavor(ctx, export)
    if not permissions(directory, export.effective(ctx.credential)) & EXECUTE:
        raise NFSError(nfsstat4.NFS4ERR_ACCESS)
    child = export.backend.cachedChild(directory, name)
    if child is None or export.mounts:
        return _find(ctx, directory, name, pos)
    ctx.fh = ctx.server.filehandles.encode(export, child)
    ctx.inode = child
    ctx.stateid = None
    ctx.out.append(_OK)
    return pos


async def _find(ctx: CompoundContext, directory: Any, name: bytes, pos: int) -> int:
    """
    The same when the backend has to be waited for, or exports are below.
    """
    child = await findChild(ctx.export, directory, name)
    export, child = enter(ctx, child)
    ctx.setCurrent(ctx.server.filehandles.encode(export, child), child, export)
    ctx.out.append(_OK)
    return pos
