"""
Actors that share numbers in files, with delegations.
"""

from __future__ import annotations


from pnfs.client.dataservers import sleep
from pnfs.nfs4 import requests
from pnfs.nfs4.status import NFSError, nfsstat4
from tests.simulation.actors import ERRORS, Actor, Stage
from tests.simulation.delegations import (
    DelegatedMount,
    Delegation,
    SharedNumber,
    readNumber,
)
from tests.simulation.mounting import RecoveringMount

NONE, READ, WRITE, ANY = 0x400, 0x100, 0x200, 0x300
"""What one may want with an OPEN."""

_GONE = frozenset(
    {
        nfsstat4.NFS4ERR_BAD_STATEID,
        nfsstat4.NFS4ERR_OLD_STATEID,
        nfsstat4.NFS4ERR_EXPIRED,
        nfsstat4.NFS4ERR_ADMIN_REVOKED,
        nfsstat4.NFS4ERR_DELEG_REVOKED,
    }
)
"""The server has forgotten a stateid, or taken it away."""


class Number(Actor):
    """
    Owns one number, and looks at those of the others.
    """

    pause = 0.3

    def __init__(
        self, stage: Stage, name: str, mine: SharedNumber, all: list[SharedNumber]
    ) -> None:
        super().__init__(stage, name)
        self._mine = mine
        self._all = all
        self._fhs: dict[str, bytes] = {}
        self._owners = 0

    async def begin(self, mount: RecoveringMount) -> None:
        assert isinstance(mount, DelegatedMount)
        self._fhs = {}

    async def step(self, mount: RecoveringMount) -> None:
        assert isinstance(mount, DelegatedMount)
        chance = self.chance
        mount.slowness = chance.choice((0.0, 0.0, 0.0, 2.0, 30.0))
        if self.stage.calm:
            mount.slowness = 0.0
        self._remember(mount)
        changing = self._fhs.get(self._mine.path, b"") in mount.delegations
        shared = chance.choice(self._all)
        if shared is self._mine or (changing and chance.random() < 0.3):
            shared = self._mine
            if not changing and chance.random() < 0.7:
                return
        try:
            fh = self._fhs.get(shared.path)
            if fh is None:
                fh = (await mount.lookup(shared.path)).fh
                self._fhs[shared.path] = fh
            if shared is self._mine:
                await self._change(mount, shared, fh)
            else:
                await self._look(mount, shared, fh)
        except ERRORS as error:
            if isinstance(error, NFSError) and error.status in _GONE:
                self.event("has lost what it had: %s", error)
            else:
                self.stage.excused(f"{self.name} step", error)

    def _delegation(
        self, mount: DelegatedMount, shared: SharedNumber, fh: bytes
    ) -> Delegation:
        self._owners += 1
        return Delegation(
            mount, shared, fh, b"%b%d" % (self.name.encode(), self._owners)
        )

    def _remember(self, mount: DelegatedMount) -> None:
        """
        Look at what is in memory, which nobody can tell from asking the server.
        """
        for held in mount.delegations.values():
            if held.believes and held.value is not None and not held.writes:
                self.event("remembers %d of %s", held.value, held.shared.path)
                held.shared.check(self.name, held.value, held.shared.least)

    async def _change(
        self, mount: DelegatedMount, shared: SharedNumber, fh: bytes
    ) -> None:
        held = mount.delegations.get(fh)
        if held is not None and held.writes and held.believes:
            shared.most += 1
            held.value = shared.most
            held.dirty = True
            self.event("changes its number to %d in memory", shared.most)
            if self.chance.random() < 0.2:
                await held.flush()
            return
        if held is not None:
            return
        want = self.chance.choice((NONE, ANY, WRITE, WRITE))
        held = self._delegation(mount, shared, fh)
        await mount.openShared(held, requests.SHARE_BOTH, want)
        shared.most += 1
        value = shared.most
        self.event("writes %d", value)
        if held.stateid and held.writes and held.believes:
            held.value, held.dirty = value, True
            return
        try:
            await held.write(value)
            self.event("has written %d", value)
        finally:
            await held.giveBack()

    async def _look(
        self, mount: DelegatedMount, shared: SharedNumber, fh: bytes
    ) -> None:
        if fh in mount.delegations:
            return
        least = shared.least
        if self.chance.random() < 0.2:
            value = await readNumber(mount, fh, requests.ANONYMOUS)
            shared.check(self.name, value, least)
            return
        want = self.chance.choice((NONE, READ, READ, ANY))
        held = self._delegation(mount, shared, fh)
        await mount.openShared(held, requests.SHARE_READ, want)
        try:
            value = await held.read()
            self.event("has read %d of %s", value, shared.path)
            shared.check(self.name, value, least)
            held.value = value
        finally:
            if not held.stateid and not held.over:
                await held.giveBack()

    async def end(self, mount: RecoveringMount) -> None:
        assert isinstance(mount, DelegatedMount)
        mount.slowness = 0.0
        for held in list(mount.delegations.values()):
            if not held.over:
                try:
                    await held.giveBack()
                except ERRORS as error:
                    self.event("returning: %s", error)
        await sleep(mount.clock, 1.0)
        for shared in self._all:
            least = shared.least
            fh = self._fhs.get(shared.path)
            if fh is not None:
                value = await readNumber(mount, fh, requests.ANONYMOUS)
                shared.check(self.name, value, least)


__all__ = ["Number"]
