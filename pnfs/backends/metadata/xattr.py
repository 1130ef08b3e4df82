# -*- test-case-name: tests.backends.metadata.test_xattr -*-
"""
The embedded metadata backend: an ordinary POSIX tree whose regular files are
empty and carry records in extended attributes (L{xattr_records}).

How objects are found and kept in memory is in L{xattr_tree}, how they are made
and opened for use in L{xattr_setup}; here are the operations.

Durability: placements, recovery records and the removal queue are flushed before
their methods return; names, owners and C{dsattr} survive C{kill -9} at once and a
power cut as far as the file system's own order goes.
"""

from __future__ import annotations

import os
import stat
from typing import Any, Optional, Sequence

from zope.interface import implementer

from pnfs.backends.errors import (
    BackendError,
    DirectoryNotEmpty,
    InvalidArgument,
    IsDirectory,
    NameExists,
    NoSuchName,
    NoSuchObject,
    NotDirectory,
    PermissionRefused,
)
from pnfs.backends.metadata.rules import checkName, inherited
from pnfs.backends.metadata.xattr_cache import DIR, REG, XattrInode
from pnfs.backends.metadata.xattr_records import VERIFIER
from pnfs.backends.metadata.xattr_tree import PATH_FLAGS, READ_FLAGS
from pnfs.backends.metadata.xattr_users import XattrUsers
from pnfs.backends.oserrors import translate
from pnfs.interfaces import IMetadataBackend
from pnfs.values import (
    DirectoryEntry,
    FileType,
    NewObject,
    Removed,
)

_LNK = int(FileType.LNK)
_CREATE_FLAGS = READ_FLAGS | os.O_CREAT | os.O_EXCL
_MAKE_DIRECTORY_FLAGS = READ_FLAGS | os.O_DIRECTORY
_SPECIAL = {
    int(FileType.BLK): stat.S_IFBLK,
    int(FileType.CHR): stat.S_IFCHR,
    int(FileType.SOCK): stat.S_IFSOCK,
    int(FileType.FIFO): stat.S_IFIFO,
}
_DEVICES = frozenset({int(FileType.BLK), int(FileType.CHR)})


@implementer(IMetadataBackend)
class XattrMetadataBackend(XattrUsers):
    """
    See L{xattr_setup.XattrStorage} for how to make one.
    """

    # -- finding -------------------------------------------------------------------

    async def byHandle(self, handle: bytes) -> XattrInode:
        """
        See L{IMetadataBackend.byHandle}.
        """
        return self._find(handle)

    async def lookup(self, directory: Any, name: bytes) -> XattrInode:
        """
        See L{IMetadataBackend.lookup}.
        """
        checkName(name)
        return self._lookup(self._live(directory), name)

    async def parent(self, directory: Any) -> XattrInode:
        """
        See L{IMetadataBackend.parent}.
        """
        node = self._live(directory)
        if node.children is None:
            raise NotDirectory(node.handle.hex())
        if node.handle == self.root.handle:
            return node
        try:
            fd = os.open(b"..", READ_FLAGS, dir_fd=self._directoryFD(node))
            try:
                return self._adopt(fd, os.stat(fd))
            finally:
                os.close(fd)
        except OSError as error:
            raise translate(error) from error

    async def readdir(
        self, directory: Any, cookie: int, limit: int
    ) -> tuple[Sequence[DirectoryEntry], bool]:
        """
        See L{IMetadataBackend.readdir}.
        """
        node = self._live(directory)
        if node.children is None:
            raise NotDirectory(node.handle.hex())
        if node.checkedAt != self.tick:
            self._revalidate(node)
        listing = node.listing
        if listing is None:
            listing = self._list(node)
        start, part, last = listing.after(cookie, limit)
        tick = self.tick
        stale = [
            index
            for index, entry in enumerate(part)
            if entry.inode is None or entry.inode.checkedAt != tick  # type: ignore[attr-defined]
        ]
        if stale:
            with self._handles.batch():
                for index in stale:
                    entry = part[index]
                    try:
                        found: Optional[XattrInode] = self._lookup(node, entry.name)
                    except BackendError:
                        found = None
                    if found is not entry.inode:
                        entry = DirectoryEntry(entry.cookie, entry.name, found)
                        part[index] = listing.entries[start + index] = entry
        return part, last

    # -- making --------------------------------------------------------------------

    async def create(self, directory: Any, name: bytes, what: NewObject) -> XattrInode:
        """
        See L{IMetadataBackend.create}.
        """
        checkName(name)
        try:
            parent = self._enter(directory)
            mode, gid = inherited(parent, what)
            fd = self._make(parent, name, what, mode)
            node = None
            try:
                node = self._establish(fd, what, mode, gid)
            finally:
                if node is None:
                    self._unmake(parent, name, what.ftype)
                os.close(fd)
            self._added(parent, name, node)
            return node
        except OSError as error:
            raise translate(error) from error

    def _make(self, parent: XattrInode, name: bytes, what: NewObject, mode: int) -> int:
        """
        Make an object with permission bits only.

        @return: its descriptor, of the kind L{reach} wants.
        """
        ftype = what.ftype
        bits = self._owners.underneath(ftype, mode)
        dirfd = parent.fd
        if ftype == REG:
            return os.open(name, _CREATE_FLAGS, bits, dir_fd=dirfd)
        flags = PATH_FLAGS
        if ftype == DIR:
            os.mkdir(name, bits, dir_fd=dirfd)
            flags = _MAKE_DIRECTORY_FLAGS
        elif ftype == _LNK:
            if not what.target:
                raise InvalidArgument("a symbolic link to nothing")
            os.symlink(what.target, name, dir_fd=dirfd)
        elif ftype in _SPECIAL:
            if ftype in _DEVICES and not self._owners.real:
                raise PermissionRefused("the server may not make devices")
            os.mknod(name, _SPECIAL[ftype] | bits, os.makedev(*what.rdev), dir_fd=dirfd)
        else:
            raise InvalidArgument(f"no such type: {ftype}")
        try:
            return os.open(name, flags, dir_fd=dirfd)
        except OSError:
            self._unmake(parent, name, ftype)
            raise

    def _unmake(self, parent: XattrInode, name: bytes, ftype: int) -> None:
        """
        A creation failed half-way.
        """
        if ftype == DIR:
            os.rmdir(name, dir_fd=parent.fd)
        else:
            os.unlink(name, dir_fd=parent.fd)

    def _establish(self, fd: int, what: NewObject, mode: int, gid: int) -> XattrInode:
        """
        Owner, mode, verifier and times of a new object, and its inode.
        """
        ftype = what.ftype
        status = self._owners.establish(fd, ftype, mode, what.uid, gid)
        if what.verifier:
            os.setxattr(fd, self._namespace + VERIFIER, what.verifier)
        if what.acl is not None:
            self._storeACL(fd, what.acl)
        if what.atime is not None or what.mtime is not None:
            self._setTimes(
                fd,
                ftype,
                what.atime,
                what.mtime,
                status.st_atime_ns,
                status.st_mtime_ns,
            )
        if (
            what.verifier
            or what.atime is not None
            or what.mtime is not None
            or what.acl is not None
        ):
            status = os.stat(fd)
        ctime = status.st_ctime_ns
        node = XattrInode(
            self._handles.identify(fd, status),
            status.st_ino,
            ftype,
            mode,
            status.st_nlink,
            what.uid,
            gid,
            0 if ftype == REG else status.st_size,
            0 if ftype == REG else status.st_blocks * 512,
            status.st_atime_ns,
            status.st_mtime_ns,
            ctime,
            ctime,
            ctime,
            what.rdev,
            acl=what.acl,
        )
        if ftype == DIR:
            node.children = {}
        elif ftype != REG:
            node.mode, node.uid, node.gid = self._owners.view(status, b"")
        return node

    def _added(self, parent: XattrInode, name: bytes, node: XattrInode) -> None:
        """
        We have given an object a name in a directory.
        """
        self._remember(node)
        self._bind(parent, name, node)
        if parent.listing is not None:
            parent.listing.add(name, node)
        self._handles.named(node.handle, parent.handle, name)
        self._touched(parent, os.stat(parent.fd))

    async def link(self, inode: Any, directory: Any, name: bytes) -> None:
        """
        See L{IMetadataBackend.link}.
        """
        checkName(name)
        try:
            node = self._live(inode)
            if node.ftype == DIR:
                raise IsDirectory(name)
            parent = self._enter(directory)
            fd = self._open(node, PATH_FLAGS) if not node.kept else os.dup(node.fd)
            try:
                os.link(b"/proc/self/fd/%d" % fd, name, dst_dir_fd=parent.fd)
                self._touched(node, os.stat(fd))
            except FileNotFoundError:
                raise NoSuchObject("removed") from None
            finally:
                os.close(fd)
            self._added(parent, name, node)
        except OSError as error:
            raise translate(error) from error

    # -- taking away -----------------------------------------------------------------

    async def remove(self, directory: Any, name: bytes, keep: bool) -> Removed:
        """
        See L{IMetadataBackend.remove}.
        """
        checkName(name)
        held = -1
        try:
            parent = self._enter(directory)
            node = self._lookup(parent, name)
            if node.ftype == DIR:
                os.rmdir(name, dir_fd=parent.fd)
            else:
                held = self._hold(node, keep)
                os.unlink(name, dir_fd=parent.fd)
            self._removed(parent, name)
            removed, held = self._lost(node, held, keep), -1
            self._touched(parent, os.stat(parent.fd))
            return removed
        except OSError as error:
            raise translate(error) from error
        finally:
            if held >= 0:
                os.close(held)

    def _hold(self, node: XattrInode, keep: bool) -> int:
        """
        Before a name goes: a descriptor that will tell how many are left, if
        anything depends on it; else -1.
        """
        if node.kept:
            return os.dup(node.fd)
        if node.ftype == REG and (keep or node.hasPlacement or node.nlink > 1):
            return self._open(node, READ_FLAGS)
        if node.nlink > 1:
            return self._open(node, PATH_FLAGS)
        return -1

    def _removed(self, parent: XattrInode, name: bytes) -> None:
        """
        We have taken a name away.
        """
        self._unbind(parent, name)
        if parent.listing is not None:
            parent.listing.discard(name)
        self._handles.unnamed(parent.handle, name)

    def _lost(self, node: XattrInode, held: int, keep: bool) -> Removed:
        """
        An object has lost a name.

        @param held: from L{_hold}; closed or kept here.
        """
        if held >= 0:
            status = os.stat(held)
            self._touched(node, status)
            node.checkedAt = self.tick
            if status.st_nlink:
                os.close(held)
                return Removed(node, False)
            if keep and node.ftype == REG and not node.kept:
                node.kept = True
                node.fd = held
                self._handles.gone(node.handle)
                return Removed(node, True)
            os.close(held)
        else:
            node.nlink = 0
            node.change += 1
            self._moved(node)
        self._handles.gone(node.handle)
        self._drop(node)
        return Removed(node, True)

    async def release(self, inode: Any) -> None:
        """
        See L{IMetadataBackend.release}.
        """
        if inode.kept:
            inode.kept = False
            self._drop(inode)

    async def rename(
        self, olddir: Any, oldname: bytes, newdir: Any, newname: bytes, keep: bool
    ) -> Optional[Removed]:
        """
        See L{IMetadataBackend.rename}.
        """
        checkName(oldname)
        checkName(newname)
        held = -1
        try:
            source, target = self._enter(olddir), self._enter(newdir)
            if source.fd < 0:
                self._directoryFD(source)
            node = self._lookup(source, oldname)
            try:
                victim: Optional[XattrInode] = self._lookup(target, newname)
            except NoSuchName:
                victim = None
            if victim is node:
                return None
            if victim is not None:
                if (victim.ftype == DIR) != (node.ftype == DIR):
                    raise NameExists(newname)
                if victim.ftype != DIR:
                    held = self._hold(victim, keep)
            try:
                os.rename(oldname, newname, src_dir_fd=source.fd, dst_dir_fd=target.fd)
            except FileExistsError as error:
                raise DirectoryNotEmpty(newname) from error
            self._removed(source, oldname)
            removed = None
            if victim is not None:
                self._removed(target, newname)
                removed, held = self._lost(victim, held, keep), -1
            self._bind(target, newname, node)
            if target.listing is not None:
                target.listing.add(newname, node)
            self._handles.named(node.handle, target.handle, newname)
            self._touched(source, os.stat(source.fd))
            if target is not source:
                self._touched(target, os.stat(target.fd))
            self._touched(
                node, os.stat(newname, dir_fd=target.fd, follow_symlinks=False)
            )
            return removed
        except OSError as error:
            raise translate(error) from error
        finally:
            if held >= 0:
                os.close(held)
