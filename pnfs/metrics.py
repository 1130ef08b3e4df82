# -*- test-case-name: tests.test_metrics -*-
"""
What a server counts, for Prometheus.

The counting itself happens where things happen, in plain integers; a collector
reads them when somebody asks.
"""

from __future__ import annotations

from typing import Any, Callable, Iterable, Iterator, Optional

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.twisted import MetricsResource
from twisted.web.resource import Resource
from twisted.web.server import Site

from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import nfs_opnum4

LATENCY_BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.1, 1.0)
"""Upper bounds of the latency histogram's buckets, in seconds."""

_OPERATIONS = {number.value: number.name[3:] for number in nfs_opnum4}
_STATUSES = {status.value: status.name for status in nfsstat4}


class Latency:
    """
    How long COMPOUNDs take, of a sample of them.
    """

    def __init__(self) -> None:
        self.counts = [0] * (len(LATENCY_BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """
        Count one.
        """
        self.total += seconds
        for index, bound in enumerate(LATENCY_BOUNDS):
            if seconds <= bound:
                self.counts[index] += 1
                return
        self.counts[-1] += 1


class NFSCollector(Collector):
    """
    Operations by name and status, latency, bytes, connections.
    """

    def __init__(self, server: Any, counters: Callable[[], Any]) -> None:
        """
        @param server: L{pnfs.nfs4.context.ServerContext}.
        @param counters: gives L{pnfs.rpc.limits.Counters}.
        """
        self._server = server
        self._counters = counters

    def collect(self) -> Iterator[Any]:
        """
        As C{Collector.collect}.
        """
        server = self._server
        operations = CounterMetricFamily(
            "pnfs_operations",
            "NFSv4 operations by name and status",
            labels=("operation", "status"),
        )
        for number, name in _OPERATIONS.items():
            if number < len(server.done):
                operations.add_metric((name, "NFS4_OK"), server.done[number])
        for (number, status), count in list(server.failed.items()):
            operations.add_metric(
                (
                    _OPERATIONS.get(number, str(number)),
                    _STATUSES.get(status, str(status)),
                ),
                count,
            )
        yield operations
        io = CounterMetricFamily(
            "pnfs_io_bytes", "Bytes read and written", labels=("direction",)
        )
        io.add_metric(("read",), server.readBytes)
        io.add_metric(("write",), server.writeBytes)
        yield io
        if server.latency is not None:
            yield self._latency(server.latency)
        counters = self._counters()
        yield GaugeMetricFamily(
            "pnfs_connections", "Open connections", value=counters.connections
        )
        for name, value, text in (
            ("pnfs_rpc_calls", counters.calls, "RPC calls served"),
            ("pnfs_rpc_errors", counters.errors, "Calls answered with an RPC error"),
            (
                "pnfs_rpc_violations",
                counters.violations,
                "Connections closed for cause",
            ),
            ("pnfs_received_bytes", counters.bytesIn, "Bytes received"),
            ("pnfs_sent_bytes", counters.bytesOut, "Bytes sent"),
        ):
            yield CounterMetricFamily(name, text, value=value)
        for name, table, text in (
            ("pnfs_clients", server.clients, "Confirmed clients"),
            ("pnfs_sessions", server.sessions, "Sessions"),
            ("pnfs_layouts", server.layouts, "Layouts held by clients"),
            ("pnfs_delegations", server.delegations, "Delegations held by clients"),
            (
                "pnfs_stateids",
                server.stateids,
                "Opens, locks, layouts and delegations held",
            ),
        ):
            if table is not None:
                yield GaugeMetricFamily(name, text, value=len(table))
        if server.delegating is not None:
            recalls = CounterMetricFamily(
                "pnfs_delegation_recalls",
                "Delegation recalls by how they ended",
                labels=("end",),
            )
            for end, count in sorted(server.delegating.counts.items()):
                recalls.add_metric((end,), count)
            yield recalls

    def _latency(self, latency: Latency) -> HistogramMetricFamily:
        buckets = []
        running = 0
        for bound, count in zip(LATENCY_BOUNDS, latency.counts):
            running += count
            buckets.append((str(bound), running))
        buckets.append(("+Inf", running + latency.counts[-1]))
        family = HistogramMetricFamily(
            "pnfs_compound_seconds", "Time a COMPOUND takes, of one in 64"
        )
        family.add_metric((), buckets, latency.total)
        return family


class DataServersCollector(Collector):
    """
    The data servers as the metadata server sees them, and recalls.
    """

    def __init__(self, servers: Any, recaller: Any, layouts: Any) -> None:
        self._servers = servers
        self._recaller = recaller
        self._layouts = layouts

    def collect(self) -> Iterator[Any]:
        """
        As C{Collector.collect}.
        """
        up = GaugeMetricFamily(
            "pnfs_data_server_up", "1 if it answers", labels=("data_server",)
        )
        free = GaugeMetricFamily(
            "pnfs_data_server_free_bytes", "Space left", labels=("data_server",)
        )
        lost = GaugeMetricFamily(
            "pnfs_data_server_lost",
            "1 if files with another mirror go on without it",
            labels=("data_server",),
        )
        for member in self._servers.members:
            labels = (member.config.name,)
            up.add_metric(labels, 1 if member.up else 0)
            lost.add_metric(labels, 1 if member.uuid in self._servers.condemned else 0)
            if member.space is not None:
                free.add_metric(labels, member.space.spaceAvailable)
        yield up
        yield lost
        yield free
        errors = CounterMetricFamily(
            "pnfs_device_errors",
            "Errors that clients report of devices",
            labels=("device", "status"),
        )
        for (deviceid, status), count in list(self._layouts.reports.errors.items()):
            errors.add_metric(
                (deviceid.hex(), _STATUSES.get(status, str(status))), count
            )
        yield errors
        yield from self._transferred()
        recalls = CounterMetricFamily(
            "pnfs_recalls", "Layout recalls by how they ended", labels=("end",)
        )
        for end, count in sorted(self._recaller.counts.items()):
            recalls.add_metric((end,), count)
        yield recalls

    def _transferred(self) -> Iterator[Any]:
        """
        What clients say they have read and written at data servers.
        """
        calls = CounterMetricFamily(
            "pnfs_device_operations",
            "READs and WRITEs that clients report of devices",
            labels=("device", "direction"),
        )
        size = CounterMetricFamily(
            "pnfs_device_bytes",
            "Bytes that clients report to have read from devices and written there",
            labels=("device", "direction"),
        )
        for deviceid, totals in list(self._layouts.reports.totals.items()):
            name = deviceid.hex()
            calls.add_metric((name, "read"), totals.readCount)
            calls.add_metric((name, "write"), totals.writeCount)
            size.add_metric((name, "read"), totals.readBytes)
            size.add_metric((name, "write"), totals.writeBytes)
        yield calls
        yield size


class RepairCollector(Collector):
    """
    Mirrors that have missed something, and their repair.
    """

    def __init__(self, repairs: Any, servers: Any) -> None:
        """
        @param repairs: L{pnfs.mds.repairs.Repairs}.
        """
        self._repairs = repairs
        self._servers = servers

    def collect(self) -> Iterator[Any]:
        """
        As C{Collector.collect}. To count stale mirrors takes a moment: what is told is
        what there were when this was last asked for.
        """
        labels = ("data_server",)
        stale = GaugeMetricFamily(
            "pnfs_mirrors_stale", "Mirrors that have missed something", labels=labels
        )
        files = CounterMetricFamily(
            "pnfs_mirrors_repaired", "Mirrors repaired", labels=labels
        )
        copied = CounterMetricFamily(
            "pnfs_mirror_repair_bytes", "Bytes copied to repair mirrors", labels=labels
        )
        failed = CounterMetricFamily(
            "pnfs_mirror_repairs_failed",
            "Times that a mirror could not be repaired",
            labels=labels,
        )
        counts = self._repairs.counted()
        for member in self._servers.members:
            name = (member.config.name,)
            stale.add_metric(name, counts.get(member.uuid, 0))
            done = self._repairs.total(member.uuid)
            files.add_metric(name, done.files)
            copied.add_metric(name, done.bytes)
            failed.add_metric(name, done.failures)
        yield from (stale, files, copied, failed)


class ScrubCollector(Collector):
    """
    What the scrub has found: that under way, or the last one.
    """

    def __init__(self, scrub: Any) -> None:
        """
        @param scrub: L{pnfs.mds.scrub.Scrub}.
        """
        self._scrub = scrub

    def collect(self) -> Iterator[Any]:
        """
        As C{Collector.collect}.
        """
        scrub = self._scrub
        state = scrub.state
        for name, text, value in (
            ("running", "1 if one is under way", scrub.running),
            ("began_seconds", "When it began", state.began / 1e9),
            ("files", "Files looked at", state.files),
            ("bytes", "Bytes of them compared", state.bytes),
            ("not_seen", "Files that could not be looked at", state.busy),
            ("wrong", "Files with copies missing or different", state.wrong),
            ("orphans", "Data files that belong to nothing", len(state.orphans)),
        ):
            family = GaugeMetricFamily(f"pnfs_scrub_{name}", text)
            family.add_metric((), float(value))
            yield family


def mirrorCollectors(repairs: Any, servers: Any, scrub: Any) -> list[Collector]:
    """
    What there is to be told of copies of files.
    """
    return [RepairCollector(repairs, servers), ScrubCollector(scrub)]


class _QuietSite(Site):
    """
    Whoever asks for metrics asks often.
    """

    def log(self, request: Any) -> None:
        """
        No line per request.
        """


def metricsSite(collectors: Iterable[Collector], reactor: Optional[Any] = None) -> Site:
    """
    The HTTP site that answers C{/metrics}.
    """
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    root = Resource()  # type: ignore[no-untyped-call]
    resource = MetricsResource(registry=registry)  # type: ignore[no-untyped-call]
    root.putChild(b"metrics", resource)
    site = _QuietSite(root)  # type: ignore[no-untyped-call]
    site.displayTracebacks = False
    return site
