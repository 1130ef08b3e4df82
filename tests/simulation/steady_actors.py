"""
Actors that go on without asking the metadata server anything, as long as they have
a layout.
"""

from __future__ import annotations

from typing import Iterator, Optional

from tests.simulation.actors import ERRORS, Actor, Stage
from tests.simulation.content import CELL, Content, filled
from tests.simulation.mounting import OpenFile, RecoveringMount

CELLS = 160


class Database(Actor):
    """
    Writes here and there in a file of constant size, and has each write brought to
    stable storage where it went; that needs no LAYOUTCOMMIT.
    """

    pause = 0.12

    def __init__(self, stage: Stage, name: str) -> None:
        super().__init__(stage, name)
        self.path = f"/export/database-{name}"
        self.content = Content("d")
        self.opened: Optional[OpenFile] = None
        self._made = False

    def known(self) -> Iterator[tuple[str, Content, range]]:
        yield self.path, self.content, range(CELLS)

    async def begin(self, mount: RecoveringMount) -> None:
        self.content.giveUp()
        self.opened = await self.openPatiently(mount, self.path)

    async def step(self, mount: RecoveringMount) -> None:
        opened = self.opened
        assert opened is not None
        try:
            if not self._made:
                await self._write(opened, 0, CELLS)
                await opened.file.flush()
                self._made = True
            elif self.chance.random() < 0.2:
                await self._read(opened)
            else:
                count = self.chance.choice((1, 2, 9))
                first = self.chance.randrange(CELLS - count)
                await self._write(opened, first, count)
                await opened.file.commit()
            self.event("has committed")
            self.content.stable()
        except ERRORS as error:
            self.stage.excused(f"{self.name} step", error)
            await self.closing(mount, opened)
            await self.begin(mount)

    async def _write(self, opened: OpenFile, first: int, count: int) -> None:
        tag = self.content.newTag()
        self.event("writes %r to cells %d to %d", tag, first, first + count)
        self.content.writing(first, count, tag)
        await opened.file.write(first * CELL, filled(tag, count))

    async def _read(self, opened: OpenFile) -> None:
        data = bytes(await opened.file.read(0, CELLS * CELL))
        problem = self.content.problem(0, CELLS, data)
        if problem:
            self.violation("%s", problem)

    async def end(self, mount: RecoveringMount) -> None:
        assert self.opened is not None
        await self.opened.file.flush()
        self.content.stable()
        await self._read(self.opened)
        await mount.closeFile(self.opened)
