# -*- test-case-name: tests.nfs4.test_copy_types -*-
"""
The wire types of copying that more than one operation uses (RFC 7862, sections
4.9 and 15.2), and universal addresses (RFC 5665).
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Optional, Sequence

import attrs

from pnfs.nfs4.types import (
    bool_t,
    length4,
    netaddr4,
    offset4,
    stateid4,
    uint32_t,
    verifier4,
)
from pnfs.xdr.codec import Array, Opaque, Union

NL4_NAME = 1
NL4_URL = 2
NL4_NETADDR = 3

SERVERS_LIMIT = 16
_NAME_LIMIT = 1024

_utf8str = Annotated[bytes, Opaque(_NAME_LIMIT)]

netloc4 = Annotated[
    tuple[int, Any],
    Union({NL4_NAME: _utf8str, NL4_URL: _utf8str, NL4_NETADDR: netaddr4}),
]
"""Where a server is: a name, a URL, or an address."""


@attrs.define
class COPY4args:
    """
    @ivar ca_count: 0 means to the end of the source.
    @ivar ca_source_server: where the source is, if on another server.
    """

    ca_src_stateid: stateid4
    ca_dst_stateid: stateid4
    ca_src_offset: offset4
    ca_dst_offset: offset4
    ca_count: length4
    ca_consecutive: bool_t
    ca_synchronous: bool_t
    ca_source_server: Annotated[list[tuple[int, Any]], Array(netloc4, SERVERS_LIMIT)]


@attrs.define
class CLONE4args:
    """
    RFC 7862, section 15.13.1.

    @ivar cl_count: 0 means to the end of the source.
    """

    cl_src_stateid: stateid4
    cl_dst_stateid: stateid4
    cl_src_offset: offset4
    cl_dst_offset: offset4
    cl_count: length4


@attrs.define
class write_response4:
    """
    @ivar wr_callback_id: the copy's stateid if it goes on, else nothing.
    @ivar wr_writeverf: for what COMMIT tells.
    """

    wr_callback_id: Annotated[list[bytes], Array(stateid4, 1)]
    wr_count: length4
    wr_committed: uint32_t
    wr_writeverf: verifier4


@attrs.define
class copy_requirements4:
    """
    Whether bytes are copied in order, and before the answer.
    """

    cr_consecutive: bool_t
    cr_synchronous: bool_t


@attrs.define
class COPY4resok:
    """
    What has been done, and how.
    """

    cr_response: write_response4
    cr_requirements: copy_requirements4


def networkLocation(host: str, port: int) -> tuple[int, Any]:
    """
    C{netloc4} of a numeric address.
    """
    netid = b"tcp6" if ":" in host else b"tcp"
    address = f"{host}.{port >> 8}.{port & 255}".encode("ascii")
    return NL4_NETADDR, netaddr4(netid, address)


def addressesOf(locations: Sequence[tuple[int, Any]]) -> tuple[tuple[str, int], ...]:
    """
    The numeric (host, port) pairs among C{netloc4}s, in order.
    """
    found = [
        _parse(value.na_r_addr) for kind, value in locations if kind == NL4_NETADDR
    ]
    return tuple(address for address in found if address is not None)


def _parse(universal: bytes) -> Optional[tuple[str, int]]:
    """
    @return: None if it is no universal address of TCP.
    """
    try:
        host, high, low = universal.decode("ascii").rsplit(".", 2)
        port = int(high) * 256 + int(low)
        if not 0 < port < 65536:
            return None
        return str(ipaddress.ip_address(host)), port
    except ValueError:
        return None


def namesOf(locations: Sequence[tuple[int, Any]]) -> tuple[bytes, ...]:
    """
    The names among C{netloc4}s, in order.
    """
    return tuple(value for kind, value in locations if kind == NL4_NAME)
