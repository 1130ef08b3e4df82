# -*- test-case-name: tests.rpc.test_record,tests.rpc.test_connection -*-
"""
What the connections of one server, or of one client, have in common: limits,
counters, large buffers.
"""

from __future__ import annotations

import sys

import attrs

SMALL = 32 << 10
"""Records and pieces larger than this, in bytes, are not copied."""


@attrs.frozen
class Limits:
    """
    Bounds on what one peer can make us hold.

    @ivar recordBytes: largest record accepted.
    @ivar fragments: fragments of a record.
    @ivar outputBytes: unsent output of a connection above which it is not read.
    @ivar waiting: calls of a connection waiting for something, likewise.
    @ivar waitingBytes: total length of their records, likewise.
    @ivar recordsPerTurn: records served before other connections have their turn.
    @ivar headers: call headers remembered per connection.
    @ivar connections: open at the same time.
    @ivar freeBuffers: large buffers kept for the next large record.
    """

    recordBytes: int = (1 << 20) + (64 << 10)
    fragments: int = 64
    outputBytes: int = 8 << 20
    waiting: int = 256
    waitingBytes: int = 64 << 20
    recordsPerTurn: int = 64
    headers: int = 128
    connections: int = 4096
    freeBuffers: int = 16


class Counters:
    """
    Facts for the metrics, cumulative except C{connections}.

    @ivar accepted: connections made; C{connections}: open now.
    @ivar bytesIn: bytes received; C{bytesOut}: sent.
    @ivar calls: calls served; C{errors}: those answered with an RPC error.
    @ivar violations: connections closed because of what the peer sent.
    """

    __slots__ = (
        "accepted",
        "connections",
        "bytesIn",
        "bytesOut",
        "calls",
        "errors",
        "violations",
    )

    def __init__(self) -> None:
        self.accepted = 0
        self.connections = 0
        self.bytesIn = 0
        self.bytesOut = 0
        self.calls = 0
        self.errors = 0
        self.violations = 0


class BufferPool:
    """
    Buffers for large records, used again when nobody looks at them any more.

    @ivar capacity: length of each buffer.
    """

    __slots__ = ("capacity", "_free", "_keep")

    def __init__(self, capacity: int, keep: int) -> None:
        self.capacity = capacity
        self._free: list[bytearray] = []
        # Only CPython's bytearray tells whether views of it are left.
        self._keep = keep if sys.implementation.name == "cpython" else 0

    def take(self) -> bytearray:
        """
        A buffer of C{capacity} bytes. Its memory costs nothing until touched.
        """
        return self._free.pop() if self._free else bytearray(self.capacity)

    def give(self, record: memoryview) -> None:
        """
        The record has been answered: if it lies in one of our buffers, and no other
        view of that is left, the buffer may be used again.
        """
        buffer = record.obj
        if type(buffer) is not bytearray or len(buffer) != self.capacity:
            return
        if len(self._free) >= self._keep:
            return
        record.release()
        try:
            # Refused by the bytearray while a view exists: a piece of an answer
            # that is still to be sent, or a slice somebody kept.
            buffer.append(buffer.pop())
        except BufferError:
            return
        self._free.append(buffer)
