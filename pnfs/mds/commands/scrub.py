# -*- test-case-name: tests.mds.commands.test_scrub -*-
"""
Commands on the scrub.
"""

from __future__ import annotations

from typing import Any, Mapping

from pnfs.admin.control import Command, Refused, Request
from pnfs.backends.errors import BackendError
from pnfs.mds.commands.progress import tell
from pnfs.mds.fileindex import FileIndex
from pnfs.mds.membership import Membership
from pnfs.mds.scrub import Scrub
from pnfs.mds.scrubstate import ScrubState


class ScrubCommands:
    """
    C{scrub.*}.
    """

    def __init__(
        self, membership: Membership, scrub: Scrub, index: FileIndex, clock: Any
    ) -> None:
        self._membership = membership
        self._scrub = scrub
        self._index = index
        self._clock = clock
        self.commands: Mapping[str, Command] = {
            "scrub.start": self.start,
            "scrub.stop": self.stop,
            "scrub.status": self.status,
            "scrub.report": self.report,
        }

    async def start(self, request: Request) -> Any:
        """
        Begin one, or go on with one that was stopped.
        """
        scrub = self._scrub
        repair = request.flag("repair")
        remove = request.flag("remove_orphans")
        again = request.flag("again")
        wait = request.flag("wait")
        limit = request.number("limit", -1, -1)
        request.finish()
        if scrub.running:
            raise Refused(
                "a scrub is under way; 'pnfs scrub status' shows how far it is, "
                "'pnfs scrub stop' stops it"
            )
        for export in self._membership.exports():
            if export.id not in self._index.whole:
                raise Refused(
                    "the index of files is still being made after a new start or a "
                    "power cut; try again when that is done"
                )
        if scrub.state.phase == "done" or again:
            scrub.begin(ScrubState(repair, remove, scrub.limit if limit < 0 else limit))
        else:
            scrub.state.repair |= repair
            scrub.state.removeOrphans |= remove
            if limit >= 0:
                scrub.state.limit = limit
            scrub.resume()
        if wait:
            await tell(
                request,
                self._clock,
                lambda: scrub.running,
                scrub.ending,
                self._describe,
            )
        return await self._describe()

    async def stop(self, request: Request) -> Any:
        """
        Pause it.
        """
        request.finish()
        if not self._scrub.running:
            raise Refused("no scrub is under way; 'pnfs scrub start' begins one")
        await self._scrub.halt()
        return await self._describe()

    async def status(self, request: Request) -> Any:
        """
        How far it is.
        """
        request.finish()
        return await self._describe()

    async def report(self, request: Request) -> Any:
        """
        What it has found.
        """
        request.finish()
        state = self._scrub.state
        names = {m.uuid: m.record.name for m in self._membership.servers.members}
        return await self._describe() | {
            "problems": [
                {
                    "path": problem.path or None,
                    "handle": problem.handle.hex(),
                    "problem": problem.text,
                    "repaired": problem.repaired,
                }
                for problem in state.problems
            ],
            "orphan_files": [
                {
                    "data_server": names.get(orphan.uuid, orphan.uuid.hex()),
                    "name": orphan.name.decode("ascii"),
                    "size": orphan.size,
                    "removed": orphan.removed,
                }
                for orphan in state.orphans
            ],
        }

    async def _describe(self) -> dict[str, Any]:
        scrub = self._scrub
        state = scrub.state
        try:
            total = await self._index.count()
        except BackendError:
            total = 0
        return {
            "running": scrub.running,
            "phase": state.phase,
            "began": state.began // 10**9 or None,
            "ended": state.ended // 10**9 or None,
            "repair": state.repair,
            "remove_orphans": state.removeOrphans,
            "limit": state.limit,
            "interval": scrub.interval,
            "files": state.files,
            "total": max(total, state.files),
            "bytes": state.bytes,
            "busy": state.busy,
            "wrong": state.wrong,
            "repaired": state.repaired,
            "suspects": len(state.suspects),
            "orphans": len(state.orphans),
            "removed": sum(orphan.removed for orphan in state.orphans),
            "foreign": state.foreign,
            "silent": list(state.silent),
        }
