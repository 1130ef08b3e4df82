# -*- test-case-name: tests.nfs4.ops.test_admission -*-
"""
Who may see an export, and by which security flavour.

A client list decides by the address a request comes from. As with Linux's server,
an export that is not for a client does not exist for it: no entry of a directory,
NOENT at LOOKUP, STALE for a filehandle of it. Directories of the pseudo file system
that lead only to such exports do not exist either.

A wrong flavour is told where RFC 8881, section 2.6.3.1.1, wants it: by LOOKUP,
LOOKUPP and OPEN by name about what they lead to; by PUTFH, PUTROOTFH, PUTPUBFH and
RESTOREFH only if the next operation uses what they have set and does not tell
itself. SECINFO never does, so that a client can find out what would be right.
"""

from __future__ import annotations

import struct
from typing import Any, Optional

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.ops.open_args import (
    CLAIM_DELEGATE_CUR,
    CLAIM_DELEGATE_PREV,
    CLAIM_NULL,
    decodeOpen,
)
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.values import Inode
from pnfs.xdr.errors import XDRError

_unpackNumber = struct.Struct(">I").unpack_from

_OPEN = 18
_SAVEFH = 32
_TELL_THEMSELVES = frozenset({15, 16, 33, 52, 22, 23, 24, 31})
"""LOOKUP, LOOKUPP, SECINFO, SECINFO_NO_NAME; and what sets another filehandle."""
_BY_NAME = (CLAIM_NULL, CLAIM_DELEGATE_CUR, CLAIM_DELEGATE_PREV)


def seen(ctx: CompoundContext, export: Any) -> Any:
    """
    What an export is to the caller; None if it may not know of it.
    """
    if export.rules is None:
        return export
    address = ctx.call.connection.address
    return export.seenBy(address[0] if address else None)


def admit(ctx: CompoundContext, export: Any, buf: Any, pos: int) -> Any:
    """
    What a guarded export is to the caller, who comes with a filehandle of it.

    @param pos: where the next operation begins in C{buf}.
    @raise NFSError: STALE: it is not for this client. WRONGSEC.
    """
    view = seen(ctx, export)
    if view is None:
        raise NFSError(nfsstat4.NFS4ERR_STALE)
    if view.picky and _used(ctx, buf, pos):
        requireFlavor(ctx, view)
    return view


def requireFlavor(ctx: CompoundContext, export: Any) -> None:
    """
    @raise NFSError: WRONGSEC: the caller's flavour is not served in this export.
    """
    if ctx.credential.flavor not in export.flavors:
        raise NFSError(nfsstat4.NFS4ERR_WRONGSEC)


def _used(ctx: CompoundContext, buf: Any, pos: int) -> bool:
    """
    Is the filehandle being set used by an operation that cannot tell itself that
    the flavour is wrong? SAVEFH does not count: what follows it does.
    """
    for _ in range(ctx.index + 1, ctx.count):
        try:
            (number,) = _unpackNumber(buf, pos)
        except struct.error:
            return False
        pos += 4
        if number != _SAVEFH:
            return number not in _TELL_THEMSELVES and not (
                number == _OPEN and _opensByName(buf, pos)
            )
    return False


def _opensByName(buf: Any, pos: int) -> bool:
    try:
        args, _ = decodeOpen(buf, pos)
    except (NFSError, XDRError, struct.error):
        return False
    return args.claim in _BY_NAME


def visible(ctx: CompoundContext, directory: Any, child: Inode) -> bool:
    """
    Does an entry of the pseudo file system exist for the caller?

    @param directory: the pseudo file system.
    """
    handle = child.handle
    inner = directory.mounts.get(handle)
    if inner is not None:
        return seen(ctx, inner) is not None
    below = directory.below.get(handle)
    return below is None or any(seen(ctx, inner) is not None for inner in below)


def enter(ctx: CompoundContext, child: Inode) -> tuple[Any, Inode]:
    """
    Where looking up C{child} in the current export leads.

    @raise NFSError: NOENT: it is not for this client. WRONGSEC.
    @raise Unreachable: the backend of the export below is not ready.
    """
    export = ctx.export
    if not export.mounts:
        return export, child
    if not visible(ctx, export, child):
        raise NFSError(nfsstat4.NFS4ERR_NOENT)
    inner, child = export.enter(child)
    if inner.guarded:
        inner = seen(ctx, inner)
        requireFlavor(ctx, inner)
    return inner, child


def offered(ctx: CompoundContext, child: Inode) -> Any:
    """
    The export that looking up C{child} leads to, whether the caller's flavour is
    right or not.

    @raise NFSError: NOENT: it is not for this client.
    """
    export = ctx.export
    if not export.mounts:
        return export
    if not visible(ctx, export, child):
        raise NFSError(nfsstat4.NFS4ERR_NOENT)
    inner = export.mounts.get(child.handle)
    return export if inner is None else seen(ctx, inner)


def topOf(ctx: CompoundContext, buf: Any, pos: int) -> Any:
    """
    The export at the top of the name space, for the caller. Where the only export
    is the whole of it, and not for this client, that is an empty directory.

    @param pos: where the next operation begins in C{buf}.
    @raise NFSError: WRONGSEC.
    """
    exports = ctx.server.exports
    root = exports.root
    if not root.guarded:
        return root
    view: Optional[Any] = seen(ctx, root)
    return exports.nothing if view is None else admit(ctx, root, buf, pos)
