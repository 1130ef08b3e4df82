# -*- test-case-name: tests.client.test_names -*-
"""
Names, directories and attributes at a metadata server.
"""

from __future__ import annotations

import os
from typing import Optional, Sequence, Union

import attrs

from pnfs.client.attributes import LAYOUT_TYPES, MASK, RDATTR_ERROR, Attributes
from pnfs.client.url import splitPath
from pnfs.nfs4 import requests
from pnfs.nfs4.client import SessionClient
from pnfs.nfs4.results import OperationFailed, Results
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.values import FileType, Piece

Path = Union[str, bytes, Sequence[bytes]]
"""C{/export/a}, or its names."""

LINKS = 16
"""Symbolic links that are followed in one path."""

_NAMES_AT_ONCE = 8
_READDIR_BYTES = 256 << 10


@attrs.frozen
class Node:
    """
    A file that was looked up.

    @ivar fh: its filehandle.
    @ivar layoutTypes: what layouts its file system offers, best first.
    """

    fh: bytes
    attributes: Attributes
    layoutTypes: tuple[int, ...] = ()


class Names:
    """
    The tree of a server.

    @ivar session: the L{SessionClient}.
    """

    session: SessionClient

    async def compound(
        self,
        operations: Sequence[Piece],
        count: int,
        *,
        cache: bool = False,
        patience: Optional[float] = None,
    ) -> Results:
        """
        As L{SessionClient.compound}, again and again while the server says that it
        needs time.
        """
        raise NotImplementedError

    async def lookup(self, path: Path, follow: bool = True) -> Node:
        """
        Find a file.

        @param follow: if it is a symbolic link, give what it points to. Links on the
            way are always followed.
        @raise NFSError: NOENT, ACCESS, NOTDIR and so on.
        """
        names = namesOf(path)
        for _ in range(LINKS):
            found = await self._walk(names, follow)
            if isinstance(found, Node):
                return found
            names = found
        raise NFSError(nfsstat4.NFS4ERR_SYMLINK)

    async def _walk(
        self, names: tuple[bytes, ...], follow: bool
    ) -> Union[Node, tuple[bytes, ...]]:
        """
        @return: the file, or where to look instead, since there is a link.
        """
        start = requests.PUTROOTFH, 24
        done = 0
        while True:
            part = names[done : done + _NAMES_AT_ONCE]
            results = await self.compound(
                [
                    start[0],
                    *map(requests.lookup, part),
                    requests.GETFH,
                    requests.getattr_(MASK | LAYOUT_TYPES),
                ],
                3 + len(part),
            )
            results.operation(start[1])
            for position in range(done, done + len(part)):
                try:
                    results.operation(15)
                except OperationFailed as failure:
                    if failure.status == nfsstat4.NFS4ERR_SYMLINK:
                        return await self.linked(names, position)
                    raise
            results.operation(10)
            fh = results.opaque(128)
            results.operation(9)
            found = results.attributes()
            done += len(part)
            attributes = Attributes.of(found)
            if attributes.ftype == FileType.LNK and (follow or done < len(names)):
                return await self.linked(names, done)
            if done == len(names):
                return Node(fh, attributes, tuple(found.get(62, ())))
            start = requests.putfh(fh), 22

    async def linked(
        self, names: tuple[bytes, ...], position: int
    ) -> tuple[bytes, ...]:
        """
        The path that a link among C{names}, the one before C{position}, leads to.
        """
        node = await self._walk(names[:position], False)
        if not isinstance(node, Node):
            return node + names[position:]
        target = await self.readlink(node)
        if target.startswith(b"/"):
            base: tuple[bytes, ...] = ()
        else:
            base = names[: position - 1]
        return splitPath(b"/".join((*base, target))) + names[position:]

    async def readlink(self, node: Node) -> bytes:
        """
        Where a symbolic link leads.
        """
        results = await self.compound([requests.putfh(node.fh), requests.READLINK], 2)
        results.operation(22)
        results.operation(27)
        return results.opaque(4096)

    async def getattr(self, path: Path, follow: bool = True) -> Attributes:
        """
        Attributes of a file.
        """
        return (await self.lookup(path, follow)).attributes

    async def attributesOf(self, fh: bytes) -> Attributes:
        """
        Attributes now, by filehandle.
        """
        results = await self.compound([requests.putfh(fh), requests.getattr_(MASK)], 2)
        results.operation(22)
        results.operation(9)
        return Attributes.of(results.attributes())

    async def listdir(self, path: Path) -> list[tuple[bytes, Attributes]]:
        """
        The entries of a directory in the server's order.

        @raise NFSError: NOTDIR: it is none.
        """
        node = await self.lookup(path)
        if node.attributes.ftype != FileType.DIR:
            raise NFSError(nfsstat4.NFS4ERR_NOTDIR)
        found: list[tuple[bytes, Attributes]] = []
        cookie, verifier, eof = 0, bytes(8), False
        maxcount = min(_READDIR_BYTES, self.session.ioBytes)
        while not eof:
            results = await self.compound(
                [
                    requests.putfh(node.fh),
                    requests.readdir(cookie, verifier, maxcount, MASK | RDATTR_ERROR),
                ],
                2,
            )
            results.operation(22)
            results.operation(26)
            verifier, entries, eof = results.entries()
            for cookie, name, attributes in entries:
                found.append((name, Attributes.of(attributes)))
            if not entries and not eof:
                raise NFSError(nfsstat4.NFS4ERR_TOOSMALL)
        return found

    async def mkdir(self, path: Path, mode: int = 0o777) -> None:
        """
        Make a directory.

        @param mode: its permissions, exactly.
        """
        parent, name = await self.parentOf(path)
        results = await self.compound(
            [requests.putfh(parent), requests.mkdir(name, mode)], 2, cache=True
        )
        results.operation(22)
        results.operation(6)

    async def remove(self, path: Path) -> None:
        """
        Remove a file or an empty directory.
        """
        parent, name = await self.parentOf(path)
        results = await self.compound(
            [requests.putfh(parent), requests.remove(name)], 2, cache=True
        )
        results.operation(22)
        results.operation(28)

    async def parentOf(self, path: Path) -> tuple[bytes, bytes]:
        """
        The filehandle of the directory of a file, and the file's name in it.
        """
        names = namesOf(path)
        if not names:
            raise NFSError(nfsstat4.NFS4ERR_INVAL)
        return (await self.lookup(names[:-1])).fh, names[-1]


def namesOf(path: Path) -> tuple[bytes, ...]:
    """
    The names of a path.
    """
    if isinstance(path, str):
        path = os.fsencode(path)
    if isinstance(path, bytes):
        return splitPath(path)
    return tuple(path)
