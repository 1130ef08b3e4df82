"""
A metadata server in memory with one export, for the operations on names and
attributes.
"""

from __future__ import annotations

import struct
from typing import Any, Optional

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.metadata.memory import MemoryMetadataBackend
from pnfs.namespace.exports import Export, ExportTable
from pnfs.namespace.filehandles import FilehandleCodec
from pnfs.nfs4.operation import tableOf
from pnfs.nfs4.ops.access import access
from pnfs.nfs4.ops.create import create
from pnfs.nfs4.ops.getattr import getattr as getattr_
from pnfs.nfs4.ops.getfh import getfh
from pnfs.nfs4.ops.getxattr import getxattr
from pnfs.nfs4.ops.link import link
from pnfs.nfs4.ops.listxattrs import listxattrs
from pnfs.nfs4.ops.lookup import lookup
from pnfs.nfs4.ops.lookupp import lookupp
from pnfs.nfs4.ops.nverify import nverify
from pnfs.nfs4.ops.putfh import putfh
from pnfs.nfs4.ops.putpubfh import putpubfh
from pnfs.nfs4.ops.putrootfh import putrootfh
from pnfs.nfs4.ops.readdir import readdir
from pnfs.nfs4.ops.readlink import readlink
from pnfs.nfs4.ops.remove import remove
from pnfs.nfs4.ops.removexattr import removexattr
from pnfs.nfs4.ops.rename import rename
from pnfs.nfs4.ops.restorefh import restorefh
from pnfs.nfs4.ops.savefh import savefh
from pnfs.nfs4.ops.secinfo import secinfo
from pnfs.nfs4.ops.secinfo_no_name import secinfo_no_name
from pnfs.nfs4.ops.setattr import setattr as setattr_
from pnfs.nfs4.ops.setxattr import setxattr
from pnfs.nfs4.ops.verify import verify
from pnfs.nfs4.types import decodeBitmap, encodeBitmap
from pnfs.state.files import fileState
from pnfs.state.layouts import LayoutTable, Segment
from pnfs.state.locks import LockTable
from pnfs.state.opens import OpenTable
from pnfs.values import Credential, FileType, Inode, NewObject, Placement, SetAttributes
from pnfs.xdr.codec import PAD
from tests.nfs4.fixture import SESSION_OPERATIONS, Fixture, Reply, entropy

EVERY = SESSION_OPERATIONS + (
    access,
    create,
    getattr_,
    getfh,
    getxattr,
    link,
    listxattrs,
    lookup,
    lookupp,
    nverify,
    putfh,
    putpubfh,
    putrootfh,
    readdir,
    readlink,
    remove,
    removexattr,
    rename,
    restorefh,
    savefh,
    secinfo,
    secinfo_no_name,
    setattr_,
    setxattr,
    verify,
)

ALICE = Credential(1000, 1000, frozenset({1000, 2000}), 1)
BOB = Credential(1001, 1001, frozenset({1001}), 1)
SUPERUSER = Credential(0, 0, frozenset({0}), 1)

PUTROOTFH = struct.pack(">I", 24)
PUTPUBFH = struct.pack(">I", 23)
GETFH = struct.pack(">I", 10)
SAVEFH = struct.pack(">I", 32)
RESTOREFH = struct.pack(">I", 31)
LOOKUPP = struct.pack(">I", 16)
READLINK = struct.pack(">I", 27)


def opaque(data: bytes) -> bytes:
    """
    Variable-length opaque data.
    """
    return struct.pack(">I", len(data)) + data + PAD[len(data) & 3]


def named(number: int, *names: bytes) -> bytes:
    """
    An operation whose arguments are names.
    """
    return struct.pack(">I", number) + b"".join(opaque(name) for name in names)


def PUTFH(fh: bytes) -> bytes:
    """
    PUTFH.
    """
    return named(22, fh)


def LOOKUP(*path: bytes) -> tuple[bytes, ...]:
    """
    LOOKUPs down a path.
    """
    return tuple(named(15, name) for name in path)


def GETATTR(*attributes: int) -> bytes:
    """
    GETATTR.
    """
    return struct.pack(">I", 9) + encodeBitmap(sum(1 << n for n in attributes))


def fattr(values: dict[int, bytes]) -> bytes:
    """
    C{fattr4} from encoded values by number.
    """
    return encodeBitmap(sum(1 << n for n in values)) + opaque(
        b"".join(values[n] for n in sorted(values))
    )


@attrs.define(eq=False)
class FakeData:
    """
    Stands for the data servers' side of a metadata server.

    @ivar calls: what was asked of it.
    @ivar failure: what C{refresh} raises.
    """

    calls: list[tuple[Any, ...]] = attrs.Factory(list)
    failure: Optional[Exception] = None
    onRefresh: Any = None
    onSize: Any = None

    async def refresh(self, export: Any, inode: Inode) -> None:
        """
        Recorded; runs C{onRefresh}.
        """
        self.calls.append(("refresh", inode.fileid))
        if self.failure is not None:
            raise self.failure
        if self.onRefresh is not None:
            await self.onRefresh()

    async def size(self, export: Any, inode: Inode) -> int:
        """
        Recorded; what C{onSize} says, else what is known.
        """
        self.calls.append(("size", inode.fileid))
        if self.failure is not None:
            raise self.failure
        return inode.size if self.onSize is None else int(await self.onSize())

    async def truncate(self, export: Any, inode: Inode, size: int) -> None:
        """
        Recorded; the inode gets the size.
        """
        self.calls.append(("truncate", size))
        await export.backend.setattr(inode, SetAttributes(size=size))

    async def applyOwner(self, export: Any, inode: Inode) -> None:
        """
        Recorded.
        """
        self.calls.append(("applyOwner", inode.uid, inode.gid, inode.mode))

    async def applyTimes(self, export: Any, inode: Inode) -> None:
        """
        Recorded.
        """
        self.calls.append(("applyTimes", inode.mtime))

    async def fence(self, export: Any, inode: Inode) -> None:
        """
        Recorded.
        """
        self.calls.append(("fence", inode.fileid))

    def forget(self, export: Any, placement: Placement) -> None:
        """
        Recorded.
        """
        self.calls.append(("forget", placement.name))


@attrs.define(eq=False)
class FakeRecaller:
    """
    Recalls that are over when the test says so.

    @ivar recalls: (reason, exclude) of each.
    """

    recalls: list[tuple[str, Any]] = attrs.Factory(list)

    def recallLayouts(self, file: Any, reason: str, exclude: Any = None) -> Any:
        """
        See L{pnfs.interfaces.IRecaller}.
        """
        others = [l for l in file.layouts.values() if l.client is not exclude]
        if not others:
            return succeed(None)
        self.recalls.append((reason, exclude))
        return Deferred()


class NamespaceCase(SynchronousTestCase):
    """
    A client C{ALICE} of a server that exports a tree at C{/data/export}.
    """

    minor = 1
    rootSquash = True
    readOnly = False

    def setUp(self) -> None:
        self.fixture = Fixture({1: tableOf(*EVERY, minor=1), 2: tableOf(*EVERY)})
        server = self.fixture.server
        self.backend = MemoryMetadataBackend(server.wallTime, entropy(b"tree"))
        self.wait(self.backend.start())
        self.export = Export(
            "/data/export",
            self.backend,
            drivers={4: None, 1: None},
            rootSquash=self.rootSquash,
            readOnly=self.readOnly,
        )
        server.exports = ExportTable([self.export], server.wallTime())
        server.filehandles = FilehandleCodec(b"k" * 32)
        server.opens = OpenTable(server.stateids)
        server.locks = LockTable(server.stateids)
        server.layouts = LayoutTable(server.stateids)
        self.data = server.data = FakeData()
        self.recaller = server.recaller = FakeRecaller()
        self.fixture.mount(minor=self.minor)
        self.root = self.backend.root
        self.wait(self.backend.setattr(self.root, SetAttributes(mode=0o777)))

    def wait(self, coroutine: Any) -> Any:
        """
        The result of a coroutine that does not wait.
        """
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def make(
        self,
        name: bytes,
        ftype: int = FileType.REG,
        mode: int = 0o644,
        uid: int = 1000,
        gid: int = 1000,
        parent: Any = None,
        **more: Any,
    ) -> Any:
        """
        An object in the tree, in its root by default.
        """
        return self.wait(
            self.backend.create(
                parent or self.root, name, NewObject(ftype, mode, uid, gid, **more)
            )
        )

    def fh(self, inode: Any) -> bytes:
        """
        The filehandle of an object in the export.
        """
        return self.fixture.server.filehandles.encode(self.export, inode)

    def place(self, inode: Any) -> Placement:
        """
        Give a file data files.
        """
        placement = Placement("files", 65536, ((b"u" * 16,),), b"ab%02x" % inode.fileid)
        self.wait(self.backend.storePlacement(inode, placement))
        return placement

    def openFor(self, inode: Any, access: int = 3, deny: int = 0) -> Any:
        """
        An open of the client.
        """
        state = fileState(self.fh(inode), inode, self.export)
        return self.fixture.server.opens.open(
            state, self.fixture.client, b"owner", access, deny
        )

    def layoutFor(self, inode: Any, client: Any = None, iomode: int = 2) -> Any:
        """
        A layout, of another client by default.
        """
        if client is None:
            fixture = self.fixture
            session = fixture.sessionid, fixture.sequenceid, fixture.clientid
            fixture.mount(owner=b"other", minor=self.minor)
            client = fixture.client
            fixture.sessionid, fixture.sequenceid, fixture.clientid = session
        state = fileState(self.fh(inode), inode, self.export)
        segment: Segment = (iomode, 0, 1 << 64)
        return self.fixture.server.layouts.grant(
            state, client, 1, (b"u" * 16,), [segment]
        )

    def run_(self, *ops: bytes, as_: Credential = ALICE) -> Reply:
        """
        A COMPOUND after SEQUENCE.
        """
        return self.fixture.run(*ops, credential=as_)

    def status(self, *ops: bytes, as_: Credential = ALICE) -> int:
        """
        Its status.
        """
        return self.run_(*ops, as_=as_).status

    def last(self, *ops: bytes, as_: Credential = ALICE) -> bytes:
        """
        The result of the last operation, which must be successful; the others are
        to have no result but PUTFH and the like.
        """
        reply = self.run_(*ops, as_=as_)
        self.assertEqual(reply.status, 0)
        for _ in ops[:-1]:
            self.assertEqual(reply.head()[1], 0)
        self.assertEqual(reply.head()[1], 0)
        return reply.rest

    def attributes(
        self, fh: bytes, *numbers: int, as_: Credential = ALICE
    ) -> tuple[int, bytes]:
        """
        GETATTR: the bitmap and the values.
        """
        rest = self.last(PUTFH(fh), GETATTR(*numbers), as_=as_)
        bitmap, pos = decodeBitmap(rest, 0)
        (length,) = struct.unpack_from(">I", rest, pos)
        self.assertEqual(len(rest), pos + 4 + length)
        return bitmap, rest[pos + 4 :]
