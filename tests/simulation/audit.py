"""
What is on the disks, seen by nobody's leave: whatever has been acknowledged lies,
durably, on every mirror that may be read, at any time.

A reader asks one mirror, and only tells what is wrong with that one when he comes by.
Here all are looked at, whenever it may matter: when a data server dies or comes back,
when a mirror counts again, and in the end.
"""

from __future__ import annotations

from typing import Any, Iterable, Iterator, Sequence

from pnfs.layouts.striping import pieces
from pnfs.values import Placement
from tests.simulation.content import CELL, Content
from tests.simulation.site import Site
from tests.simulation.storage import SimulatedDisk
from tests.simulation.trace import Trace

Known = tuple[str, Content, range]
"""A path, what is known of the file, and of which of its cells."""


class Audit:
    """
    Compares disks with what clients have been told.

    @ivar cells: that were found right, on any mirror.
    @ivar excused: cells in which mirrors differed in the end, where nobody was told
        what is in them.
    """

    def __init__(self, site: Site, trace: Trace, actors: Iterable[Any]) -> None:
        """
        @param actors: of L{tests.simulation.actors.Actor}.
        """
        self._site = site
        self._trace = trace
        self._actors = list(actors)
        self.cells = 0
        self.excused = 0
        site.onPlacement.append(self._stored)

    def _known(self) -> Iterator[Known]:
        for actor in self._actors:
            yield from actor.known()

    def _disk(self, uuid: bytes) -> SimulatedDisk:
        return self._site.disks[uuid[0] - 1]

    def look(self, why: str) -> None:
        """
        All files.
        """
        for path, content, cells in self._known():
            node = self._site.tree.at(path)
            if node is not None and node.placement is not None:
                self._look(why, path, node.placement, content, cells)

    def _stored(self, node: Any, old: Any, new: Placement) -> None:
        """
        Something of a placement has changed.
        """
        self._trace.event(
            "placement of fileid %d: %s, stale %s, next %s, epoch %d",
            node.fileid,
            [[uuid[0] - 1 for uuid in column] for column in new.columns],
            [uuid[0] - 1 for uuid in new.stale],
            [[u[0] - 1 for u in c] for c in new.next.columns] if new.next else None,
            new.epoch,
        )
        if not all(new.live.columns):
            self._trace.violation("no good mirror is left of fileid %d", node.fileid)
        if old is None or (
            old.columns == new.columns and not set(old.stale).difference(new.stale)
        ):
            return
        for path, content, cells in self._known():
            if self._site.tree.at(path) is node:
                self._look("it is here now", path, new, content, cells)

    def _look(
        self,
        why: str,
        path: str,
        placement: Placement,
        content: Content,
        cells: Sequence[int],
    ) -> None:
        live = placement.live
        end = content.most
        found = {
            uuid: self._disk(uuid).settled(placement.name, end)
            for uuid in live.dataServers
        }
        for cell in cells:
            offset = cell * CELL
            if offset >= end:
                break
            allowed = content.allowed(cell)
            if len(set(allowed)) > 1:
                continue
            wanted = allowed[0] * (CELL // 8)
            ((column, at, _),) = pieces(live, offset, CELL)
            for uuid in live.columns[column]:
                data = found[uuid]
                if data is None or data[at : at + CELL] != wanted:
                    self._trace.violation(
                        "%s: %s, cell %d must hold %s, but ds%d has %s",
                        why,
                        path,
                        cell,
                        allowed[0],
                        uuid[0] - 1,
                        "nothing" if data is None else bytes(data[at : at + 8]),
                    )
                    return
                self.cells += 1

    def end(self) -> Iterator[str]:
        """
        Say what is not as it must be when everybody has finished.
        """
        self.look("in the end")
        known: dict[str, list[Known]] = {}
        for each in self._known():
            known.setdefault(each[0], []).append(each)
        for name, node in self._site.tree.files():
            placement = node.placement
            if placement is None:
                continue
            if placement.next is not None:
                yield f"{name!r} is on its way to {placement.next} still"
            content = known.get(f"/export/{name.decode()}", ())
            for number in range(len(placement.live.columns)):
                yield from self._compare(name, node, number, content)

    def _compare(
        self, name: bytes, node: Any, column: int, known: Sequence[Known]
    ) -> Iterator[str]:
        """
        Where mirrors differ although somebody has been told what is there.
        """
        live = node.placement.live
        first, *others = [
            (self._disk(uuid).stored(live.name) or b"").ljust(node.size, b"\0")
            for uuid in live.columns[column]
        ]
        for other in others:
            for offset in range(0, node.size, CELL):
                if first[offset : offset + CELL] == other[offset : offset + CELL]:
                    continue
                ((number, _, _),) = pieces(live, offset, CELL)
                if live.chunk and number != column:
                    # They may have other chunks as well, not the same ones.
                    continue
                cell = offset // CELL
                # Of numbers that are counted nobody has kept what may be there: a
                # writer may have gone before he was told anything.
                if not known or any(
                    len(set(content.allowed(cell))) > 1
                    for _, content, cells in known
                    if cell in cells
                ):
                    self._trace.event("mirrors of %s differ in cell %d", name, cell)
                    self.excused += 1
                    continue
                yield f"mirrors of {name!r} differ in cell {cell}"
                return
