# -*- test-case-name: tests.callbacks.test_channel -*-
"""
The back channel (RFC 8881, section 2.10.3): calls from us to a client.

A call goes out on any session of the client that has a connection bound for it and
a slot free: often there is one slot only, so calls queue. It is sent again, over
whatever the client offers then, when

  - the connection is lost before the answer;
  - the client does not know the session: it may not have seen our reply to
    CREATE_SESSION yet, or it has made another session meanwhile;
  - the client says DELAY to CB_SEQUENCE.

If a reply does not come, nobody knows whether the client has taken the sequence ID.
Before anything else goes out on that slot, a CB_SEQUENCE on its own uses the same
one: afterwards it has been taken in any case, and no reply of an earlier operation
can be mistaken for that of a later one. What is sent must therefore bear repetition.

TCP does not lose what was sent, so a call without an answer is not repeated on the
same connection, unless its session has been destroyed and another made; the client
is told by SEQ4_STATUS_CB_PATH_DOWN.

A recall may overtake the reply that grants what it recalls. CB_SEQUENCE names the
requests whose replies the client should wait for; see
L{pnfs.state.stateids.RecallableState}.
"""

from __future__ import annotations

from typing import Any, Callable, Optional, Sequence, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from pnfs.callbacks.ops import (
    CB_COMPOUND,
    NFS_CB_VERSION,
    CallbackResult,
    cbSequence,
    decodeResult,
    encodeCompound,
    referring_call4,
    referring_call_list4,
)
from pnfs.nfs4.status import nfsstat4
from pnfs.rpc.errors import CallTimeout, ConnectionClosed, RPCError
from pnfs.state.clients import Client
from pnfs.state.sessions import BackSlot, Session, SessionTable
from pnfs.state.stateids import RecallableState
from pnfs.xdr.errors import XDRError

_T = TypeVar("_T")

FIRST_DELAY = 0.01
LONGEST_DELAY = 1.0
"""
Seconds until a callback is sent again. The reply to CREATE_SESSION, which the first
one may have overtaken, takes a few milliseconds.
"""

_AGAIN_LATER = frozenset(
    {nfsstat4.NFS4ERR_DELAY, nfsstat4.NFS4ERR_BADSESSION, nfsstat4.NFS4ERR_DEADSESSION}
)
_TOO_MANY_SLOTS = frozenset({nfsstat4.NFS4ERR_BADSLOT, nfsstat4.NFS4ERR_BAD_HIGH_SLOT})
_OUT_OF_STEP = _TOO_MANY_SLOTS | {nfsstat4.NFS4ERR_SEQ_MISORDERED}
_WAS_TAKEN = frozenset(
    {nfsstat4.NFS4ERR_RETRY_UNCACHED_REP, nfsstat4.NFS4ERR_SEQ_FALSE_RETRY}
)


class CallbackFailed(Exception):
    """
    A callback has no result: the client did not understand it, or we did not
    understand the client.
    """


class NoBackChannel(CallbackFailed):
    """
    A callback did not get through in time.
    """


def statusOnly(status: int, buf: Any, pos: int) -> int:
    """
    For an operation whose result is its status.
    """
    return status


def referringLists(state: Optional[RecallableState]) -> list[referring_call_list4]:
    """
    The requests that the client should have the replies to before it looks at a
    callback about a state.
    """
    lists: dict[bytes, list[referring_call4]] = {}
    for sessionid, slotid, sequenceid in state.grantingCalls() if state else ():
        lists.setdefault(sessionid, []).append(referring_call4(sequenceid, slotid))
    return [referring_call_list4(*each) for each in lists.items()]


class BackChannel:
    """
    Calls to one client.
    """

    __slots__ = ("_client", "_channels", "_queue", "_pausing", "_sent")

    def __init__(self, client: Client, channels: "BackChannels") -> None:
        self._client = client
        self._channels = channels
        self._queue: dict[Deferred[None], None] = {}
        self._pausing: dict[Deferred[None], None] = {}
        self._sent: dict[Deferred[Any], Session] = {}

    def call(
        self,
        op: bytes,
        decode: Callable[[int, Any, int], _T] = statusOnly,  # type: ignore[assignment]
        timeout: Optional[float] = None,
        referring: Optional[RecallableState] = None,
    ) -> Deferred[_T]:
        """
        Send one operation.

        @param op: an C{nfs_cb_argop4}; the client may see it twice. Empty: CB_SEQUENCE
            stands alone, to find out whether the client answers.
        @param decode: makes the result from the operation's status, the reply and
            the position of what follows the status in it; may raise L{XDRError}.
        @param timeout: seconds in which a result must be here.
        @param referring: what the operation is about, if the client may not have
            been told of it yet.
        @return: fires with the result; by default the operation's status.
        @raise NoBackChannel: (asynchronously) nobody has answered in time.
        @raise CallbackFailed: (asynchronously) the answer makes no sense.
        """
        if timeout is None:
            timeout = self._channels.timeout
        return Deferred.fromCoroutine(self._call(op, decode, timeout, referring))

    async def _call(
        self,
        op: bytes,
        decode: Callable[[int, Any, int], _T],
        timeout: float,
        referring: Optional[RecallableState],
    ) -> _T:
        clock = self._channels.clock
        sessions = self._channels.sessions
        deadline = clock.seconds() + timeout
        delay = FIRST_DELAY
        silent: set[Any] = set()
        while True:
            left = deadline - clock.seconds()
            if left <= 0:
                raise NoBackChannel()
            ways = self._ways(silent)
            found = self._choose(ways)
            if found is None:
                if silent:
                    self._next()
                await self._wait(self._queue, left)
                continue
            session, slotid, slot, connection = found
            slot.busy = True
            try:
                outcome = await self._attempt(
                    session,
                    slotid,
                    slot,
                    connection,
                    op,
                    decode,
                    left / 2 if len(ways) > 1 else left,
                    referring,
                )
            except CallTimeout:
                silent.add(connection)
                sessions.faulty(session)
                continue
            except ConnectionClosed:
                continue
            except (RPCError, XDRError) as error:
                sessions.faulty(session)
                raise CallbackFailed(str(error)) from error
            finally:
                slot.busy = False
                self._next()
            if outcome is not None:
                return outcome[0]
            await self._wait(self._pausing, min(delay, left))
            delay = min(2 * delay, LONGEST_DELAY)

    def _ways(self, silent: set[Any]) -> list[tuple[Session, Any]]:
        """
        Sessions with their connections for callbacks. The newest session comes
        first: a client that has made another one has most likely left the earlier.
        """
        return [
            (session, connection)
            for session in reversed(self._client.sessions.values())
            if session.canCallBack and not session.backFault
            for connection in session.back
            if not connection.closed and connection not in silent
        ]

    def _choose(
        self, ways: list[tuple[Session, Any]]
    ) -> Optional[tuple[Session, int, BackSlot, Any]]:
        """
        A way that has a slot free.
        """
        for session, connection in ways:
            free = session.freeBackSlot()
            if free is not None:
                return session, free[0], free[1], connection
        return None

    async def _attempt(
        self,
        session: Session,
        slotid: int,
        slot: BackSlot,
        connection: Any,
        op: bytes,
        decode: Callable[[int, Any, int], _T],
        timeout: float,
        referring: Optional[RecallableState],
    ) -> Optional[tuple[_T]]:
        """
        Send it once.

        @return: the result in a tuple, or None: again after a while.
        """
        if slot.uncertain:
            result, _ = await self._send(
                session, slotid, slot, connection, timeout, b""
            )
            if result.sequenceStatus:
                self._setBack(session, slotid, result.sequenceStatus)
                return None
        result, buf = await self._send(
            session, slotid, slot, connection, timeout, op, referringLists(referring)
        )
        if result.sequenceStatus:
            self._setBack(session, slotid, result.sequenceStatus)
            return None
        self._channels.sessions.proved(session, connection)
        if result.status in _WAS_TAKEN:
            return None
        if op and result.number != int.from_bytes(op[:4], "big"):
            raise XDRError("no result of the operation")
        return (decode(result.status, buf, result.pos),)

    async def _send(
        self,
        session: Session,
        slotid: int,
        slot: BackSlot,
        connection: Any,
        timeout: float,
        op: bytes,
        referring: Sequence[referring_call_list4] = (),
    ) -> tuple[CallbackResult, Any]:
        """
        CB_SEQUENCE, alone or with an operation. @return: the result and the reply.
        """
        sequenceid = slot.next
        highest = session.highestBackSlot()
        head = cbSequence(session.id, sequenceid, slotid, highest, referring)
        ops = (head, op) if op else (head,)
        slot.uncertain = True
        sent = connection.call(
            session.program,
            NFS_CB_VERSION,
            CB_COMPOUND,
            session.credential,
            [encodeCompound(session.minor, *ops)],
            timeout,
        )
        self._sent[sent] = session
        try:
            buf, pos = await sent
        except CancelledError:
            if sent not in self._sent:
                raise ConnectionClosed("the session is gone") from None
            raise
        finally:
            self._sent.pop(sent, None)
        result = decodeResult(buf, pos, session.id, sequenceid, slotid)
        status = result.sequenceStatus
        if result.target is not None:
            session.setBackTarget(result.target)
            if session.backSilent:
                self._channels.sessions.answered(session)
        if not status or status in _WAS_TAKEN:
            slot.next = sequenceid + 1 & 0xFFFFFFFF
        slot.uncertain = False
        if status in _WAS_TAKEN and not op:
            result = CallbackResult(0)
        return result, buf

    def _setBack(self, session: Session, slotid: int, status: int) -> None:
        """
        CB_SEQUENCE has failed.

        @raise CallbackFailed: there is no use in trying again.
        """
        if status in _TOO_MANY_SLOTS and slotid:
            session.setBackTarget(slotid - 1)
        elif status in _OUT_OF_STEP:
            # Only the client can put this right, with a new session.
            session.backFault = True
            self._channels.sessions.faulty(session)
        elif status not in _AGAIN_LATER and status not in _WAS_TAKEN:
            self._channels.sessions.faulty(session)
            raise CallbackFailed(f"CB_SEQUENCE: status {status}")

    def _wait(
        self, where: dict[Deferred[None], None], seconds: float
    ) -> Deferred[None]:
        """
        Wait in a queue for up to so many seconds.
        """

        def expire() -> None:
            del where[waiting]
            waiting.callback(None)

        def stop(result: Any) -> Any:
            where.pop(waiting, None)
            if timer.active():
                timer.cancel()
            return result

        waiting: Deferred[None] = Deferred()
        where[waiting] = None
        timer = self._channels.clock.callLater(seconds, expire)
        return waiting.addBoth(stop)

    def _next(self) -> None:
        """
        A slot has become free: whoever has waited longest may try.
        """
        if self._queue:
            waiting = next(iter(self._queue))
            del self._queue[waiting]
            waiting.callback(None)

    def wake(self) -> None:
        """
        There is a new way to the client: everybody tries again. Nobody waits any
        longer for an answer over a session that is gone.
        """
        live = self._client.sessions
        for sent, session in list(self._sent.items()):
            if session.id not in live and self._sent.pop(sent, None) is not None:
                sent.cancel()
        for where in (self._queue, self._pausing):
            waiting = list(where)
            where.clear()
            for each in waiting:
                if not each.called:
                    each.callback(None)


class BackChannels:
    """
    The back channels of a server's clients: C{ServerContext.channels}.

    @ivar clock: the monotonic clock.
    @ivar sessions: the server's sessions.
    @ivar timeout: seconds that a call may take by default.
    """

    def __init__(
        self, clock: IReactorTime, sessions: SessionTable, timeout: float = 10.0
    ) -> None:
        self.clock = clock
        self.sessions = sessions
        self.timeout = timeout

    def channelOf(self, client: Client) -> BackChannel:
        """
        The back channel of a client, whether or not it can be used now.
        """
        channel = client.channel
        if channel is None:
            channel = client.channel = BackChannel(client, self)
        return channel  # type: ignore[no-any-return]

    def bound(self, session: Session) -> None:
        """
        A connection has been bound to the back channel of a session: what waits
        for one goes out.
        """
        channel = session.client.channel
        if channel is not None:
            channel.wake()
