# -*- test-case-name: tests.mds.test_dataservers -*-
"""
The data servers of a metadata server: who they are, and which of them answer.

A data server is known by its UUID for ever. The name that the configuration gives
it is bound to the UUID it answers with at first contact; that binding is kept in
the state folder, so that placements resolve while a data server is down.
"""

from __future__ import annotations

import json
import os
from typing import Any, Callable, Optional, Sequence

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from pnfs.backends.ds.remote import gather, gatherOutcomes
from pnfs.backends.errors import (
    BackendError,
    BadConfiguration,
    IOFailed,
    NoSuchObject,
    Unreachable,
)
from pnfs.config import DataServerConfig
from pnfs.values import DataServer, FSStatistics, Placement

PROBE_SECONDS = 2.0
"""How often a data server is asked whether it lives."""

RESERVE_SHARE = 0.05
RESERVE_BYTES = 1 << 30
"""Where less than either is free, no new files go, as long as others have room."""

FULL_BYTES = 1 << 20
"""Where less is left a write may fail at any time: those go through us."""

_log = Logger()


class Member:
    """
    One data server.

    @ivar config: as configured.
    @ivar backend: L{pnfs.interfaces.IDataServerBackend} to reach it.
    @ivar uuid: 16 bytes; empty until it has answered for the first time ever.
    @ivar up: it answered when last asked.
    @ivar problem: why not, as last told to the operator.
    @ivar space: as last told.
    @ivar fences: object name to epoch: to be done before anything else there.
    @ivar heard: when it last answered, or when it was first asked.
    @ivar banned: it is not to be used, by order of the operator.
    """

    def __init__(self, config: DataServerConfig, backend: Any, uuid: bytes) -> None:
        self.config = config
        self.backend = backend
        self.uuid = uuid
        self.up = False
        self.problem = ""
        self.space: Optional[FSStatistics] = None
        self.fences: dict[bytes, int] = {}
        self.probe: Optional[IDelayedCall] = None
        self.heard = 0.0
        self.banned = False

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
            available=self.up,
            spaceFree=None if self.space is None else self.space.spaceAvailable,
        )


class DataServers:
    """
    All data servers by name and by UUID.

    @ivar members: in the order of the configuration.
    @ivar reserve: as for L{Member.roomy}.
    @ivar onUp: called with a L{Member} when it has begun to answer.
    @ivar condemned: UUIDs of those that are lost (L{pnfs.mds.health}).
    """

    def __init__(
        self,
        members: Sequence[tuple[DataServerConfig, Any]],
        stateFolder: str,
        clock: IReactorTime,
    ) -> None:
        self.reserve: Optional[int] = None
        self._full: set[bytes] = set()
        self._clock = clock
        self._file = os.path.join(stateFolder, "data-servers.json")
        saved = self._load()
        self.members = []
        for config, backend in members:
            record = saved.get(config.name, {})
            member = Member(config, backend, bytes.fromhex(record.get("uuid", "")))
            member.fences = {
                name.encode("ascii"): epoch
                for name, epoch in record.get("fences", {}).items()
            }
            self.members.append(member)
        self._byUUID = {m.uuid: m for m in self.members if m.uuid}
        self._stopped = False
        self.onUp: Callable[[Member], None] = lambda member: None
        self.condemned: frozenset[bytes] = frozenset()

    def _load(self) -> dict[str, Any]:
        """
        @raise BadConfiguration: the file is damaged.
        """
        try:
            with open(self._file, encoding="utf-8") as stream:
                saved = json.load(stream)
            for record in saved.values():
                bytes.fromhex(record["uuid"])
                for epoch in record["fences"].values():
                    int(epoch)
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
            raise BadConfiguration(
                f"{self._file}: is damaged: {error}; restore it, or remove it while "
                "all data servers answer"
            ) from None
        return saved  # type: ignore[no-any-return]

    def save(self) -> None:
        """
        Make bindings and fences durable.
        """
        saved = self._load()
        for member in self.members:
            saved[member.config.name] = {
                "uuid": member.uuid.hex(),
                "fences": {
                    name.decode("ascii"): epoch for name, epoch in member.fences.items()
                },
            }
        temporary = self._file + ".new"
        with open(temporary, "w", encoding="utf-8") as stream:
            json.dump(saved, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, self._file)
        folder = os.open(os.path.dirname(self._file), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def start(self) -> None:
        """
        Begin to look for them; never waits.
        """
        for member in self.members:
            member.heard = self._clock.seconds()
            self._probe(member)

    async def stop(self) -> None:
        """
        Stop looking and disconnect.
        """
        self._stopped = True
        for member in self.members:
            member.up = False
            if member.probe is not None and member.probe.active():
                member.probe.cancel()
        # All at once: one that hangs costs its timeout.
        outcomes = await gatherOutcomes(
            [member.backend.stop() for member in self.members]
        )
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                _log.info("a data server was left in disorder: {e}", e=outcome)

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

    def named(self, names: Sequence[str]) -> list[DataServer]:
        """
        Those of the named ones that have ever answered, in the order of the names.
        """
        byName = {m.config.name: m for m in self.members if m.uuid}
        return [byName[name].describe() for name in names if name in byName]

    def unknown(self, names: Sequence[str]) -> bool:
        """
        Has one of these never answered yet?
        """
        return any(m.config.name in names and not m.uuid for m in self.members)

    def up(self, uuid: bytes) -> bool:
        """
        Does it answer?
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
        if member is not None and member.up:
            self._silent(member, reason)

    def _silent(self, member: Member, reason: Exception) -> None:
        """
        Say so, but not again for the same reason.
        """
        member.up = False
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

    def _probe(self, member: Member) -> None:
        member.probe = None
        if self._stopped:
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
        if not self._stopped:
            member.probe = self._clock.callLater(PROBE_SECONDS, self._probe, member)

    async def _ask(self, member: Member) -> None:
        try:
            await member.backend.start()
            space = await member.backend.statfs()
            self._bind(member)
            await self._fencePending(member)
        except BackendError as error:
            self._silent(member, error)
            return
        if member.banned:
            return
        member.heard = self._clock.seconds()
        member.space = space
        if space.spaceAvailable < FULL_BYTES:
            self._full.add(member.uuid)
        else:
            self._full.discard(member.uuid)
        if not member.up and not self._stopped:
            member.up = True
            member.problem = ""
            _log.info(
                "data server {name} answers, {uuid}",
                name=member.config.name,
                uuid=member.uuid.hex(),
            )
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
        member.uuid = uuid
        self._byUUID[uuid] = member
        self.save()

    # -- fences ------------------------------------------------------------------

    async def _fencePending(self, member: Member) -> None:
        """
        Do what had to wait, before anything else is done there.

        @raise Unreachable: it does not answer.
        """
        done: dict[bytes, int] = {}
        try:
            # Others may be added meanwhile: until none is left.
            while todo := [i for i in member.fences.items() if done.get(i[0]) != i[1]]:
                for name, epoch in todo:
                    await self._fence(member, name, epoch)
                    done[name] = epoch
        finally:
            for name, epoch in done.items():
                if member.fences.get(name) == epoch:
                    del member.fences[name]
            if done:
                self.save()

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
        member.fences[name] = max(epoch, member.fences.get(name, 0))
        self.save()
