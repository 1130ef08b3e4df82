# -*- test-case-name: tests.backends.metadata.test_listing -*-
"""
The order in which a directory is read.

A cookie is a hash of the name, and entries are given in the order of their
cookies. So a walk goes on correctly whatever comes and goes between its steps,
after a restart of the server too, and nothing about cookies needs to be stored.
A counter in order of appearance would give that up at every restart. Two names
with the same hash get neighbouring cookies (one directory in ten million of a
million entries each).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from hashlib import blake2b
from typing import Iterable, Optional

from pnfs.values import DirectoryEntry, Inode

FIRST_COOKIE = 3
"""0 begins a walk; 1 and 2 are reserved (RFC 8881, section 18.23.3)."""

_BUMP_LIMIT = 16
_REBUILD_ABOVE = 64


def cookieFor(name: bytes) -> int:
    """
    62 bits, so that clients may treat it as a signed file offset.
    """
    hashed = int.from_bytes(blake2b(name, digest_size=8).digest(), "big") >> 2
    return hashed if hashed >= FIRST_COOKIE else hashed + FIRST_COOKIE


class Listing:
    """
    One directory's names in cookie order, with the inodes that are known.

    Changes are collected and merged at the next reading, so that creating many
    files costs one dictionary entry each.

    @ivar entries: aligned with the sorted cookies. Whoever reads may fill in an
        inode by replacing an element.
    """

    __slots__ = ("entries", "_cookies", "_pending")

    def __init__(self, names: Iterable[bytes]) -> None:
        self.entries: list[DirectoryEntry] = []
        self._cookies: list[int] = []
        self._pending: dict[bytes, Optional[Inode]] = {}
        self._build([(name, None) for name in names])

    def __len__(self) -> int:
        return len(self.entries) + len(self._pending)

    def add(self, name: bytes, inode: Inode) -> None:
        """
        A name has come, or means another object now.
        """
        self._pending[name] = inode

    def discard(self, name: bytes) -> None:
        """
        A name has gone.
        """
        self._pending[name] = None

    def after(self, cookie: int, limit: int) -> tuple[int, list[DirectoryEntry], bool]:
        """
        @return: index of the first entry in L{entries}, up to C{limit} entries
            after C{cookie}, and whether no more follow.
        """
        if self._pending:
            self._merge()
        start = bisect_right(self._cookies, cookie)
        part = self.entries[start : start + limit]
        return start, part, start + len(part) >= len(self.entries)

    def _build(self, named: Iterable[tuple[bytes, Optional[Inode]]]) -> None:
        """
        Order all names at once.
        """
        cookies: list[int] = []
        entries: list[DirectoryEntry] = []
        last = 0
        for cookie, name, _, inode in sorted(
            (cookieFor(name), name, index, inode)
            for index, (name, inode) in enumerate(named)
        ):
            last = cookie if cookie > last else last + 1
            cookies.append(last)
            entries.append(DirectoryEntry(last, name, inode))
        self._cookies = cookies
        self.entries = entries

    def _merge(self) -> None:
        """
        Apply what was collected: one by one if it is little; else anew, but with
        the cookies that were given out.
        """
        pending, self._pending = self._pending, {}
        if len(pending) <= _REBUILD_ABOVE:
            for name, inode in pending.items():
                self._apply(name, inode)
            return
        taken = {e.cookie for e in self.entries if e.name not in pending}
        known = {e.name: e.cookie for e in self.entries if e.name in pending}
        kept = [e for e in self.entries if e.name not in pending]
        for name, inode in pending.items():
            if inode is None:
                continue
            cookie = known.get(name) or cookieFor(name)
            while cookie in taken:
                cookie += 1
            taken.add(cookie)
            kept.append(DirectoryEntry(cookie, name, inode))
        kept.sort(key=lambda entry: entry.cookie)
        self.entries = kept
        self._cookies = [entry.cookie for entry in kept]

    def _apply(self, name: bytes, inode: Optional[Inode]) -> None:
        """
        Put in, replace, or (C{inode} None) take out one name.
        """
        cookies = self._cookies
        cookie = cookieFor(name)
        index = bisect_left(cookies, cookie)
        free = index
        scan = index
        while scan < len(cookies) and cookies[scan] <= cookie + _BUMP_LIMIT:
            if self.entries[scan].name == name:
                if inode is None:
                    del cookies[scan], self.entries[scan]
                else:
                    self.entries[scan] = DirectoryEntry(cookies[scan], name, inode)
                return
            scan += 1
        if inode is None:
            return
        while free < len(cookies) and cookies[free] == cookie:
            cookie += 1
            free += 1
        cookies.insert(free, cookie)
        self.entries.insert(free, DirectoryEntry(cookie, name, inode))
