# -*- test-case-name: tests.rpc.test_peer -*-
"""
What the connections of one server, or of one client, share.
"""

from __future__ import annotations

from typing import Callable, Optional, Sequence

from twisted.internet.interfaces import IReactorTime

from pnfs.rpc.coroutines import Running
from pnfs.rpc.limits import BufferPool, Counters, Limits
from pnfs.rpc.program import Program, Results
from pnfs.rpc.replies import ReplyBuffers
from pnfs.values import FileSlice, Piece

Write = Callable[[list[Piece], int], None]
"""
How a peer sends: a whole record, its mark included, and its size in bytes.
"""


def release(pieces: Sequence[Piece]) -> None:
    """
    Give back the files of pieces that will not be sent.
    """
    for piece in pieces:
        if piece.__class__ is FileSlice:
            piece.release()


def discard(pieces: Sequence[Piece], size: int) -> None:
    """
    A L{Write} whose connection is gone.
    """
    release(pieces)


def measure(pieces: Sequence[Piece]) -> int:
    """
    Length of pieces in bytes.
    """
    size = 0
    for piece in pieces:
        size += piece.count if isinstance(piece, FileSlice) else len(piece)
    return size


class Hub:
    """
    What the connections of one server, or of one client, share.

    @ivar programs: those served.
    @ivar pool: memory for large calls; replies: for large replies.
    @ivar clock: gives the time for deadlines; should never step.
    @ivar running: calls being served that wait for something, also those whose
        connection is gone.
    @ivar finished: called when one of these has finished.
    """

    __slots__ = (
        "programs",
        "clock",
        "limits",
        "counters",
        "pool",
        "replies",
        "running",
        "finished",
    )

    def __init__(
        self,
        programs: Sequence[Program],
        clock: IReactorTime,
        limits: Optional[Limits] = None,
    ) -> None:
        self.programs = {program.number: program for program in programs}
        self.clock = clock
        self.limits = limits or Limits()
        self.counters = Counters()
        self.pool = BufferPool(self.limits.recordBytes, self.limits.freeBuffers)
        self.replies = ReplyBuffers(self.limits.recordBytes, self.limits.freeBuffers)
        self.running: set[Running[Results]] = set()
        self.finished: Callable[[], None] = nothing

    def cancel(self) -> None:
        """
        The server ends: what still waits is cancelled.
        """
        for running in list(self.running):
            running.cancel()


def nothing() -> None:
    """
    The callback of whoever does not want to know.
    """
