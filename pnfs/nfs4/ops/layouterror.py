# -*- test-case-name: tests.nfs4.ops.test_layouterror -*-
"""
LAYOUTERROR (RFC 7862, section 15.6).
"""

from __future__ import annotations

from typing import Annotated

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import deviceid4, length4, offset4, stateid4, uint32_t
from pnfs.state.layouts import LayoutState
from pnfs.values import DeviceError, LayoutReport
from pnfs.xdr.codec import Array

ERRORS_LIMIT = 64


@attrs.define
class device_error4:
    """
    A failed operation on a device (RFC 7862, section 15.6.1).

    @ivar de_opnum: the C{nfs_opnum4} that failed.
    """

    de_deviceid: deviceid4
    de_status: uint32_t
    de_opnum: uint32_t


@attrs.define
class LAYOUTERROR4args:
    """
    @ivar lea_offset: and C{lea_length}: the range that was to be read or written.
    """

    lea_offset: offset4
    lea_length: length4
    lea_stateid: stateid4
    lea_errors: Annotated[list[device_error4], Array(device_error4, ERRORS_LIMIT)]


@operation(
    64,
    "LAYOUTERROR",
    args=LAYOUTERROR4args,
    minor=2,
    errors=frozenset(
        {
            nfsstat4.NFS4ERR_ADMIN_REVOKED,
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
            nfsstat4.NFS4ERR_NOTSUPP,
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
            nfsstat4.NFS4ERR_WRONG_CRED,
            nfsstat4.NFS4ERR_WRONG_TYPE,
        }
    ),
)
def layouterror(ctx: CompoundContext, args: LAYOUTERROR4args) -> None:
    """
    Note that a client could not use a device of a layout it holds.
    """
    inode = ctx.requireInode()
    stateid = ctx.resolveStateid(args.lea_stateid)
    if inode.state is None:
        raise ctx.server.stateids.whyNot(stateid, ctx.client, inode, LayoutState)
    layouts = ctx.server.layouts
    layouts.find(stateid, ctx.client, inode.state)
    layouts.report(
        ctx.client,
        inode.state,
        LayoutReport(
            errors=tuple(
                [
                    DeviceError(
                        error.de_deviceid,
                        args.lea_offset,
                        args.lea_length,
                        error.de_status,
                        error.de_opnum,
                    )
                    for error in args.lea_errors
                ]
            )
        ),
    )
