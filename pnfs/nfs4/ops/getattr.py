# -*- test-case-name: tests.nfs4.ops.test_getattr -*-
"""
GETATTR (RFC 8881, section 18.7).
"""

from __future__ import annotations

from typing import Any, Awaitable, Union

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.current import currentAttributes, mustAsk
from pnfs.nfs4.fattr_plan import Plan, planFor
from pnfs.nfs4.operation import hotOperation, okHeader
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.xdr.errors import XDRError

_OK = okHeader(9)


@hotOperation(9, "GETATTR", errors=errorsOf("ACCESS BADXDR INVAL IO"))
def getattr(ctx: CompoundContext, buf: Any, pos: int) -> Union[int, Awaitable[int]]:
    """
    Tell attributes of the current object. The bitmap asked for is the key of the
    plan as it stands on the wire, and what an object's plan gave is kept with it:
    mostly this is two look-ups.
    """
    inode = ctx.inode
    if inode is None:
        raise NFSError(nfsstat4.NFS4ERR_NOFILEHANDLE)
    # The count of words is below 16, so its last byte says it all; otherwise the
    # wire is no known plan's key, and is decoded properly.
    try:
        end = pos + 4 + 4 * buf[pos + 3]
    except IndexError:
        raise XDRError("truncated") from None
    wire = buf[pos:end]
    if wire.__class__ is not bytes:
        wire = bytes(wire)
    plan = ctx.export.plans[ctx.minor].get(wire)
    if plan is None:
        plan = planFor(ctx.server, ctx.export, ctx.minor, wire, _OK)
    state = inode.state
    if plan.volatile or (
        state is not None
        and plan.fromData
        and (state.layouts or state.reclaimed or state.writer)
    ):
        return _wait(ctx, plan, end)
    encoded = inode.encoded.get(plan)
    if encoded is None:
        if plan.fromData and mustAsk(ctx.server, inode):
            return _wait(ctx, plan, end)
        encoded = plan.of(inode)
    ctx.out.append(encoded)
    return int(end)


async def _wait(ctx: CompoundContext, plan: Plan, pos: int) -> int:
    ctx.out.append(await currentAttributes(ctx, plan))
    return pos
