"""
The Linux client with a striped export (files layouts).
"""

from __future__ import annotations

from tests.system.cluster import storedBytes
from tests.system.linuxcase import LinuxTestCase

SIZE = 256 << 20

TRANSFER = """
    for version in 4.1 4.2; do
        mount_export $version "$PORT"
        result "pnfs-$version" "$(pnfs_of_mount)"
        head -c 256M /dev/urandom | tee >(sha256sum | cut -c1-64 > /run/sum) |
            dd of=/mnt/data-$version bs=1M iflag=fullblock conv=fsync status=none
        drop_caches
        result "again-$version" "$(sum_of /mnt/data-$version)"
        result "sum-$version" "$(cat /run/sum)"
        umount /mnt
    done
    echo transferred
    await_host go
    without_layouts
    mount_export 4.1 "$PORT"
    result pnfs-none "$(pnfs_of_mount)"
    result proxied-4.1 "$(sum_of /mnt/data-4.1)"
    result proxied-4.2 "$(sum_of /mnt/data-4.2)"
"""
"""Write, forget, read, with both minor versions; then read without layouts."""


class StripedTests(LinuxTestCase):
    """
    Three data servers, files striped over all of them.
    """

    def test_bytesGoStraight(self) -> None:
        """
        256 MiB come back unchanged over each minor version, every data server
        holds a third, and the metadata server has seen no READ and no WRITE. A
        client that takes no layout reads the same bytes through it.
        """
        cluster = self.cluster("--layout", "files", "--data-servers", "3")
        guest = self.guest(cluster, TRANSFER)
        guest.expect("transferred", 600)
        direct = cluster.operations()
        guest.tell("go")
        guest.finish()
        proxied = cluster.operations()
        results = guest.results()
        for version in ("4.1", "4.2"):
            self.assertEqual(results[f"pnfs-{version}"], "LAYOUT_NFSV4_1_FILES")
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
                storedBytes(server.directory), 2 * SIZE // 3, f"share of {server.name}"
            )
