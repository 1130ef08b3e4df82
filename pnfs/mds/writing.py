# -*- test-case-name: tests.mds.test_datafiles -*-
"""
What has come of a write to several data servers at the same time, and what space is
taken there.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from pnfs.backends.errors import BackendError
from pnfs.layouts.striping import shares
from pnfs.values import ObjectAttributes, Placement, Stable


def written(
    placement: Placement,
    ranges: Sequence[tuple[int, int, int]],
    outcomes: Sequence[Any],
) -> tuple[int, int, dict[bytes, bytes]]:
    """
    How far everything is written from the start on, how durably, and the
    verifiers it was written under.

    @raise BackendError: not even the first byte is.
    """
    done = 0
    committed = int(Stable.FILE_SYNC)
    told: dict[bytes, bytes] = {}
    index = 0
    whole = True
    for column, _, length in ranges:
        mirrors = placement.columns[column]
        some = outcomes[index : index + len(mirrors)]
        index += len(mirrors)
        failures = [o for o in some if isinstance(o, Exception)]
        for failure in failures:
            if not done or not isinstance(failure, BackendError):
                raise failure
        if failures or not whole:
            break
        for uuid, result in zip(mirrors, some):
            committed = min(committed, result.committed)
            before = told.setdefault(uuid, result.verifier)
            if before != result.verifier:
                # It restarted in between: this must equal nothing later.
                told[uuid] = before + result.verifier
        count = min(result.count for result in some)
        done += count
        whole = count == length
    return done, committed, told


def writer(name: bytes, offset: int, part: memoryview, stable: int) -> Any:
    """
    A call of L{pnfs.interfaces.IDataServerBackend.write}.
    """
    return lambda ds: ds.write(name, offset, part, stable)


def spaceOf(
    placement: Placement, found: Mapping[bytes, ObjectAttributes], size: int
) -> int:
    """
    The space that a file takes, its mirrors counted once. A data server may have
    several of a file's chunks, and tells what they take together.
    """
    if not placement.chunk:
        return sum(
            max(found[ds].used for ds in column if ds in found)
            for column in placement.columns
        )
    total = sum(each.used for each in found.values())
    copies = sum(
        share * sum(ds in found for ds in column)
        for share, column in zip(shares(placement, size), placement.columns)
    )
    return total * size // copies if copies else total
