"""
Servers for a gateway to stand in front of, in one process: an NFSv4.1 server (our
own metadata server), a folder of an NFSv3 server, and the line to them, which can
be cut.
"""

from __future__ import annotations

import struct
from typing import Any, Callable, Optional, Sequence

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from pnfs.backends.ds.memory import MemoryDataServerBackend
from pnfs.backends.metadata.memory import MemoryMetadataBackend
from pnfs.config import DataServerConfig
from pnfs.layouts.files import FilesLayoutDriver
from pnfs.mds.datafiles import DataFiles
from pnfs.mds.dataservers import DataServers
from pnfs.namespace.exports import Export, ExportTable
from pnfs.namespace.filehandles import CapabilityCodec, FilehandleCodec
from pnfs.nfs3 import results as r3
from pnfs.nfs3.types import NFS_PROGRAM, SETATTR3rest, nfstime3, sattr3, time3
from pnfs.nfs4.ops.unlinked import stateDropper
from pnfs.nfs4.optable import mdsTables
from pnfs.rpc.coroutines import drive
from pnfs.rpc.errors import CallTimeout, ConnectionClosed
from pnfs.rpc.program import Call
from pnfs.state.layouts import LayoutTable
from pnfs.state.locks import LockTable
from pnfs.state.opens import OpenTable
from pnfs.values import Piece, SetAttributes
from pnfs.xdr.codec import Codec, codecFor
from tests.nfs4.fixture import Fixture, serve

Answer = Callable[[int, int, bytes], Deferred[bytes]]


class Line:
    """
    Stands for L{pnfs.rpc.client.RPCClient}: calls reach a server in this process.

    @ivar calls: (program, procedure) of each call so far.
    @ivar lost: connections break before a call arrives.
    @ivar silent: calls arrive nowhere and time out.
    @ivar refuse: may answer in the server's place.
    """

    def __init__(self, clock: Clock, answer: Answer) -> None:
        self._clock = clock
        self._answer = answer
        self.calls: list[tuple[int, int]] = []
        self.lost = False
        self.silent = False
        self.closed = False
        self.refuse: Callable[[int, int, bytes], Optional[bytes]] = _no

    def call(
        self,
        program: int,
        version: int,
        procedure: int,
        pieces: Sequence[Piece] = (),
        credential: Optional[bytes] = None,
        timeout: Optional[float] = None,
    ) -> Deferred[tuple[bytes, int]]:
        """
        As L{pnfs.rpc.client.RPCClient.call}.
        """
        self.calls.append((program, procedure))
        if self.closed or self.lost:
            return fail(ConnectionClosed("lost"))
        if self.silent:
            late: Deferred[Any] = Deferred()
            self._clock.callLater(
                30.0 if timeout is None else timeout,
                late.errback,
                CallTimeout("no reply in time"),
            )
            return late
        wire = b"".join(map(bytes, pieces))  # type: ignore[arg-type]
        refused = self.refuse(program, procedure, wire)
        if refused is not None:
            return succeed((b"....." + refused, 5))
        # Replies come with a header of some length.
        return self._answer(program, procedure, wire).addCallback(
            lambda reply: (b"....." + reply, 5)
        )

    def close(self) -> Deferred[None]:
        """
        As L{pnfs.rpc.client.RPCClient.close}.
        """
        self.closed = True
        return succeed(None)


def _no(program: int, procedure: int, wire: bytes) -> Optional[bytes]:
    return None


class MDS(Fixture):
    """
    A whole metadata server with a data server in memory, and the folder
    C{/export} for anybody.

    @ivar stored: its data server.
    """

    def __init__(self, folder: str) -> None:
        """
        @param folder: for what it keeps.
        """
        super().__init__(mdsTables())
        server = self.server
        tree = MemoryMetadataBackend(server.wallTime, server.entropy)
        _now(tree.start())
        _now(tree.setattr(tree.root, SetAttributes(mode=0o777)))
        self.stored = MemoryDataServerBackend(b"upstream", b"u" * 16)
        config = DataServerConfig("ds0", ("127.0.0.1", 1), (("127.0.0.1", 1),))
        servers = DataServers([config], lambda _: self.stored, folder, self.clock)
        servers.start()
        driver = FilesLayoutDriver()
        self.export = Export(
            "/export",
            tree,
            drivers={driver.layoutType: driver},
            layout="files",
            rootSquash=False,
            dataServers=("ds0",),
        )
        server.exports = ExportTable([self.export])
        server.filehandles = FilehandleCodec(b"k" * 32)
        server.opens = OpenTable(server.stateids)
        server.locks = LockTable(server.stateids)
        server.layouts = LayoutTable(server.stateids)
        server.recaller = _NoRecalls()
        server.clients.listeners.append(stateDropper(server))
        server.data = DataFiles(
            servers, CapabilityCodec(b"k" * 32), self.clock, server.wallTime
        )

    def line(self) -> Line:
        """
        A new line to it.
        """
        return Line(self.clock, self._serve)

    def _serve(self, program: int, procedure: int, wire: bytes) -> Deferred[bytes]:
        answer: Deferred[bytes] = Deferred()
        call = Call(1, self.credential, self.connection, len(wire) + 40)

        def finished(pieces: list[Any]) -> None:
            answer.callback(b"".join([bytes(piece) for piece in pieces]))

        serve(self.compounds, call, wire, finished, answer.errback)
        return answer


class _NoRecalls:
    """
    Nobody holds layouts.
    """

    def recallLayouts(self, file: Any, reason: str, exclude: Any = None) -> Any:
        """
        See L{pnfs.interfaces.IRecaller}.
        """
        return succeed(None)


def _now(coroutine: Any) -> Any:
    results: list[Any] = []
    drive(coroutine, results.append, results.append)
    return results[0]


class _File3:
    """
    A file of the NFSv3 server.
    """

    def __init__(self, fh: bytes, mode: int) -> None:
        self.fh = fh
        self.mode = mode
        self.data = bytearray()
        self.atime = self.mtime = self.ctime = 0


def _codec(cls: Any) -> Codec[Any]:
    return codecFor(cls)


class Folder3:
    """
    A folder C{/vol/folder} of an NFSv3 server, its MOUNT and its port mapper.

    @ivar clock: its time; C{ctime} moves in steps of a second, as coarse as ever.
    @ivar files: by name.
    @ivar verifier: of its writes.
    @ivar rtmax: largest READ; C{wtmax}: largest WRITE.
    @ivar shy: answers to CREATE without a filehandle.
    @ivar granted: what ACCESS grants.
    @ivar room: bytes that still fit.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.files: dict[bytes, _File3] = {}
        self.root = b"root handle"
        self.verifier = b"upstream"
        self.rtmax = self.wtmax = 65536
        self.shy = False
        self.granted = 0x3F
        self.room = 1 << 30
        self._handles = 0

    def line(self, port: int) -> Line:
        """
        A new line to it.
        """
        return Line(self.clock, self._serve)

    def _serve(self, program: int, procedure: int, wire: bytes) -> Deferred[bytes]:
        if program == 100000:
            return succeed(struct.pack(">I", 635))
        if program == 100005:
            path = _opaque(wire, 0)[0]
            if path != b"/vol/folder":
                return succeed(struct.pack(">I", 2))
            mounted = r3.mountres3_ok(self.root, [1])
            return succeed(bytes(4) + _codec(r3.mountres3_ok).encode(mounted))
        assert program == NFS_PROGRAM
        fh, pos = _opaque(wire, 0)
        try:
            body = getattr(self, f"_do{procedure}")(fh, wire, pos)
        except _Refused as refused:
            return succeed(struct.pack(">I", refused.args[0]) + bytes(8))
        return succeed(bytes(4) + body)

    # -- things ----------------------------------------------------------------

    def _now(self) -> int:
        return int(self.clock.seconds()) * 10**9

    def _file(self, fh: bytes) -> _File3:
        for file in self.files.values():
            if file.fh == fh:
                return file
        raise _Refused(70)

    def _folder(self, fh: bytes) -> None:
        if fh != self.root:
            raise _Refused(70)

    def _fattr(self, file: _File3) -> r3.fattr3:
        return r3.fattr3(
            1,
            file.mode,
            1,
            0,
            0,
            len(file.data),
            len(file.data),
            0,
            0,
            1,
            2,
            *(nfstime3(*time3(t)) for t in (file.atime, file.mtime, file.ctime)),
        )

    def _wcc(self, file: _File3) -> r3.wcc_data:
        before = r3.wcc_attr(0, nfstime3(0, 0), nfstime3(0, 0))
        return r3.wcc_data(before, self._fattr(file))

    def _touch(self, file: _File3) -> None:
        file.mtime = file.ctime = self._now()

    def _set(self, file: _File3, wanted: sattr3) -> None:
        if wanted.size is not None:
            del file.data[wanted.size :]
            file.data.extend(bytes(wanted.size - len(file.data)))
            file.mtime = self._now()
        file.ctime = self._now()
        for name in ("atime", "mtime"):
            how, time = getattr(wanted, name)
            if how == 1:
                setattr(file, name, 2 * 10**18)
            elif how == 2:
                setattr(file, name, r3.nanoseconds(time))

    # -- procedures by number --------------------------------------------------

    def _do0(self, fh: bytes, wire: bytes, pos: int) -> bytes:
        return b""

    def _do1(self, fh: bytes, wire: bytes, pos: int) -> bytes:
        return _codec(r3.GETATTR3resok).encode(
            r3.GETATTR3resok(self._fattr(self._file(fh)))
        )

    def _do2(self, fh: bytes, wire: bytes, pos: int) -> bytes:
        wanted, pos = _codec(SETATTR3rest).decode(wire, pos)
        file = self._file(fh)
        if wanted.guard is not None and r3.nanoseconds(wanted.guard) != file.ctime:
            raise _Refused(10002)
        self._set(file, wanted.new_attributes)
        return _codec(r3.SETATTR3resok).encode(r3.SETATTR3resok(self._wcc(file)))

    def _do3(self, fh: bytes, wire: bytes, pos: int) -> bytes:
        self._folder(fh)
        file = self.files.get(_opaque(wire, pos)[0])
        if file is None:
            raise _Refused(2)
        return _codec(r3.LOOKUP3resok).encode(
            r3.LOOKUP3resok(file.fh, self._fattr(file), None)
        )

    def _do4(self, fh: bytes, wire: bytes, pos: int) -> bytes:
        self._folder(fh)
        (wanted,) = struct.unpack_from(">I", wire, pos)
        granted = wanted & self.granted
        return _codec(r3.ACCESS3resok).encode(r3.ACCESS3resok(None, granted))

    def _do6(self, fh: bytes, wire: bytes, pos: int) -> bytes:
        offset, count = struct.unpack_from(">QI", wire, pos)
        file = self._file(fh)
        data = bytes(file.data[offset : offset + min(count, self.rtmax)])
        eof = offset + len(data) >= len(file.data)
        attributes = b"\0\0\0\1" + _codec(r3.fattr3).encode(self._fattr(file))
        head = struct.pack(">III", len(data), eof, len(data))
        return attributes + head + data + bytes(-len(data) % 4)

    def _do7(self, fh: bytes, wire: bytes, pos: int) -> bytes:
        offset, count, stable, size = struct.unpack_from(">Q3I", wire, pos)
        assert count == size and len(wire) == pos + 20 + size + -size % 4
        file = self._file(fh)
        data = wire[pos + 20 : pos + 20 + size][: self.wtmax]
        if len(data) > self.room:
            raise _Refused(28)
        if data:
            file.data.extend(bytes(max(0, offset - len(file.data))))
            file.data[offset : offset + len(data)] = data
            self.room -= len(data)
            self._touch(file)
        return _codec(r3.WRITE3resok).encode(
            r3.WRITE3resok(self._wcc(file), len(data), stable, self.verifier)
        )

    def _do8(self, fh: bytes, wire: bytes, pos: int) -> bytes:
        self._folder(fh)
        name, pos = _opaque(wire, pos)
        (how,) = struct.unpack_from(">I", wire, pos)
        wanted, _ = _codec(sattr3).decode(wire, pos + 4)
        if name in self.files and how:
            raise _Refused(17)
        if name not in self.files:
            self._handles += 1
            self.files[name] = _File3(b"file %d" % self._handles, wanted.mode or 0o644)
            self._touch(self.files[name])
        file = self.files[name]
        told = None if self.shy else file.fh
        return _codec(r3.CREATE3resok).encode(
            r3.CREATE3resok(told, self._fattr(file), r3.wcc_data(None, None))
        )

    def _do12(self, fh: bytes, wire: bytes, pos: int) -> bytes:
        self._folder(fh)
        if self.files.pop(_opaque(wire, pos)[0], None) is None:
            raise _Refused(2)
        return bytes(8)

    def _do16(self, fh: bytes, wire: bytes, pos: int) -> bytes:
        self._folder(fh)
        cookie, verifier, _ = struct.unpack_from(">Q8sI", wire, pos)
        assert verifier == (b"cookies!" if cookie else bytes(8))
        names = [b".", b"..", *sorted(self.files)]
        parts = [_codec(r3.READDIR3head).encode(r3.READDIR3head(None, b"cookies!"))]
        some = names[cookie : cookie + 4]
        for index, name in enumerate(some, cookie + 1):
            entry = r3.entry3(index, name, index)
            parts.append(b"\0\0\0\1" + _codec(r3.entry3).encode(entry))
        parts.append(struct.pack(">II", 0, cookie + len(some) >= len(names)))
        return b"".join(parts)

    def _do18(self, fh: bytes, wire: bytes, pos: int) -> bytes:
        self._folder(fh)
        return _codec(r3.FSSTAT3resok).encode(
            r3.FSSTAT3resok(None, 1 << 30, self.room, self.room, 100, 90, 90, 0)
        )

    def _do19(self, fh: bytes, wire: bytes, pos: int) -> bytes:
        self._folder(fh)
        sizes = (self.rtmax, self.rtmax, 1, self.wtmax, self.wtmax, 1, 4096)
        return _codec(r3.FSINFO3resok).encode(
            r3.FSINFO3resok(None, *sizes, (1 << 63) - 1, nfstime3(1, 0), 0x1B)
        )

    def _do21(self, fh: bytes, wire: bytes, pos: int) -> bytes:
        return _codec(r3.COMMIT3resok).encode(
            r3.COMMIT3resok(self._wcc(self._file(fh)), self.verifier)
        )


class _Refused(Exception):
    """
    A status.
    """


def _opaque(wire: bytes, pos: int) -> tuple[bytes, int]:
    if not wire[pos:]:
        return b"", pos
    (length,) = struct.unpack_from(">I", wire, pos)
    pos += 4
    return wire[pos : pos + length], pos + length + -length % 4
