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
"""
Blocks under way at a time: what a copy may take of the memory, and what others wait for
on their way from a slow source.
"""

SECONDS = 1.0
"""After which no further block is begun: who has asked waits for an answer."""

Read = Callable[[int, int], Awaitable[ReadResult]]
Write = Callable[[int, memoryview], Awaitable[WriteResult]]


async def carry(
    read: Read,
    write: Write,
    offset: int,
    sourceOffset: int,
    count: int,
    seconds: Callable[[], float],
    block: int = BLOCK,
    atOnce: int = BLOCKS * BLOCK,
) -> WriteResult:
    """
    Copy the beginning of a range: as much as can be done in L{SECONDS}.

    @param read: gives bytes from an offset on, up to a count; fewer at the end of
        the source, behind which there are zeros.
    @param write: puts bytes at an offset.
    @param seconds: the monotonic clock.
    @param block: bytes that are read at a time; atOnce: that are under way.
    @return: how far it has come.
    """
    if not count:
        return await write(offset, memoryview(b""))
    until = seconds() + SECONDS
    blocks = iter(range(0, count, block))
    results: dict[int, WriteResult] = {}
    over = False

    async def one(start: int, length: int) -> WriteResult:
        found = await read(sourceOffset + start, length)
        data = joined(found, length)
        done = 0
        while True:
            result = await write(offset + start + done, data[done:])
            done += result.count
            if done == length or not result.count:
                return WriteResult(done, result.committed, result.verifier)

    async def oneAfterTheOther() -> None:
        nonlocal over
        while not over:
            start = next(blocks, count)
            if start == count:
                break
            length = min(block, count - start)
            try:
                results[start] = result = await one(start, length)
            except Exception:
                over = True
                raise
            if result.count < length or seconds() >= until:
                over = True

    most = max(1, atOnce // block)
    await gather([oneAfterTheOther() for _ in range(min(most, -(-count // block)))])
    done = 0
    committed = int(Stable.FILE_SYNC)
    # They were begun in order, and none is left under way.
    for start in sorted(results):
        result = results[start]
        done += result.count
        committed = min(committed, result.committed)
        if result.verifier != results[0].verifier:
            # Written under two verifiers: it must equal neither.
            return WriteResult(done, Stable.UNSTABLE, bytes(8))
        if result.count < min(block, count - start):
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
