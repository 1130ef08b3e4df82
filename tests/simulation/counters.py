"""
Actors that count together: what is read and written by one at a time.
"""

from __future__ import annotations

from pnfs.client.dataservers import sleep
from pnfs.nfs4.status import nfsstat4
from tests.simulation.actors import ERRORS, Actor, Stage
from tests.simulation.content import Exclusive
from tests.simulation.mounting import OpenFile, RecoveringMount
from tests.simulation.site import LEASE
from tests.simulation.trace import Trace


class Counter(Actor):
    """
    A number in a file that is only changed by whoever has it locked, or open so that
    nobody else can write.
    """

    pause = 1.0

    def __init__(
        self, stage: Stage, name: str, shared: "SharedCounter", deny: bool
    ) -> None:
        super().__init__(stage, name)
        self._shared = shared
        self._deny = deny

    async def step(self, mount: RecoveringMount) -> None:
        opened = None
        try:
            opened = await mount.openFile(
                self._shared.path, False, 3, 2 if self._deny else 0
            )
            if not self._deny:
                await opened.lock()
            await self._increment(mount, opened)
            if not self._deny:
                self._shared.exclusive.give((self.name, id(opened)))
                await opened.unlock()
        except ERRORS as error:
            status = getattr(error, "status", 0)
            if status in (nfsstat4.NFS4ERR_DENIED, nfsstat4.NFS4ERR_SHARE_DENIED):
                self.event("is kept away")
            else:
                self.stage.excused(
                    f"{self.name} counting", error, opened is not None and opened.lost
                )
        if opened is not None:
            self._shared.exclusive.give((self.name, id(opened)))
            await self.closing(mount, opened)

    async def _increment(self, mount: RecoveringMount, opened: OpenFile) -> None:
        shared = self._shared
        session = mount.session
        process = mount.process

        def believes() -> bool:
            return (
                process.alive
                and not opened.lost
                and mount.clock.seconds() < session.renewed + LEASE
            )

        self.event("is alone with %s", shared.path)
        shared.exclusive.take(shared.path, (self.name, id(opened)), believes)
        data = bytes(await opened.file.read(0, 8))
        value = int.from_bytes(data, "big")
        if not believes():
            return
        if not shared.least <= value <= shared.most:
            self.violation(
                "%s is %d, should be %d to %d",
                shared.path,
                value,
                shared.least,
                shared.most,
            )
        if self.chance.random() < 0.3:
            await sleep(mount.clock, self.chance.uniform(0, 3.0))
            if not believes():
                return
        value += 1
        shared.most = max(shared.most, value)
        self.event("writes %d", value)
        await opened.file.write(0, value.to_bytes(8, "big"))
        await opened.file.flush()
        if opened.lost:
            return
        self.event("has written %d", value)
        shared.least = max(shared.least, value)


class SharedCounter:
    """
    What is known of a counter.

    @ivar least: and C{most}: what it may be.
    """

    def __init__(self, trace: Trace, path: str) -> None:
        self.path = path
        self.least = 0
        self.most = 0
        self.exclusive = Exclusive(trace.violation)
