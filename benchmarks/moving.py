"""
Bytes that move between data servers: a mirror that has missed everything is repaired,
and a data server is drained. The metadata server gives orders only. What one data
server reads and writes alone is measured beside it, as it bounds what can be moved.

C{python -m benchmarks.moving [MIB [ROUNDS]]} prints this part of the report alone.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from statistics import median
from threading import Thread
from typing import Any, Callable, Iterator, Optional, Sequence

from benchmarks import wire
from benchmarks.cells import Metadata, reading, writing
from benchmarks.layout import columns
from benchmarks.limits import NoLimits
from benchmarks.load import Outcome, Task, cpuSeconds, run
from benchmarks.report import table
from benchmarks.servers import OurSite
from benchmarks.session import USE_PNFS_DS, Session
from benchmarks.wire import BenchmarkError
from pnfs.admin.client import ControlClient, ControlFailed

MIB = 1 << 20
LEAVING = "ds1"
"""The data server that is lost, and comes back; or that is drained."""

ALONE = "one data server alone"
FILES = (12, 3)
"""How many there are; two thirds of them have a mirror that is moved."""

SLOTS = 4
LIMIT = 50 * MIB
"""Bytes per second of the repair beside which a client is measured."""

_WAIT_SECONDS = 120.0

SLOW = 500_000_000
"""
Bytes per second of a disk that is slower than everything else: two data servers share
the processors and the disk of one machine, of which one alone has all.
"""

Rate = Optional[int]
"""What the disk of each data server reads and writes; None: as much as there is."""

Cost = tuple[float, list[float]]
"""Bytes per second, and milliseconds of CPU for a GB of each group of processes."""


def warm(size: int) -> None:
    """
    Have so much memory at hand. A virtual machine that gives unused memory back to its
    host gets it again at a multiple of what it costs to copy a page: who writes first
    would pay for that, and not who writes where somebody else's pages were. Nothing is
    left to be done by the disk.
    """
    block = bytes(MIB)
    with tempfile.TemporaryFile(buffering=0) as file:
        for _ in range(size // MIB):
            file.write(block)
    # Or what is left to be flushed would be in the way.
    os.sync()


def costOf(work: Callable[[], int], groups: Sequence[Sequence[int]]) -> Cost:
    """
    @param work: moves bytes, and says how many.
    @param groups: of processes.
    """
    before = [cpuSeconds(pids) for pids in groups]
    begin = time.perf_counter()
    moved = work()
    seconds = time.perf_counter() - begin
    used = [cpuSeconds(pids) - b for pids, b in zip(groups, before)]
    if not moved:
        raise BenchmarkError("nothing was left to be moved: move more")
    return moved / seconds, [1e12 * cpu / moved for cpu in used]


def alone(operation: str, size: int) -> Cost:
    """
    One data server with a file that is written for the first time, until that is
    durable, or read.
    """
    site = OurSite(1)
    try:
        metadata = Metadata(site.host, site.port, site.export)
        keeper = metadata.session(1)
        fh, stateid = keeper.open(metadata.fh, b"alone")
        (column,) = columns(keeper, fh, stateid)
        session = Session(column.host, column.port, SLOTS, USE_PNFS_DS)

        def go(make: Callable[..., Task]) -> int:
            tasks = [
                make(column.fh, stateid, iter(range(n * MIB, size, SLOTS * MIB)), MIB)
                for n in range(SLOTS)
            ]
            run([(session, tasks)], [])
            session.run(wire.putfh(column.fh), wire.COMMIT)
            return size

        if operation == "read":
            go(writing)
        make = reading if operation == "read" else writing
        warm(size)
        return costOf(lambda: go(make), [site.pids[1:]])
    finally:
        site.stop()


class MovingSite:
    """
    Mirrored files on three data servers.
    """

    def __init__(self, size: int, files: int) -> None:
        """
        @param size: bytes of all files.
        """
        self._each = size // files // MIB * MIB
        self.site = site = OurSite(3, layout="flexfiles", mirrors=2)
        self._control = ControlClient(site.control)
        self._metadata = Metadata(site.host, site.port, site.export)
        self._session = self._metadata.session(files)
        self._files = [
            self._session.open(self._metadata.fh, b"moved-%d" % number)
            for number in range(files)
        ]
        # Now they have their data servers.
        self._write(0, MIB)
        self.groups = [[site.mds], site.pids[1:]]

    def stop(self) -> None:
        """
        End it.
        """
        self._control.close()
        self.site.stop()

    def _write(self, start: int, end: int) -> None:
        """
        A range of each file, through the metadata server, durably.
        """
        tasks = [
            writing(fh, stateid, iter(range(start, end, MIB)), MIB)
            for fh, stateid in self._files
        ]
        run([(self._session, tasks)], [])
        # What a client has not committed would be flushed by the repair.
        for fh, _ in self._files:
            self._session.run(wire.putfh(fh), wire.COMMIT)

    def _call(self, command: str, **args: Any) -> Any:
        return self._control.call(command, args)

    def _patiently(self, command: str, **args: Any) -> None:
        """
        Until it is not refused: the index of files is made first.
        """
        until = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                self._call(command, **args)
                return
            except ControlFailed:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def fill(self) -> None:
        """
        All is written.
        """
        self._write(MIB, self._each)

    def miss(self) -> None:
        """
        A data server is away while everything is written.
        """
        self._patiently("ds.kill", name=LEAVING)
        self._write(MIB, self._each)

    def comeBack(self) -> None:
        """
        It answers again, and is not repaired yet.
        """
        self._call("ds.enable", name=LEAVING)
        until = time.monotonic() + _WAIT_SECONDS
        # A repair begins by itself a moment after that.
        while not self._call("mirror.status")["running"]:
            if time.monotonic() > until:
                raise ControlFailed(f"{LEAVING} does not come back")
            time.sleep(0.05)
        self._call("mirror.stop")

    def repair(self) -> int:
        """
        It catches up. @return: bytes copied.
        """
        told = self._call("mirror.repair", name=LEAVING, limit=0)
        return sum(int(each["bytes"]) for each in told["servers"])

    def drain(self) -> int:
        """
        All that it has goes elsewhere. @return: bytes copied.
        """
        job = self._call("ds.drain", name=LEAVING)["job"]
        return int(self._call("jobs.wait", id=job["id"])["bytes"])

    def reads(self, seconds: float) -> Outcome:
        """
        A client reads a file through the metadata server.
        """
        session = self._metadata.session(1)
        fh, stateid = session.open(self._metadata.fh, b"moved-0")
        task = reading(fh, stateid, _around(self._each), 65536)
        outcome = run([(session, [task])], self.site.pids, seconds)
        session.disconnect()
        return outcome

    def beside(self, seconds: float) -> Outcome:
        """
        The same while a repair is going on that is limited.
        """
        control = ControlClient(self.site.control)
        repair = {"name": LEAVING, "limit": LIMIT}
        waiting = Thread(target=_ask, args=(control, "mirror.repair", repair))
        waiting.start()
        try:
            time.sleep(0.5)
            return self.reads(seconds)
        finally:
            self._call("mirror.stop")
            waiting.join()
            control.close()


def _ask(control: ControlClient, command: str, args: dict[str, Any]) -> None:
    control.call(command, args)


def _around(size: int) -> Iterator[int]:
    while True:
        yield from range(0, size, 65536)


class Round:
    """
    What moving costs, measured once.

    @ivar figures: what was found, by operation and data.
    @ivar shares: of what one data server alone does.
    @ivar noticed: what a client notices of it: without, and with a repair.
    """

    def __init__(self, size: int, seconds: float, rate: Rate = None) -> None:
        """
        @param rate: None: a data server alone is measured before and after everything,
            as some machines are slower at times.
        @raise NoLimits: disks cannot be made so slow here.
        """
        self._size = size
        self._rate = rate
        self.figures: dict[tuple[str, str], list[Cost]] = {}
        self.shares: dict[tuple[str, str], float] = {}
        self.noticed: list[Outcome] = []
        if rate is None:
            self.figures["read", ALONE] = [alone("read", size // 2)]
        self._bound = self._alone()
        for files in FILES:
            data = f"{files} files of {size // files // MIB} MiB"
            moving = MovingSite(size, files)
            try:
                moving.miss()
                moving.comeBack()
                if files == FILES[0] and rate is None:
                    self.noticed = [moving.reads(seconds), moving.beside(seconds)]
                cost = self._cost(moving, moving.repair)
            finally:
                moving.stop()
            self._found(("repair", data), cost)
            # What has been repaired is not in memory, as it is where one reads alone.
            moving = MovingSite(size, files)
            try:
                moving.fill()
                cost = self._cost(moving, moving.drain)
            finally:
                moving.stop()
            self._found(("drain", data), cost)

    def _alone(self) -> float:
        """
        Bytes per second that one data server alone writes, which takes longer than to
        read.
        """
        if self._rate is not None:
            return self._rate
        cost = alone("write", self._size // 2)
        self.figures.setdefault(("write", ALONE), []).append(cost)
        return cost[0]

    def _cost(self, moving: MovingSite, work: Callable[[], int]) -> Cost:
        warm(2 * self._size)
        if self._rate is not None:
            moving.site.slow(self._rate)
        return costOf(work, moving.groups)

    def _found(self, key: tuple[str, str], cost: Cost) -> None:
        before, self._bound = self._bound, self._alone()
        self.figures[key] = [cost]
        self.shares[key] = 2 * cost[0] / (before + self._bound)


def _costs(rounds: Sequence[Round]) -> list[list[str]]:
    """
    The medians, without a head.
    """
    rows = []
    for operation, data in rounds[0].figures:
        key = operation, data
        costs = [cost for each in rounds for cost in each.figures[key]]
        speed = median(speed for speed, _ in costs) / 1e6
        shares = [100 * each.shares[key] for each in rounds if key in each.shares]
        used = [f"{median(cpu):,.1f}" for cpu in zip(*(cpus for _, cpus in costs))]
        rows.append(
            [
                operation,
                data,
                f"{speed:,.0f}",
                f"{median(shares):.0f} %" if shares else "–",
                *["–"] * (2 - len(used)),
                *used,
            ]
        )
    return rows


def lines(size: int, rounds: int, seconds: float) -> list[list[list[str]]]:
    """
    @param size: bytes of the files of which some are moved.
    @return: tables: what moving costs; the same where disks are slow; what a client
        notices of it.
    """
    head = "operation,data,MB/s,%s,MDS: CPU ms per GB,data servers"
    done = [Round(size, seconds) for _ in range(rounds)]
    first = [(head % "of one that writes alone").split(","), *_costs(done)]
    second = [(head % f"of a disk limited to {SLOW // 10**6} MB/s").split(",")]
    try:
        second += _costs([Round(size, seconds, SLOW) for _ in range(rounds)])
    except NoLimits as error:
        second.append([f"not measured: {error}", *[""] * 5])
    third = [["a client reads 64 KiB", "", "p99 µs", "MB/s"]]
    for number, what in enumerate(
        ("nothing else is done", f"repair limited to {LIMIT // MIB} MiB/s")
    ):
        outcomes = [each.noticed[number] for each in done]
        p99 = median(outcome.p99 for outcome in outcomes)
        speed = median(each.operations * 0.065536 / each.seconds for each in outcomes)
        third.append([what, "", f"{p99:,.0f}", f"{speed:,.0f}"])
    return [first, second, third]


def main() -> None:
    """
    The program.
    """
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 3072
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    for each in lines(size * MIB, rounds, 3.0):
        print(table(each) + "\n")


if __name__ == "__main__":
    main()
