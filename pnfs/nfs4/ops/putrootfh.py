# -*- test-case-name: tests.nfs4.ops.test_putfh -*-
"""
PUTROOTFH (RFC 8881, section 18.21).
"""

from __future__ import annotations

from typing import Any

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import hotOperation, okHeader
from pnfs.nfs4.ops.errorlists import errorsOf

_OK = okHeader(24)


def goToRoot(ctx: CompoundContext) -> None:
    """
    Make the top of the server's name space the current filehandle.
    """
    server = ctx.server
    export = server.exports.root
    root = export.root()
    ctx.setCurrent(server.filehandles.encode(export, root), root, export)


@hotOperation(24, "PUTROOTFH", errors=errorsOf("WRONGSEC"))
def putrootfh(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    Begin at the root of the pseudo file system.
    """
    goToRoot(ctx)
    ctx.out.append(_OK)
    return pos
