# -*- test-case-name: tests.nfs4.test_results -*-
"""
Reading the results of a COMPOUND, one operation after the other.
"""

from __future__ import annotations

import struct
from typing import Any

from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import decodeBitmap
from pnfs.values import Segment
from pnfs.xdr.errors import XDRError

SEGMENTS_LIMIT = 4096
"""Segments in the result of a READ_PLUS."""

_one = struct.Struct(">I").unpack_from
_two = struct.Struct(">II").unpack_from
_long = struct.Struct(">Q").unpack_from


class OperationFailed(NFSError):
    """
    The server answered an operation with an error.

    @ivar number: the operation.
    """

    def __init__(self, number: int, status: int) -> None:
        super().__init__(status)
        self.number = number

    def __str__(self) -> str:
        try:
            name = nfsstat4(self.status).name
        except ValueError:
            name = str(self.status)
        return f"operation {self.number}: {name}"


class Results:
    """
    C{COMPOUND4res} with a position in it.

    @ivar status: that of the last operation executed.
    @ivar buf: the record; pos: where the next operation's result begins.
    """

    def __init__(self, buf: Any, pos: int) -> None:
        """
        @raise XDRError: it does not decode.
        """
        self.buf = buf
        self.pos = pos
        self.status = self.uint32()
        self.opaque(1024)
        self.count = self.uint32()

    def operation(self, number: int) -> None:
        """
        Enter the next operation's result.

        @raise OperationFailed: it failed, or an earlier one did.
        """
        if self.count <= 0:
            raise OperationFailed(number, self.status)
        self.count -= 1
        got, status = self.uint32(), self.uint32()
        if status:
            raise OperationFailed(got, status)
        if got != number:
            raise XDRError(f"result of operation {got} instead of {number}")

    def uint32(self) -> int:
        """
        An C{uint32_t}.
        """
        try:
            (value,) = _one(self.buf, self.pos)
        except struct.error:
            raise XDRError("truncated") from None
        self.pos += 4
        return value  # type: ignore[no-any-return]

    def uint64(self) -> int:
        """
        An C{uint64_t}.
        """
        try:
            (value,) = _long(self.buf, self.pos)
        except struct.error:
            raise XDRError("truncated") from None
        self.pos += 8
        return value  # type: ignore[no-any-return]

    def fixed(self, count: int) -> bytes:
        """
        Bytes of a known number (a multiple of 4).
        """
        value = bytes(self.buf[self.pos : self.pos + count])
        if len(value) != count:
            raise XDRError("truncated")
        self.pos += count
        return value

    def opaque(self, limit: int) -> bytes:
        """
        Variable-length bytes, copied.
        """
        return bytes(self.view(limit))

    def view(self, limit: int) -> memoryview:
        """
        Variable-length bytes in place: a view keeps the whole record.
        """
        count = self.uint32()
        if count > limit:
            raise XDRError(f"{count} bytes, {limit} allowed")
        value = memoryview(self.buf)[self.pos : self.pos + count]
        if len(value) != count:
            raise XDRError("truncated")
        self.pos += count + (-count & 3)
        return value

    def bitmap(self) -> int:
        """
        C{bitmap4}.
        """
        try:
            bits, self.pos = decodeBitmap(self.buf, self.pos)
        except struct.error:
            raise XDRError("truncated") from None
        return bits

    def time(self) -> int:
        """
        C{nfstime4} as nanoseconds.
        """
        seconds = self.uint64()
        if seconds >> 63:
            seconds -= 1 << 64
        return seconds * 1_000_000_000 + self.uint32()

    def opened(self) -> bytes:
        """
        The rest of an OPEN's result. @return: the stateid.

        @raise XDRError: it comes with a delegation, which we never ask for.
        """
        stateid = self.fixed(16)
        self.fixed(20)
        self.uint32()
        self.bitmap()
        kind = self.uint32()
        if kind == 3:
            if self.uint32() in (1, 2):
                self.uint32()
        elif kind:
            raise XDRError("a delegation that was not asked for")
        return stateid

    def copied(self) -> "tuple[bytes, int, int, bytes]":
        """
        The rest of a COPY's result: the stateid of one that goes on, or nothing;
        bytes done, how stable they are, and the write verifier.
        """
        stateid = self.fixed(16) if self.uint32() else b""
        found = self.uint64(), self.uint32(), self.fixed(8)
        self.fixed(8)
        return stateid, *found

    def entries(self) -> "tuple[bytes, list[tuple[int, bytes, dict[int, Any]]], bool]":
        """
        The rest of a READDIR's result: cookie verifier, entries of cookie, name
        and attributes, and whether the last of them is the directory's last.
        """
        verifier = self.fixed(8)
        found = []
        while self.uint32():
            cookie = self.uint64()
            name = self.opaque(4096)
            found.append((cookie, name, self.attributes()))
        return verifier, found, self.uint32() != 0

    def segments(self, limit: int) -> "tuple[bool, list[Segment]]":
        """
        The rest of a READ_PLUS's result: eof, and what was read or is a hole.

        @param limit: the most bytes that a segment of data may have.
        """
        eof = self.uint32() == 1
        count = self.uint32()
        if count > SEGMENTS_LIMIT:
            raise XDRError(f"{count} segments")
        found = []
        for _ in range(count):
            content = self.uint32()
            offset = self.uint64()
            if content == 0:
                data = self.view(limit)
                found.append(Segment(offset, len(data), [data]))
            elif content == 1:
                found.append(Segment(offset, self.uint64(), None))
            else:
                raise XDRError(f"content of kind {content}")
        return eof, found

    def layouts(self) -> "tuple[bytes, list[tuple[int, int, int, int, bytes]]]":
        """
        The rest of a LAYOUTGET's result: stateid, and for each segment offset,
        length, iomode, layout type and body.
        """
        self.uint32()
        stateid = self.fixed(16)
        count = self.uint32()
        if count > 1024:
            raise XDRError("too many layout segments")
        found = []
        for _ in range(count):
            offset, length = self.uint64(), self.uint64()
            iomode, layoutType = self.uint32(), self.uint32()
            found.append((offset, length, iomode, layoutType, self.opaque(1 << 20)))
        return stateid, found

    def attributes(self) -> "dict[int, Any]":
        """
        C{fattr4} by attribute number, of the attributes in L{ATTRIBUTES}.

        @raise XDRError: one of another kind is among them.
        """
        mask = self.bitmap()
        length = self.uint32()
        end = self.pos + length
        found: dict[int, Any] = {}
        for number in range(mask.bit_length()):
            if mask >> number & 1:
                read = ATTRIBUTES.get(number)
                if read is None:
                    raise XDRError(f"attribute {number} was not asked for")
                found[number] = read(self)
        if self.pos != end:
            raise XDRError("attribute values")
        return found


def _numbers(results: Results) -> list[int]:
    count = results.uint32()
    if count > 64:
        raise XDRError("too many layout types")
    return [results.uint32() for _ in range(count)]


def _pair(results: Results) -> tuple[int, int]:
    return results.uint64(), results.uint64()


ATTRIBUTES = {
    0: Results.bitmap,
    1: Results.uint32,
    3: Results.uint64,
    4: Results.uint64,
    8: _pair,
    10: Results.uint32,
    11: Results.uint32,
    19: lambda results: results.opaque(128),
    20: Results.uint64,
    30: Results.uint64,
    31: Results.uint64,
    33: Results.uint32,
    35: Results.uint32,
    36: lambda results: results.opaque(1024),
    37: lambda results: results.opaque(1024),
    42: Results.uint64,
    43: Results.uint64,
    44: Results.uint64,
    45: Results.uint64,
    47: Results.time,
    52: Results.time,
    53: Results.time,
    62: _numbers,
    77: Results.uint32,
}
"""Attribute number to a function that reads its value."""
