# -*- test-case-name: tests.mds.test_datafiles -*-
"""
What has come of a write to several data servers at the same time.
"""

from __future__ import annotations

from typing import Any, Sequence

from pnfs.backends.errors import BackendError
from pnfs.values import Placement, Stable


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
