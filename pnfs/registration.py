# -*- test-case-name: tests.test_registration -*-
"""
What a data server and a metadata server say to each other when the data server
registers itself: an RPC program of its own (ADR 0008).

  - 1, CHALLENGE: each side gives the other something new, and shows that it has the
    key;
  - 2, REGISTER: the data server says who and where it is.

Each proof is a keyed MAC (BLAKE2b) with a key derived from the cluster key, over
its purpose, the numbers that both sides have just made up, and all that is said with
it. So none can be used again, elsewhere, the other way round, or for
something else. Nothing is kept secret: what is said may be read by anybody.
"""

from __future__ import annotations

from hashlib import blake2b
from hmac import compare_digest
from typing import Annotated, Any

import attrs

from pnfs.configregistration import ADDRESSES
from pnfs.namespace.filehandles import deriveKey
from pnfs.xdr.codec import Array, Fixed, Opaque, codecFor

REGISTER_PROGRAM = 0x20706E66
"""From the numbers that RFC 5531, section 8.4.2, leaves to the user."""

REGISTER_VERSION = 1
CHALLENGE = 1
REGISTER = 2

NONCE_BYTES = 32
REG_OK = 0
REG_REFUSED = 1
"""As long as nobody changes something: C{text} says what."""

REG_LATER = 2
"""C{text} says why not now."""

REG_BADKEY = 3
"""The data server has another cluster key."""

REG_NOCHALLENGE = 4
"""CHALLENGE goes first, on the same connection, shortly before."""

nonce1 = Annotated[bytes, Fixed("32s")]
proof1 = Annotated[bytes, Fixed("32s")]
uuid1 = Annotated[bytes, Fixed("16s")]
uint32 = Annotated[int, Fixed("I")]
uint64 = Annotated[int, Fixed("Q")]
name1 = Annotated[bytes, Opaque(255)]
host1 = Annotated[bytes, Opaque(64)]
word1 = Annotated[bytes, Opaque(32)]
text1 = Annotated[bytes, Opaque(1024)]


@attrs.define
class CHALLENGE1args:
    """
    @ivar ca_proof: of the key alone: whose is another one is told so, and logged.
    """

    ca_nonce: nonce1
    ca_proof: proof1


@attrs.define
class CHALLENGE1res:
    """
    @ivar cr_status: REG_OK or REG_BADKEY.
    @ivar cr_host: numeric address that the caller comes from.
    """

    cr_status: uint32
    cr_nonce: nonce1
    cr_host: host1
    cr_proof: proof1


@attrs.define
class address1:
    """
    @ivar ad_host: numeric.
    """

    ad_host: host1
    ad_port: uint32


@attrs.define
class data_server1:
    """
    A data server.

    @ivar ds_name: what it calls itself.
    @ivar ds_addresses: where clients reach it; the metadata server uses the first.
    @ivar ds_protocol: what clients speak there.
    @ivar ds_class: of its storage; empty: not said.
    @ivar ds_total: bytes it has room for; ds_free: that are not used.
    """

    ds_uuid: uuid1
    ds_name: name1
    ds_addresses: Annotated[list[address1], Array(address1, ADDRESSES)]
    ds_protocol: word1
    ds_class: word1
    ds_total: uint64
    ds_free: uint64


@attrs.define
class REGISTER1args:
    """
    @ivar ra_proof: over C{ra_server} as encoded.
    """

    ra_server: data_server1
    ra_proof: proof1


@attrs.define
class registered1:
    """
    What came of it.

    @ivar rr_name: what the metadata server calls it, if REG_OK.
    @ivar rr_text: else: one line, why not and what to do.
    """

    rr_status: uint32
    rr_name: name1
    rr_text: text1


@attrs.define
class REGISTER1res:
    """
    @ivar rs_proof: over C{rs_outcome} as encoded; zeros without a challenge.
    """

    rs_outcome: registered1
    rs_proof: proof1


challengeArgs = codecFor(CHALLENGE1args)
challengeRes = codecFor(CHALLENGE1res)
registerArgs = codecFor(REGISTER1args)
registerRes = codecFor(REGISTER1res)
_server = codecFor(data_server1)
_outcome = codecFor(registered1)


class Proofs:
    """
    Makes and checks proofs under a cluster key.
    """

    def __init__(self, clusterKey: bytes) -> None:
        self._key = deriveKey(clusterKey, b"pnfs registration")

    def _mac(self, purpose: bytes, *parts: bytes) -> bytes:
        mac = blake2b(key=self._key, digest_size=32, person=purpose)
        for part in parts:
            mac.update(len(part).to_bytes(4, "big") + part)
        return mac.digest()

    def hello(self, nonce: bytes) -> bytes:
        """
        Of a data server that begins.
        """
        return self._mac(b"ds hello", nonce)

    def challenge(self, theirs: bytes, ours: bytes, host: bytes) -> bytes:
        """
        Of the metadata server that answers.

        @param theirs: the data server's number; ours: the metadata server's.
        """
        return self._mac(b"mds challenge", theirs, ours, host)

    def server(self, theirs: bytes, ours: bytes, server: data_server1) -> bytes:
        """
        Of the data server that says who it is.
        """
        return self._mac(b"ds register", theirs, ours, _server.encode(server))

    def outcome(self, theirs: bytes, ours: bytes, outcome: registered1) -> bytes:
        """
        Of the metadata server that says what came of it.
        """
        return self._mac(b"mds outcome", theirs, ours, _outcome.encode(outcome))


def same(proof: Any, expected: bytes) -> bool:
    """
    Is a proof right? That takes as long if it is not.
    """
    return compare_digest(bytes(proof), expected)
