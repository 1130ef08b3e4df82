# -*- test-case-name: tests.namespace.test_exports -*-
"""
The read-only file system above the exports (RFC 8881, section 7.3).

It is a metadata backend like any other, so that no operation needs to know it:
directories in memory, one for each component of each export's path. The last one
of a path is covered by the export's root; L{pnfs.namespace.exports} keeps which.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NoReturn, Optional, Sequence

from zope.interface import implementer

from pnfs.backends.errors import NoSuchAttribute, NoSuchName, NoSuchObject, ReadOnly
from pnfs.interfaces import IMetadataBackend
from pnfs.values import (
    DirectoryEntry,
    FileType,
    FSStatistics,
    Inode,
    NewObject,
    Placement,
    PlacementSettings,
    Removed,
    SetAttributes,
    SetXattr,
)

_FIRST_COOKIE = 3


@implementer(IMetadataBackend)
class PseudoBackend:
    """
    Directories that nobody can change.

    @ivar root: the topmost directory.
    """

    fsid = (0, 0)
    recovery = None
    xattrs = False

    def __init__(self, now: int) -> None:
        """
        @param now: the time of day in nanoseconds: the directories' times and
            change attribute, so that clients ask again after a restart with
            other exports.
        """
        self._now = now
        self._inodes: dict[bytes, Inode] = {}
        self._parents: dict[bytes, Inode] = {}
        self._children: dict[bytes, dict[bytes, Inode]] = {}
        self.root = self._make(b"/")
        self._parents[self.root.handle] = self.root

    def _make(self, path: bytes) -> Inode:
        digest = blake2b(path, digest_size=16).digest()
        now = self._now
        fileid = int.from_bytes(digest[:7], "big") | 1
        inode = Inode(
            digest, fileid, FileType.DIR, 0o555, 2, 0, 0, 0, 0, now, now, now, now, now
        )
        self._inodes[digest] = inode
        self._children[digest] = {}
        return inode

    def add(self, path: Sequence[bytes]) -> Inode:
        """
        Make the directories of a path; only while the server is being set up.

        @return: the last one.
        """
        here = self.root
        whole = b""
        for name in path:
            whole += b"/" + name
            children = self._children[here.handle]
            child = children.get(name)
            if child is None:
                child = children[name] = self._make(whole)
                self._parents[child.handle] = here
                here.nlink += 1
            here = child
        return here

    async def start(self) -> None:
        """
        See L{IMetadataBackend.start}.
        """

    async def stop(self) -> None:
        """
        See L{IMetadataBackend.stop}.
        """

    def cached(self, handle: bytes) -> Optional[Inode]:
        """
        See L{IMetadataBackend.cached}.
        """
        return self._inodes.get(handle)

    def cachedChild(self, directory: Inode, name: bytes) -> Optional[Inode]:
        """
        See L{IMetadataBackend.cachedChild}.
        """
        return self._children[directory.handle].get(name)

    async def byHandle(self, handle: bytes) -> Inode:
        """
        See L{IMetadataBackend.byHandle}.
        """
        try:
            return self._inodes[handle]
        except KeyError:
            raise NoSuchObject() from None

    async def lookup(self, directory: Inode, name: bytes) -> Inode:
        """
        See L{IMetadataBackend.lookup}.
        """
        try:
            return self._children[directory.handle][name]
        except KeyError:
            raise NoSuchName() from None

    async def parent(self, directory: Inode) -> Inode:
        """
        See L{IMetadataBackend.parent}.
        """
        return self._parents[directory.handle]

    def pathOf(self, inode: Inode) -> tuple[bytes, ...]:
        """
        See L{IMetadataBackend.pathOf}: there are no files to be placed.
        """
        return ()

    async def directoryOf(self, inode: Inode) -> Optional[Inode]:
        """
        See L{IMetadataBackend.directoryOf}.
        """
        above = self._parents[inode.handle]
        return None if above is inode else above

    async def loadSettings(self, directory: Inode) -> Optional[PlacementSettings]:
        """
        See L{IMetadataBackend.loadSettings}: there are no files to be placed.
        """
        return None

    async def readdir(
        self, directory: Inode, cookie: int, limit: int
    ) -> tuple[Sequence[DirectoryEntry], bool]:
        """
        See L{IMetadataBackend.readdir}.
        """
        names = sorted(self._children[directory.handle].items())
        first = max(0, cookie - _FIRST_COOKIE + 1)
        chosen = names[first : first + limit]
        entries = [
            DirectoryEntry(_FIRST_COOKIE + first + index, name, inode)
            for index, (name, inode) in enumerate(chosen)
        ]
        return entries, first + len(chosen) >= len(names)

    async def statfs(self) -> FSStatistics:
        """
        See L{IMetadataBackend.statfs}: there is no storage.
        """
        return FSStatistics(0, 0, 0, len(self._inodes), 0, 0)

    async def createVerifier(self, inode: Inode) -> bytes:
        """
        See L{IMetadataBackend.createVerifier}.
        """
        return b""

    async def loadPlacement(self, inode: Inode) -> Optional[Placement]:
        """
        See L{IMetadataBackend.loadPlacement}: there are no files.
        """
        return None

    async def getxattr(self, inode: Inode, name: bytes) -> NoReturn:
        """
        See L{IMetadataBackend.getxattr}: there are none.
        """
        raise NoSuchAttribute(name)

    async def listxattrs(self, inode: Inode) -> Sequence[bytes]:
        """
        See L{IMetadataBackend.listxattrs}: there are none.
        """
        return ()

    async def pendingRemovals(self) -> Sequence[Placement]:
        """
        See L{IMetadataBackend.pendingRemovals}.
        """
        return ()

    async def readlink(self, inode: Inode) -> NoReturn:
        """
        Refused, as is every change below.
        """
        raise ReadOnly()

    async def create(self, directory: Inode, name: bytes, what: NewObject) -> NoReturn:
        """
        Refused.
        """
        raise ReadOnly()

    async def link(self, inode: Inode, directory: Inode, name: bytes) -> NoReturn:
        """
        Refused.
        """
        raise ReadOnly()

    async def remove(self, directory: Inode, name: bytes, keep: bool) -> Removed:
        """
        Refused.
        """
        raise ReadOnly()

    async def rename(
        self,
        olddir: Inode,
        oldname: bytes,
        newdir: Inode,
        newname: bytes,
        keep: bool,
    ) -> Optional[Removed]:
        """
        Refused.
        """
        raise ReadOnly()

    async def release(self, inode: Inode) -> None:
        """
        See L{IMetadataBackend.release}: nothing is ever kept.
        """

    async def setattr(self, inode: Inode, changes: SetAttributes) -> NoReturn:
        """
        Refused.
        """
        raise ReadOnly()

    async def setxattr(
        self, inode: Inode, name: bytes, value: bytes, option: SetXattr
    ) -> NoReturn:
        """
        Refused.
        """
        raise ReadOnly()

    async def removexattr(self, inode: Inode, name: bytes) -> NoReturn:
        """
        Refused.
        """
        raise ReadOnly()

    async def storePlacement(self, inode: Inode, placement: Placement) -> NoReturn:
        """
        Refused.
        """
        raise ReadOnly()

    async def storeSettings(
        self, directory: Inode, settings: Optional[PlacementSettings]
    ) -> NoReturn:
        """
        Refused.
        """
        raise ReadOnly()

    async def storeDataAttributes(
        self,
        inode: Inode,
        size: int,
        used: int,
        mtime: Optional[int],
        atime: Optional[int],
    ) -> NoReturn:
        """
        Refused.
        """
        raise ReadOnly()

    async def enqueueRemoval(self, placement: Placement, orphan: bool) -> NoReturn:
        """
        Refused.
        """
        raise ReadOnly()

    async def finishRemoval(self, placement: Placement, done: bool) -> None:
        """
        See L{IMetadataBackend.finishRemoval}: nothing is ever queued.
        """
