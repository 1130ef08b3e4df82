"""
Tests of L{pnfs.metrics}; the counters of a whole site are looked at in
L{tests.mds.test_service}.
"""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyRequest
from twisted.web.wsgi import WSGIResource

from pnfs.mds.repaired import Repaired
from pnfs.mds.scrubstate import Orphan, Problem, ScrubState
from pnfs.metrics import (
    LATENCY_BOUNDS,
    DataServersCollector,
    RepairCollector,
    ScrubCollector,
    Latency,
    NFSCollector,
    metricsSite,
)
from pnfs.nfs4.context import ServerContext
from pnfs.rpc.limits import Counters
from pnfs.state.reports import DeviceTotals, Reports


class Thing:
    """
    Anything with attributes.
    """

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


def told(*collectors: Any) -> dict[str, float]:
    """
    Sample (with its labels) to value, of what Prometheus is told.
    """
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    found = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            labels = ",".join(sample.labels.values())
            found[f"{sample.name}({labels})" if labels else sample.name] = sample.value
    return found


class CollectorTests(SynchronousTestCase):
    """
    What is counted is told, in the units its names say.
    """

    def setUp(self) -> None:
        """
        A server that has done something.
        """
        self.server = ServerContext(Clock(), lambda: 0, bytes)
        self.counters = Counters()

    def told(self) -> dict[str, float]:
        """
        What it tells.
        """
        return told(NFSCollector(self.server, lambda: self.counters))

    def test_operations(self) -> None:
        """
        By name and status, also those that this program has no name for.
        """
        self.server.done[53] = 7
        self.server.failed[(22, 70)] = 2
        self.server.failed[(10044, 10044)] = 1
        self.server.failed[(9, 4711)] = 3
        found = self.told()
        self.assertEqual(found["pnfs_operations_total(SEQUENCE,NFS4_OK)"], 7)
        self.assertEqual(found["pnfs_operations_total(PUTFH,NFS4ERR_STALE)"], 2)
        self.assertEqual(found["pnfs_operations_total(ILLEGAL,NFS4ERR_OP_ILLEGAL)"], 1)
        self.assertEqual(found["pnfs_operations_total(GETATTR,4711)"], 3)

    def test_bytes(self) -> None:
        """
        What went through, and connections.
        """
        self.server.readBytes, self.server.writeBytes = 10, 20
        self.counters.connections, self.counters.violations = 3, 4
        found = self.told()
        self.assertEqual(found["pnfs_io_bytes_total(read)"], 10)
        self.assertEqual(found["pnfs_io_bytes_total(write)"], 20)
        self.assertEqual(found["pnfs_connections"], 3)
        self.assertEqual(found["pnfs_rpc_violations_total"], 4)

    def test_tables(self) -> None:
        """
        The tables that a server has are measured; a data server has fewer.
        """
        self.server.clients = [1, 2]
        found = self.told()
        self.assertEqual(found["pnfs_clients"], 2)
        self.assertNotIn("pnfs_layouts", found)

    def test_latency(self) -> None:
        """
        A histogram is cumulative, and its bounds belong to the bucket below.
        """
        latency = self.server.latency = Latency()
        for seconds in (0.00005, LATENCY_BOUNDS[0], 0.003, 100.0):
            latency.observe(seconds)
        found = self.told()
        self.assertEqual(found["pnfs_compound_seconds_bucket(0.0001)"], 2)
        self.assertEqual(found["pnfs_compound_seconds_bucket(0.005)"], 3)
        self.assertEqual(found["pnfs_compound_seconds_bucket(1.0)"], 3)
        self.assertEqual(found["pnfs_compound_seconds_bucket(+Inf)"], 4)
        self.assertEqual(found["pnfs_compound_seconds_count"], 4)
        self.assertAlmostEqual(found["pnfs_compound_seconds_sum"], 100.00315)

    def test_dataServers(self) -> None:
        """
        Which of them answer, what they have left, and what clients say of them.
        """
        members = [
            Thing(
                config=Thing(name="a"),
                uuid=b"a",
                up=True,
                space=Thing(spaceAvailable=5),
            ),
            Thing(config=Thing(name="b"), uuid=b"b", up=False, space=None),
        ]
        reports = Reports()
        reports.errors[(b"\1" * 16, 5)] = 2
        reports.totals[b"\1" * 16] = DeviceTotals(1, 20, 3, 400)
        found = told(
            DataServersCollector(
                Thing(members=members, condemned={b"b"}),
                Thing(counts={"returned": 3, "revoked": 1}),
                Thing(reports=reports),
            )
        )
        self.assertEqual(found["pnfs_data_server_up(a)"], 1)
        self.assertEqual(found["pnfs_data_server_up(b)"], 0)
        self.assertEqual(found["pnfs_data_server_lost(a)"], 0)
        self.assertEqual(found["pnfs_data_server_lost(b)"], 1)
        self.assertEqual(found["pnfs_data_server_free_bytes(a)"], 5)
        self.assertNotIn("pnfs_data_server_free_bytes(b)", found)
        self.assertEqual(found["pnfs_recalls_total(revoked)"], 1)
        device = "01" * 16
        self.assertEqual(found[f"pnfs_device_errors_total({device},NFS4ERR_IO)"], 2)
        self.assertEqual(found[f"pnfs_device_operations_total({device},read)"], 1)
        self.assertEqual(found[f"pnfs_device_bytes_total({device},write)"], 400)

    def test_repair(self) -> None:
        """
        What is stale, and what has been done about it, by data server.
        """
        done = Repaired(files=2, bytes=30, failures=1)
        repairs = Thing(counted=lambda: {b"a": 4}, total=lambda uuid: done)
        members = [Thing(config=Thing(name="a"), uuid=b"a")]
        found = told(RepairCollector(repairs, Thing(members=members)))
        self.assertEqual(found["pnfs_mirrors_stale(a)"], 4)
        self.assertEqual(found["pnfs_mirrors_repaired_total(a)"], 2)
        self.assertEqual(found["pnfs_mirror_repair_bytes_total(a)"], 30)
        self.assertEqual(found["pnfs_mirror_repairs_failed_total(a)"], 1)

    def test_scrub(self) -> None:
        """
        What the scrub has found.
        """
        state = ScrubState(files=7, bytes=70, busy=1, began=2 * 10**9)
        state.problem(Problem(1, b"h", "is gone"))
        state.orphans.append(Orphan(b"u", b"ab"))
        found = told(ScrubCollector(Thing(running=True, state=state)))
        for name, value in (
            ("running", 1),
            ("began_seconds", 2),
            ("files", 7),
            ("bytes", 70),
            ("not_seen", 1),
            ("wrong", 1),
            ("orphans", 1),
        ):
            self.assertEqual(found[f"pnfs_scrub_{name}"], value)


class SiteTests(SynchronousTestCase):
    """
    The HTTP endpoint.
    """

    def test_metrics(self) -> None:
        """
        C{/metrics} answers, and nothing else does.
        """
        server = ServerContext(Clock(), lambda: 0, bytes)
        site = metricsSite([NFSCollector(server, Counters)])
        found = site.getResourceFor(DummyRequest([b"metrics"]))
        self.assertIsInstance(found, WSGIResource)
        nothing = site.getResourceFor(DummyRequest([b"etc"]))
        self.assertEqual(nothing.code, 404)
