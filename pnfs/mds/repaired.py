# -*- test-case-name: tests.mds.test_repaired -*-
"""
How far the repair of what a data server has missed is, and how long it is going to take.
"""

from __future__ import annotations

from typing import Any, Mapping, Optional

import attrs

from pnfs.backends.errors import BackendError, NoSuchObject
from pnfs.namespace.exports import ExportTable

LOOKED_AT = 1000
"""Files of which it is looked up how long they are."""


@attrs.define
class Repaired:
    """
    What has been done for a data server since it has returned.

    @ivar files: repaired; bytes: copied for that.
    @ivar failed: files in the last round that could not be repaired, and why the last
        of them could not; failures: in all rounds.
    @ivar began: seconds of the clock.
    @ivar left: files that are stale still; leftBytes: about how long they are, all
        together; None: that is not known.
    @ivar done: how long the repaired ones are; current: bytes copied of those under way.
    """

    files: int = 0
    bytes: int = 0
    failed: int = 0
    problem: str = ""
    failures: int = 0
    began: float = 0.0
    left: Optional[int] = None
    leftBytes: Optional[int] = None
    done: int = 0
    current: int = 0

    def repaired(self, size: int, copied: int) -> None:
        """
        One more is.

        @param copied: bytes for that.
        """
        self.files += 1
        self.done += size
        self.current -= copied
        if self.left is not None and self.leftBytes is not None:
            self.left = max(0, self.left - 1)
            self.leftBytes = max(0, self.leftBytes - size) if self.left else 0

    def rate(self, now: float) -> float:
        """
        Bytes copied in a second.
        """
        return self.bytes / max(now - self.began, 1.0)

    def seconds(self, now: float) -> Optional[float]:
        """
        How long the rest is going to take, if it goes on as until now: files are gone
        through, of which only what differs is copied.
        """
        if self.leftBytes is None:
            return None
        gone = self.done + self.current
        if not self.leftBytes or not gone:
            return 0.0 if not self.left else None
        return max(0, self.leftBytes - self.current) * (now - self.began) / gone


async def measure(
    index: Any, exports: ExportTable, progress: Mapping[bytes, Repaired]
) -> None:
    """
    Set what is left. How long files are is looked up of some of them, and taken for
    granted of the others.

    @param index: L{pnfs.mds.fileindex.FileIndex}, or None. If it does not know, then
        nobody does.
    """
    served = [export.id for export in exports.byPath.values()]
    if index is None or not index.whole.issuperset(served):
        return
    try:
        counts = await index.counts()
        for uuid, done in progress.items():
            stale = counts.get(uuid, (0, 0))[1]
            sizes = await _sizes(index, exports, uuid) if stale else []
            done.left = stale
            done.leftBytes = sum(sizes) * stale // max(len(sizes), 1)
    except BackendError:
        # It is only that nobody can say how long it is going to take.
        return


async def _sizes(index: Any, exports: ExportTable, uuid: bytes) -> list[int]:
    sizes = []
    for each in await index.files(uuid, 0, LOOKED_AT, True):
        export = exports.byId.get(each.export)
        try:
            if export is not None:
                sizes.append((await export.backend.byHandle(each.handle)).size)
        except NoSuchObject:
            # Removed meanwhile.
            continue
    return sizes
