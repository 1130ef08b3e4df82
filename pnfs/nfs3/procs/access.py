# -*- test-case-name: tests.nfs3.procs.test_attributes -*-
"""
ACCESS (RFC 1813, section 3.3.4).
"""

from __future__ import annotations

import struct

from pnfs.namespace.filehandles import READ, WRITE
from pnfs.nfs3.dataserver import DataServer3, refusal
from pnfs.nfs3.types import ACCESS3_EXTEND, ACCESS3_MODIFY, ACCESS3_READ
from pnfs.rpc.errors import GarbageArgs
from pnfs.rpc.message import Buffer
from pnfs.rpc.program import Call, Results

_access = struct.Struct(">I").unpack_from
_head = struct.Struct(">2I").pack
_tail = struct.Struct(">I").pack


async def access(server: DataServer3, call: Call, buf: Buffer, pos: int) -> Results:
    """
    What READ and WRITE would allow. Looking up, deleting and executing have no
    meaning for a data file: they are never granted.
    """
    capability, pos = server.handle(buf, pos)
    try:
        (wanted,) = _access(buf, pos)
    except struct.error:
        raise GarbageArgs() from None
    if not capability.name:
        return [_head(0, 1) + server.folderFattr() + _tail(0)]
    attributes = await server.look(capability)
    granted = 0
    if not refusal(capability, READ, attributes, call.credential):
        granted |= ACCESS3_READ
    if not refusal(capability, WRITE, attributes, call.credential):
        granted |= ACCESS3_MODIFY | ACCESS3_EXTEND
    fattr = server.fattr(capability.name, attributes)
    return [_head(0, 1) + fattr + _tail(granted & wanted)]
