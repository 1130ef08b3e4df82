# -*- test-case-name: tests.nfs4.dsops.test_io -*-
"""
READ, WRITE and COMMIT at a data server (RFC 8881, sections 18.22, 18.32, 18.3).

What the page cache can take or give is done at once; the rest waits for the
backend's threads.
"""

from __future__ import annotations

import struct
from typing import Any, Union

from pnfs.namespace.filehandles import READ, WRITE
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.dsops.capability import admit, requireObject
from pnfs.nfs4.operation import hotOperation
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.values import ReadResult, WriteResult
from pnfs.xdr.codec import PAD
from pnfs.xdr.errors import XDRError

_readArgs = struct.Struct(">16sQI").unpack_from
_readHead = struct.Struct(">IIII").pack
_writeArgs = struct.Struct(">16sQII").unpack_from
_writeDone = struct.Struct(">IIII8s").pack
_commitArgs = struct.Struct(">QI").unpack_from
_commitDone = struct.Struct(">II8s").pack

MAX_OFFSET = (1 << 63) - 1
_ROOM = 64
"""Bytes of a READ reply besides its data."""

IO_ERRORS = frozenset(
    {
        nfsstat4.NFS4ERR_ACCESS,
        nfsstat4.NFS4ERR_BADXDR,
        nfsstat4.NFS4ERR_DELAY,
        nfsstat4.NFS4ERR_INVAL,
        nfsstat4.NFS4ERR_IO,
        nfsstat4.NFS4ERR_ISDIR,
        nfsstat4.NFS4ERR_NOFILEHANDLE,
        nfsstat4.NFS4ERR_PNFS_NO_LAYOUT,
        nfsstat4.NFS4ERR_SERVERFAULT,
        nfsstat4.NFS4ERR_STALE,
    }
)

WRITE_ERRORS = IO_ERRORS | {
    nfsstat4.NFS4ERR_DQUOT,
    nfsstat4.NFS4ERR_FBIG,
    nfsstat4.NFS4ERR_NOSPC,
}


@hotOperation(25, "READ", errors=IO_ERRORS)
def read(ctx: CompoundContext, buf: Any, pos: int) -> Any:
    """
    Read from an object.
    """
    _, offset, count = _readArgs(buf, pos)
    name = requireObject(ctx)
    if count > ctx.limitBytes - ctx.size - _ROOM:
        count = max(0, ctx.limitBytes - ctx.size - _ROOM)
    if offset + count > MAX_OFFSET:
        count = max(0, MAX_OFFSET - offset)
    backend = ctx.server.data
    attributes = backend.peek(name)
    if attributes is not None:
        admit(ctx, READ, attributes)
        result = backend.readNow(name, offset, count)
        if result is not None:
            _finishRead(ctx, result)
            return pos + 28
    return _readLater(ctx, name, offset, count, pos + 28)


async def _readLater(
    ctx: CompoundContext, name: bytes, offset: int, count: int, pos: int
) -> int:
    backend = ctx.server.data
    attributes = backend.peek(name)
    if attributes is None:
        attributes = await backend.getattr(name)
    admit(ctx, READ, attributes)
    _finishRead(ctx, await backend.read(name, offset, count))
    return pos


def _finishRead(ctx: CompoundContext, result: ReadResult) -> None:
    count = result.count
    ctx.server.readBytes += count
    head = _readHead(25, 0, 1 if result.eof else 0, count)
    pieces = result.pieces
    out = ctx.out
    if len(pieces) == 1 and pieces[0].__class__ is bytes and count <= 65536:
        out.append(b"".join((head, pieces[0], PAD[count & 3])))
        return
    out.append(head)
    out.extend(pieces)
    if count & 3:
        out.append(PAD[count & 3])


@hotOperation(38, "WRITE", errors=WRITE_ERRORS, modifies=True)
def write(ctx: CompoundContext, buf: Any, pos: int) -> Union[int, Any]:
    """
    Write to an object. The data is a view of the request, not copied.
    """
    _, offset, stable, length = _writeArgs(buf, pos)
    name = requireObject(ctx)
    pos += 32
    end = pos + length
    if end > len(buf) or stable > 2:
        raise XDRError("WRITE")
    if offset + length > MAX_OFFSET:
        raise NFSError(nfsstat4.NFS4ERR_FBIG)
    data = memoryview(buf)[pos:end]
    backend = ctx.server.data
    attributes = backend.peek(name)
    if attributes is not None:
        admit(ctx, WRITE, attributes)
        result = backend.writeNow(name, offset, data, stable)
        if result is not None:
            _finishWrite(ctx, result)
            return end + (-length & 3)
    return _writeLater(ctx, name, offset, data, stable, end + (-length & 3))


async def _writeLater(
    ctx: CompoundContext,
    name: bytes,
    offset: int,
    data: memoryview,
    stable: int,
    pos: int,
) -> int:
    backend = ctx.server.data
    attributes = backend.peek(name)
    if attributes is None:
        attributes = await backend.getattr(name)
    admit(ctx, WRITE, attributes)
    result: WriteResult = await backend.write(name, offset, data, stable)
    _finishWrite(ctx, result)
    return pos


def _finishWrite(ctx: CompoundContext, result: WriteResult) -> None:
    ctx.server.writeBytes += result.count
    ctx.out.append(_writeDone(38, 0, result.count, result.committed, result.verifier))


@hotOperation(5, "COMMIT", errors=IO_ERRORS, modifies=True)
async def commit(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    Bring what was written to stable storage.
    """
    offset, count = _commitArgs(buf, pos)
    name = requireObject(ctx)
    backend = ctx.server.data
    attributes = backend.peek(name)
    if attributes is None:
        attributes = await backend.getattr(name)
    admit(ctx, WRITE, attributes)
    ctx.out.append(_commitDone(5, 0, await backend.commit(name, offset, count)))
    return pos + 12
