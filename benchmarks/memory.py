"""
What state costs the metadata server in memory.
"""

from __future__ import annotations

import os
import struct
from typing import Sequence

from benchmarks import wire
from benchmarks.cells import Metadata
from benchmarks.load import Task, run
from benchmarks.session import Session, checkReply
from benchmarks.wire import BenchmarkError, Results

_BATCH = 64
_PAGE = os.sysconf("SC_PAGE_SIZE")


def residentBytes(pid: int) -> int:
    """
    Memory of a process that is its own: without what it shares with files.
    """
    with open(f"/proc/{pid}/statm", encoding="ascii") as stream:
        _, resident, shared = stream.read().split()[:3]
    return (int(resident) - int(shared)) * _PAGE


def perClient(server: Metadata, pid: int, clients: int) -> float:
    """
    Bytes for a client with a session that has said RECLAIM_COMPLETE, and is idle.
    """
    session = server.session(1)
    _mount(session, [b"warm-%d" % number for number in range(_BATCH)])
    before = residentBytes(pid)
    for first in range(0, clients, _BATCH):
        last = min(first + _BATCH, clients)
        _mount(session, [b"idle-%d" % number for number in range(first, last)])
    grown = residentBytes(pid) - before
    session.disconnect()
    return grown / clients


def _mount(session: Session, owners: Sequence[bytes]) -> None:
    """
    Become these clients, over one connection and many at a time.
    """
    replies = _many(session, [wire.exchangeId(owner, 0) for owner in owners])
    ids = [struct.unpack_from(">QI", reply, wire.RESULTS + 8) for reply in replies]
    made = [wire.createSession(found[0], found[1], 4, 65536) for found in ids]
    sessions = [
        Results(reply, wire.RESULTS + 8).fixed(16) for reply in _many(session, made)
    ]
    _many(
        session,
        [wire.sequence(found, 1, 0, 0) + wire.reclaimComplete() for found in sessions],
        2,
    )


def _many(session: Session, operations: Sequence[bytes], count: int = 1) -> list[bytes]:
    """
    A COMPOUND of C{count} operations each. @return: the replies, in order.
    """
    head = struct.pack(">III", 0, 1, count)
    session.socket.sendall(
        b"".join(
            wire.record(xid, head + operation)
            for xid, operation in enumerate(operations)
        )
    )
    replies = sorted(session.receive() for _ in operations)
    for reply in replies:
        if checkReply(reply):
            raise BenchmarkError("the server has no room for more")
    return replies


def perOpenFile(server: Metadata, pid: int, files: int) -> float:
    """
    Bytes for a file that one client holds open with a layout: its inode, open
    state, layout and placement.
    """
    session = server.session(16)
    run([(session, _holders(server, session, range(-200, 0)))], [])
    before = residentBytes(pid)
    run([(session, _holders(server, session, range(files)))], [])
    return (residentBytes(pid) - before) / files


def _holders(server: Metadata, session: Session, numbers: range) -> list[Task]:
    return [
        server.openWithLayout(session, iter(numbers[slot :: session.slots]))
        for slot in range(session.slots)
    ]
