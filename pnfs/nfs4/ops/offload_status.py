# -*- test-case-name: tests.nfs4.ops.test_copy -*-
"""
OFFLOAD_STATUS (RFC 7862, section 15.9).
"""

from __future__ import annotations

from typing import Annotated

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.types import length4, stateid4, uint32_t
from pnfs.xdr.codec import Array


@attrs.define
class OFFLOAD_STATUS4args:
    """
    @ivar osa_stateid: as COPY gave it.
    """

    osa_stateid: stateid4


@attrs.define
class OFFLOAD_STATUS4resok:
    """
    @ivar osr_count: bytes copied so far.
    @ivar osr_complete: how it has ended; nothing while it goes on.
    """

    osr_count: length4
    osr_complete: Annotated[list[int], Array(uint32_t, 1)]


@operation(
    67,
    "OFFLOAD_STATUS",
    args=OFFLOAD_STATUS4args,
    resok=OFFLOAD_STATUS4resok,
    minor=2,
    errors=errorsOf(
        "ADMIN_REVOKED BADXDR BAD_STATEID EXPIRED GRACE NOTSUPP OLD_STATEID"
    ),
)
def offload_status(
    ctx: CompoundContext, args: OFFLOAD_STATUS4args
) -> OFFLOAD_STATUS4resok:
    """
    How far a copy is whose destination is the current filehandle.
    """
    ctx.requireInode()
    stateid = ctx.resolveStateid(args.osa_stateid)
    copy = ctx.server.copies.find(stateid, ctx.client, ctx.fh)
    return OFFLOAD_STATUS4resok(
        copy.done, [] if copy.status is None else [int(copy.status)]
    )
