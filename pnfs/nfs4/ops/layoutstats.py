# -*- test-case-name: tests.nfs4.ops.test_layoutstats -*-
"""
LAYOUTSTATS (RFC 7862, section 15.7).
"""

from __future__ import annotations

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.layoutcommit import layoutupdate4
from pnfs.nfs4.ops.layouterror import layouterror
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import deviceid4, length4, offset4, stateid4, uint64_t
from pnfs.state.layouts import LayoutState
from pnfs.values import DeviceStatistics, LayoutReport


@attrs.define
class io_info4:
    """
    I/O done (RFC 7862, section 15.7.1).

    @ivar ii_count: operations.
    """

    ii_count: uint64_t
    ii_bytes: uint64_t


@attrs.define
class LAYOUTSTATS4args:
    """
    @ivar lsa_read: what was read from the device in the range; C{lsa_write}:
        written.
    """

    lsa_offset: offset4
    lsa_length: length4
    lsa_stateid: stateid4
    lsa_read: io_info4
    lsa_write: io_info4
    lsa_deviceid: deviceid4
    lsa_layoutupdate: layoutupdate4


@operation(
    65,
    "LAYOUTSTATS",
    args=LAYOUTSTATS4args,
    minor=2,
    errors=layouterror.errors | {nfsstat4.NFS4ERR_UNKNOWN_LAYOUTTYPE},
)
def layoutstats(ctx: CompoundContext, args: LAYOUTSTATS4args) -> None:
    """
    Note what a client has done on a device of a layout it holds. The numbers are
    cumulative, so the last ones count.
    """
    inode = ctx.requireInode()
    update = args.lsa_layoutupdate
    driver = ctx.export.drivers.get(update.lou_type)
    if driver is None:
        raise NFSError(nfsstat4.NFS4ERR_UNKNOWN_LAYOUTTYPE)
    driver.decodeStatistics(update.lou_body)
    stateid = ctx.resolveStateid(args.lsa_stateid)
    if inode.state is None:
        raise ctx.server.stateids.whyNot(stateid, ctx.client, inode, LayoutState)
    layouts = ctx.server.layouts
    layouts.find(stateid, ctx.client, inode.state)
    layouts.report(
        ctx.client,
        inode.state,
        LayoutReport(
            statistics=(
                DeviceStatistics(
                    args.lsa_deviceid,
                    args.lsa_read.ii_count,
                    args.lsa_read.ii_bytes,
                    args.lsa_write.ii_count,
                    args.lsa_write.ii_bytes,
                ),
            )
        ),
    )
