# -*- test-case-name: tests.backends.metadata.test_xattr -*-
"""
What is said of new files below a directory: the record C{pnfsd.policy}.

It is read anew each time, for a few microseconds: so what C{setfattr} or a restored
backup says counts at once. A new file's data files take longer by far.
"""

from __future__ import annotations

import errno
import os
from typing import Any, Optional

from pnfs.backends.errors import NoSuchObject, NotDirectory
from pnfs.backends.metadata.xattr_attributes import XattrAttributes
from pnfs.backends.metadata.xattr_cache import DIR, XattrInode
from pnfs.backends.metadata.xattr_records import (
    SETTINGS,
    packSettings,
    unpackSettings,
)
from pnfs.backends.metadata.xattr_tree import READ_FLAGS
from pnfs.backends.oserrors import translate
from pnfs.values import PlacementSettings


class XattrSettings(XattrAttributes):
    """
    The part of L{pnfs.backends.metadata.xattr.XattrMetadataBackend} that deals with
    settings, and with the way up to the directories that have them.
    """

    async def parent(self, directory: Any) -> XattrInode:
        """
        See L{pnfs.interfaces.IMetadataBackend.parent}.
        """
        raise NotImplementedError

    async def directoryOf(self, inode: Any) -> Optional[XattrInode]:
        """
        See L{pnfs.interfaces.IMetadataBackend.directoryOf}.
        """
        node = self._live(inode)
        if node is self.root:
            return None
        if node.parent is not None and node.parent.checkedAt != self.tick:
            # Has somebody else moved it?
            self._revalidate(node.parent)
        if node.parent is not None:
            return node.parent
        for handle, _ in self._handles.names(node.handle):
            try:
                return self._find(handle)
            except NoSuchObject:
                continue
        found = None
        try:
            found = self._directoryKnownToKernel(node)
        except OSError:
            # It does not know, or somebody moves it just now.
            pass
        if found is None and node.ftype == DIR:
            return await self.parent(node)
        return found

    def _directoryKnownToKernel(self, node: XattrInode) -> Optional[XattrInode]:
        """
        Where the kernel remembers an object that we have only a handle of: as after
        a restart of ours. What it says counts if it is so.

        @raise OSError: it is not.
        """
        root = os.readlink(b"/proc/self/fd/%d" % self._rootFD)
        fd = self._borrow(node)
        try:
            folder, name = os.path.split(os.readlink(b"/proc/self/fd/%d" % fd))
        finally:
            self._return(node, fd)
        if folder != root and not folder.startswith(root.rstrip(b"/") + b"/"):
            return None
        fd = os.open(folder, READ_FLAGS | os.O_DIRECTORY)
        try:
            found = os.lstat(name, dir_fd=fd)
            status = os.stat(fd)
            if found.st_ino != node.fileid or {found.st_dev, status.st_dev} != {
                self._device
            }:
                return None
            directory = self._adopt(fd, status)
        finally:
            os.close(fd)
        self._bind(directory, name, node)
        return directory

    async def loadSettings(self, directory: Any) -> Optional[PlacementSettings]:
        """
        See L{pnfs.interfaces.IMetadataBackend.loadSettings}.
        """
        node = self._settable(directory)
        try:
            return unpackSettings(
                os.getxattr(self._directoryFD(node), self._namespace + SETTINGS)
            )
        except OSError as error:
            if error.errno == errno.ENODATA:
                return None
            raise translate(error) from error

    async def storeSettings(
        self, directory: Any, settings: Optional[PlacementSettings]
    ) -> None:
        """
        See L{pnfs.interfaces.IMetadataBackend.storeSettings}.
        """
        node = self._settable(directory)
        attribute = self._namespace + SETTINGS
        try:
            # Compared with the tree before we touch it.
            fd = self._enter(node).fd
            if settings is not None:
                os.setxattr(fd, attribute, packSettings(settings))
            else:
                try:
                    os.removexattr(fd, attribute)
                except OSError as error:
                    if error.errno != errno.ENODATA:
                        raise
            self._touched(node, os.stat(fd))
            fd = os.dup(fd)
            try:
                await self._flush(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise translate(error) from error

    def _settable(self, directory: Any) -> XattrInode:
        node = self._live(directory)
        if node.ftype != DIR:
            raise NotDirectory(node.handle.hex())
        return node
