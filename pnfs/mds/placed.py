# -*- test-case-name: tests.mds.test_repairs -*-
"""
The files of an export that have data files, and having one of them to oneself.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import Any, AsyncIterator, Iterator, Optional

from twisted.internet.interfaces import IReactorTime

from pnfs.backends.errors import NoSuchObject
from pnfs.mds.lacking import Idle
from pnfs.mds.withdrawal import pause
from pnfs.nfs4.context import ServerContext
from pnfs.state.files import FileState, fileState
from pnfs.values import FileType, Inode

PAGE = 256
"""Names looked at before others have their turn."""


async def placedFiles(
    export: Any, clock: IReactorTime, top: Optional[tuple[bytes, str]] = None
) -> AsyncIterator[tuple[Inode, str]]:
    """
    All of them with their paths, a file with several names several times. What is
    made or renamed meanwhile may be missed.

    @param top: only below the directory with this handle and path.
    """
    backend = export.backend
    left = [(backend.root.handle, export.path.rstrip("/")) if top is None else top]
    while left:
        handle, path = left.pop()
        try:
            folder = await backend.byHandle(handle)
        except NoSuchObject:
            continue
        cookie, last = 0, False
        while not last:
            try:
                entries, last = await backend.readdir(folder, cookie, PAGE)
            except NoSuchObject:
                break
            for entry in entries:
                cookie = entry.cookie
                inode = entry.inode
                if inode is None:
                    continue
                name = f"{path}/{entry.name.decode('utf-8', 'backslashreplace')}"
                if inode.ftype == FileType.DIR:
                    left.append((inode.handle, name))
                elif inode.hasPlacement:
                    yield inode, name
            await pause(clock, 0)


@contextmanager
def pinned(server: ServerContext, export: Any, inode: Inode) -> Iterator[FileState]:
    """
    Keep a file's object in memory, and its data files if it is removed.
    """
    file = fileState(server.filehandles.encode(export, inode), inode, export)
    file.copies += 1
    try:
        yield file
    finally:
        file.copies -= 1
        server.recaller.settle(file)


def idleness(file: FileState) -> Idle:
    """
    A way to ask whether no client of NFSv4 has a file open, or a layout of it. Those of
    NFSv3 nobody knows of.
    """
    return lambda: not (file.opens or file.layouts or file.delegations)


@asynccontextmanager
async def alone(
    server: ServerContext, file: FileState, reason: str
) -> AsyncIterator[None]:
    """
    Have no client use a layout of a file: all are recalled, no new ones are given, and
    with those that nobody knows of any more, from before a restart, nothing can be
    done. Clients read and write through the metadata server meanwhile.
    """
    recall = server.recaller.keep(file, reason)
    try:
        await server.recaller.recallLayouts(file, reason)
        await server.data.fence(file.export, file.inode)
        yield
    finally:
        recall.free()
