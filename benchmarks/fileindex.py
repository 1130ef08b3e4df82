"""
The index of files by data server at a size where a walk through the tree is too slow:
C{python -m benchmarks.fileindex [FILES] [FOLDER]} prints how fast it is filled, how
long it takes to list the files of one of ten data servers, mirrored twice, and what
memory that takes.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from typing import Iterator

from pnfs.mds.fileindex import BATCH
from pnfs.mds.fileindex_store import Indexed, IndexStore

SERVERS = [bytes([number]) * 16 for number in range(10)]


def records(first: int, count: int, stale: bytes = b"") -> Iterator[Indexed]:
    """
    Mirrored files.
    """
    for number in range(first, first + count):
        servers = (SERVERS[number % 10], SERVERS[(number + 1 + number // 10 % 9) % 10])
        name = (b"%08x" % 7) + b"%040x" % number
        yield Indexed(
            name,
            7,
            number.to_bytes(20, "big"),
            servers,
            tuple(uuid for uuid in servers if uuid == stale),
        )


def memory() -> float:
    """
    Most memory that the process ever had, in MiB.
    """
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(what: str, count: int, start: float) -> None:
    """
    A line.
    """
    seconds = time.perf_counter() - start
    rate = count / seconds
    print(f"{what:44} {seconds:8.2f} s {rate:12,.0f}/s  {memory():6.0f} MiB")


def fill(store: IndexStore, files: int, stale: bytes = b"") -> None:
    """
    In batches as the server does.
    """
    for first in range(0, files, BATCH):
        store.apply(records(first, min(BATCH, files - first), stale), 1)


def listed(store: IndexStore, uuid: bytes, stale: bool) -> int:
    """
    All files of a data server, page by page.
    """
    count = after = 0
    while page := store.files(uuid, stale, after, 1000):
        count += len(page)
        after = page[-1].position
    return count


def main() -> None:
    """
    Measure.
    """
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    parent = sys.argv[2] if len(sys.argv) > 2 else None
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        path = os.path.join(folder, "fileindex.sqlite")
        store = IndexStore(path)
        start = time.perf_counter()
        fill(store, files)
        timed(f"{files} new files", files, start)
        start = time.perf_counter()
        fill(store, files, SERVERS[3])
        timed(f"{files} changed, a fifth of them stale", files, start)
        for stale in (False, True):
            start = time.perf_counter()
            count = listed(store, SERVERS[3], stale)
            timed(f"{count} {'stale ' if stale else ''}files listed", count, start)
        start = time.perf_counter()
        store.counts()
        timed("counts by data server", files, start)
        store.close()
        print(f"{os.path.getsize(path) / files:.0f} bytes on disk per file")


if __name__ == "__main__":
    main()
