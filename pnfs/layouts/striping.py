# -*- test-case-name: tests.layouts.test_striping -*-
"""
Where a striped file's bytes are. Stripes are sparse: a byte has the same offset on
its data server as in the file.
"""

from __future__ import annotations

from typing import Iterator


def split(
    offset: int, length: int, unit: int, columns: int
) -> Iterator[tuple[int, int, int]]:
    """
    The pieces of a range, in order, none of which crosses a column.

    @param unit: bytes of a stripe unit; 0 if there is one column.
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
