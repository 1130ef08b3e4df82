# -*- test-case-name: tests.nfs4.ops.test_remove -*-
"""
What REMOVE, and RENAME over a name, do about the file behind the name.

Order matters, since a crash may come between any two steps: first the clients'
layouts and delegations are recalled, then the data files are put into the durable queue, then the
name goes. If the name stays after all, the queue forgets them. A file that is open,
or delegated to the one who removes it, stays reachable by its handle, and its data files stay, until the last state on it
has gone (L{pnfs.nfs4.ops.unlinked}).
"""

from __future__ import annotations

from typing import Any, Optional

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.ops.conflicts import (
    requireNoDelegations,
    requireNoLayouts,
    requireNoReclaims,
)
from pnfs.nfs4.ops.unlinked import settleFile
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.values import FileType, Inode, Placement, Removed

_REG = FileType.REG


def _isOpen(inode: Inode) -> bool:
    state = inode.state
    return state is not None and bool(state.opens or state.delegations)


@attrs.define(eq=False)
class Removal:
    """
    A name that is about to go.

    @ivar inode: the object.
    @ivar keep: it is open.
    @ivar placement: its data files, now in the queue; None if it has none, or
        other names.
    """

    inode: Inode
    keep: bool = False
    placement: Optional[Placement] = None

    def checkAgain(self, ctx: CompoundContext) -> None:
        """
        To be called before the name goes, if anything was waited for since
        L{prepareRemoval} began: somebody may have opened the file meanwhile.

        @raise NFSError: DELAY: it has to be done anew.
        """
        requireNoDelegations(ctx, self.inode, True)
        if self.placement is None:
            return
        requireNoLayouts(ctx, self.inode, ctx.client, "remove")
        if self.keep != _isOpen(self.inode):
            raise NFSError(nfsstat4.NFS4ERR_DELAY)

    async def abandon(self, export: Any) -> None:
        """
        The name stays.
        """
        if self.placement is not None:
            placement, self.placement = self.placement, None
            await export.backend.finishRemoval(placement, True)

    async def finish(
        self, ctx: CompoundContext, export: Any, removed: Optional[Removed]
    ) -> None:
        """
        The name has gone.

        @param removed: what the backend says; None: nothing was replaced.
        """
        if removed is None or not removed.gone:
            await self.abandon(export)
            return
        inode, placement, server = self.inode, self.placement, ctx.server
        state = inode.state
        if self.keep and _isOpen(inode):
            state.unlinked = True
            state.placement = placement
            return
        if state is not None:
            # The caller's own layouts were not recalled, nor its delegation of a
            # directory: with the object they end.
            for layout in list(state.layouts.values()):
                server.layouts.drop(layout)
            for delegation in list((state.delegations or {}).values()):
                server.delegations.drop(delegation)
            await settleFile(server, state)
        if self.keep:
            # Closed by everybody while the backend was at work.
            await export.backend.release(inode)
            if placement is not None:
                await export.backend.finishRemoval(placement, False)
        if placement is not None:
            server.data.forget(export, placement)


async def prepareRemoval(ctx: CompoundContext, export: Any, inode: Inode) -> Removal:
    """
    Make a name ready to go: nothing if that is not the last name of a file.

    @raise NFSError: DELAY while other clients' layouts or delegations are being
        recalled; GRACE while they may be reclaimed.
    """
    requireNoReclaims(ctx, inode)
    requireNoDelegations(ctx, inode, True)
    if inode.ftype != _REG or inode.nlink > 1:
        return Removal(inode)
    state = inode.state
    if state is not None:
        requireNoLayouts(ctx, inode, ctx.client, "remove")
    removal = Removal(inode, _isOpen(inode))
    if inode.hasPlacement:
        placement = await export.backend.loadPlacement(inode)
        if placement is not None:
            removal.keep = _isOpen(inode)
            await export.backend.enqueueRemoval(placement, removal.keep)
            removal.placement = placement
    return removal
