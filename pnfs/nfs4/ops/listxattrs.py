# -*- test-case-name: tests.nfs4.ops.test_listxattrs -*-
"""
LISTXATTRS (RFC 8276, section 8.4.3).

Names are told in the order of their hashes, and a cookie is the hash of the last one
told: so a walk tells each attribute that stays exactly once, whatever else comes and
goes meanwhile, and no cookie is ever too old.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.ops.xattrs import READ_ERRORS, requireReadable, xattrkey4
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import bool_t, count4, uint64_t
from pnfs.xdr.codec import Array

_NAMES_LIMIT = 65536
_ENVELOPE = 16
"""Bytes of the result besides the names: cookie, their number, and the end mark."""

_RESERVE = 64
"""Bytes of the reply left for what is not the result."""


@attrs.define
class LISTXATTRS4args:
    """
    @ivar lxa_cookie: 0, or where to go on.
    @ivar lxa_maxcount: bytes that the result may have.
    """

    lxa_cookie: uint64_t
    lxa_maxcount: count4


@attrs.define
class LISTXATTRS4resok:
    """
    @ivar lxr_names: without C{user.}.
    """

    lxr_cookie: uint64_t
    lxr_names: Annotated[list[bytes], Array(xattrkey4, _NAMES_LIMIT)]
    lxr_eof: bool_t


def _cookieOf(name: bytes) -> int:
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "big") or 1


@operation(
    74,
    "LISTXATTRS",
    args=LISTXATTRS4args,
    resok=LISTXATTRS4resok,
    errors=errorsOf(READ_ERRORS + " BAD_COOKIE TOOSMALL"),
    minor=2,
)
async def listxattrs(ctx: CompoundContext, args: LISTXATTRS4args) -> LISTXATTRS4resok:
    """
    Tell the names of extended attributes, as many as there is room for.
    """
    inode = requireReadable(ctx)
    room = min(args.lxa_maxcount, ctx.limitBytes - ctx.size - _RESERVE) - _ENVELOPE
    if room < 0:
        raise NFSError(nfsstat4.NFS4ERR_TOOSMALL)
    cookie = args.lxa_cookie
    found = await ctx.export.backend.listxattrs(inode)
    names: list[bytes] = []
    for following, name in sorted((_cookieOf(name), name) for name in found):
        if following <= args.lxa_cookie:
            continue
        room -= 4 + len(name) + (-len(name) & 3)
        if room < 0:
            if not names:
                raise NFSError(nfsstat4.NFS4ERR_TOOSMALL)
            return LISTXATTRS4resok(cookie, names, False)
        names.append(name)
        cookie = following
    return LISTXATTRS4resok(cookie, names, True)
