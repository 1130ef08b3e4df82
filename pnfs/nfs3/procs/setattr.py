# -*- test-case-name: tests.nfs3.procs.test_attributes -*-
"""
SETATTR (RFC 1813, section 3.3.2).
"""

from __future__ import annotations

from pnfs.namespace.filehandles import CONTROL
from pnfs.nfs3.dataserver import DataServer3
from pnfs.nfs3.status import NFS3Error, nfsstat3
from pnfs.nfs3.types import encodeWCC, setAttributes, setattrCodec, time3
from pnfs.rpc.message import Buffer
from pnfs.rpc.program import Call, Results


async def setattr(server: DataServer3, call: Call, buf: Buffer, pos: int) -> Results:
    """
    Only the metadata server changes attributes of data files; clients ask it.

    The guard is compared with the real ctime before anything happens.
    """
    capability, pos = server.handle(buf, pos)
    arguments, _ = setattrCodec.decode(buf, pos)
    if not capability.rights & CONTROL or not capability.name:
        raise NFS3Error(nfsstat3.NFS3ERR_ACCES)
    try:
        changes = setAttributes(arguments.new_attributes)
    except ValueError:
        raise NFS3Error(nfsstat3.NFS3ERR_INVAL) from None
    name = capability.name
    before = await server.backend.getattr(name)
    guard = arguments.guard
    if guard is not None and time3(before.ctime) != (guard.seconds, guard.nseconds):
        raise NFS3Error(nfsstat3.NFS3ERR_NOT_SYNC)
    await server.backend.setattr(name, changes)
    after = server.fattr(name, await server.backend.getattr(name))
    return [bytes(4) + encodeWCC(after)]
