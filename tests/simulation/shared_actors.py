"""
Actors that disturb each other: regions of one file, and names.
"""

from __future__ import annotations

from typing import Any, Iterator, Optional

from pnfs.client.dataservers import sleep
from pnfs.nfs4 import requests
from pnfs.nfs4.results import OperationFailed
from pnfs.nfs4.slots import SessionLost
from pnfs.nfs4.status import nfsstat4
from pnfs.client.names import namesOf
from tests.simulation.actors import ERRORS, Actor, Stage
from tests.simulation.content import CELL, Content, filled
from tests.simulation.mounting import OpenFile, RecoveringMount
from tests.simulation.requests import link, rename

REGION = 70


class Region(Actor):
    """
    One part of a file that belongs to one client; the others read it, and one of
    them has all layouts recalled from time to time.
    """

    pause = 0.7
    path = "/export/regions"

    def __init__(self, stage: Stage, name: str, all: list["Region"]) -> None:
        super().__init__(stage, name)
        self._all = all
        self._first = len(all) * REGION
        self.content = Content("abcdefgh"[len(all)])
        self.opened: Optional[OpenFile] = None
        all.append(self)

    def known(self) -> Iterator[tuple[str, Content, range]]:
        yield self.path, self.content, range(self._first, self._first + REGION)

    async def begin(self, mount: RecoveringMount) -> None:
        self.content.giveUp()
        self.opened = await self.openPatiently(mount, self.path)

    async def step(self, mount: RecoveringMount) -> None:
        opened = self.opened
        assert opened is not None
        kinds = ("write", "read", "recall")
        what = self.chance.choices(kinds, (6, 4, 0 if self._first else 1))[0]
        try:
            await getattr(self, "_" + what)(mount, opened)
        except ERRORS as error:
            self.stage.excused(f"{self.name} {what}", error)
            await self.closing(mount, opened)
            await self.begin(mount)

    async def _write(self, mount: RecoveringMount, opened: OpenFile) -> None:
        count = self.chance.choice((1, 7, 30))
        first = self._first + self.chance.randrange(REGION - count)
        tag = self.content.newTag()
        self.event("writes %r to cells %d to %d", tag, first, first + count)
        self.content.writing(first, count, tag)
        await opened.file.write(first * CELL, filled(tag, count))
        if self.chance.random() < 0.6:
            await opened.file.flush()
            self.event("has flushed")
            self.content.stable()

    async def _read(self, mount: RecoveringMount, opened: OpenFile) -> None:
        other = self.chance.choice(self._all)
        before = other.content.snapshot()
        begin = other._first * CELL
        data = bytes(await opened.file.read(begin, REGION * CELL))
        self.event("has read the region of %s", other.name)
        self._check(other, data, before)

    def _check(self, other: "Region", data: bytes, before: Content) -> None:
        least = before.least - other._first * CELL
        if len(data) < least:
            self.violation(
                "%d bytes of the region of %s, at least %d",
                len(data),
                other.name,
                least,
            )
        before.least = 0
        before.most = 1 << 40
        problem = before.problem(other._first, REGION, data, other.content)
        if problem:
            self.violation("region of %s: %s", other.name, problem)

    async def _recall(self, mount: RecoveringMount, opened: OpenFile) -> None:
        size = len(self._all) * REGION * CELL
        self.event("sets the size")
        await opened.file.truncate(size)

    async def end(self, mount: RecoveringMount) -> None:
        assert self.opened is not None
        await self.opened.file.flush()
        self.content.stable()
        for other in self._all:
            before = other.content.snapshot()
            data = bytes(
                await self.opened.file.read(other._first * CELL, REGION * CELL)
            )
            self._check(other, data, before)
        await mount.closeFile(self.opened)


class Tree(Actor):
    """
    Names in a directory of its own. Each operation has the one result that it must
    have, even if it was sent again after a lost connection.
    """

    pause = 0.6

    def __init__(self, stage: Stage, name: str) -> None:
        super().__init__(stage, name)
        self._directory = f"/export/tree-{name}"
        self._fh = b""
        self._made = 0
        # Name to filehandle; names of whose fate nobody is sure are not in it.
        self._names: dict[bytes, bytes] = {}
        self._uncertain: set[bytes] = set()

    async def begin(self, mount: RecoveringMount) -> None:
        while True:
            try:
                try:
                    await mount.mkdir(self._directory, 0o755)
                except OperationFailed as failure:
                    if failure.status != nfsstat4.NFS4ERR_EXIST:
                        raise
                self._fh = (await mount.lookup(self._directory)).fh
                return
            except ERRORS as error:
                self.stage.excused(f"{self.name} making its directory", error)
            await sleep(mount.clock, 1.0)

    async def step(self, mount: RecoveringMount) -> None:
        kinds = ["create"]
        if self._names:
            kinds += ["rename", "replace", "remove", "link", "check"]
        what = self.chance.choice(kinds)
        names = sorted(self._names)
        old = self.chance.choice(names) if names else b""
        self._made += 1
        new = b"n%d" % self._made
        touched = {"create": [new], "remove": [old], "check": []}.get(what, [old, new])
        if what == "replace":
            new = self.chance.choice(names)
            touched = [old, new]
        kept = {name: self._names.pop(name) for name in touched if name in self._names}
        # Unless it succeeds, nobody knows of these any more.
        self._uncertain.update(touched)
        self.event("%s %r %r", what, old, new)
        try:
            await getattr(self, "_" + what)(mount, old, new, kept)
        except ERRORS as error:
            self.stage.excused(f"{self.name} {what}", error)
        else:
            self._uncertain.difference_update(touched)
            self.event("has done it")

    async def _create(
        self, mount: RecoveringMount, old: bytes, new: bytes, kept: dict[bytes, bytes]
    ) -> None:
        owner = b"tree%d" % self._made
        results = await mount.once(
            [
                requests.putfh(self._fh),
                requests.open_(
                    0, owner, new, 3, [requests.modeAttribute(0o600)], guarded=True
                ),
                requests.GETFH,
            ],
            3,
        )
        results.operation(22)
        results.operation(18)
        stateid = results.opened()
        results.operation(10)
        self._names[new] = fh = results.opaque(128)
        try:
            results = await mount.once([requests.putfh(fh), requests.close(stateid)], 2)
            results.operation(22)
            results.operation(4)
        except SessionLost:
            pass
        except OperationFailed as failure:
            # The server has restarted and knows of no open.
            if failure.status != nfsstat4.NFS4ERR_BAD_STATEID:
                raise

    async def _rename(
        self, mount: RecoveringMount, old: bytes, new: bytes, kept: dict[bytes, bytes]
    ) -> None:
        results = await mount.once(
            [
                requests.putfh(self._fh),
                requests.SAVEFH,
                rename(old, new),
            ],
            3,
        )
        for number in (22, 32, 29):
            results.operation(number)
        self._names[new] = kept[old]

    async def _replace(
        self, mount: RecoveringMount, old: bytes, new: bytes, kept: dict[bytes, bytes]
    ) -> None:
        await self._rename(mount, old, new, kept)
        if kept[old] == kept.get(new, kept[old]):
            # Two names of one file: nothing is renamed (RFC 8881, 18.26.3).
            self._names[old] = kept[old]

    async def _remove(
        self, mount: RecoveringMount, old: bytes, new: bytes, kept: dict[bytes, bytes]
    ) -> None:
        results = await mount.once([requests.putfh(self._fh), requests.remove(old)], 2)
        results.operation(22)
        results.operation(28)

    async def _link(
        self, mount: RecoveringMount, old: bytes, new: bytes, kept: dict[bytes, bytes]
    ) -> None:
        results = await mount.once(
            [
                requests.putfh(kept[old]),
                requests.SAVEFH,
                requests.putfh(self._fh),
                link(new),
            ],
            4,
        )
        for number in (22, 32, 22, 11):
            results.operation(number)
        self._names[old] = self._names[new] = kept[old]

    async def _check(
        self, mount: RecoveringMount, old: bytes, new: bytes, kept: dict[bytes, bytes]
    ) -> None:
        found = {name for name, _ in await mount.listdir(namesOf(self._directory))}
        for name in sorted(self._names):
            if name not in found:
                self.violation("%r is not there any more", name)
        for name in sorted(found):
            if name not in self._names and name not in self._uncertain:
                self.violation("%r is there again", name)

    async def end(self, mount: RecoveringMount) -> None:
        await self._check(mount, b"", b"", {})
        for name in sorted(self._names):
            node = await mount.lookup(f"{self._directory}/{name.decode()}")
            if node.fh != self._names[name]:
                self.violation("%r is another file", name)


__all__ = ["Any", "Region", "Tree"]
