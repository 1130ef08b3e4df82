# -*- test-case-name: tests.rpc.test_connection -*-
"""
A TCP connection registered with the stock reactor.

Twisted's own transport queues every write and sends it in the reactor's next turn;
that costs as much as serving the call. This one serves every record that one
C{recv} brought, joins the answers and sends them at once; only what the socket does
not take waits for the reactor.

Back-pressure: the connection is not read while more than
L{Limits.outputBytes} are unsent, or while too many of its calls wait
(L{Peer.busy}); it is read again below half of that. Fairness: after
L{Limits.recordsPerTurn} records, or a large one, the other connections have
their turn; records already received go on in the reactor's next turn without any
new input.
"""

from __future__ import annotations

import socket
from typing import Any, Callable, Optional, Union

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IDelayedCall, IReadWriteDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from pnfs.rpc.errors import RecordError
from pnfs.rpc.hub import Hub, release
from pnfs.rpc.limits import SMALL
from pnfs.rpc.message import Buffer
from pnfs.rpc.output import OutputQueue
from pnfs.rpc.peer import Peer
from pnfs.rpc.record import RecordParser
from pnfs.values import Piece

_log = Logger()

_READ = 64 << 10
"""Bytes asked for when small records are expected."""

_READ_HEADER = 512
"""
Bytes asked for after a large record: the next one is likely as large, and what
follows its header goes straight to its place.
"""

_NEXT = 256
"""
Bytes asked for behind a large record: if they come, there is another one, and only
then is it worth receiving again in the same turn.
"""

_TURN_INPUT = 1 << 20
"""Bytes of large records after which the turn ends."""

_TURN_OUTPUT = 1 << 20
"""Bytes of answers after which the turn ends."""

_ENOUGH = 256 << 10
"""
Bytes of the rest of a large record that are worth being woken for: a record of
1 MiB comes in twenty or more packets.
"""

_CALL = bytes(4)

_CLOSE_SECONDS = 30.0
"""How long a closing connection may take to send what is left."""

Reason = Any
"""
ConnectionDone, ConnectionLost or None: the interface says Failure, but the reactors
take exceptions.
"""


@implementer(IReadWriteDescriptor)
class Connection:
    """
    A connected socket and its L{Peer}.

    @ivar peer: the other end.
    @ivar lost: the socket is closed.
    """

    __slots__ = (
        "peer",
        "lost",
        "fileno",
        "_hub",
        "_reactor",
        "_socket",
        "_recv",
        "_send",
        "_parser",
        "_feed",
        "_ask",
        "_large",
        "_enough",
        "_backlog",
        "_out",
        "_plain",
        "_outSize",
        "_queue",
        "_inTurn",
        "_endTurn",
        "_reading",
        "_writing",
        "_closing",
        "_draining",
        "_scheduled",
        "_closeTimer",
        "_flushTimer",
        "_onLost",
        "__weakref__",
    )

    def __init__(
        self,
        reactor: Any,
        sock: socket.socket,
        hub: Hub,
        onLost: Callable[["Connection"], None],
        address: Optional[tuple[str, int]] = None,
        firstXID: Optional[int] = None,
    ) -> None:
        """
        @param reactor: provides L{IReactorFDSet} and C{IReactorTime}.
        @param sock: connected and non-blocking.
        @param onLost: called once when it is gone.
        """
        self.lost = False
        self.fileno = sock.fileno
        self._hub = hub
        self._reactor = reactor
        self._socket = sock
        self._recv = sock.recv
        self._send = sock.send
        limits = hub.limits
        self._parser = RecordParser(limits.recordBytes, limits.fragments, hub.pool)
        self._feed = self._parser.feed
        self._ask = _READ
        self._large = 0
        self._enough = 1
        self._backlog: list[Buffer] = []
        self._out: list[Piece] = []
        self._plain = True
        self._outSize = 0
        self._queue = OutputQueue(sock)
        self._inTurn = False
        self._endTurn = False
        self._reading = False
        self._writing = False
        self._closing = False
        self._draining = False
        self._scheduled: Optional[IDelayedCall] = None
        self._closeTimer: Optional[IDelayedCall] = None
        self._flushTimer: Optional[IDelayedCall] = None
        self._onLost = onLost
        self.peer = Peer(
            (),
            self._write,
            hub.clock,
            disconnect=self.close,
            address=address,
            hub=hub,
            firstXID=firstXID,
        )
        self.peer.onBusy = self._busy
        self.peer.onRelief = self._resume

    def start(self) -> None:
        """
        Begin to read.
        """
        counters = self._hub.counters
        counters.accepted += 1
        counters.connections += 1
        self._resume()

    def logPrefix(self) -> str:
        """
        As C{ILoggingContext.logPrefix}.
        """
        return "RPC"

    # -- input -----------------------------------------------------------------

    def doRead(self) -> Reason:
        """
        The socket is readable: receive once, serve what is complete.
        """
        if not self._reading:
            return None
        parser = self._parser
        if parser.rest is not None:
            return self._receiveLarge()
        if self._large and parser.idle:
            return self._receiveAlike()
        ask = self._ask
        try:
            data = self._recv(ask)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            return ConnectionLost(str(error))
        if not data:
            return ConnectionDone()
        self._hub.counters.bytesIn += len(data)
        try:
            records = self._feed(data)
        except RecordError as error:
            return self._violation(error)
        if records:
            self._serve(records)
        if len(data) == ask:
            # A full buffer: there is more, and where it belongs is known if it is
            # the rest of a large record.
            if parser.rest is None:
                self._ask = _READ
            elif self._reading:
                return self._receiveLarge()
        return None

    def _receiveLarge(self) -> Reason:
        """
        Receive the rest of a large record straight into its place.
        """
        rest = self._parser.rest
        assert rest is not None
        try:
            count = self._socket.recv_into(rest)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            return ConnectionLost(str(error))
        if not count:
            return ConnectionDone()
        self._hub.counters.bytesIn += count
        record = self._parser.received(count)
        self._awaitEnough()
        if record is not None:
            del rest
            self._ask = _READ_HEADER
            self._large = len(record) + 4 if record[4:8] == _CALL else 0
            # No reference is kept here: its buffer is used again at once.
            records = [record]
            del record
            self._serve(records)
        return None

    def _awaitEnough(self) -> None:
        """
        Be woken when much of the rest of a large record is here, not for every
        packet; never for more than is missing.
        """
        rest = self._parser.rest
        missing = 1 if rest is None else len(rest)
        if missing < self._enough or (self._enough == 1 and missing > SMALL):
            self._enough = min(missing, _ENOUGH)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, self._enough)

    def _receiveAlike(self) -> Reason:
        """
        The last record was a large call, so the next one may be as large: receive it
        at once to where it can stay, and more of them while they come.
        """
        parser = self._parser
        pool = self._hub.pool
        received = self.peer.recordReceived
        reason: Reason = None
        following = b""
        total = 0
        self._inTurn = True
        self._endTurn = self.peer.busy
        try:
            while True:
                view = memoryview(pool.take())
                count = len(following)
                view[:count] = following
                try:
                    got = self._socket.recv_into(view[count : self._large + _NEXT])
                except (BlockingIOError, InterruptedError):
                    pool.give(view)
                    break
                except OSError as error:
                    reason = ConnectionLost(str(error))
                    break
                if not got:
                    reason = ConnectionDone()
                    break
                total += got
                count += got
                end = parser.place(view, count)
                if not end:
                    following = bytes(view[:count])
                    pool.give(view)
                    self._large = 0
                    self._ask = _READ
                    break
                if count < end:
                    following = b""
                    self._awaitEnough()
                    break
                following = bytes(view[end:count])
                record = view[4:end]
                view.release()
                received(record)
                if not following or self._endTurn or total >= _TURN_INPUT:
                    break
            self._hub.counters.bytesIn += total
            records = self._feed(following) if following else []
        except RecordError as error:
            self._inTurn = False
            self._flush()
            return self._violation(error)
        finally:
            self._inTurn = False
        if self.lost:
            return None
        self._serve([] if self._closing or self._draining else records)
        return None if self.lost else reason

    def _serve(self, records: list[Buffer]) -> None:
        """
        Serve records until the turn is over, and send the answers.
        """
        limit = self._hub.limits.recordsPerTurn
        received = self.peer.recordReceived
        self._inTurn = True
        self._endTurn = self.peer.busy
        done = 0
        try:
            if len(records) == 1 and not self._endTurn:
                # Also drops our reference: its buffer is used again at once.
                received(records.pop())
            else:
                for record in records:
                    if self._endTurn or done == limit:
                        break
                    done += 1
                    received(record)
        except RecordError as error:
            self._flush()
            self.drop(self._violation(error))
            return
        finally:
            self._inTurn = False
        self._backlog = records[done:] if done < len(records) else []
        if self._out:
            self._flush()
        if self._closing:
            self._finishClose()
        elif self._backlog and not self.lost:
            # Not read again before what is already here has been served.
            self._pause()
            self._resume()

    def _serveBacklog(self) -> None:
        self._scheduled = None
        records, self._backlog = self._backlog, []
        if not self.lost and not self._closing:
            self._serve(records)
            self._resume()

    def _violation(self, error: RecordError) -> ConnectionLost:
        self._hub.counters.violations += 1
        _log.warn(
            "closing the connection of {address}: {error}",
            address=self.peer.address,
            error=str(error),
        )
        return ConnectionLost(str(error))

    # -- flow --------------------------------------------------------------------

    def _busy(self) -> None:
        self._endTurn = True
        self._pause()

    def _pause(self) -> None:
        if self._reading:
            self._reading = False
            self._reactor.removeReader(self)

    def _resume(self) -> None:
        """
        Read again, unless there is a reason not to.
        """
        if self.lost or self._closing or self._draining or self._reading:
            return
        if self.peer.busy or self._queue.size > self._hub.limits.outputBytes // 2:
            return
        if self._backlog:
            if self._scheduled is None:
                self._scheduled = self._reactor.callLater(0, self._serveBacklog)
            return
        self._reading = True
        self._reactor.addReader(self)

    # -- output --------------------------------------------------------------------

    def _write(self, pieces: list[Piece], size: int) -> None:
        """
        A whole record is to be sent: in this turn if in one, else now.
        """
        self._out += pieces
        self._outSize += size
        if size > SMALL:
            self._plain = False
        if self._inTurn:
            if self._outSize > _TURN_OUTPUT:
                self._endTurn = True
        elif not self.peer.waiting or self._outSize > _TURN_OUTPUT:
            self._flush()
            if self._draining:
                self.closeIfIdle()
        elif self._flushTimer is None:
            # Others of its calls wait: they may be answered in the same turn.
            self._flushTimer = self._reactor.callLater(0, self._flushLate)

    def _flushLate(self) -> None:
        self._flushTimer = None
        self._flush()
        if self._draining:
            self.closeIfIdle()

    def _flush(self) -> None:
        """
        Send what this turn has produced.
        """
        out, self._out = self._out, []
        plain, self._plain = self._plain, True
        self._outSize = 0
        queue = self._queue
        if plain and not queue.size:
            try:
                data = b"".join(out)  # type: ignore[arg-type]
            except TypeError:
                queue.add(out)
            else:
                try:
                    sent = self._send(data)
                except (BlockingIOError, InterruptedError):
                    sent = 0
                except OSError as error:
                    self.drop(ConnectionLost(str(error)))
                    return
                self._hub.counters.bytesOut += sent
                if sent < len(data):
                    queue.add((memoryview(data)[sent:],))
                    self._awaitWritable()
                return
        else:
            queue.add(out)
        if not self._writing:
            reason = self._sendQueue()
            if reason is not None:
                self.drop(reason)
                return
        if queue.size:
            self._awaitWritable()

    def _awaitWritable(self) -> None:
        if not self._writing:
            self._writing = True
            self._reactor.addWriter(self)
        if self._queue.size > self._hub.limits.outputBytes:
            self._endTurn = True
            self._pause()

    def _sendQueue(self) -> Reason:
        try:
            self._hub.counters.bytesOut += self._queue.send()
        except OSError as error:
            return ConnectionLost(str(error))
        return None

    def doWrite(self) -> Reason:
        """
        The socket takes bytes again.
        """
        if self.lost:
            return None
        reason = self._sendQueue()
        if reason is not None:
            return reason
        if not self._queue.size:
            self._writing = False
            self._reactor.removeWriter(self)
            if self._closing:
                return ConnectionDone()
            if self._draining:
                self.closeIfIdle()
        self._resume()
        return None

    # -- the end -------------------------------------------------------------------

    def close(self) -> None:
        """
        End the connection after sending what is left to send.
        """
        if self.lost or self._closing:
            return
        self._closing = self._endTurn = True
        self._pause()
        if not self._inTurn:
            self._finishClose()

    def _finishClose(self) -> None:
        if self._out:
            self._flush()
        if self.lost:
            return
        if self._queue.size:
            self._closeTimer = self._reactor.callLater(
                _CLOSE_SECONDS, self.drop, ConnectionDone()
            )
        else:
            self.drop(ConnectionDone())

    def drain(self) -> None:
        """
        Take no more calls; close when those being served have been answered.
        """
        self._draining = self._endTurn = True
        self._pause()
        self._backlog = []
        self.closeIfIdle()

    def closeIfIdle(self) -> None:
        """
        Close if nothing is being served or to be sent.
        """
        if not (self._inTurn or self.peer.waiting or self._out or self._queue.size):
            self.drop(ConnectionDone())

    def drop(self, reason: Union[ConnectionDone, ConnectionLost]) -> None:
        """
        End the connection now.
        """
        if not self.lost:
            self._reactor.removeReader(self)
            self._reactor.removeWriter(self)
            self.connectionLost(Failure(reason))  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Failure) -> None:
        """
        As C{IReadDescriptor.connectionLost}.
        """
        if self.lost:
            return
        self.lost = self._endTurn = True
        self._reading = self._writing = False
        for timer in (self._scheduled, self._closeTimer, self._flushTimer):
            if timer is not None and timer.active():
                timer.cancel()
        self._scheduled = self._closeTimer = self._flushTimer = None
        out, self._out = self._out, []
        release(out)
        self._queue.clear()
        self._backlog = []
        self._parser.rest = None
        self._socket.close()
        self._hub.counters.connections -= 1
        self.peer.connectionLost()
        self._onLost(self)
