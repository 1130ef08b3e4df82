# -*- test-case-name: tests.nfs4.dsops.test_copy -*-
"""
COPY and CLONE at a data server (RFC 7862, sections 15.2 and 15.13), by order of the
metadata server: the destination's handle must be a control handle.

COPY differs from COPY at a metadata server in this: the source may end before the
range does, as stripes are sparse and the end may lie in another column; zeros are
put there. It is always synchronous, and may end early: after L{SECONDS}, for the
metadata server has a deadline and wants to see progress.

Without C{ca_source_server} the saved filehandle is that of an object here. With it,
the saved filehandle is a capability for another data server: its addresses are
C{NL4_NETADDR}s, and a C{NL4_NAME} tells its UUID, in hex. Without C{ca_consecutive} the
bytes may come in any order, and nobody is going to read them soon: a file is moved, or
a mirror repaired.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Sequence

from pnfs.namespace.filehandles import CONTROL, READ
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.copy_types import (
    CLONE4args,
    COPY4args,
    COPY4resok,
    addressesOf,
    copy_requirements4,
    namesOf,
    write_response4,
)
from pnfs.nfs4.dsops.capability import requireControlObject
from pnfs.nfs4.operation import hotOperation, okHeader, operation
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.values import CopySource

SECONDS = 1.0
"""After which no further step is begun."""

_SAVEFH_OK = okHeader(32)

_ERRORS = frozenset(
    nfsstat4["NFS4ERR_" + name]
    for name in (
        "ACCESS BADXDR DELAY DQUOT FBIG INVAL IO ISDIR NOENT NOFILEHANDLE NOSPC "
        "NOTSUPP OFFLOAD_DENIED PNFS_NO_LAYOUT SERVERFAULT STALE"
    ).split()
)


@hotOperation(32, "SAVEFH", errors=frozenset({nfsstat4.NFS4ERR_NOFILEHANDLE}))
def savefh(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    Keep the current filehandle beside.
    """
    ctx.savedFH = ctx.requireFH()
    ctx.out.append(_SAVEFH_OK)
    return pos


@operation(60, "COPY", COPY4args, COPY4resok, errors=_ERRORS, modifies=True, minor=2)
async def copy(ctx: CompoundContext, args: COPY4args) -> COPY4resok:
    """
    Copy, step by step, as far as time allows.
    """
    name = requireControlObject(ctx)
    source = await _source(ctx, args.ca_source_server)
    step: Any = ctx.server.data.copy
    digests = None
    if source.uuid:
        partners = ctx.server.partners
        digests = partners.digests(args.ca_dst_offset)
        step = partial(partners.fetch, digests=digests, soon=args.ca_consecutive)
    seconds = ctx.server.clock.seconds
    until = seconds() + SECONDS
    count = args.ca_count
    done = 0
    verifier = None
    committed = 2
    while True:
        result = await step(
            name,
            args.ca_dst_offset + done,
            source,
            args.ca_src_offset + done,
            count - done,
        )
        if verifier is not None and result.verifier != verifier:
            # What came before may be lost.
            done, verifier, committed = 0, None, 2
            continue
        verifier = result.verifier
        committed = min(committed, result.committed)
        done += result.count
        if done >= count or not result.count or seconds() >= until:
            break
    ctx.server.writeBytes += done
    if digests is not None:
        ctx.copied = digests, source, args.ca_src_offset, done
    return COPY4resok(
        write_response4([], done, committed, verifier),
        copy_requirements4(bool(args.ca_consecutive), True),
    )


@operation(71, "CLONE", CLONE4args, errors=_ERRORS, modifies=True, minor=2)
async def clone(ctx: CompoundContext, args: CLONE4args) -> None:
    """
    Share a range of another object here.
    """
    name = requireControlObject(ctx)
    source = await _source(ctx, ())
    await ctx.server.data.clone(
        name, args.cl_dst_offset, source.name, args.cl_src_offset, args.cl_count
    )


async def _source(ctx: CompoundContext, servers: Sequence[Any]) -> CopySource:
    """
    @param servers: C{netloc4}s of the server that has it, if another.
    @raise NFSError: NOFILEHANDLE, ACCESS, ISDIR, PNFS_NO_LAYOUT, INVAL.
    """
    if not ctx.savedFH:
        raise NFSError(nfsstat4.NFS4ERR_NOFILEHANDLE)
    capability = ctx.server.filehandles.decode(ctx.savedFH)
    if not capability.name:
        raise NFSError(nfsstat4.NFS4ERR_ISDIR)
    if not capability.rights & (READ | CONTROL):
        raise NFSError(nfsstat4.NFS4ERR_ACCESS)
    if servers:
        try:
            (uuid,) = [bytes.fromhex(n.decode()) for n in namesOf(servers)]
        except ValueError:
            raise NFSError(nfsstat4.NFS4ERR_INVAL) from None
        if ctx.server.partners is None:
            raise NFSError(nfsstat4.NFS4ERR_NOTSUPP)
        if uuid.hex().encode("ascii") != ctx.server.owner:
            addresses = addressesOf(servers)
            return CopySource(capability.name, uuid, addresses, ctx.savedFH)
    if not capability.rights & CONTROL:
        attributes = await ctx.server.data.getattr(capability.name)
        if capability.epoch < attributes.epoch:
            raise NFSError(nfsstat4.NFS4ERR_PNFS_NO_LAYOUT)
    return CopySource(capability.name)
