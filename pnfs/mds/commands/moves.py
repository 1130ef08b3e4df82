# -*- test-case-name: tests.mds.commands.test_moves -*-
"""
Commands that move data, and on the jobs that do it.

A command that moves begins a job and tells of it at once. Who wants to wait asks for
C{jobs.wait}: that only watches.
"""

from __future__ import annotations

from typing import Any, Mapping

import attrs

from pnfs.admin.control import Command, Refused, Request
from pnfs.backends.errors import NoSuchObject
from pnfs.configvalues import chunkSize, stripeUnit
from pnfs.mds.balance import WITHIN, Balance
from pnfs.mds.choices import Choice
from pnfs.mds.commands.ds import describe as describeServer
from pnfs.mds.commands.paths import find
from pnfs.mds.commands.progress import tell
from pnfs.mds.jobs import Job, Jobs
from pnfs.mds.kinds import KINDS
from pnfs.mds.member import Member
from pnfs.mds.membership import Membership
from pnfs.mds.targets import Impossible
from pnfs.namespace.exports import Export
from pnfs.values import DSState, FileType, Inode

STRIPES_LIMIT = 59
MIRRORS_LIMIT = 16
PATHS_LIMIT = 1000


class MoveCommands:
    """
    C{file.move}, C{restripe}, C{mirror.add}, C{mirror.remove}, C{ds.drain}, C{rebalance},
    C{jobs.*}.
    """

    def __init__(self, membership: Membership, jobs: Jobs) -> None:
        self._membership = membership
        self._jobs = jobs
        membership.servers.onState.append(self._stateChanged)
        self.commands: Mapping[str, Command] = {
            "file.move": self.move,
            "restripe": self.restripe,
            "mirror.add": self.addMirror,
            "mirror.remove": self.removeMirror,
            "ds.drain": self.drain,
            "rebalance": self.rebalance,
            "jobs.list": self.list,
            "jobs.cancel": self.cancel,
            "jobs.wait": self.wait,
        }

    # -- what moves ----------------------------------------------------------------

    async def move(self, request: Request) -> Any:
        """
        Files go to data servers that are named.
        """
        files = await self._files(request)
        to = [self._taking(name) for name in request.texts("to")]
        name = request.text("from", "")
        limit = request.number("limit", 0)
        request.finish()
        if not to:
            raise Refused("say where to with --to")
        leaving = self._membership.member(name) if name else None
        if leaving in to:
            raise Refused(f"{name} cannot be left and be gone to; name another one")
        args = {
            "files": [[path, e.id, i.handle.hex()] for path, e, i in files],
            "to": [member.uuid.hex() for member in to],
            "from": "" if leaving is None else leaving.uuid.hex(),
        }
        return await self._begin("move", args, files, limit)

    async def restripe(self, request: Request) -> Any:
        """
        Files get so many stripes, or chunks.
        """
        files = await self._files(request)
        chunk = request.number("chunk", -1, -1)
        count = request.number("count", 0, 0, STRIPES_LIMIT)
        unit = request.number("unit", 0)
        limit = request.number("limit", 0)
        request.finish()
        if chunk >= 0:
            return await self._chunk(files, chunk, count or unit, limit)
        if not count:
            raise Refused("say how many stripes with --stripe-count")
        if unit:
            try:
                unit = stripeUnit(unit)
            except ValueError as error:
                raise Refused(f"stripe unit: {error}") from None
        args = {
            "files": [[path, e.id, i.handle.hex()] for path, e, i in files],
            "count": count,
            "unit": unit,
        }
        return await self._begin("restripe", args, files, limit)

    async def _chunk(
        self,
        files: list[tuple[str, Export, Inode]],
        chunk: int,
        more: int,
        limit: int,
    ) -> Any:
        if more:
            raise Refused("files have stripes or chunks, not both; say one of them")
        try:
            chunk = chunkSize(chunk)
        except ValueError as error:
            raise Refused(f"chunk: {error}") from None
        args = {
            "files": [[path, e.id, i.handle.hex()] for path, e, i in files],
            "chunk": chunk,
        }
        return await self._begin("chunk", args, files, limit)

    async def addMirror(self, request: Request) -> Any:
        """
        Files get more copies.
        """
        return await self._mirror(request, "to")

    async def removeMirror(self, request: Request) -> Any:
        """
        Files get fewer copies.
        """
        return await self._mirror(request, "from")

    async def _mirror(self, request: Request, where: str) -> Any:
        files = await self._files(request)
        adding = where == "to"
        copies = request.number("copies", 2 if adding else 1, 1, MIRRORS_LIMIT)
        name = request.text(where, "")
        limit = request.number("limit", 0)
        request.finish()
        uuid = ""
        if name:
            member = self._taking(name) if adding else self._membership.member(name)
            uuid = member.uuid.hex()
        args = {
            "files": [[path, e.id, i.handle.hex()] for path, e, i in files],
            "least": copies if adding else 0,
            "most": 0 if adding else copies,
            "to": uuid if adding else "",
            "from": "" if adding else uuid,
        }
        return await self._begin("mirror", args, files, limit)

    async def drain(self, request: Request) -> Any:
        """
        A data server gets no new files, and what it has moves away. One that is not
        used any more stays so.
        """
        member = self._membership.member(request.text("name"))
        force = request.flag("force")
        limit = request.number("limit", 0)
        request.finish()
        if not member.uuid:
            raise Refused(
                f"{member.record.name} has never answered, so nothing can be there; "
                f"'pnfs ds disable {member.record.name}' keeps it out of use"
            )
        if member.state.takesNew:
            await self._membership.setState(member, DSState.DRAINING, force)
        job = self._jobs.begin("drain", {"uuid": member.uuid.hex()}, limit)
        return describeServer(member, self._membership.servers) | {
            "job": describe(job, self._jobs)
        }

    async def rebalance(self, request: Request) -> Any:
        """
        Data servers become about equally full; or what that would take is told.
        """
        within = request.number("within", WITHIN, 1, 50)
        dry = request.flag("dry")
        limit = request.number("limit", 0)
        request.finish()
        args = {"within": within}
        if not dry:
            return describe(self._jobs.begin("rebalance", args, limit), self._jobs)
        return await self._plan(Balance(self._jobs.site, args), request)

    async def _plan(self, choice: Balance, request: Request) -> Any:
        """
        What would be moved, and how full data servers would be then.
        """
        before: dict[bytes, int] = {}
        files = moved = 0
        async for export, handle in choice.files():
            before = before or {u: fill.used for u, fill in choice.fills.items()}
            if not request.connected:
                break
            try:
                inode = await export.backend.byHandle(handle)
                placement = await export.backend.loadPlacement(inode)
            except NoSuchObject:
                # Removed meanwhile.
                continue
            if placement is None:
                continue
            if await choice.choose(export, inode, placement) is not None:
                files += 1
        servers = []
        for uuid, fill in choice.fills.items():
            used = before.get(uuid, fill.used)
            moved += max(0, fill.used - used)
            servers.append(
                {
                    "name": choice.site.name(uuid),
                    "total": fill.total,
                    "used": used,
                    "then": fill.used,
                }
            )
        return {"files": files, "bytes": moved, "servers": servers}

    def _stateChanged(self, member: Member, before: DSState) -> None:
        """
        What is used for new files again is not drained any more.
        """
        if member.state.takesNew:
            for job in self._jobs.active:
                if job.choice.args == {"uuid": member.uuid.hex()}:
                    self._jobs.cancel(job)

    async def _begin(
        self,
        kind: str,
        args: dict[str, Any],
        files: list[tuple[str, Export, Inode]],
        limit: int,
    ) -> Any:
        if self._jobs.find(kind, args) is None:
            choice = KINDS[kind](self._jobs.site, args)
            for path, export, inode in files:
                await self._require(choice, path, export, inode)
        return describe(self._jobs.begin(kind, args, limit), self._jobs)

    async def _require(
        self, choice: Choice, path: str, export: Export, inode: Inode
    ) -> None:
        """
        What is plain to see is refused at once; below a directory it is found out.

        @raise Refused: a file cannot be there.
        """
        if inode.ftype != FileType.REG:
            return
        placement = await export.backend.loadPlacement(inode)
        if placement is None:
            raise Refused(
                f"{path} has no bytes on any data server: nothing is to be moved"
            )
        if self._jobs.mover.busy(export, inode.handle):
            raise Refused(f"{path} is being moved already; 'pnfs jobs' shows by what")
        try:
            await choice.choose(export, inode, attrs.evolve(placement, next=None))
        except Impossible as error:
            raise Refused(f"{path}: {error}") from None

    async def _files(self, request: Request) -> list[tuple[str, Export, Inode]]:
        """
        @raise Refused: there are none.
        """
        paths = request.texts("paths")
        if not paths or len(paths) > PATHS_LIMIT:
            raise Refused(f"name one path at least, and {PATHS_LIMIT} at most")
        found = []
        for path in paths:
            export, inode = await find(self._jobs.site.server, path)
            if inode.ftype not in (FileType.REG, FileType.DIR):
                raise Refused(f"{path} is neither a file nor a directory")
            found.append((path, export, inode))
        return found

    def _taking(self, name: str) -> Member:
        """
        A data server that data can go to.

        @raise Refused: it cannot.
        """
        member = self._membership.member(name)
        if not member.state.takesNew:
            raise Refused(
                f"{name} is {member.state.value}: nothing goes there; "
                f"'pnfs ds enable {name}' first"
            )
        if not member.up:
            raise Refused(
                f"{name} does not answer: {member.problem or 'not asked yet'}"
            )
        if not self._membership.servers.roomy(member.uuid):
            raise Refused(f"{name} has no room; 'pnfs ds list' shows who has")
        return member

    # -- jobs ------------------------------------------------------------------------

    async def list(self, request: Request) -> Any:
        """
        All that are known.
        """
        request.finish()
        return [describe(job, self._jobs) for job in self._jobs.jobs.values()]

    def _job(self, request: Request) -> Job:
        number = request.number("id", 0)
        request.finish()
        job = self._jobs.jobs.get(number)
        if job is None:
            raise Refused(f"there is no job {number}; 'pnfs jobs' lists them")
        return job

    async def cancel(self, request: Request) -> Any:
        """
        Call one off, and wait until nothing of it is half done.
        """
        job = self._job(request)
        if not job.active:
            raise Refused(f"job {job.id} is {job.state} already")
        self._jobs.cancel(job)
        return await self._watch(request, job)

    async def wait(self, request: Request) -> Any:
        """
        Wait for the end of one, and tell how far it is.
        """
        return await self._watch(request, self._job(request))

    async def _watch(self, request: Request, job: Job) -> Any:
        async def far() -> Any:
            return describe(job, self._jobs)

        await tell(request, self._jobs.clock, lambda: job.active, job.ending, far)
        return await far()


def describe(job: Job, jobs: Jobs) -> dict[str, Any]:
    """
    A job for JSON. Times in seconds; C{left} None: not known.
    """
    seconds = (job.ended if not job.active else jobs.clock.seconds()) - job.started
    left = None
    if job.active and job.total and job.files:
        left = round(max(0, job.total - job.files) * seconds / job.files)
    return {
        "id": job.id,
        "what": job.choice.describe(),
        "state": "being called off" if job.active and job.cancelled else job.state,
        "files": job.files,
        "total": job.total,
        "bytes": job.bytes,
        "failed": job.failed,
        "problem": job.problem if job.failed else "",
        "limit": job.limit,
        "seconds": round(seconds, 1),
        "rate": round(job.bytes / seconds) if seconds > 0 else 0,
        "left": left,
    }
