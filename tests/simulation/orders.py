"""
What the operator does meanwhile: files are moved, striped otherwise, given more copies
or fewer, looked through, data servers drained and made equally full, while everything
else goes wrong.
"""

from __future__ import annotations

import random
from typing import Any, Callable

from twisted.internet.defer import Deferred

from pnfs.admin.control import Refused, Request
from pnfs.backends.errors import BackendError
from tests.simulation.scheduler import Scheduler
from tests.simulation.site import STRIPE_UNIT, Site
from tests.simulation.trace import Trace

_AGAIN = 2.0
_SLOWLY = 400_000
"""Bytes per second: so much happens meanwhile."""


class Orders:
    """
    Commands given to the metadata server, whichever runs.

    @ivar given: how many have been taken.
    """

    def __init__(
        self, site: Site, scheduler: Scheduler, trace: Trace, chance: random.Random
    ) -> None:
        self._site = site
        self._scheduler = scheduler
        self._trace = trace
        self._chance = chance
        self._drained: set[str] = set()
        self._over = False
        self.given = 0

    def plan(self, seconds: float, number: int) -> None:
        """
        Have so many given in a time from now on.
        """
        chance = self._chance
        kinds: list[Callable[[], None]] = [
            self._move,
            self._move,
            self._leave,
            self._restripe,
            self._restripe,
            self._drain,
            self._rebalance,
            self._scrub,
            self._scrub,
            self._cancel,
        ]
        if self._site.layout == "flexfiles":
            kinds += [self._mirrors, self._mirrors]
        for _ in range(number):
            self._scheduler.after(chance.uniform(0, seconds), chance.choice(kinds))

    def end(self) -> None:
        """
        No more; every data server may be used, and what was begun comes to its end.
        """
        self._over = True
        self._enable()

    @property
    def settled(self) -> bool:
        """
        Nothing is being moved, nor left of that; nor looked through.
        """
        mds = self._site.mds
        return not (mds.jobs.active or mds.scrub.running) and all(
            node.placement is None or node.placement.next is None
            for _, node in self._site.tree.files()
        )

    def _enable(self) -> None:
        for name in sorted(self._drained):
            self._run("ds.enable", lambda n=name: self._drained.discard(n), name=name)
        if self._drained:
            self._scheduler.after(_AGAIN, self._enable)

    def _run(self, command: str, done: Callable[[], None], /, **args: Any) -> None:
        mds = self._site.mds
        if mds is None or mds.administration is None:
            return
        self._trace.event("the operator: %s %s", command, sorted(args.items()))
        request = Request(command, args, lambda progress: None, lambda: True)
        running = Deferred.fromCoroutine(mds.administration.commands.run(request))
        self._site.process("mds").kept.append(running)

        def taken(result: Any) -> None:
            self.given += 1
            done()

        def refused(failure: Any) -> None:
            failure.trap(Refused, BackendError)
            self._trace.event("refused: %s", failure.getErrorMessage())

        running.addCallbacks(taken, refused)
        running.addErrback(
            lambda failure: self._trace.violation("%s", failure.getTraceback())
        )

    def _order(self, command: str, /, **args: Any) -> None:
        if not self._over:
            limit = self._chance.choice((0, _SLOWLY))
            self._run(command, lambda: None, limit=limit, **args)

    def _paths(self) -> list[str]:
        """
        A file or some of them, or all.
        """
        names = [
            "/export/" + name.decode("ascii")
            for name, node in self._site.tree.files()
            if node.placement is not None and self._site.tree.at("/" + name.decode())
        ]
        if not names or self._chance.random() < 0.15:
            return ["/export"]
        count = min(len(names), self._chance.choice((1, 1, 3)))
        return self._chance.sample(names, count)

    def _servers(self, count: int) -> list[str]:
        names = [f"ds{number}" for number in range(self._site.count)]
        return self._chance.sample(names, count)

    def _move(self) -> None:
        count = self._chance.randint(1, self._site.count)
        self._order("file.move", paths=self._paths(), to=self._servers(count))

    def _leave(self) -> None:
        name, other = self._servers(2)
        self._order(
            "file.move", **{"paths": self._paths(), "to": [other], "from": name}
        )

    def _restripe(self) -> None:
        self._order(
            "restripe",
            paths=self._paths(),
            count=self._chance.randint(1, self._site.count),
            unit=STRIPE_UNIT * self._chance.choice((1, 1, 2)),
        )

    def _mirrors(self) -> None:
        copies = self._chance.randint(1, self._site.count)
        verb = self._chance.choice(("mirror.add", "mirror.remove"))
        self._order(verb, paths=self._paths(), copies=copies)

    def _drain(self) -> None:
        if self._over:
            return
        (name,) = self._servers(1)
        self._run("ds.drain", lambda: self._drained.add(name), name=name)
        if self._chance.random() < 0.5:
            self._scheduler.after(
                self._chance.uniform(0.5, 15.0), lambda: self._undrain(name)
            )

    def _undrain(self, name: str) -> None:
        if not self._over and name in self._drained:
            self._run("ds.enable", lambda: self._drained.discard(name), name=name)

    def _rebalance(self) -> None:
        self._order("rebalance", within=1)

    def _scrub(self) -> None:
        chance = self._chance
        self._order(
            "scrub.start",
            again=chance.random() < 0.8,
            repair=chance.random() < 0.8,
            remove_orphans=chance.random() < 0.8,
        )

    def _cancel(self) -> None:
        mds = self._site.mds
        active = [] if mds is None or mds.jobs is None else mds.jobs.active
        if active and not self._over:
            job = self._chance.choice(active)
            self._run("jobs.cancel", lambda: None, id=job.id)
