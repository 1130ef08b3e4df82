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


def stateDropper(server: Any) -> Callable[[Any], None]:
    """
    A listener for L{pnfs.state.clients.ClientTable}: a client that is gone has
    nothing open and nothing locked any more.
    """

    def drop(client: Any) -> None:
        for file in server.opens.closeAll(client):
            if file.unlinked:
                drive(settleFile(server, file), lambda result: None, _reportFailure)
            elif file.idle and file.inode.state is file:
                file.inode.state = None

    return drop
