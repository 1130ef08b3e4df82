"""
Clients that recover like a kernel's: after a restart of the metadata server they
reclaim what they had open and locked, then say RECLAIM_COMPLETE, and open anew what
they were not allowed to reclaim. All that comes before anything else is asked.
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable, Optional, Sequence

from pnfs.client.errors import STATE_LOST
from pnfs.client.file import File
from pnfs.client.mount import Mount
from pnfs.nfs4 import requests
from pnfs.nfs4.client import SessionClient
from pnfs.nfs4.results import OperationFailed, Results
from pnfs.nfs4.slots import Slots
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.client.callbacks import CALLBACK_PROGRAM
from pnfs.nfs4.sessions import EXCHGID4_FLAG_USE_PNFS_MDS
from pnfs.rpc.auth import encodeAuthSys
from pnfs.values import Piece
from tests.simulation.network import Process, SimulatedClient
from tests.simulation.requests import (
    SIZE,
    lockRequest,
    reclaimOpen,
    unlockRequest,
    openRequest,
)
from tests.simulation.site import MDS

IMPATIENT = 25.0
"""Seconds for which the metadata server may be away."""


class Lost(Exception):
    """
    The server has taken a lock or an open away: its holder may not go on.
    """


class RecoveringSession(SessionClient):
    """
    A session that reclaims.

    @ivar reclaim: reclaims everything in a new session; openAnew: opens what could
        not be reclaimed.
    @ivar renewed: when the last request was sent that the server has answered: the
        lease lasts at least from then on.
    """

    reclaim: Callable[[Slots, float], Awaitable[None]]
    openAnew: Callable[[Slots, float], Awaitable[None]]
    renewed = 0.0

    async def _reclaimComplete(self, session: Slots, until: float) -> None:
        await self.reclaim(session, until)
        await super()._reclaimComplete(session, until)
        await self.openAnew(session, until)

    async def inNewSession(
        self, session: Slots, until: float, operations: Sequence[bytes]
    ) -> Results:
        """
        A COMPOUND before anybody else may use the session.
        """
        sequence = session.sequences[0]
        session.sequences[0] += 1
        results = await self._plain(
            b"".join(
                (
                    requests._u32(53),
                    session.sessionid,
                    sequence.to_bytes(4, "big"),
                    bytes(8),
                    b"\0\0\0\1",
                    *operations,
                )
            ),
            until,
            count=len(operations) + 1,
        )
        results.operation(53)
        results.fixed(36)
        return results

    async def _inSlot(self, *arguments: Any, **more: Any) -> Optional[Results]:
        begun = self._clock.seconds()
        results = await super()._inSlot(*arguments, **more)
        if results is not None:
            self.renewed = max(self.renewed, begun)
        return results


class OpenFile:
    """
    A file that is open, with the lock on it if there is one.

    @ivar file: the L{File}.
    @ivar deny: what others may not do meanwhile: 1 to read, 2 to write.
    @ivar lockStateid: while all of it is locked.
    @ivar lost: an open with C{deny}, or a lock, was taken from us.
    @ivar onAsk: called when the size is asked for in a reclaim; onSize: told it, with
        what the other one has given.
    """

    def __init__(self, mount: "RecoveringMount", file: File, owner: bytes, deny: int):
        self.mount = mount
        self.file = file
        self.owner = owner
        self.deny = deny
        self.lockStateid = b""
        self.lost = False
        self.onAsk: Callable[[], Any] = _nothing
        self.onSize: Callable[[int, Any], None] = _nothing
        reopen = file.reopen

        async def guarded(stateid: bytes) -> None:
            if file.stateid != stateid:
                return
            # With a lock lost, nothing may be written as if it were still held.
            if self.deny or self.lockStateid:
                self.lost = True
            if self.lost:
                raise NFSError(nfsstat4.NFS4ERR_IO)
            await reopen(stateid)

        file.reopen = guarded  # type: ignore[method-assign]

    @property
    def exclusive(self) -> bool:
        """
        Others are kept away from it.
        """
        return bool(self.deny or self.lockStateid)

    async def lock(self) -> None:
        """
        Lock all of it exclusively.

        @raise OperationFailed: DENIED and others.
        """

        async def attempt() -> None:
            results = await self.mount.compound(
                [
                    requests.putfh(self.file.fh),
                    lockRequest(self.file.stateid, self.owner, False),
                ],
                2,
                cache=True,
            )
            results.operation(22)
            results.operation(12)
            self.lockStateid = results.fixed(16)

        await self.file.withStateid(attempt)

    async def unlock(self) -> None:
        """
        Unlock, if it is locked.
        """
        while self.lockStateid:
            stateid = self.lockStateid
            results = await self.mount.compound(
                [requests.putfh(self.file.fh), unlockRequest(stateid)], 2, cache=True
            )
            results.operation(22)
            try:
                results.operation(14)
            except OperationFailed as failure:
                if failure.status not in STATE_LOST:
                    raise
                if self.lockStateid == stateid:
                    self.lost = True
                    break
            else:
                break
        self.lockStateid = b""


class RecoveringMount(Mount):
    """
    A mount of the simulated site.

    @ivar open: what it has open.
    """

    def __init__(
        self, process: Process, owner: bytes, verifier: bytes, useLayouts: bool
    ) -> None:
        super().__init__(
            process.clock,
            *MDS,
            minor=1,
            uid=0,
            gid=0,
            gids=(),
            useLayouts=useLayouts,
            deadline=IMPATIENT,
            entropy=lambda count: owner if count == 16 else verifier,
            clock=process.clock,
            dial=SimulatedClient,
        )
        self._credential = encodeAuthSys(0, 0, (), process.host.encode("ascii"))
        self.process = process
        self.opened: dict[OpenFile, None] = {}
        session = RecoveringSession(
            self._rpc,
            self.clock,
            self._owner,
            verifier,
            self._credential,
            minor=1,
            flags=EXCHGID4_FLAG_USE_PNFS_MDS,
            slots=8,
            callbackProgram=CALLBACK_PROGRAM,
            callTimeout=4.0,
            deadline=IMPATIENT,
        )
        session.onNewClientid = self._forgotten
        session.onStatusFlags = self._statusFlags
        session.reclaim = self._reclaim
        session.openAnew = self._openAnew
        self._refused: list[OpenFile] = []
        self.session: RecoveringSession = session
        self._owners = 0

    # -- opening ---------------------------------------------------------------------

    async def openFile(
        self, path: str, create: bool = False, share: int = 3, deny: int = 0
    ) -> OpenFile:
        """
        Open a file, and remember it for a reclaim.
        """
        file = await self.open(path, share, create=create)
        self._owners += 1
        opened = OpenFile(self, file, b"lock%d" % self._owners, 0)
        self.opened[opened] = None
        if deny:
            results = await self.compound(
                [requests.putfh(file.fh), openRequest(file._owner, share, deny)],
                2,
                cache=True,
            )
            results.operation(22)
            try:
                results.operation(18)
            except OperationFailed:
                await self.closeFile(opened)
                raise
            file.stateid = results.opened()
            opened.deny = deny
        return opened

    async def closeFile(self, opened: OpenFile, flush: bool = True) -> None:
        """
        Close it. What was written while it was locked is written before it is unlocked,
        as Linux does, or never: the next one may write there as soon as it is.
        """
        failed = bool(flush and opened.lockStateid)
        try:
            try:
                if failed:
                    await opened.file.flush()
                    failed = False
            finally:
                await opened.unlock()
        finally:
            self.opened.pop(opened, None)
            await opened.file.close(flush and not failed)

    # -- recovery --------------------------------------------------------------------

    async def _reclaim(self, session: Slots, until: float) -> None:
        self._refused = []
        for opened in list(self.opened):
            await self._reclaimOne(session, until, opened)

    async def _reclaimOne(self, session: Slots, until: float, opened: OpenFile) -> None:
        """
        Reclaim an open and its lock, or lose both: what had been written before, and
        not sent yet, must not be written when somebody else may have the lock.
        """
        if opened.lost:
            return
        file = opened.file
        before = file.stateid
        asked = opened.onAsk()
        results = await self._patiently(
            session,
            until,
            lambda: [
                requests.putfh(file.fh),
                reclaimOpen(file._owner, file._share, opened.deny),
                requests.getattr_(SIZE),
            ],
        )
        try:
            results.operation(22)
            results.operation(18)
        except OperationFailed:
            if opened.exclusive:
                opened.lost = True
            else:
                self._refused.append(opened)
            return
        self._openAgain(opened, results, asked)
        if opened.lockStateid:
            results = await self._patiently(
                session,
                until,
                lambda: [
                    requests.putfh(file.fh),
                    lockRequest(file.stateid, opened.owner, True),
                ],
            )
            try:
                results.operation(22)
                results.operation(12)
            except OperationFailed:
                opened.lost = True
                unused, file.stateid = file.stateid, before
                await self._patiently(
                    session,
                    until,
                    lambda: [requests.putfh(file.fh), requests.close(unused)],
                )
            else:
                opened.lockStateid = results.fixed(16)

    async def _openAnew(self, session: Slots, until: float) -> None:
        for opened in self._refused:
            file = opened.file
            asked = opened.onAsk()
            results = await self._patiently(
                session,
                until,
                lambda: [
                    requests.putfh(file.fh),
                    requests.openAgain(file._owner, file._share),
                    requests.getattr_(SIZE),
                ],
            )
            try:
                results.operation(22)
                results.operation(18)
            except OperationFailed:
                # Whoever uses it will see.
                continue
            self._openAgain(opened, results, asked)

    def _openAgain(self, opened: OpenFile, results: Results, asked: Any) -> None:
        """
        The file is open; if the server tells the size now, that is believed.
        """
        opened.file.stateid = results.opened()
        try:
            results.operation(9)
        except OperationFailed:
            pass
        else:
            opened.onSize(results.attributes()[4], asked)

    async def _patiently(
        self, session: Slots, until: float, operations: Callable[[], list[bytes]]
    ) -> Results:
        """
        Again and again while the first operations say DELAY.
        """
        while True:
            results = await self.session.inNewSession(session, until, operations())
            if results.status != nfsstat4.NFS4ERR_DELAY or results.count == 3:
                return results
            await self.session._pause(until, NFSError(results.status))

    async def once(self, operations: Sequence[Piece], count: int) -> Results:
        """
        A COMPOUND that must not be executed twice.

        @raise SessionLost: nobody knows whether it has been executed.
        """
        while True:
            results = await self.session.compound(
                operations, count, cache=True, again=False
            )
            if results.status not in (
                nfsstat4.NFS4ERR_DELAY,
                nfsstat4.NFS4ERR_GRACE,
            ):
                return results
            await self.session._pause(
                self.clock.seconds() + IMPATIENT, NFSError(results.status)
            )


def _nothing(*ignored: Any) -> None:
    """
    Nobody wants to know.
    """
