# -*- test-case-name: tests.mds.test_ranges -*-
"""
Ranges of bytes of a file.
"""

from __future__ import annotations

from typing import Iterable, Iterator, Sequence

Range = tuple[int, int]
"""Offset and length."""

EVERYTHING = 1 << 63
"""Where no file goes."""

RANGES = 1024
"""That are remembered; of more, those near each other become one."""


def steps(ranges: Iterable[Range], step: int) -> Iterator[Range]:
    """
    The same in pieces.

    @param step: how long they are at most.
    """
    for offset, length in ranges:
        end = offset + length
        for start in range(offset, end, step):
            yield start, min(step, end - start)


def merged(ranges: Iterable[Range], size: int) -> Iterator[Range]:
    """
    In order, apart from each other, and up to the end of the file.
    """
    begin = end = 0
    for offset, length in sorted(ranges):
        if offset >= size:
            break
        if offset > end:
            if end > begin:
                yield begin, end - begin
            begin = offset
        end = max(end, min(offset + length, size))
    if end > begin:
        yield begin, end - begin


def behind(ranges: Iterable[Range], size: int) -> list[Range]:
    """
    What of them lies behind the end of the file.
    """
    found = [(max(at, size), at + length) for at, length in ranges]
    return [(start, end - start) for start, end in found if end > start]


def without(ranges: Iterable[Range], others: Sequence[Range]) -> Iterator[Range]:
    """
    What of them is not in others, which are in order and apart from each other.
    """
    for offset, length in ranges:
        end = offset + length
        for start, part in others:
            if start >= end:
                break
            if start > offset:
                yield offset, start - offset
            offset = max(offset, start + part)
        if offset < end:
            yield offset, end - offset


def coarse(ranges: Iterable[Range]) -> Iterator[Range]:
    """
    Not more than L{RANGES} that have all of these.
    """
    found = list(merged(ranges, EVERYTHING))
    gap = 1 << 16
    while len(found) > RANGES:
        gap *= 2
        wider = merged([(at, length + gap) for at, length in found], EVERYTHING)
        found = [(at, length - gap) for at, length in wider]
    return iter(found)
