"""
A data server of a mirrored export dies while a Linux client writes, and stays dead.
"""

from __future__ import annotations

import os
import shutil

from tests.system.cluster import Server, storedBytes
from tests.system.linuxcase import LinuxTestCase
from tests.system.processes import waitUntil
from tests.system.site import Site

_STALLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest", "stalls.py")

FAILURE = 5

_WRITER = """
    mount_export 4.2 "$PORT"
    result pnfs "$(pnfs_of_mount)"
    await_host write
    "$PYTHON" /job/stalls.py /mnt/file 30
    echo written
    await_host returned
    count=$(($(stat -c %s /mnt/file) / 1048576))
    "$PYTHON" /job/stalls.py --verify /mnt/file $count
    head -c 1M /dev/zero | tr '\\0' z > /mnt/after
    drop_caches
    result after "$(tail -c 3 /mnt/after)"
"""

_READER = """
    without_layouts
    mount_export 4.2 "$PORT"
    result pnfs "$(pnfs_of_mount)"
    count=$(($(stat -c %s /mnt/file) / 1048576))
    "$PYTHON" /job/stalls.py --verify /mnt/file $count
"""


class DegradedTests(LinuxTestCase):
    """
    Two mirrors on three data servers.
    """

    def test_killed(self) -> None:
        """
        C{kill -9} of a data server of the file that is being written: writing goes on
        after at most a few seconds more than C{failure_seconds}. What was written reads
        right when the data server is back, through layouts and through the metadata
        server: the bytes it has missed are not taken from it.
        """
        site = Site(
            {"layout": "flexfiles", "mirrors": 2},
            [{}, {}, {}],
            metadata={"failure_seconds": FAILURE},
        )
        cluster = self.site(site)
        guest = self.guest(cluster, _WRITER)
        shutil.copy(_STALLS, guest.directory)
        guest.tell("write")
        guest.expect("block 5")
        lost = self.holder(cluster.dataServers)
        crashed = cluster.crash(lost)
        guest.expect("written", 200)
        cluster.restart(crashed)
        waitUntil(
            lambda: any(f"{lost.name} is back" in line for line in site.log()),
            30,
            "the return of the data server",
        )
        guest.tell("returned")
        guest.finish(200)
        results = guest.results()
        reader = self.guest(cluster, _READER, 1)
        shutil.copy(_STALLS, reader.directory)
        reader.finish(200)
        stall = float(results.pop("stall"))
        blocks = int(results.pop("blocks"))
        self.assertEqual(
            results,
            {"pnfs": "LAYOUT_FLEX_FILES", "wrong": "", "rest": "0", "after": "zzz"},
            guest.output,
        )
        self.assertEqual(
            reader.results(), {"pnfs": "not configured", "wrong": "", "rest": "0"}
        )
        self.assertGreater(blocks, 20)
        self.assertGreater(stall, 1)
        self.assertLess(stall, FAILURE + 10)

    def holder(self, servers: list[Server]) -> Server:
        """
        One that has a mirror of the only file.
        """
        return next(one for one in servers if storedBytes(one.directory) > 1 << 20)
