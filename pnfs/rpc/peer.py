# -*- test-case-name: tests.rpc.test_peer -*-
"""
One RPC connection without its I/O: calls in both directions.
"""

from __future__ import annotations

import struct
from typing import Any, Callable, Coroutine, Optional, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pnfs.rpc import message
from pnfs.rpc.auth import NO_CREDENTIAL, parseCredential
from pnfs.rpc.coroutines import Running
from pnfs.rpc.errors import (
    AuthError,
    BadReply,
    CallFailed,
    CallTimeout,
    ConnectionClosed,
    GarbageArgs,
    RecordError,
)
from pnfs.rpc.hub import Hub, Write, discard, measure, nothing, release
from pnfs.rpc.message import Buffer
from pnfs.rpc.program import Call, Procedure, Program, Results
from pnfs.values import Credential, FileSlice, Piece
from pnfs.xdr.errors import XDRError

_log = Logger()

_head = struct.Struct(">II20xI").unpack_from
_short = struct.Struct(">II").unpack_from
_replyHeader = struct.Struct(">7I").pack


class _Pending(Deferred[tuple[Buffer, int]]):
    """
    A call that waits for its reply.
    """

    deadline = 0.0
    xid = 0


class Peer:
    """
    The other end of a connection: serves its calls, and calls it.

    @ivar address: numeric host and port of the other end, if it has one.
    @ivar attachments: room for the layers above.
    @ivar closed: nothing can be sent any more.
    @ivar waiting: calls of the other end that are being served and wait.
    @ivar busy: that many, or records that large, wait that the connection should
        not be read.
    """

    __slots__ = (
        "address",
        "attachments",
        "closed",
        "waiting",
        "busy",
        "onBusy",
        "onRelief",
        "onReply",
        "hub",
        "_write",
        "_disconnect",
        "_headers",
        "_credentials",
        "_waitingBytes",
        "_xid",
        "_pending",
        "_timer",
        "_timerAt",
        "_closeCallbacks",
        "__weakref__",
    )

    def __init__(
        self,
        programs: Sequence[Program],
        write: Write,
        clock: IReactorTime,
        *,
        disconnect: Callable[[], None] = nothing,
        address: Optional[tuple[str, int]] = None,
        hub: Optional[Hub] = None,
        firstXID: Optional[int] = None,
    ) -> None:
        """
        @param write: sends a record: pieces and their total size.
        @param disconnect: ends the connection after what has been written.
        @param hub: what it shares with other connections; its programs, clock and
            limits are then used.
        @param firstXID: for calls to the other end; by default taken from the clock,
            so that a restart does not repeat those of a moment ago.
        """
        self.hub = hub if hub is not None else Hub(programs, clock)
        self.address = address
        self.attachments: dict[Any, Any] = {}
        self.closed = False
        self.waiting = 0
        self.busy = False
        self.onBusy: Callable[[], None] = nothing
        self.onRelief: Callable[[], None] = nothing
        self.onReply: Callable[[], None] = nothing
        self._write = write
        self._disconnect = disconnect
        self._headers: dict[bytes, tuple[Procedure, Credential, int]] = {}
        self._credentials: dict[bytes, Credential] = {}
        self._waitingBytes = 0
        if firstXID is None:
            firstXID = int(self.hub.clock.seconds() * 1e6)
        self._xid = firstXID & 0xFFFFFFFF
        self._pending: dict[int, _Pending] = {}
        self._timer: Optional[IDelayedCall] = None
        self._timerAt = 0.0
        self._closeCallbacks: list[Callable[[], None]] = []

    # -- what comes in ---------------------------------------------------------

    def recordReceived(self, buf: Buffer, pos: int = 0) -> None:
        """
        Serve a call, or finish one of ours by its reply. A large record's buffer
        belongs to this peer from here on.

        @param pos: where the message begins.
        @raise RecordError: it is no RPC message; close the connection.
        """
        if pos:
            buf = buf[pos:]
        size = len(buf)
        if size < 32:
            if size < 12 or _short(buf)[1] != message.REPLY:
                raise RecordError("a record is no RPC message")
            self._replyReceived(_short(buf)[0], buf)
            return
        xid, kind, length = _head(buf)
        if kind:
            if kind != message.REPLY:
                raise RecordError("a record is neither call nor reply")
            self._replyReceived(xid, buf)
            return
        # The header without its xid is the same in call after call.
        key: Any = buf[4 : 40 + length]
        if key.__class__ is memoryview:
            key = bytes(buf[4 : 40 + min(length, message.MAX_AUTH_BYTES)])
        known = self._headers.get(key)
        if known is None:
            known = self._admit(xid, buf, key)
            if known is None:
                return
        procedure, credential, start = known
        call = Call(xid, credential, self, size)
        self.hub.counters.calls += 1
        try:
            results: Any = procedure(call, buf, start)
            if results.__class__ is not list:
                coroutine = results
                try:
                    awaited = coroutine.send(None)
                except StopIteration as stop:
                    results = stop.value
                else:
                    _Service(self, call, buf).wait(coroutine, awaited)
                    return
            total = 28
            for piece in results:
                if piece.__class__ is FileSlice:
                    total += piece.count
                else:
                    total += len(piece)
        except Exception as error:
            self._fail(xid, error)
        else:
            header = _replyHeader(total + 0x7FFFFFFC, xid, 1, 0, 0, 0, 0)
            self._write([header, *results], total)
        if isinstance(buf, memoryview) and not call.retained:
            self.hub.pool.give(buf)

    def _admit(
        self, xid: int, buf: Buffer, key: bytes
    ) -> Optional[tuple[Procedure, Credential, int]]:
        """
        Look at a call's header that is not known yet.

        @return: procedure, credential and position of the arguments; None if the
            call has been answered with an error.
        """
        if _short(buf, 8)[0] != message.RPC_VERSION:
            self._refuse(message.rpcMismatch(xid))
            return None
        length = _short(buf, 24)[1]
        if length > message.MAX_AUTH_BYTES:
            self._refuse(message.authError(xid, 1))
            return None
        header = message.parseCallHeader(buf)
        name = bytes(buf[24 : header.end])
        credential = self._credentials.get(name)
        limit = self.hub.limits.headers
        if credential is None:
            try:
                credential = parseCredential(
                    header.flavor, header.body, header.verifierFlavor, header.verifier
                )
            except AuthError as error:
                self._refuse(message.authError(xid, error.stat))
                return None
            if len(self._credentials) >= limit:
                self._credentials.clear()
                self._headers.clear()
            self._credentials[name] = credential
        program = self.hub.programs.get(header.program)
        if program is None:
            self._refuse(message.acceptError(xid, message.PROG_UNAVAIL))
            return None
        procedures = program.versions.get(header.version)
        if procedures is None:
            low, high = min(program.versions), max(program.versions)
            self._refuse(message.programMismatch(xid, low, high))
            return None
        procedure = procedures.get(header.procedure)
        if procedure is None:
            self._refuse(message.acceptError(xid, message.PROC_UNAVAIL))
            return None
        known = (procedure, credential, header.end)
        if len(key) == header.end - 4:
            if len(self._headers) >= limit:
                self._headers.clear()
            self._headers[key] = known
        return known

    # -- answers ---------------------------------------------------------------

    def _refuse(self, record: bytes) -> None:
        self.hub.counters.errors += 1
        if not self.closed:
            self._write([record], len(record))

    def _answer(self, xid: int, results: Results) -> None:
        """
        The late answer of a call that had to wait.
        """
        if self.closed:
            release(results)
            return
        size = measure(results)
        self._write([message.replyHeader(xid, size), *results], size + 28)

    def _fail(self, xid: int, error: Exception) -> None:
        """
        A procedure has raised.
        """
        if isinstance(error, (GarbageArgs, XDRError)):
            self._refuse(message.acceptError(xid, message.GARBAGE_ARGS))
        elif isinstance(error, AuthError):
            self._refuse(message.authError(xid, error.stat))
        else:
            _log.failure(
                "a procedure failed, call from {address}",
                Failure(error),  # type: ignore[no-untyped-call]
                address=self.address,
            )
            self._refuse(message.acceptError(xid, message.SYSTEM_ERR))

    def _begin(self, size: int) -> None:
        self.waiting += 1
        self._waitingBytes += size
        limits = self.hub.limits
        if self.waiting >= limits.waiting or self._waitingBytes >= limits.waitingBytes:
            if not self.busy:
                self.busy = True
                self.onBusy()

    def _end(self, size: int) -> None:
        self.waiting -= 1
        self._waitingBytes -= size
        if self.busy:
            limits = self.hub.limits
            if (
                self.waiting * 2 <= limits.waiting
                and self._waitingBytes * 2 <= limits.waitingBytes
            ):
                self.busy = False
                self.onRelief()

    # -- calls to the other end ------------------------------------------------

    def call(
        self,
        program: int,
        version: int,
        procedure: int,
        credential: bytes = NO_CREDENTIAL,
        pieces: Sequence[Piece] = (),
        timeout: float = 30.0,
    ) -> Deferred[tuple[Buffer, int]]:
        """
        Call a procedure of the other end. Cancelling the Deferred forgets the call;
        the other end may execute it all the same.

        @param credential: credential and verifier as on the wire
            (L{pnfs.rpc.auth.encodeAuthSys}).
        @param pieces: the encoded arguments.
        @param timeout: seconds until it fails.
        @return: fires with the reply's record, which belongs to the caller, and the
            position of the results in it.
        @raise CallTimeout: (asynchronously) @raise ConnectionClosed: @raise RPCRefused:
        @raise BadReply:
        """
        pending = _Pending(self._forget)
        if self.closed:
            release(pieces)
            pending.errback(ConnectionClosed("the connection is closed"))
            return pending
        waiting = self._pending
        xid = self._xid = (self._xid + 1) & 0xFFFFFFFF
        while xid in waiting:
            xid = self._xid = (xid + 1) & 0xFFFFFFFF
        waiting[xid] = pending
        pending.xid = xid
        clock = self.hub.clock
        pending.deadline = deadline = clock.seconds() + timeout
        if self._timer is None or deadline < self._timerAt:
            self._setTimer(deadline, timeout)
        size = measure(pieces)
        header = message.callHeader(xid, program, version, procedure, credential, size)
        self._write([header, *pieces], len(header) + size)
        return pending

    def _replyReceived(self, xid: int, buf: Buffer) -> None:
        pending = self._pending.pop(xid, None)
        if pending is None:
            return
        try:
            pos = message.parseReply(buf)
        except (CallFailed, BadReply) as error:
            pending.errback(error)
        else:
            pending.callback((buf, pos))
        self.onReply()

    def _forget(self, cancelled: Deferred[tuple[Buffer, int]]) -> None:
        assert isinstance(cancelled, _Pending)
        self._pending.pop(cancelled.xid, None)

    def _setTimer(self, deadline: float, delay: float) -> None:
        # One timer for all calls; it is not moved when replies come, so that a
        # call costs no timer of its own.
        if self._timer is not None:
            self._timer.cancel()
        self._timerAt = deadline
        self._timer = self.hub.clock.callLater(max(0.0, delay), self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = self.hub.clock.seconds()
        late = [
            xid for xid, pending in self._pending.items() if pending.deadline <= now
        ]
        failed = [self._pending.pop(xid) for xid in late]
        if self._pending:
            first = min(pending.deadline for pending in self._pending.values())
            self._setTimer(first, first - now)
        for pending in failed:
            pending.errback(CallTimeout("no reply in time"))

    # -- the end -----------------------------------------------------------------

    def onClose(self, callback: Callable[[], None]) -> None:
        """
        Have C{callback} called when the connection has ended; at once if it has.
        """
        if self.closed:
            callback()
        else:
            self._closeCallbacks.append(callback)

    def close(self) -> None:
        """
        End the connection; what has been written is still sent.
        """
        if not self.closed:
            self._disconnect()

    def connectionLost(self) -> None:
        """
        To be called by the transport when the connection has ended. Calls being
        served go on; their answers are dropped.
        """
        if self.closed:
            return
        self.closed = True
        # No cycle of references is left behind.
        self._write = discard
        self._disconnect = self.onBusy = self.onRelief = self.onReply = nothing
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        callbacks, self._closeCallbacks = self._closeCallbacks, []
        # First those who look after the connection: whoever learns that a call has
        # failed may call again at once.
        for callback in callbacks:
            try:
                callback()
            except Exception:
                _log.failure("a close callback failed")
        pending = self._pending
        while pending:
            first = pending.pop(next(iter(pending)))
            first.errback(ConnectionClosed("the connection was lost"))


class _Service:
    """
    A call being served that had to wait.
    """

    __slots__ = ("_peer", "_call", "_buf", "_running")

    def __init__(self, peer: Peer, call: Call, buf: Buffer) -> None:
        self._peer = peer
        self._call = call
        self._buf: Optional[Buffer] = buf
        self._running: Optional[Running[Results]] = None

    def wait(self, coroutine: Coroutine[Any, Any, Results], awaited: Any) -> None:
        """
        Go on when C{awaited} fires.
        """
        peer = self._peer
        peer._begin(self._call.received)
        running = Running(coroutine, awaited, self._answer, self._fail)
        if self._buf is not None:
            self._running = running
            peer.hub.running.add(running)

    def _answer(self, results: Results) -> None:
        self._end()
        peer = self._peer
        try:
            peer._answer(self._call.xid, results)
        except Exception as error:
            # Results that are no list of pieces.
            peer._fail(self._call.xid, error)
        self._giveBack()

    def _fail(self, error: Exception) -> None:
        cancelled = self._running is not None and self._running.cancelled
        self._end()
        if not cancelled:
            self._peer._fail(self._call.xid, error)
        self._giveBack()

    def _end(self) -> None:
        peer = self._peer
        if self._running is not None:
            peer.hub.running.discard(self._running)
            self._running = None
        peer._end(self._call.received)

    def _giveBack(self) -> None:
        buf = self._buf
        self._buf = None
        hub = self._peer.hub
        if isinstance(buf, memoryview) and not self._call.retained:
            hub.pool.give(buf)
        hub.finished()
