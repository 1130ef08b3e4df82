"""
A data server of a mirrored export dies while a Linux client writes, comes back, and
catches up; then the other mirror dies.
"""

from __future__ import annotations

import os
import re
import shutil

from tests.system.cluster import storedBytes
from tests.system.linuxcase import LinuxTestCase
from tests.system.processes import waitUntil
from tests.system.site import Site

_STALLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest", "stalls.py")
_BLOCK = 1 << 20

_WRITER = """
    mount_export 4.2 "$PORT"
    result pnfs "$(pnfs_of_mount)"
    await_host write
    "$PYTHON" /job/stalls.py /mnt/file 60
    echo written
    count=$(($(stat -c %s /mnt/file) / 1048576))
    "$PYTHON" /job/stalls.py --verify /mnt/file $count
    echo verified
    await_host end
"""

_READER = """
    without_layouts
    mount_export 4.2 "$PORT"
    count=$(($(stat -c %s /mnt/file) / 1048576))
    "$PYTHON" /job/stalls.py --verify /mnt/file $count
"""


class RepairTests(LinuxTestCase):
    """
    Two mirrors on three data servers.
    """

    def test_bothDie(self) -> None:
        """
        C{kill -9} of one data server of the file that is being written, and it goes on;
        the data server comes back and catches up by itself, while the client writes:
        what is copied is what it has missed. Then the other one is killed: the
        client goes on with what has been repaired, and all of it reads right, through
        layouts and through the metadata server.
        """
        site = Site(
            {"layout": "flexfiles", "mirrors": 2},
            [{}, {}, {}],
            metadata={"failure_seconds": 3},
        )
        cluster = self.site(site)
        guest = self.guest(cluster, _WRITER)
        shutil.copy(_STALLS, guest.directory)
        guest.tell("write")
        guest.expect("block 40")
        first, second = [
            one for one in cluster.dataServers if storedBytes(one.directory) > _BLOCK
        ]
        before = storedBytes(first.directory)
        crashed = cluster.crash(first)
        waitUntil(
            lambda: self.said(site, f"{first.name} is lost") is not None, 30, "loss"
        )
        reached = self.blocks(guest.output)
        waitUntil(
            lambda: self.blocks(guest.output) > reached + 20, 60, "blocks without it"
        )
        cluster.restart(crashed)
        waitUntil(
            lambda: self.said(site, f"{first.name} has caught up") is not None,
            60,
            "the repair",
        )
        found = re.search(
            r"(\d+) files repaired, (\d+) bytes copied",
            self.said(site, f"{first.name} has caught up") or "",
        )
        assert found is not None
        copied = int(found[2])
        missed = self.blocks(guest.output) * _BLOCK - before
        self.assertEqual(found[1], "1")
        self.assertGreater(copied, 15 * _BLOCK)
        self.assertLess(copied, missed + 8 * _BLOCK)
        self.assertNotIn("written", guest.output)
        cluster.crash(second)
        guest.expect("written", 200)
        guest.expect("verified", 200)
        reader = self.guest(cluster, _READER, 1)
        shutil.copy(_STALLS, reader.directory)
        reader.finish(200)
        guest.tell("end")
        guest.finish(60)
        results = guest.results()
        stall = float(results.pop("stall"))
        results.pop("blocks")
        self.assertEqual(
            results, {"pnfs": "LAYOUT_FLEX_FILES", "wrong": "", "rest": "0"}
        )
        self.assertEqual(reader.results(), {"wrong": "", "rest": "0"})
        self.assertLess(stall, 15)

    def said(self, site: Site, words: str) -> str | None:
        """
        A line of the metadata server's log.
        """
        return next((line for line in site.log() if words in line), None)

    def blocks(self, output: str) -> int:
        """
        How many the guest has written so far.
        """
        return len(re.findall(r"^block \d+", output, re.MULTILINE))
