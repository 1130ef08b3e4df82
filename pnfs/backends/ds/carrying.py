# -*- test-case-name: tests.backends.ds.test_carrying -*-
"""
Copying by reading and writing, where nobody can do it closer to the storage.
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable

from pnfs.backends.ds.remote import gather
from pnfs.values import ReadResult, Stable, WriteResult

BLOCK = 1 << 20
BLOCKS = 4
"""Blocks under way at a time: what a copy may take of the memory."""

Read = Callable[[int, int], Awaitable[ReadResult]]
Write = Callable[[int, memoryview], Awaitable[WriteResult]]


async def carry(
    read: Read, write: Write, offset: int, sourceOffset: int, count: int
) -> WriteResult:
    """
    Copy the beginning of a range.

    @param read: gives bytes from an offset on, up to a count; fewer at the end of
        the source, behind which there are zeros.
    @param write: puts bytes at an offset.
    @return: how far it has come: up to L{BLOCKS} blocks.
    """
    count = min(count, BLOCK * BLOCKS)
    if not count:
        return await write(offset, memoryview(b""))

    async def one(start: int) -> WriteResult:
        length = min(BLOCK, count - start)
        found = await read(sourceOffset + start, length)
        data = joined(found, length)
        done = 0
        while True:
            result = await write(offset + start + done, data[done:])
            done += result.count
            if done == length or not result.count:
                return WriteResult(done, result.committed, result.verifier)

    results = await gather([one(start) for start in range(0, count, BLOCK)])
    done = 0
    committed = int(Stable.FILE_SYNC)
    for result in results:
        done += result.count
        committed = min(committed, result.committed)
        if result.verifier != results[0].verifier:
            # Written under two verifiers: it must equal neither.
            return WriteResult(done, Stable.UNSTABLE, bytes(8))
        if result.count < BLOCK:
            break
    return WriteResult(done, committed, results[0].verifier)


def joined(found: ReadResult, length: int) -> memoryview:
    """
    What was read, in one piece, with zeros behind its end.
    """
    pieces: list[Any] = list(found.pieces)
    if found.count == length and len(pieces) == 1:
        return memoryview(pieces[0])
    return memoryview(b"".join((*pieces, bytes(length - found.count))))
