"""
The Linux client with files that lie in chunks on the data servers.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter

from tests.system.cluster import PNFS, Cluster, environment, storedBytes
from tests.system.linuxcase import LinuxTestCase
from tests.system.site import Site

CHUNK = 16 << 20

_SCRIPT = """
    mount_export 4.2 "$PORT"
    result pnfs "$(pnfs_of_mount)"
    head -c 64M /dev/urandom > /run/data
    dd if=/run/data of=/mnt/data bs=1M conv=fsync status=none
    drop_caches
    echo filled
    await_host read
    result data "$(sum_of /run/data)"
    result again "$(sum_of /mnt/data)"
    echo transferred
    await_host go

    # Appended across a border, from a file of one chunk; by large direct writes, too.
    head -c 15M /run/data > /mnt/grown
    drop_caches
    dd if=/run/data bs=1M skip=15 count=6 status=none >> /mnt/grown
    dd if=/run/data of=/mnt/grown bs=3M skip=7 seek=7 count=6 conv=notrunc \
        oflag=direct status=none
    drop_caches
    result grown "$(sum_of /mnt/grown)"
    head -c 39M /run/data > /run/grown
    result expected-grown "$(sum_of /run/grown)"

    # Cut off within a chunk, and made longer by two.
    truncate -s 20M /mnt/grown
    truncate -s 50M /mnt/grown
    truncate -s 20M /run/grown
    truncate -s 50M /run/grown
    drop_caches
    result cut "$(sum_of /mnt/grown)"
    result expected-cut "$(sum_of /run/grown)"
    dd if=/run/data of=/mnt/grown bs=1M skip=46 seek=46 count=8 conv=notrunc,fsync \
        status=none
    dd if=/run/data of=/run/grown bs=1M skip=46 seek=46 count=8 conv=notrunc status=none
    drop_caches
    result longer "$(sum_of /mnt/grown)"
    result expected-longer "$(sum_of /run/grown)"
    dd if=/mnt/grown bs=5M iflag=direct status=none > /run/direct
    result direct "$(sum_of /run/direct)"
    umount /mnt

    echo written
    await_host proxied
    without_layouts
    mount_export 4.2 "$PORT"
    result proxied "$(sum_of /mnt/data)"
    result proxied-longer "$(sum_of /mnt/grown)"
"""


class ChunksTests(LinuxTestCase):
    """
    Chunks of 16 MiB on four data servers.
    """

    def run_(self, mirrors: int) -> tuple[Counter[str], Counter[str], Counter[str]]:
        """
        Write 64 MiB, forget, and read them; append to another file across the border
        of a chunk, cut it off and make it longer: the bytes are those of a local file,
        and those that the metadata server gives to who has no layouts.

        @return: what the metadata server has done after the first writing, after
            reading, and in the end.
        """
        cluster = self.site(
            Site(
                {"layout": "flexfiles", "mirrors": mirrors, "chunk": "16MiB"}, [{}] * 4
            )
        )
        guest = self.guest(cluster, _SCRIPT)
        guest.expect("filled", 300)
        filled = cluster.operations()
        guest.tell("read")
        guest.expect("transferred", 300)
        read = cluster.operations()
        for server in cluster.dataServers:
            self.assertNear(storedBytes(server.directory), mirrors * CHUNK, server.name)
        guest.tell("go")
        guest.expect("written", 300)
        done = cluster.operations()
        guest.tell("proxied")
        guest.finish()
        results = guest.results()
        self.assertEqual(results["pnfs"], "LAYOUT_FLEX_FILES")
        self.assertEqual(len(results["data"]), 64)
        for name in ("again", "proxied"):
            self.assertEqual(results[name], results["data"], name)
        for name in ("grown", "cut", "longer"):
            self.assertEqual(results[name], results[f"expected-{name}"], name)
        for name in ("direct", "proxied-longer"):
            self.assertEqual(results[name], results["longer"], name)
        if mirrors > 1:
            self.assertEqual(self.differing(cluster), [])
        return filled, read, done

    def differing(self, cluster: Cluster) -> list[str]:
        """
        Files whose mirrors are not the same.
        """
        socket = f"{cluster.directory}/mds-state/control.sock"
        done = subprocess.run(
            [*PNFS, "mirror", "verify", "--socket", socket, "--json"],
            env=environment(),
            capture_output=True,
            text=True,
        )
        found = json.loads(done.stdout)
        self.assertEqual(found["files"], 2)
        problems: list[str] = found["problems"]
        return problems

    def test_straight(self) -> None:
        """
        Without mirrors all of that goes straight to the data servers, under a layout
        for each chunk; the metadata server has seen no READ and no WRITE.
        """
        _, read, done = self.run_(1)
        self.assertEqual((done["READ"], done["READ_PLUS"], done["WRITE"]), (0, 0, 0))
        self.assertGreaterEqual(read["LAYOUTGET"], 4)
        self.assertLessEqual(read["LAYOUTGET"], 20)

    def test_mirrored(self) -> None:
        """
        With two mirrors everything is read straight from the data servers; what is
        written goes through the metadata server, and is on both mirrors.
        """
        filled, read, done = self.run_(2)
        self.assertGreaterEqual(filled["WRITE"], 64)
        self.assertEqual((done["READ"], done["READ_PLUS"]), (0, 0))
        self.assertGreaterEqual(read["LAYOUTGET"] - filled["LAYOUTGET"], 4)
