# -*- test-case-name: tests.backends.metadata.test_xattr -*-
"""
Extended attributes of users: those of the tree, in the C{user.} name space, so that
C{getfattr} shows them and C{cp -a} of the tree takes them along.

Where the server's own records are in the same name space, they are called
C{user.pnfsd.…}. A user's attribute C{pnfsd.x} is kept as C{user.pnfsd.user.x}, which
no record is called: everywhere, so that a tree means the same to a server with and
without privileges.
"""

from __future__ import annotations

import os
from typing import Any, Sequence

from pnfs.backends.errors import NameTooLong, Unsupported
from pnfs.backends.metadata.rules import checkXattr
from pnfs.backends.metadata.xattr_cache import DIR, REG, XattrInode
from pnfs.backends.metadata.xattr_settings import XattrSettings
from pnfs.backends.oserrors import translate
from pnfs.values import SetXattr

_PREFIX = b"user."
_RECORDS = b"user.pnfsd."
_ESCAPED = b"user.pnfsd.user."
_LINUX_LIMIT = 255
_FLAGS = {
    SetXattr.EITHER: 0,
    SetXattr.CREATE: os.XATTR_CREATE,
    SetXattr.REPLACE: os.XATTR_REPLACE,
}


def stored(name: bytes) -> bytes:
    """
    What a user's attribute is called in the tree.

    @raise NameTooLong: there is no room for it.
    """
    whole = _PREFIX + name
    if whole.startswith(_RECORDS):
        whole = _ESCAPED + whole[len(_RECORDS) :]
    if len(whole) > _LINUX_LIMIT:
        raise NameTooLong(len(name))
    return whole


def shown(whole: bytes) -> bytes:
    """
    What a user calls an attribute of the tree; empty if it is none of the users'.
    """
    if not whole.startswith(_PREFIX):
        return b""
    if not whole.startswith(_RECORDS):
        return whole[len(_PREFIX) :]
    if not whole.startswith(_ESCAPED):
        return b""
    return _RECORDS[len(_PREFIX) :] + whole[len(_ESCAPED) :]


class XattrUsers(XattrSettings):
    """
    The part of L{pnfs.backends.metadata.xattr.XattrMetadataBackend} that deals with
    the attributes of users.
    """

    async def getxattr(self, inode: Any, name: bytes) -> bytes:
        """
        See L{pnfs.interfaces.IMetadataBackend.getxattr}.
        """
        node = self._live(inode)
        checkXattr(node, name, True)
        attribute = stored(name)
        try:
            fd = self._borrow(node)
            try:
                return os.getxattr(fd, attribute)
            finally:
                self._return(node, fd)
        except OSError as error:
            raise translate(error) from error

    async def setxattr(
        self, inode: Any, name: bytes, value: bytes, option: SetXattr
    ) -> None:
        """
        See L{pnfs.interfaces.IMetadataBackend.setxattr}.
        """
        node = self._live(inode)
        checkXattr(node, name, False, value)
        if not self.xattrs:
            raise Unsupported("the file system keeps no attributes of users")
        attribute = stored(name)
        try:
            fd = self._borrowToChange(node)
            try:
                os.setxattr(fd, attribute, value, _FLAGS[option])
                self._touched(node, os.stat(fd))
            finally:
                self._return(node, fd)
        except OSError as error:
            raise translate(error) from error

    async def listxattrs(self, inode: Any) -> Sequence[bytes]:
        """
        See L{pnfs.interfaces.IMetadataBackend.listxattrs}.
        """
        node = self._live(inode)
        if node.ftype not in (REG, DIR):
            return ()
        try:
            fd = self._borrow(node)
            try:
                names = [shown(os.fsencode(name)) for name in os.listxattr(fd)]
            finally:
                self._return(node, fd)
        except OSError as error:
            raise translate(error) from error
        return [name for name in names if name]

    async def removexattr(self, inode: Any, name: bytes) -> None:
        """
        See L{pnfs.interfaces.IMetadataBackend.removexattr}.
        """
        node = self._live(inode)
        checkXattr(node, name, False)
        attribute = stored(name)
        try:
            fd = self._borrowToChange(node)
            try:
                os.removexattr(fd, attribute)
                self._touched(node, os.stat(fd))
            finally:
                self._return(node, fd)
        except OSError as error:
            raise translate(error) from error

    def _borrowToChange(self, node: XattrInode) -> int:
        """
        As C{_borrow}; a directory is compared with the tree before we touch it.
        """
        if node.ftype == DIR:
            self._enter(node)
        return self._borrow(node)
