# -*- test-case-name: tests.rpc.test_replies -*-
"""
Memory for large replies.

A reply belongs to whoever has called, who keeps views of it for as long as it likes.
Memory that is fresh each time costs as much as a copy of what comes into it (the
kernel clears its pages, one fault after the other), so it is used again as soon as no
view of it is left.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Any

_PAGE = mmap.PAGESIZE


def addressOf(view: Any) -> int:
    """
    Where bytes lie in memory.

    @param view: a writable buffer that is not empty.
    """
    return ctypes.addressof(ctypes.c_char.from_buffer(view))


class ReplyBuffers:
    """
    Buffers that are used again when no view of them is left.

    @ivar data: where data begins in the large replies that are to come, in bytes behind
        the record mark: this byte is put at the beginning of a page, so that data can
        be given to a device as it lies there.
    """

    __slots__ = ("data", "_capacity", "_keep", "_buffers")

    def __init__(self, capacity: int, keep: int) -> None:
        """
        @param capacity: of the largest reply, in bytes.
        @param keep: how many buffers are kept, whether they are in use or not.
        """
        self.data = 0
        self._capacity = capacity
        # Only CPython's bytearray tells whether views of it are left.
        self._keep = keep if sys.implementation.name == "cpython" else 0
        self._buffers: list[tuple[bytearray, int]] = []

    def take(self, length: int) -> memoryview:
        """
        Memory for a reply. A reply that is much smaller than the largest one gets
        memory of its own: it must not keep as much as that.
        """
        if 4 * length < self._capacity:
            return memoryview(bytearray(length))
        for buffer, address in self._buffers:
            try:
                # Refused while a view exists.
                buffer.append(buffer.pop())
            except BufferError:
                continue
            break
        else:
            buffer = bytearray(self._capacity + _PAGE)
            address = addressOf(buffer)
            if len(self._buffers) < self._keep:
                self._buffers.append((buffer, address))
        start = -(address + self.data) % _PAGE
        return memoryview(buffer)[start : start + length]
