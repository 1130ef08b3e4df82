# -*- test-case-name: tests.mds.commands.test_ds -*-
"""
Commands on data servers.
"""

from __future__ import annotations

from typing import Any, Mapping, Optional

from pnfs.admin.control import Command, Refused, Request
from pnfs.backends.errors import BackendError, BadConfiguration
from pnfs.config import DataServerConfig, dataServerConfig
from pnfs.configvalues import label
from pnfs.mds.dataservers import DataServers
from pnfs.mds.inventory import addressText
from pnfs.mds.member import Member
from pnfs.mds.membership import Membership
from pnfs.values import DSState


class DataServerCommands:
    """
    C{ds.*}, but for C{ds.drain} (L{pnfs.mds.commands.moves}).
    """

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self.commands: Mapping[str, Command] = {
            "ds.list": self.list,
            "ds.show": self.show,
            "ds.add": self.add,
            "ds.assign": self.assign,
            "ds.class": self.classify,
            "ds.disable": self.disable,
            "ds.kill": self.kill,
            "ds.enable": self.enable,
            "ds.remove": self.remove,
        }

    def _named(self, request: Request) -> Member:
        return self._membership.member(request.text("name"))

    def _describe(self, member: Member) -> Any:
        repairing = self._membership.repairing(member.uuid)
        return describe(member, self._membership.servers, repairing)

    async def list(self, request: Request) -> Any:
        """
        All of them.
        """
        request.finish()
        return [self._describe(member) for member in self._membership.servers.members]

    async def show(self, request: Request) -> Any:
        """
        One, and how many files it has.
        """
        member = self._named(request)
        request.finish()
        membership = self._membership
        files, stale = await membership.counts(member)
        needing: Optional[int] = None
        try:
            needing = await membership.needing(member)
        except BackendError:
            # The index is still being made: then that is not known.
            pass
        told: dict[str, Any] = self._describe(member)
        return told | {"files": files, "stale": stale, "alone": needing}

    async def add(self, request: Request) -> Any:
        """
        One more, or the same at another address.
        """
        config = _config(request)
        exports = request.texts("exports")
        request.finish()
        return self._describe(await self._membership.add(config, exports))

    async def assign(self, request: Request) -> Any:
        """
        For new files of which exports it is.
        """
        member = self._named(request)
        exports = request.texts("exports")
        everything = request.flag("all")
        request.finish()
        if everything == bool(exports):
            raise Refused("name exports, or say --all")
        self._membership.assign(member, exports)
        return self._describe(member)

    async def classify(self, request: Request) -> Any:
        """
        What its storage is.
        """
        member = self._named(request)
        try:
            text = label(request.text("class"))
        except ValueError as error:
            raise Refused(str(error)) from None
        request.finish()
        self._membership.classify(member, text)
        return self._describe(member)

    async def disable(self, request: Request) -> Any:
        """
        It is not used any more.
        """
        return await self._set(request, DSState.DISABLED)

    async def kill(self, request: Request) -> Any:
        """
        As L{disable}; FreeBSD's word for it.
        """
        return await self._set(request, DSState.DISABLED)

    async def enable(self, request: Request) -> Any:
        """
        It is used again, as it was or with nothing on it.
        """
        if not request.flag("empty"):
            return await self._set(request, DSState.ACTIVE)
        member = self._named(request)
        force = request.flag("force")
        request.finish()
        lost = await self._membership.replacement.enable(member, force)
        return self._describe(member) | {"lost": lost}

    async def _set(self, request: Request, state: DSState) -> Any:
        member = self._named(request)
        force = request.flag("force")
        request.finish()
        await self._membership.setState(member, state, force)
        return self._describe(member)

    async def remove(self, request: Request) -> Any:
        """
        One less.
        """
        member = self._named(request)
        request.finish()
        await self._membership.remove(member)
        return self._describe(member)


def _config(request: Request) -> DataServerConfig:
    values: dict[str, Any] = {
        "name": request.text("name"),
        "address": request.text("address"),
        "protocol": request.text("protocol", "nfs4.1"),
    }
    advertise = request.texts("advertise")
    if advertise:
        values["advertise"] = advertise
    text = request.text("class", "")
    if text:
        values["class"] = text
    try:
        return dataServerConfig("ds add", values)
    except BadConfiguration as error:
        raise Refused(str(error)) from None


def describe(
    member: Member, servers: DataServers, repairing: bool = False
) -> dict[str, Any]:
    """
    A data server for JSON. Sizes in bytes; None where nothing is known.

    @param repairing: it is given what it has missed.
    """
    state = member.state
    if state.used and member.uuid in servers.condemned:
        state = DSState.LOST
    elif state is DSState.ACTIVE and repairing:
        state = DSState.REPAIRING
    space = member.space
    config = member.config
    return {
        "name": member.record.name,
        "uuid": member.uuid.hex(),
        "identity": member.identity.hex(),
        "state": state.value,
        "answers": member.answers,
        "problem": member.problem,
        "address": addressText(config.address),
        "advertise": list(map(addressText, config.advertise)),
        "protocol": config.protocol,
        "class": config.label,
        "exports": list(member.record.exports),
        "configured": member.record.seed is not None,
        "registered": member.record.told is not None,
        "total": None if space is None else space.spaceTotal,
        "free": None if space is None else space.spaceAvailable,
        "fences": len(member.fences),
    }
