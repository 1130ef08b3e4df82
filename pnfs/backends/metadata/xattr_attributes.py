# -*- test-case-name: tests.backends.metadata.test_xattr -*-
"""
Attributes and data files: what the xattr backend keeps of a file besides its name.
"""

from __future__ import annotations

import errno
import os
from typing import Any, Optional, Sequence

from pnfs.backends.errors import InvalidArgument, IsDirectory
from pnfs.backends.metadata.rules import checkACL
from pnfs.backends.metadata.xattr_cache import DIR, REG, XattrInode
from pnfs.backends.metadata.xattr_owners import reach
from pnfs.backends.metadata.xattr_records import (
    ACCESS,
    DSATTR,
    DSFILE,
    OWNER,
    VERIFIER,
    packACL,
    packDataAttributes,
    packPlacement,
    unpackPlacement,
)
from pnfs.backends.metadata.xattr_setup import XattrStorage
from pnfs.backends.metadata.xattr_tree import READ_FLAGS
from pnfs.backends.oserrors import translate
from pnfs.values import (
    ACL,
    MODE_ONLY,
    NOW,
    FileType,
    FSStatistics,
    Placement,
    SetAttributes,
)

_LNK = int(FileType.LNK)


class XattrAttributes(XattrStorage):
    """
    The part of L{xattr.XattrMetadataBackend} that deals with single objects.
    """

    async def createVerifier(self, inode: Any) -> bytes:
        """
        See L{pnfs.interfaces.IMetadataBackend.createVerifier}.
        """
        node = self._live(inode)
        if node.ftype != REG:
            return b""
        try:
            fd = self._borrow(node)
            try:
                return os.getxattr(fd, self._namespace + VERIFIER)
            finally:
                self._return(node, fd)
        except OSError as error:
            if error.errno == errno.ENODATA:
                return b""
            raise translate(error) from error

    async def setattr(self, inode: Any, changes: SetAttributes) -> None:
        """
        See L{pnfs.interfaces.IMetadataBackend.setattr}.
        """
        node = self._live(inode)
        size, atime, mtime = changes.size, changes.atime, changes.mtime
        acl = changes.acl
        if size is not None and node.ftype != REG:
            raise IsDirectory() if node.ftype == DIR else InvalidArgument()
        if acl is not None:
            checkACL(node)
        try:
            fd = self._borrow(node)
            try:
                owner = (changes.mode, changes.uid, changes.gid)
                if acl is not None:
                    self._storeACL(fd, acl)
                if owner != (None, None, None):
                    self._owners.change(fd, node, *owner)
                if size is not None or (node.stored and (atime, mtime) != (None, None)):
                    now = self._now()
                    if size is not None:
                        used = min(node.used, size)
                        mtime = now if mtime is None or mtime == NOW else mtime
                    else:
                        size, used = node.size, node.used
                        mtime = now if mtime == NOW else mtime
                    atime = now if atime == NOW else atime
                    self._storeData(node, fd, size, used, mtime, atime)
                elif (atime, mtime) != (None, None):
                    self._setTimes(fd, node.ftype, atime, mtime, node.atime, node.mtime)
                status = os.stat(fd)
                if owner != (None, None, None):
                    node.mode, node.uid, node.gid = self._owners.view(
                        status, self._ownerRecord(fd, node)
                    )
                if acl is not None:
                    node.acl = None if acl == MODE_ONLY else acl
                if changes != SetAttributes():
                    self._touched(node, status)
            finally:
                self._return(node, fd)
        except OSError as error:
            raise translate(error) from error

    def _storeACL(self, fd: int, acl: ACL) -> None:
        """
        Write the C{acl} record, or take it away. It is written before the mode:
        while the two differ, the record decides.
        """
        attribute = self._namespace + ACCESS
        if acl != MODE_ONLY:
            os.setxattr(fd, attribute, packACL(acl))
            return
        try:
            os.removexattr(fd, attribute)
        except OSError as error:
            if error.errno != errno.ENODATA:
                raise

    def _ownerRecord(self, fd: int, node: XattrInode) -> bytes:
        """
        The C{owner} record as it is stored now.
        """
        if self._owners.real:
            return b""
        return self._records(fd, node.ftype).get(OWNER, b"")

    def _setTimes(
        self,
        fd: int,
        ftype: int,
        atime: Optional[int],
        mtime: Optional[int],
        oldAtime: int,
        oldMtime: int,
    ) -> None:
        """
        Times of the object in the tree.
        """
        now = self._now()
        if atime is None or atime == NOW:
            atime = oldAtime if atime is None else now
        if mtime is None or mtime == NOW:
            mtime = oldMtime if mtime is None else now
        os.utime(reach(fd, ftype), ns=(atime, mtime))

    def _storeData(
        self,
        node: XattrInode,
        fd: int,
        size: int,
        used: int,
        mtime: Optional[int],
        atime: Optional[int],
    ) -> None:
        """
        Write the C{dsattr} record.
        """
        mtime = node.mtime if mtime is None else mtime
        atime = node.atime if atime is None else atime
        change = max(self._now(), node.change + 1)
        record = packDataAttributes(size, used, atime, mtime, change)
        os.setxattr(fd, self._namespace + DSATTR, record)
        node.size, node.used, node.atime, node.mtime = size, used, atime, mtime
        node.stored = True
        node.change = change

    async def readlink(self, inode: Any) -> bytes:
        """
        See L{pnfs.interfaces.IMetadataBackend.readlink}.
        """
        node = self._live(inode)
        if node.ftype != _LNK:
            raise InvalidArgument("not a symbolic link")
        try:
            fd = self._borrow(node)
            try:
                return os.readlink(b"", dir_fd=fd)
            finally:
                self._return(node, fd)
        except OSError as error:
            raise translate(error) from error

    async def loadPlacement(self, inode: Any) -> Optional[Placement]:
        """
        See L{pnfs.interfaces.IMetadataBackend.loadPlacement}.
        """
        node = self._live(inode)
        if node.placement is None and node.record:
            node.placement = unpackPlacement(node.record)
            self._placed[node.placement.name] = node
        return node.placement

    async def storePlacement(self, inode: Any, placement: Placement) -> None:
        """
        See L{pnfs.interfaces.IMetadataBackend.storePlacement}.
        """
        node = self._live(inode)
        if node.ftype != REG:
            raise InvalidArgument("only regular files have data files")
        record = packPlacement(placement)
        try:
            fd = self._open(node, READ_FLAGS) if not node.kept else os.dup(node.fd)
            try:
                os.setxattr(fd, self._namespace + DSFILE, record)
                await self._flush(fd)
                status = os.stat(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise translate(error) from error
        if node.placement is not None:
            self._placed.pop(node.placement.name, None)
        node.record = record
        node.placement = placement
        node.hasPlacement = True
        self._placed[placement.name] = node
        self._touched(node, status)

    async def storeDataAttributes(
        self,
        inode: Any,
        size: int,
        used: int,
        mtime: Optional[int],
        atime: Optional[int],
    ) -> None:
        """
        See L{pnfs.interfaces.IMetadataBackend.storeDataAttributes}.
        """
        node = self._live(inode)
        if node.ftype != REG:
            raise InvalidArgument("only regular files have data files")
        if (
            size == node.size
            and used == node.used
            and mtime in (None, node.mtime)
            and atime in (None, node.atime)
        ):
            return
        try:
            fd = self._borrow(node)
            try:
                self._storeData(node, fd, size, used, mtime, atime)
                self._touched(node, os.stat(fd))
            finally:
                self._return(node, fd)
        except OSError as error:
            raise translate(error) from error

    async def enqueueRemoval(self, placement: Placement, orphan: bool) -> None:
        """
        See L{pnfs.interfaces.IMetadataBackend.enqueueRemoval}.
        """
        node = self._placed.get(placement.name)
        handle = b"" if node is None else node.handle
        await self._removals.add(placement, handle, orphan)

    async def pendingRemovals(self) -> Sequence[Placement]:
        """
        See L{pnfs.interfaces.IMetadataBackend.pendingRemovals}.
        """
        return self._removals.due()

    async def finishRemoval(self, placement: Placement, done: bool) -> None:
        """
        See L{pnfs.interfaces.IMetadataBackend.finishRemoval}.
        """
        if done:
            await self._removals.forget(placement.name)
        else:
            await self._removals.ready(placement.name)

    async def statfs(self) -> FSStatistics:
        """
        See L{pnfs.interfaces.IMetadataBackend.statfs}.
        """
        try:
            space = os.fstatvfs(self._rootFD)
        except OSError as error:
            raise translate(error) from error
        unit = space.f_frsize
        return FSStatistics(
            space.f_blocks * unit,
            space.f_bfree * unit,
            space.f_bavail * unit,
            space.f_files,
            space.f_ffree,
            space.f_favail,
        )
