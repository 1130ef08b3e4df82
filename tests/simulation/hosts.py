"""
The machines of clients, and what runs there.
"""

from __future__ import annotations

import random
from typing import Any, Optional

from twisted.internet.defer import Deferred

from pnfs.client.dataservers import sleep
from tests.simulation.actors import ERRORS, Actor
from tests.simulation.delegations import DelegatedMount
from tests.simulation.mounting import RecoveringMount
from tests.simulation.network import Network, Process
from tests.simulation.trace import Trace


class Host:
    """
    A client's machine.

    @ivar actors: what runs there.
    @ivar finished: all of them have come to their end, and the mount is closed.
    """

    def __init__(
        self, network: Network, trace: Trace, chance: random.Random, number: int
    ) -> None:
        self.name = f"client{number}"
        self.actors: list[Actor] = []
        self.process: Optional[Process] = None
        self.mount: Optional[RecoveringMount] = None
        self.finished = False
        self._network = network
        self._trace = trace
        self._chance = chance
        self._owner = b"owner of host %2d" % number
        self._layouts = chance.random() < 0.8

    @property
    def running(self) -> bool:
        """
        It has not been killed.
        """
        return self.process is not None and self.process.alive

    def start(self) -> None:
        """
        Boot.
        """
        process = self.process = Process(
            self._network, self.name, self._chance.uniform(100, 900)
        )
        self._trace.event("%s starts, layouts %s", self.name, self._layouts)
        mount = self.mount = DelegatedMount(
            process, self._owner, self._chance.randbytes(8), self._layouts
        )
        running = Deferred.fromCoroutine(self._run(mount))
        running.addErrback(self._failed)
        process.kept.append((mount, running))

    def _failed(self, failure: Any) -> None:
        self._trace.violation("%s: %s", self.name, failure.getTraceback())

    async def _run(self, mount: RecoveringMount) -> None:
        while True:
            try:
                await mount.connect()
                break
            except ERRORS as error:
                self._trace.event("%s cannot mount: %s", self.name, error)
                await sleep(mount.clock, 1.0)
        running = [Deferred.fromCoroutine(actor.run(mount)) for actor in self.actors]
        for each in running:
            each.addErrback(self._failed)
        for each in running:
            await each
        await mount.close()
        self._trace.event("%s has finished", self.name)
        self.finished = True

    def kill(self) -> None:
        """
        Power off, with whatever was cached.
        """
        assert self.process is not None
        self._trace.event("%s is killed", self.name)
        self._network.kill(self.process)
