# -*- test-case-name: tests.mds.test_service -*-
"""
The metadata server, put together: the only place where its concrete parts meet.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Sequence

import attrs
from twisted.logger import Logger

from pnfs.backends.ds.controlled import ControlledDataServerBackend
from pnfs.backends.metadata.recovery import FileRecoveryStore
from pnfs.callbacks.channel import BackChannels
from pnfs.callbacks.devices import DeviceNotifier
from pnfs.callbacks.notify import LockNotifier
from pnfs.callbacks.offload import OffloadReporter
from pnfs.callbacks.recall import LayoutRecaller
from pnfs.callbacks.recall_delegations import DelegationRecaller
from pnfs.config import DataServerConfig, ExportConfig, MDSConfig
from pnfs.mds.administration import Administration
from pnfs.mds.answering import Answering
from pnfs.mds.commands.file import FileCommands
from pnfs.mds.datafiles import DataFiles
from pnfs.mds.dataservers import DataServers
from pnfs.mds.exporting import Exporting
from pnfs.mds.failover import Failover
from pnfs.mds.fileindex import FileIndex
from pnfs.mds.fileindex_walk import IndexWalk
from pnfs.mds.health import Health
from pnfs.mds.member import Member
from pnfs.mds.membership import Membership
from pnfs.mds.registration import Registration
from pnfs.mds.reload import Reloading
from pnfs.mds.replacement import Replacement
from pnfs.mds.room import noteFull
from pnfs.mds.upkeep import Upkeep
from pnfs.metrics import DataServersCollector, Latency, NFSCollector, mirrorCollectors
from pnfs.namespace.exports import Export, ExportTable
from pnfs.namespace.filehandles import CapabilityCodec, FilehandleCodec
from pnfs.nfs4.client import SessionClient
from pnfs.nfs4.compound import NFS4_PROGRAM, CompoundServer
from pnfs.nfs4.context import ServerContext
from pnfs.nfs4.ops.unlinked import stateDropper
from pnfs.nfs4.optable import mdsTables
from pnfs.nfs4.sessions import EXCHGID4_FLAG_USE_NON_PNFS, EXCHGID4_FLAG_USE_PNFS_MDS
from pnfs.rpc.auth import encodeAuthSys
from pnfs.rpc.client import RPCClient
from pnfs.rpc.program import Program
from pnfs.server import NFSService
from pnfs.state.clients import ClientTable
from pnfs.state.copies import CopyTable
from pnfs.state.delegations import DelegationTable
from pnfs.state.devices import DeviceTable
from pnfs.state.layouts import LayoutTable
from pnfs.state.locks import LockTable
from pnfs.state.opens import OpenTable
from pnfs.state.recovery import Grace
from pnfs.state.sessions import SessionLimits, SessionTable
from pnfs.state.stateids import StateidTable
from pnfs.state.waiting import WaitingTable
from pnfs.values import DSState, FSStatistics

CONTROL_DEADLINE = 8.0
"""
Seconds after which a data server that has not carried out an order is taken to be
down: the client is told to come again meanwhile.
"""

_log = Logger()


def controlBackend(
    reactor: Any,
    clock: Any,
    config: DataServerConfig,
    capabilities: CapabilityCodec,
    owner: bytes,
    verifier: bytes,
    io: int,
) -> ControlledDataServerBackend:
    """
    The means to order a data server about.
    """
    host, port = config.address
    client = SessionClient(
        RPCClient(reactor, host, port, connectTimeout=2.0),
        clock,
        owner,
        verifier,
        encodeAuthSys(0, 0, (), b"pnfs-mds"),
        minor=2,
        flags=EXCHGID4_FLAG_USE_NON_PNFS,
        slots=64,
        ioBytes=io,
        callTimeout=CONTROL_DEADLINE,
        deadline=CONTROL_DEADLINE,
    )
    return ControlledDataServerBackend(client, capabilities)


class MetadataServerService(NFSService):
    """
    Serves NFSv4.1 and 4.2 from metadata backends, with data on data servers.

    @ivar context: the L{ServerContext}, once it runs.
    @ivar administration: the L{Administration}, then.
    @ivar upkeep: L{Upkeep} likewise; repairs, scrub, jobs: of that.
    @ivar registration: L{Registration} likewise; deviceNotifier: L{DeviceNotifier};
        index: L{FileIndex}.
    """

    def __init__(
        self,
        reactor: Any,
        config: MDSConfig,
        entropy: Callable[[int], bytes],
        wallTime: Callable[[], int],
    ) -> None:
        super().__init__(
            reactor, config.listen, config.metrics, config.limits, config.file
        )
        self._config = config
        self._entropy = entropy
        self._wallTime = wallTime
        self._backends: list[Any] = []
        self._servers: Any = None
        self._data: Any = None
        self._exporting: Any = None
        self._health: Any = None
        self._reloader: Any = None
        self.administration: Any = None
        self.upkeep: Any = None
        self.repairs: Any = None
        self.scrub: Any = None
        self.jobs: Any = None
        self.registration: Any = None
        self.deviceNotifier: Any = None
        self._walk: Any = None
        self.context: Any = None
        self.index: Any = None

    async def prepare(self) -> tuple[Sequence[Program], Sequence[Any]]:
        """
        See L{NFSService.prepare}.
        """
        config = self._config
        entropy = self._entropy
        clock = self.clock
        recovery = FileRecoveryStore(os.path.join(config.state, "recovery"))
        epoch = recovery.beginEpoch()
        identity = recovery.identity("mds", lambda: entropy(16)).hex().encode("ascii")
        capabilities = CapabilityCodec(config.key)
        verifier = entropy(8)
        self._servers = servers = DataServers(
            config.dataServers,
            lambda ds: controlBackend(
                self.reactor,
                clock,
                ds,
                capabilities,
                b"pnfs-mds " + identity,
                verifier,
                config.limits.io,
            ),
            config.state,
            clock,
        )
        servers.reserve = config.reserve
        self._data = data = DataFiles(servers, capabilities, clock, self._wallTime)
        self.index = FileIndex(config.state, clock, self.inThread)
        self.index.start()
        data.keepIndex(self.index)
        self._exporting = Exporting(
            config,
            clock,
            self._wallTime,
            entropy,
            self.inThread,
            self._space,
        )
        exports = [await self._export(export) for export in config.exports]
        stateids = StateidTable(epoch, entropy)
        layouts = LayoutTable(stateids)
        devices = DeviceTable()
        for export in exports:
            for driver in export.drivers.values():
                devices.addDriver(driver)
        grace = Grace(recovery, clock.seconds(), config.grace, config.lease)
        clients = ClientTable(
            epoch, entropy, config.lease, grace, courtesySeconds=config.courtesy
        )
        io = config.limits.io
        server = ServerContext(
            clock=clock,
            wallTime=self._wallTime,
            entropy=entropy,
            leaseSeconds=config.lease,
            owner=identity,
            scope=identity,
            exchangeFlags=EXCHGID4_FLAG_USE_PNFS_MDS,
            clients=clients,
            sessions=SessionTable(
                entropy,
                SessionLimits(
                    maxRequest=io + 8192,
                    maxResponse=io + 8192,
                    maxSlots=config.limits.slots,
                ),
            ),
            recovery=grace,
            stateids=stateids,
            opens=OpenTable(stateids),
            locks=LockTable(stateids),
            waiting=WaitingTable(clock, config.lease),
            layouts=layouts,
            copies=CopyTable(stateids),
            devices=devices,
            exports=ExportTable(exports, self._wallTime()),
            filehandles=FilehandleCodec(config.key),
            data=data,
            latency=Latency(),
            unsure=bool(grace.waiting),
        )
        self.context = server
        layouts.listeners.append(noteFull(clock))
        server.channels = BackChannels(clock, server.sessions)
        server.waiting.onTurn = LockNotifier(server).turn
        server.offloads = OffloadReporter(server)
        server.recaller = LayoutRecaller(server, None, config.recall)
        self.deviceNotifier = DeviceNotifier(
            server, Answering(lambda *address: RPCClient(self.reactor, *address))
        )
        gone = []
        if config.delegations:
            server.delegations = DelegationTable(
                stateids, config.limits.delegations, config.delegationWindow
            )
            server.delegating = DelegationRecaller(server, config.recall)
            gone.append(server.delegating.clientGone)
        # What a client that goes leaves behind: layouts first, so that files are
        # fenced before others get at them.
        clients.listeners += [
            server.recaller.clientGone,
            *gone,
            server.copies.dropClient,
            stateDropper(server, server.recaller.turns.add),
            server.sessions.dropClient,
        ]
        self.upkeep = upkeep = Upkeep(
            config, server, servers, data, self.index, self.inThread
        )
        self.repairs, self.scrub, self.jobs = upkeep.repairs, upkeep.scrub, upkeep.jobs
        self._health = health = Health(servers, clock, config.failure)
        health.enabled = data.degrading.enabled = config.degrade
        servers.readErrorSeconds = config.readError
        health.onCondemned.append(lambda member: member.backend.giveUp())
        health.onReturned.append(lambda member: member.backend.beginAgain())
        self.failover = Failover(server, servers, health, data.degrading)
        health.onReturned.append(lambda member: self._membersChanged())
        upkeep.follow(health)
        servers.onUp = health.answers
        servers.onChange.append(self._membersChanged)
        servers.onState.append(self._stateChanged)
        self._membersChanged()
        for member in servers.members:
            if member.banned:
                health.kill(member)
        servers.start()
        health.start()
        for export in exports:
            for placement in await export.backend.pendingRemovals():
                data.forget(export, placement)
        self._walk = IndexWalk(
            self.index, clock, lambda: list(server.exports.byPath.values())
        )
        self._walk.go()
        upkeep.start()
        self.sweepLeases(clients, server.sessions)
        self._reloader = Reloading(
            config,
            server,
            self._exporting,
            self._backends,
            self._adjust,
            servers.seed,
        )
        membership = Membership(servers, lambda: server.exports.byPath.values())
        membership.index = self.index
        Replacement(membership, upkeep.repairs)
        self.administration = Administration(config, server, servers, membership)
        self.registration = Registration(
            membership, config.key, clock, entropy, config.register
        )
        self.administration.add(
            FileCommands(server, servers, data.settings), *upkeep.commands(membership)
        )
        compound = CompoundServer(server, mdsTables())
        return (
            [
                Program(NFS4_PROGRAM, {4: compound.procedures()}),
                self.registration.program(),
            ],
            [
                NFSCollector(server, lambda: self.rpc.counters),
                DataServersCollector(servers, server.recaller, layouts),
                *mirrorCollectors(upkeep.repairs, servers, upkeep.scrub),
            ],
        )

    def listen(self) -> None:
        """
        See L{NFSService.listen}: the control channel.
        """
        self.administration.listen(self.reactor)

    async def apply(self, config: MDSConfig) -> None:
        """
        See L{NFSService.apply}.
        """
        certificates = self.administration.renewed()
        await self._reloader.apply(config)
        self.administration.renew(certificates)
        self._walk.go()

    def _stateChanged(self, member: Member, before: DSState) -> None:
        """
        What is to be done with a data server has changed.
        """
        self._membersChanged()
        if member.banned:
            self._health.kill(member)

    def _membersChanged(self) -> None:
        """
        Data servers have begun to answer, come, gone or moved: clients may be told of
        them, and what they can do.
        """
        server = self.context
        elsewhere = server.devices.setServers(
            [m.describe() for m in self._servers.members if m.uuid]
        )
        if elsewhere:
            self.deviceNotifier.withdraw(elsewhere)
        server.exports.forgetPlans()

    def _adjust(self, old: MDSConfig, new: MDSConfig) -> None:
        """
        Apply what does not concern exports.
        """
        server = self.context
        if new.lease != old.lease:
            self.setLease(new.lease)
        if new.grace != old.grace:
            self.setGrace(new.grace)
        self.setCourtesy(new.courtesy)
        server.recaller.deadlineSeconds = new.recall
        if server.delegations is not None:
            server.delegations.maximum = new.limits.delegations
            server.delegating.deadlineSeconds = new.recall
        self._servers.reserve = new.reserve
        self._health.failureSeconds = new.failure
        self._servers.readErrorSeconds = new.readError
        self._health.enabled = self._data.degrading.enabled = new.degrade
        self.upkeep.configure(new)
        self.registration.enabled = new.register
        if new.limits.slots != old.limits.slots:
            sessions = server.sessions
            sessions.limits = attrs.evolve(sessions.limits, maxSlots=new.limits.slots)
        if new.limits.connections != old.limits.connections:
            self.limitConnections(new.limits.connections)

    def setLease(self, seconds: float) -> None:
        """
        Promise another lease from now on, while it runs. Clients that are here keep
        a longer one that they were promised.

        @raise BackendError: it cannot be noted for the next start; nothing changes.
        """
        server = self.context
        server.recovery.setLease(seconds)
        server.leaseSeconds = seconds
        server.clients.leaseSeconds = seconds
        server.exports.forgetPlans()
        self.sweepLeases(server.clients, server.sessions)

    def setGrace(self, seconds: float) -> None:
        """
        Let the grace period under way, if there is one, last so long in all.
        """
        self.context.recovery.setGrace(seconds)

    def setCourtesy(self, seconds: float) -> None:
        """
        Keep silent clients for so long from now on.
        """
        self.context.clients.courtesySeconds = seconds

    async def _export(self, config: ExportConfig) -> Export:
        """
        An export, served.
        """
        exporting = self._exporting
        policy = exporting.policy(config)
        export = await exporting.start(config)
        self._backends.append(export.backend)
        exporting.apply(
            export,
            config,
            await exporting.rules(config),
            exporting.driver(config),
            policy,
        )
        return export  # type: ignore[no-any-return]

    def _space(self, export: Export) -> FSStatistics | None:
        """
        What the data servers of an export have in all, as last heard.
        """
        found = [
            member.space
            for member in self._servers.members
            if member.serves(export) and member.space is not None
        ]
        if not found:
            return None
        total = sum(space.spaceTotal for space in found) // export.mirrors
        free = sum(space.spaceFree for space in found) // export.mirrors
        available = sum(space.spaceAvailable for space in found) // export.mirrors
        blocks = [space.cloneBlock for space in found]
        return FSStatistics(
            total, free, available, 0, 0, 0, max(blocks) if all(blocks) else 0
        )

    async def finish(self) -> None:
        """
        See L{NFSService.finish}.
        """
        if self.upkeep is not None:
            self.upkeep.stop()
        if self.administration is not None:
            await self.administration.stop()
        if self._data is not None:
            self._data.stop()
        if self.context is not None:
            self.context.recaller.stop()
            self.context.waiting.stop()
            if self.context.delegating is not None:
                self.context.delegating.stop()
            self.context.copies.stop(self.context.clients)
        if self._health is not None:
            self._health.stop()
        if self._walk is not None:
            self._walk.stop()
        if self.index is not None:
            await self.index.stop()
        if self._servers is not None:
            await self._servers.stop()
        for backend in self._backends:
            await backend.stop()
