# -*- test-case-name: tests.mds.test_moving -*-
"""
Bringing one file to other data servers, or to other stripes, while it is used.

The placement of the file says all the time where it may have data files:

  - L{Moving.begin} stores where it is to be as C{next}, and then makes the data files
    there: what a crash leaves behind is known.
  - L{Moving.ahead} copies while clients read and write where the file is.
  - L{Moving.finish} copies what has changed, while nobody writes, and stores the
    placement anew: that is the switch. What was C{next} is where the file is now, and
    where it was is C{next}. Before bytes are taken away of a data file that stays in
    use, the old epoch is fenced again.
  - L{Moving.tidy} takes away what the file does not use: data files that C{next} names
    alone, and of the others the bytes that are elsewhere now. Then C{next} goes.

So whenever a placement has a C{next} and nobody is at work, tidying up is right: before
the switch it undoes the move, after it that is its end.

What was rejected: to put the old data files into the queue of removals. It goes by the
name of data files, which is that of the living file, and forgets it at a restart
because the file lives.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping, Optional, Sequence

import attrs

from pnfs.backends.ds.remote import gather, gatherOutcomes
from pnfs.backends.errors import (
    BackendError,
    IOFailed,
    NoSuchObject,
    Unreachable,
    Unsupported,
)
from pnfs.layouts.striping import missing
from pnfs.mds.dataservers import DataServers
from pnfs.mds.lacking import Idle, Source, Task, Told
from pnfs.mds.pace import UNLIMITED, Pace
from pnfs.mds.placing import Placing, dataMode
from pnfs.mds.transfer import Transfer, isSmall
from pnfs.mds.turns import Turns
from pnfs.values import Inode, ObjectAttributes, Placement, SetAttributes

HOLES = 16
"""Pieces given back at the same time at a data server."""

Ready = Mapping[bytes, Sequence[Source]]
"""By data server what is left to be copied there."""

Made = Mapping[bytes, ObjectAttributes]
"""By data server what a data file is like that is to be filled."""


class Interfered(BackendError):
    """
    Something else has changed where the file is: to be tried again.
    """


class Moving:
    """
    Moves files.

    @ivar placing: where files are.
    """

    def __init__(
        self,
        servers: DataServers,
        placing: Placing,
        turns: Turns,
        transfer: Transfer,
    ) -> None:
        self._servers = servers
        self.placing = placing
        self._turns = turns
        self._transfer = transfer

    async def begin(
        self, export: Any, inode: Inode, seen: Placement, target: Placement
    ) -> Made:
        """
        Note where a file is to be, and make data files there.

        @param seen: the placement that C{target} was made for.
        @return: what they are like.
        @raise Interfered: it has another one, or is on its way elsewhere.
        """
        wanted = _bare(target, seen)

        def change(old: Placement) -> Placement:
            if not _same(old, seen) or old.next not in (None, wanted):
                raise Interfered("the file is somewhere else meanwhile")
            return old if old.next == wanted else attrs.evolve(old, next=wanted)

        placement = await self.placing.change(export, inode, change)
        if placement is None:
            raise Interfered("the file has no data files")
        return await self._create(inode, placement)

    async def ahead(
        self,
        export: Any,
        inode: Inode,
        made: Made,
        told: Told,
        pace: Pace = UNLIMITED,
        idle: Idle = lambda: False,
    ) -> Ready:
        """
        Copy while clients go on.

        @param made: what L{begin} has told.
        @param pace: how fast; C{idle}: see L{Task}.
        @return: what is left to be done.
        """
        if isSmall(inode):
            return {}
        key = (export.id, inode.handle)
        async with pace.large():
            placement = await self._load(export, inode)
            tasks = [
                attrs.evolve(task, pace=pace, idle=idle)
                for task in _tasks(placement, told, key)
            ]
            done = await gather(
                [self._transfer.ahead(task, made.get(task.uuid)) for task in tasks]
            )
        return {task.uuid: ready for task, ready in zip(tasks, done)}

    async def finish(
        self,
        export: Any,
        inode: Inode,
        ready: Ready,
        told: Told,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Copy what is missing, and have the file be where it is to be. To be called
        while nobody holds a layout of the file, nor can write with one that he had.
        Who writes through the metadata server waits meanwhile.

        @param ready: what L{ahead} has told.
        @param check: called when nothing is left to be done but the switch; may raise.
        @raise BackendError: the file is where it was.
        """
        key = (export.id, inode.handle)
        await self._turns.take(key)
        try:
            placement = await self._load(export, inode)
            target = placement.next
            assert target is not None
            if not sound(target, placement):
                raise Interfered("where it is to be would be no good copy of the file")
            made = await self._create(inode, placement)
            tasks = _tasks(placement, told)
            # What nobody has committed will be in the copies, so it must be in every
            # mirror, or one that loses its power would differ.
            found = await self._servers.askAll(placement.live, durable=True)
            # What was copied there has made a data file in use newer than it is.
            ours = {task.uuid for task in tasks}
            times = {u: a.mtime for u, a in found.items() if u not in ours}
            mtime = max([inode.mtime, *times.values()])
            longest = max(attributes.size for attributes in found.values())
            size = max(inode.size, longest)
            if missing(target, size):
                raise Interfered("the file has grown beyond its last chunk to be")
            await gather(
                [
                    self._transfer.complete(
                        task, ready.get(task.uuid, ()), found, made.get(task.uuid)
                    )
                    for task in tasks
                ]
            )
            sizes = {u: a.size for u, a in [*made.items(), *found.items()]}
            sizes.update({task.uuid: longest for task in tasks if not task.inUse})
            # The newest counts: if it is taken away, one has to be as new.
            dated = {*ours, *made} or set(target.dataServers)
            await gather(
                [
                    self._equal(
                        uuid,
                        placement.name,
                        None if sizes.get(uuid) == size else size,
                        mtime if uuid in dated and times.get(uuid) != mtime else None,
                    )
                    for uuid in target.dataServers
                    if uuid not in placement.stale
                ]
            )

            def switch(old: Placement) -> Placement:
                if not _same(old, placement) or old.next != target:
                    raise Interfered("the file is somewhere else meanwhile")
                check()
                return switched(old)

            try:
                new = await self.placing.change(export, inode, switch)
            finally:
                self.placing.switched(export, inode)
            if new is not None and new.epoch != placement.epoch:
                await self._servers.fenceAll(new)
        finally:
            self._turns.give(key)

    async def tidy(
        self,
        export: Any,
        inode: Inode,
        idle: Idle = lambda: False,
        fenced: bool = False,
    ) -> None:
        """
        Take away what the file does not use, if there is anything.

        @param idle: nobody writes the file: its time of modification is to be kept.
        @param fenced: L{finish} has just been done, and data servers know the epoch.
        @raise Unreachable: a data server does not answer.
        """
        placement = await export.backend.loadPlacement(inode)
        if placement is None or placement.next is None:
            return
        left = placement.next
        uuids = [uuid for uuid in left.dataServers if not self._forsaken(uuid)]
        for uuid in uuids:
            if not self._servers.up(uuid):
                raise Unreachable("where something is left does not answer")
        if not fenced:
            await self._servers.fenceAll(placement)
        outcomes = await gatherOutcomes(
            [self._takeAway(placement, uuid, inode.size, idle) for uuid in uuids]
        )
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

        def change(old: Placement) -> Placement:
            if not _same(old, placement) or old.next != left:
                raise Interfered("the file is somewhere else meanwhile")
            return attrs.evolve(old, next=None)

        await self.placing.change(export, inode, change)

    # -- data servers ----------------------------------------------------------------

    def _forsaken(self, uuid: bytes) -> bool:
        """
        Is a data server not to be used any more, by order of the operator? Nobody
        waits for what may be left there.
        """
        member = self._servers.find(uuid)
        return member is None or member.banned

    async def _load(self, export: Any, inode: Inode) -> Placement:
        placement: Optional[Placement] = await export.backend.loadPlacement(inode)
        if placement is None or placement.next is None:
            raise Interfered("the file is not to be moved any more")
        return placement

    async def _create(self, inode: Inode, placement: Placement) -> Made:
        """
        Make the data files that are not there, and give them owner and mode.
        """
        assert placement.next is not None
        old = placement.dataServers
        new = [uuid for uuid in placement.next.dataServers if uuid not in old]
        made = await gather(
            [
                self._servers.on(
                    uuid,
                    lambda ds: ds.provide(
                        placement.name,
                        inode.uid,
                        inode.gid,
                        dataMode(inode),
                        placement.epoch,
                    ),
                )
                for uuid in new
            ]
        )
        return dict(zip(new, made))

    async def _equal(
        self, uuid: bytes, name: bytes, size: Optional[int], mtime: Optional[int]
    ) -> None:
        """
        Every data file is as long as the file, and none is newer than that, or to users
        it would have been modified now.

        @param size: None if it is so; C{mtime}: likewise.
        """
        if size is not None or mtime is not None:
            changes = SetAttributes(size=size, mtime=mtime)
            await self._servers.onFile(uuid, lambda ds: ds.setattr(name, changes))

    async def _takeAway(
        self, placement: Placement, uuid: bytes, size: int, idle: Idle
    ) -> None:
        name = placement.name
        if uuid not in placement.dataServers:
            try:
                await self._servers.on(uuid, lambda ds: ds.remove(name))
            except NoSuchObject:
                # Somebody has been here before.
                pass
            return
        if uuid in placement.stale:
            # It is given everything anew.
            return
        assert placement.next is not None
        task = Task(placement.live, placement.next, uuid, _nobody)
        if not task.columns():
            return
        try:
            found = await self._transfer.ask(uuid, name)
            await self._punch(task, max(size, found.size))
        except (IOFailed, Unsupported):
            # The space is lost until the file goes.
            return
        if idle():
            changes = SetAttributes(mtime=found.mtime)
            await self._servers.onFile(uuid, lambda ds: ds.setattr(name, changes))

    async def _punch(self, task: Task, size: int) -> None:
        name = task.live.name
        lacking = task.lacking(0, size)
        while some := [piece for _, piece in zip(range(HOLES), lacking)]:
            await gather(
                [
                    self._servers.onFile(task.uuid, _hole(name, offset, length))
                    for _, offset, length in some
                ]
            )


def switched(old: Placement) -> Placement:
    """
    A placement when the file is where it was to be. Its epoch is another one if bytes
    are to be taken away of a data file that stays in use: whoever reads there by the
    old placement, as a data server that copies, would take the hole for what the file
    has. A data file that is gone is no file to him.
    """
    target = old.next
    assert target is not None
    before = attrs.evolve(old, next=None, stale=())
    new = attrs.evolve(
        target,
        epoch=old.epoch,
        stale=tuple(u for u in old.stale if u in target.dataServers),
        next=_bare(before, old),
    )
    kept = [uuid for uuid in before.dataServers if uuid in new.dataServers]
    if any(Task(new.live, before, uuid, _nobody).columns() for uuid in kept):
        return attrs.evolve(new, epoch=old.epoch + 1)
    return new if len(kept) < len(before.dataServers) else attrs.evolve(new, next=None)


def sound(target: Placement, placement: Placement) -> bool:
    """
    Has every column of where a file is to be a mirror that does not miss anything?
    """
    return all(set(column).difference(placement.stale) for column in target.columns)


def _bare(target: Placement, seen: Placement) -> Placement:
    """
    Where alone, as it is kept in C{next}.
    """
    return attrs.evolve(target, name=seen.name, epoch=1, stale=(), next=None)


def _same(one: Placement, other: Placement) -> bool:
    """
    Do placements say the same of where a file is?
    """
    return attrs.evolve(one, epoch=1, next=None) == attrs.evolve(
        other, epoch=1, next=None
    )


def _tasks(placement: Placement, told: Told, key: Any = None) -> list[Task]:
    """
    What each data server is to be given. A stale mirror is left to be repaired.

    @param key: of the file's turns, if they are to be shared.
    """
    live, target = placement.live, placement.next
    assert target is not None
    tasks = [
        Task(live, target, uuid, told, key if uuid in live.dataServers else None)
        for uuid in target.dataServers
        if uuid not in placement.stale
    ]
    return [task for task in tasks if task.columns()]


def _hole(name: bytes, offset: int, length: int) -> Any:
    return lambda ds: ds.deallocate(name, offset, length)


async def _nobody(count: int) -> None:
    """
    Nobody wants to know.
    """
