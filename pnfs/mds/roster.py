# -*- test-case-name: tests.mds.test_membership -*-
"""
Which data servers there are, and what is to be done with them: in memory and, before
that, in the inventory. They may come, go and move while the server runs.

Whether an order makes sense is not asked here, but in L{pnfs.mds.membership}.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Callable, Optional, Sequence

import attrs
from twisted.logger import Logger

from pnfs.backends.ds.remote import gatherOutcomes
from pnfs.backends.errors import BackendError, Unreachable
from pnfs.config import DataServerConfig
from pnfs.mds.inventory import Inventory, Record, seeded
from pnfs.mds.member import Member
from pnfs.values import DataServer, DSState

_log = Logger()


class Roster(ABC):
    """
    The data servers by name and by UUID.

    @ivar members: those of the configuration in its order, then the others.
    @ivar connect: makes the backend of a data server.
    @ivar onState: each is called with a L{Member} whose state has changed, and the
        state before; that is durable by then.
    @ivar onChange: each is called when data servers have come or gone, or are reached
        elsewhere.
    """

    def __init__(
        self,
        configs: Sequence[DataServerConfig],
        connect: Callable[[DataServerConfig], Any],
        stateFolder: str,
    ) -> None:
        """
        @param configs: of the configuration file.
        @param connect: makes the backend of a data server.
        @raise BadConfiguration: what is kept of them is damaged.
        """
        self.connect = connect
        self._inventory = Inventory(stateFolder)
        self._others: list[Record] = []
        self.members: list[Member] = []
        for record in seeded(self._inventory.load(), configs):
            if record.config is None or record.removed:
                self._others.append(record)
            else:
                self.members.append(Member(record, connect(record.config)))
        self._byUUID = {m.uuid: m for m in self.members if m.uuid}
        self._started = False
        self._stopped = False
        self.onState: list[Callable[[Member, DSState], None]] = []
        self.onChange: list[Callable[[], None]] = []

    @abstractmethod
    def look(self, member: Member) -> None:
        """
        Begin to ask one whether it lives.
        """

    @abstractmethod
    def entered(self, member: Member) -> None:
        """
        One is here from now on, or its identity is known from now on.
        """

    @abstractmethod
    def ask(self, member: Member) -> None:
        """
        Probe one now, if that is not being done.
        """

    def save(self) -> None:
        """
        Make the inventory durable.

        @raise BackendError: that is not possible.
        """
        self._save([member.record for member in self.members], self._others)

    def _save(self, records: Sequence[Record], others: Sequence[Record]) -> None:
        # The fences of those that are here are kept elsewhere.
        here = {member.record.name for member in self.members}
        self._inventory.save(
            [attrs.evolve(r, fences={}) if r.name in here else r for r in records]
            + [*others]
        )

    def start(self) -> None:
        """
        Begin to look for them; never waits.
        """
        self._started = True
        for member in self.members:
            self.look(member)

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
        others = [
            other
            for other in self._others
            if other.name != record.name
            and not (other.removed and other.uuid == record.uuid)
        ]
        self._save([m.record for m in self.members] + [record], others)
        self._others = others
        member = Member(record, backend)
        self.members.append(member)
        if member.uuid:
            self._byUUID[member.uuid] = member
        self.entered(member)
        if self._started and not self._stopped:
            self.look(member)
        self._changed()
        return member

    async def discard(self, member: Member) -> None:
        """
        Have it no more.

        @raise BackendError: that cannot be made durable; nothing has changed.
        """
        record = member.record
        others = list(self._others)
        if record.seed is not None or record.uuid:
            others.append(
                Record(record.name, record.uuid, seed=record.seed, removed=True)
            )
        self._save([m.record for m in self.members if m is not member], others)
        self._others = others
        self.members.remove(member)
        self._byUUID.pop(member.uuid, None)
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
        before = member.config
        # First: who hears of it may have something to do there.
        left, member.backend = member.backend, backend
        try:
            self.update(member, record)
        except BackendError:
            member.backend = left
            raise
        member.problem = ""
        _noteMove(member, before)
        await self._leave(left)

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
        for member in new:
            self.entered(member)
        self._changed()
        if self._started and not self._stopped:
            for member in new:
                self.look(member)
        for member, before in moved:
            _noteMove(member, before)
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

    def identified(self, identity: bytes) -> Optional[Member]:
        """
        The one that answers with a UUID, if it is one of them.
        """
        for member in self.members:
            if member.uuid and member.identity == identity:
                return member
        return None

    def describe(self, uuids: Sequence[bytes]) -> list[DataServer]:
        """
        What layout drivers may know of some of them.
        """
        return [self.byUUID(uuid).describe() for uuid in uuids]

    def removed(self, uuid: bytes) -> str:
        """
        What one was called that has been taken out; empty if it has not been.
        """
        for record in self._others:
            if record.removed and record.uuid == uuid:
                return record.name
        return ""

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


def _noteMove(member: Member, before: DataServerConfig) -> None:
    if member.config.advertise != before.advertise:
        _log.info("data server {name} has moved", name=member.record.name)
