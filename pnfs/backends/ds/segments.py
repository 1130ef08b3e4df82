# -*- test-case-name: tests.backends.ds.test_segments -*-
"""
A range read as data and holes, for backends that can seek and read.
"""

from __future__ import annotations

from typing import Any, Sequence

from pnfs.values import ReadResult, Segment, SegmentsResult

SMALLEST_HOLE = 4096
"""
Bytes. A hole that is smaller is told as data: else the heads of many segments could
take more room in a reply than their bytes would.
"""


def dataRanges(
    found: Sequence[tuple[int, int]], offset: int, end: int
) -> list[tuple[int, int]]:
    """
    Ranges of data, as (start, end), of a range; holes that are too small are part
    of the data around them.

    @param found: where data is, in order.
    """
    ranges: list[tuple[int, int]] = []
    last = offset
    for start, stop in found:
        start, stop = max(start, offset), min(stop, end)
        if start >= stop:
            continue
        if start - last < SMALLEST_HOLE:
            start = last
        if ranges and start == last:
            ranges[-1] = (ranges[-1][0], stop)
        else:
            ranges.append((start, stop))
        last = stop
    if last < end and end - last < SMALLEST_HOLE:
        if ranges:
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((offset, end))
    return ranges


async def readBySeeking(
    backend: Any, name: bytes, offset: int, count: int
) -> SegmentsResult:
    """
    See L{pnfs.interfaces.IDataServerBackend.readSegments}. A range without holes
    costs one C{seek} more than reading it.
    """
    hole = await backend.seek(name, offset, True)
    if hole is None or hole >= offset + count:
        return allData(offset, await backend.read(name, offset, count))
    size = (await backend.getattr(name)).size
    end = min(offset + count, size)
    found = []
    position = offset
    while position < end:
        if hole is None:
            break
        found.append((position, hole))
        start = await backend.seek(name, hole, False)
        if start is None or start >= end:
            break
        position = start
        hole = await backend.seek(name, start, True)
    return await readRanges(backend, name, found, offset, end, size)


async def readRanges(
    backend: Any,
    name: bytes,
    found: Sequence[tuple[int, int]],
    offset: int,
    end: int,
    size: int,
) -> SegmentsResult:
    """
    Read the data of a range.

    @param found: where data is, as (start, end), in order.
    @param size: of the object, a moment ago; C{end} is not behind it.
    """
    segments: list[Segment] = []
    position = offset
    for start, stop in dataRanges(found, offset, end):
        result = await backend.read(name, start, stop - start)
        if start > position:
            segments.append(Segment(position, start - position, None))
        if result.count:
            segments.append(Segment(start, result.count, list(result.pieces)))
        position = start + result.count
        if position < stop:
            # It has become shorter meanwhile.
            return SegmentsResult(segments, position - offset, result.eof)
    if position < end:
        segments.append(Segment(position, end - position, None))
    return SegmentsResult(segments, max(0, end - offset), end >= size)


def allData(offset: int, result: ReadResult) -> SegmentsResult:
    """
    What was read is all data.
    """
    segments = []
    if result.count:
        segments.append(Segment(offset, result.count, list(result.pieces)))
    return SegmentsResult(segments, result.count, result.eof)
