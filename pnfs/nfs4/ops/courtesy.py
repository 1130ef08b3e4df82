# -*- test-case-name: tests.nfs4.ops.test_courtesy -*-
"""
Clients whose lease is over keep what they hold until somebody wants it: these are
the moments when somebody does. To be asked when an operation has found a conflict,
never before, so that nothing is slower for those who are in nobody's way.

If all who are in the way have been silent for a lease, they are dropped and the
operation goes on. If one of them may still be writing to the file's data files with
a layout it had, the file is fenced first: NFS4ERR_DELAY meanwhile.
"""

from __future__ import annotations

from typing import Any

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.ops.unlinked import dropGone
from pnfs.state import locks, opens
from pnfs.state.errors import Delay
from pnfs.state.files import FileState


def sharesGiveWay(
    ctx: CompoundContext, file: FileState, access: int, deny: int = 0
) -> bool:
    """
    A share reservation forbids this access, or an access this reservation.

    @return: not any more.
    @raise Delay: but it is not yet safe to go on.
    """
    return _giveWay(ctx, file, opens.inTheWay(file, access, deny))


def locksGiveWay(
    ctx: CompoundContext,
    file: FileState,
    owner: bytes,
    exclusive: bool,
    offset: int,
    length: int,
) -> bool:
    """
    A byte-range lock of somebody else is in the way.

    @return: not any more.
    @raise Delay: but it is not yet safe to go on.
    """
    holders = locks.inTheWay(file, ctx.client, owner, exclusive, offset, length)
    return _giveWay(ctx, file, holders)


def _giveWay(ctx: CompoundContext, file: FileState, holders: set[Any]) -> bool:
    if not holders or not ctx.server.clients.giveWay(holders, ctx.now):
        return False
    dropGone(ctx.server, file)
    recall = file.recall
    if recall is not None and not recall.holding:
        raise Delay()
    return True
