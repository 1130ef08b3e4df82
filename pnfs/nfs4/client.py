# -*- test-case-name: tests.nfs4.test_client -*-
"""
The client's side of NFSv4.1: a session that outlives connections.

A COMPOUND sent through L{SessionClient.compound} is executed exactly once as long
as the session lives: after a lost connection it is sent again with the same slot
and sequence ID, and the server's reply cache answers (RFC 8881, section 2.10.6).
If the session is gone a new one is made, and the COMPOUND sent there: the caller
says whether that is harmless.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import Any, Callable, Optional, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pnfs.backends.errors import Unreachable
from pnfs.nfs4 import requests
from pnfs.nfs4.results import OperationFailed, Results
from pnfs.nfs4.slots import SessionLost, Slots
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.rpc.errors import CallFailed, CallTimeout, ConnectionClosed
from pnfs.values import Piece
from pnfs.xdr.errors import XDRError

NFS4_PROGRAM = 100003

EXCHGID4_FLAG_USE_NON_PNFS = 0x10000
EXCHGID4_FLAG_USE_PNFS_MDS = 0x20000
EXCHGID4_FLAG_USE_PNFS_DS = 0x40000

_log = Logger()
_head = struct.Struct(">III").pack
_NO_FLAGS = bytes(4)
_sequence = struct.Struct(">I16sIIII").pack

_SESSION_LOST = {
    nfsstat4.NFS4ERR_BADSESSION,
    nfsstat4.NFS4ERR_DEADSESSION,
    nfsstat4.NFS4ERR_BADSLOT,
    nfsstat4.NFS4ERR_SEQ_MISORDERED,
    nfsstat4.NFS4ERR_STALE_CLIENTID,
}
_TRY_AGAIN = {
    nfsstat4.NFS4ERR_DELAY,
    nfsstat4.NFS4ERR_STALE_CLIENTID,
    nfsstat4.NFS4ERR_SEQ_MISORDERED,
}
_USED_UP = {nfsstat4.NFS4ERR_SEQ_FALSE_RETRY, nfsstat4.NFS4ERR_RETRY_UNCACHED_REP}
_RETRY_PAUSE = 0.1
_CLOSE_TIMEOUT = 5.0
_CDFC4_FORE_OR_BOTH = 3


class SessionClient:
    """
    A client of one NFSv4.1+ server.

    @ivar clientid: as the server gave it; changes when the server forgets us.
    @ivar ioBytes: the largest READ or WRITE the session takes.
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
        callbackProgram: int = 0,
        callTimeout: float = 30.0,
        deadline: float = 60.0,
    ) -> None:
        """
        @param rpc: L{pnfs.rpc.client.RPCClient}, or what can C{call} and C{close}.
        @param owner: C{co_ownerid}; verifier: 8 bytes of this start.
        @param credential: as on the wire, for every call.
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
        self._program = callbackProgram
        self._timeout = callTimeout
        self._deadline = deadline
        self._session: Optional[Slots] = None
        self._connecting: Optional[list[Deferred[None]]] = None
        self._waiting: deque[Deferred[None]] = deque()
        self._renewal: Optional[IDelayedCall] = None
        self._renewSeconds: Optional[float] = None
        self._closed = False
        self._patient = True
        self.clientid = 0
        self.ioBytes = ioBytes
        self.serverOwner = b""
        self.serverFlags = 0
        self.onNewClientid: Callable[[], None] = _nothing
        self.onStatusFlags: Callable[[int], None] = _nothing

    @property
    def sessionid(self) -> bytes:
        """
        The session's identity; empty while there is none.
        """
        return b"" if self._session is None else self._session.sessionid

    # -- the session -----------------------------------------------------------

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
                if failure.status not in _TRY_AGAIN | _SESSION_LOST:
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
        session = Slots(sessionid, max(1, min(slots, self._slots)), self.ioBytes)
        if clientid != self.clientid:
            await self._reclaimComplete(session, until)
            # Only now: were it cut short, it would have to be said again.
            self.clientid = clientid
            self.onNewClientid()
        self._renewLater()
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
                    _sequence(53, session.sessionid, sequence, 0, 0, 1),
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
                return await self._send([_head(0, self.minor, count), operations])
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

    # -- COMPOUND ----------------------------------------------------------------

    async def compound(
        self,
        operations: Sequence[Piece],
        count: int,
        *,
        cache: bool = False,
        again: bool = True,
        deadline: Optional[float] = None,
    ) -> Results:
        """
        Execute operations after a SEQUENCE.

        @param operations: their encoding; payload may be views.
        @param count: how many they are.
        @param cache: have the server keep the reply, for what must not be done
            twice.
        @param again: if the session is lost, repeat in a new one; else
            L{SessionLost} is raised.
        @return: positioned after the SEQUENCE's result.
        @raise Unreachable: no answer before the deadline.
        @raise NFSError: SEQUENCE was refused.
        """
        until = self._clock.seconds() + (deadline or self._deadline)
        while True:
            session = await self._requireSession(until)
            if not session.free:
                waiter: Deferred[None] = Deferred()
                self._waiting.append(waiter)
                await waiter
                continue
            slot = session.free.pop()
            try:
                results = None
                if slot not in session.uncertain or await self._settle(
                    session, slot, until
                ):
                    results = await self._inSlot(
                        session, slot, operations, count, cache, until
                    )
            finally:
                session.giveBack(slot)
                self._wakeOne()
            if results is not None:
                return results
            if not again:
                raise SessionLost()

    def _wakeOne(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.called:
                waiter.callback(None)
                return

    async def _settle(self, session: Slots, slot: int, until: float) -> bool:
        """
        Use up the sequence ID of a request that was given up: else the answer to
        that might be taken for the answer to the next.

        @return: False if the session is lost.
        """
        try:
            return (
                await self._inSlot(session, slot, (), 0, False, until, settling=True)
                is not None
            )
        except OperationFailed as failure:
            if failure.status not in _USED_UP:
                raise
            session.advance(slot)
            return True

    async def _inSlot(
        self,
        session: Slots,
        slot: int,
        operations: Sequence[Piece],
        count: int,
        cache: bool,
        until: float,
        settling: bool = False,
    ) -> Optional[Results]:
        """
        @return: None if the session is lost.
        """
        sent = False
        while True:
            sequence = session.sequences[slot]
            head = _head(0, self.minor, count + 1) + _sequence(
                53, session.sessionid, sequence, slot, session.highest, int(cache)
            )
            session.uncertain.add(slot)
            try:
                results = await self._send([head, *operations])
            except (ConnectionClosed, CallTimeout) as error:
                sent = True
                await self._pause(until, error)
                continue
            except CallFailed as error:
                raise Unreachable(str(error)) from error
            try:
                results.operation(53)
            except OperationFailed as failure:
                status = failure.status
                if status == nfsstat4.NFS4ERR_DELAY:
                    await self._pause(until, failure)
                    continue
                if status == nfsstat4.NFS4ERR_CONN_NOT_BOUND_TO_SESSION or (
                    status in _SESSION_LOST
                ):
                    if self._session is session:
                        self._session = None
                    return None
                if status not in _USED_UP:
                    session.uncertain.discard(slot)
                raise
            session.advance(slot)
            flags = results.fixed(36)[32:]
            if flags != _NO_FLAGS:
                self.onStatusFlags(int.from_bytes(flags, "big"))
            if (
                sent
                and not settling
                and results.status == nfsstat4.NFS4ERR_RETRY_UNCACHED_REP
            ):
                # It was executed, but the answer is lost; what is not cached is
                # harmless to repeat.
                sent = False
                continue
            return results

    def limitSlots(self, highest: int) -> None:
        """
        Use no slot above this one any more: the server has asked for it
        (CB_RECALL_SLOT).
        """
        session = self._session
        if session is not None:
            session.highest = max(0, min(session.highest, highest))
            session.free = [slot for slot in session.free if slot <= session.highest]

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

    async def bindConnection(self, peer: Any) -> None:
        """
        Make a new connection carry the back channel again, if there is to be one:
        the C{onConnect} of our L{pnfs.rpc.client.RPCClient}. What the server says
        to it does not matter: if it does not know the session, the next SEQUENCE
        will tell.

        @param peer: L{pnfs.rpc.peer.Peer}.
        """
        session = self._session
        if session is None or not self._program:
            return
        await peer.call(
            NFS4_PROGRAM,
            4,
            1,
            self._credential,
            [
                _head(0, self.minor, 1),
                requests.bindConnToSession(session.sessionid, _CDFC4_FORE_OR_BOTH),
            ],
            self._timeout,
        )

    # -- the lease -----------------------------------------------------------------

    def keepAlive(self, seconds: float) -> None:
        """
        Send a SEQUENCE at least so often, to keep the lease.
        """
        self._renewSeconds = seconds
        self._renewLater()

    def _renewLater(self) -> None:
        if self._renewSeconds is None or self._closed:
            return
        if self._renewal is not None and self._renewal.active():
            return
        self._renewal = self._clock.callLater(self._renewSeconds, self._renew)

    def _renew(self) -> None:
        done = Deferred.fromCoroutine(self.compound([], 0))
        done.addErrback(self._renewFailed)
        done.addBoth(lambda _: self._renewLater())

    def _renewFailed(self, failure: Failure) -> None:
        if self._closed:
            return
        reason = failure.value
        if isinstance(reason, (Unreachable, NFSError, SessionLost, XDRError)):
            _log.warn("the lease could not be renewed: {reason}", reason=reason)
        else:
            _log.failure("renewing the lease", failure)

    async def close(self) -> None:
        """
        Give the session and the client ID back, as far as the server answers, and
        close the connection.
        """
        if self._closed:
            return
        self._closed = True
        session, self._session = self._session, None
        if self._renewal is not None and self._renewal.active():
            self._renewal.cancel()
        self._renewSeconds = None
        while self._waiting:
            self._wakeOne()
        if session is not None:
            self._timeout = min(self._timeout, _CLOSE_TIMEOUT)
            for operation in (
                requests.destroySession(session.sessionid),
                requests.destroyClientid(self.clientid),
            ):
                try:
                    await self._send([_head(0, self.minor, 1), operation])
                except (CallFailed, XDRError) as error:
                    _log.debug("no orderly end: {reason}", reason=error)
                    break
        self._rpc.close()


def _nothing(*ignored: int) -> None:
    """
    Nobody wants to know.
    """
