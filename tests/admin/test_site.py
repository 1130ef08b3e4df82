"""
Tests of L{pnfs.admin.site}, without its processes; with them it is run by
L{tests.system.test_demo}.
"""

from __future__ import annotations

import os
import stat
from typing import Any

from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.task import Clock
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from pnfs.admin.site import Site, SiteFailed, SiteOptions, parseOperations
from pnfs.config import loadDS, loadMDS


class SpawningReactor(Clock):
    """
    Keeps what would be started.
    """

    def __init__(self) -> None:
        super().__init__()
        self.spawned: list[tuple[Any, list[str]]] = []
        self.signals: list[tuple[int, str]] = []

    def spawnProcess(self, protocol: Any, program: str, args: Any, **more: Any) -> None:
        """
        As L{IReactorProcess.spawnProcess}.
        """
        reactor, number = self, len(self.spawned)

        class Transport:
            pid = 1000 + number

            def signalProcess(self, name: str) -> None:
                reactor.signals.append((self.pid, name))

        self.spawned.append((protocol, list(args)))
        protocol.makeConnection(Transport())


class SiteTests(SynchronousTestCase):
    """
    Folders, files and processes of a site.
    """

    def make(self, **options: Any) -> Site:
        """
        A site below a folder with an awkward name.
        """
        self.reactor = SpawningReactor()
        folder = os.path.join(os.path.abspath(self.mktemp()), 'a "b" \\c')
        return Site(self.reactor, SiteOptions(directory=folder, **options))

    def test_configuration(self) -> None:
        """
        What it writes is what the services read.
        """
        site = self.make(layout="flexfiles", mirrors=2, lease=10.0)
        site.configure()
        mds = loadMDS(os.path.join(site.directory, "mds.toml"))
        self.assertEqual((mds.lease, len(mds.dataServers)), (10.0, 3))
        self.assertEqual(
            (mds.exports[0].layout, mds.exports[0].mirrors), ("flexfiles", 2)
        )
        self.assertEqual(mds.listen, (("127.0.0.1", site.port),))
        for number in (1, 2, 3):
            ds = loadDS(os.path.join(site.directory, f"ds{number}.toml"))
            self.assertEqual(ds.key, mds.key)
            self.assertEqual(ds.listen, (mds.dataServers[number - 1].address,))
        key = os.stat(os.path.join(site.directory, "cluster.key"))
        self.assertEqual(stat.S_IMODE(key.st_mode), 0o600)

    def test_advertise(self) -> None:
        """
        Servers that listen everywhere tell clients the addresses that were given,
        and are reached by each other over the loopback.
        """
        site = self.make(host="0.0.0.0", advertise=("192.0.2.1", "192.0.2.2"))
        site.configure()
        mds = loadMDS(os.path.join(site.directory, "mds.toml"))
        self.assertEqual(
            [(ds.address[0], ds.advertise[0][0]) for ds in mds.dataServers],
            [
                ("127.0.0.1", "192.0.2.1"),
                ("127.0.0.1", "192.0.2.2"),
                ("127.0.0.1", "192.0.2.1"),
            ],
        )

    def test_again(self) -> None:
        """
        A folder that was used before keeps its key.
        """
        site = self.make()
        site.configure()
        path = os.path.join(site.directory, "cluster.key")
        with open(path, "rb") as stream:
            key = stream.read()
        Site(self.reactor, site.options).configure()
        with open(path, "rb") as stream:
            self.assertEqual(stream.read(), key)

    def test_badFolder(self) -> None:
        """
        A folder that cannot be made is one line.
        """
        options = SiteOptions(directory="/proc/nowhere/x")
        error = self.assertRaises(SiteFailed, Site(Clock(), options).configure)
        self.assertIn("/proc/nowhere", str(error))

    def test_start(self) -> None:
        """
        One process each; the site is ready when the metadata server reaches all
        data servers.
        """
        site = self.make()
        answers = [
            Deferred(),
            Deferred(),
        ]  # type: list[Deferred[str]]
        asked: list[int] = []

        async def metrics() -> str:
            asked.append(1)
            return await answers[len(asked) - 1]

        self.patch(site, "metrics", metrics)
        started = Deferred.fromCoroutine(site.start())
        self.assertEqual(
            [args[-2] for _, args in self.reactor.spawned],
            ["pnfs-ds", "pnfs-ds", "pnfs-ds", "pnfs-mds"],
        )
        up = 'pnfs_data_server_up{data_server="ds%d"} %d.0\n'
        answers[0].callback(up % (1, 1) + up % (2, 0) + up % (3, 1))
        self.assertNoResult(started)
        self.reactor.advance(1)
        answers[1].callback(up % (1, 1) + up % (2, 1) + up % (3, 1))
        self.successResultOf(started)
        event = site.describe()
        self.assertEqual(event["mds"]["pid"], 1003)
        self.assertEqual([d["pid"] for d in event["data_servers"]], [1000, 1001, 1002])

        stopped = Deferred.fromCoroutine(site.stop())
        self.assertEqual(
            self.reactor.signals, [(pid, "TERM") for pid in (1003, 1002, 1001, 1000)]
        )
        for protocol, _ in self.reactor.spawned:
            protocol.processEnded(Failure(ProcessDone(None)))
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_ends(self) -> None:
        """
        A server that ends at once fails the start with what it said last.
        """
        site = self.make()

        async def metrics() -> str:
            raise ConnectionError("refused")

        self.patch(site, "metrics", metrics)
        started = Deferred.fromCoroutine(site.start())
        protocol, _ = self.reactor.spawned[1]
        protocol.errReceived(b"ds2.toml: key: no\n")
        protocol.processEnded(Failure(ProcessTerminated(1)))
        self.reactor.advance(1)
        error = self.failureResultOf(started, SiteFailed).value
        self.assertEqual(str(error), "ds2 did not start: ds2.toml: key: no")

    def test_insists(self) -> None:
        """
        What does not end is killed.
        """
        site = self.make()

        async def metrics() -> str:
            return ""

        self.patch(site, "metrics", metrics)
        Deferred.fromCoroutine(site.start()).addErrback(lambda failure: None)
        Deferred.fromCoroutine(site.stop())
        self.reactor.signals.clear()
        self.reactor.advance(11)
        self.assertEqual({name for _, name in self.reactor.signals}, {"KILL"})

    def test_operations(self) -> None:
        """
        Operations are counted whatever their outcome.
        """
        text = (
            'pnfs_operations_total{operation="READ",status="NFS4_OK"} 3.0\n'
            'pnfs_operations_total{operation="READ",status="NFS4ERR_IO"} 1.0\n'
            'pnfs_operations_total{operation="OPEN",status="NFS4_OK"} 2.0\n'
        )
        self.assertEqual(parseOperations(text), {"READ": 4, "OPEN": 2})
