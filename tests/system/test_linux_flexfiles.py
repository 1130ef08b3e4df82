"""
The Linux client with a mirrored export (flexible files layouts).
"""

from __future__ import annotations

from tests.system.cluster import storedBytes
from tests.system.linuxcase import LinuxTestCase
from tests.system.site import Site
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
        guest.expect("transferred", 600)
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
        carried = (direct["READ"], direct["READ_PLUS"], direct["WRITE"])
        self.assertEqual(carried, (0, 0, 0))
        self.assertGreater(direct["LAYOUTGET"], 0)
        self.assertGreater(proxied["READ"] + proxied["READ_PLUS"], 0)
        for server in cluster.dataServers:
            self.assertNear(
                storedBytes(server.directory), 2 * SIZE, f"copy of {server.name}"
            )

    def test_overNFSv3(self) -> None:
        """
        The same data servers, at addresses of their own, spoken to over NFSv3:
        configured by files as a real site is.
        """
        cluster = self.site(
            Site(
                {"layout": "flexfiles", "mirrors": 2},
                [{"protocol": "nfs3"}, {"protocol": "nfs3"}],
            )
        )
        guest = self.guest(
            cluster,
            """
            mount_export 4.2 "$PORT"
            result pnfs "$(pnfs_of_mount)"
            head -c 32M /dev/urandom | tee /mnt/data | sha256sum | cut -c1-64 > /run/sum
            drop_caches
            result again "$(sum_of /mnt/data)"
            result sum "$(cat /run/sum)"
            """,
        )
        guest.finish()
        results = guest.results()
        self.assertEqual(results["pnfs"], "LAYOUT_FLEX_FILES")
        self.assertEqual(len(results["sum"]), 64)
        self.assertEqual(results["again"], results["sum"])
        seen = cluster.operations()
        self.assertEqual((seen["READ"], seen["READ_PLUS"], seen["WRITE"]), (0, 0, 0))
        for server in cluster.dataServers:
            self.assertNear(storedBytes(server.directory), 32 << 20, server.name)
