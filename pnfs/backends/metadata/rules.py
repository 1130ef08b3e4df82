# -*- test-case-name: tests.backends.metadata.test_memory -*-
"""
Rules that every metadata backend keeps: which names there are, and what a new
object inherits from its directory.
"""

from __future__ import annotations

from pnfs.backends.errors import (
    AttributeTooBig,
    InvalidArgument,
    InvalidName,
    NameTooLong,
    NoSuchAttribute,
    PermissionRefused,
    Unsupported,
)
from pnfs.values import FileType, Inode, NewObject

NAME_LIMIT = 255
"""Bytes of the longest name."""

XATTR_NAME_LIMIT = 250
"""Bytes of the longest name of an extended attribute: Linux allows 255 with C{user.}."""

XATTR_LIMIT = 65536
"""Bytes of the largest value of an extended attribute."""

SETUID = 0o4000
SETGID = 0o2000

_WITH_ATTRIBUTES = frozenset({int(FileType.REG), int(FileType.DIR)})
_NOT_NAMES = frozenset({b"", b".", b".."})


def checkName(name: bytes) -> None:
    """
    Refuse what no entry can be called.

    @raise NameTooLong: more than 255 bytes.
    @raise InvalidName: empty, C{.}, C{..}, or with a slash or NUL in it.
    """
    if len(name) > NAME_LIMIT:
        raise NameTooLong(len(name))
    if name in _NOT_NAMES or b"/" in name or b"\0" in name:
        raise InvalidName(name)


def inherited(directory: Inode, what: NewObject) -> tuple[int, int]:
    """
    Mode and group of a new object: in a setgid directory it gets the
    directory's group, and a new directory the bit as well.
    """
    mode = what.mode & 0o7777
    if directory.mode & SETGID:
        if what.ftype == FileType.DIR:
            mode |= SETGID
        return mode, directory.gid
    return mode, what.gid


def checkXattr(inode: Inode, name: bytes, reading: bool, value: bytes = b"") -> None:
    """
    May the object have such an extended attribute? As on Linux, only regular files
    and directories have any.

    @raise InvalidArgument: @raise NameTooLong: @raise AttributeTooBig:
    @raise PermissionRefused: an object of this type cannot be given one.
    @raise NoSuchAttribute: nor does it have one to be read.
    """
    if not name or b"\0" in name:
        raise InvalidArgument("an extended attribute's name")
    if len(name) > XATTR_NAME_LIMIT:
        raise NameTooLong(len(name))
    if len(value) > XATTR_LIMIT:
        raise AttributeTooBig(len(value))
    if inode.ftype not in _WITH_ATTRIBUTES:
        if reading:
            raise NoSuchAttribute(name)
        raise PermissionRefused("this type of object has no extended attributes")


def checkACL(inode: Inode) -> None:
    """
    @raise Unsupported: objects of this type have no access control list.
    """
    if inode.ftype not in _WITH_ATTRIBUTES:
        raise Unsupported("only files and directories have access control lists")
