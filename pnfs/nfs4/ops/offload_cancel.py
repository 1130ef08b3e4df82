# -*- test-case-name: tests.nfs4.ops.test_copy -*-
"""
OFFLOAD_CANCEL (RFC 7862, section 15.8).
"""

from __future__ import annotations

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.types import stateid4


@attrs.define
class OFFLOAD_CANCEL4args:
    """
    @ivar oca_stateid: as COPY gave it.
    """

    oca_stateid: stateid4


@operation(
    66,
    "OFFLOAD_CANCEL",
    args=OFFLOAD_CANCEL4args,
    modifies=True,
    minor=2,
    errors=errorsOf(
        "ADMIN_REVOKED BADXDR BAD_STATEID COMPLETE_ALREADY EXPIRED GRACE NOTSUPP "
        "OLD_STATEID"
    ),
)
async def offload_cancel(ctx: CompoundContext, args: OFFLOAD_CANCEL4args) -> None:
    """
    Stop a copy whose destination is the current filehandle. When this is answered
    nothing is written any more.
    """
    ctx.requireInode()
    copies = ctx.server.copies
    copy = copies.find(ctx.resolveStateid(args.oca_stateid), ctx.client, ctx.fh)
    copies.drop(copy)
    await copy.job.end()
