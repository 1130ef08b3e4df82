# -*- test-case-name: tests.nfs4.ops.test_free_stateid -*-
"""
FREE_STATEID (RFC 8881, section 18.38).
"""

from __future__ import annotations

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import stateid4
from pnfs.state.errors import LocksHeld
from pnfs.state.layouts import LayoutState
from pnfs.state.locks import LockState


@attrs.define
class FREE_STATEID4args:
    """
    @ivar fsa_stateid: what the client will not use again.
    """

    fsa_stateid: stateid4


@operation(
    45,
    "FREE_STATEID",
    args=FREE_STATEID4args,
    modifies=True,
    errors=errorsOf("BADXDR BAD_STATEID LOCKS_HELD OLD_STATEID WRONG_CRED"),
)
def free_stateid(ctx: CompoundContext, args: FREE_STATEID4args) -> None:
    """
    Forget a stateid that stands for nothing: one that was revoked, or that of a
    lock owner without locks.
    """
    server = ctx.server
    stateid = ctx.resolveStateid(args.fsa_stateid)
    state = server.stateids.lookup(stateid[4:])
    if state is None or state.client is not ctx.client:
        raise NFSError(nfsstat4.NFS4ERR_BAD_STATEID)
    if state.revoked is not None:
        if isinstance(state, LayoutState):
            server.layouts.free(state)
        else:
            server.delegations.free(state)
        return
    server.stateids.find(stateid, ctx.client, None)
    if not isinstance(state, LockState) or state.ranges:
        raise LocksHeld()
    server.locks.drop(state)
