# -*- test-case-name: tests.nfs4.ops.test_close -*-
"""
CLOSE (RFC 8881, section 18.2).
"""

from __future__ import annotations

import struct
from typing import Any, Awaitable, Optional, Union

from pnfs.backends.errors import BackendError
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import hotOperation, okHeader
from pnfs.nfs4.ops.conflicts import requireState
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.ops.unlinked import settleFile
from pnfs.nfs4.types import INVALID_STATEID
from pnfs.state.files import FileState, askLater
from pnfs.state.layouts import LayoutState
from pnfs.state.opens import WRITE, OpenState

_unpack = struct.Struct(">I16s").unpack_from
_OK = okHeader(4) + INVALID_STATEID


@hotOperation(
    4,
    "CLOSE",
    modifies=True,
    errors=errorsOf(
        "ADMIN_REVOKED BADXDR BAD_STATEID EXPIRED LOCKS_HELD OLD_STATEID " "WRONG_CRED"
    ),
)
def close(ctx: CompoundContext, buf: Any, pos: int) -> Union[int, Awaitable[int]]:
    """
    End an open. Its seqid argument means nothing in NFSv4.1.

    The invalid special stateid comes back, and is the current one from then on.
    """
    _, stateid = _unpack(buf, pos)
    inode = ctx.requireInode()
    state = requireState(ctx, inode, stateid, OpenState)
    file = state.file
    if state.access & WRITE and (file.layouts or file.reclaimed):
        layout = file.layouts.get(ctx.client.clientid)
        if file.reclaimed or (layout is not None and layout.mayHaveWritten()):
            return _closeWritten(ctx, state, file, layout, pos + 20)
    ctx.server.opens.close(state)
    if not file.opens:
        if file.unlinked:
            return _settle(ctx, file, pos + 20)
        if file.idle:
            inode.state = None
    ctx.stateid = INVALID_STATEID
    ctx.out.append(_OK)
    return pos + 20


async def _closeWritten(
    ctx: CompoundContext,
    state: OpenState,
    file: FileState,
    layout: Optional[LayoutState],
    pos: int,
) -> int:
    """
    The closer may have written to data servers: before it is told that the file is
    closed, the size and times that others see are brought up to date (close to
    open consistency).
    """
    server = ctx.server
    server.opens.checkClose(state)
    asked = server.clock.seconds()
    try:
        await server.data.refresh(file.export, file.inode)
    except BackendError:
        # A client must be able to close while a data server is down: the next
        # GETATTR asks again.
        if layout is None:
            askLater(server, file.inode)
        else:
            layout.stoppedWriting()
    else:
        if layout is not None:
            layout.refreshed()
        ctx.asked, ctx.askedAt = file.inode, asked
    if server.stateids.lookup(state.other) is state:
        server.opens.close(state)
    return await _settle(ctx, file, pos)


async def _settle(ctx: CompoundContext, file: FileState, pos: int) -> int:
    await settleFile(ctx.server, file)
    ctx.stateid = INVALID_STATEID
    ctx.out.append(_OK)
    return pos
