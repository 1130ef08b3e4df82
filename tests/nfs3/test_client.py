"""
Tests of L{pnfs.nfs3.client} and L{pnfs.nfs3.mount}, against a folder in memory and
against answers made by hand.
"""

from __future__ import annotations

import struct
from typing import Any, Optional, Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pnfs.nfs3.client import NFS3Client
from pnfs.nfs3.mount import MOUNT_PROGRAM, MOUNT_V3, mount, portOf
from pnfs.nfs3.results import (
    CREATE3resok,
    WRITE3resok,
    fattr3,
    nanoseconds,
    nfstime3,
    wcc_attr,
    wcc_data,
)
from pnfs.nfs3.status import NFS3Error, nfsstat3
from pnfs.values import NOW, SetAttributes, Stable
from pnfs.xdr.codec import codecFor
from pnfs.xdr.errors import XDRError
from tests.backends.ds.upstreams import Folder3

_u32s = st.integers(0, 2**32 - 1)
_u64s = st.integers(0, 2**64 - 1)
_times = st.builds(nfstime3, _u32s, _u32s)
_fattrs = st.builds(
    fattr3,
    *[_u32s] * 5,
    *[_u64s] * 2,
    *[_u32s] * 2,
    *[_u64s] * 2,
    *[_times] * 3,
)
_wccs = st.builds(
    wcc_data,
    st.none() | st.builds(wcc_attr, _u64s, _times, _times),
    st.none() | _fattrs,
)


class Canned:
    """
    Stands for the RPC client: gives one answer to everything.
    """

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.sent: list[bytes] = []

    def call(
        self,
        program: int,
        version: int,
        procedure: int,
        pieces: Sequence[Any] = (),
        credential: Optional[bytes] = None,
        timeout: Optional[float] = None,
    ) -> Deferred[tuple[bytes, int]]:
        """
        See L{pnfs.rpc.client.RPCClient.call}.
        """
        self.sent.append(b"".join(map(bytes, pieces)))
        return succeed((b"header.." + self.answer, 8))


class _Case(SynchronousTestCase):
    def run_(self, coroutine: Any) -> Any:
        """
        The result of what need not wait.
        """
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def fails(self, coroutine: Any, kind: type[Exception]) -> Any:
        """
        What it raises.
        """
        return self.failureResultOf(Deferred.fromCoroutine(coroutine), kind).value


class FolderTests(_Case):
    """
    Every procedure, in the order in which one gets to need them.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.server = Folder3(self.clock)
        self.client = NFS3Client(self.server.line(2049))
        self.root = self.server.root

    def test_mount(self) -> None:
        """
        The port mapper leads to MOUNT, and that to the folder.
        """
        line = self.server.line(111)
        self.assertEqual(self.run_(portOf(line, MOUNT_PROGRAM, MOUNT_V3)), 635)
        found = self.run_(mount(line, b"/vol/folder", b""))
        self.assertEqual((found.fhandle, found.auth_flavors), (self.root, [1]))
        error = self.fails(mount(line, b"/none", b""), NFS3Error)
        self.assertEqual(error.status, nfsstat3.NFS3ERR_NOENT)

    def test_file(self) -> None:
        """
        A file is made, written, looked at, changed, read and removed.
        """
        client, root, run = self.client, self.root, self.run_
        run(client.null())
        fh = run(client.create(root, b"name", SetAttributes(mode=0o640)))
        self.assertEqual(run(client.lookup(root, b"name")).object, fh)
        error = self.fails(
            client.create(root, b"name", SetAttributes(), guarded=True), NFS3Error
        )
        self.assertEqual(error.status, nfsstat3.NFS3ERR_EXIST)
        written = run(client.write(fh, 3, memoryview(b"hello"), Stable.DATA_SYNC))
        self.assertEqual((written.count, written.committed), (5, Stable.DATA_SYNC))
        self.assertEqual(run(client.commit(fh, 0, 0)), written.verifier)
        found = run(client.getattr(fh))
        self.assertEqual((found.size, found.mode), (8, 0o640))
        read = run(client.read(fh, 2, 4))
        self.assertEqual((bytes(read.pieces[0]), read.eof), (b"\0hel", False))
        read = run(client.read(fh, 8, 4))
        self.assertEqual((read.pieces, read.count, read.eof), ((), 0, True))
        run(client.setattr(fh, SetAttributes(size=4, mtime=5 * 10**9, atime=NOW)))
        found = run(client.getattr(fh))
        self.assertEqual(
            (found.size, nanoseconds(found.mtime), nanoseconds(found.atime)),
            (4, 5 * 10**9, 2 * 10**18),
        )
        run(client.remove(root, b"name"))
        error = self.fails(client.lookup(root, b"name"), NFS3Error)
        self.assertEqual(error.status, nfsstat3.NFS3ERR_NOENT)

    def test_guard(self) -> None:
        """
        A guarded SETATTR is refused once the file has changed.
        """
        fh = self.run_(self.client.create(self.root, b"name", SetAttributes()))
        seen = self.run_(self.client.getattr(fh)).ctime
        self.clock.advance(10)
        grow = SetAttributes(size=10)
        self.run_(self.client.setattr(fh, grow, seen))
        error = self.fails(self.client.setattr(fh, grow, seen), NFS3Error)
        self.assertEqual(error.status, nfsstat3.NFS3ERR_NOT_SYNC)

    def test_names(self) -> None:
        """
        A long directory is read page by page, each name once.
        """
        self.assertEqual(self.run_(self.client.names(self.root)), [])
        names = [b"%02d" % number for number in range(11)]
        for name in names:
            self.run_(self.client.create(self.root, name, SetAttributes()))
        self.assertEqual(self.run_(self.client.names(self.root)), names)

    def test_fileSystem(self) -> None:
        """
        Space, sizes and rights of the file system.
        """
        self.assertEqual(self.run_(self.client.fsstat(self.root)).filesTotal, 100)
        self.assertEqual(self.run_(self.client.fsinfo(self.root)).wtmax, 65536)
        self.assertEqual(self.run_(self.client.access(self.root, 7)), 7)


class AnswerTests(_Case):
    """
    Answers that no server should give.
    """

    def read(self, answer: bytes, count: int = 5) -> Any:
        """
        READ.
        """
        return NFS3Client(Canned(answer)).read(b"fh", 0, count)

    def test_read(self) -> None:
        """
        The data of a READ is a view of the record, with attributes before it and
        without; what is cut off anywhere, or longer than asked for, is refused.
        """
        attributes = codecFor(fattr3).encode(
            fattr3(*range(1, 12), *[nfstime3(1, 2)] * 3)
        )
        rest = struct.pack(">III", 5, 1, 5) + b"hello\0\0\0"
        for answer in (
            bytes(8) + rest,
            b"\0\0\0\0\0\0\0\1" + attributes + rest,
        ):
            result = self.run_(self.read(answer))
            self.assertEqual((bytes(result.pieces[0]), result.eof), (b"hello", True))
            self.assertEqual(len(result.pieces[0].obj), len(answer) + 8)
            for length in range(len(answer) - 3):
                self.fails(self.read(answer[:length]), XDRError)
            self.fails(self.read(answer, 4), XDRError)
        lying = bytes(8) + struct.pack(">III", 4, 1, 5) + b"hello\0\0\0"
        self.fails(self.read(lying), XDRError)

    def test_unknownStatus(self) -> None:
        """
        A status that NFSv3 does not have is a broken answer.
        """
        self.fails(self.read(struct.pack(">I", 4711)), XDRError)
        error = self.fails(self.read(struct.pack(">I", 70) + bytes(4)), NFS3Error)
        self.assertEqual(error.status, nfsstat3.NFS3ERR_STALE)

    def test_writtenTooMuch(self) -> None:
        """
        A server that says it wrote more than was sent is not believed.
        """
        answer = bytes(4) + codecFor(WRITE3resok).encode(
            WRITE3resok(wcc_data(None, None), 6, 0, bytes(8))
        )
        client = NFS3Client(Canned(answer))
        self.fails(client.write(b"fh", 0, memoryview(b"hello"), 0), XDRError)

    def test_port(self) -> None:
        """
        A port mapper's number that is no port is refused.
        """
        self.fails(portOf(Canned(struct.pack(">I", 1 << 20)), 1, 1), XDRError)
        self.fails(portOf(Canned(b""), 1, 1), XDRError)

    def test_endlessDirectory(self) -> None:
        """
        A directory that neither goes on nor ends does not keep us busy.
        """
        answer = bytes(4) + bytes(4) + bytes(8) + struct.pack(">II", 0, 0)
        self.fails(NFS3Client(Canned(answer)).names(b"fh"), XDRError)

    @given(_wccs, _u32s, st.binary(min_size=8, max_size=8))
    def test_write(self, wcc: wcc_data, count: int, verifier: bytes) -> None:
        """
        C{WRITE3resok} survives the wire; cut off anywhere it is refused.
        """
        codec = codecFor(WRITE3resok)
        value = WRITE3resok(wcc, count, 2, verifier)
        wire = codec.encode(value)
        self.assertEqual(codec.decode(wire, 0), (value, len(wire)))
        for length in range(0, len(wire), 4):
            self.assertRaises(XDRError, codec.decode, wire[:length], 0)

    @given(st.none() | st.binary(max_size=64), st.none() | _fattrs, _wccs)
    def test_create(
        self, obj: Optional[bytes], attributes: Optional[fattr3], wcc: wcc_data
    ) -> None:
        """
        So does C{CREATE3resok}.
        """
        codec = codecFor(CREATE3resok)
        value = CREATE3resok(obj, attributes, wcc)
        wire = codec.encode(value)
        self.assertEqual(codec.decode(wire, 0), (value, len(wire)))
