# -*- test-case-name: tests.mds.test_dataservers -*-
"""
The data servers of a metadata server: which of them answer, and doing something there.

A data server is known by its UUID for ever. The name that the configuration gives
it is bound to the UUID it answers with at first contact; that binding is kept in
the inventory (L{pnfs.mds.inventory}), so that placements resolve while a data server is
down.
"""

from __future__ import annotations

from typing import Any, Callable, Optional, Sequence

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pnfs.backends.ds.remote import gather, gatherOutcomes
from pnfs.backends.errors import (
    BackendError,
    IOFailed,
    NoSuchObject,
    Unreachable,
)
from pnfs.config import DataServerConfig
from pnfs.layouts.striping import pieces
from pnfs.mds.fences import FenceLog
from pnfs.mds.member import Member
from pnfs.mds.roster import Roster
from pnfs.values import Placement

PROBE_SECONDS = 2.0
"""How often a data server is asked whether it lives."""

_FENCES = 32
"""Fences that had to wait are carried out so many at a time."""

FULL_BYTES = 1 << 20
"""Where less is left a write may fail at any time: those go through us."""

_log = Logger()


class DataServers(Roster):
    """
    The data servers at work.

    @ivar reserve: as for L{Member.roomy}.
    @ivar onUp: called with a L{Member} when it has begun to answer.
    @ivar condemned: UUIDs of those that are lost (L{pnfs.mds.health}).
    @ivar readErrorSeconds: how long these have been silent when readers of what they
        alone have are told so.
    """

    def __init__(
        self,
        configs: Sequence[DataServerConfig],
        connect: Callable[[DataServerConfig], Any],
        stateFolder: str,
        clock: IReactorTime,
    ) -> None:
        """
        See L{Roster}.
        """
        super().__init__(configs, connect, stateFolder)
        self._clock = clock
        self._full: set[bytes] = set()
        self.reserve: Optional[int] = None
        self.onUp: Callable[[Member], None] = lambda member: None
        self.condemned: frozenset[bytes] = frozenset()
        self.readErrorSeconds = 60.0
        self._fences = FenceLog(stateFolder)
        self._unclaimed: dict[bytes, dict[bytes, int]] = {}
        self._loadFences()

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

    def roomFor(self, placement: Placement, offset: int = 0) -> bool:
        """
        Has every data server of a file, or of its chunk at an offset, some room left,
        as far as is known?
        """
        if not self._full:
            return True
        live = placement.live
        if not live.chunk:
            return self._full.isdisjoint(live.dataServers)
        column, _, _ = next(pieces(live, offset, 1))
        return self._full.isdisjoint(live.columns[column])

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
        if not self.condemned.issuperset(mirrors):
            return problem
        since = self._clock.seconds() - self.readErrorSeconds
        for uuid in mirrors:
            member = self._byUUID.get(uuid)
            if member is not None and member.heard > since and not member.banned:
                return problem
        return IOFailed(f"every data server that has it is lost: {problem}")

    def usable(self, placement: Placement, write: bool = False) -> Placement:
        """
        What clients may be told of where a file's bytes are: no stale mirrors, and none
        at lost data servers as long as there are others.

        @param write: they are going to write there.
        @raise Unreachable: what they write would be missing where it counts: a mirror
            at a lost data server has to be marked as stale first.
        """
        live = placement.live
        gone = tuple(
            uuid
            for uuid in live.dataServers
            if uuid in self.condemned and self.spare(live, uuid)
        )
        if gone and write:
            raise Unreachable("mirrors at lost data servers count still")
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

    async def askAll(
        self, placement: Placement, durable: bool = False
    ) -> dict[bytes, Any]:
        """
        Attributes of a file's data files by data server, of one mirror at least of
        each column, and of none that is stale.

        @param durable: so is what was written there, after that.
        @raise BackendError: no mirror of a column gives them.
        """
        placement = placement.live
        uuids = placement.dataServers
        name = placement.name

        def ask(ds: Any) -> Any:
            return ds.settle(name) if durable else ds.getattr(name)

        outcomes = await gatherOutcomes([self.onFile(uuid, ask) for uuid in uuids])
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

    def look(self, member: Member) -> None:
        """
        See L{Roster.look}.
        """
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
        if member.uuid and uuid == member.identity:
            return
        name = member.config.name
        if member.uuid:
            raise Unreachable(
                f"{name} is {uuid.hex()} now, was {member.identity.hex()}: another data "
                "server answers there; if it is the same one with an empty disk: "
                f"'pnfs ds kill {name}', 'pnfs ds enable --empty {name}'"
            )
        known = self._byUUID.get(uuid) or self.identified(uuid)
        if known is not None:
            raise Unreachable(f"{name} is the same data server as {known.config.name}")
        bound = attrs.evolve(member.record, uuid=uuid)
        self._save(
            [bound if m is member else m.record for m in self.members], self._others
        )
        member.record = bound
        self._byUUID[uuid] = member
        self.entered(member)

    # -- fences ------------------------------------------------------------------

    def _loadFences(self) -> None:
        """
        @raise BadConfiguration: what is kept of them is damaged.
        """
        self._unclaimed = self._fences.load()
        old = any(member.fences for member in self.members)
        for member in self.members:
            self.entered(member)
        if old:
            self.save()

    def entered(self, member: Member) -> None:
        """
        See L{Roster.entered}: it may have been here before, under whatever name.
        """
        for name, epoch in member.fences.items():
            # As earlier versions kept them.
            self._fences.add(member.uuid, name, epoch)
        for name, epoch in self._unclaimed.pop(member.uuid, {}).items():
            member.fences[name] = max(epoch, member.fences.get(name, 0))

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
                self._fences.replace(
                    self._unclaimed | {m.uuid: m.fences for m in self.members}
                )

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
