# -*- test-case-name: tests.nfs4.test_compound -*-
"""
The COMPOUND procedure (RFC 8881, section 16.2): operations in order, until one fails.
"""

from __future__ import annotations

import struct
from typing import Any, Awaitable, Coroutine, Mapping, Optional, Union

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

OP_LAYOUTGET = 50
OP_SEQUENCE = 53
OP_ILLEGAL = 10044
LAST_OF_MINOR_1 = 58
LAST_OPERATION = 75
TAG_LIMIT = 1024

_NO_CHARACTERS = frozenset(map(chr, (0xFFFE, 0xFFFF)))
"""Two code points that are no characters in ISO 10646, which RFC 3629 is about."""

MODIFYING_REPLY = 1024
"""The most bytes the result of an operation that changes something takes."""

_log = Logger()
_THREE = struct.Struct(">III")
_unpackHeader = _THREE.unpack_from
_packHeader = _THREE.pack
_unpackTwo = struct.Struct(">II").unpack_from
_unpackNumber = struct.Struct(">I").unpack_from
_packTwo = struct.Struct(">II").pack

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
    ) -> Union[list[Piece], Coroutine[Any, Any, list[Piece]]]:
        """
        NFSPROC4_COMPOUND.

        @return: the pieces of C{COMPOUND4res}, or a coroutine of them if an
            operation has to wait.
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
        table = self._tables.get(minor)
        if table is None:
            return [_head(nfsstat4.NFS4ERR_MINOR_VERS_MISMATCH, tag, 0)]
        if tag:
            try:
                wrong = not _NO_CHARACTERS.isdisjoint(tag.decode("utf-8"))
            except UnicodeDecodeError:
                wrong = True
            if wrong:
                return [_head(nfsstat4.NFS4ERR_INVAL, tag, 0)]
        ctx = CompoundContext(
            self.server,
            call,
            call.credential,
            minor,
            self._seconds(),
            count,
            buf,
            start,
        )
        try:
            waiting = self._run(ctx, table, pos, None)
        except Replay as replay:
            return replay.args[0]  # type: ignore[no-any-return]
        if waiting is None:
            return self._finish(ctx, tag)
        return self._wait(ctx, table, waiting, tag)

    def _run(
        self,
        ctx: CompoundContext,
        table: Mapping[int, Operation],
        pos: int,
        operation: Optional[Operation],
    ) -> Optional[Awaitable[int]]:
        """
        Do operations until one has to wait, or fails, or all are done.

        @param pos: where the next one is.
        @param operation: the one just done, after waiting.
        @return: what the current operation, C{ctx.operation}, waits for.
        """
        buf = ctx.request
        out = ctx.out
        count = ctx.count
        index = ctx.index
        mark = ctx.mark
        done = self.server.done
        number = OP_ILLEGAL
        try:
            while True:
                if operation is not None:
                    # It is done: is there room for what it says?
                    end = len(out)
                    if end == mark + 1:
                        size = ctx.size + len(out[mark])
                    else:
                        size = ctx.size + sum([len(piece) for piece in out[mark:]])
                    if size > ctx.limitBytes:
                        raise NFSError(_tooBig(ctx))
                    ctx.size = size
                    done[operation.number] += 1
                    mark = end
                    index += 1
                    ctx.index = index
                if index == count:
                    return None
                operation = None
                (number,) = _unpackNumber(buf, pos)
                operation = table.get(number)
                if operation is None:
                    raise _unknown(number, ctx.minor)
                if ctx.slot is None:
                    if index or number != OP_SEQUENCE:
                        _checkSessionless(operation, index, count)
                elif number == OP_SEQUENCE:
                    raise NFSError(nfsstat4.NFS4ERR_SEQUENCE_POS)
                if operation.modifies and ctx.size + MODIFYING_REPLY > ctx.limitBytes:
                    raise NFSError(_tooBig(ctx))
                after = operation.run(ctx, buf, pos + 4)
                if after.__class__ is not int:
                    ctx.mark = mark
                    ctx.operation = operation
                    return after  # type: ignore[return-value]
                pos = after
        except Replay:
            raise
        except Exception as error:
            ctx.mark = mark
            self._failed(ctx, error, operation, number)
        return None

    async def _wait(
        self,
        ctx: CompoundContext,
        table: Mapping[int, Operation],
        waiting: Optional[Awaitable[int]],
        tag: bytes,
    ) -> list[Piece]:
        """
        Go on when the operation that waits is done.
        """
        while waiting is not None:
            operation = ctx.operation
            try:
                pos = await waiting
            except Exception as error:
                self._failed(ctx, error, operation, operation.number)
                break
            waiting = self._run(ctx, table, pos, operation)
        return self._finish(ctx, tag)

    def _failed(
        self,
        ctx: CompoundContext,
        error: Exception,
        operation: Optional[Operation],
        number: int,
    ) -> None:
        """
        An operation has raised: its status ends the COMPOUND.
        """
        status, body = _statusOf(error, operation.name if operation else "")
        out = ctx.out
        mark = ctx.mark
        for piece in out[mark:]:
            if piece.__class__ not in (bytes, memoryview):
                piece.release()  # type: ignore[union-attr]
        del out[mark:]
        if operation is None and (
            status == _BADXDR or not 2 < number <= LAST_OPERATION
        ):
            # Not even its number was there, or it is none.
            number = OP_ILLEGAL
        if operation is not None and not body:
            body = operation.errorBody
        out.append(_packTwo(number, status) + body)
        failed = self.server.failed
        key = (number, int(status))
        failed[key] = failed.get(key, 0) + 1
        if number == OP_LAYOUTGET and ctx.client is not None:
            ctx.client.refused(ctx.now, ctx.fh, int(status))
        ctx.status = status
        ctx.index += 1

    def _finish(self, ctx: CompoundContext, tag: bytes) -> list[Piece]:
        """
        The whole answer.
        """
        out = ctx.out
        if tag:
            out[0] = _head(ctx.status, tag, ctx.index)
        else:
            out[0] = _packHeader(ctx.status, 0, ctx.index)
        slot = ctx.slot
        if slot is not None:
            slot.finish(ctx, out)
        server = self.server
        server.served = served = server.served + 1
        if not served & 63 and server.latency is not None:
            server.latency.observe(self._seconds() - ctx.now)
        return out


def _head(status: int, tag: bytes, count: int) -> bytes:
    """
    The start of C{COMPOUND4res}.
    """
    return b"".join(
        (
            _packTwo(status, len(tag)),
            tag,
            PAD[len(tag) & 3],
            count.to_bytes(4, "big"),
        )
    )


def _unknown(number: int, minor: int) -> NFSError:
    """
    What an operation gets that is not in the table.
    """
    if not 2 < number <= LAST_OPERATION or (minor == 1 and number > LAST_OF_MINOR_1):
        return NFSError(nfsstat4.NFS4ERR_OP_ILLEGAL)
    return NFSError(nfsstat4.NFS4ERR_NOTSUPP)


def _checkSessionless(operation: Operation, index: int, count: int) -> None:
    """
    Without SEQUENCE only a few operations may stand, and those alone.
    """
    if operation.number == OP_SEQUENCE:
        raise NFSError(nfsstat4.NFS4ERR_SEQUENCE_POS)
    if not operation.sessionless:
        raise NFSError(nfsstat4.NFS4ERR_OP_NOT_IN_SESSION)
    if count != 1:
        raise NFSError(nfsstat4.NFS4ERR_NOT_ONLY_OP)


def _tooBig(ctx: CompoundContext) -> int:
    """
    The status for a result that does not fit any more.
    """
    if ctx.slot is not None and ctx.slot.cacheThis:
        return nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE
    return nfsstat4.NFS4ERR_REP_TOO_BIG
