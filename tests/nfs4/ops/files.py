"""
A server with one export in memory, to open, lock, read and write files in.
"""

from __future__ import annotations

import struct
from typing import Any, Optional

from twisted.internet.defer import Deferred, succeed

from pnfs.backends.metadata.memory import MemoryMetadataBackend
from pnfs.namespace.exports import Export, ExportTable
from pnfs.namespace.filehandles import FilehandleCodec
from pnfs.nfs4.ops.allocate import allocate
from pnfs.nfs4.ops.close import close
from pnfs.nfs4.ops.commit import commit
from pnfs.nfs4.ops.deallocate import deallocate
from pnfs.nfs4.ops.free_stateid import free_stateid
from pnfs.nfs4.ops.getfh import getfh
from pnfs.nfs4.ops.io_advise import io_advise
from pnfs.nfs4.ops.lock import lock
from pnfs.nfs4.ops.lockt import lockt
from pnfs.nfs4.ops.locku import locku
from pnfs.nfs4.ops.open import open_
from pnfs.nfs4.ops.open_downgrade import open_downgrade
from pnfs.nfs4.ops.putfh import putfh
from pnfs.nfs4.ops.read import read
from pnfs.nfs4.ops.read_plus import read_plus
from pnfs.nfs4.ops.seek import seek
from pnfs.nfs4.ops.test_stateid import test_stateid as testStateid
from pnfs.nfs4.ops.unlinked import stateDropper
from pnfs.nfs4.ops.write import write
from pnfs.nfs4.requests import fattr, opaque, putfh as putfhArgs
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import decodeBitmap
from pnfs.rpc.coroutines import drive
from pnfs.state.layouts import LayoutTable
from pnfs.state.locks import LockTable
from pnfs.state.opens import OpenTable
from pnfs.values import (
    Credential,
    FileType,
    Inode,
    NewObject,
    ReadResult,
    Segment,
    SegmentsResult,
    SetAttributes,
    WriteResult,
)
from tests.nfs4.fixture import Fixture, Reply

OPERATIONS = (
    allocate,
    close,
    commit,
    deallocate,
    free_stateid,
    getfh,
    io_advise,
    lock,
    lockt,
    locku,
    open_,
    open_downgrade,
    putfh,
    read,
    read_plus,
    seek,
    testStateid,
    write,
)

READ, WRITE, BOTH = 1, 2, 3
ALICE = Credential(1001, 100, frozenset({100}), 1)
BOB = Credential(1002, 100, frozenset({100}), 1)


def now(coroutine: Any) -> Any:
    """
    What a coroutine returns that does not wait.
    """
    results: list[Any] = []
    drive(coroutine, results.append, results.append)
    if isinstance(results[0], Exception):
        raise results[0]
    return results[0]


class MemoryData:
    """
    The bytes of files, in memory (see L{pnfs.interfaces.IFileData}).

    @ivar calls: what was asked, in order.
    @ivar gate: what each call waits for first, if not None.
    @ivar failure: what C{refresh} and C{copy} raise.
    @ivar copyBytes: what is copied at a time; verifier: what C{copy} tells.
    """

    def __init__(self) -> None:
        self.files: dict[bytes, bytearray] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.gate: Optional[Deferred[None]] = None
        self.failure: Optional[Exception] = None
        self.forgotten: list[Any] = []
        self.copyBytes = 1000
        self.verifier = b"verifier"

    async def _enter(self, *call: Any) -> None:
        self.calls.append(call)
        if self.gate is not None:
            await self.gate

    async def truncate(self, export: Any, inode: Inode, size: int) -> None:
        """
        Cut, and tell the backend.
        """
        await self._enter("truncate", size)
        data = self.files.setdefault(inode.handle, bytearray())
        del data[size:]
        data.extend(bytes(size - len(data)))
        await export.backend.setattr(inode, SetAttributes(size=size))

    async def refresh(self, export: Any, inode: Inode) -> None:
        """
        Count.
        """
        await self._enter("refresh")
        if self.failure is not None:
            raise self.failure

    async def read(
        self, export: Any, inode: Inode, offset: int, count: int
    ) -> ReadResult:
        """
        A slice, in two pieces.
        """
        await self._enter("read", offset, count)
        data = bytes(self.files.get(inode.handle, b""))
        found = data[offset : offset + count]
        return ReadResult(
            [found[:1], found[1:]], len(found), offset + count >= len(data)
        )

    async def write(
        self, export: Any, inode: Inode, offset: int, data: Any, stable: int
    ) -> WriteResult:
        """
        Into the bytearray.
        """
        await self._enter("write", offset, bytes(data), stable)
        held = self.files.setdefault(inode.handle, bytearray())
        held.extend(bytes(max(0, offset - len(held))))
        held[offset : offset + len(data)] = data
        return WriteResult(len(data), stable, b"verifier")

    async def commit(self, export: Any, inode: Inode, offset: int, count: int) -> bytes:
        """
        Nothing to do.
        """
        await self._enter("commit", offset, count)
        return b"verifier"

    async def seek(
        self, export: Any, inode: Inode, offset: int, hole: bool
    ) -> Optional[int]:
        """
        A byte of zero is a hole.
        """
        await self._enter("seek", offset, hole)
        data = self.files.get(inode.handle, b"")
        for position in range(offset, len(data)):
            if (not data[position]) == hole:
                return position
        return len(data) if hole and offset < len(data) else None

    async def readSegments(
        self, export: Any, inode: Inode, offset: int, count: int
    ) -> SegmentsResult:
        """
        Runs of zeros are holes; data comes in pieces of a byte.
        """
        await self._enter("readSegments", offset, count)
        data = bytes(self.files.get(inode.handle, b""))
        found = data[offset : offset + count]
        segments: list[Segment] = []
        for position, byte in enumerate(found, offset):
            last = segments[-1] if segments else None
            if last is None or (last.pieces is None) != (not byte):
                last = Segment(position, 0, [] if byte else None)
                segments.append(last)
            last.count += 1
            if byte:
                last.pieces = [*(last.pieces or ()), bytes([byte])]
        return SegmentsResult(segments, len(found), offset + count >= len(data))

    async def allocate(
        self, export: Any, inode: Inode, offset: int, length: int
    ) -> None:
        """
        Only the size changes.
        """
        await self._enter("allocate", offset, length)
        data = self.files.setdefault(inode.handle, bytearray())
        data.extend(bytes(max(0, offset + length - len(data))))
        await export.backend.setattr(inode, SetAttributes(size=len(data)))

    async def deallocate(
        self, export: Any, inode: Inode, offset: int, length: int
    ) -> None:
        """
        Zeros.
        """
        await self._enter("deallocate", offset, length)
        data = self.files.setdefault(inode.handle, bytearray())
        end = min(offset + length, len(data))
        data[offset:end] = bytes(max(0, end - offset))

    async def advise(
        self, export: Any, inode: Inode, offset: int, length: int, hints: int
    ) -> int:
        """
        The first ones matter.
        """
        await self._enter("advise", offset, length, hints)
        return hints & 0b111

    async def copy(
        self,
        export: Any,
        inode: Inode,
        offset: int,
        sourceExport: Any,
        source: Inode,
        sourceOffset: int,
        count: int,
    ) -> WriteResult:
        """
        Up to C{copyBytes} from one bytearray into another.
        """
        await self._enter("copy", sourceOffset, offset, count)
        if self.failure is not None:
            raise self.failure
        count = min(count, self.copyBytes)
        data = bytes(self.files.get(source.handle, b""))
        data = data[sourceOffset : sourceOffset + count]
        held = self.files.setdefault(inode.handle, bytearray())
        held.extend(bytes(max(0, offset + count - len(held))))
        held[offset : offset + count] = data + bytes(count - len(data))
        return WriteResult(count, 0, self.verifier)

    async def misplaced(
        self, export: Any, inode: Inode, sourceExport: Any, source: Inode
    ) -> bool:
        """
        Never.
        """
        return False

    async def clone(
        self,
        export: Any,
        inode: Inode,
        offset: int,
        sourceExport: Any,
        source: Inode,
        sourceOffset: int,
        count: int,
    ) -> None:
        """
        From one bytearray into another.
        """
        await self._enter("clone", sourceOffset, offset, count)
        if self.failure is not None:
            raise self.failure
        data = bytes(self.files.get(source.handle, b""))
        data = data[sourceOffset : sourceOffset + count]
        held = self.files.setdefault(inode.handle, bytearray())
        held.extend(bytes(max(0, offset + count - len(held))))
        held[offset : offset + count] = data

    def forget(self, export: Any, placement: Any) -> None:
        """
        Remember what to delete.
        """
        self.forgotten.append(placement)


class Recaller:
    """
    Recalls nothing by itself (see L{pnfs.interfaces.IRecaller}).

    @ivar done: fired once nothing is held any more.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Any, str, Any]] = []
        self.done: Any = Deferred()

    def recallLayouts(self, file: Any, reason: str, exclude: Any = None) -> Any:
        """
        Note the call.
        """
        self.calls.append((file, reason, exclude))
        if all(held.client is exclude for held in file.layouts.values()):
            return succeed(None)
        return self.done


class FileFixture(Fixture):
    """
    A mounted client of a server with the export C{/export}.

    @ivar export: not squashing root; backend: its tree in memory.
    @ivar rootFH: its root directory.
    """

    def __init__(self, *operations: Any, **more: Any) -> None:
        super().__init__(None, *OPERATIONS, *operations, **more)
        server = self.server
        self.backend = MemoryMetadataBackend(server.wallTime, server.entropy)
        now(self.backend.start())
        self.root = self.backend.root
        now(self.backend.setattr(self.root, SetAttributes(mode=0o777)))
        self.export = Export("/export", self.backend, rootSquash=False)
        server.exports = ExportTable([self.export])
        server.filehandles = FilehandleCodec(b"k" * 32)
        server.opens = OpenTable(server.stateids)
        server.locks = LockTable(server.stateids)
        server.layouts = LayoutTable(server.stateids)
        self.data = server.data = MemoryData()
        self.recaller = server.recaller = Recaller()
        server.clients.listeners.append(server.layouts.dropClient)
        server.clients.listeners.append(stateDropper(server))
        self.rootFH = self.fh(self.root)
        self.credential = ALICE

    def fh(self, inode: Inode) -> bytes:
        """
        The filehandle of an object.
        """
        return self.server.filehandles.encode(self.export, inode)  # type: ignore[no-any-return]

    def make(
        self,
        name: bytes,
        mode: int = 0o644,
        ftype: int = FileType.REG,
        owner: Credential = ALICE,
    ) -> Inode:
        """
        An object in the root directory, made behind the clients' backs.
        """
        target = b"target" if ftype == FileType.LNK else b""
        return now(  # type: ignore[no-any-return]
            self.backend.create(
                self.root,
                name,
                NewObject(ftype, mode, owner.uid, owner.gid, target=target),
            )
        )

    def at(self, inode: Inode, *ops: bytes, **more: Any) -> Reply:
        """
        Run operations with an object as the current filehandle; the reply's next
        result is that of the first of them.
        """
        reply = self.run(putfhArgs(self.fh(inode)), *ops, **more)
        reply.take(22)
        return reply

    def another(self, owner: bytes) -> "Mounted":
        """
        Another client of the same server.
        """
        return Mounted(self, owner)


class Mounted:
    """
    A further client: takes the fixture over while it acts.
    """

    def __init__(self, fixture: FileFixture, owner: bytes) -> None:
        self._fixture = fixture
        self._identity = (0, b"", 0)
        with self:
            fixture.mount(owner)

    def __enter__(self) -> FileFixture:
        self._swap()
        return self._fixture

    def __exit__(self, *exc: Any) -> None:
        self._swap()

    def _swap(self) -> None:
        fixture = self._fixture
        mine = self._identity
        self._identity = (fixture.clientid, fixture.sessionid, fixture.sequenceid)
        fixture.clientid, fixture.sessionid, fixture.sequenceid = mine


def openArgs(
    name: bytes = b"",
    access: int = READ,
    deny: int = 0,
    owner: bytes = b"owner",
    how: bytes = b"\0\0\0\0",
    claim: Optional[bytes] = None,
) -> bytes:
    """
    OPEN, by name unless another claim is given.
    """
    if claim is None:
        claim = struct.pack(">I", 0) + opaque(name)
    return (
        struct.pack(">IIIIQ", 18, 0, access, deny, 7777) + opaque(owner) + how + claim
    )


CLAIM_FH = struct.pack(">I", 4)
CLAIM_PREVIOUS = struct.pack(">II", 1, 0)


def unchecked(*values: tuple[int, bytes]) -> bytes:
    """
    UNCHECKED4 with attributes.
    """
    return struct.pack(">II", 1, 0) + fattr(values)


def guarded(*values: tuple[int, bytes]) -> bytes:
    """
    GUARDED4 with attributes.
    """
    return struct.pack(">II", 1, 1) + fattr(values)


def exclusive(verifier: bytes) -> bytes:
    """
    EXCLUSIVE4.
    """
    return struct.pack(">II8s", 1, 2, verifier)


def exclusive41(verifier: bytes, *values: tuple[int, bytes]) -> bytes:
    """
    EXCLUSIVE4_1 with attributes.
    """
    return struct.pack(">II8s", 1, 3, verifier) + fattr(values)


class Opened:
    """
    The result of a successful OPEN.
    """

    def __init__(self, reply: Reply) -> None:
        status, _ = reply.take(18)
        if status:
            raise AssertionError(nfsstat4(status).name)
        wire, pos = reply.wire, reply.pos
        self.stateid, self.atomic, self.before, self.after, self.flags = (
            struct.unpack_from(">16sIQQI", wire, pos)
        )
        self.attrset, pos = decodeBitmap(wire, pos + 40)
        (self.delegation,) = struct.unpack_from(">I", wire, pos)
        pos += 4
        self.why: Optional[int] = None
        if self.delegation == 3:
            (self.why,) = struct.unpack_from(">I", wire, pos)
            pos += 8 if self.why in (1, 2) else 4
        reply.pos = pos


def closeArgs(stateid: bytes) -> bytes:
    """
    CLOSE.
    """
    return struct.pack(">II16s", 4, 0, stateid)


def lockNew(
    stateid: bytes,
    locktype: int,
    offset: int,
    length: int,
    owner: bytes = b"locker",
    reclaim: int = 0,
) -> bytes:
    """
    LOCK of a new lock owner.
    """
    return struct.pack(
        ">IIIQQII16sIQ",
        12,
        locktype,
        reclaim,
        offset,
        length,
        1,
        0,
        stateid,
        0,
        4242,
    ) + opaque(owner)


def lockMore(stateid: bytes, locktype: int, offset: int, length: int) -> bytes:
    """
    LOCK of a lock owner that has a stateid.
    """
    return struct.pack(">IIIQQI16sI", 12, locktype, 0, offset, length, 0, stateid, 0)
