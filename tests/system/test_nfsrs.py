"""
An independent user-space client, nfs-rs from PyPI.
"""

from __future__ import annotations

import random

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.system.cluster import Cluster, storedBytes

try:
    import nfs_rs
except ImportError:
    nfs_rs = None


class NFSRSTests(SynchronousTestCase):
    """
    nfs-rs on the loopback, without root, over NFSv4.1 with files layouts.
    """

    def test_throughLayouts(self) -> None:
        """
        16 MiB and a little come back unchanged in a new session, through the data
        servers only.
        """
        if nfs_rs is None:
            raise SkipTest("system test: needs nfs-rs (PyPI)")
        cluster = Cluster.start(None, "--layout", "files", "--data-servers", "3")
        self.addCleanup(cluster.stop)
        url = f"nfs://127.0.0.1:{cluster.mds.port}/export?version=4.1&noresvport=true"
        data = random.Random(1).randbytes((16 << 20) + 5)

        def connect() -> nfs_rs.Client:
            return nfs_rs.Client.connect(
                url, connect_timeout=10, operation_timeout=60, nfs_port=cluster.mds.port
            )

        with connect() as client:
            self.assertTrue(client.capabilities.pnfs)
            client.mkdir("folder")
            with client.open("folder/file", "wb") as file:
                self.assertEqual(file.write(data), len(data))
        with connect() as client:
            self.assertEqual(client.listdir("folder"), ["file"])
            self.assertEqual(client.stat("folder/file").size, len(data))
            with client.open("folder/file", "rb") as file:
                self.assertTrue(file.read() == data)
        seen = cluster.operations()
        self.assertEqual((seen["READ"], seen["WRITE"]), (0, 0))
        self.assertGreater(seen["LAYOUTGET"], 0)
        for server in cluster.dataServers:
            self.assertGreater(storedBytes(server.directory), 5 << 20)
