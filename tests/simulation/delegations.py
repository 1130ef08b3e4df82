"""
Delegations as simulated clients hold them, and what others must not see meanwhile.

A file holds a number, which only its owner changes. With a delegation to read, the
others take it from their memory, as long as they may believe that nobody changes it;
with one to write, its owner changes it in his memory, as long as he may believe that
nobody looks.
"""

from __future__ import annotations

from typing import Any, Optional

from twisted.internet.defer import Deferred

from pnfs.callbacks.ops import CB_RECALL4args
from pnfs.client.dataservers import sleep
from pnfs.client.errors import FAILURES
from pnfs.nfs4 import requests
from pnfs.nfs4.results import OperationFailed, Results
from pnfs.nfs4.slots import SessionLost, Slots
from pnfs.nfs4.status import nfsstat4
from pnfs.values import Stable
from tests.simulation.mounting import RecoveringMount
from tests.simulation.requests import delegreturn, openWanting, reclaimDelegation
from tests.simulation.site import LEASE
from tests.simulation.trace import Trace

_READ, _WRITE, _OPEN, _PUTFH, _CLOSE = 25, 38, 18, 22, 4


class SharedNumber:
    """
    A file, and what is known of it.

    @ivar least: and C{most}: what it may be as the server has it.
    @ivar holders: delegations that clients think they hold.
    """

    def __init__(self, trace: Trace, path: str) -> None:
        self.path = path
        self.least = 0
        self.most = 0
        self.holders: dict[Delegation, None] = {}
        self._trace = trace

    def check(self, who: str, value: int, least: int) -> None:
        """
        Somebody has been told the number.

        @param least: what it was at least when he asked.
        """
        if not least <= value <= self.most:
            self._trace.violation(
                "%s: %s is %d, should be %d to %d",
                who,
                self.path,
                value,
                least,
                self.most,
            )

    def opened(self, who: str, mount: Any, share: int) -> None:
        """
        Somebody has it open now, and nobody else may think that he is safe from that.
        """
        for holder in self.holders:
            if (
                holder.mount is not mount
                and (holder.writes or share & requests.SHARE_WRITE)
                and holder.believes
            ):
                self._trace.violation(
                    "%s has opened %s for %d while %s has it delegated",
                    who,
                    self.path,
                    share,
                    holder.mount.process.host,
                )


class Delegation:
    """
    What a client thinks it holds.

    @ivar stateid: of the delegation; C{openStateid}: of the open beside it.
    @ivar value: the number, once it has been read; C{dirty}: it is newer than the
        server's.
    @ivar over: it may not be relied on any more.
    """

    def __init__(
        self, mount: "DelegatedMount", shared: SharedNumber, fh: bytes, owner: bytes
    ) -> None:
        self.mount = mount
        self.shared = shared
        self.fh = fh
        self.owner = owner
        self.share = requests.SHARE_READ
        self.stateid = b""
        self.openStateid = b""
        self.writes = False
        self.value: Optional[int] = None
        self.dirty = False
        self.over = False

    @property
    def believes(self) -> bool:
        """
        Its holder relies on it.
        """
        mount = self.mount
        return (
            mount.process.alive
            and not self.over
            and mount.clock.seconds() < mount.session.renewed + LEASE
        )

    @property
    def best(self) -> bytes:
        """
        The stateid to read and write with.
        """
        return self.stateid or self.openStateid

    async def read(self) -> int:
        """
        Ask the server.
        """
        return await readNumber(self.mount, self.fh, self.best)

    async def write(self, value: int) -> None:
        """
        Tell the server, and know that it is there for good.
        """
        data = value.to_bytes(8, "big")
        head = requests.writeHead(self.best, 0, Stable.FILE_SYNC, len(data))
        results = await self.mount.compound([requests.putfh(self.fh), head, data], 2)
        results.operation(_PUTFH)
        results.operation(_WRITE)
        shared = self.shared
        shared.least = max(shared.least, value)

    async def flush(self) -> None:
        """
        Write what is in memory only.
        """
        while self.dirty:
            value = self.value
            assert value is not None
            await self.write(value)
            self.dirty = self.value != value

    async def giveBack(self) -> None:
        """
        Flush, return it, close.
        """
        self.over = True
        try:
            if self.dirty:
                await self.flush()
        finally:
            stateid, self.stateid = self.stateid, b""
            await self._end(stateid)

    async def _end(self, stateid: bytes) -> None:
        try:
            if stateid:
                results = await self.mount.compound(
                    [requests.putfh(self.fh), delegreturn(stateid)], 2, cache=True
                )
                results.operation(_PUTFH)
                results.operation(8)
        finally:
            self.shared.holders.pop(self, None)
            if self.mount.delegations.get(self.fh) is self:
                del self.mount.delegations[self.fh]
            results = await self.mount.compound(
                [requests.putfh(self.fh), requests.close(self.openStateid)],
                2,
                cache=True,
            )
            results.operation(_PUTFH)
            results.operation(_CLOSE)

    def take(self, results: Results) -> bool:
        """
        The rest of an OPEN's result. @return: it is to be given back at once.
        """
        self.openStateid = results.fixed(16)
        results.fixed(20)
        results.uint32()
        results.bitmap()
        kind = results.uint32()
        self.stateid = b""
        if kind == 3:
            if results.uint32() in (1, 2):
                results.uint32()
        elif kind:
            self.stateid = results.fixed(16)
            recall = bool(results.uint32())
            self.writes = kind == 2
            return recall
        return False


async def readNumber(mount: Any, fh: bytes, stateid: bytes) -> int:
    """
    READ from the metadata server.
    """
    results = await mount.compound(
        [requests.putfh(fh), requests.read(stateid, 0, 8)], 2
    )
    results.operation(_PUTFH)
    results.operation(_READ)
    results.uint32()
    return int.from_bytes(bytes(results.view(8)), "big")


class DelegatedMount(RecoveringMount):
    """
    A mount that takes delegations.

    @ivar delegations: held, by filehandle.
    @ivar slowness: seconds for which it may hesitate to give one back.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.delegations: dict[bytes, Delegation] = {}
        self.slowness = 0.0
        self.recalled = 0
        self._callbacks.onRecall = self._recall

    async def openShared(
        self, delegation: Delegation, share: int, want: int
    ) -> Delegation:
        """
        OPEN, and take what comes with it.
        """
        delegation.share = share
        begun = self.clock.seconds()
        results = await self.compound(
            [
                requests.putfh(delegation.fh),
                openWanting(delegation.owner, share, want),
            ],
            2,
            cache=True,
        )
        results.operation(_PUTFH)
        results.operation(_OPEN)
        recall = delegation.take(results)
        if self.clock.seconds() < begun + LEASE:
            delegation.shared.opened(self.process.host, self, share)
        if delegation.stateid:
            self.delegations[delegation.fh] = delegation
            delegation.shared.holders[delegation] = None
        if recall:
            self._return(delegation)
        return delegation

    def _recall(self, arguments: CB_RECALL4args) -> int:
        """
        CB_RECALL.
        """
        found = self.delegations.get(bytes(arguments.fh))
        if found is None or found.stateid[4:] != bytes(arguments.stateid)[4:]:
            return nfsstat4.NFS4ERR_BAD_STATEID
        self.recalled += 1
        if not found.over:
            self._return(found)
        return nfsstat4.NFS4_OK

    def _return(self, delegation: Delegation) -> None:
        delegation.over = True

        async def giveBack() -> None:
            try:
                if self.slowness:
                    await sleep(self.clock, self.slowness)
                await delegation.giveBack()
            except (*FAILURES, SessionLost):
                # It was taken away, or will be.
                return

        self.background(Deferred.fromCoroutine(giveBack()))

    def _statusFlags(self, flags: int) -> None:
        """
        Whoever cannot be called, or has lost something, relies on nothing.
        """
        super()._statusFlags(flags)
        if flags:
            for delegation in list(self.delegations.values()):
                if not delegation.over:
                    self._return(delegation)

    async def _reclaim(self, session: Slots, until: float) -> None:
        await super()._reclaim(session, until)
        for delegation in list(self.delegations.values()):
            await self._reclaimDelegation(session, until, delegation)

    async def _reclaimDelegation(
        self, session: Slots, until: float, delegation: Delegation
    ) -> None:
        results = await self._patiently(
            session,
            until,
            lambda: [
                requests.putfh(delegation.fh),
                reclaimDelegation(
                    delegation.owner, delegation.share, delegation.writes
                ),
            ],
        )
        try:
            results.operation(_PUTFH)
            results.operation(_OPEN)
        except OperationFailed:
            delegation.over = True
            delegation.shared.holders.pop(delegation, None)
            del self.delegations[delegation.fh]
            return
        recall = delegation.take(results)
        if recall or not delegation.stateid:
            self._return(delegation)


__all__ = ["DelegatedMount", "Delegation", "SharedNumber", "readNumber"]
