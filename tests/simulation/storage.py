"""
Storage that takes time and survives crashes as far as it has promised.

Each operation waits for a random while now and then, before its effect and after
it: a server may be killed at any of these moments.
"""

from __future__ import annotations

import random
from typing import Any, Callable, Optional, Sequence

import attrs
from twisted.internet.defer import Deferred

from pnfs.backends.ds.memory import MemoryDataServerBackend
from pnfs.backends.ds.tracking import Ranges, Tracking
from pnfs.backends.metadata.memory import MemoryInode, MemoryMetadataBackend
from pnfs.backends.metadata.removals import MemoryRemovals, Removal
from pnfs.values import (
    FSStatistics,
    Inode,
    ObjectAttributes,
    Placement,
    ReadResult,
    SetAttributes,
    WriteResult,
)

_BLOCK = 64 * 1024
_CAPACITY = 64 << 20
"""Bytes of a disk: more than is ever written, and little enough to be told apart."""

_GRANULE = 16 * 1024


class Slowness:
    """
    Waits of random length.

    @ivar often: the probability of one.
    @ivar onStep: called at each moment at which there may be one, if it is set.
    """

    def __init__(self, clock: Any, chance: random.Random, often: float) -> None:
        self.onStep: Optional[Callable[[], None]] = None
        self._clock = clock
        self._chance = chance
        self.often = often

    async def pause(self) -> None:
        """
        Wait, perhaps; for ever if the process is killed at this very moment.
        """
        if self.onStep is not None:
            self.onStep()
            if not self._clock.alive:
                never: Deferred[None] = Deferred()
                self._clock.process.kept.append(never)
                await never
        chance = self._chance
        if chance.random() < self.often:
            waiter: Deferred[None] = Deferred()
            longest = 0.2 if chance.random() < 0.02 else 0.005
            self._clock.callLater(chance.uniform(0, longest), waiter.callback, None)
            await waiter

    def sometimes(self) -> bool:
        """
        Shall this one wait?
        """
        if self.onStep is not None:
            return True
        return self._chance.random() < self.often


def _slow(name: str) -> Any:
    async def method(self: Any, *arguments: Any) -> Any:
        await self.slowness.pause()
        result = await getattr(MemoryMetadataBackend, name)(self, *arguments)
        await self.slowness.pause()
        return result

    method.__name__ = name
    return method


class SimulatedMetadataBackend(MemoryMetadataBackend):
    """
    A tree that a restarted server finds as it was.

    @ivar slowness: of the server that uses it.
    @ivar onChange: told of each placement that takes the place of another one.
    @ivar onPlacement: told of (inode, old, new) when it has been stored.
    """

    onChange: Callable[[Placement, Placement], None]
    onPlacement: Callable[[MemoryInode, Optional[Placement], Placement], None]

    def __init__(
        self,
        now: Callable[[], int],
        entropy: Callable[[int], bytes],
        recovery: Any,
        slowness: Slowness,
        before: Optional["SimulatedMetadataBackend"] = None,
    ) -> None:
        """
        @param before: that of the server which was killed.
        """
        super().__init__(now, entropy, recovery)
        self.slowness = slowness
        self._before = before

    byHandle = _slow("byHandle")
    lookup = _slow("lookup")
    readdir = _slow("readdir")
    create = _slow("create")
    link = _slow("link")
    remove = _slow("remove")
    rename = _slow("rename")
    release = _slow("release")
    setattr = _slow("setattr")
    loadPlacement = _slow("loadPlacement")
    storeDataAttributes = _slow("storeDataAttributes")
    enqueueRemoval = _slow("enqueueRemoval")
    finishRemoval = _slow("finishRemoval")

    async def storePlacement(self, inode: Any, placement: Placement) -> None:
        await self.slowness.pause()
        old = inode.placement
        if old is not None:
            self.onChange(old, placement)
        await super().storePlacement(inode, placement)
        self.onPlacement(inode, old, placement)
        await self.slowness.pause()

    async def start(self) -> None:
        """
        As L{MemoryMetadataBackend.start}, but the tree is there already.
        """
        before = self._before
        if before is None:
            await super().start()
            return
        self._before = None
        self.fsid = before.fsid
        self._prefix = before._prefix
        self._fileid = before._fileid
        copies = {
            handle: _copied(node)
            for handle, node in before._inodes.items()
            if node.nlink
        }
        for handle, copy in copies.items():
            node = before._inodes[handle]
            if node.parent is not None:
                copy.parent = copies.get(node.parent.handle)
            if node.children is not None:
                copy.children = {
                    name: copies[child.handle] for name, child in node.children.items()
                }
        self._inodes = copies
        self.root = copies[before.root.handle]
        self._removals = MemoryRemovals()
        living = {
            node.placement.name
            for node in copies.values()
            if node.placement is not None
        }
        for entry in before._removals.entries():
            if entry.placement.name not in living:
                self._removals._entries[entry.placement.name] = Removal(
                    entry.placement, entry.handle, False
                )

    def at(self, path: str) -> Optional[MemoryInode]:
        """
        What is in the root of the export, by its whole path.
        """
        assert self.root.children is not None
        return self.root.children.get(path.rsplit("/", 1)[1].encode("ascii"))

    def files(self) -> list[tuple[bytes, MemoryInode]]:
        """
        All regular files with a name each.
        """
        return [
            (name, child)
            for node in self._inodes.values()
            if node.children is not None
            for name, child in node.children.items()
            if child.children is None
        ]


_RUNTIME = (
    "asked",
    "encoded",
    "generation",
    "state",
    "children",
    "listing",
    "parent",
)


def _copied(node: MemoryInode) -> MemoryInode:
    fields = {
        field.name: getattr(node, field.name)
        for field in attrs.fields(MemoryInode)
        if field.name not in _RUNTIME
    }
    return MemoryInode(**fields)


@attrs.define
class _Unsynced:
    """
    What a crash may take from an object.

    @ivar blocks: the blocks touched since the last flush, as they were then.
    @ivar size: likewise.
    @ivar writes: all since then.
    """

    size: int
    blocks: dict[int, Optional[bytes]] = attrs.Factory(dict)
    writes: list[tuple[int, bytes]] = attrs.Factory(list)


class SimulatedDisk(MemoryDataServerBackend):
    """
    Data files of which a crash may take what has not been committed: any of the
    writes, in part too.

    @ivar slowness: of the server that uses it.
    @ivar lies: COMMIT flushes nothing: to see whether that is noticed.
    """

    slowness: Slowness
    lies = False

    def __init__(
        self, uuid: bytes, now: Callable[[], int], entropy: Callable[[int], bytes]
    ) -> None:
        super().__init__(entropy(8), uuid, _CAPACITY, now)
        self._entropy = entropy
        self._unsynced: dict[bytes, _Unsynced] = {}
        self._writing: dict[bytes, int] = {}
        self._quiet: dict[bytes, list[Deferred[None]]] = {}
        self._lost: dict[bytes, float] = {}
        self._follow()

    def _follow(self) -> None:
        self._tracking = Tracking(self._seconds, self._entropy, _GRANULE)

    def _seconds(self) -> float:
        return self._now() / 1e9

    def stored(self, name: bytes) -> Optional[bytes]:
        """
        All that there is of an object, also what is not durable yet.
        """
        found = self._objects.get(name)
        if found is None:
            return None
        result = super().readNow(name, 0, found.attributes.size)
        assert result is not None
        return b"".join(result.pieces)  # type: ignore[arg-type]

    def sinceLoss(self, name: bytes) -> float:
        """
        Seconds since a crash may have taken something from an object.
        """
        return self._seconds() - self._lost.get(name, 0.0)

    def durable(self, name: bytes) -> bool:
        """
        A crash would take nothing from an object.
        """
        return name not in self._unsynced

    def settled(self, name: bytes, size: int) -> Optional[bytes]:
        """
        What would be left of an object without power.

        @param size: how much of it is wanted, with zeros behind its end.
        """
        found = self._objects.get(name)
        if found is None:
            return None
        unsynced = self._unsynced.get(name)
        before = {} if unsynced is None else unsynced.blocks
        zeros = bytes(_BLOCK)
        return b"".join(
            before.get(number, found.blocks.get(number)) or zeros
            for number in range(-(-size // _BLOCK))
        )[:size]

    def crash(self, chance: random.Random, power: bool = True) -> None:
        """
        The server is killed, with what only its memory held.

        @param power: so is its machine, with what had not been flushed.
        """
        if power:
            for name, unsynced in self._unsynced.items():
                self._lose(name, unsynced, chance)
            self._unsynced.clear()
        # Those that wait still end later, in vain.
        self._writing = {}
        self._quiet.clear()
        self._follow()
        self.verifier = self._entropy(8)

    def _lose(self, name: bytes, unsynced: _Unsynced, chance: random.Random) -> None:
        found = self._objects.get(name)
        if found is None:
            return
        for number, block in unsynced.blocks.items():
            if block is None:
                found.blocks.pop(number, None)
            else:
                found.blocks[number] = bytearray(block)
        found.attributes.size = unsynced.size
        found.attributes.used = len(found.blocks) * _BLOCK
        for offset, data in unsynced.writes:
            if chance.random() < 0.5:
                super()._put(found, offset, memoryview(data))
        self._lost[name] = self._seconds()

    def _synced(self, name: bytes) -> None:
        self._unsynced.pop(name, None)

    # -- attributes and names ------------------------------------------------------

    async def getattr(self, name: bytes) -> ObjectAttributes:
        await self.slowness.pause()
        result = await super().getattr(name)
        await self.slowness.pause()
        return result

    async def setattr(self, name: bytes, changes: SetAttributes) -> None:
        await self.slowness.pause()
        await super().setattr(name, changes)
        if changes.size is not None:
            self._synced(name)
        await self.slowness.pause()

    async def extend(self, name: bytes, size: int) -> None:
        await self.slowness.pause()
        await super().extend(name, size)
        unsynced = self._unsynced.get(name)
        if unsynced is not None:
            unsynced.size = max(unsynced.size, size)
        await self.slowness.pause()

    async def fence(self, name: bytes, epoch: int) -> None:
        await self.slowness.pause()
        await super().fence(name, epoch)
        while self._writing.get(name):
            waiter: Deferred[None] = Deferred()
            self._quiet.setdefault(name, []).append(waiter)
            await waiter
        await self.slowness.pause()

    async def create(
        self, name: bytes, uid: int, gid: int, mode: int, epoch: int
    ) -> None:
        await self.slowness.pause()
        await super().create(name, uid, gid, mode, epoch)
        await self.slowness.pause()

    async def remove(self, name: bytes) -> None:
        await self.slowness.pause()
        await super().remove(name)
        self._synced(name)
        await self.slowness.pause()

    async def statfs(self) -> FSStatistics:
        await self.slowness.pause()
        return await super().statfs()

    # -- contents --------------------------------------------------------------------

    async def track(self, name: bytes) -> tuple[bytes, int]:
        await self.slowness.pause()
        return await super().track(name)

    async def changes(self, name: bytes, token: bytes) -> Optional[Ranges]:
        await self.slowness.pause()
        return await super().changes(name, token)

    async def checksums(
        self, name: bytes, offset: int, count: int, unit: int
    ) -> list[bytes]:
        await self.slowness.pause()
        found = await super().checksums(name, offset, count, unit)
        await self.slowness.pause()
        return found

    # -- data ------------------------------------------------------------------------

    def readNow(self, name: bytes, offset: int, count: int) -> Optional[ReadResult]:
        if self.slowness.sometimes():
            return None
        return super().readNow(name, offset, count)

    async def read(self, name: bytes, offset: int, count: int) -> ReadResult:
        await self.slowness.pause()
        self._find(name)
        result = super().readNow(name, offset, count)
        assert result is not None
        await self.slowness.pause()
        return result

    def writeNow(
        self, name: bytes, offset: int, data: memoryview, stable: int
    ) -> Optional[WriteResult]:
        if self.slowness.sometimes() or stable:
            return None
        return self._written(name, offset, data, stable)

    def _written(
        self, name: bytes, offset: int, data: memoryview, stable: int
    ) -> Optional[WriteResult]:
        found = self._objects.get(name)
        if found is None:
            return None
        unsynced = self._unsynced.get(name)
        if unsynced is None:
            unsynced = self._unsynced[name] = _Unsynced(found.attributes.size)
        for number in range(offset // _BLOCK, (offset + len(data) - 1) // _BLOCK + 1):
            if number not in unsynced.blocks:
                block = found.blocks.get(number)
                unsynced.blocks[number] = None if block is None else bytes(block)
        unsynced.writes.append((offset, bytes(data)))
        return super().writeNow(name, offset, data, stable)

    async def write(
        self, name: bytes, offset: int, data: memoryview, stable: int
    ) -> WriteResult:
        self._find(name)
        writing = self._writing
        writing[name] = writing.get(name, 0) + 1
        try:
            await self.slowness.pause()
            self._find(name)
            result = self._written(name, offset, data, stable)
            assert result is not None
            if stable:
                await self.slowness.pause()
                self._synced(name)
        finally:
            writing[name] -= 1
            if not writing[name]:
                for waiter in self._quiet.pop(name, ()):
                    waiter.callback(None)
        await self.slowness.pause()
        return result

    async def commit(self, name: bytes, offset: int, count: int) -> bytes:
        await self.slowness.pause()
        self._find(name)
        if not self.lies:
            self._synced(name)
        verifier = self.verifier
        await self.slowness.pause()
        return verifier
