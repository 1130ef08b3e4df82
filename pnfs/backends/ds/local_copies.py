# -*- test-case-name: tests.backends.ds.test_local -*-
"""
What the local data backend copies within its folder.
"""

from __future__ import annotations

import os
from typing import Any, Callable

from pnfs.backends.ds.local_copy import cloneRange, copyExtents, findExtents
from pnfs.backends.ds.local_extents import Fallocate
from pnfs.backends.ds.local_files import OpenFile
from pnfs.backends.ds.local_objects import settled
from pnfs.backends.ds.tracking import Tracking
from pnfs.backends.ds.unchecked import UncheckedCopies
from pnfs.backends.errors import InvalidArgument, TooBig, Unsupported
from pnfs.backends.oserrors import translate
from pnfs.values import CopySource, Stable, WriteResult

_LARGEST = (1 << 63) - 1


class LocalCopies(UncheckedCopies):
    """
    A part of L{pnfs.backends.ds.local.LocalDataServerBackend}.

    @ivar cloneBlock: alignment of what files can share, 0: nothing.
    """

    verifier: bytes
    uuid: bytes
    cloneBlock: int = 0
    _open: Callable[[bytes], Any]
    _fallocate: Fallocate
    _tracking: Tracking

    async def copy(
        self,
        name: bytes,
        offset: int,
        source: CopySource,
        sourceOffset: int,
        count: int,
    ) -> WriteResult:
        """
        One step of it (L{local_copy}), into the page cache as an unstable write.
        """
        if source.uuid and source.uuid != self.uuid:
            raise Unsupported("the source lies on another data server")
        entry, other = await self._openBoth(name, source.name)
        try:
            _check(entry, offset, other, sourceOffset, count)
            done = 0
            if count:
                extents = await settled(other.run(findExtents, sourceOffset, count))
                done = sum(length for _, length in extents)
                _grow(entry, offset + done)
                await self._changing(
                    entry,
                    offset,
                    done,
                    copyExtents,
                    other.fd,
                    sourceOffset,
                    offset,
                    extents,
                )
        finally:
            other.release()
            entry.release()
        return WriteResult(done, Stable.UNSTABLE, self.verifier)

    async def clone(
        self, name: bytes, offset: int, source: bytes, sourceOffset: int, count: int
    ) -> None:
        """
        C{FICLONERANGE}.
        """
        entry, other = await self._openBoth(name, source)
        try:
            block = self.cloneBlock
            if not block:
                raise Unsupported("the file system cannot share bytes between files")
            _check(entry, offset, other, sourceOffset, count)
            size = os.fstat(other.fd).st_size
            if (
                offset % block
                or sourceOffset % block
                or (count % block and sourceOffset + count < size)
            ):
                raise InvalidArgument("the range is not aligned")
            _grow(entry, offset + count)
            await self._changing(
                entry,
                offset,
                count,
                cloneRange,
                other.fd,
                sourceOffset,
                offset,
                count,
                block,
            )
            await settled(entry.flush(True))
        finally:
            other.release()
            entry.release()

    async def _changing(
        self,
        entry: OpenFile,
        offset: int,
        count: int,
        function: Callable[..., Any],
        *arguments: Any,
    ) -> Any:
        """
        Change a range in the pool.
        """
        tracking = self._tracking
        if tracking.active:
            tracking.note(entry.name, offset, count)
        try:
            return await settled(
                entry.run(function, self._fallocate, entry, *arguments)
            )
        finally:
            # Who began to look meanwhile is told as well.
            if tracking.active:
                tracking.note(entry.name, offset, count)

    async def _openBoth(self, name: bytes, source: bytes) -> tuple[OpenFile, OpenFile]:
        """
        Destination and source, held: to be released by the caller.
        """
        other: OpenFile = await self._open(source)
        other.hold()
        try:
            entry: OpenFile = await self._open(name)
        except BaseException:
            other.release()
            raise
        entry.hold()
        return entry, other


def _check(
    entry: OpenFile, offset: int, source: OpenFile, sourceOffset: int, count: int
) -> None:
    if max(offset, sourceOffset) + count > _LARGEST:
        raise TooBig(f"offset {offset}")
    if entry is source and abs(offset - sourceOffset) < count:
        raise InvalidArgument("the ranges overlap")


def _grow(entry: OpenFile, size: int) -> None:
    """
    Looking and growing are one step.
    """
    try:
        if os.lseek(entry.fd, 0, os.SEEK_END) < size:
            os.ftruncate(entry.fd, size)
            entry.dirty = entry.written = True
    except OSError as error:
        raise translate(error) from error
