"""
What many held states cost: an OPEN with CLOSE beside a million others, metadata
operations while ten thousand layouts are recalled, and while a client goes with a million
opens.

C{python -m benchmarks.state [OPENS [LAYOUTS]]}: whole COMPOUNDs in one process, with
the collector of garbage set as in a service; no network. On two busy cores, OPEN with
CLOSE took 19.4 us beside 1,000 other opens, 20.3 beside 1,000,000; another client's
GETATTR waited 62 ms at most while 10,000 layouts of one client were recalled, 33 ms
if they were those of 100, and 2 ms while a client went that had 1,000,000 opens.
"""

from __future__ import annotations

import gc
import os
import struct
import sys
import time
from typing import Any, Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from benchmarks import wire
from pnfs.backends.metadata.memory import MemoryMetadataBackend
from pnfs.backends.metadata.recovery import MemoryRecoveryStore
from pnfs.callbacks.recall import LayoutRecaller
from pnfs.clock import MonotonicClock
from pnfs.namespace.exports import Export, ExportTable
from pnfs.namespace.filehandles import FilehandleCodec
from pnfs.nfs4.compound import CompoundServer
from pnfs.nfs4.context import ServerContext
from pnfs.nfs4.optable import mdsTables
from pnfs.nfs4.ops.unlinked import stateDropper
from pnfs.nfs4.status import nfsstat4
from pnfs.rpc.coroutines import drive
from pnfs.rpc.peer import Peer
from pnfs.rpc.program import Call
from pnfs.state.clients import ClientTable
from pnfs.state.files import fileState
from pnfs.state.layouts import WHOLE_READ, LayoutTable
from pnfs.state.locks import LockTable
from pnfs.state.opens import OpenTable
from pnfs.state.recovery import Grace
from pnfs.state.sessions import SessionTable
from pnfs.state.stateids import StateidTable
from pnfs.values import Credential, FileType, NewObject, SetAttributes

OWNERS = 16
"""Open owners per file: the tree in memory has a sixteenth of the opens in files."""

_OPENED = wire.AFTER_PUTFH - 24
"""Where the result of OPEN is: there is no RPC header here."""

_ROOT = Credential(0, 0, frozenset({0}), 1)


class Server:
    """
    A metadata server in this process, with one client and its session.
    """

    def __init__(self, clock: Any) -> None:
        store = MemoryRecoveryStore()
        epoch = store.beginEpoch()
        stateids = StateidTable(epoch, os.urandom)
        now = clock.seconds()
        grace = Grace(store, now, 90.0)
        self.context = context = ServerContext(
            clock,
            time.time_ns,
            os.urandom,
            owner=b"bench",
            scope=b"bench",
            clients=ClientTable(epoch, os.urandom, 90.0, grace),
            sessions=SessionTable(os.urandom),
            recovery=grace,
            stateids=stateids,
            opens=OpenTable(stateids),
            locks=LockTable(stateids),
            layouts=LayoutTable(stateids),
        )
        self.backend = MemoryMetadataBackend(context.wallTime, os.urandom)
        _now(self.backend.start())
        root = self.backend.root
        _now(self.backend.setattr(root, SetAttributes(mode=0o777)))
        self.export = Export("/export", self.backend, rootSquash=False)
        context.exports = ExportTable([self.export])
        context.filehandles = FilehandleCodec(b"k" * 32)
        self._compounds = CompoundServer(context, mdsTables())
        self._peer = Peer((), lambda pieces, size: None, clock)
        self.session(b"bench")

    def compound(self, minor: int, *operations: bytes) -> bytes:
        """
        Have a COMPOUND served. @return: C{COMPOUND4res}.
        """
        body = struct.pack(">III", 0, minor, len(operations)) + b"".join(operations)
        call = Call(1, _ROOT, self._peer, len(body) + 40)
        pieces: Any = self._compounds.compound(call, body, 0)
        if pieces.__class__ is not list:
            pieces = _now(pieces)
        reply = b"".join([bytes(piece) for piece in pieces])
        if reply[:4] != bytes(4):
            raise wire.BenchmarkError(nfsstat4(int.from_bytes(reply[:4], "big")).name)
        return reply

    def session(self, owner: bytes) -> Any:
        """
        Become another client. @return: its record.
        """
        found = self.compound(1, wire.exchangeId(owner, 0))
        clientid, sequenceid = struct.unpack_from(">QI", found, 20)
        made = self.compound(1, wire.createSession(clientid, sequenceid, 1, 65536))
        self.sessionid = made[20:36]
        self._sequenceid = 0
        self.run(wire.reclaimComplete())
        return self.context.clients.find(clientid)

    def run(self, *operations: bytes) -> bytes:
        """
        A COMPOUND in the session.
        """
        self._sequenceid += 1
        head = wire.sequence(self.sessionid, self._sequenceid, 0, 0)
        return self.compound(1, head, *operations)

    def make(self, name: bytes) -> Any:
        """
        A file.
        """
        return _now(
            self.backend.create(
                self.backend.root, name, NewObject(FileType.REG, 0o666, 0, 0)
            )
        )

    def fh(self, inode: Any) -> bytes:
        """
        Its filehandle.
        """
        return self.context.filehandles.encode(self.export, inode)  # type: ignore[no-any-return]


def _now(coroutine: Any) -> Any:
    results: list[Any] = []
    drive(coroutine, results.append, results.append)
    if isinstance(results[0], Exception):
        raise results[0]
    return results[0]


def openHere(owner: bytes) -> bytes:
    """
    OPEN of the current file for reading and writing, without a delegation.
    """
    head = struct.pack(">IIIIQ", 18, 0, 3 | 0x400, 0, 0) + wire.opaque(owner)
    return head + struct.pack(">II", 0, 4)


class Probe:
    """
    Opens and closes files in turn beside the opens held on a server.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._fhs = [server.fh(server.make(b"probe-%d" % n)) for n in range(64)]
        self._held = 0
        self.longest = 0.0
        self.best = float("inf")

    def hold(self, count: int) -> None:
        """
        Open more files; C{longest} is the most CPU time that one OPEN has taken.
        """
        self.longest = 0.0
        server = self._server
        while self._held < count:
            putfh = wire.putfh(server.fh(server.make(b"held-%d" % self._held)))
            for owner in range(OWNERS):
                begin = time.process_time()
                server.run(putfh, openHere(b"owner-%d" % owner))
                self.longest = max(self.longest, time.process_time() - begin)
            self._held += OWNERS

    def run(self, rounds: int) -> None:
        """
        C{best} is the least CPU time that OPEN and CLOSE have taken in any run: the
        machine may have other work.
        """
        server, fhs = self._server, self._fhs
        begin = time.process_time()
        for number in range(rounds):
            putfh = wire.putfh(fhs[number % len(fhs)])
            reply = server.run(putfh, openHere(b"probe"))
            server.run(putfh, wire.close(reply[_OPENED + 8 : _OPENED + 24]))
        self.best = min(self.best, (time.process_time() - begin) / rounds)


def opens(clock: Any, counts: Sequence[int], say: Callable[[str], None]) -> None:
    """
    How OPEN with CLOSE gets slower as more opens are held: the first count and each
    of the others are measured by turns.
    """
    few, many = Probe(Server(clock)), Probe(Server(clock))
    few.hold(counts[0])
    for count in counts[1:]:
        many.hold(count)
        few.best = many.best = float("inf")
        for _ in range(15):
            few.run(1000)
            many.run(1000)
        say(
            f"OPEN + CLOSE: {few.best * 1e6:.1f} us CPU with {counts[0]} opens held, "
            f"{many.best * 1e6:.1f} with {count} "
            f"({100 * (many.best / few.best - 1):+.0f} %); "
            f"longest OPEN meanwhile {many.longest * 1000:.0f} ms CPU"
        )


async def depart(reactor: Any, server: Server, count: int) -> float:
    """
    A client with so many opens goes, while another one asks for attributes all the
    time.

    @return: the longest time that it had to wait, in seconds of CPU.
    """
    context = server.context
    context.data = _NoData()
    context.recaller = LayoutRecaller(context, None)
    context.clients.listeners += [
        context.recaller.clientGone,
        stateDropper(context, context.recaller.turns.add),
        context.sessions.dropClient,
    ]
    leaver = server.session(b"leaver")
    for number in range(count // OWNERS):
        inode = server.make(b"left-%d" % number)
        file = fileState(server.fh(inode), inode, server.export)
        for owner in range(OWNERS):
            context.opens.open(file, leaver, b"owner-%d" % owner, 1, 0)
    server.session(b"other")
    probe = wire.putfh(server.fh(server.make(b"probe")))
    longest = 0.0
    cpu = time.process_time()
    context.clients.revoke(leaver)
    while context.opens.count:
        server.run(probe, wire.GETATTR)
        now = time.process_time()
        longest = max(longest, now - cpu)
        cpu = now
        await deferLater(reactor, 0)
    context.recaller.stop()
    return longest


def recall(
    reactor: Any, server: Server, layouts: int, clients: int
) -> Deferred[tuple[float, float]]:
    """
    Recall layouts of clients that answer at once, while another client asks for
    attributes every millisecond.

    @return: fires with the longest time that it had to wait while we were busy (CPU,
        as others may use the machine), and how long the recall took, in seconds.
    """
    context = server.context
    context.data = _NoData()
    answered: list[Any] = []

    def send(layout: Any, changed: bool, stateid: bytes) -> Deferred[int]:
        answer: Deferred[int] = Deferred()
        answered.append(layout)
        reactor.callLater(0.0005, answer.callback, nfsstat4.NFS4_OK)
        reactor.callLater(0.001, context.layouts.drop, layout)
        return answer

    context.recaller = LayoutRecaller(context, send)
    members = [server.session(b"holder-%d" % number) for number in range(clients)]
    for number in range(layouts):
        inode = server.make(b"laid-out-%d" % number)
        file = fileState(server.fh(inode), inode, server.export)
        client = members[number % clients]
        context.opens.open(file, client, b"o", 1, 0)
        context.layouts.grant(file, client, 1, (b"\1" * 16,), WHOLE_READ)
    done: Deferred[tuple[float, float]] = Deferred()
    probe = wire.putfh(server.fh(server.make(b"probe")))
    longest = 0.0
    begin = time.perf_counter()
    cpu = time.process_time()

    def ask() -> None:
        nonlocal longest, cpu
        server.run(probe, wire.GETATTR)
        now = time.process_time()
        longest = max(longest, now - cpu)
        cpu = now
        if recalled.called:
            context.recaller.stop()
            done.callback((longest, time.perf_counter() - begin))
        else:
            reactor.callLater(0.001, ask)

    recalled = context.recaller.recallDataServer(b"\1" * 16)
    reactor.callLater(0, ask)
    return done


class _NoData:
    """
    Nothing has been written to data servers.
    """

    async def refresh(self, export: Any, inode: Any) -> None:
        """
        See L{pnfs.interfaces.IFileData.refresh}.
        """


def main(reactor: Any, *arguments: str) -> Deferred[None]:
    """
    Measure, and print.
    """
    most = int(arguments[0]) if arguments else 1_000_000
    layouts = int(arguments[1]) if len(arguments) > 1 else 10_000
    clock = MonotonicClock(reactor)
    gc.collect()
    gc.freeze()
    gc.set_threshold(5000, 20, 1000000)
    opens(clock, [1000, *sorted({min(100_000, most), most})], print)

    async def recalls() -> None:
        for clients in (1, 100):
            longest, seconds = await recall(reactor, Server(clock), layouts, clients)
            print(
                f"{layouts} layouts of {clients} clients recalled in {seconds:.2f} s; "
                f"GETATTR of another waited {longest * 1000:.1f} ms at most"
            )

        waited = await depart(reactor, Server(clock), most)
        print(
            f"a client went with {most} opens; "
            f"GETATTR of another waited {waited * 1000:.1f} ms at most"
        )

    return Deferred.fromCoroutine(recalls())


if __name__ == "__main__":
    from twisted.internet.task import react

    react(main, sys.argv[1:])
