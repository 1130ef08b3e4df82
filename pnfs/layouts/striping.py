# -*- test-case-name: tests.layouts.test_striping -*-
"""
Where the bytes of a file with several columns are. Columns are sparse: a byte has the
same offset on its data server as in the file.

The columns of a striped file take turns after each stripe unit. Those of a file in
chunks have one chunk each, and are added as it grows. After C{CHUNKS_LIMIT} of them
none is added any more: they take turns from then on.
"""

from __future__ import annotations

from typing import Iterator

from pnfs.values import Placement

CHUNKS_LIMIT = 64
"""
Columns of a file in chunks. Placements that are stored rely on it: it never changes.
"""


def pieces(
    placement: Placement, offset: int, length: int
) -> Iterator[tuple[int, int, int]]:
    """
    The pieces of a range of a file, in order, none of which crosses a column.

    @return: (column, offset, length) of each. Of a file in chunks, the last column
        goes on to the end: more are added before anything is written there.
    """
    chunk = placement.chunk
    columns = len(placement.columns)
    if not chunk:
        return split(offset, length, placement.stripeUnit, columns)
    if columns >= CHUNKS_LIMIT:
        return split(offset, length, chunk, columns)
    return _chunks(offset, length, chunk, columns)


def portions(
    placement: Placement, column: int, offset: int, length: int
) -> Iterator[tuple[int, int]]:
    """
    What one column has of a range of a file, in order: (offset, length) of each piece.
    """
    count = len(placement.columns)
    if placement.chunk or count == 1:
        for number, at, part in pieces(placement, offset, length):
            if number == column:
                yield at, part
        return
    unit = placement.stripeUnit
    end = offset + length
    number = offset // unit
    number += (column - number) % count
    while number * unit < end:
        start = max(offset, number * unit)
        yield start, min(end, (number + 1) * unit) - start
        number += count


def _chunks(
    offset: int, length: int, chunk: int, columns: int
) -> Iterator[tuple[int, int, int]]:
    end = offset + length
    while offset < end:
        column = min(offset // chunk, columns - 1)
        stop = end if column == columns - 1 else min(end, (column + 1) * chunk)
        yield column, offset, stop - offset
        offset = stop


def missing(placement: Placement, end: int) -> int:
    """
    How many columns a file in chunks has to be given before it reaches to C{end}.
    """
    if not placement.chunk:
        return 0
    wanted = min(CHUNKS_LIMIT, -(-end // placement.chunk))
    return max(0, wanted - len(placement.columns))


def shares(placement: Placement, size: int) -> list[int]:
    """
    How many of a file's first bytes are in each column.
    """
    width = len(placement.columns)
    unit = placement.chunk or placement.stripeUnit
    if width == 1:
        return [size]
    rounds, left = divmod(size, unit * width)
    found = [
        rounds * unit + max(0, min(unit, left - column * unit))
        for column in range(width)
    ]
    if placement.chunk and rounds and width < CHUNKS_LIMIT:
        return [unit] * (width - 1) + [size - unit * (width - 1)]
    return found


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
    source: Placement,
    sourceOffset: int,
    destination: Placement,
    offset: int,
    length: int,
) -> Iterator[tuple[int, int, int, int]]:
    """
    The pieces of a range that is copied from one file to another, in order: none of
    them crosses a column of either.

    @param sourceOffset: where the range begins in the source.
    @return: (column of the source, column of the destination, position in the
        range, length) of each.
    """
    done = 0
    theirs = pieces(source, sourceOffset, length)
    ours = pieces(destination, offset, length)
    left = room = sourceColumn = column = 0
    while done < length:
        if not left:
            sourceColumn, _, left = next(theirs)
        if not room:
            column, _, room = next(ours)
        step = min(left, room)
        yield sourceColumn, column, done, step
        done += step
        left -= step
        room -= step
