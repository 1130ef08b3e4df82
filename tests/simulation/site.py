"""
The servers of a simulated site: killed at any moment, and started again.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Optional
from unittest import mock

import pnfs.backends.ds.digests
import pnfs.backends.ds.partners
import pnfs.ds.service
import pnfs.mds.comparing
import pnfs.mds.exporting
import pnfs.mds.service
import pnfs.mds.transfer
from pnfs.backends.metadata.recovery import MemoryRecoveryStore
from pnfs.config import (
    DataServerConfig,
    DSConfig,
    ExportConfig,
    LimitsConfig,
    MDSConfig,
)
from pnfs.configclients import TermsConfig
from pnfs.ds.service import DataServerService
from pnfs.mds.service import MetadataServerService
from pnfs.plugin import Kind, loadDriver
from pnfs.rpc.coroutines import drive
from pnfs.rpc.hub import Hub
from pnfs.rpc.limits import Limits
from tests.mds.world import Served
from tests.simulation.mirrors import MirrorChecker
from tests.simulation.network import (
    Network,
    Process,
    SimulatedClient,
    addressOf,
)
from tests.simulation.storage import (
    SimulatedDisk,
    SimulatedMetadataBackend,
    Slowness,
)
from tests.simulation.trace import Trace

MDS = (addressOf("mds"), 2049)
LEASE = 10.0
GRACE = 12.0
RECALL = 8.0
COURTESY = 25.0
FAILURE = 3.0
STRIPE_UNIT = 65536

_KEY = b"S" * 32
_EPOCH = 1_700_000_000_000_000_000


class Site:
    """
    A metadata server and data servers, and what they have on their disks.

    @ivar count: how many data servers.
    @ivar mds: the L{MetadataServerService} that runs, or None.
    @ivar ds: the L{DataServerService}s, likewise.
    @ivar slow: how often storage makes a server wait.
    @ivar onPlacement: told of (inode, old, new) of each placement stored.
    @ivar onStep: called each time that a server has to do with its storage.
    """

    def __init__(
        self,
        network: Network,
        chance: random.Random,
        trace: Trace,
        folder: str,
        layout: str,
        mirrors: int,
        count: int,
        chunk: int,
    ) -> None:
        self.network = network
        self.chance = chance
        self.trace = trace
        self.count = count
        self.layout = layout
        self.mirrors = mirrors
        self.chunk = chunk
        self.slow = chance.choice((0.0, 0.05, 0.2))
        self.onStep: Optional[Callable[[], None]] = None
        self._courtesy = chance.choice((0.0, COURTESY))
        self._limit = chance.choice((0, 0, 400_000))
        self._folder = folder
        self._recovery = MemoryRecoveryStore()
        self._tree: Optional[SimulatedMetadataBackend] = None
        self.disks = [
            SimulatedDisk(bytes([number + 1]) * 16, self.wallTime, self.entropy)
            for number in range(count)
        ]
        self.checker = MirrorChecker(self.disks, trace)
        self.onPlacement: list[Callable[[Any, Any, Any], None]] = []
        self.mds: Any = None
        self.ds: list[Any] = [None] * count
        self._processes: dict[str, Process] = {}

    @contextmanager
    def inPlace(self) -> Iterator[None]:
        """
        While this lasts servers connect over the network of the simulation, and
        find its storage.
        """

        def load(kind: Kind, *more: Any) -> Any:
            return self._tree if kind is Kind.METADATA else loadDriver(kind, *more)

        with (
            mock.patch.object(pnfs.mds.service, "RPCClient", SimulatedClient),
            mock.patch.object(pnfs.ds.service, "RPCClient", SimulatedClient),
            mock.patch.object(
                pnfs.mds.service, "FileRecoveryStore", lambda path: self._recovery
            ),
            mock.patch.object(pnfs.mds.exporting, "loadDriver", load),
            # As if files were large.
            mock.patch.object(pnfs.mds.transfer, "SMALL", 32768),
            mock.patch.object(pnfs.mds.transfer, "LITTLE", 65536),
            mock.patch.object(pnfs.mds.transfer, "STEP", 131072),
            mock.patch.object(pnfs.mds.comparing, "UNIT", 16384),
            mock.patch.object(pnfs.backends.ds.digests, "UNIT", 16384),
            mock.patch.object(pnfs.backends.ds.partners, "UNIT", 16384),
            mock.patch.object(pnfs.backends.ds.partners, "MUCH", 65536),
            mock.patch.object(pnfs.mds.transfer, "MUCH", 65536),
        ):
            yield

    # -- what servers are given ------------------------------------------------------

    def wallTime(self) -> int:
        """
        The date in nanoseconds.
        """
        return _EPOCH + int(self.network.scheduler.now * 1e9)

    def entropy(self, count: int) -> bytes:
        """
        Random bytes.
        """
        return self.chance.randbytes(count)

    def _slowness(self, process: Process) -> Slowness:
        slowness = Slowness(process.clock, self.chance, self.slow)
        slowness.onStep = self.onStep
        return slowness

    def watch(self, onStep: Optional[Callable[[], None]]) -> None:
        """
        Have something called at each step from now on, or not any more.
        """
        self.onStep = self.tree.slowness.onStep = onStep
        for disk in self.disks:
            disk.slowness.onStep = onStep

    def _process(self, host: str) -> Process:
        process = Process(self.network, host, self.chance.uniform(1000, 9000))
        self._processes[host] = process
        return process

    def _serve(self, service: Any, process: Process, address: Any) -> None:
        service.clock = process.clock
        ready: list[Any] = []
        failures: list[Exception] = []
        drive(service.prepare(), ready.append, failures.append)
        if failures:
            raise failures[0]
        (prepared,) = ready
        hub = Hub(prepared[0], process.clock, Limits(recordBytes=(1 << 20) + 65536))
        service.rpc = Served(hub)
        process.kept.append((service, hub))
        self.network.listen(address, hub, process)

    # -- data servers ----------------------------------------------------------------

    def startDataServer(self, number: int) -> None:
        """
        Start a data server; what is on its disk is still there.
        """
        name = f"ds{number}"
        address = (addressOf(name), 2049)
        self.trace.event("%s starts", name)
        process = self._process(name)
        disk = self.disks[number]
        disk.slowness = self._slowness(process)
        service = DataServerService(
            process.clock,
            DSConfig(
                name,
                (address,),
                "/",
                _KEY,
                "memory",
                None,
                None,
                LimitsConfig(),
                None,
            ),
            disk,
            self.entropy,
            self.wallTime,
        )
        self._serve(service, process, address)
        self.ds[number] = service

    def killDataServer(self, number: int, power: bool = True) -> None:
        """
        C{kill -9}, or worse.

        @param power: what has not been flushed goes with it.
        """
        if self.ds[number] is not None:
            self._kill(f"ds{number}")
            self.ds[number] = None
            self.disks[number].crash(self.chance, power)

    # -- the metadata server ---------------------------------------------------------

    def startMetadataServer(self) -> None:
        """
        Start the metadata server; its tree is still there.
        """
        self.trace.event("mds starts")
        process = self._process("mds")
        self._tree = SimulatedMetadataBackend(
            self.wallTime,
            self.entropy,
            self._recovery,
            self._slowness(process),
            self._tree,
        )
        self._tree.onChange = self.checker.changing
        self._tree.onPlacement = self._stored
        service = MetadataServerService(
            process.clock, self._configuration(), self.entropy, self.wallTime
        )
        self._serve(service, process, MDS)
        self.mds = service

    def _stored(self, *what: Any) -> None:
        for listener in self.onPlacement:
            listener(*what)

    def killMetadataServer(self) -> None:
        """
        C{kill -9}.
        """
        if self.mds is not None:
            self._kill("mds")
            self.mds = None

    def _kill(self, host: str) -> None:
        self.trace.event("%s is killed", host)
        self.network.kill(self._processes[host])

    def process(self, host: str) -> Process:
        """
        The process that runs, or ran last, on a host.
        """
        return self._processes[host]

    @property
    def tree(self) -> SimulatedMetadataBackend:
        """
        The metadata.
        """
        assert self._tree is not None
        return self._tree

    def services(self) -> Iterator[Any]:
        """
        Those that run.
        """
        for service in (self.mds, *self.ds):
            if service is not None:
                yield service

    def _configuration(self) -> MDSConfig:
        names = tuple(f"ds{number}" for number in range(self.count))
        return MDSConfig(
            listen=(MDS,),
            state=self._folder,
            key=_KEY,
            lease=LEASE,
            grace=GRACE,
            recall=RECALL,
            metrics=None,
            limits=LimitsConfig(),
            dataServers=tuple(
                DataServerConfig(
                    name, (addressOf(name), 2049), ((addressOf(name), 2049),)
                )
                for name in names
            ),
            exports=(
                ExportConfig(
                    "/export",
                    None,
                    "memory",
                    self.layout,
                    STRIPE_UNIT,
                    0,
                    self.mirrors,
                    names,
                    TermsConfig(squash="none"),
                    chunk=self.chunk,
                ),
            ),
            file="mds.toml",
            courtesy=self._courtesy,
            delegationWindow=2.0,
            failure=FAILURE,
            repairLimit=self._limit,
        )
