# -*- test-case-name: tests.nfs4.ops.test_putfh -*-
"""
PUTFH (RFC 8881, section 18.19) on a metadata server.
"""

from __future__ import annotations

import struct
from typing import Any, Awaitable, Union

from pnfs.namespace.filehandles import BadHandle
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import hotOperation, okHeader
from pnfs.nfs4.ops.admission import admit
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import NFS4_FHSIZE
from pnfs.xdr.errors import XDRError

_OK = okHeader(22)
_unpackLength = struct.Struct(">I").unpack_from


@hotOperation(22, "PUTFH", errors=errorsOf("BADHANDLE BADXDR WRONGSEC IO"))
def putfh(ctx: CompoundContext, buf: Any, pos: int) -> Union[int, Awaitable[int]]:
    """
    Make a filehandle the current one: BADHANDLE if it is none of ours, STALE if
    its object or export is gone, or the export not for this client.
    """
    (length,) = _unpackLength(buf, pos)
    if length > NFS4_FHSIZE:
        raise XDRError("a filehandle that long")
    pos += 4
    fh = buf[pos : pos + length]
    if fh.__class__ is not bytes:
        fh = bytes(fh)
    if len(fh) != length:
        raise XDRError("truncated")
    pos += length + (-length & 3)
    known = ctx.server.exports.handles.get(fh)
    if known is None:
        known = _resolve(ctx, fh)
    export, handle = known
    if export.guarded:
        export = admit(ctx, export, buf, pos)
    inode = export.backend.cached(handle)
    if inode is None:
        return _load(ctx, fh, export, handle, pos)
    ctx.fh = fh
    ctx.inode = inode
    ctx.export = export
    ctx.stateid = None
    ctx.out.append(_OK)
    return pos


def _resolve(ctx: CompoundContext, fh: bytes) -> tuple[Any, bytes]:
    """
    What a filehandle means.
    """
    server = ctx.server
    try:
        number, handle = server.filehandles.decode(fh)
    except BadHandle:
        raise NFSError(nfsstat4.NFS4ERR_BADHANDLE) from None
    export = server.exports.byId.get(number)
    if export is None:
        raise NFSError(nfsstat4.NFS4ERR_STALE)
    server.exports.remember(fh, export, handle)
    return export, handle


async def _load(
    ctx: CompoundContext, fh: bytes, export: Any, handle: bytes, pos: int
) -> int:
    ctx.setCurrent(fh, await export.backend.byHandle(handle), export)
    ctx.out.append(_OK)
    return pos
