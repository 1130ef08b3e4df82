"""
RPC messages made by hand, independently of L{pnfs.rpc.message}.
"""

from __future__ import annotations

import struct
from typing import Any, Callable, Optional

from twisted.internet.defer import Deferred

from pnfs.rpc.errors import AuthError, GarbageArgs
from pnfs.rpc.message import Buffer
from pnfs.rpc.program import Call, Program, null
from pnfs.values import FileSlice, Piece
from pnfs.xdr.errors import XDRError

PROGRAM = 300000
VERSION = 2

NULL, ECHO, WAIT, GARBAGE, AUTH, BUG, LENGTH, FILE, XDR, KEEP, TWICE = range(11)

NOBODY = bytes(16)


def authSys(
    uid: int = 1000, gid: int = 100, gids: tuple[int, ...] = (4, 24), name: bytes = b"h"
) -> bytes:
    """
    A credential and verifier.
    """
    body = struct.pack(">II", 7, len(name)) + name + bytes(-len(name) % 4)
    body += struct.pack(f">III{len(gids)}I", uid, gid, len(gids), *gids)
    return struct.pack(">II", 1, len(body)) + body + bytes(8)


def call(
    procedure: int,
    arguments: bytes = b"",
    xid: int = 1,
    credential: bytes = NOBODY,
    program: int = PROGRAM,
    version: int = VERSION,
    rpcvers: int = 2,
) -> bytes:
    """
    A call without its record mark.
    """
    head = struct.pack(">6I", xid, 0, rpcvers, program, version, procedure)
    return head + credential + arguments


def mark(*fragments: bytes) -> bytes:
    """
    A record of the given fragments.
    """
    out = b""
    for number, fragment in enumerate(fragments):
        last = 0x80000000 if number == len(fragments) - 1 else 0
        out += struct.pack(">I", len(fragment) | last) + fragment
    return out


def success(results: bytes = b"", xid: int = 1) -> bytes:
    """
    A successful reply without its record mark.
    """
    return struct.pack(">6I", xid, 1, 0, 0, 0, 0) + results


def accepted(stat: int, xid: int = 1, rest: bytes = b"") -> bytes:
    """
    A reply with an C{accept_stat}.
    """
    return struct.pack(">6I", xid, 1, 0, 0, 0, stat) + rest


def denied(stat: int, *words: int, xid: int = 1) -> bytes:
    """
    A MSG_DENIED reply.
    """
    return struct.pack(f">{4 + len(words)}I", xid, 1, 1, stat, *words)


def unmark(stream: bytes) -> list[bytes]:
    """
    The records of a stream, which has to end with one.
    """
    records = []
    while stream:
        length = struct.unpack(">I", stream[:4])[0] & 0x7FFFFFFF
        assert len(stream) >= 4 + length, (len(stream), length)
        records.append(stream[4 : 4 + length])
        stream = stream[4 + length :]
    return records


class Service:
    """
    A program with a procedure for everything that can happen.

    @ivar calls: the L{Call}s seen.
    @ivar buffers: type of the buffer of each.
    @ivar waits: Deferreds that WAIT waits for.
    @ivar kept: what KEEP has kept.
    @ivar file: FILE's answer.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.buffers: list[type] = []
        self.waits: list[Deferred[Any]] = []
        self.kept: list[Buffer] = []
        self.file: Optional[FileSlice] = None
        procedures: dict[int, Any] = {
            NULL: null,
            ECHO: self._echo,
            WAIT: self._wait,
            GARBAGE: self._raise(lambda: GarbageArgs("no")),
            AUTH: self._raise(lambda: AuthError(5)),
            BUG: self._raise(lambda: ZeroDivisionError("a bug")),
            LENGTH: self._length,
            FILE: self._file,
            XDR: self._raise(lambda: XDRError("no")),
            KEEP: self._keep,
            TWICE: self._twice,
        }
        self.program = Program(PROGRAM, {VERSION: procedures, 4: {NULL: null}})

    def _note(self, call: Call, buf: Buffer) -> None:
        self.calls.append(call)
        self.buffers.append(type(buf))

    def _echo(self, call: Call, buf: Buffer, pos: int) -> list[Piece]:
        self._note(call, buf)
        return [bytes(buf[pos:])]

    def _length(self, call: Call, buf: Buffer, pos: int) -> list[Piece]:
        self._note(call, buf)
        return [struct.pack(">II", len(buf) - pos, sum(buf[pos:]) & 0xFFFFFFFF)]

    async def _wait(self, call: Call, buf: Buffer, pos: int) -> list[Piece]:
        self._note(call, buf)
        wait: Deferred[bytes] = Deferred()
        self.waits.append(wait)
        answer = await wait
        return [answer, bytes(buf[pos : pos + 8])]

    async def _twice(self, call: Call, buf: Buffer, pos: int) -> list[Piece]:
        first = await self._wait(call, buf, pos)
        return first + await self._wait(call, buf, pos)

    async def _keep(self, call: Call, buf: Buffer, pos: int) -> list[Piece]:
        self._note(call, buf)
        self.kept.append(buf[pos:])
        return []

    def _file(self, call: Call, buf: Buffer, pos: int) -> list[Piece]:
        self._note(call, buf)
        assert self.file is not None
        return [b"head", self.file, b"tail"]

    def _raise(self, make: Callable[[], Exception]) -> Any:
        def procedure(call: Call, buf: Buffer, pos: int) -> list[Piece]:
            raise make()

        return procedure
