# -*- test-case-name: tests.nfs4.dsops.test_sparse -*-
"""
Holes at a data server (RFC 7862, sections 15.1, 15.4, 15.5, 15.10, 15.11).

A stripe of a file is an object with holes where the other stripes are; a client
knows which offsets are here. It may look for holes under its capability; making them
and reserving space is for the metadata server, under a control handle.
"""

from __future__ import annotations

import struct
from typing import Any

from pnfs.nfs4.context import CompoundContext
from pnfs.namespace.filehandles import READ
from pnfs.nfs4.dsops.capability import admit, requireControlObject, requireObject
from pnfs.nfs4.dsops.io import IO_ERRORS, MAX_OFFSET, WRITE_ERRORS
from pnfs.nfs4.operation import hotOperation, operation
from pnfs.nfs4.ops.allocate import ALLOCATE4args, requireRange
from pnfs.nfs4.ops.deallocate import DEALLOCATE4args
from pnfs.nfs4.ops.io_advise import IO_ADVISE4args, IO_ADVISE4resok, requireAdvice
from pnfs.nfs4.ops.read_plus import appendSegments
from pnfs.nfs4.ops.seek import SEEK4args, SEEK4resok, isHole, sought
from pnfs.nfs4.status import NFSError, nfsstat4

_readArgs = struct.Struct(">16sQI").unpack_from
_ROOM = 128
"""Bytes of a READ_PLUS reply besides its data."""

_ERRORS = IO_ERRORS | {nfsstat4.NFS4ERR_NOTSUPP}
_CHANGE_ERRORS = WRITE_ERRORS | {nfsstat4.NFS4ERR_NOTSUPP}


async def _readable(ctx: CompoundContext) -> bytes:
    """
    The name of the object, which may be read.
    """
    name = requireObject(ctx)
    backend = ctx.server.data
    attributes = backend.peek(name)
    if attributes is None:
        attributes = await backend.getattr(name)
    admit(ctx, READ, attributes)
    return name


@hotOperation(68, "READ_PLUS", errors=_ERRORS, minor=2)
async def read_plus(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    Read from an object, holes told as such. As with READ, eof is the object's,
    which is as long as the file.
    """
    _, offset, count = _readArgs(buf, pos)
    name = await _readable(ctx)
    count = max(0, min(count, ctx.limitBytes - ctx.size - _ROOM))
    if offset + count > MAX_OFFSET:
        count = max(0, MAX_OFFSET - offset)
    result = await ctx.server.data.readSegments(name, offset, count)
    ctx.server.readBytes += appendSegments(ctx, result)
    return pos + 28


@operation(
    69,
    "SEEK",
    SEEK4args,
    SEEK4resok,
    errors=_ERRORS | {nfsstat4.NFS4ERR_NXIO, nfsstat4.NFS4ERR_UNION_NOTSUPP},
    minor=2,
)
async def seek(ctx: CompoundContext, args: SEEK4args) -> SEEK4resok:
    """
    The next data or hole of the object.
    """
    hole = isHole(args.sa_what)
    name = await _readable(ctx)
    backend = ctx.server.data
    found = await backend.seek(name, args.sa_offset, hole)
    size = (await backend.getattr(name)).size
    return sought(args.sa_offset, found, size)


@operation(59, "ALLOCATE", ALLOCATE4args, errors=_CHANGE_ERRORS, modifies=True, minor=2)
async def allocate(ctx: CompoundContext, args: ALLOCATE4args) -> None:
    """
    Reserve space, for the metadata server. The object does not grow: it is the file
    that does, once all its data servers have the space.
    """
    requireRange(args.aa_offset, args.aa_length)
    name = requireControlObject(ctx)
    if args.aa_offset + args.aa_length > MAX_OFFSET:
        raise NFSError(nfsstat4.NFS4ERR_FBIG)
    await ctx.server.data.allocate(name, [(args.aa_offset, args.aa_length)])


@operation(
    62, "DEALLOCATE", DEALLOCATE4args, errors=_CHANGE_ERRORS, modifies=True, minor=2
)
async def deallocate(ctx: CompoundContext, args: DEALLOCATE4args) -> None:
    """
    Make a hole, for the metadata server.
    """
    requireRange(args.da_offset, args.da_length)
    name = requireControlObject(ctx)
    offset = min(args.da_offset, MAX_OFFSET)
    length = min(args.da_length, MAX_OFFSET - offset)
    await ctx.server.data.deallocate(name, offset, length)


@operation(63, "IO_ADVISE", IO_ADVISE4args, IO_ADVISE4resok, errors=_ERRORS, minor=2)
async def io_advise(ctx: CompoundContext, args: IO_ADVISE4args) -> IO_ADVISE4resok:
    """
    How a client will use the object.
    """
    hints = requireAdvice(args)
    name = await _readable(ctx)
    if hints:
        hints = await ctx.server.data.advise(
            name, args.iaa_offset, args.iaa_count, hints
        )
    return IO_ADVISE4resok(hints)
