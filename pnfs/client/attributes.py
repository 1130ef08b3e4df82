# -*- test-case-name: tests.client.test_attributes -*-
"""
What the client knows of a remote file.
"""

from __future__ import annotations

from typing import Any, Mapping

import attrs

from pnfs.values import FileType

_NUMBERS = (1, 3, 4, 8, 20, 33, 35, 36, 37, 45, 47, 52, 53)
MASK = sum(1 << number for number in _NUMBERS)
"""The attributes to ask for."""

LAYOUT_TYPES = 1 << 62
LEASE_TIME = 1 << 10
RDATTR_ERROR = 1 << 11

_LETTERS = {
    FileType.REG: "-",
    FileType.DIR: "d",
    FileType.BLK: "b",
    FileType.CHR: "c",
    FileType.LNK: "l",
    FileType.SOCK: "s",
    FileType.FIFO: "p",
}


@attrs.frozen
class Attributes:
    """
    Attributes of a file; 0 or empty where the server does not say.

    @ivar ftype: a L{FileType}, as int.
    @ivar owner: a decimal uid or a name; C{group}: likewise.
    @ivar used: bytes of storage.
    @ivar atime: nanoseconds, as C{ctime} and C{mtime}.
    """

    ftype: int
    change: int
    size: int
    fsid: tuple[int, int]
    fileid: int
    mode: int
    nlink: int
    owner: bytes
    group: bytes
    used: int
    atime: int
    ctime: int
    mtime: int

    @classmethod
    def of(cls, found: Mapping[int, Any]) -> "Attributes":
        """
        From C{Results.attributes()}.
        """
        return cls(
            found.get(1, 0),
            found.get(3, 0),
            found.get(4, 0),
            found.get(8, (0, 0)),
            found.get(20, 0),
            found.get(33, 0),
            found.get(35, 0),
            found.get(36, b""),
            found.get(37, b""),
            found.get(45, 0),
            found.get(47, 0),
            found.get(52, 0),
            found.get(53, 0),
        )

    @property
    def permissions(self) -> str:
        """
        As C{ls -l} shows them: C{drwxr-xr-x}.
        """
        letters = [_LETTERS[FileType(self.ftype)] if self.ftype in _TYPES else "?"]
        for shift, special, letter in (
            (6, 0o4000, "s"),
            (3, 0o2000, "s"),
            (0, 0o1000, "t"),
        ):
            bits = self.mode >> shift
            letters += ["r" if bits & 4 else "-", "w" if bits & 2 else "-"]
            last = "x" if bits & 1 else "-"
            if self.mode & special:
                last = letter if bits & 1 else letter.upper()
            letters.append(last)
        return "".join(letters)


_TYPES = frozenset(int(each) for each in FileType)
