"""
Tests of L{pnfs.nfs4.copy_types}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pnfs.nfs4.copy_types import (
    NL4_NAME,
    NL4_NETADDR,
    COPY4args,
    COPY4resok,
    addressesOf,
    copy_requirements4,
    namesOf,
    networkLocation,
    write_response4,
)
from pnfs.nfs4.types import netaddr4
from pnfs.xdr.codec import codecFor
from pnfs.xdr.errors import XDRError


class LocationTests(SynchronousTestCase):
    """
    Where servers are.
    """

    def test_addresses(self) -> None:
        """
        Addresses of both families come back, in order; names are told apart.
        """
        pairs = (("192.0.2.5", 2049), ("2001:db8::1", 65535), ("127.0.0.1", 1))
        locations = [networkLocation(*pair) for pair in pairs]
        locations.insert(1, (NL4_NAME, b"name"))
        self.assertEqual(addressesOf(locations), pairs)
        self.assertEqual(namesOf(locations), (b"name",))
        self.assertEqual(locations[2][1].na_r_netid, b"tcp6")

    @given(st.binary(max_size=128))
    def test_garbage(self, address: bytes) -> None:
        """
        What is no universal address is passed over.
        """
        found = addressesOf([(NL4_NETADDR, netaddr4(b"tcp", address))])
        for host, port in found:
            self.assertIn(port, range(1, 65536))

    def test_noPort(self) -> None:
        """
        Ports that cannot be are passed over.
        """
        for text in (b"192.0.2.5.0.0", b"192.0.2.5.256.0", b"192.0.2.5.-1.9", b"1.2"):
            self.assertEqual(addressesOf([(NL4_NETADDR, netaddr4(b"tcp", text))]), ())


class WireTests(SynchronousTestCase):
    """
    The arguments and the result of COPY.
    """

    def test_arguments(self) -> None:
        """
        Fields lie as in RFC 7862, section 15.2.1; every truncation is malformed.
        """
        codec = codecFor(COPY4args)
        value = COPY4args(
            b"\0\0\0\1" + b"\x11" * 12,
            b"\0\0\0\1" + b"\x22" * 12,
            5,
            6,
            7,
            True,
            False,
            [networkLocation("192.0.2.5", 2049), (NL4_NAME, b"abcd")],
        )
        wire = codec.encode(value)
        self.assertEqual(
            wire[:68].hex(),
            "00000001"
            + "11" * 12
            + "00000001"
            + "22" * 12
            + "0000000000000005"
            + "0000000000000006"
            + "0000000000000007"
            + "00000001"
            + "00000000"
            + "00000002",
        )
        self.assertEqual(wire[68:76].hex(), "00000003" "00000003")
        self.assertEqual(codec.decode(wire, 0), (value, len(wire)))
        for length in range(len(wire)):
            self.assertRaises(XDRError, codec.decode, wire[:length], 0)

    def test_tooMany(self) -> None:
        """
        More servers than anybody has are refused before they are read.
        """
        wire = bytes(32 + 24 + 8) + b"\0\1\0\0"
        self.assertRaises(XDRError, codecFor(COPY4args).decode, wire, 0)

    def test_result(self) -> None:
        """
        A copy that goes on has a stateid, another one has none.
        """
        codec = codecFor(COPY4resok)
        for stateids in ([], [b"s" * 16]):
            value = COPY4resok(
                write_response4(stateids, 9, 2, b"verifier"),
                copy_requirements4(True, not stateids),
            )
            wire = codec.encode(value)
            self.assertEqual(len(wire), 32 + 16 * len(stateids))
            self.assertEqual(codec.decode(wire, 0), (value, len(wire)))
