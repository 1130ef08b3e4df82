"""
A Linux client writes a striped file while the file is striped over more data servers,
one of these is drained and removed, and another one is added.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from typing import Any

from tests.system.cluster import PNFS, Cluster, environment, storedBytes
from tests.system.linuxcase import LinuxTestCase
from tests.system.processes import waitUntil
from tests.system.site import DS_PORT, Site

_STALLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest", "stalls.py")
_SECONDS = 100

_WRITER = f"""
    mount_export 4.2 "$PORT"
    result pnfs "$(pnfs_of_mount)"
    head -c 100M /dev/urandom | tee >(sha256sum | cut -c1-64 > /run/sum) |
        dd of=/mnt/still bs=1M iflag=fullblock conv=fsync status=none
    echo ready
    await_host write
    "$PYTHON" /job/stalls.py /mnt/file {_SECONDS}
    echo written
    await_host verify
    count=$(($(stat -c %s /mnt/file) / 1048576))
    "$PYTHON" /job/stalls.py --verify /mnt/file $count
    drop_caches
    result sum "$(cat /run/sum)"
    result still "$(sum_of /mnt/still)"
    dmesg | grep -i 'nfs.*error' || result errors none
"""

_READER = """
    without_layouts
    mount_export 4.2 "$PORT"
    count=$(($(stat -c %s /mnt/file) / 1048576))
    "$PYTHON" /job/stalls.py --verify /mnt/file $count
    result still "$(sum_of /mnt/still)"
"""


class MoveTests(LinuxTestCase):
    """
    Two stripes; at first four data servers.
    """

    def pnfs(self, cluster: Cluster, *words: str) -> Any:
        """
        Run C{pnfs … --json}.
        """
        done = self.run_(cluster, *words)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def run_(self, cluster: Cluster, *words: str) -> subprocess.CompletedProcess[str]:
        """
        Run it, whatever comes of it.
        """
        return subprocess.run(
            [*PNFS, *words, "--json"],
            env=environment({"PNFS_MDS": os.path.join(cluster.directory, "mds.toml")}),
            capture_output=True,
            text=True,
            timeout=120,
        )

    def test_everythingMoves(self) -> None:
        """
        The client writes on, without an error, from two stripes to four, away from a
        data server that is killed when it has been drained and removed, and onto one
        that is new; what was written before, during and after all that reads right,
        through layouts and through the metadata server.
        """
        site = Site({"layout": "files", "stripe_count": 2}, [{}] * 5)
        cluster = self.site(site)
        waitUntil(
            lambda: all(m["answers"] for m in self.pnfs(cluster, "ds", "list")),
            30,
            "all data servers",
        )
        self.pnfs(cluster, "ds", "drain", "ds4")
        # The index of files has to be made first.
        waitUntil(
            lambda: self.run_(cluster, "ds", "remove", "ds4").returncode == 0,
            30,
            "the removal of a data server that has nothing",
        )
        guest = self.guest(cluster, _WRITER)
        shutil.copy(_STALLS, guest.directory)
        guest.expect("ready", 120)
        guest.tell("write")
        guest.expect("block 20")
        granted = cluster.operations()["LAYOUTGET"]
        recalled = cluster.recalled()

        def step(*words: str) -> None:
            job = self.pnfs(cluster, *words)
            told = " ".join(words)
            self.assertEqual((job["state"], job["failed"]), ("done", 0), told)
            self.assertNotIn("written", guest.output, told)
            print(f"\n{told}: {job['files']} files, {job['bytes']} bytes copied")
            reached = self.blocks(guest.output)
            waitUntil(lambda: self.blocks(guest.output) > reached + 3, 30, told)

        step("restripe", "/export", "--stripe-count", "4")
        for server in cluster.dataServers[:4]:
            self.assertGreater(storedBytes(server.directory), 20 << 20, server.name)
        step("ds", "drain", "ds0")
        drained = cluster.dataServers[0]
        self.assertLess(storedBytes(drained.directory), 1 << 20)
        self.pnfs(cluster, "ds", "remove", "ds0")
        cluster.crash(drained)
        new = cluster.dataServers[4]
        self.pnfs(cluster, "ds", "add", "ds4", f"{new.host}:{DS_PORT + 4}")
        step("file", "move", "/export/file", "--from", "ds1", "--to", "ds4")
        self.assertGreater(storedBytes(new.directory), 5 << 20)
        guest.expect("written", _SECONDS + 100)
        granted = cluster.operations()["LAYOUTGET"] - granted
        recalled = cluster.recalled() - recalled
        print(f"{recalled} layouts recalled, {granted} times LAYOUTGET")
        self.assertGreaterEqual(recalled, 3)
        self.assertGreaterEqual(granted, 3)
        guest.tell("verify")
        guest.finish(300)
        reader = self.guest(cluster, _READER, 1)
        shutil.copy(_STALLS, reader.directory)
        reader.finish(300)
        results = guest.results()
        print(f"{results['blocks']} blocks, longest stall {results['stall']} s")
        self.assertEqual(results["pnfs"], "LAYOUT_NFSV4_1_FILES")
        self.assertEqual((results["wrong"], results["rest"]), ("", "0"))
        self.assertEqual(results["still"], results["sum"])
        self.assertEqual(results["errors"], "none")
        self.assertLess(float(results["stall"]), 20)
        self.assertEqual(
            reader.results(), {"wrong": "", "rest": "0", "still": results["sum"]}
        )

    def blocks(self, output: str) -> int:
        """
        How many the guest has written so far.
        """
        return len(re.findall(r"^block \d+", output, re.MULTILINE))
