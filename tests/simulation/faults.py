"""
What goes wrong, and when: chosen by the seed, and over before the end.
"""

from __future__ import annotations

import random
from typing import Any, Callable

from tests.simulation.network import Network
from tests.simulation.site import FAILURE, Site
from tests.simulation.trace import Trace


class Faults:
    """
    A plan for some time, and the end of it.

    @ivar onDataServer: told when one has died, or come back.
    """

    def __init__(
        self,
        site: Site,
        network: Network,
        trace: Trace,
        chance: random.Random,
        clients: list[Any],
    ) -> None:
        """
        @param clients: L{tests.simulation.simulate.Host}s.
        """
        self._site = site
        self._network = network
        self._trace = trace
        self._chance = chance
        self._clients = clients
        self._over = False
        self.onDataServer: Callable[[str], None] = lambda why: None

    def plan(self, seconds: float, number: int) -> None:
        """
        Have so many faults happen in a time from now on.
        """
        chance = self._chance
        scheduler = self._network.scheduler
        self._network.cutting = chance.choice((0.0, 0.001, 0.005, 0.02))
        kinds: list[Callable[[], None]] = [
            self._restartMDS,
            self._restartDS,
            self._restartDS,
            self._stall,
            self._separate,
            self._pause,
            self._cut,
            self._restartClient,
        ]
        if self._site.mirrors > 1:
            kinds += [self._loseDS, self._loseDS]
        for _ in range(number):
            scheduler.after(chance.uniform(0, seconds), chance.choice(kinds))

    def end(self) -> None:
        """
        Everything comes back, and stays.
        """
        self._over = True
        network = self._network
        network.cutting = 0.0
        network.stalls.clear()
        network.off.clear()
        if self._site.mds is None:
            self._site.startMetadataServer()
        for number, service in enumerate(self._site.ds):
            if service is None:
                self._site.startDataServer(number)
        for client in self._clients:
            if not client.running:
                client.start()

    def _seconds(self, *choices: float) -> float:
        return self._chance.uniform(0.1, self._chance.choice(choices))

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        self._network.scheduler.after(seconds, lambda: None if self._over else what())

    def _restartMDS(self) -> None:
        if self._over or self._site.mds is None:
            return
        self._site.killMetadataServer()

        def start() -> None:
            if self._site.mds is None:
                self._site.startMetadataServer()

        self._later(self._seconds(0.5, 3.0, 15.0), start)

    def _restartDS(self, least: float = 0.0) -> None:
        number = self._chance.randrange(self._site.count)
        self._away(number, least + self._seconds(0.3, 3.0, 20.0))

    def _away(self, number: int, seconds: float) -> None:
        """
        Kill a data server; it comes back later.
        """
        if self._over or self._site.ds[number] is None:
            return
        name = f"ds{number}"
        power = self._chance.random() < 0.6
        if power and self._chance.random() < 0.5:
            self._trace.event("%s is without power", name)
            self._network.off.add(name)
        self._site.killDataServer(number, power)
        self.onDataServer(f"{name} has died")

        def start() -> None:
            self._network.off.discard(name)
            if self._site.ds[number] is None:
                self._site.startDataServer(number)
                self.onDataServer(f"{name} is back")

        self._later(seconds, start)

    def _loseDS(self) -> None:
        """
        A data server is away so long that files go on without it.
        """
        self._restartDS(FAILURE + 1.0)

    def takeTurns(self, seconds: float) -> None:
        """
        Have one data server after the other be lost, and come back. The next one may
        go before the one before it has caught up; so may the metadata server.
        """
        chance = self._chance
        when = chance.uniform(0, 5.0)
        number = chance.randrange(self._site.count)
        while when < seconds:
            self._loseAt(when, number, FAILURE + chance.uniform(0.5, 6.0))
            when += FAILURE + chance.choice((2.0, 8.0, 12.0)) + chance.uniform(0, 4.0)
            number += chance.randrange(1, self._site.count)
            number %= self._site.count

    def _loseAt(self, when: float, number: int, away: float) -> None:
        """
        And what may happen while it catches up.
        """
        chance = self._chance
        scheduler = self._network.scheduler
        scheduler.after(when, lambda: self._away(number, away))
        back = when + away
        if chance.random() < 0.4:
            moment = back + chance.uniform(0.0, 6.0)
            seconds = chance.choice((0.0, 4.0, 8.0))
            scheduler.after(moment, lambda: self._unknowing(seconds))
            scheduler.after(moment, self._restartMDS)
        if chance.random() < 0.4:
            again = chance.uniform(0.1, 1.5)
            scheduler.after(
                back + chance.uniform(1.0, 5.0), lambda: self._away(number, again)
            )

    def _unknowing(self, seconds: float) -> None:
        """
        A client that goes on as if the metadata server still knew it.
        """
        if self._over or not seconds:
            return
        name = self._chance.choice(self._clients).name
        self._trace.event("%s does not hear the mds for %.3f s", name, seconds)
        self._network.stalls[f"mds-{name}"] = self._network.scheduler.now + seconds

    def _names(self) -> list[str]:
        servers = ["mds", *(f"ds{number}" for number in range(self._site.count))]
        return servers + [client.name for client in self._clients]

    def _stall(self) -> None:
        if self._over:
            return
        name = self._chance.choice(self._names())
        seconds = self._seconds(1.0, 5.0, 15.0)
        if name.startswith("client") and self._chance.random() < 0.3:
            seconds *= 3
        self._trace.event("nothing gets to or from %s for %.3f s", name, seconds)
        self._network.stalls[name] = self._network.scheduler.now + seconds

    def _separate(self) -> None:
        """
        Two hosts that do not hear each other, while others do.
        """
        if self._over:
            return
        one, other = self._chance.sample(self._names(), 2)
        seconds = self._seconds(3.0, 15.0, 30.0)
        self._trace.event("nothing gets from %s to %s for %.3f s", one, other, seconds)
        self._network.stalls[f"{one}-{other}"] = self._network.scheduler.now + seconds

    def _pause(self) -> None:
        if self._over:
            return
        name = self._chance.choice(self._names())
        process = self._process(name)
        if process is None or not process.alive:
            return
        seconds = self._seconds(0.5, 5.0, 15.0)
        self._trace.event("%s stands still for %.3f s", name, seconds)
        process.clock.pause(seconds)

    def _process(self, name: str) -> Any:
        for client in self._clients:
            if client.name == name:
                return client.process
        return self._site.process(name)

    def _cut(self) -> None:
        if self._over:
            return
        name = self._chance.choice(self._names())
        self._trace.event("all connections of %s are lost", name)
        for end in self._network.connections(name):
            self._network.cut(end)

    def _restartClient(self) -> None:
        client = self._chance.choice(self._clients)
        if self._over or not client.running:
            return
        client.kill()

        def start() -> None:
            if not client.running:
                client.start()

        self._later(self._seconds(0.5, 4.0, 25.0), start)
