# -*- test-case-name: tests.nfs4.ops.test_layoutreturn -*-
"""
LAYOUTRETURN (RFC 8881, section 18.44).
"""

from __future__ import annotations

import struct
from typing import Any, Awaitable, Union

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import hotOperation, okHeader
from pnfs.nfs4.ops.unlinked import settleFile
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import ANONYMOUS_STATEID
from pnfs.state.errors import BadStateid, NoGrace
from pnfs.state.files import FileState
from pnfs.state.layouts import LayoutState, endOf
from pnfs.values import NFS4_UINT64_MAX, FileType, IOMode
from pnfs.xdr.errors import XDRError

LAYOUTRETURN4_FILE = 1
LAYOUTRETURN4_FSID = 2
LAYOUTRETURN4_ALL = 3

_unpackHead = struct.Struct(">IIII").unpack_from
_unpackFile = struct.Struct(">QQ16sI").unpack_from
_packPresent = struct.Struct(">III16s").pack

_ABSENT = okHeader(51) + bytes(4)
_REG = int(FileType.REG)
_READ = int(IOMode.READ)
_ANY = int(IOMode.ANY)


@hotOperation(
    51,
    "LAYOUTRETURN",
    modifies=True,
    errors=frozenset(
        {
            nfsstat4.NFS4ERR_ADMIN_REVOKED,
            nfsstat4.NFS4ERR_BADIOMODE,
            nfsstat4.NFS4ERR_BADXDR,
            nfsstat4.NFS4ERR_BAD_STATEID,
            nfsstat4.NFS4ERR_DEADSESSION,
            nfsstat4.NFS4ERR_DELAY,
            nfsstat4.NFS4ERR_DELEG_REVOKED,
            nfsstat4.NFS4ERR_EXPIRED,
            nfsstat4.NFS4ERR_FHEXPIRED,
            nfsstat4.NFS4ERR_GRACE,
            nfsstat4.NFS4ERR_INVAL,
            nfsstat4.NFS4ERR_ISDIR,
            nfsstat4.NFS4ERR_MOVED,
            nfsstat4.NFS4ERR_NOFILEHANDLE,
            nfsstat4.NFS4ERR_NO_GRACE,
            nfsstat4.NFS4ERR_OLD_STATEID,
            nfsstat4.NFS4ERR_OP_NOT_IN_SESSION,
            nfsstat4.NFS4ERR_REP_TOO_BIG,
            nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE,
            nfsstat4.NFS4ERR_REQ_TOO_BIG,
            nfsstat4.NFS4ERR_RETRY_UNCACHED_REP,
            nfsstat4.NFS4ERR_SERVERFAULT,
            nfsstat4.NFS4ERR_STALE,
            nfsstat4.NFS4ERR_TOO_MANY_OPS,
            nfsstat4.NFS4ERR_UNKNOWN_LAYOUTTYPE,
            nfsstat4.NFS4ERR_WRONG_CRED,
            nfsstat4.NFS4ERR_WRONG_TYPE,
        }
    ),
)
def layoutreturn(
    ctx: CompoundContext, buf: Any, pos: int
) -> Union[int, Awaitable[int]]:
    """
    Take a layout back: of a file, of a file system, or all of a client.

    Before the return of a layout for writing is acknowledged, the data servers
    are asked what has been written.
    """
    reclaim, layoutType, iomode, what = _unpackHead(buf, pos)
    pos += 16
    if reclaim > 1:
        raise XDRError("not a boolean")
    if what != LAYOUTRETURN4_FILE:
        if what not in (LAYOUTRETURN4_FSID, LAYOUTRETURN4_ALL):
            raise XDRError(f"layoutreturn_type4 {what}")
        return _returnMany(ctx, bool(reclaim), layoutType, iomode, what, pos)
    offset, length, stateid, size = _unpackFile(buf, pos)
    pos += 36
    body = bytes(buf[pos : pos + size])
    if len(body) != size:
        raise XDRError("truncated")
    pos += size + (-size & 3)
    inode = ctx.requireInode()
    if not _READ <= iomode <= _ANY:
        raise NFSError(nfsstat4.NFS4ERR_BADIOMODE)
    if not length or (length != NFS4_UINT64_MAX and offset + length > NFS4_UINT64_MAX):
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    if inode.ftype != _REG:
        raise NFSError(nfsstat4.NFS4ERR_WRONG_TYPE)
    driver = ctx.export.drivers.get(layoutType)
    if driver is None:
        raise NFSError(nfsstat4.NFS4ERR_UNKNOWN_LAYOUTTYPE)
    report = driver.decodeReturn(body) if body else None
    server = ctx.server
    layouts = server.layouts
    file = inode.state
    if reclaim or stateid == ANONYMOUS_STATEID:
        _checkReclaim(ctx, bool(reclaim))
        if report is not None:
            layouts.report(ctx.client, file, report)
            if report.errors and layouts.writers is not None:
                layouts.writers.doubt(ctx.client, ctx.export, inode)
        ctx.out.append(_ABSENT)
        return pos
    stateid = ctx.resolveStateid(stateid)
    if file is None:
        raise ctx.server.stateids.whyNot(stateid, ctx.client, inode, LayoutState)
    layout = layouts.forReturn(stateid, ctx.client, file)
    if layout.layoutType != layoutType:
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    if report is not None:
        layouts.report(ctx.client, file, report)
    end = endOf(offset, length)
    if iomode != _READ and layout.mayHaveWritten():
        return _returnWritten(ctx, layout, iomode, offset, end, pos)
    if layouts.giveBack(layout, iomode, offset, end):
        ctx.stateid = layout.stateid
        ctx.out.append(_packPresent(51, 0, 1, ctx.stateid))
        return pos
    if not (file.opens or file.layouts or file.recall):
        return _settle(ctx, file, pos)
    ctx.out.append(_ABSENT)
    return pos


def _checkReclaim(ctx: CompoundContext, reclaim: bool) -> None:
    """
    A client whose server has restarted has no layout stateid. It then tells of errors
    and I/O with the anonymous one (RFC 9737, section 2.2; Linux 6.12 does).

    @raise NoGrace: a reclaim, and nothing can be reclaimed.
    @raise BadStateid: the anonymous stateid, and nothing can be reclaimed.
    """
    recovery = ctx.server.recovery
    if ctx.client.reclaimComplete and not (
        recovery is not None and recovery.inGrace(ctx.now)
    ):
        raise NoGrace() if reclaim else BadStateid()


async def _returnWritten(
    ctx: CompoundContext,
    layout: LayoutState,
    iomode: int,
    start: int,
    end: int,
    pos: int,
) -> int:
    """
    The client keeps the layout until the data servers have been asked: if one does
    not answer, it is told to return it again later.
    """
    server = ctx.server
    file = layout.file
    await server.data.refresh(file.export, file.inode)
    if server.stateids.lookup(layout.other) is not layout:
        # Returned, revoked or expired meanwhile: gone, as it should be.
        ctx.out.append(_ABSENT)
        return pos
    if server.layouts.giveBack(layout, iomode, start, end):
        layout.refreshed()
        ctx.stateid = layout.stateid
        ctx.out.append(_packPresent(51, 0, 1, ctx.stateid))
        return pos
    return await _settle(ctx, file, pos)


async def _settle(ctx: CompoundContext, file: FileState, pos: int) -> int:
    await settleFile(ctx.server, file)
    ctx.out.append(_ABSENT)
    return pos


async def _returnMany(
    ctx: CompoundContext,
    reclaim: bool,
    layoutType: int,
    iomode: int,
    what: int,
    pos: int,
) -> int:
    """
    LAYOUTRETURN4_FSID and LAYOUTRETURN4_ALL: the client has forgotten everything
    of that type and iomode already.
    """
    if what == LAYOUTRETURN4_FSID:
        ctx.requireFH()
    if not _READ <= iomode <= _ANY:
        raise NFSError(nfsstat4.NFS4ERR_BADIOMODE)
    server = ctx.server
    if not server.devices.knows(layoutType) and (
        ctx.export is None or layoutType not in ctx.export.drivers
    ):
        raise NFSError(nfsstat4.NFS4ERR_UNKNOWN_LAYOUTTYPE)
    if reclaim:
        _checkReclaim(ctx, True)
    for layout in list(ctx.client.layouts.values()):
        file = layout.file
        if layout.layoutType != layoutType or (
            what == LAYOUTRETURN4_FSID and file.export.fsid != ctx.export.fsid
        ):
            continue
        if iomode != _READ and layout.mayHaveWritten():
            await server.data.refresh(file.export, file.inode)
            if server.stateids.lookup(layout.other) is not layout:
                continue
        if server.layouts.giveBack(layout, iomode):
            layout.refreshed()
        else:
            await settleFile(server, file)
    ctx.out.append(_ABSENT)
    return pos
