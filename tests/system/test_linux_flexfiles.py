"""
The Linux client with a mirrored export (flexible files layouts).
"""

from __future__ import annotations

from tests.system.cluster import storedBytes
from tests.system.linuxcase import LinuxTestCase
from tests.system.test_linux_files import SIZE, TRANSFER


class MirroredTests(LinuxTestCase):
    """
    Two data servers, each with a copy of every file.
    """

    def test_bytesGoToEveryMirror(self) -> None:
        """
        256 MiB come back unchanged over each minor version, both data servers hold
        all of it, and the metadata server has seen no READ and no WRITE. A client
        that takes no layout reads the same bytes through it.
        """
        cluster = self.cluster(
            *("--layout", "flexfiles", "--mirrors", "2", "--data-servers", "2")
        )
        guest = self.guest(cluster, TRANSFER)
        guest.expect("transferred", 300)
        direct = cluster.operations()
        guest.tell("go")
        guest.finish()
        proxied = cluster.operations()
        results = guest.results()
        for version in ("4.1", "4.2"):
            self.assertEqual(results[f"pnfs-{version}"], "LAYOUT_FLEX_FILES")
            self.assertEqual(len(results[f"sum-{version}"]), 64)
            self.assertEqual(results[f"again-{version}"], results[f"sum-{version}"])
            self.assertEqual(results[f"proxied-{version}"], results[f"sum-{version}"])
        self.assertEqual(results["pnfs-none"], "not configured")
        self.assertEqual((direct["READ"], direct["WRITE"]), (0, 0))
        self.assertGreater(direct["LAYOUTGET"], 0)
        self.assertGreater(proxied["READ"] + proxied["READ_PLUS"], 0)
        for server in cluster.dataServers:
            self.assertNear(
                storedBytes(server.directory), 2 * SIZE, f"copy of {server.name}"
            )
