# -*- test-case-name: tests.namespace.test_clients -*-
"""
Which clients an export is for, and on what terms: the client lists of exports(5).

A client is judged by the address that its connection comes from. The first rule
that it fits counts; whom none fits is not told that the export exists.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Optional, Sequence, Union

import attrs

from pnfs.values import NOBODY

AUTH_NONE = 0
AUTH_SYS = 1

Network = Union[IPv4Network, IPv6Network]


@attrs.frozen
class Terms:
    """
    What an export is to a client.

    @ivar readOnly: nothing may be changed.
    @ivar rootSquash: uid and gid 0 mean the anonymous ones; allSquash: everybody's.
    @ivar anonymous: uid and gid of who is squashed, or has not said who he is.
    @ivar flavors: RPC security flavours, preferred ones first.
    @ivar pnfs: layouts are given; else all bytes go through the metadata server.
    """

    readOnly: bool = False
    rootSquash: bool = True
    allSquash: bool = False
    anonymous: tuple[int, int] = (NOBODY, NOBODY)
    flavors: tuple[int, ...] = (AUTH_SYS, AUTH_NONE)
    pnfs: bool = True


@attrs.frozen
class ClientRule:
    """
    @ivar networks: who is meant; None: everybody.
    @ivar terms: what they get.
    """

    networks: Optional[tuple[Network, ...]]
    terms: Terms


def termsFor(rules: Sequence[ClientRule], host: Optional[str]) -> Optional[Terms]:
    """
    What the rules give to a client.

    @param host: its numeric address; None if it has none.
    @return: None if it may not know of the export.
    """
    address = None
    if host is not None:
        address = ip_address(host)
        if address.version == 6 and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
    for rule in rules:
        networks = rule.networks
        if networks is None:
            return rule.terms
        if address is not None and any(address in network for network in networks):
            return rule.terms
    return None
