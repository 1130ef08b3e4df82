"""
A metadata server in memory with an export that has layouts, and files in it.
"""

from __future__ import annotations

import struct
from typing import Any, Iterator, Optional

from contextlib import contextmanager

import attrs
from twisted.internet.defer import Deferred

from pnfs.backends.errors import Unreachable
from pnfs.backends.metadata.memory import MemoryMetadataBackend
from pnfs.callbacks.recall import LayoutRecaller
from pnfs.layouts.files import FilesLayoutDriver
from pnfs.layouts.flexfiles import FlexFilesLayoutDriver
from pnfs.layouts.striping import missing
from pnfs.namespace.exports import Export, ExportTable
from pnfs.namespace.filehandles import CapabilityCodec, FilehandleCodec
from pnfs.nfs4.operation import Operation
from pnfs.nfs4.ops.getattr import getattr as getattrOperation
from pnfs.nfs4.ops.getdeviceinfo import getdeviceinfo
from pnfs.nfs4.ops.layoutcommit import layoutcommit
from pnfs.nfs4.ops.layouterror import layouterror
from pnfs.nfs4.ops.layoutget import layoutget
from pnfs.nfs4.ops.layoutreturn import layoutreturn
from pnfs.nfs4.ops.layoutstats import layoutstats
from pnfs.nfs4.ops.putfh import putfh
from pnfs.rpc.coroutines import drive
from pnfs.state.devices import DeviceTable
from pnfs.state.files import FileState, fileState
from pnfs.state.layouts import LayoutTable
from pnfs.state.locks import LockTable
from pnfs.state.opens import BOTH, OpenState, OpenTable
from pnfs.values import NFS4_UINT64_MAX, FileType, NewObject, PlaceRequest, Placement
from tests.layouts.test_files import servers
from tests.nfs4.fixture import Fixture, Reply

LAYOUT_OPERATIONS: tuple[Operation, ...] = (
    getattrOperation,
    getdeviceinfo,
    layoutcommit,
    layouterror,
    layoutget,
    layoutreturn,
    layoutstats,
    putfh,
)

LAYOUTGET, LAYOUTRETURN, PUTFH = 50, 51, 22
MAX = NFS4_UINT64_MAX
CURRENT = b"\0\0\0\1" + bytes(12)


class MemoryFileData:
    """
    The part of L{pnfs.interfaces.IFileData} that layouts need, with data servers
    that hold nothing but a size.

    @ivar sizes: what the data servers would say, by inode handle.
    @ivar calls: what was asked for, in order.
    @ivar minted: the squash of each handle.
    @ivar full: no data server has any room left.
    @ivar failure: raised instead of an answer.
    @ivar lost: a data server has been, whose mirrors count still.
    @ivar pause: if set, everything waits for it; after: as L{pause}, once data
        servers have said their sizes.
    """

    def __init__(self) -> None:
        self.sizes: dict[bytes, int] = {}
        self.calls: list[str] = []
        self.minted: list[Any] = []
        self.full = False
        self.lost = False
        self.failure: Optional[Exception] = None
        self.pause: Optional[Deferred[None]] = None
        self.after: Optional[Deferred[None]] = None
        self.placing = PlaceRequest(65536, 0, 1, b"ab12", 0)
        self._capabilities = CapabilityCodec(b"k" * 32)

    async def _did(self, what: str) -> None:
        self.calls.append(what)
        if self.pause is not None:
            await self.pause
        if self.failure is not None:
            raise self.failure

    def mint(self, placement: Placement, iomode: int, squash: Any = None) -> bytes:
        """
        See L{pnfs.interfaces.IFileData.mint}.
        """
        self.calls.append("mint")
        self.minted.append(squash)
        return self._capabilities.mint(iomode, placement.epoch, placement.name, squash)

    def usable(self, placement: Placement, write: bool = False) -> Placement:
        """
        See L{pnfs.interfaces.IFileData.usable}.
        """
        if self.lost and write:
            raise Unreachable("lost")
        return placement.live

    def roomFor(self, placement: Placement, offset: int = 0) -> bool:
        """
        See L{pnfs.interfaces.IFileData.roomFor}.
        """
        return not self.full

    async def ensure(
        self, export: Any, inode: Any, write: bool = False, end: int = 0
    ) -> Placement:
        """
        See L{pnfs.interfaces.IFileData.ensure}.
        """
        await self._did("ensure")
        placement = await export.backend.loadPlacement(inode)
        if placement is None:
            driver = next(d for d in export.drivers.values() if d.name == export.layout)
            placement = driver.place(self.placing, servers(2))
            await export.backend.storePlacement(inode, placement)
        if missing(placement, end):
            more = placement.columns[:1] * missing(placement, end)
            placement = attrs.evolve(placement, columns=placement.columns + more)
            await export.backend.storePlacement(inode, placement)
        return placement  # type: ignore[no-any-return]

    async def refresh(self, export: Any, inode: Any) -> None:
        """
        See L{pnfs.interfaces.IFileData.refresh}.
        """
        await self._did("refresh")
        size = max(inode.size, self.sizes.get(inode.handle, 0))
        if self.after is not None:
            await self.after
        await export.backend.storeDataAttributes(inode, size, size, None, None)

    async def size(self, export: Any, inode: Any) -> int:
        """
        See L{pnfs.interfaces.IFileData.size}.
        """
        await self._did("size")
        return int(max(inode.size, self.sizes.get(inode.handle, 0)))

    async def fence(self, export: Any, inode: Any) -> None:
        """
        See L{pnfs.interfaces.IFileData.fence}.
        """
        await self._did("fence")


class LayoutFixture(Fixture):
    """
    A server with C{/export}, a file in it, and a client that has it open.

    @ivar files: the export's files layout driver; C{flex} the other one.
    @ivar recalled: CB_LAYOUTRECALLs sent: (client, layout type, changed, fh,
        stateid), and the Deferred that the client's answer goes to.
    """

    def __init__(self, leaseSeconds: float = 90.0) -> None:
        super().__init__(None, *LAYOUT_OPERATIONS, leaseSeconds=leaseSeconds)
        server = self.server
        backend = MemoryMetadataBackend(server.wallTime, server.entropy)
        drive(backend.start(), lambda _: None, _fail)
        self.files = FilesLayoutDriver()
        self.flex = FlexFilesLayoutDriver()
        self.export = Export(
            "/export", backend, {1: self.files, 4: self.flex}, layout="files"
        )
        server.exports = ExportTable([self.export])
        server.filehandles = FilehandleCodec(b"k" * 32)
        self.data = server.data = MemoryFileData()
        server.opens = OpenTable(server.stateids)
        server.locks = LockTable(server.stateids)
        server.layouts = LayoutTable(server.stateids)
        server.devices = DeviceTable(servers(2))
        self.recalled: list[tuple[tuple[Any, ...], Deferred[int]]] = []
        self.recaller = server.recaller = LayoutRecaller(server, self._send)
        server.clients.listeners.append(self.recaller.clientGone)
        self.inode = self.make(b"file")
        self.mount()
        self.opened = self.open()

    def _send(self, layout: Any, changed: bool, stateid: bytes) -> Deferred[int]:
        answer: Deferred[int] = Deferred()
        said = (layout.client, layout.layoutType, changed, layout.file.fh, stateid)
        self.recalled.append((said, answer))
        return answer

    def make(self, name: bytes, ftype: int = FileType.REG) -> Any:
        """
        A new object in the export's root.
        """
        made: list[Any] = []
        backend = self.export.backend
        what = NewObject(ftype, 0o644, 1000, 100, target=b"x")
        drive(backend.create(backend.root, name, what), made.append, _fail)
        return made[0]

    def fh(self, inode: Any = None) -> bytes:
        """
        A filehandle.
        """
        return self.server.filehandles.encode(  # type: ignore[no-any-return]
            self.export, inode or self.inode
        )

    @property
    def state(self) -> FileState:
        """
        The state of the file.
        """
        return self.inode.state  # type: ignore[no-any-return]

    def open(self, access: int = BOTH, inode: Any = None) -> OpenState:
        """
        The client opens a file.
        """
        inode = inode or self.inode
        file = fileState(self.fh(inode), inode, self.export)
        return self.server.opens.open(  # type: ignore[no-any-return]
            file, self.client, b"owner%d" % access, access, 0
        )

    @contextmanager
    def other(self, owner: bytes = b"other") -> Iterator[OpenState]:
        """
        Act as another client, which has the file open.
        """
        kept = self.clientid, self.sessionid, self.sequenceid
        self.mount(owner)
        yield self.open()
        self.clientid, self.sessionid, self.sequenceid = kept

    def putfh(self, inode: Any = None) -> bytes:
        """
        PUTFH.
        """
        fh = self.fh(inode)
        return struct.pack(">II", PUTFH, len(fh)) + fh + bytes(-len(fh) % 4)

    def onFile(self, *ops: bytes, inode: Any = None, **more: Any) -> Reply:
        """
        SEQUENCE, PUTFH and more, of which the first two succeed.
        """
        reply = self.run(self.putfh(inode), *ops, **more)
        status, _ = reply.take(PUTFH)
        if status:
            raise AssertionError(f"PUTFH: {status}")
        return reply

    def get(
        self, stateid: Optional[bytes] = None, inode: Any = None, **more: Any
    ) -> Any:
        """
        LAYOUTGET: its status, and the rest of the reply or of the error.
        """
        reply = self.onFile(self.getArgs(stateid, **more), inode=inode)
        status, _ = reply.take(LAYOUTGET)
        return status, reply.rest

    def getArgs(
        self,
        stateid: Optional[bytes] = None,
        layoutType: int = 1,
        iomode: int = 2,
        offset: int = 0,
        length: int = MAX,
        minlength: int = 4096,
        maxcount: int = 4096,
    ) -> bytes:
        """
        LAYOUTGET as the Linux client sends it.
        """
        return struct.pack(
            ">IIIIQQQ16sI",
            LAYOUTGET,
            0,
            layoutType,
            iomode,
            offset,
            length,
            minlength,
            self.opened.stateid if stateid is None else stateid,
            maxcount,
        )

    def give(
        self,
        stateid: bytes,
        iomode: int = 3,
        offset: int = 0,
        length: int = MAX,
        layoutType: int = 1,
        reclaim: int = 0,
        body: bytes = b"",
    ) -> bytes:
        """
        LAYOUTRETURN of a file.
        """
        head = struct.pack(">IIIII", LAYOUTRETURN, reclaim, layoutType, iomode, 1)
        what = struct.pack(">QQ16sI", offset, length, stateid, len(body))
        return head + what + body + bytes(-len(body) % 4)

    def giveBack(self, *args: Any, **more: Any) -> Any:
        """
        LAYOUTRETURN of a file: its status, and the stateid that stays or None.
        """
        reply = self.onFile(self.give(*args, **more))
        status, _ = reply.take(LAYOUTRETURN)
        if status:
            return status, None
        (present,) = struct.unpack_from(">I", reply.rest)
        if len(reply.rest) != (20 if present else 4):
            raise AssertionError(reply.rest)
        return status, reply.rest[4:] or None

    def hold(self, **more: Any) -> bytes:
        """
        Get a layout. @return: its stateid.
        """
        status, rest = self.get(**more)
        if status:
            raise AssertionError(f"LAYOUTGET: {status}")
        return rest[4:20]  # type: ignore[no-any-return]


def _fail(error: Exception) -> None:
    raise error
