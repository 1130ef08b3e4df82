"""
What a file may hold, as far as its writers have been told.

Files are made of cells of 1024 bytes, each filled with a tag of 8 bytes. A write
that nobody has acknowledged as stable may be there or not; one that was is there.
"""

from __future__ import annotations

from typing import Any, Callable, Optional

CELL = 1024
ZERO = bytes(8)

Tags = tuple[bytes, ...]


def filled(tag: bytes, cells: int) -> bytes:
    """
    Cells with a tag.
    """
    return tag * (CELL // 8 * cells)


class Content:
    """
    @ivar least: and C{most}: what the size in bytes may be.
    @ivar written: tags written so far: later tags have larger numbers.
    """

    def __init__(self, letter: str) -> None:
        """
        @param letter: distinguishes the tags of this writer.
        """
        self._letter = letter
        self._cells: dict[int, Tags] = {}
        self._pending: list[tuple[int, int, bytes]] = []
        self.least = 0
        self.most = 0
        self.written = 0

    def newTag(self) -> bytes:
        """
        The tag of the next write.
        """
        self.written += 1
        return b"%s%07d" % (self._letter.encode("ascii"), self.written)

    def writing(self, first: int, count: int, tag: bytes) -> None:
        """
        A write begins.
        """
        for cell in range(first, first + count):
            self._cells[cell] = self.allowed(cell) + (tag,)
        self._pending.append((first, count, tag))
        self.most = max(self.most, (first + count) * CELL)

    def stable(self) -> None:
        """
        All writes that have been made are on stable storage.
        """
        for first, count, tag in self._pending:
            for cell in range(first, first + count):
                self._cells[cell] = (tag,)
            self.least = max(self.least, (first + count) * CELL)
        self._pending.clear()

    def giveUp(self) -> None:
        """
        Nobody will know what has become of writes that are not stable yet.
        """
        self._pending.clear()

    def truncating(self, cells: int) -> None:
        """
        A truncation begins.
        """
        size = cells * CELL
        for cell in range(cells, self.most // CELL + 1):
            self._cells[cell] = self.allowed(cell) + (ZERO,)
        self.least = min(self.least, size)
        self.most = max(self.most, size)

    def truncated(self, cells: int) -> None:
        """
        It is done.
        """
        for cell in [cell for cell in self._cells if cell >= cells]:
            del self._cells[cell]
        self.least = self.most = cells * CELL

    def allowed(self, cell: int) -> Tags:
        """
        What may be in a cell.
        """
        return self._cells.get(cell, (ZERO,))

    def snapshot(self) -> "Content":
        """
        As it is now.
        """
        copy = Content(self._letter)
        copy._cells = dict(self._cells)
        copy.least, copy.most, copy.written = self.least, self.most, self.written
        return copy

    def problem(
        self, first: int, count: int, data: bytes, later: Optional["Content"] = None
    ) -> str:
        """
        What is wrong with what was read; empty if nothing is.

        @param later: the file changed while it was read, from this to that.
        """
        begin, wanted = first * CELL, count * CELL
        least = min(wanted, max(0, self.least - begin))
        most = max(self.most, 0 if later is None else later.most)
        if len(data) < least:
            return f"{len(data)} bytes at {begin}, at least {least} must be there"
        if len(data) > max(0, most - begin):
            return f"{len(data)} bytes at {begin}, at most {most - begin} can be"
        for position in range(0, len(data), CELL):
            cell = first + position // CELL
            part = data[position : position + CELL]
            allowed = self.allowed(cell)
            if any(part == (tag * (CELL // 8))[: len(part)] for tag in allowed):
                continue
            found = {part[at : at + 8] for at in range(0, len(part), 8)}
            if later is not None:
                allowed += later.allowed(cell)
                found = {tag for tag in found if not self._isLater(tag)}
            if not found.issubset(allowed):
                return (
                    f"cell {cell} (byte {cell * CELL}) holds {sorted(found)}, "
                    f"allowed {sorted(set(allowed))}"
                )
        return ""

    def _isLater(self, tag: bytes) -> bool:
        letter = self._letter.encode("ascii")
        return tag[:1] == letter and int(tag[1:]) > self.written


class Exclusive:
    """
    Who believes to be alone with something.
    """

    def __init__(self, complain: Callable[..., Any]) -> None:
        self._complain = complain
        self._holder: Any = None
        self._believes: Callable[[], bool] = lambda: False

    def take(self, what: str, who: Any, believes: Callable[[], bool]) -> None:
        """
        Somebody has been told that it is his.

        @param believes: whether he still thinks so, later.
        """
        if self._holder is not None and self._believes():
            self._complain("%s was given to %s, but %s has it", what, who, self._holder)
        self._holder, self._believes = who, believes

    def give(self, who: Any) -> None:
        """
        He is about to give it back.
        """
        if self._holder == who:
            self._holder = None
