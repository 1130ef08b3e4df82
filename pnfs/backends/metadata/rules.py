# -*- test-case-name: tests.backends.metadata.test_memory -*-
"""
Rules that every metadata backend keeps: which names there are, and what a new
object inherits from its directory.
"""

from __future__ import annotations

from pnfs.backends.errors import InvalidName, NameTooLong
from pnfs.values import FileType, Inode, NewObject

NAME_LIMIT = 255
"""Bytes of the longest name."""

SETUID = 0o4000
SETGID = 0o2000

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
