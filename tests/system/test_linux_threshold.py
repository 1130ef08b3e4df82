"""
A Linux client and small files, which go through the metadata server where an export
wants that.
"""

from __future__ import annotations

from tests.system.cluster import Cluster
from tests.system.linuxcase import LinuxTestCase
from tests.system.site import Site

_SCRIPT = """
    mount_export 4.2 "$PORT"
    head -c 4096 /dev/urandom > /run/small
    head -c 1M /dev/urandom > /run/large
    cp /run/small /mnt/small
    drop_caches
    cmp /run/small /mnt/small
    echo small
    await_host large
    cp /run/large /mnt/large
    drop_caches
    cmp /run/large /mnt/large
    echo large
    await_host grown
    drop_caches
    head -c 100k /run/large >> /mnt/small
    sync
    drop_caches
    cmp <(cat /run/small; head -c 100k /run/large) /mnt/small
"""


class ThresholdTests(LinuxTestCase):
    """
    C{mds_threshold} of an export.
    """

    def layouts(self, cluster: Cluster) -> int:
        """
        How many layouts have been given.
        """
        return cluster.refused("LAYOUTGET", "NFS4_OK")

    def test_smallFiles(self) -> None:
        """
        A file of 4 KiB is written and read without a layout, one of 1 MiB with one,
        and so is the small one once it has grown. An independent decoder understands
        what the client is told.
        """
        cluster = self.site(Site({"mds_threshold": "64KiB"}, [{}, {}]))
        capture = self.capture()
        guest = self.guest(cluster, _SCRIPT)
        guest.expect("small")
        seen = cluster.operations()
        # Those that every OPEN brings along are refused.
        self.assertEqual(self.layouts(cluster), 0)
        self.assertGreater(seen["WRITE"], 0)
        self.assertGreater(seen["READ"] + seen["READ_PLUS"], 0)
        guest.tell("large")
        guest.expect("large")
        after = cluster.operations()
        layouts = self.layouts(cluster)
        self.assertGreater(layouts, 0)
        for name in ("READ", "READ_PLUS", "WRITE"):
            self.assertEqual(after[name], seen[name], name)
        guest.tell("grown")
        guest.finish()
        grown = cluster.operations()
        self.assertGreater(self.layouts(cluster), layouts)
        self.assertEqual(grown["WRITE"], seen["WRITE"])
        capture.finish()
        self.assertEqual(capture.malformed(), [])
        self.assertGreater(capture.thresholds(), 0)
