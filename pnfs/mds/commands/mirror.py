# -*- test-case-name: tests.mds.commands.test_mirror -*-
"""
Commands on the mirrors of files.
"""

from __future__ import annotations

from typing import Any, Mapping

import attrs

from pnfs.admin.control import Command, Refused, Request
from pnfs.mds.commands.progress import tell
from pnfs.mds.member import Member
from pnfs.mds.membership import Membership
from pnfs.mds.repaired import Repaired
from pnfs.mds.repairs import Repairs
from pnfs.mds.verification import Verification


class MirrorCommands:
    """
    C{mirror.*}.
    """

    def __init__(
        self, membership: Membership, repairs: Repairs, verification: Verification
    ) -> None:
        self._membership = membership
        self._repairs = repairs
        self._verification = verification
        self.commands: Mapping[str, Command] = {
            "mirror.status": self.status,
            "mirror.repair": self.repair,
            "mirror.stop": self.stop,
            "mirror.verify": self.verify,
        }

    async def status(self, request: Request) -> Any:
        """
        What is being repaired, and what is left.
        """
        request.finish()
        return await self._describe(True)

    async def _describe(self, counted: bool) -> Any:
        repairs = self._repairs
        stale = await repairs.count() if counted else repairs.left()
        servers = []
        for member in self._membership.servers.members:
            done = repairs.found.get(member.uuid, Repaired())
            servers.append(
                {
                    "name": member.config.name,
                    "answers": member.up,
                    "stale": stale.get(member.uuid, 0),
                    "files": done.files,
                    "bytes": done.bytes,
                    "failed": done.failed,
                    "problem": done.problem,
                    "repairing": repairs.repairing(member.uuid),
                    **_left(done, repairs.clock.seconds()),
                }
            )
        return {
            "running": repairs.running,
            "automatic": repairs.automatic,
            "limit": repairs.limit,
            "servers": servers,
        }

    async def repair(self, request: Request) -> Any:
        """
        Repair what is stale on one data server, or on all that answer, and tell how
        far that is while somebody listens. It goes on without.
        """
        name = request.text("name", "")
        full = request.flag("full")
        limit = request.number("limit", self._repairs.limit)
        request.finish()
        servers = self._membership.servers
        members = [self._membership.member(name)] if name else list(servers.members)
        if full and not name:
            raise Refused("name the data server that has lost what it had")
        if name and not members[0].up:
            raise Refused(_away(members[0]))
        self._repairs.limit = limit
        for member in members:
            if full:
                await self._repairs.refill(member.uuid)
            elif member.up:
                self._repairs.begin(member.uuid)
        await tell(
            request,
            self._repairs.clock,
            lambda: self._repairs.running,
            self._repairs.ending,
            lambda: self._describe(False),
        )
        return await self._describe(True)

    async def stop(self, request: Request) -> Any:
        """
        Repair nothing any more, until the next data server returns.
        """
        request.finish()
        self._repairs.stop()
        return await self._describe(False)

    async def verify(self, request: Request) -> Any:
        """
        Compare all mirrors, as long as somebody listens.
        """
        request.finish()
        found = await self._verification.run(lambda: request.connected)
        return attrs.asdict(found)


def _left(done: Repaired, now: float) -> dict[str, Any]:
    """
    How much there is still to be done; None: that is not known.
    """
    seconds = done.seconds(now)
    left = done.leftBytes
    return {
        "left_bytes": None if left is None else max(0, left - done.current),
        "rate": round(done.rate(now)),
        "seconds": None if seconds is None else round(seconds),
    }


def _away(member: Member) -> str:
    """
    Why nothing can be repaired there, and what to do.
    """
    name = member.record.name
    if member.banned:
        return f"{name} is disabled; 'pnfs ds enable {name}' first"
    problem = f" ({member.problem})" if member.problem else ""
    return (
        f"{name} does not answer{problem}; start it there, with the cluster key of this "
        "metadata server"
    )
