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

    __slots__ = ("entries", "_bumped", "_cookies", "_pending")

    def __init__(self, names: Iterable[bytes]) -> None:
        self.entries: list[DirectoryEntry] = []
        self._cookies: list[int] = []
        self._pending: dict[bytes, Optional[Inode]] = {}
        # Names whose hash was taken when they came, and the cookie they got.
        self._bumped: dict[bytes, int] = {}
        self._build(names)

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

    def _cookie(self, name: bytes) -> int:
        """
        The cookie a name has, or would like to have.
        """
        return self._bumped.get(name) or cookieFor(name)

    def _build(self, names: Iterable[bytes]) -> None:
        """
        Order all names at once.
        """
        last = 0
        for cookie, name in sorted((cookieFor(name), name) for name in names):
            if cookie <= last:
                cookie = self._bumped[name] = last + 1
            last = cookie
            self._cookies.append(cookie)
            self.entries.append(DirectoryEntry(cookie, name, None))

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
        kept = [entry for entry in self.entries if entry.name not in pending]
        known = {e.name: e.cookie for e in self.entries if e.name in pending}
        taken = set(self._cookies)
        for name, inode in pending.items():
            if inode is None:
                self._bumped.pop(name, None)
                continue
            cookie = known.get(name, 0)
            if not cookie:
                cookie = cookieFor(name)
                while cookie in taken:
                    cookie = self._bumped[name] = cookie + 1
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
        cookie = self._cookie(name)
        index = bisect_left(cookies, cookie)
        if index < len(cookies) and self.entries[index].name == name:
            if inode is None:
                del cookies[index], self.entries[index]
                self._bumped.pop(name, None)
            else:
                self.entries[index] = DirectoryEntry(cookie, name, inode)
            return
        if inode is None:
            return
        while index < len(cookies) and cookies[index] == cookie:
            cookie = self._bumped[name] = cookie + 1
            index += 1
        cookies.insert(index, cookie)
        self.entries.insert(index, DirectoryEntry(cookie, name, inode))
