"""
What the tests with Linux clients have in common.
"""

from __future__ import annotations

from typing import Optional

from twisted.trial.unittest import SynchronousTestCase

from tests.system.capture import Capture
from tests.system.cluster import Cluster
from tests.system.linuxclient import Guest, requireGuest
from tests.system.namespace import Network
from tests.system.site import Site


class LinuxTestCase(SynchronousTestCase):
    """
    A network, to be filled with one cluster and some guests; all of it is gone at
    the end.
    """

    def setUp(self) -> None:
        requireGuest()
        self.network = Network.create()
        self.addCleanup(self.network.delete)

    def cluster(self, *options: str) -> Cluster:
        """
        Start the cluster, with options of C{pnfs demo}.
        """
        cluster = Cluster.start(self.network, *options)
        self.addCleanup(cluster.stop)
        return cluster

    def site(self, site: Site) -> Cluster:
        """
        Start a cluster from configuration files.
        """
        cluster = site.start(self.network)
        self.addCleanup(cluster.stop)
        return cluster

    def guest(self, cluster: Cluster, script: str, number: int = 0) -> Guest:
        """
        Boot a guest that knows the cluster's C{$PORT}.
        """
        guest = Guest.boot(
            self.network, script, number, environment=cluster.guestEnvironment()
        )
        self.addCleanup(guest.stop)
        return guest

    def capture(self) -> Capture:
        """
        Record what crosses the network from now on.
        """
        capture = Capture.start(self.network)
        self.addCleanup(capture.stop)
        return capture

    def assertNear(self, value: int, expected: int, what: Optional[str] = None) -> None:
        """
        Within a tenth.
        """
        self.assertApproximates(value, expected, expected // 10, what)
