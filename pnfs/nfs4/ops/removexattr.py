# -*- test-case-name: tests.nfs4.ops.test_setxattr -*-
"""
REMOVEXATTR (RFC 8276, section 8.4.4).
"""

from __future__ import annotations

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.ops.xattrs import CHANGE_ERRORS, requireChangeable, xattrkey4
from pnfs.nfs4.types import change_info4


@attrs.define
class REMOVEXATTR4args:
    """
    @ivar rxa_name: without C{user.}.
    """

    rxa_name: xattrkey4


@attrs.define
class REMOVEXATTR4resok:
    """
    @ivar rxr_info: how the object's change attribute moved.
    """

    rxr_info: change_info4


@operation(
    75,
    "REMOVEXATTR",
    args=REMOVEXATTR4args,
    resok=REMOVEXATTR4resok,
    modifies=True,
    errors=errorsOf(CHANGE_ERRORS),
    minor=2,
)
async def removexattr(
    ctx: CompoundContext, args: REMOVEXATTR4args
) -> REMOVEXATTR4resok:
    """
    Take an extended attribute away.
    """
    inode = requireChangeable(ctx)
    before = inode.change
    await ctx.export.backend.removexattr(inode, args.rxa_name)
    return REMOVEXATTR4resok(change_info4(True, before, inode.change))
