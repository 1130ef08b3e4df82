# -*- test-case-name: tests.backends.ds.test_memory -*-
"""
Data files in memory: the fake of tests, and the reference for other backends.
"""

from __future__ import annotations

import re
import time
from bisect import bisect_right
from typing import Callable, Optional, Sequence

import attrs
from zope.interface import implementer

from pnfs.backends.ds.memory_digests import MemoryDigests
from pnfs.backends.ds.segments import readBySeeking
from pnfs.backends.ds.settling import Settling
from pnfs.backends.ds.tracking import Tracking
from pnfs.backends.ds.unchecked import UncheckedCopies
from pnfs.backends.errors import (
    InvalidArgument,
    NoSpace,
    NoSuchObject,
    TooBig,
    Unsupported,
)
from pnfs.interfaces import IDataServerBackend
from pnfs.values import (
    NOW,
    CopySource,
    FSStatistics,
    ObjectAttributes,
    ReadResult,
    SegmentsResult,
    SetAttributes,
    Stable,
    WriteResult,
)

_NAME = re.compile(rb"[0-9a-f]{1,80}")
_BLOCK = 64 * 1024
_LARGEST = (1 << 63) - 1

CLONE_BLOCK = 4096
"""Any would do: bytes are really copied."""


@attrs.define(eq=False)
class _Object:
    """
    @ivar attributes: kept right at every change.
    @ivar blocks: number to contents; a block that is not there is a hole.
    @ivar reserved: numbers of holes whose space is taken already.
    """

    attributes: ObjectAttributes
    blocks: dict[int, bytearray] = attrs.Factory(dict)
    reserved: set[int] = attrs.Factory(set)


@implementer(IDataServerBackend)
class MemoryDataServerBackend(MemoryDigests, UncheckedCopies, Settling):
    """
    Sparse objects in memory. Everything is as durable as it will ever be.

    @ivar verifier: may be set by a test that plays a restart.
    @ivar capacity: bytes that can be stored.
    @ivar copyBytes: the most that one C{copy} does.
    """

    def __init__(
        self,
        verifier: bytes,
        uuid: bytes,
        capacity: int = 1 << 40,
        wallNanoseconds: Callable[[], int] = time.time_ns,
    ) -> None:
        self.verifier = verifier
        self.uuid = uuid
        self.capacity = capacity
        self.copyBytes = 16 << 20
        self._now = wallNanoseconds
        self._objects: dict[bytes, _Object] = {}
        self._used = 0
        self._tracking = Tracking()

    async def start(self) -> None:
        """
        Nothing to make ready.
        """

    async def stop(self) -> None:
        """
        The objects stay: a test may start it again.
        """

    # -- attributes --------------------------------------------------------------

    def peek(self, name: bytes) -> Optional[ObjectAttributes]:
        """
        Everything is in memory.
        """
        found = self._objects.get(name)
        return None if found is None else found.attributes

    async def getattr(self, name: bytes) -> ObjectAttributes:
        """
        A copy of the attributes as they are now.
        """
        return attrs.evolve(self._find(name).attributes)

    async def setattr(self, name: bytes, changes: SetAttributes) -> None:
        """
        Change what is not None.
        """
        found = self._find(name)
        attributes = found.attributes
        if changes.size is not None:
            if self._tracking.active:
                cut = attributes.size - changes.size
                self._tracking.note(name, changes.size, cut)
            self._resize(found, changes.size)
        self._touch(attributes, changes.size is not None)
        if changes.mode is not None:
            attributes.mode = changes.mode & 0o7777
        if changes.uid is not None:
            attributes.uid = changes.uid
        if changes.gid is not None:
            attributes.gid = changes.gid
        if changes.atime is not None:
            attributes.atime = self._now() if changes.atime == NOW else changes.atime
        if changes.mtime is not None:
            attributes.mtime = self._now() if changes.mtime == NOW else changes.mtime

    async def extend(self, name: bytes, size: int) -> None:
        """
        Grow only.
        """
        found = self._find(name)
        if size > found.attributes.size:
            self._resize(found, size)
            self._touch(found.attributes, True)

    async def fence(self, name: bytes, epoch: int) -> None:
        """
        Raise the epoch only.
        """
        attributes = self._find(name).attributes
        if epoch > attributes.epoch:
            attributes.epoch = epoch
            self._touch(attributes, False)

    def _find(self, name: bytes) -> _Object:
        """
        @raise NoSuchObject:
        """
        found = self._objects.get(name)
        if found is None:
            raise NoSuchObject(repr(name))
        return found

    def _touch(self, attributes: ObjectAttributes, modified: bool) -> None:
        """
        Something has changed.

        @param modified: the contents have.
        """
        now = self._now()
        attributes.ctime = now
        attributes.change = max(attributes.change + 1, now)
        if modified:
            attributes.mtime = now

    def _resize(self, found: _Object, size: int) -> None:
        """
        Cut, or grow with a hole.
        """
        if size > _LARGEST:
            raise TooBig(f"{size} bytes")
        attributes = found.attributes
        if size < attributes.size:
            number, inside = divmod(size, _BLOCK)
            for key in [key for key in found.blocks if key * _BLOCK >= size]:
                del found.blocks[key]
                self._account(found, -_BLOCK)
            for key in [key for key in found.reserved if key * _BLOCK >= size]:
                found.reserved.remove(key)
                self._account(found, -_BLOCK)
            last = found.blocks.get(number)
            if last is not None:
                last[inside:] = bytes(_BLOCK - inside)
        attributes.size = size

    def _account(self, found: _Object, change: int) -> None:
        """
        Blocks have come or gone.
        """
        self._used += change
        found.attributes.used += change

    # -- names -----------------------------------------------------------------------

    async def create(
        self, name: bytes, uid: int, gid: int, mode: int, epoch: int
    ) -> None:
        """
        Make an object, or set what is given of an existing one; its epoch is
        never lowered.
        """
        if _NAME.fullmatch(name) is None:
            raise InvalidArgument(f"{name!r} cannot be an object's name")
        mode &= 0o7777
        found = self._objects.get(name)
        if found is not None:
            attributes = found.attributes
            attributes.uid, attributes.gid, attributes.mode = uid, gid, mode
            attributes.epoch = max(epoch, attributes.epoch)
            self._touch(attributes, False)
            return
        now = self._now()
        self._objects[name] = _Object(
            ObjectAttributes(0, 0, now, now, now, now, uid, gid, mode, epoch)
        )

    async def remove(self, name: bytes) -> None:
        """
        Delete an object.
        """
        found = self._find(name)
        self._tracking.forget(name)
        del self._objects[name]
        self._used -= found.attributes.used

    async def list(self, after: bytes, limit: int) -> Sequence[bytes]:
        """
        In order.
        """
        names = sorted(self._objects)
        first = bisect_right(names, after)
        return names[first : first + limit]

    async def statfs(self) -> FSStatistics:
        """
        What is left of the capacity; objects are not counted against anything.
        """
        free = max(0, self.capacity - self._used)
        files = len(self._objects)
        return FSStatistics(
            self.capacity, free, free, files + (1 << 32), 1 << 32, 1 << 32, CLONE_BLOCK
        )

    # -- data --------------------------------------------------------------------------

    def readNow(self, name: bytes, offset: int, count: int) -> Optional[ReadResult]:
        """
        Always known, unless there is no such object.
        """
        found = self._objects.get(name)
        if found is None:
            return None
        size = found.attributes.size
        end = min(offset + count, size)
        if offset >= end:
            return ReadResult((), 0, offset >= size)
        pieces = []
        position = offset
        while position < end:
            number, inside = divmod(position, _BLOCK)
            length = min(_BLOCK - inside, end - position)
            block = found.blocks.get(number)
            if block is None:
                pieces.append(bytes(length))
            else:
                pieces.append(bytes(block[inside : inside + length]))
            position += length
        return ReadResult(tuple(pieces), end - offset, end == size)

    async def read(self, name: bytes, offset: int, count: int) -> ReadResult:
        """
        As L{readNow}.
        """
        self._find(name)
        result = self.readNow(name, offset, count)
        assert result is not None
        return result

    def writeNow(
        self, name: bytes, offset: int, data: memoryview, stable: int
    ) -> Optional[WriteResult]:
        """
        Always done at once, unless there is no such object.
        """
        found = self._objects.get(name)
        if found is None:
            return None
        if self._tracking.active:
            self._tracking.note(name, offset, len(data))
        done = self._put(found, offset, data)
        return WriteResult(done, stable, self.verifier)

    def _put(self, found: _Object, offset: int, data: memoryview) -> int:
        """
        @return: bytes written: fewer than given if the capacity ran out after some.
        """
        total = len(data)
        if offset + total > _LARGEST:
            raise TooBig(f"offset {offset}")
        done = 0
        while done < total:
            number, inside = divmod(offset + done, _BLOCK)
            length = min(_BLOCK - inside, total - done)
            block = found.blocks.get(number)
            if block is None:
                if number in found.reserved:
                    found.reserved.remove(number)
                elif self._used + _BLOCK > self.capacity:
                    break
                else:
                    self._account(found, _BLOCK)
                block = found.blocks[number] = bytearray(_BLOCK)
            block[inside : inside + length] = data[done : done + length]
            done += length
        if total and not done:
            raise NoSpace("the capacity is used up")
        attributes = found.attributes
        if done:
            attributes.size = max(attributes.size, offset + done)
            self._touch(attributes, True)
        return done

    async def write(
        self, name: bytes, offset: int, data: memoryview, stable: int
    ) -> WriteResult:
        """
        As L{writeNow}.
        """
        self._find(name)
        result = self.writeNow(name, offset, data, stable)
        assert result is not None
        return result

    async def commit(self, name: bytes, offset: int, count: int) -> bytes:
        """
        Nothing to flush.
        """
        self._find(name)
        return self.verifier

    # -- holes -------------------------------------------------------------------------

    async def seek(self, name: bytes, offset: int, hole: bool) -> Optional[int]:
        """
        Holes are as large as blocks.
        """
        found = self._find(name)
        size = found.attributes.size
        if offset >= size:
            return None
        if not hole:
            first = offset // _BLOCK
            starts = [n * _BLOCK for n in found.blocks if n >= first]
            start = max(offset, min(starts, default=size))
            return start if start < size else None
        number = offset // _BLOCK
        while number in found.blocks:
            number += 1
        return min(size, max(offset, number * _BLOCK))

    async def readSegments(
        self, name: bytes, offset: int, count: int
    ) -> SegmentsResult:
        """
        By seeking.
        """
        return await readBySeeking(self, name, offset, count)

    async def allocate(self, name: bytes, ranges: Sequence[tuple[int, int]]) -> None:
        """
        Count blocks that are not there yet.
        """
        found = self._find(name)
        if any(offset + length > _LARGEST for offset, length in ranges):
            raise TooBig(f"{ranges[-1]}")
        if sum(length for _, length in ranges) > self.capacity:
            raise NoSpace("there is no such capacity")
        wanted = {
            number
            for offset, length in ranges
            for number in range(offset // _BLOCK, -(-(offset + length) // _BLOCK))
        }
        missing = wanted - found.blocks.keys() - found.reserved
        if self._used + len(missing) * _BLOCK > self.capacity:
            raise NoSpace("the capacity is used up")
        found.reserved |= missing
        self._account(found, len(missing) * _BLOCK)
        self._touch(found.attributes, True)

    async def deallocate(self, name: bytes, offset: int, length: int) -> None:
        """
        Drop whole blocks, and fill parts of others with zeros.
        """
        found = self._find(name)
        if self._tracking.active:
            self._tracking.note(name, offset, length)
        end = offset + length
        for number in list(found.blocks):
            start = number * _BLOCK
            if offset <= start and start + _BLOCK <= end:
                del found.blocks[number]
                self._account(found, -_BLOCK)
                continue
            first = max(0, offset - start)
            last = min(_BLOCK, end - start)
            if first < last:
                found.blocks[number][first:last] = bytes(last - first)
        for number in list(found.reserved):
            if offset <= number * _BLOCK and (number + 1) * _BLOCK <= end:
                found.reserved.remove(number)
                self._account(found, -_BLOCK)
        self._touch(found.attributes, True)

    async def advise(self, name: bytes, offset: int, length: int, hints: int) -> int:
        """
        Nothing makes a difference.
        """
        self._find(name)
        return 0

    async def copy(
        self,
        name: bytes,
        offset: int,
        source: CopySource,
        sourceOffset: int,
        count: int,
    ) -> WriteResult:
        """
        Block by block; where both have a hole nothing is stored.
        """
        if source.uuid and source.uuid != self.uuid:
            raise Unsupported("the source lies on another data server")
        origin, found = self._find(source.name), self._find(name)
        if max(offset, sourceOffset) + count > _LARGEST:
            raise TooBig(f"offset {offset}")
        if origin is found and abs(offset - sourceOffset) < count:
            raise InvalidArgument("the ranges overlap")
        count = min(count, self.copyBytes)
        if self._tracking.active:
            self._tracking.note(name, offset, count)
        done = 0
        while done < count:
            at = offset + done
            length = min(_BLOCK - at % _BLOCK, count - done)
            read = self.readNow(source.name, sourceOffset + done, length)
            assert read is not None
            data = b"".join(read.pieces)  # type: ignore[arg-type]
            if data.count(0) < len(data) or at // _BLOCK in found.blocks:
                try:
                    self._put(found, at, memoryview(data + bytes(length - len(data))))
                except NoSpace:
                    if not done:
                        raise
                    break
            done += length
        if done:
            found.attributes.size = max(found.attributes.size, offset + done)
            self._touch(found.attributes, True)
        return WriteResult(done, Stable.UNSTABLE, self.verifier)

    async def clone(
        self, name: bytes, offset: int, source: bytes, sourceOffset: int, count: int
    ) -> None:
        """
        Copied at once, as nobody can tell the difference.
        """
        origin = self._find(source)
        end = sourceOffset + count
        if (
            offset % CLONE_BLOCK
            or sourceOffset % CLONE_BLOCK
            or (count % CLONE_BLOCK and end < origin.attributes.size)
        ):
            raise InvalidArgument("the range is not aligned")
        done = 0
        while done < count:
            result = await self.copy(
                name,
                offset + done,
                CopySource(source),
                sourceOffset + done,
                count - done,
            )
            done += result.count
