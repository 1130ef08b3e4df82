# -*- test-case-name: tests.nfs4.ops.test_putfh -*-
"""
PUTROOTFH (RFC 8881, section 18.21).
"""

from __future__ import annotations

from typing import Any

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import hotOperation, okHeader
from pnfs.nfs4.ops.admission import topOf
from pnfs.nfs4.ops.errorlists import errorsOf

_OK = okHeader(24)


def goToRoot(ctx: CompoundContext, buf: Any, pos: int) -> None:
    """
    Make the top of the server's name space the current filehandle.

    @param pos: where the next operation begins in C{buf}.
    """
    export = topOf(ctx, buf, pos)
    root = export.root()
    ctx.setCurrent(ctx.server.filehandles.encode(export, root), root, export)


@hotOperation(24, "PUTROOTFH", errors=errorsOf("WRONGSEC"))
def putrootfh(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    Begin at the root of the pseudo file system.
    """
    goToRoot(ctx, buf, pos)
    ctx.out.append(_OK)
    return pos
