# -*- test-case-name: tests.nfs4.test_client -*-
"""
Having a session: what a client of a server does before its first COMPOUND, and when
the server has forgotten it (RFC 8881, sections 18.35, 18.36 and 18.51).
"""

from __future__ import annotations

import struct
from collections import deque
from typing import Any, Callable, Optional, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from pnfs.backends.errors import Unreachable
from pnfs.nfs4 import requests
from pnfs.nfs4.renewal import Renewal
from pnfs.nfs4.results import OperationFailed, Results
from pnfs.nfs4.slots import Slots
from pnfs.nfs4.status import nfsstat4
from pnfs.rpc.errors import CallFailed
from pnfs.values import Piece
from pnfs.xdr.errors import XDRError

NFS4_PROGRAM = 100003

EXCHGID4_FLAG_USE_NON_PNFS = 0x10000
EXCHGID4_FLAG_USE_PNFS_MDS = 0x20000
EXCHGID4_FLAG_USE_PNFS_DS = 0x40000

SESSION_LOST = frozenset(
    {
        nfsstat4.NFS4ERR_BADSESSION,
        nfsstat4.NFS4ERR_DEADSESSION,
        nfsstat4.NFS4ERR_BADSLOT,
        nfsstat4.NFS4ERR_SEQ_MISORDERED,
        nfsstat4.NFS4ERR_STALE_CLIENTID,
    }
)
"""Answers to a SEQUENCE that say that the session is gone."""

_TRY_AGAIN = {
    nfsstat4.NFS4ERR_DELAY,
    nfsstat4.NFS4ERR_STALE_CLIENTID,
    nfsstat4.NFS4ERR_SEQ_MISORDERED,
}
_RETRY_PAUSE = 0.1

packHead = struct.Struct(">III").pack
"""Length of the tag (0), minor version and number of operations of a COMPOUND."""

packSequence = struct.Struct(">I16sIIII").pack
"""A SEQUENCE: 53, session, sequence ID, slot, highest slot, cache it."""


class SessionHolder:
    """
    The part of L{pnfs.nfs4.client.SessionClient} that others build upon.

    @ivar clientid: as the server gave it; changes when the server forgets us.
    @ivar ioBytes: the largest READ or WRITE the session takes.
    @ivar readBytes: the largest READ, which may be larger.
    @ivar serverOwner: C{so_major_id} of the server.
    @ivar onNewClientid: called with no arguments after the server gave a new
        client ID: state held under the old one is gone.
    @ivar onStatusFlags: called with C{sr_status_flags} whenever a SEQUENCE carries
        any.
    """

    def __init__(
        self,
        rpc: Any,
        clock: IReactorTime,
        owner: bytes,
        verifier: bytes,
        credential: bytes,
        *,
        minor: int = 1,
        flags: int = EXCHGID4_FLAG_USE_PNFS_MDS,
        slots: int = 32,
        ioBytes: int = 1 << 20,
        readBytes: int = 0,
        callbackProgram: int = 0,
        callTimeout: float = 30.0,
        deadline: float = 60.0,
    ) -> None:
        """
        @param rpc: L{pnfs.rpc.client.RPCClient}, or what can C{call} and C{close}, and
            has a C{hub} if L{placeData} is used.
        @param owner: C{co_ownerid}; verifier: 8 bytes of this start.
        @param credential: as on the wire, for every call.
        @param ioBytes: the largest READ or WRITE wanted.
        @param readBytes: the largest READ, if that is more.
        @param callbackProgram: not 0: ask for a back channel to that program.
        @param deadline: seconds after which a COMPOUND that could not be executed
            fails with L{Unreachable}.
        """
        self._rpc = rpc
        self._clock = clock
        self._owner = owner
        self._verifier = verifier
        self._credential = credential
        self.minor = minor
        self._flags = flags
        self._slots = slots
        self._wantedBytes = ioBytes
        self._wantedRead = max(ioBytes, readBytes)
        self._program = callbackProgram
        self._timeout = callTimeout
        self._deadline = deadline
        self._session: Optional[Slots] = None
        self._connecting: Optional[list[Deferred[None]]] = None
        self._waiting: deque[Deferred[None]] = deque()
        self._renewal: Optional[Renewal] = None
        self._closed = False
        self._patient = True
        self.clientid = 0
        self.ioBytes = ioBytes
        self.readBytes = self._wantedRead
        self.serverOwner = b""
        self.serverFlags = 0
        self.onNewClientid: Callable[[], None] = lambda: None
        self.onStatusFlags: Callable[[int], None] = lambda flags: None

    @property
    def sessionid(self) -> bytes:
        """
        The session's identity; empty while there is none.
        """
        return b"" if self._session is None else self._session.sessionid

    async def connect(self, deadline: Optional[float] = None) -> None:
        """
        Have a session.

        @param deadline: seconds to try for, if not as long as for a COMPOUND.
        @raise Unreachable: the server does not answer in time.
        @raise NFSError: it refuses.
        """
        until = self._clock.seconds() + (deadline or self._deadline)
        await self._requireSession(until)

    async def _requireSession(self, until: float) -> Slots:
        while self._session is None:
            if self._closed:
                raise Unreachable("the client is closed")
            if self._connecting is not None:
                waiter: Deferred[None] = Deferred()
                self._connecting.append(waiter)
                await waiter
                continue
            self._connecting = []
            error: Optional[Exception] = None
            try:
                self._session = await self._establish(until)
            except Exception as problem:
                error = problem
            waiters, self._connecting = self._connecting, None
            for waiter in waiters:
                if waiter.called:
                    continue
                if error is None:
                    waiter.callback(None)
                else:
                    waiter.errback(error)
            if error is not None:
                raise error
        return self._session

    async def _establish(self, until: float) -> Slots:
        """
        EXCHANGE_ID, CREATE_SESSION, RECLAIM_COMPLETE; all again if the server asks
        for patience or forgets us in between.
        """
        while True:
            try:
                return await self._tryEstablish(until)
            except OperationFailed as failure:
                if failure.status not in _TRY_AGAIN | SESSION_LOST:
                    raise
                await self._pause(until, failure)

    async def _tryEstablish(self, until: float) -> Slots:
        results = await self._plain(
            requests.exchangeId(self._verifier, self._owner, self._flags), until
        )
        results.operation(42)
        clientid, sequence = results.uint64(), results.uint32()
        self.serverFlags = results.uint32()
        if results.uint32() != 0:
            raise XDRError("state protection that was not asked for")
        results.uint64()
        self.serverOwner = results.opaque(1024)
        results = await self._plain(
            requests.createSession(
                clientid,
                sequence,
                self._program != 0,
                self._slots,
                self._wantedBytes,
                self._wantedRead,
                self._program,
            ),
            until,
        )
        results.operation(43)
        sessionid = results.fixed(16)
        results.uint32()
        results.uint32()
        _, maxRequest, maxResponse, _, _, slots = (results.uint32() for _ in range(6))
        self.ioBytes = min(self._wantedBytes, maxRequest - 1024, maxResponse - 1024)
        self.readBytes = min(self._wantedRead, maxResponse - 1024)
        session = Slots(sessionid, max(1, min(slots, self._slots)), self.ioBytes)
        if clientid != self.clientid:
            await self._reclaimComplete(session, until)
            # Only now: were it cut short, it would have to be said again.
            self.clientid = clientid
            self.onNewClientid()
        return session

    async def _reclaimComplete(self, session: Slots, until: float) -> None:
        """
        We reclaim nothing: say so, or nothing can be opened.
        """
        sequence = session.sequences[0]
        session.sequences[0] += 1
        results = await self._plain(
            b"".join(
                (
                    packSequence(53, session.sessionid, sequence, 0, 0, 1),
                    requests.reclaimComplete(),
                )
            ),
            until,
            count=2,
        )
        results.operation(53)
        results.fixed(36)
        try:
            results.operation(58)
        except OperationFailed as failure:
            if failure.status != nfsstat4.NFS4ERR_COMPLETE_ALREADY:
                raise

    async def _plain(self, operations: bytes, until: float, count: int = 1) -> Results:
        """
        A COMPOUND outside the slots, again and again until the deadline.
        """
        while True:
            try:
                return await self._send([packHead(0, self.minor, count), operations])
            except CallFailed as error:
                await self._pause(until, error)

    async def _send(self, pieces: Sequence[Piece]) -> Results:
        buf, pos = await self._rpc.call(
            NFS4_PROGRAM,
            4,
            1,
            pieces,
            credential=self._credential,
            timeout=self._timeout,
        )
        return Results(buf, pos)

    async def _pause(self, until: float, error: Exception) -> None:
        late = self._clock.seconds() + _RETRY_PAUSE >= until
        if late or self._closed or not self._patient:
            raise Unreachable(str(error)) from error
        waiter: Deferred[None] = Deferred()
        self._clock.callLater(_RETRY_PAUSE, waiter.callback, None)
        await waiter

    def placeData(self, position: int) -> None:
        """
        Have this byte of large replies that are to come lie where a page begins.
        """
        self._rpc.hub.replies.data = position

    def giveUp(self) -> None:
        """
        The server is taken to be dead: what is under way fails, and from now on
        whatever does not succeed at the first attempt.
        """
        self._patient = False
        self._rpc.disconnect()

    def beginAgain(self) -> None:
        """
        It has answered after all.
        """
        self._patient = True
