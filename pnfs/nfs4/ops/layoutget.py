# -*- test-case-name: tests.nfs4.ops.test_layoutget -*-
"""
LAYOUTGET (RFC 8881, section 18.43).

Clients fall back to the metadata server at LAYOUTUNAVAILABLE and LAYOUTTRYLATER,
while IO, ACCESS, NOSPC or STALE would reach the application. So whatever goes
wrong with data servers ends here in one of the former.

What a placement looks like on the wire depends only on the placement, the iomode,
the layout type and the file's owner. It is made once and kept in
C{LayoutTable.cachedGrant}; the reply is that behind a stateid.
"""

from __future__ import annotations

import struct
from functools import partial
from typing import Any, Awaitable, Optional

from pnfs.backends.errors import BackendError, Unreachable
from pnfs.namespace.acl import appendOnly
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import hotOperation
from pnfs.nfs4.ops.conflicts import (
    FOR_IO,
    requireIOPermission,
    requireNoDelegations,
)
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import ANONYMOUS_STATEID, CURRENT_STATEID
from pnfs.state.devices import NoSuchServer
from pnfs.state.errors import BadStateid, OpenMode, RecallConflict
from pnfs.state.files import FULL_RETRIED, FileState
from pnfs.state.layouts import LayoutState, Segment, segmentsOf
from pnfs.state.locks import LockState
from pnfs.values import (
    NFS4_UINT64_MAX,
    FileType,
    Inode,
    IOMode,
    LayoutRequest,
    LayoutSegment,
    Placement,
)
from pnfs.xdr.codec import PAD
from pnfs.xdr.errors import XDRError

_ARGS = struct.Struct(">IIIQQQ16sI")
_unpack = _ARGS.unpack_from
_SIZE = _ARGS.size
_packHead = struct.Struct(">III16s").pack
_packLayout = struct.Struct(">QQIII").pack
_HEAD_BYTES = 28

_NO_SIGNAL = bytes(4)
"""C{logr_will_signal_layout_avail}: the server will not call back."""

_REG = int(FileType.REG)
_READ = int(IOMode.READ)
_RW = int(IOMode.RW)

_ASKED = 8
"""Layout types of a client that are remembered."""

Grant = tuple[list[Segment], tuple[bytes, ...], bytes, int]
"""Segments, data servers, C{logr_layout} encoded, and the bytes of its bodies."""


@hotOperation(
    50,
    "LAYOUTGET",
    modifies=True,
    errors=frozenset(
        {
            nfsstat4.NFS4ERR_ACCESS,
            nfsstat4.NFS4ERR_ADMIN_REVOKED,
            nfsstat4.NFS4ERR_BADIOMODE,
            nfsstat4.NFS4ERR_BADLAYOUT,
            nfsstat4.NFS4ERR_BADXDR,
            nfsstat4.NFS4ERR_BAD_STATEID,
            nfsstat4.NFS4ERR_DEADSESSION,
            nfsstat4.NFS4ERR_DELAY,
            nfsstat4.NFS4ERR_DELEG_REVOKED,
            nfsstat4.NFS4ERR_DQUOT,
            nfsstat4.NFS4ERR_FHEXPIRED,
            nfsstat4.NFS4ERR_GRACE,
            nfsstat4.NFS4ERR_INVAL,
            nfsstat4.NFS4ERR_IO,
            nfsstat4.NFS4ERR_LAYOUTTRYLATER,
            nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE,
            nfsstat4.NFS4ERR_LOCKED,
            nfsstat4.NFS4ERR_MOVED,
            nfsstat4.NFS4ERR_NOFILEHANDLE,
            nfsstat4.NFS4ERR_NOSPC,
            nfsstat4.NFS4ERR_NOTSUPP,
            nfsstat4.NFS4ERR_OLD_STATEID,
            nfsstat4.NFS4ERR_OPENMODE,
            nfsstat4.NFS4ERR_OP_NOT_IN_SESSION,
            nfsstat4.NFS4ERR_RECALLCONFLICT,
            nfsstat4.NFS4ERR_REP_TOO_BIG,
            nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE,
            nfsstat4.NFS4ERR_REQ_TOO_BIG,
            nfsstat4.NFS4ERR_RETRY_UNCACHED_REP,
            nfsstat4.NFS4ERR_SERVERFAULT,
            nfsstat4.NFS4ERR_STALE,
            nfsstat4.NFS4ERR_TOOSMALL,
            nfsstat4.NFS4ERR_TOO_MANY_OPS,
            nfsstat4.NFS4ERR_UNKNOWN_LAYOUTTYPE,
            nfsstat4.NFS4ERR_WRONG_TYPE,
        }
    ),
)
def layoutget(ctx: CompoundContext, buf: Any, pos: int) -> Awaitable[int]:
    """
    Give a layout of the current file. Never waits for a recall.
    """
    signal, layoutType, iomode, offset, length, minlength, stateid, maxcount = _unpack(
        buf, pos
    )
    if signal > 1:
        raise XDRError("not a boolean")
    inode = ctx.requireInode()
    if iomode != _READ and iomode != _RW:
        raise NFSError(nfsstat4.NFS4ERR_BADIOMODE)
    if (
        length < minlength
        or not length
        or (length != NFS4_UINT64_MAX and offset + length > NFS4_UINT64_MAX)
        or (minlength != NFS4_UINT64_MAX and offset + minlength > NFS4_UINT64_MAX)
    ):
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    if inode.ftype != _REG:
        raise NFSError(nfsstat4.NFS4ERR_WRONG_TYPE)
    export = ctx.export
    client = ctx.client
    if layoutType not in client.asked and len(client.asked) < _ASKED:
        client.asked += (layoutType,)
    driver = export.drivers.get(layoutType)
    if driver is None:
        raise NFSError(
            nfsstat4.NFS4ERR_UNKNOWN_LAYOUTTYPE
            if export.drivers
            else nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE
        )
    if not export.pnfs:
        raise NFSError(nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE)
    file = inode.state
    held = ctx.resolveStateid(stateid)
    if file is None:
        raise ctx.server.stateids.whyNot(held, ctx.client, inode)
    state = _requireState(ctx, file, held, iomode)
    if iomode == _RW:
        if file.fullUntil > ctx.now:
            raise NFSError(nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE)
        if file.full:
            file.full = FULL_RETRIED
    if (
        export.threshold
        and inode.size < export.threshold
        and stateid == CURRENT_STATEID
    ):
        # Asked for on the way, in an OPEN: Linux does so before it has heard of the
        # threshold, and forgets the answer.
        raise NFSError(nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE)
    if export.readOnly and (iomode == _RW or not inode.hasPlacement):
        raise NFSError(nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE)
    recovery = ctx.server.recovery
    if recovery is not None:
        recovery.checkOrdinary(ctx.client, ctx.now)
    ctx.server.layouts.requireFenced(export, inode)
    if file.delegations is not None:
        requireNoDelegations(ctx, inode, iomode == _RW)
    if file.recall is not None:
        raise RecallConflict()
    return _grant(
        ctx,
        inode,
        file,
        state,
        driver,
        iomode,
        (offset, minlength),
        maxcount,
        pos + _SIZE,
    )


def _requireState(
    ctx: CompoundContext, file: FileState, stateid: bytes, iomode: int
) -> Any:
    """
    The state that entitles the caller: an open, lock or delegation, or a layout it
    has already. An iomode has the number of the access that it needs.
    """
    server = ctx.server
    client = ctx.client
    state = server.stateids.lookup(stateid[4:])
    if state.__class__ is LayoutState:
        state = server.layouts.find(stateid, client, file)
        server.layouts.forGet(stateid, state)
        writer = file.writer
        if iomode > state.iomode and (writer is None or writer.client is not client):
            clientid = client.clientid
            for key, opened in file.opens.items():
                if key[0] == clientid and opened.access & iomode:
                    break
            else:
                raise OpenMode()
        return state
    state = server.stateids.find(stateid, client, file, FOR_IO)
    opened = state.open if state.__class__ is LockState else state
    if not opened.access & iomode:
        raise OpenMode()
    return state


async def _grant(
    ctx: CompoundContext,
    inode: Inode,
    file: FileState,
    state: Any,
    driver: Any,
    iomode: int,
    wanted: tuple[int, int],
    maxcount: int,
    pos: int,
) -> int:
    server = ctx.server
    export = ctx.export
    layouts = server.layouts
    try:
        if iomode == _RW:
            end = _endOf(inode, *wanted)
            placement = await server.data.ensure(export, inode, True, end)
        else:
            placement = await server.data.ensure(export, inode)
    except Unreachable:
        raise NFSError(nfsstat4.NFS4ERR_LAYOUTTRYLATER, _NO_SIGNAL) from None
    except BackendError:
        raise NFSError(nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE) from None
    if iomode == _RW and (
        placement.readOnlyLayouts or not server.data.roomFor(placement, wanted[0])
    ):
        raise NFSError(nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE)
    # Meanwhile the file may have been closed, or a recall have begun.
    if (
        inode.state is not file
        or server.stateids.lookup(state.other) is not state
        or state.revoked is not None
    ):
        raise BadStateid()
    if file.recall is not None:
        raise RecallConflict()
    if inode.acl is not None:
        _requireGrantable(ctx, inode, iomode)
    held = file.layouts.get(ctx.client.clientid)
    if held is not None and held.layoutType != driver.layoutType:
        raise NFSError(nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE)
    squash = export.squash
    key: tuple[Any, ...] = (iomode, driver.layoutType, inode.uid, inode.gid, squash)
    reach = wanted[0], 1
    if placement.chunk:
        end = _endOf(inode, *wanted)
        reach = wanted[0], end - wanted[0]
        key += wanted[0] // placement.chunk, (end - 1) // placement.chunk
    grant: Any = layouts.cachedGrant(server.devices.generation, placement, key)
    if grant is None or grant[3] > maxcount:
        try:
            handle = server.data.mint(placement, iomode, squash)
        except ValueError:
            raise NFSError(nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE) from None
        grant = _encode(ctx, inode, driver, placement, iomode, reach, maxcount, handle)
        if grant is None:
            # RFC 8881, section 18.43.3, and what Linux takes for "not this time".
            if wanted[1]:
                raise NFSError(nfsstat4.NFS4ERR_BADLAYOUT)
            raise NFSError(nfsstat4.NFS4ERR_LAYOUTTRYLATER, _NO_SIGNAL)
        layouts.keepGrant(placement, key, grant)
    segments, servers, encoded, _ = grant
    if ctx.size + _HEAD_BYTES + len(encoded) > ctx.limitBytes:
        raise NFSError(
            nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE
            if ctx.slot is not None and ctx.slot.cacheThis
            else nfsstat4.NFS4ERR_REP_TOO_BIG
        )
    layout = layouts.grant(file, ctx.client, driver.layoutType, servers, segments)
    layout.grantedIn(ctx.slot)
    stateid = ctx.stateid = layout.stateid
    ctx.out.append(_packHead(50, 0, 0, stateid) + encoded)
    return pos


def _endOf(inode: Inode, offset: int, minlength: int) -> int:
    """
    The end of what a client must be given: C{loga_minlength} bytes, or one, or to the
    end of the file.
    """
    if minlength == NFS4_UINT64_MAX:
        return max(inode.size, offset + 1)
    return offset + (minlength or 1)


def _requireGrantable(ctx: CompoundContext, inode: Inode, iomode: int) -> None:
    """
    Data servers do not know the access control list: what it does not allow must not
    be in a handle. To append only is checked where bytes pass by here.

    @raise NFSError: ACCESS, LAYOUTUNAVAILABLE.
    """
    requireIOPermission(ctx, inode, iomode)
    if iomode == _RW and appendOnly(inode.acl):  # type: ignore[arg-type]
        raise NFSError(nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE)


def _encode(
    ctx: CompoundContext,
    inode: Inode,
    driver: Any,
    placement: Placement,
    iomode: int,
    reach: tuple[int, int],
    maxcount: int,
    handle: bytes,
) -> Optional[Grant]:
    """
    Have the driver encode a placement.

    C{ffds_stateid} is the anonymous one: the filehandle is what authorises at a
    data server, and so one body serves all clients.

    @param reach: offset and length of what must be in it.
    @return: None if it is not there.
    @raise NFSError: the driver cannot serve the placement, or not so small.
    """
    server = ctx.server
    try:
        placement = server.data.usable(placement, iomode == _RW)
    except Unreachable:
        raise NFSError(nfsstat4.NFS4ERR_LAYOUTTRYLATER, _NO_SIGNAL) from None
    if not driver.supports(placement):
        raise NFSError(nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE)
    try:
        servers = [server.devices.server(uuid) for uuid in placement.dataServers]
    except NoSuchServer:
        raise NFSError(nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE) from None
    request = LayoutRequest(
        iomode=iomode,
        offset=reach[0],
        length=NFS4_UINT64_MAX,
        minlength=reach[1],
        maxcount=maxcount,
        handle=handle,
        stateid=ANONYMOUS_STATEID,
        uid=inode.uid,
        gid=inode.gid,
        deviceid=partial(server.devices.deviceid, driver),
        tightlyCoupled=all([each.tightlyCoupled for each in servers]),
    )
    try:
        granted = driver.grant(request, placement)
    except ValueError:
        raise NFSError(nfsstat4.NFS4ERR_TOOSMALL) from None
    except NoSuchServer:
        raise NFSError(nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE) from None
    if not granted:
        return None
    size = sum([len(segment.body) for segment in granted])
    if size > maxcount:
        raise NFSError(nfsstat4.NFS4ERR_TOOSMALL)
    return (
        segmentsOf(granted),
        placement.dataServers,
        len(granted).to_bytes(4, "big")
        + b"".join([_encodeSegment(driver, segment) for segment in granted]),
        size,
    )


def _encodeSegment(driver: Any, segment: LayoutSegment) -> bytes:
    """
    A C{layout4} (RFC 8881, section 3.3.13).
    """
    body = segment.body
    return b"".join(
        (
            _packLayout(
                segment.offset,
                segment.length,
                segment.iomode,
                driver.layoutType,
                len(body),
            ),
            body,
            PAD[len(body) & 3],
        )
    )
