# -*- test-case-name: tests.nfs4.test_compound -*-
"""
The COMPOUND procedure (RFC 8881, section 16.2): operations in order, until one fails.
"""

from __future__ import annotations

import struct
from typing import Any, Coroutine, Mapping

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from pnfs.nfs4.context import CompoundContext, Replay, ServerContext
from pnfs.nfs4.operation import Operation
from pnfs.nfs4.status import NFSError, nfsstat4, statusOf
from pnfs.values import Piece
from pnfs.xdr.codec import PAD
from pnfs.xdr.errors import XDRError

NFS4_PROGRAM = 100003
NFS_V4 = 4
NFSPROC4_NULL = 0
NFSPROC4_COMPOUND = 1

OP_SEQUENCE = 53
OP_ILLEGAL = 10044
TAG_LIMIT = 1024

MODIFYING_REPLY = 1024
"""The most bytes the result of an operation that changes something takes."""

_log = Logger()
_THREE = struct.Struct(">III")
_unpackHeader = _THREE.unpack_from
_packHeader = _THREE.pack
_unpackTwo = struct.Struct(">II").unpack_from
_unpackNumber = struct.Struct(">I").unpack_from
_packTwo = struct.Struct(">II").pack

_OK = int(nfsstat4.NFS4_OK)
_BADXDR = int(nfsstat4.NFS4ERR_BADXDR)
_DELAY = int(nfsstat4.NFS4ERR_DELAY)
_SERVERFAULT = int(nfsstat4.NFS4ERR_SERVERFAULT)


def _statusOf(error: Exception, name: str) -> tuple[int, bytes]:
    """
    Status and error body for whatever an operation has raised.
    """
    if isinstance(error, NFSError):
        return error.status, error.body
    if isinstance(error, (XDRError, struct.error)):
        return _BADXDR, b""
    if isinstance(error, CancelledError):
        # The server is stopping and could not wait any longer.
        return _DELAY, b""
    status = statusOf(error)
    if status is None:
        _log.failure("{operation} failed", operation=name)
        return _SERVERFAULT, b""
    return status, getattr(error, "body", b"")


class CompoundServer:
    """
    Serves COMPOUND from a table of operations per minor version.

    @ivar server: what the operations work on.
    """

    def __init__(
        self, server: ServerContext, tables: Mapping[int, Mapping[int, Operation]]
    ) -> None:
        self.server = server
        self._tables = dict(tables)
        self._seconds = server.clock.seconds

    def procedures(self) -> dict[int, Any]:
        """
        The procedures of the NFS program's version 4.
        """
        return {NFSPROC4_NULL: self.null, NFSPROC4_COMPOUND: self.compound}

    def null(self, call: Any, buf: Any, pos: int) -> list[Piece]:
        """
        NFSPROC4_NULL: nothing.
        """
        return []

    def compound(
        self, call: Any, buf: Any, pos: int
    ) -> Coroutine[Any, Any, list[Piece]]:
        """
        NFSPROC4_COMPOUND.

        @return: a coroutine of the pieces of C{COMPOUND4res}.
        @raise XDRError: it is too short for one.
        """
        start = pos
        tag = b""
        try:
            tagLength, minor, count = _unpackHeader(buf, pos)
            pos += 12
            if tagLength:
                if tagLength > TAG_LIMIT:
                    raise XDRError("tag")
                pos = start + 4
                tag = bytes(buf[pos : pos + tagLength])
                pos += tagLength + (-tagLength & 3)
                minor, count = _unpackTwo(buf, pos)
                pos += 8
        except struct.error:
            raise XDRError("truncated COMPOUND") from None
        return self._serve(call, buf, pos, tag, minor, count, start)

    async def _serve(
        self,
        call: Any,
        buf: Any,
        pos: int,
        tag: bytes,
        minor: int,
        count: int,
        start: int,
    ) -> list[Piece]:
        table = self._tables.get(minor)
        if table is None:
            return [self._head(nfsstat4.NFS4ERR_MINOR_VERS_MISMATCH, tag, 0)]
        if tag:
            try:
                tag.decode("utf-8")
            except UnicodeDecodeError:
                return [self._head(nfsstat4.NFS4ERR_INVAL, tag, 0)]
        server = self.server
        ctx = CompoundContext(
            server, call, call.credential, minor, self._seconds(), count
        )
        ctx.request = buf
        ctx.requestStart = start
        out = ctx.out
        done = server.done
        status = _OK
        size = 0
        index = 0
        number = OP_ILLEGAL
        while index < count:
            mark = len(out)
            operation = None
            try:
                (number,) = _unpackNumber(buf, pos)
                operation = table.get(number)
                if operation is None:
                    if number <= 2 or number > 75:
                        number = OP_ILLEGAL
                        raise NFSError(nfsstat4.NFS4ERR_OP_ILLEGAL)
                    raise NFSError(
                        nfsstat4.NFS4ERR_OP_ILLEGAL
                        if minor == 1 and number > 58
                        else nfsstat4.NFS4ERR_NOTSUPP
                    )
                if ctx.slot is None:
                    self._checkSessionless(operation, index, count)
                elif number == OP_SEQUENCE:
                    raise NFSError(nfsstat4.NFS4ERR_SEQUENCE_POS)
                if operation.modifies and size + MODIFYING_REPLY > ctx.limitBytes:
                    raise NFSError(self._tooBig(ctx))
                ctx.index = index
                after = operation.run(ctx, buf, pos + 4)
                if after.__class__ is not int:
                    after = await after  # type: ignore[misc]
                pos = after
                for piece in out[mark:]:
                    size += len(piece)
                if size > ctx.limitBytes:
                    size -= sum([len(piece) for piece in out[mark:]])
                    raise NFSError(self._tooBig(ctx))
                ctx.size = size
                done[number] += 1
                index += 1
            except Replay as replay:
                return replay.args[0]  # type: ignore[no-any-return]
            except Exception as error:
                status, body = _statusOf(error, operation.name if operation else "")
                for piece in out[mark:]:
                    if piece.__class__ not in (bytes, memoryview):
                        piece.release()  # type: ignore[union-attr]
                del out[mark:]
                if operation is None and status == _BADXDR:
                    # Not even its number was there.
                    number = OP_ILLEGAL
                if operation is not None and not body:
                    body = operation.errorBody
                out.append(_packTwo(number, status) + body)
                key = (number, int(status))
                server.failed[key] = server.failed.get(key, 0) + 1
                index += 1
                break
        out.insert(0, self._head(status, tag, index))
        slot = ctx.slot
        if slot is not None:
            slot.finish(ctx, out)
        server.served = served = server.served + 1
        if not served & 63 and server.latency is not None:
            server.latency.observe(self._seconds() - ctx.now)
        return out

    def _head(self, status: int, tag: bytes, count: int) -> bytes:
        if not tag:
            return _packHeader(status, 0, count)
        return b"".join(
            (
                _packTwo(status, len(tag)),
                tag,
                PAD[len(tag) & 3],
                count.to_bytes(4, "big"),
            )
        )

    def _checkSessionless(self, operation: Operation, index: int, count: int) -> None:
        """
        Without SEQUENCE only a few operations may stand, and those alone.
        """
        if operation.number == OP_SEQUENCE:
            if index:
                raise NFSError(nfsstat4.NFS4ERR_SEQUENCE_POS)
        elif not operation.sessionless:
            raise NFSError(nfsstat4.NFS4ERR_OP_NOT_IN_SESSION)
        elif count != 1:
            raise NFSError(nfsstat4.NFS4ERR_NOT_ONLY_OP)

    def _tooBig(self, ctx: CompoundContext) -> int:
        slot = ctx.slot
        if slot is not None and slot.cacheThis:
            return nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE
        return nfsstat4.NFS4ERR_REP_TOO_BIG
