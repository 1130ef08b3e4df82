# -*- test-case-name: tests.mds.test_inspection -*-
"""
Is everything there that one file should have on its data servers?

Each column must be on one of its data servers as far as the file goes, and its mirrors
must have the same bytes. What is not so is looked at again while no client has a layout
of the file and nobody writes through the metadata server: before, somebody may just
have been writing.

Where a mirror differs it has to be known which one is right before anything is
changed. It is if the data file of one is missing or too short, or if of three or more
mirrors only one differs from the others. Of two that are different nobody knows: both
stay as they are, for somebody to look at.
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable, Optional, Sequence

import attrs

from pnfs.backends.ds.remote import gatherOutcomes
from pnfs.backends.errors import BackendError, IOFailed, Unreachable
from pnfs.layouts.striping import pieces
from pnfs.mds.datafiles import DataFiles
from pnfs.mds.dataservers import DataServers
from pnfs.mds.placed import alone, pinned
from pnfs.nfs4.context import ServerContext
from pnfs.nfs4.current import mustAsk
from pnfs.values import Inode, Placement

REASON = "scrub"

STEP = 64 << 20
"""Bytes that are compared at a time."""

Told = Callable[[int], Awaitable[None]]
"""Is told how many bytes have been compared; may take its time."""

Ranges = dict[bytes, list[tuple[int, int]]]
"""Offset and length by data server."""


@attrs.define
class Wrong:
    """
    What is wrong with a file.

    @ivar lacking: data servers where its data file is missing or too short, with what
        to say of it.
    @ivar differing: where mirrors differ from the first of their column that lacks
        nothing.
    """

    lacking: dict[bytes, str] = attrs.Factory(dict)
    differing: Ranges = attrs.Factory(dict)

    def __bool__(self) -> bool:
        return bool(self.lacking or self.differing)


class Inspection:
    """
    Looks at files.
    """

    def __init__(
        self, server: ServerContext, servers: DataServers, data: DataFiles
    ) -> None:
        self._server = server
        self._servers = servers
        self._data = data

    async def inspect(
        self, export: Any, inode: Inode, repair: bool, told: Told
    ) -> Optional[tuple[str, list[bytes]]]:
        """
        Look at a file.

        @param repair: mirrors of which it is known that they are wrong become stale,
            and are to be repaired.
        @return: what is wrong, and the data servers with mirrors to be repaired; None
            if nothing is wrong.
        @raise Unreachable: it cannot be looked at now: a data server does not answer,
            the file is on its way to others, or has a mirror to be repaired.
        """
        placement = await export.backend.loadPlacement(inode)
        if placement is None:
            return None
        _requireWhole(placement)
        found = await self._look(placement, inode.size)
        found.differing = await self._compare(placement, found, told)
        if not found:
            return None
        with pinned(self._server, export, inode) as file:
            async with alone(self._server, file, REASON):
                return await self._again(export, inode, repair, found)

    async def _again(
        self, export: Any, inode: Inode, repair: bool, before: Wrong
    ) -> Optional[tuple[str, list[bytes]]]:
        """
        Nobody writes but through us.
        """
        key = (export.id, inode.handle)
        async with self._data.turns.alone(key):
            placement = await export.backend.loadPlacement(inode)
            if placement is None:
                return None
            _requireWhole(placement)
            ragged = mustAsk(self._server, inode) or key in self._data.ragged
            if len(placement.columns) > 1 and ragged:
                raise Unreachable("not all of its data files know its length")
            found = await self._look(placement, inode.size)
        if before.differing:
            found.differing = await self._data.repair.compare(
                export, inode, before.differing
            )
        for uuid in found.lacking:
            found.differing.pop(uuid, None)
        if not found:
            return None
        blamed = await self._blame(placement, found)
        marked = []
        for uuid in blamed if repair else ():
            left = await self._data.degrading.markStale(export, inode, uuid, True)
            if left is not None and uuid in left.stale:
                marked.append(uuid)
        return self._say(found, blamed), marked

    async def _look(self, placement: Placement, size: int) -> Wrong:
        """
        Are its data files there, and long enough?

        @raise Unreachable: one of them cannot be asked for.
        """
        uuids = placement.dataServers
        name = placement.name
        outcomes = await gatherOutcomes(
            [self._servers.onFile(uuid, lambda ds: ds.getattr(name)) for uuid in uuids]
        )
        needed = neededBytes(placement, size)
        found = Wrong()
        for uuid, outcome in zip(uuids, outcomes):
            if isinstance(outcome, IOFailed):
                found.lacking[uuid] = "has no data file"
            elif isinstance(outcome, Unreachable):
                raise outcome
            elif isinstance(outcome, BackendError):
                found.lacking[uuid] = f"cannot read its data file: {outcome}"
            elif isinstance(outcome, Exception):
                raise outcome
            else:
                least = max(
                    needed[number]
                    for number, column in enumerate(placement.columns)
                    if uuid in column
                )
                if outcome.size < least:
                    found.lacking[uuid] = f"has {outcome.size} of {least} bytes"
        return found

    async def _compare(self, placement: Placement, found: Wrong, told: Told) -> Ranges:
        """
        Where mirrors that lack nothing differ from the first of those.
        """
        transfer = self._data.repair.transfer
        differing: Ranges = {}
        name = placement.name
        for column, mirrors in enumerate(placement.columns):
            whole = [uuid for uuid in mirrors if uuid not in found.lacking]
            if len(whole) < 2:
                continue
            first, *others = whole
            sizes = await gatherOutcomes([transfer.ask(uuid, name) for uuid in whole])
            for outcome in sizes:
                if isinstance(outcome, Exception):
                    raise outcome
            end = max(each.size for each in sizes)
            for start in range(0, end, STEP):
                ranges = [
                    (at, part)
                    for number, at, part in pieces(
                        placement, start, min(STEP, end - start)
                    )
                    if number == column
                ]
                if not ranges:
                    continue
                for uuid in others:
                    wrong = await transfer.differing(name, first, uuid, ranges)
                    if wrong:
                        differing.setdefault(uuid, []).extend(wrong)
                await told(sum(part for _, part in ranges))
        return differing

    async def _blame(self, placement: Placement, found: Wrong) -> list[bytes]:
        """
        The data servers of which it is known that they are wrong while others of the
        same columns are right.
        """
        blamed = [
            uuid
            for uuid in found.lacking
            if all(
                any(other not in found.lacking for other in column)
                for column in placement.columns
                if uuid in column
            )
        ]
        for column in placement.columns:
            whole = [uuid for uuid in column if uuid not in found.lacking]
            if len(whole) < 3 or not set(whole) & set(found.differing):
                continue
            odd = await self._odd(placement.name, whole, found.differing)
            if odd:
                blamed.append(odd)
        return list(dict.fromkeys(blamed))

    async def _odd(
        self, name: bytes, mirrors: Sequence[bytes], differing: Ranges
    ) -> bytes:
        """
        The one mirror of several that is not as all the others are; empty if there is
        none.
        """
        first, *others = mirrors
        wrong = [uuid for uuid in others if uuid in differing]
        if len(wrong) == 1:
            return wrong[0]
        if len(wrong) < len(others):
            return b""
        # All differ from the first: do they from each other?
        second, *rest = others
        ranges = [each for uuid in wrong for each in differing[uuid]]
        for uuid in rest:
            if await self._data.repair.transfer.differing(name, second, uuid, ranges):
                return b""
        return first

    def _name(self, uuid: bytes) -> str:
        member = self._servers.find(uuid)
        return uuid.hex() if member is None else member.record.name

    def _say(self, found: Wrong, blamed: Sequence[bytes]) -> str:
        said = [f"{self._name(uuid)} {text}" for uuid, text in found.lacking.items()]
        for uuid, ranges in found.differing.items():
            said.append(
                f"{self._name(uuid)} differs in "
                + ", ".join(f"{n} bytes at {at}" for at, n in ranges[:3])
                + (f" and {len(ranges) - 3} other places" if ranges[3:] else "")
            )
        if found.differing and not blamed:
            said.append("nobody knows which copy is right")
        odd = [uuid for uuid in blamed if uuid not in found.lacking]
        said += [f"{self._name(uuid)} is not as the others are" for uuid in odd]
        return "; ".join(said)


def _requireWhole(placement: Placement) -> None:
    if placement.next is not None:
        raise Unreachable("it is being moved")
    if placement.stale:
        raise Unreachable("it has a mirror to be repaired")


def neededBytes(placement: Placement, size: int) -> list[int]:
    """
    By column, how long its data files must be for a file of that size: up to its last
    byte there.
    """
    width = len(placement.columns)
    if placement.chunk:
        ends = [min(size, (n + 1) * placement.chunk) for n in range(width - 1)]
        found = [*ends, size]
        return [
            end if end > number * placement.chunk else 0
            for number, end in enumerate(found)
        ]
    row = placement.stripeUnit * width
    found = [0] * width
    start = 0 if width == 1 else max(0, (size // row - 1) * row)
    for column, at, length in pieces(placement, start, size - start):
        found[column] = at + length
    return found
