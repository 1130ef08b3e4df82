# -*- test-case-name: tests.nfs4.ops.test_putfh -*-
"""
GETFH (RFC 8881, section 18.8).
"""

from __future__ import annotations

import struct
from typing import Any

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import hotOperation
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.xdr.codec import PAD

_pack = struct.Struct(">III").pack


@hotOperation(10, "GETFH", errors=errorsOf())
def getfh(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    Tell the current filehandle.
    """
    fh = ctx.requireFH()
    length = len(fh)
    ctx.out.append(_pack(10, 0, length) + fh + PAD[length & 3])
    return pos
