"""
Tests for L{pnfs.layouts.addresses}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pnfs.layouts.addresses import netaddrOf, netaddrsOf
from pnfs.values import DataServer


class AddressTests(SynchronousTestCase):
    """
    Clients are told where data servers are in a form that they can parse.
    """

    def test_ipv4(self) -> None:
        """
        An IPv4 address carries its port in two decimal bytes.
        """
        found = netaddrOf("10.0.0.1", 2049)
        self.assertEqual((found.na_r_netid, found.na_r_addr), (b"tcp", b"10.0.0.1.8.1"))

    def test_ipv6(self) -> None:
        """
        An IPv6 address is written in its short form, without brackets.
        """
        found = netaddrOf("FD00:0::2", 20049)
        self.assertEqual(
            (found.na_r_netid, found.na_r_addr), (b"tcp6", b"fd00::2.78.81")
        )

    def test_refused(self) -> None:
        """
        A name, which clients would not look up, and a port that is none are
        refused, and so is a data server without addresses.
        """
        self.assertRaises(ValueError, netaddrOf, "ds1.example", 2049)
        self.assertRaises(ValueError, netaddrOf, "10.0.0.1", 65536)
        self.assertRaises(ValueError, netaddrOf, "10.0.0.1", 0)
        self.assertRaises(ValueError, netaddrsOf, DataServer(bytes(16), "a", ()))
