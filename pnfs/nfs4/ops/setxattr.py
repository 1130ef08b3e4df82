# -*- test-case-name: tests.nfs4.ops.test_setxattr -*-
"""
SETXATTR (RFC 8276, section 8.4.2).
"""

from __future__ import annotations

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.ops.xattrs import (
    CHANGE_ERRORS,
    requireChangeable,
    xattrkey4,
    xattrvalue4,
)
from pnfs.nfs4.types import change_info4, uint32_t
from pnfs.values import SetXattr
from pnfs.xdr.errors import XDRError


@attrs.define
class SETXATTR4args:
    """
    @ivar sxa_option: L{SetXattr}: may it be there already, must it.
    @ivar sxa_key: without C{user.}.
    """

    sxa_option: uint32_t
    sxa_key: xattrkey4
    sxa_value: xattrvalue4


@attrs.define
class SETXATTR4resok:
    """
    @ivar sxr_info: how the object's change attribute moved.
    """

    sxr_info: change_info4


@operation(
    73,
    "SETXATTR",
    args=SETXATTR4args,
    resok=SETXATTR4resok,
    modifies=True,
    errors=errorsOf(CHANGE_ERRORS + " EXIST XATTR2BIG"),
    minor=2,
)
async def setxattr(ctx: CompoundContext, args: SETXATTR4args) -> SETXATTR4resok:
    """
    Give the current object an extended attribute, or change it.
    """
    if args.sxa_option > SetXattr.REPLACE:
        raise XDRError("setxattr_option4")
    inode = requireChangeable(ctx)
    before = inode.change
    await ctx.export.backend.setxattr(
        inode, args.sxa_key, args.sxa_value, SetXattr(args.sxa_option)
    )
    return SETXATTR4resok(change_info4(True, before, inode.change))
