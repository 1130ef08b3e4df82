# -*- test-case-name: tests.mds.test_replacement -*-
"""
A data server whose storage has been replaced by an empty one.

With its storage it has lost its identity: it answers with another UUID, as any stranger
at its address would, and is not used. If the operator says that it is the one that
files name, then it is; but before it is used all that files have there counts as
missing, durably. So whatever happens in between, nobody believes that something is there
which is not.
"""

from __future__ import annotations

import attrs

from pnfs.admin.control import Refused
from pnfs.backends.errors import BackendError
from pnfs.mds.member import Member
from pnfs.mds.membership import Membership, leave
from pnfs.mds.repairs import Repairs
from pnfs.values import DSState


class Replacement:
    """
    Gives empty data servers the place of those that had something.
    """

    def __init__(self, membership: Membership, repairs: Repairs) -> None:
        self._membership = membership
        self._repairs = repairs
        membership.replacement = self
        membership.repairing = repairs.repairing

    async def enable(self, member: Member, force: bool) -> int:
        """
        Use a disabled data server again that has lost all that it had. It is given its
        mirrors again when it answers, unless that is not automatic.

        @param force: though files have something there that nobody else has, and that
            is lost then.
        @return: how many files these are.
        @raise Refused: it cannot be used so; nothing has changed, but that mirrors there
            may be stale that were not.
        """
        servers = self._membership.servers
        name = member.record.name
        if not member.banned:
            raise Refused(
                f"{name} is {member.state.value}: it may be in use; "
                f"'pnfs ds kill {name}' first"
            )
        identity = await self._identity(member)
        if not force:
            alone = await self._membership.needing(member)
            if alone:
                raise Refused(
                    f"{alone} files have something on {name} that no other data server "
                    "has; restore it there from a backup, or --force gives it up"
                )
        alone = await self._repairs.forsake(member.uuid)
        if not member.banned or servers.byName(name) is not member:
            raise Refused(f"{name} has been changed meanwhile; look at it again")
        member.problem = ""
        servers.update(
            member, attrs.evolve(member.record, identity=identity, state=DSState.ACTIVE)
        )
        return alone

    async def _identity(self, member: Member) -> bytes:
        """
        The UUID of the data server that answers there now.

        @raise Refused: none does, or it is not empty, or another one of ours.
        """
        servers = self._membership.servers
        name = member.record.name
        backend = servers.connect(member.config)
        try:
            await backend.start()
            there = await backend.list(b"", 1)
            identity: bytes = backend.uuid
        except BackendError as error:
            raise Refused(
                f"{name} does not answer: {error}; start it, with an empty folder and "
                "the cluster key of this metadata server"
            ) from None
        finally:
            await leave(backend)
        if there:
            raise Refused(
                f"{name} has data files: it is not empty; 'pnfs ds enable {name}' uses "
                "what it has"
            )
        known = servers.identified(identity) or servers.find(identity)
        if known is not None and known is not member:
            raise Refused(f"at its address answers {known.record.name}")
        return identity
