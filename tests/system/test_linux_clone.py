"""
Files that share bytes: C{cp --reflink} in a Linux client's mount, with the data
servers' folders on a file system that can.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile

from twisted.trial.unittest import SkipTest

from tests.system.linuxcase import LinuxTestCase

_SCRIPT = """
    mount_export 4.2 "$PORT"
    head -c 64M /dev/urandom > /mnt/source
    head -c 1234 /dev/urandom >> /mnt/source
    sync
    echo written
    await_host clone
    cp --reflink=always /mnt/source /mnt/clone
    echo cloned
    await_host write
    result cloned "$(cmp /mnt/source /mnt/clone && echo same)"
    printf changed | dd of=/mnt/clone bs=1 seek=3000000 conv=notrunc status=none
    drop_caches
    result range "$(dd if=/mnt/clone bs=1 skip=3000000 count=7 status=none)"
    result differ "$(cmp -l /mnt/source /mnt/clone | wc -l)"
"""


class BtrfsTests(LinuxTestCase):
    """
    On btrfs.
    """

    mkfs, package = "mkfs.btrfs", "btrfs-progs"

    def setUp(self) -> None:
        """
        Make a file system, and have everything on it.
        """
        super().setUp()
        if shutil.which(self.mkfs) is None:
            raise SkipTest(f"system test: needs {self.mkfs} (Debian: {self.package})")
        folder = tempfile.mkdtemp(prefix="pnfs-reflink-")
        self.addCleanup(shutil.rmtree, folder)
        image, mount = os.path.join(folder, "image"), os.path.join(folder, "mount")
        with open(image, "wb") as file:
            file.truncate(1 << 30)
        subprocess.run([self.mkfs, "-q", image], check=True, capture_output=True)
        os.mkdir(mount)
        done = subprocess.run(
            ["mount", "-o", "loop", image, mount], capture_output=True, text=True
        )
        if done.returncode:
            raise SkipTest(f"system test: needs loop devices: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", mount], check=True)
        self.mount = mount

    def test_clone(self) -> None:
        """
        A clone is there at once and takes no space; a write to it does not show in
        the source.
        """
        self.patch(tempfile, "tempdir", self.mount)
        cluster = self.cluster("--layout", "files", "--data-servers", "3")
        self.patch(tempfile, "tempdir", None)
        guest = self.guest(cluster, _SCRIPT)
        guest.expect("written", 300)
        before = self.used()
        guest.tell("clone")
        guest.expect("cloned", 60)
        self.assertLess(self.used() - before, 16 << 20)
        counts = cluster.operations()
        self.assertGreaterEqual(counts["CLONE"], 1)
        guest.tell("write")
        guest.finish(600)
        results = guest.results()
        self.assertEqual(results["cloned"], "same")
        self.assertEqual(results["range"], "changed")
        self.assertIn(int(results["differ"]), range(1, 8))
        counts = cluster.operations()
        carried = counts["READ"] + counts["READ_PLUS"] + counts["WRITE"]
        self.assertEqual((carried, counts["COPY"]), (0, 0))

    def used(self) -> int:
        """
        Bytes that are taken on the file system.
        """
        os.sync()
        space = os.statvfs(self.mount)
        return (space.f_blocks - space.f_bfree) * space.f_frsize


class XFSTests(BtrfsTests):
    """
    On XFS.
    """

    mkfs, package = "mkfs.xfs", "xfsprogs"
