"""
Data servers whose bytes are on a foreign NFS server (backend C{proxied}).
"""

from __future__ import annotations

import os
import time
import unittest

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import Unreachable
from tests.contracts.data import readBytes
from tests.system.cluster import storedBytes
from tests.system.foreign import (
    MOUNT_PORT,
    Foreign,
    ForeignContract,
    Gateway,
    inside,
    requireForeign,
)
from tests.system.linuxcase import LinuxTestCase
from tests.system.namespace import Network
from tests.system.processes import waitUntil
from tests.system.site import Site

_UPSTREAM = """
backend = "proxied"
[upstream]
address = "10.77.0.1:12048"
protocol = "{protocol}"
path = "{path}"
"""


class GatewayTests(LinuxTestCase):
    """
    A Linux client, a site with one data server, and nfs-ganesha behind that.
    """

    def _useSite(self, protocol: str) -> None:
        foreign = Foreign.start(self.network)
        self.addCleanup(foreign.stop)
        path = foreign.tree if protocol == "nfs3" else "/export"
        service = _UPSTREAM.format(protocol=protocol, path=path)
        cluster = self.site(Site({"layout": "files"}, [{}], [service]))
        guest = self.guest(
            cluster,
            """
            mount_export 4.1 "$PORT"
            result pnfs "$(pnfs_of_mount)"
            head -c 32M /dev/urandom | tee /mnt/data | sha256sum | cut -c1-64 > /run/sum
            drop_caches
            result again "$(sum_of /mnt/data)"
            result sum "$(cat /run/sum)"
            echo written
            await_host go
            truncate -s 100000 /mnt/data
            truncate -s 200000 /mnt/data
            drop_caches
            result tail "$(tail -c 100000 /mnt/data | tr -d '\\000' | wc -c)"
            rm /mnt/data
            """,
        )
        guest.expect("written")
        self.assertNear(storedBytes(foreign.tree), 32 << 20)
        guest.tell("go")
        guest.finish()
        results = guest.results()
        self.assertEqual(results["pnfs"], "LAYOUT_NFSV4_1_FILES")
        self.assertEqual(len(results["sum"]), 64)
        self.assertEqual(results["again"], results["sum"])
        self.assertEqual(results["tail"], "0")
        seen = cluster.operations()
        self.assertEqual((seen["READ"], seen["WRITE"]), (0, 0))
        waitUntil(lambda: not os.listdir(foreign.tree), 10, "removal upstream")

    def test_foreignServer(self) -> None:
        """
        A Linux client takes layouts for our data server; the bytes lie on the
        foreign one and come back unchanged.
        """
        self._useSite("nfs4.1")

    def test_foreignServer3(self) -> None:
        """
        The same over NFSv3, which the port mapper leads to.
        """
        self._useSite("nfs3")


class ForeignTests(SynchronousTestCase):
    """
    A gateway's backend alone, in front of nfs-ganesha.
    """

    def setUp(self) -> None:
        requireForeign()
        self.network = Network.create()
        self.addCleanup(self.network.delete)
        self.foreign = Foreign.start(self.network)
        self.addCleanup(self.foreign.stop)

    def _keepContract(self, protocol: str, mountPort: int) -> None:
        case = type(
            "Contract",
            (ForeignContract, SynchronousTestCase),
            {
                "foreign": self.foreign,
                "network": self.network,
                "protocol": protocol,
                "mountPort": mountPort,
            },
        )
        result = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
        self.assertEqual([text for _, text in result.failures + result.errors], [])
        self.assertGreater(result.testsRun, 25)

    def test_contract4(self) -> None:
        """
        Over NFSv4.1 it keeps the promises of all data backends.
        """
        self._keepContract("nfs4.1", 0)

    def test_contract3(self) -> None:
        """
        So it does over NFSv3, with the port mapper and without.
        """
        self._keepContract("nfs3", 0)
        self._keepContract("nfs3", MOUNT_PORT)

    def test_crash(self) -> None:
        """
        C{kill -9} of the foreign server: calls fail as unreachable within their
        deadline, and go on when it is back; the verifier tells that unstable
        writes may be lost.
        """
        for protocol, path in (("nfs4.1", "/export"), ("nfs3", self.foreign.tree)):
            state = self.mktemp()
            os.mkdir(state)
            with inside(self.network):
                gateway = Gateway(state, protocol, path, MOUNT_PORT)
                self._crash(gateway)
                self.successResultOf(gateway.wait(gateway.backend.stop()))

    def _crash(self, gateway: Gateway) -> None:
        backend = gateway.backend
        name = b"ab%02x" % (time.monotonic_ns() % 256)
        self.successResultOf(gateway.wait(backend.start()))
        self.successResultOf(gateway.wait(backend.create(name, 0, 0, 0o600, 1)))
        before = self.successResultOf(
            gateway.wait(backend.write(name, 0, memoryview(b"before"), 2))
        )
        self.foreign.crash()
        since = time.monotonic()
        self.failureResultOf(gateway.wait(backend.read(name, 0, 10)), Unreachable)
        self.assertLess(time.monotonic() - since, 12)
        self.foreign.restart()
        end = time.monotonic() + 30
        while True:
            attempt = gateway.wait(backend.write(name, 6, memoryview(b", after"), 0))
            if not hasattr(attempt.result, "value") or time.monotonic() > end:
                break
            self.failureResultOf(attempt, Unreachable)
        after = self.successResultOf(attempt)
        self.assertNotEqual(after.verifier, before.verifier)
        read = self.successResultOf(gateway.wait(backend.read(name, 0, 100)))
        self.assertEqual(readBytes(read), b"before, after")
