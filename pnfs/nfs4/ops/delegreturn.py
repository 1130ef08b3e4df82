# -*- test-case-name: tests.nfs4.ops.test_delegreturn -*-
"""
DELEGRETURN (RFC 8881, section 18.6).
"""

from __future__ import annotations

import attrs

from pnfs.backends.errors import BackendError
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.conflicts import requireState
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.ops.unlinked import settleFile
from pnfs.nfs4.types import stateid4
from pnfs.state.delegations import DelegationState
from pnfs.state.files import askLater


@attrs.define
class DELEGRETURN4args:
    """
    @ivar deleg_stateid: of the delegation of the current object.
    """

    deleg_stateid: stateid4


@operation(
    8,
    "DELEGRETURN",
    args=DELEGRETURN4args,
    modifies=True,
    errors=errorsOf(
        "ADMIN_REVOKED BADXDR BAD_STATEID DELEG_REVOKED EXPIRED INVAL NOTSUPP "
        "OLD_STATEID WRONG_CRED"
    ),
)
async def delegreturn(ctx: CompoundContext, args: DELEGRETURN4args) -> None:
    """
    End a delegation: its holder's alone. What it has written through a layout is told
    to the others from then on, as at CLOSE.
    """
    inode = ctx.requireInode()
    server = ctx.server
    held = requireState(ctx, inode, args.deleg_stateid, DelegationState)
    file = held.file
    if held.writes:
        layout = file.layouts.get(ctx.client.clientid)
        if file.reclaimed or (layout is not None and layout.mayHaveWritten()):
            asked = server.clock.seconds()
            try:
                await server.data.refresh(file.export, inode)
            except BackendError:
                # It must be able to return it while a data server is down: then the
                # next GETATTR asks.
                if layout is None:
                    askLater(server, inode)
                else:
                    layout.stoppedWriting()
            else:
                if layout is not None:
                    layout.refreshed()
                ctx.asked, ctx.askedAt = inode, asked
    if held.revoked is None and server.stateids.lookup(held.other) is held:
        server.delegations.drop(held)
    await settleFile(server, file)
