# -*- test-case-name: tests.nfs3.procs.test_commit -*-
"""
COMMIT (RFC 1813, section 3.3.21).

::

    struct COMMIT3args { nfs_fh3 file; offset3 offset; count3 count; };
"""

from __future__ import annotations

import struct

from pnfs.namespace.filehandles import WRITE
from pnfs.nfs3.dataserver import DataServer3, refusal
from pnfs.nfs3.status import NFS3Error, nfsstat3
from pnfs.rpc.errors import GarbageArgs
from pnfs.rpc.message import Buffer
from pnfs.rpc.program import Call, Results

_rest = struct.Struct(">QI").unpack_from
_resok = struct.Struct(">3I8s").pack


async def commit(server: DataServer3, call: Call, buf: Buffer, pos: int) -> Results:
    """
    Flush. The verifier is that of after the flush, so that a client whose data
    were lost by it writes them again.
    """
    capability, pos = server.handle(buf, pos)
    try:
        offset, count = _rest(buf, pos)
    except struct.error:
        raise GarbageArgs() from None
    name = capability.name
    if not name:
        raise NFS3Error(nfsstat3.NFS3ERR_INVAL)
    attributes = server.backend.peek(name)
    if attributes is None:
        attributes = await server.backend.getattr(name)
    status = refusal(capability, WRITE, attributes, call.credential)
    if status:
        raise NFS3Error(nfsstat3(status))
    return [_resok(0, 0, 0, await server.backend.commit(name, offset, count))]
