# -*- test-case-name: tests.nfs4.ops.test_getxattr -*-
"""
GETXATTR (RFC 8276, section 8.4.1).
"""

from __future__ import annotations

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.ops.xattrs import READ_ERRORS, requireReadable, xattrkey4, xattrvalue4


@attrs.define
class GETXATTR4args:
    """
    @ivar gxa_name: without C{user.}.
    """

    gxa_name: xattrkey4


@attrs.define
class GETXATTR4resok:
    """
    @ivar gxr_value: all of it.
    """

    gxr_value: xattrvalue4


@operation(
    72,
    "GETXATTR",
    args=GETXATTR4args,
    resok=GETXATTR4resok,
    errors=errorsOf(READ_ERRORS),
    minor=2,
)
async def getxattr(ctx: CompoundContext, args: GETXATTR4args) -> GETXATTR4resok:
    """
    Tell the value of an extended attribute.
    """
    inode = requireReadable(ctx)
    return GETXATTR4resok(await ctx.export.backend.getxattr(inode, args.gxa_name))
