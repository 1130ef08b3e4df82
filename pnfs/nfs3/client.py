# -*- test-case-name: tests.nfs3.test_client -*-
"""
The client's side of NFSv3 (RFC 1813): one coroutine per procedure.

Nothing is repeated here. What failed with
L{ConnectionClosed<pnfs.rpc.errors.ConnectionClosed>} or
L{CallTimeout<pnfs.rpc.errors.CallTimeout>} may have been executed; who calls knows
whether doing it again is harmless.
"""

from __future__ import annotations

import struct
from typing import Annotated, Any, Optional, Sequence

from pnfs.nfs3.results import (
    ACCESS3resok,
    COMMIT3resok,
    CREATE3resok,
    FSINFO3resok,
    FSSTAT3resok,
    GETATTR3resok,
    LOOKUP3resok,
    READDIR3head,
    SETATTR3resok,
    WRITE3resok,
    entry3,
    fattr3,
    post_op_attr,
)
from pnfs.nfs3.status import NFS3Error, nfsstat3
from pnfs.nfs3.types import (
    DONT_CHANGE,
    NFS_PROGRAM,
    NFS_V3,
    SET_TO_CLIENT_TIME,
    SET_TO_SERVER_TIME,
    SETATTR3rest,
    nfstime3,
    sattr3,
    setattrCodec,
    time3,
)
from pnfs.rpc.message import Buffer
from pnfs.values import (
    NOW,
    FSStatistics,
    Piece,
    ReadResult,
    SetAttributes,
    Stable,
    WriteResult,
)
from pnfs.xdr.codec import PAD, Bool, Codec, codecFor
from pnfs.xdr.errors import XDRError

_u32 = struct.Struct(">I")
_readArgs = struct.Struct(">QI").pack
_readHead = struct.Struct(">III").unpack_from
_writeArgs = struct.Struct(">Q3I").pack
_commitArgs = struct.Struct(">QI").pack
_readdirArgs = struct.Struct(">Q8sI").pack
_UNCHECKED = _u32.pack(0)
_GUARDED = _u32.pack(1)

_sattr = codecFor(sattr3).encode
_getattr = codecFor(GETATTR3resok)
_setattr = codecFor(SETATTR3resok)
_lookup = codecFor(LOOKUP3resok)
_access = codecFor(ACCESS3resok)
_write = codecFor(WRITE3resok)
_create = codecFor(CREATE3resok)
_readdirHead = codecFor(READDIR3head)
_entry = codecFor(entry3)
_flag = codecFor(Annotated[bool, Bool()])
_fsstat = codecFor(FSSTAT3resok)
_fsinfo = codecFor(FSINFO3resok)
_commit = codecFor(COMMIT3resok)
_attributes = codecFor(post_op_attr)


def opaque(data: bytes) -> bytes:
    """
    Variable-length bytes.
    """
    return _u32.pack(len(data)) + data + PAD[len(data) & 3]


def statusError(status: int) -> Exception:
    """
    The exception for a status other than 0.
    """
    try:
        return NFS3Error(nfsstat3(status))
    except ValueError:
        return XDRError(f"status {status}, which NFSv3 does not have")


def _toSet(changes: SetAttributes) -> sattr3:
    return sattr3(
        changes.mode,
        changes.uid,
        changes.gid,
        changes.size,
        _timeToSet(changes.atime),
        _timeToSet(changes.mtime),
    )


def _timeToSet(time: Optional[int]) -> tuple[int, Optional[nfstime3]]:
    if time is None:
        return DONT_CHANGE, None
    if time == NOW:
        return SET_TO_SERVER_TIME, None
    return SET_TO_CLIENT_TIME, nfstime3(*time3(time))


class NFS3Client:
    """
    Calls an NFSv3 server.

    Every method raises L{NFS3Error} for a status other than OK,
    L{pnfs.rpc.errors.CallFailed} if there was no answer, and
    L{pnfs.xdr.errors.XDRError} if it does not decode. C{timeout} is in seconds; the
    default is that of the RPC client.
    """

    def __init__(self, rpc: Any, credential: Optional[bytes] = None) -> None:
        """
        @param rpc: L{pnfs.rpc.client.RPCClient}, or what can C{call}.
        @param credential: as on the wire; by default that of the RPC client.
        """
        self._rpc = rpc
        self._credential = credential

    async def _call(
        self, procedure: int, pieces: Sequence[Piece], timeout: Optional[float]
    ) -> tuple[Buffer, int]:
        """
        @return: the record, and where C{resok} begins.
        """
        buf, pos = await self._rpc.call(
            NFS_PROGRAM,
            NFS_V3,
            procedure,
            pieces,
            credential=self._credential,
            timeout=timeout,
        )
        try:
            (status,) = _u32.unpack_from(buf, pos)
        except struct.error:
            raise XDRError("truncated") from None
        if status:
            raise statusError(status)
        return buf, pos + 4

    async def _ask(
        self,
        procedure: int,
        pieces: Sequence[Piece],
        codec: Codec[Any],
        timeout: Optional[float],
    ) -> Any:
        buf, pos = await self._call(procedure, pieces, timeout)
        return codec.decode(buf, pos)[0]

    async def null(self, timeout: Optional[float] = None) -> None:
        """
        NULL: is anybody there?
        """
        await self._rpc.call(
            NFS_PROGRAM, NFS_V3, 0, (), credential=self._credential, timeout=timeout
        )

    async def getattr(self, fh: bytes, timeout: Optional[float] = None) -> fattr3:
        """
        GETATTR.
        """
        found: GETATTR3resok = await self._ask(1, [opaque(fh)], _getattr, timeout)
        return found.obj_attributes

    async def setattr(
        self,
        fh: bytes,
        changes: SetAttributes,
        guard: Optional[nfstime3] = None,
        timeout: Optional[float] = None,
    ) -> None:
        """
        SETATTR.

        @param guard: the ctime that the object must have, else NFS3ERR_NOT_SYNC.
        """
        arguments = setattrCodec.encode(SETATTR3rest(_toSet(changes), guard))
        await self._ask(2, [opaque(fh), arguments], _setattr, timeout)

    async def lookup(
        self, directory: bytes, name: bytes, timeout: Optional[float] = None
    ) -> LOOKUP3resok:
        """
        LOOKUP.
        """
        found: LOOKUP3resok = await self._ask(
            3, [opaque(directory), opaque(name)], _lookup, timeout
        )
        return found

    async def access(
        self, fh: bytes, rights: int, timeout: Optional[float] = None
    ) -> int:
        """
        ACCESS. @return: those of the C{ACCESS3_} bits that are granted.
        """
        found: ACCESS3resok = await self._ask(
            4, [opaque(fh), _u32.pack(rights)], _access, timeout
        )
        return found.access

    async def read(
        self, fh: bytes, offset: int, count: int, timeout: Optional[float] = None
    ) -> ReadResult:
        """
        READ. The one piece of the result is a view of the reply, uncopied.
        """
        buf, pos = await self._call(6, [opaque(fh) + _readArgs(offset, count)], timeout)
        _, pos = _attributes.decode(buf, pos)
        try:
            told, eof, length = _readHead(buf, pos)
        except struct.error:
            raise XDRError("truncated") from None
        data = memoryview(buf)[pos + 12 : pos + 12 + length]
        if told != length or len(data) != length or length > count or eof > 1:
            raise XDRError("READ")
        return ReadResult((data,) if length else (), length, eof == 1)

    async def write(
        self,
        fh: bytes,
        offset: int,
        data: memoryview,
        stable: int,
        timeout: Optional[float] = None,
    ) -> WriteResult:
        """
        WRITE. C{data} is sent uncopied.
        """
        count = len(data)
        found: WRITE3resok = await self._ask(
            7,
            [
                opaque(fh) + _writeArgs(offset, count, stable, count),
                data,
                PAD[count & 3],
            ],
            _write,
            timeout,
        )
        if found.count > count or found.committed > Stable.FILE_SYNC:
            raise XDRError("WRITE")
        return WriteResult(found.count, found.committed, found.verf)

    async def create(
        self,
        directory: bytes,
        name: bytes,
        attributes: SetAttributes,
        guarded: bool = False,
        timeout: Optional[float] = None,
    ) -> bytes:
        """
        CREATE of a regular file, and LOOKUP if the server does not tell its handle.

        @param guarded: it must not exist yet; else it may, and is left as it is.
        @return: its filehandle.
        """
        how = _GUARDED if guarded else _UNCHECKED
        arguments = opaque(directory) + opaque(name) + how + _sattr(_toSet(attributes))
        made: CREATE3resok = await self._ask(8, [arguments], _create, timeout)
        if made.obj is not None:
            return made.obj
        return (await self.lookup(directory, name, timeout)).object

    async def remove(
        self, directory: bytes, name: bytes, timeout: Optional[float] = None
    ) -> None:
        """
        REMOVE.
        """
        await self._ask(12, [opaque(directory), opaque(name)], _setattr, timeout)

    async def readdir(
        self,
        directory: bytes,
        cookie: int = 0,
        verifier: bytes = bytes(8),
        count: int = 32768,
        timeout: Optional[float] = None,
    ) -> tuple[list[entry3], bytes, bool]:
        """
        READDIR.

        @param count: the most bytes of reply.
        @return: some entries; the verifier to come back with and the cookie of the
            last of them; whether that is the directory's last.
        """
        buf, pos = await self._call(
            16, [opaque(directory), _readdirArgs(cookie, verifier, count)], timeout
        )
        head, pos = _readdirHead.decode(buf, pos)
        entries = []
        more, pos = _flag.decode(buf, pos)
        while more:
            entry, pos = _entry.decode(buf, pos)
            entries.append(entry)
            more, pos = _flag.decode(buf, pos)
        end, pos = _flag.decode(buf, pos)
        return entries, head.cookieverf, end

    async def names(
        self, directory: bytes, timeout: Optional[float] = None
    ) -> list[bytes]:
        """
        All names in a directory, by as many READDIRs as it takes.
        """
        names: list[bytes] = []
        cookie, verifier, end = 0, bytes(8), False
        while not end:
            entries, verifier, end = await self.readdir(
                directory, cookie, verifier, timeout=timeout
            )
            if not entries and not end:
                raise XDRError("READDIR without an entry")
            names += [e.name for e in entries if e.name not in (b".", b"..")]
            cookie = entries[-1].cookie if entries else 0
        return names

    async def fsstat(self, fh: bytes, timeout: Optional[float] = None) -> FSStatistics:
        """
        FSSTAT.
        """
        found: FSSTAT3resok = await self._ask(18, [opaque(fh)], _fsstat, timeout)
        return FSStatistics(
            found.tbytes,
            found.fbytes,
            found.abytes,
            found.tfiles,
            found.ffiles,
            found.afiles,
        )

    async def fsinfo(self, fh: bytes, timeout: Optional[float] = None) -> FSINFO3resok:
        """
        FSINFO.
        """
        found: FSINFO3resok = await self._ask(19, [opaque(fh)], _fsinfo, timeout)
        return found

    async def commit(
        self, fh: bytes, offset: int, count: int, timeout: Optional[float] = None
    ) -> bytes:
        """
        COMMIT. @return: the write verifier.
        """
        found: COMMIT3resok = await self._ask(
            21, [opaque(fh) + _commitArgs(offset, count)], _commit, timeout
        )
        return found.verf
