"""
The load: every slot of every session sends its next request when its answer comes.

What a slot does is a generator, a I{task}: it yields L{Step}s, and gets the record of
each answer back. The generator costs more CPU than most servers; what counts is the
servers' own time, which the kernel keeps.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from typing import Generator, Optional, Sequence

import attrs

from benchmarks import wire
from benchmarks.session import Session, checkReply
from benchmarks.wire import BenchmarkError

_KEPT = 64 << 10
"""Bytes of an answer that a task may see; the data of large READs is dropped."""

_TICKS = os.sysconf("SC_CLK_TCK")


@attrs.define
class Step:
    """
    A request.

    @ivar operations: those after SEQUENCE; none: the NULL procedure.
    @ivar data: sent after them.
    @ivar last: an operation, as the report counts them, ends with the answer.
    """

    operations: tuple[bytes, ...]
    data: bytes = b""
    last: bool = True


Task = Generator[Step, bytes, None]


@attrs.define
class Outcome:
    """
    What came of a load.

    @ivar seconds: how long it took.
    @ivar cpu: seconds of CPU of the servers.
    @ivar latencies: of operations, in seconds.
    @ivar again: answers that asked to come again.
    """

    operations: int
    seconds: float
    cpu: float
    latencies: list[float]
    again: int

    @property
    def microseconds(self) -> float:
        """
        CPU of the servers for an operation.
        """
        return self.cpu * 1e6 / self.operations if self.operations else float("nan")

    @property
    def p99(self) -> float:
        """
        The latency that one in a hundred exceeds, in microseconds.
        """
        ordered = sorted(self.latencies)
        return ordered[len(ordered) * 99 // 100] * 1e6 if ordered else float("nan")


def cpuSeconds(pids: Sequence[int]) -> float:
    """
    User and system time of processes so far.
    """
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stream:
            fields = stream.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


class _Connection:
    """
    A session under load.
    """

    def __init__(self, session: Session, tasks: Sequence[Task]) -> None:
        self.session = session
        self.tasks = list(tasks)
        self.steps: list[Optional[Step]] = [None] * len(tasks)
        self.since = [0.0] * len(tasks)
        self._buffer = bytearray()
        self._skip = 0
        self._scratch = memoryview(bytearray(1 << 20))

    def send(self, slot: int, step: Step, out: list[bytes]) -> None:
        """
        Have a slot's request sent with C{out}.
        """
        self.steps[slot] = step
        if not step.operations:
            out.append(wire.record(slot, b"", procedure=0))
            return
        more = len(step.data)
        out.append(self.session.request(slot, *step.operations, more=more))
        if more:
            out.append(step.data)

    def flush(self, out: list[bytes]) -> None:
        """
        Send. The socket blocks: the server takes requests in whatever happens.
        """
        if len(out) == 1:
            self.session.socket.sendall(out[0])
            return
        for start in range(0, len(out), 64):
            part = out[start : start + 64]
            sent = self.session.socket.sendmsg(part)
            for piece in part:
                if sent < len(piece):
                    self.session.socket.sendall(memoryview(piece)[sent:])
                    sent = 0
                else:
                    sent -= len(piece)

    def receive(self) -> list[bytes]:
        """
        The records that are complete now, cut to L{_KEPT} bytes.
        """
        count = self.session.socket.recv_into(self._scratch, 0, socket.MSG_DONTWAIT)
        if not count:
            raise BenchmarkError("the server has hung up")
        records = []
        buffer = self._buffer
        data = self._scratch[:count]
        if self._skip:
            dropped = min(self._skip, count)
            self._skip -= dropped
            data = data[dropped:]
            if not self._skip:
                records.append(bytes(buffer))
                buffer.clear()
        buffer += data
        while not self._skip and len(buffer) >= 4:
            length = (buffer[0] << 24 | buffer[1] << 16 | buffer[2] << 8) & 0x7FFFFFFF
            length |= buffer[3]
            if len(buffer) - 4 >= length:
                records.append(bytes(buffer[4 : 4 + min(length, _KEPT)]))
                del buffer[: 4 + length]
            elif length > _KEPT and len(buffer) >= 4 + 1024:
                # Not needed whole.
                self._skip = length + 4 - len(buffer)
                del buffer[1028:]
                del buffer[:4]
            else:
                break
        return records


def run(
    pairs: Sequence[tuple[Session, Sequence[Task]]],
    pids: Sequence[int],
    seconds: float = 0.0,
    warmup: float = 0.2,
) -> Outcome:
    """
    Load servers.

    @param pairs: sessions, each with a task per slot.
    @param pids: the servers, whose CPU is counted.
    @param seconds: how long; 0: until all tasks have ended, without C{warmup}.
    @raise BenchmarkError: an answer was no success.
    """
    connections = [_Connection(session, tasks) for session, tasks in pairs]
    poller = select.epoll()
    byNumber = {}
    running = 0
    for connection in connections:
        fd = connection.session.socket.fileno()
        byNumber[fd] = connection
        poller.register(fd, select.EPOLLIN)
    begin = time.perf_counter()
    for connection in connections:
        out: list[bytes] = []
        for slot, task in enumerate(connection.tasks):
            connection.since[slot] = begin
            connection.send(slot, next(task), out)
            running += 1
        connection.flush(out)
    measured = not seconds
    until = begin + (warmup if seconds else 1e9)
    cpu = cpuSeconds(pids)
    outcome = Outcome(0, 0.0, 0.0, [], 0)
    ending = False
    while running:
        events = poller.poll(30)
        if not events:
            raise BenchmarkError("no answer in 30 s")
        now = time.perf_counter()
        if now >= until:
            if measured:
                outcome.seconds = now - begin
                outcome.cpu = cpuSeconds(pids) - cpu
                ending = True
                until = begin + 1e9
            else:
                measured = True
                begin = now
                until = now + seconds
                cpu = cpuSeconds(pids)
                outcome = Outcome(0, 0.0, 0.0, [], 0)
        for fd, _ in events:
            connection = byNumber[fd]
            out = []
            for reply in connection.receive():
                running -= _answer(connection, reply, now, outcome, ending, out)
            if out:
                connection.flush(out)
    poller.close()
    if not ending:
        outcome.seconds = time.perf_counter() - begin
        outcome.cpu = cpuSeconds(pids) - cpu
    return outcome


def _answer(
    connection: _Connection,
    reply: bytes,
    now: float,
    outcome: Outcome,
    ending: bool,
    out: list[bytes],
) -> int:
    """
    Go on with the task that a reply is for.

    @return: 1 if that has ended.
    """
    (slot,) = struct.unpack_from(">I", reply)
    step = connection.steps[slot]
    assert step is not None
    if step.operations and checkReply(reply):
        outcome.again += not ending
        connection.send(slot, step, out)
        return 0
    if step.last:
        if not ending:
            outcome.operations += 1
            outcome.latencies.append(now - connection.since[slot])
        connection.since[slot] = now
    try:
        following = connection.tasks[slot].send(reply)
    except StopIteration:
        return 1
    if ending and step.last:
        return 1
    connection.send(slot, following, out)
    return 0
