"""
Holes and reserved space through a Linux client, compared with a local file system.
"""

from __future__ import annotations

import os
import shutil

from tests.system.cluster import Cluster
from tests.system.linuxcase import LinuxTestCase

_STEPS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest", "sparse.py")

_SCRIPT = """
    mkdir /run/local
    await_host go
    "$PYTHON" /job/sparse.py /run/local > /run/expected
    mount_export 4.2 "$PORT"
    mkdir /mnt/sparse
    "$PYTHON" /job/sparse.py /mnt/sparse > /run/seen
    umount /mnt
    result lines "$(wc -l < /run/seen)"
    diff /run/expected /run/seen || result differs yes
"""


class SparseTests(LinuxTestCase):
    """
    SEEK_HOLE, SEEK_DATA and fallocate in a mount and in a local folder show the
    same.
    """

    def compare(self, *options: str, first: str = "") -> Cluster:
        """
        Run C{sparse.py} on a cluster.

        @param first: what the guest does before.
        """
        cluster = self.cluster(*options)
        guest = self.guest(cluster, first + _SCRIPT)
        shutil.copy(_STEPS, guest.directory)
        guest.tell("go")
        guest.finish(600)
        self.assertEqual(guest.results(), {"lines": "29"}, guest.output)
        counts = cluster.operations()
        for operation in ("SEEK", "ALLOCATE", "DEALLOCATE"):
            self.assertGreater(counts[operation], 0, operation)
        return cluster

    def test_striped(self) -> None:
        """
        Files striped over three data servers: that each of them has holes where the
        others have bytes is not to be seen.
        """
        self.compare("--layout", "files", "--data-servers", "3")

    def test_mirrored(self) -> None:
        """
        Files on two mirrors.
        """
        self.compare(
            *("--layout", "flexfiles", "--mirrors", "2", "--data-servers", "2")
        )

    def test_withoutLayouts(self) -> None:
        """
        A client without layout drivers.
        """
        cluster = self.compare(
            *("--layout", "files", "--data-servers", "3"), first="without_layouts\n"
        )
        self.assertEqual(cluster.operations()["LAYOUTGET"], 0)
