# -*- test-case-name: tests.nfs3.procs.test_attributes -*-
"""
GETATTR (RFC 1813, section 3.3.1).
"""

from __future__ import annotations

from pnfs.nfs3.dataserver import DataServer3
from pnfs.rpc.message import Buffer
from pnfs.rpc.program import Call, Results


async def getattr(server: DataServer3, call: Call, buf: Buffer, pos: int) -> Results:
    """
    Attributes of a data file, as large as it is here; or of the data server.
    """
    capability, _ = server.handle(buf, pos)
    if not capability.name:
        return [bytes(4) + server.folderFattr()]
    attributes = await server.look(capability)
    return [bytes(4) + server.fattr(capability.name, attributes)]
