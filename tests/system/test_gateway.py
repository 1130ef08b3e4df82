"""
A data server whose bytes are on a foreign NFS server (backend C{proxied}).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile

from tests.system.cluster import storedBytes
from tests.system.linuxcase import LinuxTestCase
from tests.system.site import Site
from tests.system.test_linuxclient import startGanesha

_UPSTREAM = """
backend = "proxied"
[upstream]
address = "10.77.0.1:12048"
protocol = "nfs4.1"
path = "/export"
"""


class GatewayTests(LinuxTestCase):
    """
    One data server in front of nfs-ganesha.
    """

    def test_foreignServer(self) -> None:
        """
        A Linux client takes layouts for our data server; the bytes lie on the
        foreign one and come back unchanged.
        """
        directory = tempfile.mkdtemp(prefix="pnfs-ganesha-")
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        tree = os.path.join(directory, "tree")
        foreign = startGanesha(self.network, directory, 12048)
        self.addCleanup(subprocess.run, ["umount", "-l", tree])
        self.addCleanup(foreign.kill)
        cluster = self.site(Site({"layout": "files"}, [{}], [_UPSTREAM]))
        guest = self.guest(
            cluster,
            """
            mount_export 4.1 "$PORT"
            result pnfs "$(pnfs_of_mount)"
            head -c 32M /dev/urandom | tee /mnt/data | sha256sum | cut -c1-64 > /run/sum
            drop_caches
            result again "$(sum_of /mnt/data)"
            result sum "$(cat /run/sum)"
            """,
        )
        guest.finish()
        results = guest.results()
        self.assertEqual(results["pnfs"], "LAYOUT_NFSV4_1_FILES")
        self.assertEqual(len(results["sum"]), 64)
        self.assertEqual(results["again"], results["sum"])
        seen = cluster.operations()
        self.assertEqual((seen["READ"], seen["WRITE"]), (0, 0))
        self.assertNear(storedBytes(tree), 32 << 20)
