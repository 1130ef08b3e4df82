"""
One run: a site, its clients and what befalls them, all from one seed.
"""

from __future__ import annotations

import gc
import os
import random
import shutil
import sys
import tempfile
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Optional
from unittest import mock

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, formatEvent, globalLogPublisher

from tests.simulation.actors import (
    PrivateFile,
    Stage,
    Stream,
)
from tests.simulation.audit import Audit
from tests.simulation.counters import Counter, SharedCounter
from tests.simulation.delegations import SharedNumber
from tests.simulation.faults import Faults
from tests.simulation.hosts import Host
from tests.simulation.leftovers import leftovers
from tests.simulation.mounting import RecoveringMount
from tests.simulation.network import Network, Process
from tests.simulation.number_actors import Number
from tests.simulation.orders import Orders
from tests.simulation.scheduler import Scheduler
from tests.simulation.shared_actors import Region, Tree
from tests.simulation.site import COURTESY, FAILURE, GRACE, LEASE, Site
from tests.simulation.steady_actors import Database
from tests.simulation.trace import Trace

FAULTS_SECONDS = 30.0
RECOVERY_SECONDS = 50.0
"""How long after the last fault something may still fail."""

REPAIR_SECONDS = 40.0

END_SECONDS = 240.0
"""In which everybody must have finished after that."""


_CLOSED = (
    "cannot reuse already awaited coroutine",
    "coroutine ignored GeneratorExit",
)
"""Said when what a killed process was about is collected."""


@attrs.frozen
class Outcome:
    """
    What has become of a seed.

    @ivar violations: empty if all is well.
    @ivar digest: of all events.
    @ivar tail: the last events.
    @ivar events: how many there were; C{steps}: of actors; C{repaired}: mirrors.
    @ivar repairSteps: of L{Plan.repair}.
    @ivar orders: of the operator, taken.
    @ivar audited: cells that L{Audit} has found right; C{excused}: see there.
    """

    seed: int
    violations: tuple[str, ...]
    digest: str
    tail: tuple[str, ...]
    events: int
    steps: int
    repaired: int
    repairSteps: int
    orders: int
    audited: int
    excused: int


@attrs.frozen
class Plan:
    """
    What is simulated; the seed chooses what is None.

    @ivar clients: how many.
    @ivar faults: how many; C{orders}: how many times the operator has data moved.
    @ivar layout: C{files} or C{flexfiles}.
    @ivar mirrors: how many; more than one is served by flexfiles.
    @ivar dataServers: how many.
    @ivar chunk: of files with flexfiles; 0: each is in one piece.
    @ivar streamsOnly: nothing but append streams.
    @ivar lyingDisks: COMMIT does not do what it says.
    @ivar repair: who is killed at which step of the repair of what one data server has
        missed, and nothing else befalls the site.
    """

    clients: int = 3
    faults: Optional[int] = None
    orders: Optional[int] = None
    layout: Optional[str] = None
    mirrors: Optional[int] = None
    dataServers: Optional[int] = None
    chunk: Optional[int] = None
    streamsOnly: bool = False
    lyingDisks: bool = False
    repair: Optional[tuple[str, int]] = None


VICTIMS = ("mds", "ds0", "ds1")
"""Who may be killed in a repair: the metadata server, who is repaired, and by whom."""


def repairPlan(victim: str, step: int) -> Plan:
    """
    A repair with two mirrors, in which somebody is killed at a step; 0: nobody is.
    """
    return Plan(clients=1, mirrors=2, dataServers=2, repair=(victim, step))


class Simulation:
    """
    The parts of a run.
    """

    def __init__(
        self,
        seed: int,
        plan: Plan,
        scheduler: Scheduler,
        trace: Trace,
        folder: str,
    ) -> None:
        self.seed = seed
        self.plan = plan
        self.scheduler = scheduler
        self.chance = chance = random.Random(seed)
        self.trace = trace
        self.network = Network(scheduler, chance, trace)
        mirrors = plan.mirrors or chance.choice((1, 1, 2, 3))
        layout = plan.layout or chance.choice(("files", "flexfiles"))
        if mirrors > 1:
            layout = "flexfiles"
        self.site = Site(
            self.network,
            chance,
            trace,
            folder,
            layout,
            mirrors,
            plan.dataServers or max(mirrors, chance.choice((2, 3))),
            self._chunk() if layout == "flexfiles" else 0,
        )
        for disk in self.site.disks:
            disk.lies = plan.lyingDisks
        trace.event("%s, %d mirrors, %d data servers", layout, mirrors, self.site.count)
        self.stage = Stage(trace, chance)
        self.hosts = [
            Host(self.network, trace, chance, number) for number in range(plan.clients)
        ]
        regions: list[Region] = []
        locked = SharedCounter(trace, "/export/locked")
        denied = SharedCounter(trace, "/export/denied")
        numbers = [
            SharedNumber(trace, f"/export/number{number}")
            for number in range(plan.clients)
        ]
        for number, host in enumerate(self.hosts):
            host.actors.append(Stream(self.stage, f"{number}stream"))
            if not plan.streamsOnly:
                host.actors.append(PrivateFile(self.stage, f"{number}private"))
            if not plan.streamsOnly and plan.repair is None:
                host.actors += [
                    Region(self.stage, f"{number}region", regions),
                    (
                        Tree(self.stage, f"{number}tree")
                        if mirrors == 1 and number != 1
                        else Database(self.stage, f"{number}database")
                    ),
                    Counter(self.stage, f"{number}locker", locked, False),
                    Counter(self.stage, f"{number}denier", denied, True),
                    Number(self.stage, f"{number}number", numbers[number], numbers),
                ]
        self.step = 0
        self.faults = Faults(self.site, self.network, trace, chance, list(self.hosts))
        self.audit = Audit(
            self.site, trace, [actor for host in self.hosts for actor in host.actors]
        )
        self.faults.onDataServer = self.audit.look
        self.orders = Orders(self.site, scheduler, trace, chance)

    def _chunk(self) -> int:
        if self.plan.chunk is not None:
            return self.plan.chunk
        return random.Random(f"chunk {self.seed}").choice((0, 0, 65536, 131072))

    def _until(self, seconds: float, done: Callable[[], bool] = lambda: False) -> bool:
        """
        Go on for so long, or until something holds, or is wrong.
        """
        self.scheduler.run(
            self.scheduler.now + seconds, lambda: bool(self.trace.violations) or done()
        )
        return done()

    def run(self) -> None:
        """
        All of it.
        """
        site = self.site
        for number in range(site.count):
            site.startDataServer(number)
        site.startMetadataServer()
        self._until(1.0)
        self._prepare()
        for host in self.hosts:
            host.start()
        self._until(3.0)
        if self.plan.repair is not None:
            self._killInRepair(*self.plan.repair)
        else:
            number = self.plan.faults
            if number is None:
                number = self.chance.choice((0, 2, 5, 10))
            seconds = FAULTS_SECONDS
            if site.mirrors > 1 and number:
                seconds += FAULTS_SECONDS / 2
                self.faults.takeTurns(seconds)
            self.faults.plan(seconds, number)
            orders = self.plan.orders
            if orders is None:
                orders = self.chance.choice((0, 0, 3, 8))
            self.orders.plan(seconds, orders)
            self._until(seconds)
        self.trace.event("no more faults")
        self.faults.end()
        self.orders.end()
        self.stage.leisure = 8.0
        self._until(RECOVERY_SECONDS)
        self.stage.leisure = 2.0
        self.trace.event("everything must work now")
        self.stage.calm = True
        self._until(5.0)
        self.trace.event("the end begins")
        self.stage.finishing = True
        finished = self._until(
            END_SECONDS, lambda: all(host.finished for host in self.hosts)
        )
        if self.trace.violations:
            return
        if not finished:
            self.trace.violation(
                "did not finish: %s",
                [host.name for host in self.hosts if not host.finished],
            )
            return
        self._until(LEASE * 3 + GRACE + COURTESY)
        self._until(
            REPAIR_SECONDS,
            lambda: not site.mds.repairs.running and self.orders.settled,
        )
        if site.mds.repairs.running:
            self.trace.violation("mirrors are still being repaired")
        for job in site.mds.jobs.active:
            self.trace.violation("job %s goes on: %s", job.id, job.problem)
        for problem in self.audit.end():
            self.trace.violation("%s", problem)
        for problem in leftovers(site, self.network, self.hosts):
            self.trace.violation("%s", problem)

    def _killInRepair(self, victim: str, last: int) -> None:
        """
        One data server is away, and returns; while it is repaired a server is killed.
        """
        site = self.site
        site.killDataServer(0)
        self._until(FAILURE + 5.0)
        site.startDataServer(0)
        site.watch(lambda: self._step(victim, last))
        self._until(2.0)
        self._until(REPAIR_SECONDS, lambda: not any(map(_stale, site.tree.files())))
        site.watch(None)

    def _step(self, victim: str, last: int) -> None:
        self.step += 1
        if self.step != last:
            return
        self.trace.event("step %d", last)
        site = self.site
        if victim == "mds":
            site.killMetadataServer()
            self.scheduler.after(1.0, site.startMetadataServer)
        else:
            number = int(victim[2:])
            site.killDataServer(number)
            self.scheduler.after(1.0, lambda: site.startDataServer(number))

    def _prepare(self) -> None:
        """
        Make the files that clients share.
        """
        host = Host(self.network, self.trace, self.chance, 50)
        process = Process(self.network, host.name, 10.0)
        mount = RecoveringMount(process, b"owner of nobody ", bytes(8), False)

        async def make() -> None:
            await mount.connect()
            paths = ["/export/locked", "/export/denied"]
            paths += [f"/export/number{n}" for n in range(self.plan.clients)]
            for path in paths:
                await mount.closeFile(await mount.openFile(path, True))
            await mount.close()
            host.finished = True

        made = Deferred.fromCoroutine(make())
        made.addErrback(host._failed)
        if not self._until(20.0, lambda: host.finished):
            self.trace.violation("the files could not be made")


def _stale(file: tuple[bytes, Any]) -> bool:
    placement = file[1].placement
    return placement is not None and bool(placement.stale)


def simulate(
    seed: int,
    plan: Plan = Plan(),
    show: Optional[Callable[[str], None]] = None,
    keep: int = 200,
) -> Outcome:
    """
    Run one seed.

    @param show: gets each event as it happens.
    @param keep: how many of the last events the outcome has.
    """
    folder = tempfile.mkdtemp(
        prefix="pnfs-simulation-", dir="/dev/shm" if _hasMemoryFolder() else None
    )
    gc.collect()
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _simulate(seed, plan, show, keep, folder)
    finally:
        # What the frames that have ended still had, and what comes to light when a
        # coroutine is closed.
        with _silence():
            while gc.collect():
                pass
        if collecting:
            gc.enable()
        shutil.rmtree(folder, ignore_errors=True)


def _simulate(
    seed: int,
    plan: Plan,
    show: Optional[Callable[[str], None]],
    keep: int,
    folder: str,
) -> Outcome:
    scheduler = Scheduler()
    trace = Trace(lambda: scheduler.now, keep, show)

    def observe(event: Any) -> None:
        if event["log_level"] >= LogLevel.error:
            text = formatEvent(event)
            failure = event.get("log_failure")
            if failure is not None and str(failure.value) in _CLOSED:
                return
            if failure is None and text.startswith("Unhandled error in Deferred"):
                # A heading: the failure follows.
                return
            trace.violation(
                "logged: %s%s",
                text,
                "" if failure is None else "\n" + failure.getTraceback(),
            )

    globalLogPublisher.addObserver(observe)
    try:
        simulation = Simulation(seed, plan, scheduler, trace, folder)
        with simulation.site.inPlace():
            simulation.run()
        # Failures that nobody has looked at are logged when they are collected.
        with mock.patch.object(sys, "unraisablehook", lambda unraisable: None):
            gc.collect()
    finally:
        globalLogPublisher.removeObserver(observe)
    outcome = Outcome(
        seed,
        tuple(trace.violations),
        trace.digest,
        tuple(trace.tail()),
        trace.count,
        sum(actor.steps for host in simulation.hosts for actor in host.actors),
        simulation.site.checker.repaired,
        simulation.step,
        simulation.orders.given,
        simulation.audit.cells,
        simulation.audit.excused,
    )
    _bury(simulation)
    return outcome


def _bury(simulation: Simulation) -> None:
    """
    Let go of everything. What a killed process was about ends in the middle, and
    has nobody to complain to.
    """
    scheduler = simulation.scheduler
    with _silence():
        scheduler.clear()
        simulation.__dict__.clear()
        gc.collect()


@contextmanager
def _silence() -> Iterator[None]:
    """
    Nobody hears of what goes wrong.
    """
    with (
        mock.patch.object(sys, "unraisablehook", lambda unraisable: None),
        mock.patch.object(globalLogPublisher, "_observers", []),
    ):
        yield


def _hasMemoryFolder() -> bool:
    return os.path.isdir("/dev/shm")
