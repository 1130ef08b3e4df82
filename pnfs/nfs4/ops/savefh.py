# -*- test-case-name: tests.nfs4.ops.test_putfh -*-
"""
SAVEFH (RFC 8881, section 18.28).
"""

from __future__ import annotations

from typing import Any

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import hotOperation, okHeader
from pnfs.nfs4.ops.errorlists import errorsOf

_OK = okHeader(32)


@hotOperation(32, "SAVEFH", errors=errorsOf())
def savefh(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    Save the current filehandle, with the current stateid.
    """
    ctx.savedFH = ctx.requireFH()
    ctx.savedInode = ctx.inode
    ctx.savedExport = ctx.export
    ctx.savedStateid = ctx.stateid
    ctx.out.append(_OK)
    return pos
