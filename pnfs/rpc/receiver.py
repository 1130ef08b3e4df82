# -*- test-case-name: tests.rpc.test_connection -*-
"""
How a connection receives: small records many at a time, large ones in their place.

What follows the header of a large record goes straight to a buffer of the pool. After
one large call the next is likely as large: then one system call brings it whole, and
shows whether another follows.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import Logger

from pnfs.rpc.errors import RecordError
from pnfs.rpc.hub import Hub
from pnfs.rpc.limits import SMALL
from pnfs.rpc.message import Buffer
from pnfs.rpc.peer import Peer
from pnfs.rpc.record import RecordParser

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

_ENOUGH = 256 << 10
"""
Bytes of the rest of a large record that are worth being woken for: a record of
1 MiB comes in twenty or more packets.
"""

_CALL = bytes(4)

Reason = Any
"""
ConnectionDone, ConnectionLost or None: the interface says Failure, but the reactors
take exceptions.
"""


class Receiver:
    """
    The receiving half of L{pnfs.rpc.connection.Connection}.

    @ivar peer: the other end.
    @ivar lost: the socket is closed.
    """

    __slots__ = (
        "peer",
        "lost",
        "_hub",
        "_socket",
        "_recv",
        "_parser",
        "_feed",
        "_ask",
        "_large",
        "_enough",
        "_inTurn",
        "_endTurn",
        "_reading",
        "_closing",
        "_draining",
    )

    peer: Peer

    def __init__(self, sock: socket.socket, hub: Hub) -> None:
        """
        @param sock: connected and non-blocking.
        """
        limits = hub.limits
        self.lost = False
        self._hub = hub
        self._socket = sock
        self._recv = sock.recv
        self._parser = RecordParser(
            limits.recordBytes, limits.fragments, hub.pool, hub.replies
        )
        self._feed = self._parser.feed
        self._ask = _READ
        self._large = 0
        self._enough = 1
        self._inTurn = False
        self._endTurn = False
        self._reading = False
        self._closing = False
        self._draining = False

    def _serve(self, records: list[Buffer]) -> None:
        """
        Serve records and send the answers.
        """
        raise NotImplementedError

    def _flush(self) -> None:
        """
        Send what this turn has produced.
        """
        raise NotImplementedError

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

    def _violation(self, error: RecordError) -> ConnectionLost:
        self._hub.counters.violations += 1
        _log.warn(
            "closing the connection of {address}: {error}",
            address=self.peer.address,
            error=str(error),
        )
        return ConnectionLost(str(error))
