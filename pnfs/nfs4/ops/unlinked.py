# -*- test-case-name: tests.nfs4.ops.test_close -*-
"""
The end of state on a file: what was removed while it was open goes for good when
its last user has closed it.
"""

from __future__ import annotations

from typing import Any, Callable

from twisted.logger import Logger

from pnfs.rpc.coroutines import drive
from pnfs.state.files import FileState

_OPENS = 32
"""How many opens of a client that is gone are dropped in a piece."""

_log = Logger()


async def settleFile(server: Any, file: FileState) -> None:
    """
    To be called after state on a file has gone. If nothing is left, the inode
    forgets it; an unlinked file's object and data files are deleted.

    @param server: the L{pnfs.nfs4.context.ServerContext}.
    """
    if not file.idle:
        return
    inode = file.inode
    if inode.state is file:
        inode.state = None
    if not file.unlinked:
        return
    file.unlinked = False
    placement = file.placement
    file.placement = None
    backend = file.export.backend
    if placement is not None and placement.chunk:
        # It may have grown since.
        placement = await backend.loadPlacement(inode) or placement
    await backend.release(inode)
    if placement is not None:
        await backend.finishRemoval(placement, False)
        server.data.forget(file.export, placement)


def _reportFailure(error: Exception) -> None:
    """
    Nobody waits for the deletion, so the log is the place to say that it failed;
    the removal queue remembers it for the next start.
    """
    _log.error("an unlinked file could not be deleted: {error}", error=error)


def _atOnce(work: Callable[[], None]) -> None:
    work()


def stateDropper(
    server: Any, inTurn: Callable[[Callable[[], None]], None] = _atOnce
) -> Callable[[Any], None]:
    """
    A listener for L{pnfs.state.clients.ClientTable}: a client that is gone has
    nothing open and nothing locked any more. Of very much, some goes a little later;
    who wants it before then finds that the client is gone
    (L{pnfs.nfs4.ops.courtesy}).

    @param inTurn: does what it is given now, if not much has been done in this turn
        of the reactor, or in a later one.
    """

    def drop(client: Any) -> None:
        for file in server.opens.closeSome(client, _OPENS):
            _leave(server, file)
        if client.opens:
            inTurn(lambda: drop(client))

    return lambda client: inTurn(lambda: drop(client))


def dropGone(server: Any, file: FileState) -> None:
    """
    What clients that are gone have left on a file goes now.
    """
    server.opens.closeGone(file)
    _leave(server, file)


def _leave(server: Any, file: FileState) -> None:
    if file.unlinked:
        drive(settleFile(server, file), lambda result: None, _reportFailure)
    elif file.idle and file.inode.state is file:
        file.inode.state = None
