# -*- test-case-name: tests.nfs4.ops.test_putfh -*-
"""
PUTPUBFH (RFC 8881, section 18.20).
"""

from __future__ import annotations

from typing import Any

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import hotOperation, okHeader
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.ops.putrootfh import goToRoot

_OK = okHeader(23)


@hotOperation(23, "PUTPUBFH", errors=errorsOf("WRONGSEC"))
def putpubfh(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    The public filehandle is the root's.
    """
    goToRoot(ctx, buf, pos)
    ctx.out.append(_OK)
    return pos
