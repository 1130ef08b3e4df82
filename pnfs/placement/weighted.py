# -*- test-case-name: tests.placement.test_weighted -*-
"""
Placement by free space, the default.

Every data server gets a share of the new files as large as its share of the free
space. That is no lottery: each has a credit, which grows with every file by its share
and shrinks when it is chosen, so that a few large files spread as evenly as many small
ones. Among mirrors with equal credits a hash of the file's number decides: else data
servers would always be mirrors of the same others, and all that one of them has would
have to be repaired from one neighbour. Stripes go by the order of the inventory, since
each other sequence of data servers is one more device for clients to ask about.

A second credit of the same kind decides who comes first: who gets the first bytes of
striped files, which is all there is of small ones, and is the mirror that is read. The
others follow in the order of the inventory.

Choosing at random by weight was rejected: of ten files on three data servers one may
get six.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Mapping, Sequence

from zope.interface import implementer

from pnfs.interfaces import IPlacementPolicy
from pnfs.placement.options import refuseOptions
from pnfs.values import DataServer, PlaceRequest

_DIGITS = 9
"""Credits that differ by less are equal."""


@implementer(IPlacementPolicy)
class WeightedPolicy:
    """
    More files where more is free.
    """

    name = "weighted"

    def __init__(self, options: Mapping[str, Any]) -> None:
        refuseOptions(self.name, options)
        self._credits: dict[bytes, float] = {}
        self._leads: dict[bytes, float] = {}

    def order(
        self, request: PlaceRequest, servers: Sequence[DataServer]
    ) -> Sequence[DataServer]:
        """
        As L{IPlacementPolicy.order}.
        """
        count = min(_wanted(request) or len(servers), len(servers))
        shares = _shares(servers, count)
        number = request.sequence.to_bytes(8, "big")
        credits = {
            uuid: self._credits.get(uuid, 0.0) + share for uuid, share in shares.items()
        }
        ranked = sorted(
            servers,
            key=lambda server: (
                -round(credits[server.uuid], _DIGITS),
                (
                    blake2b(number + server.uuid, digest_size=8).digest()
                    if request.mirrors > 1
                    else b""
                ),
            ),
        )
        chosen = [server for server in servers if server in ranked[:count]]
        for server in chosen:
            credits[server.uuid] -= 1 / count
        self._credits = credits
        first = chosen.index(self._lead(chosen, shares))
        return [*chosen[first:], *chosen[:first], *ranked[count:]]

    def _lead(
        self, chosen: Sequence[DataServer], shares: Mapping[bytes, float]
    ) -> DataServer:
        """
        Who comes first.
        """
        leads = self._leads = {uuid: self._leads.get(uuid, 0.0) for uuid in shares}
        for server in chosen:
            leads[server.uuid] += shares[server.uuid]
        leader = max(chosen, key=lambda server: round(leads[server.uuid], _DIGITS))
        leads[leader.uuid] -= sum(shares[server.uuid] for server in chosen)
        return leader


def _wanted(request: PlaceRequest) -> int:
    """
    How many data servers a file needs; 0: all.
    """
    return request.mirrors if request.mirrors > 1 else request.stripeCount


def _shares(servers: Sequence[DataServer], count: int) -> dict[bytes, float]:
    """
    The share of each in the files, by identity, in all 1. None has a file more than
    once: what would be due to it beyond that is shared among the others. Who has not
    said what is free is taken for average.
    """
    known = [s.spaceFree for s in servers if s.spaceFree is not None]
    average = sum(known) / len(known) if known else 1.0
    weights = {
        s.uuid: average if s.spaceFree is None else float(s.spaceFree) for s in servers
    }
    left = 1.0
    free = sum(weights.values())
    shares = {}
    for place, uuid in enumerate(
        sorted(weights, key=weights.__getitem__, reverse=True)
    ):
        weight = weights[uuid]
        part = (
            min(weight / free, 1.0)
            if free > 0 and weight
            else 1 / (len(weights) - place)
        )
        shares[uuid] = min(left * part, 1 / count)
        left -= shares[uuid]
        free -= weight
    return shares
