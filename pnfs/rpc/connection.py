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
from twisted.python.failure import Failure
from zope.interface import implementer

from pnfs.rpc.errors import RecordError
from pnfs.rpc.hub import Hub, release
from pnfs.rpc.limits import SMALL
from pnfs.rpc.message import Buffer
from pnfs.rpc.output import OutputQueue
from pnfs.rpc.peer import Peer
from pnfs.rpc.receiver import Reason, Receiver
from pnfs.values import Piece

_TURN_OUTPUT = 1 << 20
"""Bytes of answers after which the turn ends."""

_CLOSE_SECONDS = 30.0
"""How long a closing connection may take to send what is left."""


@implementer(IReadWriteDescriptor)
class Connection(Receiver):
    """
    A connected socket and its L{Peer}.

    @ivar peer: the other end.
    @ivar lost: the socket is closed.
    """

    __slots__ = (
        "fileno",
        "_reactor",
        "_send",
        "_backlog",
        "_out",
        "_plain",
        "_outSize",
        "_queue",
        "_writing",
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
        self.fileno = sock.fileno
        super().__init__(sock, hub)
        self._reactor = reactor
        self._send = sock.send
        self._backlog: list[Buffer] = []
        self._out: list[Piece] = []
        self._plain = True
        self._outSize = 0
        self._queue = OutputQueue(sock)
        self._writing = False
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

    def acknowledge(self) -> None:
        """
        Tell the other end now that its bytes have come.

        The kernel waits 40 ms for an answer to send the acknowledgement with. None
        follows a reply, and a client that has left Nagle's algorithm on (RFC 896)
        sends its next call only when it has heard.
        """
        if not self.lost:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 2)

    def _serveBacklog(self) -> None:
        self._scheduled = None
        records, self._backlog = self._backlog, []
        if not self.lost and not self._closing:
            self._serve(records)
            self._resume()

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
