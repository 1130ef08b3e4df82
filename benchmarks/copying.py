"""
How fast data servers copy from each other: C{python -m benchmarks.copying [MIB]
[FOLDER]} has one copy a file from another, and compares that with what one alone reads,
writes, and makes checksums of. It stands for the metadata server in that: what it costs
is measured too.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from typing import Any, Awaitable, Callable

from twisted.internet import task
from twisted.internet.defer import Deferred

from pnfs.admin.site import Site, SiteOptions
from pnfs.backends.ds.remote import gather
from pnfs.clock import MonotonicClock
from pnfs.config import DataServerConfig
from pnfs.mds.service import controlBackend
from pnfs.namespace.filehandles import READ, CapabilityCodec
from pnfs.values import CopySource, Stable

MIB = 1 << 20
NAME = b"00000001aabb"
AT_ONCE = 4
PART = 64 * MIB
"""What is asked for at a time."""


def cpuOf(pid: int) -> float:
    """
    Seconds of CPU that a process has used.
    """
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ownCPU() -> float:
    """
    That of this one.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Measuring:
    """
    Two data servers.

    @ivar source: has the file; target: gets it.
    """

    def __init__(self, site: Any, source: Any, target: Any, size: int) -> None:
        self.site = site
        self.source = source
        self.target = target
        self.size = size

    async def parts(
        self, step: Callable[[int, int], Awaitable[int]], part: int
    ) -> None:
        """
        The whole file, some parts at a time.

        @param step: does the beginning of a range, and says how much.
        """
        offsets = iter(range(0, self.size, part))

        async def worker() -> None:
            for offset in offsets:
                end = min(offset + part, self.size)
                while offset < end:
                    offset += await step(offset, end - offset)

        await gather([worker() for _ in range(AT_ONCE)])

    async def measure(
        self, what: str, step: Callable[[int, int], Awaitable[int]], part: int
    ) -> None:
        """
        One line.
        """
        pids = [ds["pid"] for ds in self.site.describe()["data_servers"]]
        before = [ownCPU(), *map(cpuOf, pids)]
        start = time.perf_counter()
        await self.parts(step, part)
        await self.target.commit(NAME, 0, 0)
        seconds = time.perf_counter() - start
        after = [ownCPU(), *map(cpuOf, pids)]
        gigabytes = self.size / 1e9
        used = [1000 * (b - a) / gigabytes for a, b in zip(before, after)]
        print(
            f"{what:28} {self.size / 1e6 / seconds:8.0f} MB/s; CPU ms per GB: "
            f"{used[0]:.1f} here, {' and '.join(f'{u:.0f}' for u in used[1:])} there",
            flush=True,
        )

    async def run(self, origin: CopySource) -> None:
        """
        All lines.
        """
        data = memoryview(os.urandom(MIB))

        async def write(ds: Any, offset: int, count: int) -> int:
            result = await ds.write(NAME, offset, data[:count], Stable.UNSTABLE)
            return int(result.count)

        async def read(offset: int, count: int) -> int:
            return int((await self.source.read(NAME, offset, count)).count)

        async def digest(offset: int, count: int) -> int:
            found = await self.source.checksums(NAME, offset, count, MIB)
            return len(found) * MIB

        async def copy(offset: int, count: int) -> int:
            result = await self.target.copy(NAME, offset, origin, offset, count)
            return int(result.count)

        for ds in (self.source, self.target):
            await ds.create(NAME, 0, 0, 0o600, 1)
        await self.parts(lambda at, count: write(self.source, at, count), MIB)
        await self.source.commit(NAME, 0, 0)
        await self.measure("read alone", read, MIB)
        await self.measure(
            "write alone", lambda at, count: write(self.target, at, count), MIB
        )
        await self.measure("checksums", digest, PART)
        await self.target.remove(NAME)
        await self.target.create(NAME, 0, 0, 0o600, 1)
        await self.measure("copied by the target", copy, PART)


async def measure(reactor: Any, folder: str, size: int) -> None:
    """
    Start a site, measure, stop it.
    """
    site = Site(reactor, SiteOptions(directory=folder, dataServers=2))
    await site.start()
    try:
        with open(os.path.join(folder, "cluster.key"), "rb") as file:
            key = file.read()
        capabilities = CapabilityCodec(key)
        found = []
        for told in site.describe()["data_servers"]:
            address = (told["host"], told["port"])
            config = DataServerConfig(told["name"], address, (address,), "nfs4.1")
            ds = controlBackend(
                reactor,
                MonotonicClock(reactor),
                config,
                capabilities,
                b"benchmark",
                os.urandom(8),
                MIB,
            )
            await ds.start()
            found.append((ds, address))
        (source, address), (target, _) = found
        origin = CopySource(
            NAME, source.uuid, (address,), capabilities.mint(READ, 1, NAME)
        )
        await Measuring(site, source, target, size).run(origin)
        for ds, _ in found:
            await ds.stop()
    finally:
        await site.stop()


def main() -> None:
    """
    The program.
    """
    size = (int(sys.argv[1]) if len(sys.argv) > 1 else 1024) * MIB
    parent = sys.argv[2] if len(sys.argv) > 2 else None
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        task.react(
            lambda reactor: Deferred.fromCoroutine(measure(reactor, folder, size))
        )


if __name__ == "__main__":
    main()
