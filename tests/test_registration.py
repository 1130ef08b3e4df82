"""
Tests of L{pnfs.registration}: the bytes; what is done with them is in
L{tests.mds.test_registration}.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pnfs.configregistration import ADDRESSES
from pnfs.registration import (
    REG_REFUSED,
    CHALLENGE1args,
    CHALLENGE1res,
    Proofs,
    REGISTER1args,
    REGISTER1res,
    address1,
    challengeArgs,
    challengeRes,
    data_server1,
    registerArgs,
    registered1,
    registerRes,
    same,
)
from pnfs.xdr.errors import XDRError

_SERVER = data_server1(
    bytes(range(16)),
    b"ds1",
    [address1(b"192.0.2.1", 2050)],
    b"nfs4.1",
    b"nvme",
    1 << 40,
    1 << 39,
)

_WIRE = (
    "000102030405060708090a0b0c0d0e0f"
    "00000003 64733100"
    "00000001 00000009 3139322e302e322e31000000 00000802"
    "00000006 6e6673342e310000"
    "00000004 6e766d65"
    "0000010000000000 0000008000000000"
)


_HELLO = "f0ec7f308338d1dbd64a76b937fea2e5596b9c1a86b7ff29d0784c8159abc39b"
_PROOF = "954c4e8140915a7c639cc96790c8f242f0b31cdb995de9a1b255328922758a40"


def _server(
    uuid: bytes,
    name: bytes,
    addresses: list[tuple[bytes, int]],
    protocol: bytes,
    total: int,
) -> data_server1:
    found = [address1(*each) for each in addresses]
    return data_server1(uuid, name, found, protocol, b"", total, total)


_servers = st.builds(
    _server,
    st.binary(min_size=16, max_size=16),
    st.binary(max_size=255),
    st.lists(
        st.tuples(st.binary(max_size=64), st.integers(0, (1 << 32) - 1)),
        max_size=ADDRESSES,
    ),
    st.binary(max_size=32),
    st.integers(0, (1 << 64) - 1),
)


class WireTests(SynchronousTestCase):
    """
    What data server and metadata server of different versions must agree on.
    """

    def test_server(self) -> None:
        """
        These very bytes tell who a data server is.
        """
        wire = bytes.fromhex(_WIRE) + b"p" * 32
        value = REGISTER1args(_SERVER, b"p" * 32)
        self.assertEqual(registerArgs.encode(value), wire)
        self.assertEqual(registerArgs.decode(wire, 0), (value, len(wire)))

    def test_truncated(self) -> None:
        """
        What is cut off anywhere is refused, in every message.
        """
        codec: Any
        for codec, value in (
            (challengeArgs, CHALLENGE1args(b"n" * 32, b"p" * 32)),
            (challengeRes, CHALLENGE1res(0, b"n" * 32, b"192.0.2.9", b"p" * 32)),
            (registerArgs, REGISTER1args(_SERVER, b"p" * 32)),
            (
                registerRes,
                REGISTER1res(registered1(REG_REFUSED, b"", b"no"), b"p" * 32),
            ),
        ):
            wire = codec.encode(value)
            self.assertEqual(codec.decode(wire, 0), (value, len(wire)))
            for length in range(len(wire)):
                self.assertRaises(XDRError, codec.decode, wire[:length], 0)

    @given(_servers)
    def test_roundTrip(self, server: data_server1) -> None:
        """
        Whatever a data server may be comes back.
        """
        value = REGISTER1args(server, bytes(32))
        wire = registerArgs.encode(value)
        self.assertEqual(registerArgs.decode(b"x" + wire, 1), (value, len(wire) + 1))


class ProofTests(SynchronousTestCase):
    """
    What shows that one has the key.
    """

    def test_distinct(self) -> None:
        """
        No proof serves for another purpose, number, key or content, nor the other way
        round.
        """
        a, b = b"a" * 32, b"b" * 32
        outcome = registered1(0, b"ds1", b"")
        other = data_server1(bytes(16), b"ds1", [], b"nfs4.1", b"", 0, 0)
        found = []
        for proofs in (Proofs(b"k" * 32), Proofs(b"K" * 32)):
            found += [
                proofs.hello(a),
                proofs.hello(b),
                proofs.challenge(a, b, b"h"),
                proofs.challenge(b, a, b"h"),
                proofs.challenge(a, b, b""),
                proofs.server(a, b, _SERVER),
                proofs.server(b, a, _SERVER),
                proofs.server(a, b, other),
                proofs.outcome(a, b, outcome),
                proofs.outcome(b, a, outcome),
                proofs.outcome(a, b, registered1(1, b"ds1", b"")),
            ]
        self.assertEqual(len(set(found)), len(found))
        self.assertEqual({len(each) for each in found}, {32})

    def test_same(self) -> None:
        """
        The very proof is right, in whatever buffer it came, and no other.
        """
        self.assertTrue(same(memoryview(b"x" * 32), b"x" * 32))
        self.assertFalse(same(b"y" + b"x" * 31, b"x" * 32))

    def test_known(self) -> None:
        """
        Servers of another version prove likewise.
        """
        proofs = Proofs(b"K" * 32)
        self.assertEqual(proofs.hello(b"n" * 32).hex(), _HELLO)
        proof = proofs.server(b"n" * 32, b"m" * 32, _SERVER)
        self.assertEqual(proof.hex(), _PROOF)
