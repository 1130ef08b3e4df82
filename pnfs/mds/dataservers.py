# -*- test-case-name: tests.mds.test_dataservers -*-
"""
The data servers of a metadata server: who they are, and which of them answer.

A data server is known by its UUID for ever. The name that the configuration gives
it is bound to the UUID it answers with at first contact; that binding is kept in
the inventory (L{pnfs.mds.inventory}), so that placements resolve while a data server is
down. They may come, go and move while the server runs.
"""

from __future__ import annotations

from typing import Any, Callable, Optional, Sequence

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from pnfs.backends.ds.remote import gather, gatherOutcomes
from pnfs.backends.errors import (
    BackendError,
    IOFailed,
    NoSuchObject,
    Unreachable,
)
from pnfs.config import DataServerConfig
from pnfs.mds.fences import FenceLog
from pnfs.mds.inventory import Inventory, Record, seeded
from pnfs.values import DataServer, DSState, FSStatistics, Placement

PROBE_SECONDS = 2.0
"""How often a data server is asked whether it lives."""

RESERVE_SHARE = 0.05
RESERVE_BYTES = 1 << 30
"""Where less than either is free, no new files go, as long as others have room."""

_FENCES = 32
"""Fences that had to wait are carried out so many at a time."""

FULL_BYTES = 1 << 20
"""Where less is left a write may fail at any time: those go through us."""

_log = Logger()


class Member:
    """
    One data server.

    @ivar record: what the inventory has of it, without the fences.
    @ivar backend: L{pnfs.interfaces.IDataServerBackend} to reach it.
    @ivar answers: it did when last asked.
    @ivar up: it answers and may be used.
    @ivar problem: why it does not answer, as last told to the operator.
    @ivar space: as last told.
    @ivar fences: object name to epoch: to be done before anything else there.
    @ivar heard: when it last answered, or when it was first asked.
    """

    def __init__(self, record: Record, backend: Any) -> None:
        """
        @param record: may have fences, as they were kept once.
        """
        self.record = record
        self.backend = backend
        self.answers = False
        self.up = False
        self.problem = ""
        self.space: Optional[FSStatistics] = None
        self.fences: dict[bytes, int] = dict(record.fences)
        self.probe: Optional[IDelayedCall] = None
        self.heard = 0.0
        self.gone = False

    @property
    def uuid(self) -> bytes:
        """
        16 bytes; empty until it has answered for the first time ever.
        """
        return self.record.uuid

    @property
    def config(self) -> DataServerConfig:
        """
        How it is reached.
        """
        config = self.record.config
        assert config is not None
        return config

    @property
    def state(self) -> DSState:
        """
        What is to be done with it.
        """
        return self.record.state

    @property
    def banned(self) -> bool:
        """
        It is not to be used, by order of the operator.
        """
        return self.record.state is DSState.DISABLED

    def serves(self, export: Any) -> bool:
        """
        May new files of an L{pnfs.namespace.exports.Export} go there, as far as the
        configuration and C{pnfs ds assign} say?
        """
        exports = self.record.exports
        if exports:
            return export.path in exports
        return not export.dataServers or self.record.name in export.dataServers

    def roomy(self, reserve: Optional[int]) -> bool:
        """
        Is there room for new files? If it has not been heard, there is.

        @param reserve: bytes to be left for the files that are there; None: a
            twentieth, or 1 GiB if that is less.
        """
        space = self.space
        if space is None:
            return True
        if reserve is None:
            reserve = min(RESERVE_BYTES, int(space.spaceTotal * RESERVE_SHARE))
        return space.spaceAvailable > reserve

    def describe(self) -> DataServer:
        """
        What a layout driver may know of it.
        """
        nfs3 = self.config.protocol == "nfs3"
        return DataServer(
            uuid=self.uuid,
            name=self.config.name,
            addresses=self.config.advertise,
            version=(3, 0) if nfs3 else (4, 1),
            tightlyCoupled=not nfs3,
            available=self.up and self.state.takesNew,
            spaceFree=None if self.space is None else self.space.spaceAvailable,
        )


class DataServers:
    """
    All data servers by name and by UUID.

    @ivar members: those of the configuration in its order, then the others.
    @ivar reserve: as for L{Member.roomy}.
    @ivar onUp: called with a L{Member} when it has begun to answer.
    @ivar condemned: UUIDs of those that are lost (L{pnfs.mds.health}).
    @ivar onState: each is called with a L{Member} whose state has changed, and the
        state before; that is durable by then.
    @ivar onMove: each is called with a L{Member} that clients reach elsewhere now.
    @ivar onChange: each is called when data servers have come or gone, or are reached
        elsewhere.
    """

    def __init__(
        self,
        configs: Sequence[DataServerConfig],
        connect: Callable[[DataServerConfig], Any],
        stateFolder: str,
        clock: IReactorTime,
    ) -> None:
        """
        @param configs: of the configuration file.
        @param connect: makes the backend of a data server.
        @raise BadConfiguration: what is kept of them is damaged.
        """
        self.reserve: Optional[int] = None
        self.connect = connect
        self._full: set[bytes] = set()
        self._clock = clock
        self._inventory = Inventory(stateFolder)
        self._fences = FenceLog(stateFolder)
        self._others: list[Record] = []
        self.members: list[Member] = []
        for record in seeded(self._inventory.load(), configs):
            if record.config is None or record.removed:
                self._others.append(record)
            else:
                self.members.append(Member(record, connect(record.config)))
        self._byUUID = {m.uuid: m for m in self.members if m.uuid}
        self._loadFences()
        self._started = False
        self._stopped = False
        self.onUp: Callable[[Member], None] = lambda member: None
        self.condemned: frozenset[bytes] = frozenset()
        self.onState: list[Callable[[Member, DSState], None]] = []
        self.onMove: list[Callable[[Member], None]] = []
        self.onChange: list[Callable[[], None]] = []

    def save(self) -> None:
        """
        Make the inventory durable.

        @raise BackendError: that is not possible.
        """
        self._save([member.record for member in self.members], self._others)

    def _save(self, records: Sequence[Record], others: Sequence[Record]) -> None:
        self._inventory.save([attrs.evolve(r, fences={}) for r in records] + [*others])

    def start(self) -> None:
        """
        Begin to look for them; never waits.
        """
        self._started = True
        for member in self.members:
            self._look(member)

    async def stop(self) -> None:
        """
        Stop looking and disconnect.
        """
        self._stopped = True
        for member in self.members:
            self._forget(member)
        # All at once: one that hangs costs its timeout.
        outcomes = await gatherOutcomes(
            [member.backend.stop() for member in self.members]
        )
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                _log.info("a data server was left in disorder: {e}", e=outcome)

    # -- the inventory while it runs -----------------------------------------------

    def insert(self, record: Record, backend: Any) -> Member:
        """
        Have one more from now on.

        @param backend: to reach it.
        @raise BackendError: it cannot be made durable; nothing has changed.
        """
        others = [other for other in self._others if other.name != record.name]
        self._save([m.record for m in self.members] + [record], others)
        self._others = others
        member = Member(record, backend)
        self.members.append(member)
        if member.uuid:
            self._byUUID[member.uuid] = member
        if self._started and not self._stopped:
            self._look(member)
        self._changed()
        return member

    async def discard(self, member: Member) -> None:
        """
        Have it no more.

        @raise BackendError: that cannot be made durable; nothing has changed.
        """
        record = member.record
        others = list(self._others)
        if record.seed is not None:
            others.append(Record(record.name, seed=record.seed, removed=True))
        self._save([m.record for m in self.members if m is not member], others)
        self._others = others
        self.members.remove(member)
        self._byUUID.pop(member.uuid, None)
        self._full.discard(member.uuid)
        self._forget(member)
        self._changed()
        await self._leave(member.backend)

    def update(self, member: Member, record: Record) -> None:
        """
        Replace the record of a member; its name and identity stay.

        @raise BackendError: that cannot be made durable; nothing has changed.
        """
        self._save(
            [record if m is member else m.record for m in self.members], self._others
        )
        before, member.record = member.record, record
        if before.state is not record.state:
            if not record.state.used:
                member.up = False
            _log.info(
                "data server {name} is {state} now, was {before}",
                name=record.name,
                state=record.state.value,
                before=before.state.value,
            )
            for listener in list(self.onState):
                listener(member, before.state)
            if record.state.used and not before.state.used:
                self.ask(member)
        if before != attrs.evolve(record, state=before.state):
            self._changed()

    def setState(self, member: Member, state: DSState) -> None:
        """
        Say what is to be done with one from now on.

        @raise BackendError: that cannot be made durable; nothing has changed.
        """
        if member.state is not state:
            self.update(member, attrs.evolve(member.record, state=state))

    async def reach(self, member: Member, record: Record, backend: Any) -> None:
        """
        Reach one otherwise from now on.

        @param record: says how; backend: does.
        @raise BackendError: that cannot be made durable; nothing has changed.
        """
        left = member.backend
        before = member.config
        self.update(member, record)
        member.backend = backend
        member.problem = ""
        self._moved(member, before)
        await self._leave(left)

    def _moved(self, member: Member, before: DataServerConfig) -> None:
        """
        Tell, if clients have to go elsewhere.
        """
        if member.config.advertise != before.advertise:
            _log.info("data server {name} has moved", name=member.record.name)
            for listener in list(self.onMove):
                listener(member)

    async def seed(self, configs: Sequence[DataServerConfig]) -> None:
        """
        The configuration file has been read again.

        @raise BackendError: what it says cannot be made durable; nothing has changed.
        """
        known = {member.record.name: member for member in self.members}
        records = [m.record for m in self.members] + self._others
        wanted = seeded(records, configs)
        served = [record for record in wanted if record.served]
        others = [record for record in wanted if not record.served]
        if wanted == records:
            return
        self._save(served, others)
        self._others = others
        new = []
        left = []
        moved = []
        members = []
        for record in served:
            config = record.config
            assert config is not None
            member = known.get(record.name)
            if member is None:
                member = Member(record, self.connect(config))
                new.append(member)
                if member.uuid:
                    self._byUUID[member.uuid] = member
            elif member.config != config:
                moved.append((member, member.config))
                if member.config.address != config.address:
                    left.append(member.backend)
                    member.backend = self.connect(config)
                    member.up = member.answers = False
                    member.problem = ""
            member.record = record
            members.append(member)
        self.members = members
        self._changed()
        if self._started and not self._stopped:
            for member in new:
                self._look(member)
        for member, before in moved:
            self._moved(member, before)
        for backend in left:
            await self._leave(backend)

    def _changed(self) -> None:
        for listener in list(self.onChange):
            listener()

    def _forget(self, member: Member) -> None:
        member.gone = True
        member.up = member.answers = False
        if member.probe is not None and member.probe.active():
            member.probe.cancel()

    async def _leave(self, backend: Any) -> None:
        try:
            await backend.stop()
        except BackendError as error:
            _log.info("a data server was left in disorder: {e}", e=error)

    # -- who is there ----------------------------------------------------------------

    def byName(self, name: str) -> Optional[Member]:
        """
        The one of that name, if there is one.
        """
        for member in self.members:
            if member.record.name == name:
                return member
        return None

    def byUUID(self, uuid: bytes) -> Member:
        """
        @raise Unreachable: no data server of that identity is configured.
        """
        member = self._byUUID.get(uuid)
        if member is None:
            raise Unreachable(f"no data server {uuid.hex()} is configured")
        return member

    def find(self, uuid: bytes) -> Optional[Member]:
        """
        A data server, if it is configured.
        """
        return self._byUUID.get(uuid)

    def describe(self, uuids: Sequence[bytes]) -> list[DataServer]:
        """
        What layout drivers may know of some of them.
        """
        return [self.byUUID(uuid).describe() for uuid in uuids]

    def serving(self, export: Any) -> list[DataServer]:
        """
        Those that new files of an export may go to, and that have ever answered.
        """
        return [
            member.describe()
            for member in self.members
            if member.uuid and member.state.takesNew and member.serves(export)
        ]

    def unknown(self, export: Any) -> bool:
        """
        Has one of those that serve an export never answered yet?
        """
        return any(
            not member.uuid and member.state.takesNew and member.serves(export)
            for member in self.members
        )

    def up(self, uuid: bytes) -> bool:
        """
        Does it answer, and may it be used?
        """
        member = self._byUUID.get(uuid)
        return member is not None and member.up

    def roomy(self, uuid: bytes) -> bool:
        """
        Is there room for new files?
        """
        return self.byUUID(uuid).roomy(self.reserve)

    def roomFor(self, placement: Placement) -> bool:
        """
        Has every data server of a file some room left, as far as is known?
        """
        return not self._full or self._full.isdisjoint(placement.live.dataServers)

    def spare(self, placement: Placement, uuid: bytes) -> bool:
        """
        Can a file do without a data server: has every column that has a mirror there
        another one that is not stale, and answers?
        """
        for column in placement.live.columns:
            if uuid in column and not any(
                other != uuid and other not in self.condemned and self.up(other)
                for other in column
            ):
                return False
        return True

    def lost(self, mirrors: Sequence[bytes], problem: Exception) -> Exception:
        """
        What to tell a reader whom none of some mirrors has answered: to come again,
        as C{problem} says, or that there is nothing to wait for.
        """
        if self.condemned.issuperset(mirrors):
            return IOFailed(f"every data server that has it is lost: {problem}")
        return problem

    def usable(self, placement: Placement) -> Placement:
        """
        What clients may be told of where a file's bytes are: no stale mirrors, and none
        at lost data servers as long as there are others.
        """
        live = placement.live
        gone = tuple(uuid for uuid in self.condemned if self.spare(live, uuid))
        return attrs.evolve(live, stale=gone).live if gone else live

    def down(self, uuid: bytes, reason: Exception) -> None:
        """
        One did not answer: it is out until a probe succeeds.
        """
        member = self._byUUID.get(uuid)
        if member is not None and member.answers:
            self._silent(member, reason)

    def _silent(self, member: Member, reason: Exception) -> None:
        """
        Say so, but not again for the same reason.
        """
        member.up = member.answers = False
        problem = str(reason)
        if problem != member.problem:
            member.problem = problem
            _log.warn(
                "data server {name} ({address}) does not answer: {reason}",
                name=member.config.name,
                address="{}:{}".format(*member.config.address),
                reason=problem,
            )

    # -- doing something there ---------------------------------------------------

    async def on(self, uuid: bytes, call: Callable[[Any], Any]) -> Any:
        """
        Do something at a data server; remember if it does not answer.
        """
        member = self.byUUID(uuid)
        if not member.up:
            raise Unreachable(f"data server {member.config.name} does not answer")
        try:
            result = await call(member.backend)
        except Unreachable as error:
            self.down(uuid, error)
            raise
        member.heard = self._clock.seconds()
        return result

    async def onFile(self, uuid: bytes, call: Callable[[Any], Any]) -> Any:
        """
        As L{on}, with a data file that must be there: that it is not does not
        mean that the file is gone.
        """
        try:
            return await self.on(uuid, call)
        except NoSuchObject as error:
            raise IOFailed(
                f"data file {error} is missing at data server {uuid.hex()}"
            ) from error

    async def onAll(self, placement: Placement, call: Callable[[Any], Any]) -> None:
        """
        As L{onFile}, at all data servers of a file that are not stale, or at none if
        one of them does not answer.
        """
        uuids = placement.live.dataServers
        for uuid in uuids:
            member = self.byUUID(uuid)
            if not member.up:
                raise Unreachable(f"data server {member.config.name} does not answer")
        await gather([self.onFile(uuid, call) for uuid in uuids])

    async def askAll(self, placement: Placement) -> dict[bytes, Any]:
        """
        Attributes of a file's data files by data server, of one mirror at least of
        each column, and of none that is stale.

        @raise BackendError: no mirror of a column gives them.
        """
        placement = placement.live
        uuids = placement.dataServers
        outcomes = await gatherOutcomes(
            [self.onFile(uuid, lambda ds: ds.getattr(placement.name)) for uuid in uuids]
        )
        found = {}
        failures = {}
        for uuid, outcome in zip(uuids, outcomes):
            if isinstance(outcome, BackendError):
                failures[uuid] = outcome
            elif isinstance(outcome, Exception):
                raise outcome
            else:
                found[uuid] = outcome
        for column in placement.columns:
            if not any(uuid in found for uuid in column):
                raise failures[column[0]]
        return found

    # -- probes ------------------------------------------------------------------

    def _look(self, member: Member) -> None:
        member.heard = self._clock.seconds()
        self._probe(member)

    def _probe(self, member: Member) -> None:
        member.probe = None
        if member.gone:
            return
        done = Deferred.fromCoroutine(self._ask(member))
        done.addErrback(
            lambda failure: _log.failure("probing a data server failed", failure)
        )
        done.addBoth(lambda _: self._again(member))

    def ask(self, member: Member) -> None:
        """
        Probe one now, if that is not being done.
        """
        if member.probe is not None and member.probe.active():
            member.probe.cancel()
            self._probe(member)

    def _again(self, member: Member) -> None:
        if not member.gone:
            member.probe = self._clock.callLater(PROBE_SECONDS, self._probe, member)

    async def _ask(self, member: Member) -> None:
        backend = member.backend
        try:
            await backend.start()
            space = await backend.statfs()
            if member.gone or member.backend is not backend:
                return
            self._bind(member)
            await self._fencePending(member)
        except BackendError as error:
            if not member.gone and member.backend is backend:
                self._silent(member, error)
            return
        if member.gone or member.backend is not backend:
            return
        member.space = space
        if space.spaceAvailable < FULL_BYTES:
            self._full.add(member.uuid)
        else:
            self._full.discard(member.uuid)
        if not member.answers:
            member.answers = True
            member.problem = ""
            _log.info(
                "data server {name} answers, {uuid}",
                name=member.config.name,
                uuid=member.uuid.hex(),
            )
        if member.banned:
            return
        member.heard = self._clock.seconds()
        if not member.up and member.state.used:
            member.up = True
            self.onUp(member)

    def _bind(self, member: Member) -> None:
        uuid = member.backend.uuid
        if uuid == member.uuid:
            return
        if member.uuid:
            raise Unreachable(
                f"{member.config.name} is {uuid.hex()} now, was {member.uuid.hex()}: "
                "another data server answers there"
            )
        if uuid in self._byUUID:
            raise Unreachable(
                f"{member.config.name} is the same data server as "
                f"{self._byUUID[uuid].config.name}"
            )
        bound = attrs.evolve(member.record, uuid=uuid)
        self._save(
            [bound if m is member else m.record for m in self.members], self._others
        )
        member.record = bound
        self._byUUID[uuid] = member

    # -- fences ------------------------------------------------------------------

    def _loadFences(self) -> None:
        """
        @raise BadConfiguration: what is kept of them is damaged.
        """
        kept = self._fences.load()
        old = any(member.fences for member in self.members)
        for member in self.members:
            for name, epoch in member.fences.items():
                self._fences.add(member.uuid, name, epoch)
            for name, epoch in kept.get(member.uuid, {}).items():
                member.fences[name] = max(epoch, member.fences.get(name, 0))
        if old:
            self.save()

    async def _fencePending(self, member: Member) -> None:
        """
        Do what had to wait, before anything else is done there.

        @raise Unreachable: it does not answer.
        """
        done: dict[bytes, int] = {}
        try:
            # Others may be added meanwhile: until none is left.
            while todo := [i for i in member.fences.items() if done.get(i[0]) != i[1]]:
                for start in range(0, len(todo), _FENCES):
                    some = todo[start : start + _FENCES]
                    await gather([self._fence(member, *each) for each in some])
                    done.update(some)
        finally:
            for name, epoch in done.items():
                if member.fences.get(name) == epoch:
                    del member.fences[name]
            if done:
                self._fences.replace({m.uuid: m.fences for m in self.members})

    async def _fence(self, member: Member, name: bytes, epoch: int) -> None:
        try:
            await member.backend.fence(name, epoch)
        except NoSuchObject:
            # Nothing is there that could be written to.
            pass
        except Unreachable:
            raise
        except BackendError as error:
            raise Unreachable(f"cannot fence {name.decode()}: {error}") from error

    async def fenceAll(self, placement: Placement) -> None:
        """
        Fence all data files of a file at its epoch, those of stale mirrors, too.

        @raise Unreachable: a data server is not configured.
        """
        await gather(
            [
                self.fence(uuid, placement.name, placement.epoch)
                for uuid in placement.everywhere
            ]
        )

    async def fence(self, uuid: bytes, name: bytes, epoch: int) -> None:
        """
        Fence an object now, or as soon as its data server answers.

        @raise Unreachable: no data server of that identity is configured.
        """
        member = self.byUUID(uuid)
        if member.up:
            try:
                await self._fence(member, name, epoch)
                return
            except Unreachable as error:
                self.down(uuid, error)
        if epoch > member.fences.get(name, 0):
            self._fences.add(uuid, name, epoch)
            member.fences[name] = epoch
