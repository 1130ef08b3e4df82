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

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from pnfs.backends.errors import BackendError, Unreachable
from pnfs.config import DataServerConfig
from pnfs.values import DataServer, FSStatistics

PROBE_SECONDS = 2.0
"""How often a data server is asked whether it lives."""

_log = Logger()


class Member:
    """
    One data server.

    @ivar config: as configured.
    @ivar backend: L{pnfs.interfaces.IDataServerBackend} to reach it.
    @ivar uuid: 16 bytes; empty until it has answered for the first time ever.
    @ivar up: it answered when last asked.
    @ivar space: as last told.
    @ivar fences: object name to epoch: to be done before anything else there.
    """

    def __init__(self, config: DataServerConfig, backend: Any, uuid: bytes) -> None:
        self.config = config
        self.backend = backend
        self.uuid = uuid
        self.up = False
        self.known = False
        self.space: Optional[FSStatistics] = None
        self.fences: dict[bytes, int] = {}
        self.probe: Optional[IDelayedCall] = None

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
    @ivar onUp: called with a L{Member} when it has begun to answer.
    """

    def __init__(
        self,
        members: Sequence[tuple[DataServerConfig, Any]],
        stateFolder: str,
        clock: IReactorTime,
    ) -> None:
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

    def _load(self) -> dict[str, Any]:
        try:
            with open(self._file, encoding="utf-8") as stream:
                return json.load(stream)  # type: ignore[no-any-return]
        except FileNotFoundError:
            return {}

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
            self._probe(member)

    async def stop(self) -> None:
        """
        Stop looking and disconnect.
        """
        self._stopped = True
        for member in self.members:
            if member.probe is not None and member.probe.active():
                member.probe.cancel()
            await member.backend.stop()

    def byUUID(self, uuid: bytes) -> Member:
        """
        @raise Unreachable: no data server of that identity is configured.
        """
        member = self._byUUID.get(uuid)
        if member is None:
            raise Unreachable(f"no data server {uuid.hex()} is configured")
        return member

    def describe(self, uuids: Sequence[bytes]) -> list[DataServer]:
        """
        What layout drivers may know of some of them.
        """
        return [self.byUUID(uuid).describe() for uuid in uuids]

    def usable(self, names: Sequence[str]) -> list[DataServer]:
        """
        Those of the named ones that answer, in the order of the names.
        """
        byName = {m.config.name: m for m in self.members}
        return [byName[n].describe() for n in names if n in byName and byName[n].up]

    def down(self, uuid: bytes, reason: Exception) -> None:
        """
        One did not answer: it is out until a probe succeeds.
        """
        member = self._byUUID.get(uuid)
        if member is not None and member.up:
            member.up = False
            _log.warn(
                "data server {name} does not answer: {reason}",
                name=member.config.name,
                reason=reason,
            )

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

    def _again(self, member: Member) -> None:
        if not self._stopped:
            member.probe = self._clock.callLater(PROBE_SECONDS, self._probe, member)

    async def _ask(self, member: Member) -> None:
        try:
            await member.backend.start()
            space = await member.backend.statfs()
            self._bind(member)
            for name, epoch in list(member.fences.items()):
                await self._fence(member, name, epoch)
        except BackendError as error:
            if member.up or not member.known:
                _log.warn(
                    "data server {name} ({address}) does not answer: {reason}",
                    name=member.config.name,
                    address="{}:{}".format(*member.config.address),
                    reason=error,
                )
            member.up = False
            member.known = True
            return
        member.space = space
        member.known = True
        if not member.up:
            member.up = True
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

    async def _fence(self, member: Member, name: bytes, epoch: int) -> None:
        try:
            await member.backend.fence(name, epoch)
        except Unreachable:
            raise
        except BackendError as error:
            _log.warn("{name} cannot be fenced: {reason}", name=name, reason=error)
        if member.fences.get(name) == epoch:
            del member.fences[name]
            self.save()

    async def fence(self, uuid: bytes, name: bytes, epoch: int) -> None:
        """
        Fence an object now, or as soon as its data server answers.
        """
        member = self.byUUID(uuid)
        try:
            await member.backend.fence(name, epoch)
        except Unreachable as error:
            self.down(uuid, error)
            member.fences[name] = max(epoch, member.fences.get(name, 0))
            self.save()
