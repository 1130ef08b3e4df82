# -*- test-case-name: tests.backends.metadata.test_memory -*-
"""
Extended attributes of users, in memory.
"""

from __future__ import annotations

from typing import Any, Sequence

from pnfs.backends.errors import NameExists, NoSpace, NoSuchAttribute
from pnfs.backends.metadata.rules import checkXattr
from pnfs.values import SetXattr

_LIMIT = 1 << 20
"""Bytes of all attributes of one object, names included."""


class MemoryXattrs:
    """
    The part of L{pnfs.backends.metadata.memory.MemoryMetadataBackend} that deals
    with extended attributes.
    """

    xattrs = True

    def _live(self, inode: Any) -> Any:
        raise NotImplementedError

    def _changed(self, node: Any, entries: bool) -> None:
        raise NotImplementedError

    async def getxattr(self, inode: Any, name: bytes) -> bytes:
        """
        See L{pnfs.interfaces.IMetadataBackend.getxattr}.
        """
        node = self._live(inode)
        checkXattr(node, name, True)
        try:
            value: bytes = (node.xattrs or {})[name]
        except KeyError:
            raise NoSuchAttribute(name) from None
        return value

    async def setxattr(
        self, inode: Any, name: bytes, value: bytes, option: SetXattr
    ) -> None:
        """
        See L{pnfs.interfaces.IMetadataBackend.setxattr}.
        """
        node = self._live(inode)
        checkXattr(node, name, False, value)
        kept: dict[bytes, bytes] = node.xattrs or {}
        if option == SetXattr.CREATE and name in kept:
            raise NameExists(name)
        if option == SetXattr.REPLACE and name not in kept:
            raise NoSuchAttribute(name)
        others = sum(len(k) + len(v) for k, v in kept.items() if k != name)
        if others + len(name) + len(value) > _LIMIT:
            raise NoSpace("too many extended attributes")
        kept[name] = value
        node.xattrs = kept
        self._changed(node, False)

    async def listxattrs(self, inode: Any) -> Sequence[bytes]:
        """
        See L{pnfs.interfaces.IMetadataBackend.listxattrs}.
        """
        return list(self._live(inode).xattrs or ())

    async def removexattr(self, inode: Any, name: bytes) -> None:
        """
        See L{pnfs.interfaces.IMetadataBackend.removexattr}.
        """
        node = self._live(inode)
        checkXattr(node, name, False)
        try:
            del (node.xattrs or {})[name]
        except KeyError:
            raise NoSuchAttribute(name) from None
        self._changed(node, False)
