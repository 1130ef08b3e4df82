# -*- test-case-name: tests.backends.metadata.test_xattr -*-
"""
Finding the objects of a POSIX tree, loading them, and noticing what others do to it.

B{Reaching objects.} Names are always resolved against an open directory, objects
by their handle: a rename behind our back cannot lead us to another object.

B{The change attribute} must never go back, also over a restart, where only the
ctime is known, and the kernel's clock for it stands still for up to 10 ms. In
memory a change is C{max(ctime, change + 1)}. An object that is loaded starts 40 ms
above its ctime if that is long ago, which is more than was ever given out for
that ctime; and above the present if it is recent. (Counting in a record of each
object would cost a write for each change.)
"""

from __future__ import annotations

import os
import stat
from functools import cached_property
from typing import Any

from pnfs.backends.errors import (
    BackendError,
    NoSuchName,
    NoSuchObject,
    NotDirectory,
)
from pnfs.backends.metadata.listing import Listing
from pnfs.backends.metadata.xattr_cache import DIR, DROPPED, REG, XattrCache, XattrInode
from pnfs.backends.metadata.xattr_handles import Handles, birthTime
from pnfs.backends.metadata.xattr_owners import Owners
from pnfs.backends.metadata.xattr_records import (
    ACCESS,
    DSATTR,
    DSFILE,
    OURS,
    OWNER,
    unpackACL,
    unpackDataAttributes,
)
from pnfs.backends.oserrors import translate
from pnfs.namespace.modes import modeOf
from pnfs.values import FileType

PATH_FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY_FLAGS = READ_FLAGS | os.O_DIRECTORY

TYPES = {
    stat.S_IFREG: REG,
    stat.S_IFDIR: DIR,
    stat.S_IFBLK: int(FileType.BLK),
    stat.S_IFCHR: int(FileType.CHR),
    stat.S_IFLNK: int(FileType.LNK),
    stat.S_IFSOCK: int(FileType.SOCK),
    stat.S_IFIFO: int(FileType.FIFO),
}

_OPENED = frozenset({REG, DIR})
_MILLISECOND = 1_000_000
_RECENT = 20 * _MILLISECOND
_ABOVE_NOW = 10 * _MILLISECOND
_ABOVE_CTIME = 40 * _MILLISECOND
_DEPTH_LIMIT = 10_000
_LISTED_NAMES = 2_000_000


class XattrTree(XattrCache):
    """
    What L{pnfs.backends.metadata.xattr.XattrMetadataBackend} is built on.
    """

    _handles: Handles
    _owners: Owners
    _namespace: str
    _rootFD: int
    _device: int

    # -- finding -----------------------------------------------------------------

    def _find(self, handle: bytes) -> XattrInode:
        """
        The object of a handle, compared with the tree in this tick.
        """
        node = self._inodes.get(handle)
        if node is not None:
            if node.checkedAt != self.tick:
                self._revalidate(node)
            return node
        if not self._handles.direct:
            return self._findByNames(handle)
        fd = self._handles.open(handle, PATH_FLAGS)
        try:
            status = os.stat(fd)
            if not status.st_nlink:
                raise NoSuchObject("removed")
            if TYPES[stat.S_IFMT(status.st_mode)] in _OPENED:
                os.close(fd)
                fd = self._handles.open(handle, READ_FLAGS)
            return self._adopt(fd, status)
        except OSError as error:
            raise translate(error) from error
        finally:
            os.close(fd)

    def _findByNames(self, handle: bytes) -> XattrInode:
        """
        The same by way of the index: up to a directory in memory, and down again.
        """
        for directory, name in self._handles.names(handle):
            path = [name]
            while directory not in self._inodes:
                above = self._handles.names(directory)
                if not above or len(path) > _DEPTH_LIMIT:
                    break
                directory, name = above[0]
                path.append(name)
            try:
                node = self._find(directory) if directory in self._inodes else None
                while node is not None and path:
                    node = self._lookup(node, path.pop())
            except BackendError:
                continue
            if node is not None and node.handle == handle:
                return node
        raise NoSuchObject("no name of this handle is known")

    def _lookup(self, directory: XattrInode, name: bytes) -> XattrInode:
        """
        The object of a name that has been checked.
        """
        if directory.children is None:
            raise NotDirectory(directory.handle.hex())
        if directory.checkedAt != self.tick:
            self._revalidate(directory)
        tick = self.tick
        node = directory.children.get(name)
        if node is not None and node.checkedAt == tick:
            return node
        dirfd = self._directoryFD(directory)
        try:
            status = os.lstat(name, dir_fd=dirfd)
            if (
                node is not None
                and status.st_ino == node.fileid
                and status.st_ctime_ns == node.ctime
                and status.st_dev == self._device
            ):
                node.checkedAt = tick
                return node
            ftype = TYPES[stat.S_IFMT(status.st_mode)]
            fd = os.open(
                name, READ_FLAGS if ftype in _OPENED else PATH_FLAGS, dir_fd=dirfd
            )
        except OSError as error:
            self._unbind(directory, name)
            raise translate(error) from error
        try:
            status = os.stat(fd)
            if status.st_dev != self._device:
                raise NoSuchName("another file system is mounted there")
            node = self._adopt(fd, status)
            self._bind(directory, name, node)
            self._handles.named(node.handle, directory.handle, name)
            return node
        except OSError as error:
            raise translate(error) from error
        finally:
            os.close(fd)

    def _live(self, inode: Any) -> XattrInode:
        """
        What the cache holds for an object that a caller holds: another one if
        that was dropped meanwhile.

        @raise NoSuchObject: it is gone.
        """
        node: XattrInode = inode
        if node.checkedAt == DROPPED:
            return self._find(node.handle)
        return node

    def _enter(self, inode: Any) -> XattrInode:
        """
        A directory that is about to be changed: compared with the tree now, its
        descriptor in C{fd}.
        """
        node = self._live(inode)
        if node.children is None:
            raise NotDirectory(node.handle.hex())
        if node.fd < 0:
            self._directoryFD(node)
        self._compare(node, node.fd, os.stat(node.fd))
        return node

    # -- loading and comparing ---------------------------------------------------

    def _adopt(self, fd: int, status: os.stat_result) -> XattrInode:
        """
        The object behind a descriptor, new to the cache or not.
        """
        handle = self._handles.identify(fd, status)
        node = self._inodes.get(handle)
        if node is not None:
            self._compare(node, fd, status)
            return node
        ctime = status.st_ctime_ns
        now = self._now()
        recent = now - _RECENT < ctime
        node = XattrInode(
            handle,
            status.st_ino,
            TYPES[stat.S_IFMT(status.st_mode)],
            *(0,) * 9,
            birthTime(fd, min(ctime, status.st_mtime_ns)),
            max(now + _ABOVE_NOW, ctime + 1) if recent else ctime + _ABOVE_CTIME,
            (os.major(status.st_rdev), os.minor(status.st_rdev)),
        )
        if node.ftype == DIR:
            node.children = {}
        self._fill(node, fd, status)
        self._remember(node)
        return node

    def _compare(self, node: XattrInode, fd: int, status: os.stat_result) -> None:
        """
        Notice what somebody else has done to an object.
        """
        node.checkedAt = self.tick
        if status.st_ctime_ns == node.ctime and status.st_nlink == node.nlink:
            return
        if not status.st_nlink and not node.kept:
            self._drop(node)
            raise NoSuchObject("removed")
        if node.children is not None:
            self._forgetNames(node)
        change = node.change
        self._fill(node, fd, status)
        node.change = max(node.change, status.st_ctime_ns, change + 1)
        self._moved(node)

    def _fill(self, node: XattrInode, fd: int, status: os.stat_result) -> None:
        """
        Everything from the tree and the records.
        """
        records = self._records(fd, node.ftype)
        node.nlink = status.st_nlink
        node.mode, node.uid, node.gid = self._owners.view(
            status, records.get(OWNER, b"")
        )
        node.atime = status.st_atime_ns
        node.mtime = status.st_mtime_ns
        node.ctime = status.st_ctime_ns
        if ACCESS in records:
            node.acl = unpackACL(records[ACCESS])
            # Should we have been stopped between writing the two.
            node.mode = node.mode & 0o7000 | modeOf(node.acl)
        else:
            node.acl = None
        if node.ftype != REG:
            node.size = status.st_size
            node.used = status.st_blocks * 512
            return
        node.size = node.used = 0
        record = records.get(DSFILE, b"")
        if record != node.record:
            node.record = record
            node.placement = None
        node.hasPlacement = bool(record)
        node.stored = DSATTR in records
        if node.stored:
            node.size, node.used, node.atime, node.mtime, change = unpackDataAttributes(
                records[DSATTR]
            )
            node.change = max(node.change, change)

    def _records(self, fd: int, ftype: int) -> dict[str, bytes]:
        """
        Our extended attributes of an object, by name without namespace.

        @param fd: a real descriptor for what may have some: an O_PATH one would
            need a detour through C{/proc} of 4 µs for each call.
        """
        if ftype not in _OPENED:
            return {}
        names = os.listxattr(fd)
        if not names:
            return {}
        ours = self._ours
        return {ours[name]: os.getxattr(fd, name) for name in names if name in ours}

    @cached_property
    def _ours(self) -> dict[str, str]:
        """
        The records that L{_records} reads: their whole names, and those without
        the name space.
        """
        return {self._namespace + name: name for name in OURS}

    def _revalidate(self, node: XattrInode) -> None:
        """
        Compare an object of an earlier tick.

        @raise NoSuchObject: it is gone.
        """
        try:
            if node.fd >= 0:
                self._compare(node, node.fd, os.stat(node.fd))
                return
            parent = node.parent
            if parent is not None and parent.fd >= 0:
                try:
                    status = os.stat(node.name, dir_fd=parent.fd, follow_symlinks=False)
                except FileNotFoundError:
                    pass
                else:
                    if (
                        status.st_ino == node.fileid
                        and status.st_ctime_ns == node.ctime
                    ):
                        node.checkedAt = self.tick
                        return
            fd = self._open(node, READ_FLAGS if node.ftype in _OPENED else PATH_FLAGS)
            try:
                self._compare(node, fd, os.stat(fd))
            finally:
                os.close(fd)
        except OSError as error:
            raise translate(error) from error

    # -- descriptors ---------------------------------------------------------------

    def _open(self, node: XattrInode, flags: int) -> int:
        """
        Open an object. The caller closes it.

        @raise NoSuchObject: it is gone.
        """
        if self._handles.direct:
            try:
                return self._handles.open(node.handle, flags)
            except NoSuchObject:
                self._drop(node)
                raise
        if node is self.root:
            return os.open(b"/proc/self/fd/%d" % self._rootFD, flags & ~os.O_NOFOLLOW)
        places = [] if node.parent is None else [(node.parent, node.name)]
        places.extend(node.others or ())
        for directory, name in places:
            fd = self._openAs(node, directory, name, flags)
            if fd >= 0:
                return fd
        for handle, name in self._handles.names(node.handle):
            try:
                directory = (
                    self._findByNames(handle)
                    if handle not in self._inodes
                    else (self._inodes[handle])
                )
            except NoSuchObject:
                continue
            fd = self._openAs(node, directory, name, flags)
            if fd >= 0:
                return fd
        self._drop(node)
        raise NoSuchObject("no name of this handle is known")

    def _openAs(
        self, node: XattrInode, directory: XattrInode, name: bytes, flags: int
    ) -> int:
        """
        Open an object by a name, or -1 if that means another one by now.
        """
        try:
            fd = os.open(
                name, flags | os.O_NOFOLLOW, dir_fd=self._directoryFD(directory)
            )
        except (OSError, NoSuchObject):
            return -1
        status = os.stat(fd)
        if (
            status.st_dev == self._device
            and self._handles.identify(fd, status) == node.handle
        ):
            return fd
        os.close(fd)
        return -1

    def _directoryFD(self, node: XattrInode) -> int:
        """
        A directory's descriptor: stays open, within a bound.
        """
        if node.fd >= 0:
            return node.fd
        chain = [node]
        if not self._handles.direct:
            while chain[-1].parent is not None and chain[-1].parent.fd < 0:
                chain.append(chain[-1].parent)
        for directory in reversed(chain):
            directory.fd = self._open(directory, _DIRECTORY_FLAGS)
            self._directories[directory] = None
            if len(self._directories) > self._directoryLimit:
                oldest = self._directories.popitem(last=False)[0]
                os.close(oldest.fd)
                oldest.fd = -1
        return node.fd

    def _borrow(self, node: XattrInode) -> int:
        """
        A descriptor of an object: for regular files and directories a real one,
        else O_PATH. To be given to L{_return}.
        """
        if node.fd >= 0:
            return node.fd
        if node.ftype == DIR:
            return self._directoryFD(node)
        return self._open(node, READ_FLAGS if node.ftype == REG else PATH_FLAGS)

    def _return(self, node: XattrInode, fd: int) -> None:
        """
        Close what L{_borrow} has opened for the caller alone.
        """
        if fd != node.fd:
            os.close(fd)

    def _list(self, directory: XattrInode) -> Listing:
        """
        All names of a directory, read at once and kept while it does not change.
        """
        fd = self._directoryFD(directory)
        try:
            listing = Listing(os.listdir(b"/proc/self/fd/%d" % fd))
        except OSError as error:
            raise translate(error) from error
        directory.listing = listing
        self._listings[directory] = None
        total = sum(len(node.listing or ()) for node in self._listings)
        while total > _LISTED_NAMES and len(self._listings) > 1:
            oldest = self._listings.popitem(last=False)[0]
            total -= len(oldest.listing or ())
            oldest.listing = None
        return listing
