"""
A whole site in one process: the metadata server's and the data servers' services,
with memory backends, connected by L{tests.mds.wire.Wire}.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

import pnfs.ds.service
import pnfs.mds.exporting
import pnfs.mds.service
from pnfs.backends.ds.memory import MemoryDataServerBackend
from pnfs.config import (
    DataServerConfig,
    DSConfig,
    ExportConfig,
    LimitsConfig,
    MDSConfig,
)
from pnfs.configclients import TermsConfig
from pnfs.configvalues import DEFAULT_CHUNK
from pnfs.ds.service import DataServerService
from pnfs.mds.service import MetadataServerService
from pnfs.nfs4.client import SessionClient
from pnfs.plugin import Kind
from pnfs.rpc.auth import encodeAuthSys
from pnfs.rpc.hub import Hub
from pnfs.rpc.limits import Limits
from tests.inline import InlinePool
from tests.mds.wire import MemoryRPCClient, Wire
from tests.nfs4.fixture import entropy

KEY = b"K" * 32
MDS = ("192.0.2.1", 2049)


class StillReactor(Clock):
    """
    What services need of a reactor that do not listen.
    """

    def getThreadPool(self) -> InlinePool:
        """
        Nothing may wait here.
        """
        return InlinePool()

    def callFromThread(self, function: Any, *args: Any) -> None:
        """
        There is only one.
        """
        function(*args)


class Served:
    """
    Stands for an L{pnfs.rpc.server.RPCServer}.
    """

    def __init__(self, hub: Hub) -> None:
        self.counters = hub.counters

    async def drain(self, seconds: float) -> None:
        """
        Nothing is left to be served.
        """


class SiteCase(SynchronousTestCase):
    """
    A site.

    @ivar mds: the L{MetadataServerService}.
    @ivar ds: the L{DataServerService}s.
    """

    count = 3
    layout = "files"
    mirrors = 1
    chunk = DEFAULT_CHUNK
    stripeUnit = 65536
    protocol = "nfs4.1"
    policy = "round-robin"

    def setUp(self) -> None:
        """
        Start it.
        """
        self.clock = StillReactor()
        self.clock.advance(1000)
        self.wire = Wire()
        self.entropy = entropy(b"site")
        self.limits = LimitsConfig()
        self.patch(
            pnfs.mds.service,
            "RPCClient",
            lambda reactor, host, port, **more: MemoryRPCClient(
                self.wire, (host, port), self.clock, more.get("limits")
            ),
        )
        self.patch(
            pnfs.ds.service,
            "RPCClient",
            lambda reactor, host, port, **more: MemoryRPCClient(
                self.wire, (host, port), self.clock, more.get("limits")
            ),
        )
        self.backends = [
            MemoryDataServerBackend(
                b"start--%d" % n, bytes([n + 1]) * 16, 1 << 30, self.wallTime
            )
            for n in range(self.count)
        ]
        self.ds: list[Any] = [None] * self.count
        for number in range(self.count):
            self.startDataServer(number)
        self.state = self.mktemp()
        os.makedirs(self.state)
        self.startMetadataServer()

    def wallTime(self) -> int:
        """
        The date in nanoseconds.
        """
        return 1_700_000_000_000_000_000 + int(self.clock.seconds() * 1e9)

    def now(self, coroutine: Any) -> Any:
        """
        The result of what need not wait.
        """
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def fails(self, coroutine: Any, *kinds: type[Exception]) -> Any:
        """
        It raises one of these. @return: the exception.
        """
        found = self.failureResultOf(Deferred.fromCoroutine(coroutine), *kinds)
        return found.value

    def address(self, number: int) -> tuple[str, int]:
        """
        Of a data server.
        """
        return ("192.0.2.1", 2050 + number)

    def _serve(self, service: Any, address: tuple[str, int]) -> list[Any]:
        service.clock = self.clock
        programs, collectors = self.now(service.prepare())
        limits = Limits(recordBytes=self.limits.io + 65536)
        hub = self.wire.hosts[address] = Hub(programs, self.clock, limits)
        service.rpc = Served(hub)
        return list(collectors)

    def startDataServer(self, number: int) -> None:
        """
        Start a data server (again): its objects are still there.
        """
        address = self.address(number)
        config = DSConfig(
            f"ds{number}",
            (address,),
            "/",
            KEY,
            "memory",
            None,
            None,
            self.limits,
            None,
        )
        service = DataServerService(
            self.clock, config, self.backends[number], self.entropy, self.wallTime
        )
        self._serve(service, address)
        self.ds[number] = service

    def killDataServer(self, number: int) -> None:
        """
        It is gone, and so are its connections.
        """
        address = self.address(number)
        del self.wire.hosts[address]
        self.wire.hangUp(address)
        # Its clock stops with it; its backend stays.
        self.ds[number]._sweep.stop()

    def configuration(self) -> MDSConfig:
        """
        Of the metadata server.
        """
        names = tuple(f"ds{number}" for number in range(self.count))
        return MDSConfig(
            listen=(MDS,),
            state=self.state,
            key=KEY,
            lease=90.0,
            grace=90.0,
            recall=180.0,
            metrics=None,
            limits=self.limits,
            dataServers=tuple(
                DataServerConfig(
                    name, self.address(n), (self.address(n),), self.protocol
                )
                for n, name in enumerate(names)
            ),
            exports=(
                ExportConfig(
                    "/export",
                    None,
                    "memory",
                    self.layout,
                    self.stripeUnit,
                    0,
                    self.mirrors,
                    names,
                    TermsConfig(squash="none"),
                    chunk=self.chunk,
                    placement=self.policy,
                ),
            ),
            file="mds.toml",
        )

    def startMetadataServer(self) -> None:
        """
        Start the metadata server.
        """
        self.mds = MetadataServerService(
            self.clock, self.configuration(), self.entropy, self.wallTime
        )
        self.collectors = self._serve(self.mds, MDS)

    def restartMetadataServer(self) -> None:
        """
        It is killed, loses all state but what is stored, and starts again.
        """
        (tree,) = self.mds._backends
        load = pnfs.mds.exporting.loadDriver

        async def started() -> None:
            # It would begin with an empty tree.
            return None

        self.patch(tree, "start", started)
        self.patch(
            pnfs.mds.exporting,
            "loadDriver",
            lambda kind, *more: tree if kind is Kind.METADATA else load(kind, *more),
        )
        self.wire.hangUp(MDS)
        # Its clock stops with it.
        for part in (
            self.mds._sweep,
            self.mds._health,
            self.mds.upkeep,
        ):
            part.stop()
        for inode in tree._inodes.values():
            inode.state = None
            inode.asked = False
        self.startMetadataServer()

    def client(
        self, address: tuple[str, int] = MDS, owner: bytes = b"me", minor: int = 1
    ) -> SessionClient:
        """
        A client of one of the servers, without a session yet.
        """
        return SessionClient(
            MemoryRPCClient(self.wire, address, self.clock),
            self.clock,
            owner,
            b"verifier",
            encodeAuthSys(0, 0, (), b"tests"),
            minor=minor,
        )
