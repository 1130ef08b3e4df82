# -*- test-case-name: tests.layouts.test_striping -*-
"""
Where a striped file's bytes are. Stripes are sparse: a byte has the same offset on
its data server as in the file.
"""

from __future__ import annotations

from typing import Iterator


def columnOf(offset: int, unit: int, columns: int) -> int:
    """
    The column that holds a byte.

    @param unit: bytes of a stripe unit; 0 if there is one column.
    """
    return 0 if columns == 1 else offset // unit % columns


def split(
    offset: int, length: int, unit: int, columns: int
) -> Iterator[tuple[int, int, int]]:
    """
    The pieces of a range, in order, none of which crosses a column.

    @return: (column, offset, length) of each.
    """
    if columns == 1:
        if length:
            yield 0, offset, length
        return
    end = offset + length
    while offset < end:
        number = offset // unit
        stop = min(end, (number + 1) * unit)
        yield number % columns, offset, stop - offset
        offset = stop


def columnSize(size: int, column: int, unit: int, columns: int) -> int:
    """
    How long the data file of a column is at least, when the file has C{size} bytes
    without holes at its end: the end of its last byte, 0 if it holds none.
    """
    if size == 0 or columns == 1:
        return size
    last = (size - 1) // unit
    back = (last - column) % columns
    if back > last:
        return 0
    return size if back == 0 else (last - back + 1) * unit
