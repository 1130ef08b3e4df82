# -*- test-case-name: tests.backends.metadata.test_xattr -*-
"""
The objects of a POSIX tree that are in memory, and the names they are known by.
No system calls but to close what is dropped.

B{Freshness.} C{tick} moves once a second. What was compared with the tree during
this tick is handed out without a system call; anything older costs one C{stat}
first. A name is bound to an object only through its directory: when a
directory's ctime is not what we left there, somebody else has changed it, and
what we knew about its names is dropped. Every change compares the directory
first, so that a stranger's change is never covered by ours. (On kernels before
6.13 a stranger's change in the very clock tick of ours is noticed only by
lookups, not by directory reading.)

B{Bounds.} At most C{cacheLimit} objects stay in memory. Those in use (C{state},
open though removed, directories of cached objects, touched in this tick) are
passed over. Every cached object counts 0.7 to 1.2 kB.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any, Callable, Optional

import attrs

from pnfs.backends.metadata.listing import Listing
from pnfs.values import FileType, Inode, Placement

REG = int(FileType.REG)
DIR = int(FileType.DIR)
DROPPED = -1
"""C{checkedAt} of an object that the cache has let go."""

_EVICT_STEPS = 16
_DIRECTORIES_AT_LEAST = 16


@attrs.define(slots=True, eq=False)
class XattrInode(Inode):
    """
    An object and what the cache knows about it.

    @ivar checkedAt: the tick in which it was last compared with the tree; negative
        once the cache has dropped it.
    @ivar parent: a directory that has it as C{name}, if one is known; further
        names are in C{others}.
    @ivar children: of a directory: names known to be there.
    @ivar listing: of a directory: all its names, once it has been read.
    @ivar fd: of a directory, or of a file kept after its removal: open; else -1.
    @ivar kept: removed, but still open at some client.
    @ivar stored: a C{dsattr} record exists: size and times come from there.
    @ivar record: the C{dsfile} record; C{placement} what it means, once asked.
    """

    checkedAt: int = 0
    parent: Optional[XattrInode] = attrs.field(default=None, repr=False)
    name: bytes = b""
    others: Optional[dict[tuple[XattrInode, bytes], None]] = attrs.field(
        default=None, repr=False
    )
    children: Optional[dict[bytes, XattrInode]] = attrs.field(default=None, repr=False)
    listing: Optional[Listing] = attrs.field(default=None, repr=False)
    fd: int = -1
    kept: bool = False
    stored: bool = False
    record: bytes = b""
    placement: Optional[Placement] = None


class XattrCache:
    """
    @ivar root: the root of the tree, never dropped.
    @ivar tick: the current second.
    """

    root: XattrInode

    def __init__(
        self, now: Callable[[], int], cacheLimit: int, directoryLimit: int
    ) -> None:
        self.tick = 0
        self._now = now
        self._cacheLimit = cacheLimit
        self._directoryLimit = max(directoryLimit, _DIRECTORIES_AT_LEAST)
        self._inodes: OrderedDict[bytes, XattrInode] = OrderedDict()
        self._directories: OrderedDict[XattrInode, None] = OrderedDict()
        self._listings: OrderedDict[XattrInode, None] = OrderedDict()
        self._placed: dict[bytes, XattrInode] = {}

    def cached(self, handle: bytes) -> Optional[XattrInode]:
        """
        See L{pnfs.interfaces.IMetadataBackend.cached}.
        """
        node = self._inodes.get(handle)
        if node is not None and node.checkedAt == self.tick:
            return node
        return None

    def cachedChild(self, directory: Any, name: bytes) -> Optional[XattrInode]:
        """
        See L{pnfs.interfaces.IMetadataBackend.cachedChild}.
        """
        tick = self.tick
        if directory.checkedAt == tick and directory.children:
            node: Optional[XattrInode] = directory.children.get(name)
            if node is not None and node.checkedAt == tick:
                return node
        return None

    def pathOf(self, inode: Any) -> tuple[bytes, ...]:
        """
        See L{pnfs.interfaces.IMetadataBackend.pathOf}.
        """
        names: list[bytes] = []
        above: Optional[XattrInode] = inode.parent
        while above is not None and above is not self.root:
            names.append(above.name)
            above = above.parent
        return () if above is None else tuple(reversed(names))

    def _moved(self, node: XattrInode) -> None:
        """
        A field has changed.
        """
        node.generation += 1
        if node.encoded:
            node.encoded.clear()

    def _touched(self, node: XattrInode, status: os.stat_result) -> None:
        """
        We have changed a directory, or something else than a regular file's data.
        """
        ctime = status.st_ctime_ns
        node.ctime = ctime
        node.nlink = status.st_nlink
        if node.ftype != REG:
            node.size = status.st_size
            node.used = status.st_blocks * 512
        if not node.stored:
            node.mtime = status.st_mtime_ns
            node.atime = status.st_atime_ns
        change = node.change + 1
        node.change = ctime if ctime > change else change
        node.generation += 1
        if node.encoded:
            node.encoded.clear()

    def _bind(self, directory: XattrInode, name: bytes, node: XattrInode) -> None:
        """
        A name means this object from now on.
        """
        children = directory.children
        assert children is not None
        known = children.get(name)
        if known is node:
            return
        if known is not None:
            self._unbind(directory, name)
        if node.parent is None:
            node.parent = directory
            node.name = name
        elif node.ftype == DIR:
            self._unbind(node.parent, node.name)
            node.parent = directory
            node.name = name
        else:
            if node.others is None:
                node.others = {}
            node.others[directory, name] = None
        children[name] = node

    def _unbind(self, directory: XattrInode, name: bytes) -> None:
        """
        Nothing is known about a name.
        """
        assert directory.children is not None
        node = directory.children.pop(name, None)
        if node is None:
            return
        if node.parent is directory and node.name == name:
            if node.others:
                node.parent, node.name = next(iter(node.others))
                del node.others[node.parent, node.name]
            else:
                node.parent = None
        elif node.others:
            node.others.pop((directory, name), None)

    def _forgetNames(self, directory: XattrInode) -> None:
        """
        Nothing is known about any name of a directory.
        """
        assert directory.children is not None
        for name in list(directory.children):
            self._unbind(directory, name)
        directory.listing = None
        self._listings.pop(directory, None)

    def _remember(self, node: XattrInode) -> None:
        """
        Put an object into the cache and others out.
        """
        node.checkedAt = self.tick
        inodes = self._inodes
        inodes[node.handle] = node
        steps = _EVICT_STEPS
        while len(inodes) > self._cacheLimit and steps:
            steps -= 1
            handle, oldest = next(iter(inodes.items()))
            if (
                oldest.state is not None
                or oldest.kept
                or oldest.children
                or oldest.checkedAt == self.tick
                or oldest is self.root
            ):
                inodes.move_to_end(handle)
            else:
                self._drop(oldest)

    def _drop(self, node: XattrInode) -> None:
        """
        Take an object out of the cache: it is gone, or has not been used.
        """
        node.checkedAt = DROPPED
        self._inodes.pop(node.handle, None)
        if node.children is not None:
            self._forgetNames(node)
            self._directories.pop(node, None)
        while node.parent is not None:
            self._unbind(node.parent, node.name)
        if node.fd >= 0:
            os.close(node.fd)
            node.fd = -1
        if node.placement is not None:
            self._placed.pop(node.placement.name, None)
