# -*- test-case-name: tests.layouts.test_striping -*-
"""
Where a striped file's bytes are. Stripes are sparse: a byte has the same offset on
its data server as in the file.
"""

from __future__ import annotations

from typing import Iterator

from pnfs.values import Placement


def pieces(
    placement: Placement, offset: int, length: int
) -> Iterator[tuple[int, int, int]]:
    """
    The pieces of a range of a file, in order, none of which crosses a column.

    @return: (column, offset, length) of each. Of a file in chunks, the last column
        goes on to the end: more are added before anything is written there.
    """
    if not placement.chunk:
        return split(offset, length, placement.stripeUnit, len(placement.columns))
    return _chunks(offset, length, placement.chunk, len(placement.columns))


def _chunks(
    offset: int, length: int, chunk: int, columns: int
) -> Iterator[tuple[int, int, int]]:
    end = offset + length
    while offset < end:
        column = min(offset // chunk, columns - 1)
        stop = end if column == columns - 1 else min(end, (column + 1) * chunk)
        yield column, offset, stop - offset
        offset = stop


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


def pairs(
    sourceOffset: int,
    source: tuple[int, int],
    offset: int,
    destination: tuple[int, int],
    length: int,
) -> Iterator[tuple[int, int, int, int]]:
    """
    The pieces of a range that is copied between files striped differently, in order:
    none of them crosses a column of either.

    @param source: stripe unit and number of columns; C{destination} likewise.
    @return: (column of the source, column of the destination, position in the
        range, length) of each.
    """
    done = 0
    while done < length:
        sourceColumn, left = _place(sourceOffset + done, *source)
        column, room = _place(offset + done, *destination)
        step = min(length - done, left or length, room or length)
        yield sourceColumn, column, done, step
        done += step


def _place(offset: int, unit: int, columns: int) -> tuple[int, int]:
    """
    The column of a byte, and how many more follow there; 0: all that do.
    """
    if columns == 1:
        return 0, 0
    return offset // unit % columns, unit - offset % unit
