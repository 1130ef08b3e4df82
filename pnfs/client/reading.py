# -*- test-case-name: tests.client.test_file -*-
"""
Reading an open file: at the data servers, from any mirror, or through the metadata
server.
"""

from __future__ import annotations

from typing import Any, Optional

from pnfs.backends.ds.remote import gather
from pnfs.backends.errors import IOFailed
from pnfs.client.attributes import Attributes
from pnfs.client.dataservers import DataFile
from pnfs.client.errors import FAILURES
from pnfs.client.held import READ, HeldLayout
from pnfs.client.layout import Layout
from pnfs.client.openstate import OpenState
from pnfs.layouts.mirrors import readOrder

LAYOUTS_TRIED = 2
"""After so many layouts under which a request has failed there are no others."""


def suspected(target: DataFile) -> bool:
    """
    Did its data server not answer when it was last asked?
    """
    return target.server is not None and target.server.suspected


class Reading(OpenState):
    """
    The part of L{pnfs.client.file.File} that reads.
    """

    size: int
    attributes: Attributes
    proxied: tuple[int, int]
    _mount: Any
    _held: HeldLayout
    _mds: DataFile
    _dirtyEnd: int

    @property
    def ioBytes(self) -> int:
        """
        A good size for one request.
        """
        raise NotImplementedError

    def _count(self, target: DataFile, read: int, written: int) -> None:
        raise NotImplementedError

    def _failed(
        self,
        layout: Layout,
        target: DataFile,
        offset: int,
        length: int,
        error: Exception,
        op: int,
    ) -> None:
        raise NotImplementedError

    async def read(self, offset: int, count: int) -> memoryview:
        """
        Read up to C{count} bytes; fewer only at the end of the file. Holes read as
        zeros.

        @raise NFSError: @raise BackendError: it cannot be read.
        """
        if count <= 0:
            return memoryview(b"")
        parts = await self._readRange(offset, count, 0)
        if len(parts) == 1:
            return parts[0]
        return memoryview(b"".join(parts))

    async def _readRange(self, offset: int, count: int, tried: int) -> list[memoryview]:
        """
        @return: the bytes in order; the first short part is the end.
        """
        layout = None
        if tried < LAYOUTS_TRIED:
            layout = await self._held.acquire(READ, self, offset)
        if layout is None:
            return await self._readThroughMDS(offset, count)
        try:
            covered = layout.covered(offset, count)
            if not covered:
                return await self._readThroughMDS(offset, count)
            pieces = layout.pieces(offset, covered)
            if len(pieces) == 1:
                parts = [await self._readPiece(layout, *pieces[0])]
            else:
                parts = await gather(
                    [self._readPiece(layout, *piece) for piece in pieces]
                )
        finally:
            layout.release()
        found: list[memoryview] = []
        for (_, start, _, length), part in zip(pieces, parts):
            if part is None:
                again = await self._readRange(start, length, tried + 1)
                found += again
                got = sum(map(len, again))
            else:
                found.append(part)
                got = len(part)
            if got < length:
                return found
        if covered < count:
            found += await self._readRange(offset + covered, count - covered, tried)
        return found

    async def _readPiece(
        self, layout: Layout, column: int, offset: int, place: int, length: int
    ) -> Optional[memoryview]:
        """
        Read from the best mirror that can be read.

        @return: None if none can.
        """
        mirrors = layout.columns[column]
        if len(mirrors) > 1:
            mirrors = readOrder(mirrors, {each for each in mirrors if suspected(each)})
        for target in mirrors:
            if suspected(target):
                continue
            try:
                view, eof = await target.read(place, length)
                while len(view) < length and not eof:
                    more, eof = await target.read(place + len(view), length - len(view))
                    if not more and not eof:
                        raise IOFailed("READ of nothing")
                    view = memoryview(b"".join((view, more)))
            except FAILURES as error:
                self._failed(layout, target, offset, length, error, 25)
                continue
            self._count(target, len(view), 0)
            if len(view) < length:
                return await self._fill(view, offset, length)
            return view
        return None

    async def _fill(self, view: memoryview, offset: int, length: int) -> memoryview:
        """
        A data file ends here. Does the file?
        """
        if offset + length > self.size:
            await self.refresh()
        wanted = min(length, self.size - offset)
        if wanted <= len(view):
            return view
        return memoryview(b"".join((view, bytes(wanted - len(view)))))

    async def refresh(self) -> None:
        """
        Ask for the attributes, size included.
        """
        self.attributes = await self._mount.attributesOf(self.fh)
        self.size = max(self.attributes.size, self._dirtyEnd)

    async def _readThroughMDS(self, offset: int, count: int) -> list[memoryview]:
        found: list[memoryview] = []
        most = self.ioBytes
        while count:
            part = min(count, most)
            view, eof = await self.withStateid(lambda: self._mds.read(offset, part))
            self.proxied = (self.proxied[0] + len(view), self.proxied[1])
            found.append(view)
            offset += len(view)
            count -= len(view)
            if eof or not view:
                break
        return found
