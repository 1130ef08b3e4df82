# -*- test-case-name: tests.ds.test_service -*-
"""
The data server, put together.
"""

from __future__ import annotations

from typing import Any, Callable, Optional, Sequence

import attrs
from twisted.logger import Logger

from pnfs.backends.ds.partners import LARGE, Partners
from pnfs.backends.errors import BadConfiguration
from pnfs.config import DSConfig
from pnfs.ds.registering import Identity, Registering
from pnfs.metrics import Latency, NFSCollector
from pnfs.namespace.filehandles import CapabilityCodec
from pnfs.nfs3.dataserver import DataServer3
from pnfs.nfs3.server import dataServerProcedures
from pnfs.nfs4.client import SessionClient
from pnfs.nfs4.compound import NFS4_PROGRAM, CompoundServer
from pnfs.nfs4.context import ServerContext
from pnfs.nfs4.optable import dsTables
from pnfs.nfs4.sessions import EXCHGID4_FLAG_USE_NON_PNFS, EXCHGID4_FLAG_USE_PNFS_DS
from pnfs.registration import Proofs
from pnfs.rpc.auth import encodeAuthSys
from pnfs.rpc.client import RPCClient
from pnfs.rpc.limits import Limits
from pnfs.rpc.program import Program
from pnfs.rpc.replies import ReplyBuffers
from pnfs.server import RPC_OVERHEAD, NFSService
from pnfs.state.clients import ClientTable
from pnfs.state.recovery import noGrace
from pnfs.state.sessions import SessionLimits, SessionTable

LEASE_SECONDS = 3600.0
"""
A client takes its metadata server's lease for that of the data server, and never
asks for ours: so ours is longer than any of those.
"""


PARTNER_SECONDS = 3.0
"""
How long another data server may take to answer when something is copied from it:
the metadata server waits a little longer for us.
"""

_log = Logger()


def sessionLimits(io: int, slots: int) -> SessionLimits:
    """
    What sessions are granted, for I/O of a given size. Other data servers may read
    more at a time.
    """
    return SessionLimits(
        maxRequest=io + 8192, maxResponse=max(io, LARGE) + 8192, maxSlots=slots
    )


class DataServerService(NFSService):
    """
    Serves NFSv4.1, 4.2 and 3 over one L{pnfs.interfaces.IDataServerBackend}.
    """

    def __init__(
        self,
        reactor: Any,
        config: DSConfig,
        backend: Any,
        entropy: Callable[[int], bytes],
        wallTime: Callable[[], int],
    ) -> None:
        super().__init__(
            reactor, config.listen, config.metrics, config.limits, config.file
        )
        self._config = config
        self._backend = backend
        self._entropy = entropy
        self._wallTime = wallTime
        self._partners: Any = None
        self._replies: Optional[ReplyBuffers] = None
        self._registering: list[Registering] = []

    async def prepare(self) -> tuple[Sequence[Program], Sequence[Any]]:
        """
        See L{NFSService.prepare}.
        """
        backend = self._backend
        await backend.start()
        identity = backend.uuid.hex().encode("ascii")
        epoch = int.from_bytes(self._entropy(4), "big")
        limits = sessionLimits(self._config.limits.io, self._config.limits.slots)
        server = ServerContext(
            clock=self.clock,
            wallTime=self._wallTime,
            entropy=self._entropy,
            leaseSeconds=LEASE_SECONDS,
            owner=identity,
            scope=identity,
            exchangeFlags=EXCHGID4_FLAG_USE_PNFS_DS,
            clients=ClientTable(epoch, self._entropy, LEASE_SECONDS),
            sessions=SessionTable(self._entropy, limits),
            recovery=noGrace(),
            filehandles=CapabilityCodec(self._config.key),
            data=backend,
            latency=Latency(),
        )
        server.clients.listeners.append(server.sessions.dropClient)
        self._partners = server.partners = Partners(
            backend, self._partner, self.clock.seconds
        )
        self.context = server
        self.sweepLeases(server.clients, server.sessions)
        io = self._config.limits.io
        nfs3 = DataServer3(backend, server.filehandles, io, io)
        versions = {
            3: dataServerProcedures(nfs3),
            4: CompoundServer(server, dsTables()).procedures(),
        }
        _log.info(
            "data server {name}, identity {uuid}",
            name=self._config.name,
            uuid=identity.decode("ascii"),
        )
        return (
            [Program(NFS4_PROGRAM, versions)],
            [NFSCollector(server, lambda: self.rpc.counters)],
        )

    def listen(self) -> None:
        """
        See L{NFSService.listen}: the metadata servers are told as soon as there is
        something to be reached.
        """
        config = self._config
        if config.registration is None:
            return
        backend = self._backend
        identity = Identity(
            backend.uuid, config.name, config.registration, backend.statfs
        )
        proofs = Proofs(config.key)
        for server in config.registration.servers:
            rpc = RPCClient(self.reactor, *server, connectTimeout=PARTNER_SECONDS)
            self._registering.append(
                Registering(server, rpc, identity, proofs, self.clock, self._entropy)
            )
        for each in self._registering:
            each.start()

    def _partner(self, address: tuple[str, int]) -> SessionClient:
        """
        The means to read from another data server.
        """
        io = self._config.limits.io
        limits = Limits(recordBytes=max(io, LARGE) + RPC_OVERHEAD)
        rpc = RPCClient(
            self.reactor, *address, connectTimeout=PARTNER_SECONDS / 2, limits=limits
        )
        # However many partners there are, no more memory is kept than for one.
        self._replies = rpc.hub.replies = self._replies or rpc.hub.replies
        return SessionClient(
            rpc,
            self.clock,
            b"pnfs-ds " + self._backend.uuid.hex().encode("ascii"),
            self._entropy(8),
            encodeAuthSys(0, 0, (), b"pnfs-ds"),
            minor=2,
            flags=EXCHGID4_FLAG_USE_NON_PNFS,
            slots=32,
            ioBytes=io,
            readBytes=LARGE,
            callTimeout=PARTNER_SECONDS,
            deadline=PARTNER_SECONDS,
        )

    async def apply(self, config: DSConfig) -> None:
        """
        See L{NFSService.apply}: limits of new sessions and connections can change.
        """
        old, new = self._config, config
        slots, connections = new.limits.slots, new.limits.connections
        limits = attrs.evolve(old.limits, slots=slots, connections=connections)
        if new != attrs.evolve(old, limits=limits):
            raise BadConfiguration(
                f"{new.file}: something other than limits.slots and limits.connections "
                "has changed; put it back, or restart"
            )
        self.context.sessions.limits = sessionLimits(limits.io, slots)
        self.limitConnections(connections)
        self._config = config

    async def finish(self) -> None:
        """
        See L{NFSService.finish}.
        """
        for each in self._registering:
            each.stop()
        if self._partners is not None:
            await self._partners.stop()
        await self._backend.stop()
