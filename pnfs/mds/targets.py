# -*- test-case-name: tests.mds.test_targets -*-
"""
Where a file is to be: placements made of the one it has. They decide nothing but
where; how a file gets there is in L{pnfs.mds.moving}.

Data servers that are in both are kept where they are, since what they have need not be
copied. C{ranked} is always data servers that could take the file, best first.
"""

from __future__ import annotations

from typing import Any, Iterable, Sequence

import attrs

from pnfs.values import Placement


class Impossible(Exception):
    """
    A file cannot be there; the text is one line: why, and what to do instead.
    """


class TooFew(Impossible):
    """
    There are too few data servers for it that can be used now.
    """


def away(
    placement: Placement, leaving: bytes, ranked: Sequence[bytes], most: int = 1 << 30
) -> Placement:
    """
    The file without a data server: others take its columns.

    @param most: so many of them, if it has more.
    @raise Impossible: there are none.
    """
    columns = list(placement.columns)
    for number, column in enumerate(columns):
        if leaving in column and most:
            most -= 1
            new = _another(columns, column, ranked)
            columns[number] = tuple(new if u == leaving else u for u in column)
    return attrs.evolve(placement, columns=tuple(columns))


def onto(placement: Placement, wanted: Sequence[bytes]) -> Placement:
    """
    The file on these data servers, in this order where it has others now.

    @raise Impossible: it is on more of them, or on fewer.
    """
    now = placement.dataServers
    if len(set(wanted)) != len(wanted):
        raise Impossible("the same data server twice; name different ones")
    if len(wanted) != len(now):
        raise Impossible(
            f"the file is on {len(now)} data servers, and {len(wanted)} are named; name "
            "as many, or say with --from which one is to be left"
        )
    new = iter([uuid for uuid in wanted if uuid not in now])
    other = {uuid: uuid if uuid in wanted else next(new) for uuid in now}
    return attrs.evolve(
        placement,
        columns=tuple(tuple(other[u] for u in column) for column in placement.columns),
    )


def striped(
    placement: Placement, count: int, unit: int, ranked: Sequence[bytes]
) -> Placement:
    """
    The file in so many stripes; in one, it is not striped.

    @raise Impossible: it has mirrors, or there are too few data servers.
    """
    if placement.chunk or any(len(column) > 1 for column in placement.columns):
        raise Impossible(
            "files with mirrors are not striped; take the mirrors away first: "
            "'pnfs mirror remove'"
        )
    kept = list(placement.dataServers)[:count]
    more = [uuid for uuid in ranked if uuid not in kept]
    columns = (kept + more)[:count]
    if len(columns) < count:
        raise TooFew(
            f"{count} stripes need {count} data servers with room, and there are "
            f"{len(columns)}; 'pnfs ds list' shows them"
        )
    return attrs.evolve(
        placement,
        columns=tuple((uuid,) for uuid in columns),
        stripeUnit=unit if count > 1 else 0,
    )


def mirrored(placement: Placement, count: int, ranked: Sequence[bytes]) -> Placement:
    """
    The file with so many copies. Those that miss something go first, then those behind.

    @raise Impossible: it is striped, or there are too few data servers.
    """
    if len(placement.columns) > 1 and not placement.chunk:
        raise Impossible(
            "striped files have no mirrors; make it one stripe first: "
            "'pnfs restripe PATH --stripe-count 1'"
        )
    columns = list(placement.columns)
    for number, column in enumerate(columns):
        good = [uuid for uuid in column if uuid not in placement.stale]
        kept = (good + [uuid for uuid in column if uuid not in good])[:count]
        column = tuple(uuid for uuid in column if uuid in kept)
        while len(column) < count:
            column += (_another(columns, column, ranked),)
            columns[number] = column
        columns[number] = column
    return attrs.evolve(placement, columns=tuple(columns))


def without(placement: Placement, leaving: bytes) -> Placement:
    """
    The file without its copy on a data server.

    @raise Impossible: there is no other one.
    """
    columns = tuple(
        tuple(uuid for uuid in column if uuid != leaving)
        for column in placement.columns
    )
    return attrs.evolve(placement, columns=columns)


def require(export: Any, placement: Placement, target: Placement) -> Placement:
    """
    A target, for the layout driver that can serve it.

    @raise Impossible: none can, or nothing of the file would be left that is right.
    """
    for column in target.columns:
        if not set(column).difference(placement.stale):
            raise Impossible(
                "no good copy of the file would be left; 'pnfs mirror repair' first"
            )
        if len(set(column)) < len(column):
            raise Impossible("two copies would be on the same data server")
    drivers = sorted(
        export.drivers.values(), key=lambda driver: driver.name != placement.layout
    )
    for driver in drivers:
        found = attrs.evolve(target, layout=driver.name)
        if driver.supports(found):
            return found
    names = ", ".join(driver.name for driver in drivers)
    raise Impossible(f"layouts of export {export.path} ({names}) cannot be like that")


def _another(
    columns: Iterable[Sequence[bytes]], column: Sequence[bytes], ranked: Sequence[bytes]
) -> bytes:
    """
    A further data server for a column: one that has least of the file already.
    """
    used = [uuid for each in columns for uuid in each]
    found = [uuid for uuid in ranked if uuid not in column]
    if not found:
        raise TooFew(
            "no other data server is there that has room, and nothing of this part of "
            "the file; 'pnfs ds add' adds one"
        )
    return min(found, key=used.count)
