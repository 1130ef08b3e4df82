# -*- test-case-name: tests.layouts.test_addresses -*-
"""
Universal addresses (RFC 5665) of data servers.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pnfs.nfs4.types import netaddr4
from pnfs.values import DataServer
from pnfs.xdr.codec import Array

multipath_list4 = Annotated[list[netaddr4], Array(netaddr4, 64)]


def netaddrOf(host: str, port: int) -> netaddr4:
    """
    The C{netaddr4} of a TCP endpoint.

    @param host: a numeric IPv4 or IPv6 address; clients look up no names.
    @raise ValueError: it is none, or the port is none.
    """
    address = ipaddress.ip_address(host)
    if not 0 < port < 65536:
        raise ValueError(f"{port} is no port")
    netid = b"tcp" if address.version == 4 else b"tcp6"
    return netaddr4(netid, f"{address}.{port >> 8}.{port & 255}".encode("ascii"))


def netaddrsOf(server: DataServer) -> list[netaddr4]:
    """
    All addresses of a data server, best first.

    @raise ValueError: it has none, or one that is not numeric.
    """
    if not server.addresses:
        raise ValueError(f"data server {server.name} has no address for clients")
    return [netaddrOf(host, port) for host, port in server.addresses]
