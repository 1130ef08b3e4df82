# -*- test-case-name: tests.backends.ds.test_proxied -*-
"""
A folder of an NFSv4.1 server.
"""

from __future__ import annotations

import struct
from typing import Any, Awaitable, Callable, Optional, Sequence, TypeVar

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from pnfs.backends.ds.proxied_opens import Opens
from pnfs.backends.ds.proxied_upstream import IUpstream, UpstreamAttributes
from pnfs.backends.errors import IOFailed, NotDirectory, PermissionRefused, Unreachable
from pnfs.nfs4 import requests
from pnfs.nfs4.client import SessionClient
from pnfs.nfs4.results import OperationFailed, Results
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import nfs_opnum4
from pnfs.values import (
    NOW,
    FileType,
    FSStatistics,
    Piece,
    ReadResult,
    SetAttributes,
    Stable,
    WriteResult,
)
from pnfs.xdr.codec import PAD
from pnfs.xdr.errors import XDRError

_T = TypeVar("_T")

_TYPE, _CHANGE, _SIZE, _LEASE, _MAXREAD, _MAXWRITE = 1, 3, 4, 10, 30, 31
_AVAILABLE, _FREE, _TOTAL, _USED = 42, 43, 44, 45
_ATIME, _ATIME_SET, _CTIME, _MTIME, _MTIME_SET = 47, 48, 52, 53, 54


def _mask(*numbers: int) -> int:
    return sum(1 << number for number in numbers)


_FOLDER = _mask(_TYPE, _LEASE, _MAXREAD, _MAXWRITE)
_FILE = _mask(_CHANGE, _SIZE, _USED, _ATIME, _CTIME, _MTIME)
_SPACE = _mask(_AVAILABLE, _FREE, _TOTAL)

_NEEDED = 0x02 | 0x04 | 0x08
"""ACCESS4_LOOKUP, MODIFY, EXTEND."""

_LOST = frozenset(
    {
        nfsstat4.NFS4ERR_STALE,
        nfsstat4.NFS4ERR_BADHANDLE,
        nfsstat4.NFS4ERR_FHEXPIRED,
    }
)
_NO_STATEID = frozenset(
    {
        nfsstat4.NFS4ERR_ADMIN_REVOKED,
        nfsstat4.NFS4ERR_BAD_STATEID,
        nfsstat4.NFS4ERR_EXPIRED,
        nfsstat4.NFS4ERR_OLD_STATEID,
        nfsstat4.NFS4ERR_OPENMODE,
        nfsstat4.NFS4ERR_STALE_STATEID,
    }
)
_STATEID_ATTEMPTS = 3
_CREATOR = b"pnfs create"
_LEAST_SECONDS = 0.05
_BILLION = 1_000_000_000


def _timeToSet(time: int) -> bytes:
    """
    C{settime4}.
    """
    if time == NOW:
        return struct.pack(">I", 0)
    return struct.pack(">IqI", 1, *divmod(time, _BILLION))


@implementer(IUpstream)
class NFS4Upstream:
    """
    L{IUpstream} by NFSv4.1.

    The special stateid of all zeros serves for I/O: it needs no state that could be
    lost. At a server that does not take it, files are opened (L{Opens}).
    """

    def __init__(
        self,
        client: SessionClient,
        clock: IReactorTime,
        path: str,
        openFiles: int = 512,
    ) -> None:
        """
        @param path: from the server's root.
        @param openFiles: how many files to keep open, if need be.
        """
        self._client = client
        self._clock = clock
        self._path = [part for part in path.encode("utf-8").split(b"/") if part]
        self._openFiles = openFiles
        self._folder: Optional[bytes] = None
        self._opens: Optional[Opens] = None
        self.readBytes = self.writeBytes = client.ioBytes

    async def _do(
        self,
        fh: bytes,
        operations: Sequence[Piece],
        numbers: Sequence[int],
        until: float,
        cache: bool = False,
    ) -> Results:
        """
        PUTFH and further operations; positioned in the result of the first whose
        number is in C{numbers}, once those before it are found good.
        """
        return await self._compound(
            [requests.putfh(fh), *operations],
            (nfs_opnum4.OP_PUTFH, *numbers),
            until,
            cache,
        )

    async def _compound(
        self,
        operations: Sequence[Piece],
        numbers: Sequence[int],
        until: float,
        cache: bool,
    ) -> Results:
        results = await self._client.compound(
            operations,
            len(numbers),
            cache=cache,
            deadline=max(_LEAST_SECONDS, until - self._clock.seconds()),
        )
        for number in numbers:
            results.operation(number)
            if number not in _EMPTY:
                break
        return results

    # -- the folder ----------------------------------------------------------------

    async def connect(self, until: float) -> None:
        """
        See L{IUpstream.connect}.
        """
        await self._root(until)

    async def _root(self, until: float) -> bytes:
        if self._folder is None:
            results = await self._compound(
                [
                    requests.PUTROOTFH,
                    *(requests.lookup(name) for name in self._path),
                    requests.GETFH,
                    requests.getattr_(_FOLDER),
                    requests.access(_NEEDED),
                ],
                (
                    nfs_opnum4.OP_PUTROOTFH,
                    *(nfs_opnum4.OP_LOOKUP for _ in self._path),
                    nfs_opnum4.OP_GETFH,
                    nfs_opnum4.OP_GETATTR,
                    nfs_opnum4.OP_ACCESS,
                ),
                until,
                False,
            )
            fh = results.opaque(128)
            results.operation(nfs_opnum4.OP_GETATTR)
            found = results.attributes()
            if found.get(_TYPE) != FileType.DIR:
                raise NotDirectory("what the path leads to is no folder")
            results.operation(nfs_opnum4.OP_ACCESS)
            known, granted = results.uint32(), results.uint32()
            if known & ~granted & _NEEDED:
                raise PermissionRefused("the server does not let us write there")
            most = self._client.ioBytes
            self.readBytes = min(most, found.get(_MAXREAD) or most)
            self.writeBytes = min(most, found.get(_MAXWRITE) or most)
            self._client.onNewClientid = self._forgotten
            self._client.keepAlive(max(1.0, found.get(_LEASE, 30) / 3))
            self._folder = fh
        return self._folder

    def _forgotten(self) -> None:
        if self._opens is not None:
            self._opens.forgetAll()

    async def _inFolder(
        self, operation: Callable[[bytes], Awaitable[_T]], until: float
    ) -> _T:
        """
        Do something with the folder, which may have got another handle.
        """
        folder = await self._root(until)
        try:
            return await operation(folder)
        except OperationFailed as failure:
            if failure.status not in _LOST:
                raise
        self._folder = None
        return await operation(await self._root(until))

    async def close(self) -> None:
        """
        What is open is closed with the client ID.
        """
        await self._client.close()

    # -- names ---------------------------------------------------------------------

    async def lookup(self, name: bytes, until: float) -> bytes:
        """
        See L{IUpstream.lookup}.
        """
        results = await self._inFolder(
            lambda folder: self._do(
                folder,
                [requests.lookup(name), requests.GETFH],
                (nfs_opnum4.OP_LOOKUP, nfs_opnum4.OP_GETFH),
                until,
            ),
            until,
        )
        return results.opaque(128)

    async def create(self, name: bytes, until: float) -> bytes:
        """
        OPEN UNCHECKED, and CLOSE of what that has opened. Two of them at the same
        time open and close the same thing: the CLOSE of one may find nothing left.
        """
        results = await self._inFolder(
            lambda folder: self._do(
                folder,
                [
                    requests.open_(
                        self._client.clientid,
                        _CREATOR,
                        name,
                        requests.SHARE_WRITE,
                        [requests.modeAttribute(0o600)],
                    ),
                    requests.GETFH,
                ],
                (nfs_opnum4.OP_OPEN, nfs_opnum4.OP_GETFH),
                until,
                True,
            ),
            until,
        )
        stateid = results.opened()
        results.operation(nfs_opnum4.OP_GETFH)
        fh = results.opaque(128)
        try:
            await self._do(
                fh, [requests.close(stateid)], (nfs_opnum4.OP_CLOSE,), until, True
            )
        except OperationFailed as failure:
            if failure.status not in _NO_STATEID:
                raise
        return fh

    async def remove(self, name: bytes, until: float) -> None:
        """
        See L{IUpstream.remove}.
        """
        if self._opens is not None:
            # A server may keep the bytes of what is open.
            self._opens.closeFile(await self.lookup(name, until))
        await self._inFolder(
            lambda folder: self._do(
                folder, [requests.remove(name)], (nfs_opnum4.OP_REMOVE,), until, True
            ),
            until,
        )

    # -- attributes ----------------------------------------------------------------

    async def getattr(self, fh: bytes, until: float) -> UpstreamAttributes:
        """
        What a server does not know is told as near as can be.
        """
        results = await self._do(
            fh, [requests.getattr_(_FILE)], (nfs_opnum4.OP_GETATTR,), until
        )
        found = results.attributes()
        if _SIZE not in found or _CHANGE not in found:
            raise XDRError("the server tells neither size nor change attribute")
        mtime = found.get(_MTIME, 0)
        return UpstreamAttributes(
            found[_SIZE],
            found.get(_USED, found[_SIZE]),
            found.get(_ATIME, mtime),
            mtime,
            found.get(_CTIME, mtime),
            found[_CHANGE],
        )

    async def setattr(self, fh: bytes, changes: SetAttributes, until: float) -> None:
        """
        See L{IUpstream.setattr}.
        """
        values = []
        if changes.size is not None:
            values.append(requests.sizeAttribute(changes.size))
        if changes.atime is not None:
            values.append((_ATIME_SET, _timeToSet(changes.atime)))
        if changes.mtime is not None:
            values.append((_MTIME_SET, _timeToSet(changes.mtime)))
        await self._withStateid(
            fh,
            lambda stateid: [requests.setattr_(values, stateid)],
            (nfs_opnum4.OP_SETATTR,),
            until,
            True,
        )

    async def extend(self, fh: bytes, size: int, until: float) -> None:
        """
        VERIFY of the size and SETATTR in one COMPOUND.
        """
        while True:
            found = await self.getattr(fh, until)
            if found.size >= size:
                return
            verify = struct.pack(">I", nfs_opnum4.OP_VERIFY) + requests.fattr(
                [requests.sizeAttribute(found.size)]
            )
            values = [requests.sizeAttribute(size)]
            try:
                await self._withStateid(
                    fh,
                    lambda stateid: [verify, requests.setattr_(values, stateid)],
                    (nfs_opnum4.OP_VERIFY, nfs_opnum4.OP_SETATTR),
                    until,
                    True,
                )
                return
            except OperationFailed as failure:
                if failure.status != nfsstat4.NFS4ERR_NOT_SAME:
                    raise
            if self._clock.seconds() >= until:
                raise Unreachable("the file changes all the time")

    async def statfs(self, until: float) -> FSStatistics:
        """
        See L{IUpstream.statfs}.
        """
        results = await self._inFolder(
            lambda folder: self._do(
                folder, [requests.getattr_(_SPACE)], (nfs_opnum4.OP_GETATTR,), until
            ),
            until,
        )
        found = results.attributes()
        total, free = found.get(_TOTAL, 0), found.get(_FREE, 0)
        return FSStatistics(total, free, found.get(_AVAILABLE, free), 0, 0, 0)

    # -- data ----------------------------------------------------------------------

    async def _withStateid(
        self,
        fh: bytes,
        build: Callable[[bytes], Sequence[Piece]],
        numbers: Sequence[int],
        until: float,
        cache: bool = False,
    ) -> Results:
        """
        Do what needs a stateid: the anonymous one, until the server refuses it.
        """
        attempts = 0
        while True:
            opens = self._opens
            stateid = requests.ANONYMOUS
            if opens is not None:
                left = max(_LEAST_SECONDS, until - self._clock.seconds())
                stateid = await opens.stateid(fh, left)
            try:
                return await self._do(fh, build(stateid), numbers, until, cache)
            except OperationFailed as failure:
                attempts += 1
                if failure.status not in _NO_STATEID or attempts == _STATEID_ATTEMPTS:
                    raise
            if opens is not None:
                opens.forget(fh, stateid)
            elif self._opens is None:
                self._opens = Opens(self._client, self._openFiles)

    async def read(
        self, fh: bytes, offset: int, count: int, until: float
    ) -> ReadResult:
        """
        See L{IUpstream.read}.
        """
        count = min(count, self.readBytes)
        results = await self._withStateid(
            fh,
            lambda stateid: [requests.read(stateid, offset, count)],
            (nfs_opnum4.OP_READ,),
            until,
        )
        eof = results.uint32() == 1
        data = results.view(count)
        return ReadResult((data,) if data else (), len(data), eof)

    async def write(
        self, fh: bytes, offset: int, data: Any, stable: int, until: float
    ) -> WriteResult:
        """
        See L{IUpstream.write}.
        """
        part = data[: self.writeBytes]
        length = len(part)
        # C{_do} counts operations: head, data and padding are one.
        results = await self._withStateid(
            fh,
            lambda stateid: [
                requests.writeHead(stateid, offset, stable, length),
                part,
                PAD[length & 3],
            ],
            (nfs_opnum4.OP_WRITE,),
            until,
        )
        count, committed = results.uint32(), results.uint32()
        if count > length or committed > Stable.FILE_SYNC:
            raise IOFailed("the server says it wrote more than was sent")
        return WriteResult(count, committed, results.fixed(8))

    async def commit(self, fh: bytes, offset: int, count: int, until: float) -> bytes:
        """
        See L{IUpstream.commit}.
        """
        results = await self._do(
            fh, [requests.commit(offset, count)], (nfs_opnum4.OP_COMMIT,), until
        )
        return results.fixed(8)


_EMPTY = frozenset(
    {
        nfs_opnum4.OP_PUTROOTFH,
        nfs_opnum4.OP_PUTFH,
        nfs_opnum4.OP_LOOKUP,
        nfs_opnum4.OP_VERIFY,
    }
)
"""Operations whose results have no body."""
