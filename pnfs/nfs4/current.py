# -*- test-case-name: tests.nfs4.ops.test_getattr -*-
"""
What is told of a file that clients may be changing elsewhere: on the data servers, or
in their caches under a write delegation.
"""

from __future__ import annotations

from typing import Any

import attrs

from pnfs.backends.errors import BackendError, Unreachable
from pnfs.namespace.access import mayReadACL
from pnfs.nfs4.fattr_plan import Plan, statistics
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.state.files import WRITER_GONE
from pnfs.state.layouts import mayBeWritten, opensForWriting
from pnfs.values import Inode, SetAttributes

PROMPT_SECONDS = 0.02
"""What data servers were asked longer ago may not be so any more."""

REASKED = 4
"""How often they are asked again until they are prompt."""


def mustAsk(server: Any, inode: Inode) -> bool:
    """
    May the data servers know more of a file although nobody is known to write it? A
    client that could not reclaim after a restart of the server has written under a
    layout that nobody remembers, and believes the size it is told next. Or they did not
    answer when they were asked (L{askLater}).
    """
    return not inode.asked and bool(
        inode.hasPlacement
        and (server.unsure or (server.unasked and inode.handle in server.unasked))
    )


async def refreshWritten(
    server: Any, export: Any, inode: Inode, client: Any = None
) -> None:
    """
    Bring the size and times of a file up to date if clients may be writing it
    through layouts. The one that asks is no exception: Linux sends no LAYOUTCOMMIT
    for what a data server has written FILE_SYNC, but believes the size it is told.

    @param client: who asks. If it writes the file itself it is not told a size that
        may be too small, since it would append there.
    @raise BackendError: so it has to ask again later: a data server does not answer.
    """
    state = inode.state
    if not mustAsk(server, inode) and (state is None or not mayBeWritten(state)):
        return
    layouts = [] if state is None else list(state.layouts.values())
    recall = None if state is None else state.recall
    if recall is not None and recall.fence and opensForWriting(state, client):
        # Who has vanished may write until the file is fenced.
        raise Unreachable("a client that wrote the file is being fenced off")
    settled = recall is None or recall.settled
    try:
        await server.data.refresh(export, inode)
    except BackendError:
        # It may have opened the file meanwhile.
        state = inode.state
        if state is not None and opensForWriting(state, client):
            raise
        # A dead data server must not hide the file: answer what is known.
        return
    inode.asked = True
    server.unasked.discard(inode.handle)
    state = inode.state
    if (
        settled
        and state is not None
        and state.reclaimed == WRITER_GONE
        and state.recall is recall
        and (recall is None or recall.settled)
    ):
        state.reclaimed = 0
    for layout in layouts:
        layout.refreshed()


async def promptSize(
    server: Any, export: Any, inode: Inode, client: Any, asked: float
) -> Inode:
    """
    The object as a client may be told that writes it itself, although the data
    servers were asked for its size a while ago: they may have been slow to answer,
    or to grow and record it, and the client has gone on writing. Linux, if all that
    it has written is committed, believes a size that is too small, also with the
    answer to its LAYOUTCOMMIT, and appends there, over what it has written
    (C{nfs_update_inode}).

    @param asked: when they were asked (seconds of the server's clock).
    @return: the same object, or one that differs from it in its size, which is that
        of a moment ago. It is recorded when they are asked the next time.
    @raise BackendError: a data server does not answer: the client has to ask again.
    """
    size = inode.size
    for _ in range(REASKED):
        state = inode.state
        now = server.clock.seconds()
        if (
            now - asked < PROMPT_SECONDS
            or state is None
            or not opensForWriting(state, client)
        ):
            break
        asked = now
        size = max(size, await server.data.size(export, inode))
    if size <= inode.size:
        return inode
    return attrs.evolve(inode, size=size, encoded={})


async def heldAttributes(server: Any, inode: Inode, client: Any) -> Inode:
    """
    The object as its attributes are to be told: if another client holds a write
    delegation, that one is asked (RFC 8881, section 10.4.3).

    If it has changed the file, the change attribute grows each time somebody asks,
    since its holder does not count further changes; durably, so that it does not go
    back later. The size is only told: the bytes are not here yet. It is never less
    than what the data servers have.

    @param client: who wants to know.
    @return: the same object, or one that differs from it in what the holder says.
    @raise BackendError: the holder does not answer; it has to be asked again later.
    """
    while True:
        state = inode.state
        writer = None if state is None else state.writer
        if writer is None or writer.client is client:
            return inode
        said = await server.delegating.ask(writer)
        if inode.state is not state or state.writer is not writer:
            # It has returned the delegation meanwhile.
            continue
        now = server.wallTime()
        size = inode.size if said.size is None else max(inode.size, said.size)
        atime = inode.atime
        if said.atime is not None:
            atime = max(atime, min(said.atime, now))
        changed = said.change is not None and said.change != writer.change
        if changed or size > inode.size:
            mtime = now
            if said.mtime is not None:
                mtime = max(inode.mtime, min(said.mtime, now))
            await state.export.backend.setattr(inode, SetAttributes(mtime=mtime))
        if (size, atime) == (inode.size, inode.atime):
            return inode
        return attrs.evolve(inode, size=size, atime=atime, encoded={})


async def currentAttributes(ctx: Any, plan: Plan) -> bytes:
    """
    The current object's attributes when somebody has to be asked first: the data
    servers, if a client may be writing to them, the holder of a write delegation, or
    the backend for space; or when not everybody may know.

    @raise NFSError: ACCESS.
    """
    inode, export = ctx.inode, ctx.export
    if plan.guarded and not mayReadACL(inode, export.effective(ctx.credential)):
        raise NFSError(nfsstat4.NFS4ERR_ACCESS)
    if plan.fromData:
        asked = ctx.askedAt
        if ctx.asked is not inode:
            asked = ctx.server.clock.seconds()
            await refreshWritten(ctx.server, export, inode, ctx.client)
        if inode.state is not None and inode.state.writer is not None:
            inode = await heldAttributes(ctx.server, inode, ctx.client)
        inode = await promptSize(ctx.server, export, inode, ctx.client, asked)
    found = plan.of(inode, await statistics(export) if plan.volatile else None)
    if plan.fromData and mustAsk(ctx.server, inode):
        # Nobody has answered: the next one shall ask again.
        inode.encoded.pop(plan, None)
    return found
