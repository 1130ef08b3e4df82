# -*- test-case-name: tests.mds.test_fileindex -*-
"""
Filling the index of files by walking through exports, in the background.

What the walk does not come across, and the index has, is looked up by its handle
before it is taken out: it may have been renamed meanwhile. A file that the index does
not have, as the walk is all there is after a power cut, may be missed if it is
renamed from where the walk has not been to where it has: its next change of placement
puts it in.
"""

from __future__ import annotations

from typing import Any, Callable, Optional, Sequence

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from pnfs.backends.errors import BackendError, NoSuchName, NoSuchObject, NotDirectory
from pnfs.mds.fileindex import FileIndex, indexed
from pnfs.mds.fileindex_store import Indexed
from pnfs.values import FileType, Inode

BEGIN_SECONDS = 2.0
"""After the start: clients come first."""

RETRY_SECONDS = 60.0
PAUSE_SECONDS = 0.005
"""Between two pages, so that requests are not held up."""

PAGE = 64
_SOME = 1024

_log = Logger()


class IndexWalk:
    """
    Walks through the exports that the index is not whole for.
    """

    def __init__(
        self,
        index: FileIndex,
        clock: IReactorTime,
        exports: Callable[[], Sequence[Any]],
    ) -> None:
        """
        @param exports: those that are served now.
        """
        self._index = index
        self._clock = clock
        self._exports = exports
        self._running: Optional[Deferred[None]] = None
        self._pausing: Optional[Deferred[None]] = None
        self._stopped = False
        self._found: list[Indexed] = []

    def go(self, seconds: float = BEGIN_SECONDS) -> None:
        """
        Begin, unless it is under way or there is nothing to do.
        """
        if self._running is None and not self._stopped and self._due():
            self._running = Deferred.fromCoroutine(self._run(seconds))
            self._running.addErrback(self._failed)

    def stop(self) -> None:
        """
        End where it is: it begins anew at the next start.
        """
        self._stopped = True
        if self._pausing is not None:
            self._pausing.cancel()

    async def _pause(self, seconds: float) -> None:
        if self._stopped:
            raise CancelledError()
        self._pausing = deferLater(self._clock, seconds)
        try:
            await self._pausing
        finally:
            self._pausing = None

    def _due(self) -> list[Any]:
        whole = self._index.whole
        return [export for export in self._exports() if export.id not in whole]

    def _failed(self, failure: Any) -> None:
        self._running = None
        if not self._stopped:
            _log.failure("filling the index of files failed", failure)

    async def _run(self, seconds: float) -> None:
        await self._pause(seconds)
        while not self._stopped:
            due = self._due()
            if not due:
                break
            try:
                for export in due:
                    await self._walk(export)
            except BackendError as error:
                if self._stopped:
                    break
                _log.warn(
                    "the index of files cannot be filled, trying again: {error}",
                    error=error,
                )
                await self._pause(RETRY_SECONDS)
        self._running = None

    async def _walk(self, export: Any) -> None:
        """
        All of an export.
        """
        index = self._index
        await index.beginWalk()
        self._found = []
        folders = [export.backend.root.handle]
        while folders:
            await self._folder(export, folders.pop(), folders)
        await self._flush()
        after = 0
        while some := await index.unseen(export.id, after, PAGE):
            for file in some:
                after = file.position
                try:
                    inode = await export.backend.byHandle(file.handle)
                except NoSuchObject:
                    self._found.append(Indexed(file.name, export.id, b""))
                else:
                    await self._file(export, inode)
            await self._flush()
            await self._pause(PAUSE_SECONDS)
        index.complete(export.id)

    async def _folder(self, export: Any, handle: bytes, folders: list[bytes]) -> None:
        backend = export.backend
        cookie = 0
        last = False
        try:
            folder = await backend.byHandle(handle)
            while not last:
                entries, last = await backend.readdir(folder, cookie, PAGE)
                for entry in entries:
                    cookie = entry.cookie
                    inode = entry.inode
                    if inode is None:
                        continue
                    if inode.ftype == FileType.DIR:
                        folders.append(inode.handle)
                    elif inode.hasPlacement:
                        await self._file(export, inode)
                if not entries:
                    break
                await self._pause(PAUSE_SECONDS)
        except (NoSuchObject, NoSuchName, NotDirectory):
            # Removed meanwhile.
            return

    async def _file(self, export: Any, inode: Inode) -> None:
        placement = await export.backend.loadPlacement(inode)
        if placement is not None:
            self._found.append(indexed(export.id, inode.handle, placement))
        if len(self._found) >= _SOME:
            await self._flush()

    async def _flush(self) -> None:
        found, self._found = self._found, []
        await self._index.seen(found)
