"""
What must not be left when every client has gone.
"""

from __future__ import annotations

from typing import Any, Iterator, Sequence

from pnfs.layouts.striping import pieces
from pnfs.nfs4.status import nfsstat4
from pnfs.values import Placement
from tests.simulation.actors import PrivateFile, Stream
from tests.simulation.network import Network
from tests.simulation.site import Site


def leftovers(site: Site, network: Network, hosts: list[Any]) -> Iterator[str]:
    """
    Say what is left.
    """
    context = site.mds.context
    if len(context.clients):
        yield f"clients: {[client.owner for client in context.clients]}"
    if context.opens.count:
        yield f"{context.opens.count} opens"
    if context.delegations.count:
        yield f"{context.delegations.count} delegations"
    if len(context.layouts):
        yield f"{len(context.layouts)} layouts"
    if len(context.sessions):
        yield f"{len(context.sessions)} sessions"
    for name, node in site.tree.files():
        if node.state is not None:
            yield f"{name!r} still has {node.state}"
    for service in site.services():
        for (operation, status), count in service.context.failed.items():
            if status == nfsstat4.NFS4ERR_SERVERFAULT:
                yield f"SERVERFAULT of operation {operation}, {count} times"
    yield from _timers(site, hosts)
    yield from _dataFiles(site)
    yield from _mirrors(site, hosts)


def _timers(site: Site, hosts: list[Any]) -> Iterator[str]:
    """
    Timers besides the periodic ones: leases swept, data servers probed, the session
    with each data server waiting for a reply that did not come.
    """
    known = ("LoopingCall", "DataServers._probe", "Health._tick", "Peer._expire")
    for service in site.services():
        for call in service.clock.getDelayedCalls():
            name = getattr(call.func, "__qualname__", repr(call.func))
            if not any(each in name or each in repr(call.func) for each in known):
                yield f"{service.clock.process.host} has a timer {call.func}"
    for host in hosts:
        for call in host.process.clock.getDelayedCalls():
            yield f"{host.name} has a timer {call.func}"


def _dataFiles(site: Site) -> Iterator[str]:
    """
    Data files without a file, files without their data files.
    """
    wanted: dict[tuple[int, bytes], int] = {}
    for _, node in site.tree.files():
        if node.placement is not None:
            for uuid in node.placement.dataServers:
                wanted[uuid[0] - 1, node.placement.name] = node.size
    there = {
        (number, name): found.attributes
        for number, disk in enumerate(site.disks)
        for name, found in disk._objects.items()
    }
    for key in wanted:
        if key not in there:
            yield f"data file {key[1].decode()} is not on ds{key[0]}"
    for key, attributes in there.items():
        # A crash between making a data file and remembering it leaves an empty one.
        if key not in wanted and attributes.size:
            yield f"data file {key[1].decode()} on ds{key[0]} belongs to nothing"


def _mirrors(site: Any, hosts: Sequence[Any]) -> Iterator[str]:
    """
    Every mirror counts in the end, and each by itself has all that was acknowledged.
    """
    files = dict(site.tree.files())
    disks = {disk.uuid: disk for disk in site.disks}
    for name, node in files.items():
        if node.placement is not None and node.placement.stale:
            yield f"{name.decode()} has stale mirrors in the end"
    for host in hosts:
        for actor in host.actors:
            if not isinstance(actor, (PrivateFile, Stream)):
                continue
            node = files[actor.path.rpartition("/")[2].encode("ascii")]
            placement = node.placement
            if placement is None:
                continue
            for number in range(max(map(len, placement.columns))):
                data = _whole(placement, disks, number, node.size)
                problem = actor.content.problem(0, 1 << 20, data)
                if problem:
                    yield f"mirror {number} of {actor.path}: {problem}"


def _whole(placement: Placement, disks: Any, number: int, size: int) -> bytes:
    """
    A file as it is if each column is read from its mirror of that number.
    """
    parts = []
    for column, offset, length in pieces(placement, 0, size):
        mirrors = placement.columns[column]
        stored = disks[mirrors[number % len(mirrors)]].stored(placement.name) or b""
        parts.append(stored[offset : offset + length].ljust(length, b"\0"))
    return b"".join(parts)
