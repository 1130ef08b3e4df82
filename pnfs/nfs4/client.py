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

from typing import Any, Optional, Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from pnfs.backends.errors import Unreachable
from pnfs.nfs4 import requests
from pnfs.nfs4.renewal import Renewal
from pnfs.nfs4.results import OperationFailed, Results
from pnfs.nfs4.sessions import (
    NFS4_PROGRAM,
    SESSION_LOST,
    SessionHolder,
    packHead,
    packSequence,
)
from pnfs.nfs4.slots import SessionLost, Slots
from pnfs.nfs4.status import nfsstat4
from pnfs.rpc.errors import CallFailed, CallTimeout, ConnectionClosed
from pnfs.values import Piece
from pnfs.xdr.errors import XDRError

_NO_FLAGS = bytes(4)
_USED_UP = {nfsstat4.NFS4ERR_SEQ_FALSE_RETRY, nfsstat4.NFS4ERR_RETRY_UNCACHED_REP}
_CLOSE_TIMEOUT = 5.0
_CDFC4_FORE_OR_BOTH = 3

_log = Logger()


class SessionClient(SessionHolder):
    """
    A client of one NFSv4.1+ server.
    """

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
            head = packHead(0, self.minor, count + 1) + packSequence(
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
                    status in SESSION_LOST
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
                packHead(0, self.minor, 1),
                requests.bindConnToSession(session.sessionid, _CDFC4_FORE_OR_BOTH),
            ],
            self._timeout,
        )

    def keepAlive(self, seconds: float) -> None:
        """
        Send a SEQUENCE at least so often, to keep the lease.
        """
        if self._renewal is None:
            self._renewal = Renewal(self._clock, lambda: self.compound([], 0))
        self._renewal.start(seconds)

    async def close(self) -> None:
        """
        Give the session and the client ID back, as far as the server answers, and
        close the connection.
        """
        if self._closed:
            return
        self._closed = True
        session, self._session = self._session, None
        if self._renewal is not None:
            self._renewal.stop()
        while self._waiting:
            self._wakeOne()
        if session is not None:
            self._timeout = min(self._timeout, _CLOSE_TIMEOUT)
            for operation in (
                requests.destroySession(session.sessionid),
                requests.destroyClientid(self.clientid),
            ):
                try:
                    await self._send([packHead(0, self.minor, 1), operation])
                except (CallFailed, XDRError) as error:
                    _log.debug("no orderly end: {reason}", reason=error)
                    break
        self._rpc.close()
