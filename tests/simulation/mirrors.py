"""
What must hold of the mirrors of a file when one that was stale counts again.
"""

from __future__ import annotations

from typing import Optional

from pnfs.layouts.striping import portions
from pnfs.values import Placement
from tests.simulation.storage import SimulatedDisk
from tests.simulation.trace import Trace

_LONG = 10.0
"""Seconds that the repair of a small file does not take."""


class MirrorChecker:
    """
    Looks at disks.

    @ivar repaired: how many mirrors have come to count again.
    """

    def __init__(self, disks: Sequence[SimulatedDisk], trace: Trace) -> None:
        self._disks = {disk.uuid: disk for disk in disks}
        self._trace = trace
        self.repaired = 0

    def changing(self, old: Placement, new: Placement) -> None:
        """
        A placement is being stored. A mirror that counts again has, durably, all that
        one that has been right all the time has; unless that one has just lost what
        nobody was promised.
        """
        for uuid in [each for each in old.stale if each in new.live.dataServers]:
            self.repaired += 1
            self._trace.event("%s counts again at %s", old.name, uuid[:1])
            mirror = self._disks[uuid]
            if not mirror.durable(old.name):
                self._trace.violation("%s counts, but is not durable", old.name)
            for number, column in enumerate(old.columns):
                if uuid in column:
                    self._compare(old, mirror, number)

    def _compare(self, old: Placement, mirror: SimulatedDisk, number: int) -> None:
        found = _column(mirror, old, number)
        column = old.columns[number]
        right = [self._disks[each] for each in column if each not in old.stale]
        if any(_column(disk, old, number) == found for disk in right):
            return
        if all(disk.sinceLoss(old.name) > _LONG for disk in right):
            self._trace.violation("%s counts, but is not right", old.name)


def _column(disk: SimulatedDisk, placement: Placement, number: int) -> Optional[bytes]:
    """
    What a disk has of a column.
    """
    data = disk.stored(placement.name)
    if data is None or not placement.chunk:
        return data
    # It may have other chunks as well, also behind these.
    found = bytearray(len(data))
    for at, length in portions(placement, number, 0, len(data)):
        found[at : at + length] = data[at : at + length]
    return bytes(found).rstrip(b"\0")
