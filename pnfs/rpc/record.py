# -*- test-case-name: tests.rpc.test_record -*-
"""
Record marking (RFC 5531, section 11), without I/O.

Whole records come out as C{bytes} up to L{SMALL} bytes, else as C{memoryview}.
The feeder of a socket receives the rest of a large record straight into its place:
L{RecordParser.rest}.
"""

from __future__ import annotations

import struct
from typing import Optional

from pnfs.rpc.errors import RecordError
from pnfs.rpc.limits import SMALL, BufferPool
from pnfs.rpc.message import LAST_FRAGMENT, REPLY, Buffer
from pnfs.rpc.replies import ReplyBuffers

_mark = struct.Struct(">I").unpack_from
_markAndKind = struct.Struct(">I4xI").unpack_from


class RecordParser:
    """
    Turns a stream of bytes into records.

    At most a small record is held by copying. Nothing is allocated for a record
    whose announced length is over the limit.

    @ivar rest: where the rest of a large record is wanted, or None. Fill it from its
        beginning and call L{received}, or go on with L{feed}.
    """

    __slots__ = (
        "rest",
        "_pending",
        "_limit",
        "_maxFragments",
        "_pool",
        "_replies",
        "_record",
        "_assembly",
        "_left",
        "_last",
        "_fragments",
    )

    def __init__(
        self, limit: int, fragments: int, pool: BufferPool, replies: ReplyBuffers
    ) -> None:
        """
        @param limit: largest record in bytes.
        @param fragments: most fragments of one record.
        @param pool: buffers for large calls; their capacity is C{limit} or more.
        @param replies: memory for large replies.
        """
        self.rest: Optional[memoryview] = None
        self._pending = b""
        self._limit = limit
        self._maxFragments = fragments
        self._pool = pool
        self._replies = replies
        self._record: Optional[memoryview] = None
        self._assembly: Optional[bytearray] = None
        self._left = 0
        self._last = False
        self._fragments = 0

    def feed(self, data: bytes) -> list[Buffer]:
        """
        Take bytes in, give the records that are complete now, in order.

        @raise RecordError: the stream is unusable from here on.
        """
        records: list[Buffer] = []
        pos = 0
        if self._pending:
            data = self._pending + data
            self._pending = b""
        elif self.rest is not None:
            pos = self._fill(data, records)
        end = len(data)
        if self._assembly is not None:
            pos = self._assemble(data, pos, records)
        while end - pos > 3:
            mark = _mark(data, pos)[0]
            start = pos + 4
            if mark < LAST_FRAGMENT:
                self._assembly = bytearray()
                pos = self._assemble(data, pos, records)
                if self._assembly is not None:
                    break
                continue
            length = mark - LAST_FRAGMENT
            stop = start + length
            if length > self._limit:
                raise RecordError(f"a record of {length} bytes is announced")
            if stop <= end:
                if length <= SMALL:
                    records.append(data[start:stop])
                else:
                    records.append(memoryview(data)[start:stop])
                pos = stop
            elif length > SMALL and end - start >= 8:
                self._begin(data, pos, length)
                return records
            else:
                break
        if pos < end:
            self._pending = data[pos:] if pos else data
        return records

    def received(self, count: int) -> Optional[Buffer]:
        """
        C{count} bytes have been put into L{rest}.

        @return: the record if it is complete.
        """
        rest = self.rest
        assert rest is not None
        if count < len(rest):
            self.rest = rest[count:]
            return None
        record = self._record
        self.rest = self._record = None
        return record

    @property
    def idle(self) -> bool:
        """
        Nothing of the next record is here yet.
        """
        return not self._pending and self.rest is None and self._assembly is None

    def place(self, view: memoryview, count: int) -> int:
        """
        See whether a large call has been received to where it can stay, at the
        beginning of a buffer of the pool. Only while L{idle}.

        @param view: the buffer, of which C{count} bytes are filled.
        @return: where the call ends; if that is not filled yet, L{rest} is set. 0: it
            is something else, which L{feed} takes.
        """
        if count < 12:
            return 0
        mark, kind = _markAndKind(view)
        end: int = mark - LAST_FRAGMENT + 4
        if end <= SMALL or kind == REPLY or end - 4 > self._limit or end > len(view):
            return 0
        if count < end:
            self._record = view[4:end]
            self.rest = view[count:end]
        return end

    def _begin(self, data: bytes, pos: int, length: int) -> None:
        """
        The beginning of a large record is there: give it a place of its own. That of a
        call is used again when it has been answered, that of a reply when nobody has
        it any more.
        """
        if _markAndKind(data, pos)[1] == REPLY:
            view = self._replies.take(length)
        else:
            view = memoryview(self._pool.take())[:length]
        have = len(data) - pos - 4
        view[:have] = memoryview(data)[pos + 4 :]
        self._record = view
        self.rest = view[have:]

    def _fill(self, data: bytes, records: list[Buffer]) -> int:
        rest = self.rest
        assert rest is not None
        count = min(len(rest), len(data))
        rest[:count] = memoryview(data)[:count]
        record = self.received(count)
        if record is not None:
            records.append(record)
        return count

    def _assemble(self, data: bytes, pos: int, records: list[Buffer]) -> int:
        """
        Take in fragments of a record of several: they are copied together.

        @return: how far C{data} is used up.
        """
        assembly = self._assembly
        assert assembly is not None
        end = len(data)
        while True:
            if self._left:
                count = min(self._left, end - pos)
                assembly += memoryview(data)[pos : pos + count]
                pos += count
                self._left -= count
                if self._left:
                    return pos
            if self._last:
                records.append(
                    bytes(assembly) if len(assembly) <= SMALL else memoryview(assembly)
                )
                self._assembly = None
                self._last = False
                self._fragments = 0
                return pos
            if end - pos < 4:
                return pos
            mark = _mark(data, pos)[0]
            pos += 4
            self._fragments += 1
            self._left = mark & ~LAST_FRAGMENT
            self._last = mark >= LAST_FRAGMENT
            if self._fragments > self._maxFragments:
                raise RecordError("a record of too many fragments")
            if len(assembly) + self._left > self._limit:
                raise RecordError("a record of several fragments is too long")
