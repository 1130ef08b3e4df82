# -*- test-case-name: tests.backends.metadata.test_memory -*-
"""
A tree in memory: the reference for every other metadata backend, and the fake
of the tests.
"""

from __future__ import annotations

from typing import Any, Callable, Optional, Sequence

import attrs
from zope.interface import implementer

from pnfs.backends.errors import (
    DirectoryNotEmpty,
    InvalidArgument,
    IsDirectory,
    NameExists,
    NoSuchName,
    NoSuchObject,
    NotDirectory,
    Unsupported,
)
from pnfs.backends.metadata.listing import Listing
from pnfs.backends.metadata.memory_settings import MemorySettings
from pnfs.backends.metadata.memory_xattrs import MemoryXattrs
from pnfs.backends.metadata.recovery import MemoryRecoveryStore
from pnfs.backends.metadata.removals import MemoryRemovals
from pnfs.backends.metadata.rules import checkACL, checkName, inherited
from pnfs.interfaces import IMetadataBackend, IRecoveryStore
from pnfs.values import (
    MODE_ONLY,
    NOW,
    DirectoryEntry,
    FileType,
    FSStatistics,
    Inode,
    NewObject,
    Placement,
    PlacementSettings,
    Removed,
    SetAttributes,
)

_REG = int(FileType.REG)
_DIR = int(FileType.DIR)
_LNK = int(FileType.LNK)
_INODES = 1 << 32
_ROOT_MODE = 0o755


@attrs.define(slots=True, eq=False)
class MemoryInode(Inode):
    """
    @ivar children: a directory's entries; C{listing} their order, once it is read.
    @ivar parent: a directory that has it as C{name}, if one is known.
    @ivar xattrs: the extended attributes of users, if it ever had any.
    @ivar settings: what is said of new files below a directory.
    """

    children: Optional[dict[bytes, MemoryInode]] = attrs.field(default=None, repr=False)
    listing: Optional[Listing] = attrs.field(default=None, repr=False)
    parent: Optional[MemoryInode] = attrs.field(default=None, repr=False)
    name: bytes = b""
    target: bytes = b""
    verifier: bytes = b""
    placement: Optional[Placement] = None
    xattrs: Optional[dict[bytes, bytes]] = None
    settings: Optional[PlacementSettings] = None


@implementer(IMetadataBackend)
class MemoryMetadataBackend(MemoryXattrs, MemorySettings):
    """
    Everything is gone with the object, except what C{recovery} holds.

    @param now: wall time in nanoseconds.
    @param entropy: random bytes, for identities.
    @param recovery: that of an earlier server, to play a restart.
    """

    root: MemoryInode
    fsid: tuple[int, int]

    def __init__(
        self,
        now: Callable[[], int],
        entropy: Callable[[int], bytes],
        recovery: Optional[IRecoveryStore] = None,
    ) -> None:
        self._now = now
        self._entropy = entropy
        self.recovery: Any = MemoryRecoveryStore() if recovery is None else recovery
        self._removals = MemoryRemovals()
        self._inodes: dict[bytes, MemoryInode] = {}
        self._fileid = 1

    async def start(self) -> None:
        """
        See L{IMetadataBackend.start}.
        """
        identity = self.recovery.identity("fsid", lambda: self._entropy(16))
        self.fsid = (
            int.from_bytes(identity[:8], "big"),
            int.from_bytes(identity[8:16], "big"),
        )
        self._prefix = self._entropy(8)
        self.root = self._new(NewObject(_DIR, _ROOT_MODE, 0, 0), _ROOT_MODE, 0)

    async def stop(self) -> None:
        """
        See L{IMetadataBackend.stop}.
        """

    def cached(self, handle: bytes) -> Optional[MemoryInode]:
        """
        See L{IMetadataBackend.cached}.
        """
        return self._inodes.get(handle)

    def cachedChild(self, directory: Any, name: bytes) -> Optional[MemoryInode]:
        """
        See L{IMetadataBackend.cachedChild}.
        """
        children: Optional[dict[bytes, MemoryInode]] = directory.children
        return None if children is None else children.get(name)

    async def byHandle(self, handle: bytes) -> MemoryInode:
        """
        See L{IMetadataBackend.byHandle}.
        """
        try:
            return self._inodes[handle]
        except KeyError:
            raise NoSuchObject(handle.hex()) from None

    async def lookup(self, directory: Any, name: bytes) -> MemoryInode:
        """
        See L{IMetadataBackend.lookup}.
        """
        checkName(name)
        return self._child(self._directory(directory), name)

    async def parent(self, directory: Any) -> MemoryInode:
        """
        See L{IMetadataBackend.parent}.
        """
        node = self._directory(directory)
        return node if node.parent is None else node.parent

    def pathOf(self, inode: Any) -> tuple[bytes, ...]:
        """
        See L{IMetadataBackend.pathOf}.
        """
        names: list[bytes] = []
        above: Optional[MemoryInode] = inode.parent
        while above is not None and above is not self.root:
            names.append(above.name)
            above = above.parent
        return () if above is None else tuple(reversed(names))

    async def readdir(
        self, directory: Any, cookie: int, limit: int
    ) -> tuple[Sequence[DirectoryEntry], bool]:
        """
        See L{IMetadataBackend.readdir}.
        """
        node = self._directory(directory)
        assert node.children is not None
        if node.listing is None:
            node.listing = Listing(())
            for name, child in node.children.items():
                node.listing.add(name, child)
        _, part, last = node.listing.after(cookie, limit)
        return part, last

    async def create(self, directory: Any, name: bytes, what: NewObject) -> MemoryInode:
        """
        See L{IMetadataBackend.create}.
        """
        checkName(name)
        parent = self._directory(directory)
        assert parent.children is not None
        if name in parent.children:
            raise NameExists(name)
        if what.ftype == _LNK and not what.target:
            raise InvalidArgument("a symbolic link to nothing")
        mode, gid = inherited(parent, what)
        node = self._new(what, mode, gid)
        if node.children is not None:
            parent.nlink += 1
        self._name(parent, name, node)
        self._changed(parent, True)
        return node

    async def createVerifier(self, inode: Any) -> bytes:
        """
        See L{IMetadataBackend.createVerifier}.
        """
        verifier: bytes = self._live(inode).verifier
        return verifier

    async def link(self, inode: Any, directory: Any, name: bytes) -> None:
        """
        See L{IMetadataBackend.link}.
        """
        checkName(name)
        node = self._live(inode)
        parent = self._directory(directory)
        assert parent.children is not None
        if node.children is not None:
            raise IsDirectory(name)
        if not node.nlink:
            raise NoSuchObject("removed")
        if name in parent.children:
            raise NameExists(name)
        node.nlink += 1
        self._name(parent, name, node)
        self._changed(node, False)
        self._changed(parent, True)

    async def remove(self, directory: Any, name: bytes, keep: bool) -> Removed:
        """
        See L{IMetadataBackend.remove}.
        """
        checkName(name)
        parent = self._directory(directory)
        node = self._child(parent, name)
        if node.children:
            raise DirectoryNotEmpty(name)
        self._unname(parent, name)
        removed = self._lost(parent, node, keep)
        self._changed(parent, True)
        return removed

    async def rename(
        self, olddir: Any, oldname: bytes, newdir: Any, newname: bytes, keep: bool
    ) -> Optional[Removed]:
        """
        See L{IMetadataBackend.rename}.
        """
        checkName(oldname)
        checkName(newname)
        source, target = self._directory(olddir), self._directory(newdir)
        node = self._child(source, oldname)
        assert target.children is not None
        victim = target.children.get(newname)
        if victim is node:
            return None
        above = target
        while above is not self.root:
            if above is node:
                raise InvalidArgument("a directory cannot become its own descendant")
            assert above.parent is not None
            above = above.parent
        removed = None
        if victim is not None:
            if (victim.children is None) != (node.children is None):
                raise NameExists(newname)
            if victim.children:
                raise DirectoryNotEmpty(newname)
            self._unname(target, newname)
            removed = self._lost(target, victim, keep)
        self._unname(source, oldname)
        self._name(target, newname, node)
        if node.children is not None:
            source.nlink -= 1
            target.nlink += 1
        self._changed(source, True)
        if target is not source:
            self._changed(target, True)
        self._changed(node, False)
        return removed

    async def release(self, inode: Any) -> None:
        """
        See L{IMetadataBackend.release}.
        """
        if not inode.nlink:
            self._inodes.pop(inode.handle, None)

    async def setattr(self, inode: Any, changes: SetAttributes) -> None:
        """
        See L{IMetadataBackend.setattr}.
        """
        node = self._live(inode)
        if changes == SetAttributes():
            return
        if changes.size is not None and node.ftype != _REG:
            raise IsDirectory() if node.ftype == _DIR else InvalidArgument()
        if changes.mode is not None and node.ftype == _LNK:
            raise Unsupported("a symbolic link has no mode")
        if changes.acl is not None:
            checkACL(node)
            node.acl = None if changes.acl == MODE_ONLY else changes.acl
        if changes.mode is not None:
            node.mode = changes.mode & 0o7777
        elif node.ftype == _REG and (changes.uid, changes.gid) != (None, None):
            node.mode &= ~0o6000
        if changes.uid is not None:
            node.uid = changes.uid
        if changes.gid is not None:
            node.gid = changes.gid
        if changes.size is not None:
            node.size = changes.size
            node.used = min(node.used, changes.size)
            node.mtime = self._now()
        if changes.atime is not None:
            node.atime = self._now() if changes.atime == NOW else changes.atime
        if changes.mtime is not None:
            node.mtime = self._now() if changes.mtime == NOW else changes.mtime
        self._changed(node, False)

    async def readlink(self, inode: Any) -> bytes:
        """
        See L{IMetadataBackend.readlink}.
        """
        node = self._live(inode)
        if node.ftype != _LNK:
            raise InvalidArgument("not a symbolic link")
        return node.target

    async def loadPlacement(self, inode: Any) -> Optional[Placement]:
        """
        See L{IMetadataBackend.loadPlacement}.
        """
        return self._live(inode).placement

    async def storePlacement(self, inode: Any, placement: Placement) -> None:
        """
        See L{IMetadataBackend.storePlacement}.
        """
        node = self._live(inode)
        if node.ftype != _REG:
            raise InvalidArgument("only regular files have data files")
        node.placement = placement
        node.hasPlacement = True
        self._changed(node, False)

    async def storeDataAttributes(
        self,
        inode: Any,
        size: int,
        used: int,
        mtime: Optional[int],
        atime: Optional[int],
    ) -> None:
        """
        See L{IMetadataBackend.storeDataAttributes}.
        """
        node = self._live(inode)
        if node.ftype != _REG:
            raise InvalidArgument("only regular files have data files")
        mtime = node.mtime if mtime is None else mtime
        atime = node.atime if atime is None else atime
        wanted = (size, used, mtime, atime)
        if wanted == (node.size, node.used, node.mtime, node.atime):
            return
        node.size, node.used, node.mtime, node.atime = wanted
        self._changed(node, False)

    async def enqueueRemoval(self, placement: Placement, orphan: bool) -> None:
        """
        See L{IMetadataBackend.enqueueRemoval}.
        """
        await self._removals.add(placement, b"", orphan)

    async def pendingRemovals(self) -> Sequence[Placement]:
        """
        See L{IMetadataBackend.pendingRemovals}.
        """
        return self._removals.due()

    async def finishRemoval(self, placement: Placement, done: bool) -> None:
        """
        See L{IMetadataBackend.finishRemoval}.
        """
        if done:
            await self._removals.forget(placement.name)
        else:
            await self._removals.ready(placement.name)

    async def statfs(self) -> FSStatistics:
        """
        See L{IMetadataBackend.statfs}. Memory is taken to be without end.
        """
        free = _INODES - len(self._inodes)
        return FSStatistics(1 << 50, 1 << 50, 1 << 50, _INODES, free, free)

    def _new(self, what: NewObject, mode: int, gid: int) -> MemoryInode:
        """
        An object without a name.
        """
        self._fileid += 1
        now = self._now()
        node = MemoryInode(
            handle=self._prefix + self._fileid.to_bytes(8, "big"),
            fileid=self._fileid,
            ftype=int(what.ftype),
            mode=0o777 if what.ftype == _LNK else mode,
            nlink=2 if what.ftype == _DIR else 1,
            uid=what.uid,
            gid=gid,
            size=len(what.target),
            used=0,
            atime=now if what.atime in (None, NOW) else what.atime or 0,
            mtime=now if what.mtime in (None, NOW) else what.mtime or 0,
            ctime=now,
            btime=now,
            change=now,
            rdev=what.rdev,
            target=what.target,
            verifier=what.verifier,
            acl=what.acl,
        )
        if node.ftype == _DIR:
            node.children = {}
        self._inodes[node.handle] = node
        return node

    def _live(self, inode: Any) -> MemoryInode:
        """
        The object, if it is still there.
        """
        node: MemoryInode = inode
        if node.handle not in self._inodes:
            raise NoSuchObject(node.handle.hex())
        return node

    def _directory(self, inode: Any) -> MemoryInode:
        """
        The object, if it is a directory.
        """
        node = self._live(inode)
        if node.children is None:
            raise NotDirectory(node.handle.hex())
        return node

    def _child(self, directory: MemoryInode, name: bytes) -> MemoryInode:
        """
        What a name means.
        """
        assert directory.children is not None
        try:
            return directory.children[name]
        except KeyError:
            raise NoSuchName(name) from None

    def _name(self, directory: MemoryInode, name: bytes, node: MemoryInode) -> None:
        """
        Give a name.
        """
        assert directory.children is not None
        directory.children[name] = node
        node.parent = directory
        node.name = name
        if directory.listing is not None:
            directory.listing.add(name, node)

    def _unname(self, directory: MemoryInode, name: bytes) -> None:
        """
        Take a name away.
        """
        assert directory.children is not None
        node = directory.children.pop(name)
        if node.parent is directory and node.name == name:
            node.parent = None
        if directory.listing is not None:
            directory.listing.discard(name)

    def _lost(self, parent: MemoryInode, node: MemoryInode, keep: bool) -> Removed:
        """
        An object has lost a name in C{parent}.
        """
        if node.children is not None:
            parent.nlink -= 1
            node.nlink = 0
        else:
            node.nlink -= 1
        self._changed(node, False)
        if not node.nlink and not (keep and node.ftype == _REG):
            del self._inodes[node.handle]
        return Removed(node, not node.nlink)

    def _changed(self, node: MemoryInode, entries: bool) -> None:
        """
        A field has moved; C{entries}: a directory's entries too.
        """
        now = self._now()
        node.ctime = now
        if entries:
            node.mtime = now
        node.change = max(now, node.change + 1)
        node.generation += 1
        node.encoded.clear()
