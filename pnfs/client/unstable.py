# -*- test-case-name: tests.client.test_unstable -*-
"""
What was written but may yet be lost (RFC 8881, section 18.32.4): kept until COMMIT
tells the same verifier as the WRITEs.
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable, Sequence

import attrs

from pnfs.backends.ds.remote import gatherOutcomes
from pnfs.client.dataservers import DataFile
from pnfs.client.errors import FAILURES


@attrs.define(eq=False)
class UnstableWrite:
    """
    Written, not committed yet.

    @ivar copies: where, and with which verifier.
    """

    offset: int
    data: memoryview
    copies: tuple[tuple[DataFile, bytes], ...]


Range = tuple[int, int]
"""Start and end in bytes."""


def remains(write: UnstableWrite, later: Sequence[Range]) -> list[UnstableWrite]:
    """
    The parts of a write that others do not cover.
    """
    left = [(write.offset, write.offset + len(write.data))]
    for start, end in later:
        left = [
            part
            for first, last in left
            for part in ((first, min(last, start)), (max(first, end), last))
            if part[0] < part[1]
        ]
    return [
        UnstableWrite(
            first, write.data[first - write.offset : last - write.offset], write.copies
        )
        for first, last in left
    ]


class UnstableWrites:
    """
    Those of one file.

    @ivar size: bytes kept.
    """

    def __init__(self, commit: Callable[[DataFile], Awaitable[bytes]]) -> None:
        """
        @param commit: COMMITs at one server and gives the verifier.
        """
        self._commit = commit
        self._kept: list[UnstableWrite] = []
        self.size = 0

    def keep(
        self, offset: int, data: memoryview, copies: Sequence[tuple[DataFile, bytes]]
    ) -> None:
        """
        Remember a write.

        @param copies: where it is unstable, with which verifier; empty if nowhere.
        """
        if copies:
            self._kept.append(UnstableWrite(offset, data, tuple(copies)))
            self.size += len(data)

    def restore(self, writes: Sequence[UnstableWrite]) -> None:
        """
        Remember these again.
        """
        self._kept = [*writes, *self._kept]
        self.size += sum(len(write.data) for write in writes)

    def forget(self) -> None:
        """
        Give all up.
        """
        self._kept = []
        self.size = 0

    async def commit(self) -> list[UnstableWrite]:
        """
        COMMIT wherever any of them lies. They are remembered no longer.

        @return: what is lost, or may be, and has to be written again, without what
            a later one has written over: that must not come back.
        @raise Exception: the metadata server does not COMMIT: there is no other way.
            Nothing is forgotten.
        """
        batch, self._kept = self._kept, []
        self.size = 0
        if not batch:
            return []
        try:
            verifiers = await self._verifiers(batch)
        except BaseException:
            self.restore(batch)
            raise
        return _unsafe(batch, verifiers)

    def ranges(self) -> list[Range]:
        """
        What has been written since the last L{commit} began.
        """
        return [(each.offset, each.offset + len(each.data)) for each in self._kept]

    async def commitEarly(self) -> None:
        """
        COMMIT; remember all that is not safe afterwards. Not to be called during
        L{commit}, or before what that has found lost is written again.
        """
        batch = list(self._kept)
        if not batch:
            return
        try:
            verifiers = await self._verifiers(batch)
        except FAILURES:
            return
        if self._kept[: len(batch)] != batch:
            # L{commit} has begun meanwhile, and sees to it.
            return
        self._kept[: len(batch)] = _unsafe(batch, verifiers)
        self.size = sum(len(write.data) for write in self._kept)

    async def _verifiers(self, batch: Sequence[UnstableWrite]) -> dict[Any, Any]:
        """
        The verifiers that the servers' COMMITs tell, or their failures, by key.
        """
        targets = {target.key: target for write in batch for target, _ in write.copies}
        outcomes = await gatherOutcomes(
            [self._commit(each) for each in targets.values()]
        )
        for target, outcome in zip(targets.values(), outcomes):
            if isinstance(outcome, Exception) and (
                target.server is None or not isinstance(outcome, FAILURES)
            ):
                raise outcome
        return dict(zip(targets, outcomes))


def _unsafe(
    batch: Sequence[UnstableWrite], verifiers: dict[Any, Any]
) -> list[UnstableWrite]:
    """
    What may be lost of writes given in order, without what later ones have written
    over.
    """
    lost: list[UnstableWrite] = []
    later: list[Range] = []
    for write in reversed(batch):
        if not _safe(write, verifiers):
            lost += remains(write, later)
        later.append((write.offset, write.offset + len(write.data)))
    lost.reverse()
    return lost


def _safe(write: UnstableWrite, verifiers: dict[Any, Any]) -> bool:
    """
    Are all copies of it stable?
    """
    return all(
        verifiers.get(target.key) == verifier for target, verifier in write.copies
    )
