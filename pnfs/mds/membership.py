# -*- test-case-name: tests.mds.test_membership -*-
"""
Which data servers there are, changed while the server runs.

Everything is checked before anything changes, and checked again after each wait: two
commands may be under way. What is refused is said in one line, with what to do instead.
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable, Iterable, Optional

import attrs

from pnfs.admin.control import Refused
from pnfs.backends.errors import BackendError, Unreachable
from pnfs.config import DataServerConfig
from pnfs.mds.dataservers import DataServers
from pnfs.mds.inventory import Record, addressText
from pnfs.mds.member import Member
from pnfs.values import DSState

Objection = Callable[[Member, DSState], Awaitable[str]]
"""
Asked before the operator's change of a state: why it cannot be, in one line; empty if
it can.
"""


class Membership:
    """
    The data servers of a site, to be administered.

    @ivar objections: all of them are asked before a state changes by order.
    @ivar index: the L{pnfs.mds.fileindex.FileIndex}, if there is one.
    @ivar repairing: is the data server of a UUID being given what it has missed?
    @ivar replacement: L{pnfs.mds.replacement.Replacement}.
    """

    def __init__(
        self, servers: DataServers, exports: Callable[[], Iterable[Any]]
    ) -> None:
        """
        @param exports: gives the L{pnfs.namespace.exports.Export}s served now.
        """
        self.servers = servers
        self.exports = exports
        self.objections: list[Objection] = [self._objection]
        self.index: Any = None
        self.replacement: Any = None
        self.repairing: Callable[[bytes], bool] = lambda uuid: False

    def member(self, name: str) -> Member:
        """
        @raise Refused: there is none of that name.
        """
        member = self.servers.byName(name)
        if member is None:
            known = ", ".join(m.record.name for m in self.servers.members)
            raise Refused(
                f"{name!r} is no data server; there are {known or 'none'}; "
                "'pnfs ds add' adds one"
            )
        return member

    # -- coming ----------------------------------------------------------------------

    async def add(
        self, config: DataServerConfig, exports: Iterable[str] = ()
    ) -> Member:
        """
        Have a data server that answers now; or reach one that is known at another
        address.

        @param exports: paths of the exports it is for; none: all of them.
        @raise Refused: that cannot be; nothing has changed.
        """
        wanted = self._exportPaths(exports)
        self._requireFree(config)
        backend = self.servers.connect(config)
        try:
            await backend.start()
            # That it can be ordered about shows that it has the same key.
            await backend.statfs()
            uuid = backend.uuid
            self._requireFree(config)
            member = self._requireIdentity(config, uuid)
            if member is None:
                self._requireSpoken(config, wanted)
                record = Record(config.name, uuid=uuid, config=config, exports=wanted)
                return self.servers.insert(record, backend)
        except BaseException as error:
            await leave(backend)
            if isinstance(error, BackendError):
                raise Refused(
                    f"{addressText(config.address)} does not serve as a data server: "
                    f"{error}; start pnfs-ds there, with the same cluster key as here"
                ) from None
            raise
        await self._move(member, config, backend)
        return member

    async def register(self, config: DataServerConfig, uuid: bytes) -> Member:
        """
        Have a data server that says itself who and where it is; or reach one that is
        known where it is now. What it has said before changes nothing, so that what
        was ordered meanwhile stands.

        @param config: with the name that it gives itself: one that is known keeps
            that by which it is known.
        @raise Refused: that cannot be; nothing has changed.
        """
        known = self._requireWelcome(config, uuid)
        if known is not None:
            told = attrs.evolve(config, name=known.record.name)
            if known.record.told == told:
                return known
            wanted = attrs.evolve(told, label=told.label or known.config.label)
            if known.config == wanted:
                self.servers.update(known, attrs.evolve(known.record, told=told))
                return known
        backend = self.servers.connect(config)
        try:
            await backend.start()
            await backend.statfs()
            if backend.uuid != uuid:
                raise Refused(
                    f"at {addressText(config.address)} answers another data server "
                    f"({backend.uuid.hex()}); mend 'advertise' there"
                )
            known = self._requireWelcome(config, uuid)
            if known is None:
                self._requireSpoken(config, ())
                record = Record(config.name, uuid=uuid, config=config, told=config)
                return self.servers.insert(record, backend)
        except BaseException as error:
            await leave(backend)
            if isinstance(error, BackendError):
                raise Unreachable(
                    f"{addressText(config.address)} does not answer the metadata "
                    f"server: {error}"
                ) from None
            raise
        told = attrs.evolve(config, name=known.record.name)
        self._requireSpoken(told, known.record.exports)
        await self._move(known, told, backend, told)
        return known

    def _requireWelcome(
        self, config: DataServerConfig, uuid: bytes
    ) -> Optional[Member]:
        """
        The member that one who registers is already, if it is.

        @raise Refused: it may not be one.
        """
        known = self.servers.identified(uuid)
        if known is not None:
            self._requireFree(attrs.evolve(config, name=known.record.name))
            return known
        name = self.servers.removed(uuid)
        if name:
            raise Refused(
                f"it has been removed, as {name}; at the metadata server, "
                f"'pnfs ds add {config.name} {addressText(config.address)}' has it back"
            )
        named = self.servers.byName(config.name)
        if named is not None and not named.uuid:
            # The configuration file names it, and it has never answered yet.
            self._requireFree(config)
            return named
        if named is not None:
            raise Refused(
                f"{config.name} is another data server, at "
                f"{addressText(named.config.address)}; give one of them another name"
            )
        self._requireFree(config)
        return None

    def _requireFree(self, config: DataServerConfig) -> None:
        """
        @raise Refused: another one has that address, or the name twice.
        """
        for member in self.servers.members:
            if (
                member.config.address == config.address
                and member.record.name != config.name
            ):
                raise Refused(
                    f"{addressText(config.address)} is {member.record.name} already; "
                    f"'pnfs ds show {member.record.name}' shows it"
                )

    def _requireIdentity(
        self, config: DataServerConfig, uuid: bytes
    ) -> Optional[Member]:
        """
        The member that a data server is already, if it is.

        @raise Refused: it is one of another name, or the name that of another one.
        """
        named = self.servers.byName(config.name)
        known = self.servers.identified(uuid)
        if known is not None and known is not named:
            name = known.record.name
            raise Refused(
                f"at {addressText(config.address)} answers {name}, which is known at "
                f"{addressText(known.config.address)}; if it has moved: "
                f"'pnfs ds add {name} {addressText(config.address)}'"
            )
        if named is not None and named.uuid and named.identity != uuid:
            raise Refused(
                f"{config.name} is another data server than the one at "
                f"{addressText(config.address)} ({uuid.hex()}); give that one another "
                f"name, or 'pnfs ds remove {config.name}' first"
            )
        if named is not None and named.config.address == config.address:
            raise Refused(
                f"{config.name} is a data server already; "
                f"'pnfs ds show {config.name}' shows it"
            )
        return named

    def _requireSpoken(
        self, config: DataServerConfig, exports: tuple[str, ...]
    ) -> None:
        """
        @raise Refused: an export it is for has layouts that it cannot serve.
        """
        if config.protocol != "nfs3":
            return
        for export in self.exports():
            if export.layout == "files" and (not exports or export.path in exports):
                raise Refused(
                    f"files layouts, as of export {export.path}, cannot use nfs3; add it "
                    "with --export for exports with flexfiles layouts"
                )

    async def _move(
        self,
        member: Member,
        config: DataServerConfig,
        backend: Any,
        told: Optional[DataServerConfig] = None,
    ) -> None:
        """
        The same data server at another address: files keep their placement.

        @param told: what it has said of itself, if that is why.
        """
        config = attrs.evolve(config, label=config.label or member.config.label)
        record = attrs.evolve(
            member.record, config=config, told=told or member.record.told
        )
        try:
            await self.servers.reach(member, record, backend)
        except BackendError:
            await leave(backend)
            raise

    # -- staying ----------------------------------------------------------------------

    def _exportPaths(self, paths: Iterable[str]) -> tuple[str, ...]:
        served = {export.path for export in self.exports()}
        wanted = tuple(dict.fromkeys(paths))
        for path in wanted:
            if path not in served:
                raise Refused(
                    f"{path} is no export; there are {', '.join(sorted(served))}"
                )
        return wanted

    def assign(self, member: Member, paths: Iterable[str]) -> None:
        """
        Say for which exports' new files it is; none: for all. What is there stays.

        @raise Refused: one of them is no export, or cannot use it.
        """
        exports = self._exportPaths(paths)
        self._requireSpoken(member.config, exports)
        self.servers.update(member, attrs.evolve(member.record, exports=exports))

    def classify(self, member: Member, label: str) -> None:
        """
        Say of which class its storage is.
        """
        config = attrs.evolve(member.config, label=label)
        self.servers.update(member, attrs.evolve(member.record, config=config))

    async def setState(
        self, member: Member, state: DSState, force: bool = False
    ) -> None:
        """
        Carry out an order.

        @param force: though somebody objects.
        @raise Refused: somebody objects; nothing has changed.
        """
        if member.state is state:
            raise Refused(f"{member.record.name} is {state.value} already")
        if not force:
            for objection in list(self.objections):
                problem = await objection(member, state)
                if problem:
                    raise Refused(problem)
        if self.servers.byName(member.record.name) is not member:
            raise Refused(f"{member.record.name} has been removed meanwhile")
        self.servers.setState(member, state)

    async def _objection(self, member: Member, state: DSState) -> str:
        if state.takesNew:
            return ""
        problem = self._scarce(member)
        if problem:
            return problem
        if state is DSState.DRAINING:
            return self._crowded(member)
        return await self._only(member)

    async def _only(self, member: Member) -> str:
        """
        Are there files, or may there be, that have no other copy?
        """
        name = member.record.name
        remedy = (
            f"after 'pnfs ds drain {name}' a copy of them lies elsewhere, --force goes "
            "on without them"
        )
        try:
            needing = await self.needing(member)
        except BackendError as error:
            return (
                f"files may have no other copy than that on {name}: {error}; try again "
                f"later; {remedy}"
            )
        if not needing:
            return ""
        files = "a file has" if needing == 1 else f"{needing} files have"
        return f"{files} no other copy than that on {name}; {remedy}"

    async def needing(self, member: Member) -> int:
        """
        How many files would lack something without a data server, those that are not
        used now being away as well. Without an index any file may be one.

        @raise BackendError: that is not known.
        """
        if not member.uuid:
            return 0
        if self.index is None:
            return int(await self.filesLeft(member))
        index = self._wholeIndex()
        condemned = self.servers.condemned
        without = [
            other.uuid
            for other in self.servers.members
            if other is not member
            and other.uuid
            and (not other.state.used or other.uuid in condemned)
        ]
        found: int = await index.needing(member.uuid, without)
        return found

    def _wholeIndex(self) -> Any:
        """
        @raise BackendError: it does not have all files yet.
        """
        if any(export.id not in self.index.whole for export in self.exports()):
            raise BackendError("the index of files is still being made")
        return self.index

    def _scarce(self, member: Member) -> str:
        """
        Would an export be left with fewer data servers than its files need?
        """
        name = member.record.name
        for export in self.exports():
            if not member.serves(export):
                continue
            others = [
                other
                for other in self.servers.members
                if other is not member and other.state.takesNew and other.serves(export)
            ]
            needed = export.mirrors * max(1, export.stripeCount)
            if len(others) < needed:
                return (
                    f"without {name} export {export.path} has {len(others)} data "
                    f"servers, and its files need {needed}; add one first: "
                    "'pnfs ds add'"
                )
        return ""

    def _crowded(self, member: Member) -> str:
        """
        Is there no room elsewhere for what it has?
        """
        space = member.space
        if space is None:
            return ""
        used = space.spaceTotal - space.spaceFree
        rooms = [
            other.space.spaceAvailable
            for other in self.servers.members
            if other is not member and other.state.takesNew and other.space is not None
        ]
        if used <= sum(rooms):
            return ""
        return (
            f"{member.record.name} has {used} bytes, and the others have room for "
            f"{sum(rooms)}; add a data server first: 'pnfs ds add'"
        )

    # -- going --------------------------------------------------------------------------

    async def remove(self, member: Member) -> None:
        """
        Have it no more.

        @raise Refused: something is left there, or that is not known.
        """
        name = member.record.name
        if member.state.takesNew:
            raise Refused(
                f"{name} is {member.state.value}: new files may go there; "
                f"'pnfs ds drain {name}' first"
            )
        try:
            left = await self.filesLeft(member)
        except BackendError as error:
            raise Refused(
                f"whether files are left on {name} is not known: {error}; try again in "
                "a moment, start it, or repair what was there first"
            ) from None
        if left:
            raise Refused(
                f"files are left on {name}; 'pnfs ds drain {name}' moves them away"
            )
        if member.gone or member.state.takesNew:
            raise Refused(f"{name} has been changed meanwhile; look at it again")
        await self.servers.discard(member)

    async def filesLeft(self, member: Member) -> bool:
        """
        Has a data server files, as far as we know or it says? One that was wiped has
        none, and yet files that name it.

        @raise BackendError: that is not known.
        """
        uuid = member.uuid
        if not uuid:
            return False
        if self.index is not None and await self._wholeIndex().files(uuid, 0, 1):
            return True
        if member.answers:
            return bool(await member.backend.list(b"", 1))
        if self.index is None:
            raise BackendError("it does not answer")
        return False

    async def counts(self, member: Member) -> tuple[int, int]:
        """
        How many files have data on a data server, and how many of them miss something
        there.

        @raise BackendError: that is not known.
        """
        if self.index is None:
            raise BackendError("there is no index of files")
        found: tuple[int, int] = (await self.index.counts()).get(member.uuid, (0, 0))
        return found


async def leave(backend: Any) -> None:
    """
    Disconnect from a data server that is not going to be used.
    """
    try:
        await backend.stop()
    except BackendError:
        # It had not been there: that is what is being reported.
        pass
