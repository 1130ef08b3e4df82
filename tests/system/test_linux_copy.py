"""
copy_file_range(2) in a Linux client's mount: the data servers copy.
"""

from __future__ import annotations

import os
import shutil
import signal
import time

from tests.system.cluster import Cluster
from tests.system.linuxcase import LinuxTestCase
from tests.system.linuxclient import Guest

_STEPS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest", "copies.py")
_SIZE = (64 << 20) + 12345
_SHIFT = (1 << 20) + 7

_SCRIPT = """
    await_host go
    mount_export 4.2 "$PORT"
    mkdir /mnt/copies
    "$PYTHON" /job/copies.py /mnt/copies /job/told-copy
    umount /mnt
"""

_EXPECTED = {
    "copied-whole": f"{_SIZE}",
    "copied-shifted": f"{_SIZE}",
    "copied-patched": f"{(20 << 20) + 1}",
    "copied-short": "4",
    "same-whole": f"True {_SIZE}",
    "same-shifted": f"True {_SIZE + _SHIFT}",
    "same-patched": f"True {40 << 20}",
    "same-short": "True 10",
}

_COPY = "60"
_CB_OFFLOAD = "15"


class CopyTests(LinuxTestCase):
    """
    64 MiB, as a whole, shifted by a bit more than a stripe unit, and into the middle
    of another file; read back when nothing is cached any more.
    """

    def begin(self, cluster: Cluster, first: str = "") -> Guest:
        """
        Boot a guest that has written the source when this returns.
        """
        guest = self.guest(cluster, first + _SCRIPT)
        shutil.copy(_STEPS, guest.directory)
        guest.tell("go")
        guest.expect("written", 300)
        return guest

    def compare(self, *options: str, first: str = "") -> Cluster:
        """
        Run C{copies.py} on a cluster.
        """
        cluster = self.cluster(*options)
        guest = self.begin(cluster, first)
        guest.tell("copy")
        guest.finish(600)
        self.assertEqual(guest.results(), _EXPECTED, guest.output)
        counts = cluster.operations()
        self.assertGreaterEqual(counts["COPY"], 4)
        return cluster

    def test_striped(self) -> None:
        """
        Over three data servers, which copy within themselves and from each other; the
        metadata server has carried nothing. What is on the wire is what another
        decoder understands.
        """
        capture = self.capture()
        cluster = self.compare("--layout", "files", "--data-servers", "3")
        capture.finish()
        counts = cluster.operations()
        carried = counts["READ"] + counts["READ_PLUS"] + counts["WRITE"]
        self.assertEqual(carried, 0)
        self.assertGreaterEqual(capture.operations()[_COPY], 4)
        self.assertEqual(capture.malformed(), [])

    def test_mirrored(self) -> None:
        """
        Onto two mirrors.
        """
        cluster = self.compare(
            *("--layout", "flexfiles", "--mirrors", "2", "--data-servers", "3")
        )
        counts = cluster.operations()
        self.assertEqual(counts["READ"] + counts["READ_PLUS"] + counts["WRITE"], 0)

    def test_withoutLayouts(self) -> None:
        """
        A client without layout drivers reads and writes through the metadata server,
        but copies as others do.
        """
        cluster = self.compare(
            *("--layout", "files", "--data-servers", "3"), first="without_layouts\n"
        )
        self.assertEqual(cluster.operations()["LAYOUTGET"], 0)

    def test_background(self) -> None:
        """
        Copies that take long, since a data server is stopped most of the time, end
        with CB_OFFLOAD; the application gets all its bytes.
        """
        cluster = self.cluster("--layout", "files", "--data-servers", "3")
        capture = self.capture()
        guest = self.begin(cluster)
        pid = cluster.dataServers[0].pid
        guest.tell("copy")
        deadline = time.monotonic() + 240
        try:
            while "copied-short" not in guest.output and time.monotonic() < deadline:
                # The client waits for the data server before it copies, too, so that a
                # copy begins just when it runs: not long enough for all of it.
                os.kill(pid, signal.SIGSTOP)
                time.sleep(1.5)
                os.kill(pid, signal.SIGCONT)
                time.sleep(0.03)
        finally:
            os.kill(pid, signal.SIGCONT)
        guest.finish(600)
        capture.finish()
        self.assertEqual(guest.results(), _EXPECTED, guest.output)
        self.assertGreaterEqual(capture.callbacks()[_CB_OFFLOAD], 1)
        self.assertEqual(capture.malformed(), [])

    def test_killed(self) -> None:
        """
        The metadata server is killed in the middle of copies, and started again: a
        copy that went on then is made again, and nothing is wrong or hangs.
        """
        cluster = self.cluster(
            *("--layout", "files", "--data-servers", "3", "--lease", "10")
        )
        guest = self.begin(cluster)
        pid = cluster.dataServers[0].pid
        os.kill(pid, signal.SIGSTOP)
        try:
            guest.tell("copy")
            time.sleep(1)
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.3)
            os.kill(pid, signal.SIGSTOP)
            time.sleep(2)
            crashed = cluster.crash(cluster.mds)
        finally:
            os.kill(pid, signal.SIGCONT)
        time.sleep(1)
        cluster.restart(crashed)
        guest.finish(600)
        self.assertEqual(guest.results(), _EXPECTED, guest.output)
