# -*- test-case-name: tests.backends.ds.test_controlled -*-
"""
A data server of ours as its metadata server sees it: standard NFSv4.2 operations
under control handles (L{pnfs.nfs4.dsops.control}).
"""

from __future__ import annotations

import re
from typing import Any, Optional, Sequence

from zope.interface import implementer

from pnfs.backends import errors
from pnfs.backends.ds.controlled_copies import ControlledCopies
from pnfs.backends.ds.controlled_digests import ControlledDigests
from pnfs.backends.ds.controlled_objects import ControlledObjects
from pnfs.backends.ds.remote import translating
from pnfs.interfaces import IDataServerBackend
from pnfs.namespace.filehandles import CONTROL
from pnfs.nfs4 import requests
from pnfs.nfs4.results import OperationFailed, Results
from pnfs.nfs4.status import nfsstat4
from pnfs.values import (
    NOW,
    FSStatistics,
    ObjectAttributes,
    ReadResult,
    Segment,
    SegmentsResult,
    SetAttributes,
    WriteResult,
)
from pnfs.xdr.codec import PAD

_SPACE = sum(1 << bit for bit in (42, 43, 44, 77))
_EXTEND_XATTR = b"pnfs.extend"
_LARGEST = (1 << 63) - 1
_OPERATIONS = 12
"""Of one kind in a COMPOUND: a session of ours takes 16 in all."""


def _time(nanoseconds: int) -> Optional[int]:
    return None if nanoseconds == NOW else nanoseconds


_NAME = re.compile(rb"(?:[0-9a-f]{2}){1,40}")
"""Names of objects: bytes in hex, so that a capability has room for them."""


@implementer(IDataServerBackend)
class ControlledDataServerBackend(
    ControlledObjects, ControlledCopies, ControlledDigests
):
    """
    Objects of a remote data server that takes our control handles.

    @ivar verifier: the last write verifier heard of; zeros before that.
    """

    def __init__(self, client: Any, capabilities: Any) -> None:
        """
        @param client: L{pnfs.nfs4.client.SessionClient} of minor version 2.
        @param capabilities: L{pnfs.namespace.filehandles.CapabilityCodec}.
        """
        self._client = client
        self._capabilities = capabilities
        self._root = requests.putfh(capabilities.mint(CONTROL, 0, b""))
        self.verifier = bytes(8)

    @property
    def uuid(self) -> bytes:
        """
        The identity of whoever answers there now: another one as soon as another
        data server does. Empty if it is none of ours, or none has answered yet.
        """
        try:
            uuid = bytes.fromhex(self._client.serverOwner.decode("ascii"))
        except ValueError:
            return b""
        return uuid if len(uuid) == 16 else b""

    @translating
    async def start(self) -> None:
        """
        Connect. @raise errors.Unreachable: it does not answer.
        """
        await self._client.connect()
        if not self.uuid:
            raise errors.IOFailed(
                f"not a data server of ours: its identity is {self._client.serverOwner!r}"
            )

    async def stop(self) -> None:
        """
        Give the session back.
        """
        await self._client.close()

    def giveUp(self) -> None:
        """
        The data server is taken to be dead: what is under way fails, and what is tried
        from now on is tried once.
        """
        self._client.giveUp()

    def beginAgain(self) -> None:
        """
        It has answered after all.
        """
        self._client.beginAgain()

    def peek(self, name: bytes) -> Optional[ObjectAttributes]:
        """
        Nothing is known without asking.
        """
        return None

    def readNow(self, name: bytes, offset: int, count: int) -> Optional[ReadResult]:
        """
        Nothing is known without asking.
        """
        return None

    def writeNow(
        self, name: bytes, offset: int, data: memoryview, stable: int
    ) -> Optional[WriteResult]:
        """
        Nothing can be done without waiting.
        """
        return None

    def _object(self, name: bytes) -> bytes:
        """
        @raise errors.NoSuchObject: nothing can be called that.
        """
        if not _NAME.fullmatch(name):
            raise errors.NoSuchObject(repr(name))
        return requests.putfh(self._capabilities.mint(CONTROL, 0, name))

    async def _do(
        self,
        handle: bytes,
        operation: Sequence[Any],
        number: int,
        cache: bool = False,
        count: int = 2,
    ) -> Results:
        """
        PUTFH and one operation, or more; positioned in the first one's result.

        @param count: how many they are, with the PUTFH.
        """
        results: Results = await self._client.compound(
            [handle, *operation], count, cache=cache
        )
        results.operation(22)
        results.operation(number)
        return results

    @translating
    async def remove(self, name: bytes) -> None:
        """
        REMOVE.
        """
        if not _NAME.fullmatch(name):
            raise errors.NoSuchObject(repr(name))
        await self._do(self._root, [requests.remove(name)], 28, cache=True)

    @translating
    async def setattr(self, name: bytes, changes: SetAttributes) -> None:
        """
        SETATTR of size, mode, owner and times.
        """
        values = []
        if changes.size is not None:
            values.append(requests.sizeAttribute(changes.size))
        if changes.mode is not None:
            values.append(requests.modeAttribute(changes.mode))
        if changes.uid is not None:
            values.append(requests.ownerAttribute(changes.uid))
        if changes.gid is not None:
            values.append(requests.groupAttribute(changes.gid))
        if changes.atime is not None:
            values.append(requests.accessTimeAttribute(_time(changes.atime)))
        if changes.mtime is not None:
            values.append(requests.modifyTimeAttribute(_time(changes.mtime)))
        await self._do(
            self._object(name),
            [requests.setattr_(values, requests.ANONYMOUS)],
            34,
            cache=True,
        )

    @translating
    async def extend(self, name: bytes, size: int) -> None:
        """
        SETXATTR C{pnfs.extend}.
        """
        if size > _LARGEST:
            raise errors.TooBig(f"{size} bytes")
        await self._do(
            self._object(name),
            [requests.setxattr(_EXTEND_XATTR, size.to_bytes(8, "big"))],
            73,
        )

    @translating
    async def read(self, name: bytes, offset: int, count: int) -> ReadResult:
        """
        READs of what a session takes, until the range or the object ends.
        """
        pieces: list[Any] = []
        got = 0
        eof = False
        handle = self._object(name)
        while not eof and (got < count or not pieces):
            want = min(count - got, self._client.ioBytes)
            results = await self._do(
                handle, [requests.read(requests.ANONYMOUS, offset + got, want)], 25
            )
            eof = results.uint32() == 1
            data = results.view(want)
            pieces.append(data)
            got += len(data)
            if want and not data and not eof:
                raise errors.IOFailed("a data server reads nothing, but no end either")
        return ReadResult(pieces, got, eof)

    @translating
    async def write(
        self, name: bytes, offset: int, data: memoryview, stable: int
    ) -> WriteResult:
        """
        WRITEs of what a session takes; the view is sent uncopied.
        """
        handle = self._object(name)
        done = 0
        committed = 2
        verifier = None
        while done < len(data) or verifier is None:
            part = data[done : done + self._client.ioBytes]
            results = await self._do(
                handle,
                [
                    requests.writeHead(
                        requests.ANONYMOUS, offset + done, stable, len(part)
                    ),
                    part,
                    PAD[len(part) & 3],
                ],
                38,
            )
            count = results.uint32()
            committed = min(committed, results.uint32())
            now = results.fixed(8)
            self.verifier = now
            if verifier is not None and now != verifier:
                # It restarted between two parts: what came before may be lost.
                done, committed, verifier = 0, 2, None
                continue
            if count == 0 and part:
                raise errors.IOFailed("a data server writes nothing")
            verifier = now
            done += count
        return WriteResult(done, committed, verifier)

    async def writePast(
        self, name: bytes, offset: int, data: memoryview
    ) -> Optional[tuple[WriteResult, Sequence[bytes]]]:
        """
        That is up to the data server.
        """
        return None

    @translating
    async def commit(self, name: bytes, offset: int, count: int) -> bytes:
        """
        COMMIT.
        """
        results = await self._do(
            self._object(name), [requests.commit(offset, count)], 5
        )
        self.verifier = results.fixed(8)
        return self.verifier

    @translating
    async def seek(self, name: bytes, offset: int, hole: bool) -> Optional[int]:
        """
        SEEK.
        """
        try:
            results = await self._do(
                self._object(name),
                [requests.seek(requests.ANONYMOUS, offset, int(hole))],
                69,
            )
        except OperationFailed as failure:
            if failure.status == nfsstat4.NFS4ERR_NXIO:
                return None
            raise
        eof = results.uint32() == 1
        found = results.uint64()
        return None if eof and not hole else found

    @translating
    async def readSegments(
        self, name: bytes, offset: int, count: int
    ) -> SegmentsResult:
        """
        READ_PLUSes of what a session takes, until the range or the object ends.
        """
        segments: list[Segment] = []
        handle = self._object(name)
        end = offset + count
        position = offset
        while True:
            want = min(end - position, self._client.ioBytes)
            results = await self._do(
                handle, [requests.readPlus(requests.ANONYMOUS, position, want)], 68
            )
            eof, found = results.segments(want)
            before = position
            for segment in found:
                if segment.offset != position or segment.count > end - position:
                    raise errors.IOFailed("a data server tells segments out of order")
                segments.append(segment)
                position += segment.count
            if eof or position == end:
                return SegmentsResult(segments, position - offset, eof)
            if position == before:
                raise errors.IOFailed("a data server reads nothing, but no end either")

    @translating
    async def allocate(self, name: bytes, ranges: Sequence[tuple[int, int]]) -> None:
        """
        ALLOCATEs, several in a COMPOUND.
        """
        handle = self._object(name)
        for first in range(0, len(ranges), _OPERATIONS):
            some = ranges[first : first + _OPERATIONS]
            await self._all(
                handle,
                [requests.allocate(requests.ANONYMOUS, *each) for each in some],
                59,
            )

    async def _all(self, handle: bytes, operations: list[bytes], number: int) -> None:
        """
        PUTFH and operations of one kind, whose results have no body.
        """
        results = await self._client.compound(
            [handle, *operations], 1 + len(operations), cache=True
        )
        results.operation(22)
        for _ in operations:
            results.operation(number)

    @translating
    async def deallocate(self, name: bytes, offset: int, length: int) -> None:
        """
        DEALLOCATE.
        """
        await self._all(
            self._object(name),
            [requests.deallocate(requests.ANONYMOUS, offset, length)],
            62,
        )

    @translating
    async def advise(self, name: bytes, offset: int, length: int, hints: int) -> int:
        """
        IO_ADVISE.
        """
        results = await self._do(
            self._object(name),
            [requests.ioAdvise(requests.ANONYMOUS, offset, length, hints)],
            63,
        )
        return results.bitmap()

    @translating
    async def list(self, after: bytes, limit: int) -> Sequence[bytes]:
        """
        READDIR from the beginning; names up to C{after} are passed over.
        """
        while True:
            try:
                names = await self._names()
            except OperationFailed as failure:
                if failure.status == nfsstat4.NFS4ERR_NOT_SAME:
                    continue
                raise
            return [name for name in names if name > after][:limit]

    async def _names(self) -> Sequence[bytes]:
        names = []
        cookie, verifier = 0, bytes(8)
        while True:
            results = await self._do(
                self._root, [requests.readdir(cookie, verifier, 65536, 0)], 26
            )
            verifier = results.fixed(8)
            while results.uint32():
                cookie = results.uint64()
                names.append(results.opaque(255))
                results.attributes()
            if results.uint32():
                return names

    @translating
    async def statfs(self) -> FSStatistics:
        """
        Space of the data server.
        """
        results = await self._do(self._root, [requests.getattr_(_SPACE)], 9)
        found = results.attributes()
        return FSStatistics(found[44], found[43], found[42], 0, 0, 0, found.get(77, 0))
