# -*- test-case-name: tests.nfs4.ops.test_secinfo -*-
"""
SECINFO (RFC 8881, section 18.29).
"""

from __future__ import annotations

from typing import Annotated, Any

import attrs

from pnfs.namespace.access import EXECUTE, permissions
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.admission import offered
from pnfs.nfs4.ops.directories import findChild
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import component4, uint32_t
from pnfs.xdr.codec import Array


@attrs.define
class SECINFO4args:
    """
    @ivar name: an entry of the current directory.
    """

    name: component4


@attrs.define
class SECINFO4resok:
    """
    @ivar flavors: the C{secinfo4}s, preferred ones first. None of ours is
        RPCSEC_GSS, so each is its number alone.
    """

    flavors: Annotated[list[int], Array(uint32_t, 8)]


def answer(ctx: CompoundContext, export: Any) -> SECINFO4resok:
    """
    The flavours that work in an export. The current filehandle is used up
    (RFC 8881, section 2.6.3.1.1.8).
    """
    ctx.setCurrent(b"", None, None)
    return SECINFO4resok(list(export.flavors))


@operation(
    33,
    "SECINFO",
    args=SECINFO4args,
    resok=SECINFO4resok,
    errors=errorsOf(
        "ACCESS BADCHAR BADNAME BADXDR INVAL IO NAMETOOLONG NOENT NOTDIR SYMLINK"
    ),
)
async def secinfo(ctx: CompoundContext, args: SECINFO4args) -> SECINFO4resok:
    """
    Tell how an entry of the current directory may be accessed.
    """
    directory = ctx.requireDirectory()
    if not permissions(directory, ctx.export.effective(ctx.credential)) & EXECUTE:
        raise NFSError(nfsstat4.NFS4ERR_ACCESS)
    child = await findChild(ctx.export, directory, args.name)
    return answer(ctx, offered(ctx, child))
