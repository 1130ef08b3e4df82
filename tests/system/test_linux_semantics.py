"""
Holes, sizes and truncation through a Linux client, compared with a local file
system.
"""

from __future__ import annotations

import os
import shutil

from tests.system.cluster import Cluster
from tests.system.linuxcase import LinuxTestCase

_OPERATIONS = os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "guest", "operations.py"
)

_SCRIPT = """
    mkdir /run/local
    await_host go
    "$PYTHON" /job/operations.py /run/local > /run/expected
    for version in 4.1 4.2; do
        mount_export $version "$PORT"
        mkdir /mnt/$version
        "$PYTHON" /job/operations.py /mnt/$version > /run/seen
        umount /mnt
        result "lines-$version" "$(wc -l < /run/seen)"
        diff /run/expected /run/seen || result "differs-$version" yes
    done
"""


class SemanticsTests(LinuxTestCase):
    """
    The same operations in a mount and in a local folder show the same.
    """

    def compare(self, *options: str, first: str = "") -> Cluster:
        """
        Run C{operations.py} on a cluster with both minor versions.

        @param first: what the guest does before.
        """
        cluster = self.cluster(*options)
        guest = self.guest(cluster, first + _SCRIPT)
        shutil.copy(_OPERATIONS, guest.directory)
        guest.tell("go")
        guest.finish(600)
        self.assertEqual(
            guest.results(), {"lines-4.1": "26", "lines-4.2": "26"}, guest.output
        )
        return cluster

    def test_striped(self) -> None:
        """
        Files of all lengths around a stripe, holes, truncation, appending, mapping
        and 5 GiB of nothing, striped over three data servers.
        """
        self.compare("--layout", "files", "--data-servers", "3")

    def test_mirrored(self) -> None:
        """
        The same on two mirrors.
        """
        self.compare(
            *("--layout", "flexfiles", "--mirrors", "2", "--data-servers", "2")
        )

    def test_withoutLayouts(self) -> None:
        """
        The same by a client without layout drivers: the metadata server reads and
        writes for it.
        """
        cluster = self.compare(
            *("--layout", "files", "--data-servers", "3"), first="without_layouts\n"
        )
        self.assertEqual(cluster.operations()["LAYOUTGET"], 0)
