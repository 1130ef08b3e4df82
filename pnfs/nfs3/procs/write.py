# -*- test-case-name: tests.nfs3.procs.test_write -*-
"""
WRITE (RFC 1813, section 3.3.7).

::

    struct WRITE3args {
        nfs_fh3 file; offset3 offset; count3 count; stable_how stable; opaque data<>;
    };
"""

from __future__ import annotations

import struct
from typing import Any, Coroutine, Union

from pnfs.namespace.filehandles import WRITE, BadHandle, Capability
from pnfs.nfs3.dataserver import DataServer3, refusal
from pnfs.nfs3.status import NFS3Error, nfsstat3
from pnfs.nfs3.types import NFS3_FHSIZE
from pnfs.rpc.errors import GarbageArgs
from pnfs.rpc.message import Buffer
from pnfs.rpc.program import Call, Results
from pnfs.values import Credential, WriteResult

_length = struct.Struct(">I").unpack_from
_rest = struct.Struct(">Q3I")
_resok = struct.Struct(">5I8s").pack


def write(
    server: DataServer3, call: Call, buf: Buffer, pos: int
) -> Union[Results, Coroutine[Any, Any, Results]]:
    """
    Write at once what need not wait for a device.

    A WRITE of more than we offer is cut: the client sends the rest again.
    """
    try:
        (length,) = _length(buf, pos)
        pos += 4
        start = pos + (length + 3 & ~3)
        offset, count, stable, size = _rest.unpack_from(buf, start)
    except struct.error:
        raise GarbageArgs() from None
    start += _rest.size
    if stable > 2 or start + size > len(buf):
        raise GarbageArgs()
    if length > NFS3_FHSIZE:
        raise BadHandle()
    capability = server.decode(bytes(buf[pos : pos + length]))
    name = capability.name
    if count != size or not name:
        raise NFS3Error(nfsstat3.NFS3ERR_INVAL)
    if size > server.writeSize:
        size = server.writeSize
    data = memoryview(buf)[start : start + size]
    backend = server.backend
    attributes = backend.peek(name)
    if attributes is None:
        return _writeLater(server, call.credential, capability, offset, data, stable)
    status = refusal(capability, WRITE, attributes, call.credential)
    if status:
        raise NFS3Error(nfsstat3(status))
    result = backend.writeNow(name, offset, data, stable)
    if result is None:
        return _writeLater(server, call.credential, capability, offset, data, stable)
    return _answer(result)


async def _writeLater(
    server: DataServer3,
    credential: Credential,
    capability: Capability,
    offset: int,
    data: memoryview,
    stable: int,
) -> Results:
    """
    Ask for what is not in memory, and look at it, then write.
    """
    attributes = server.backend.peek(capability.name)
    if attributes is None:
        attributes = await server.backend.getattr(capability.name)
    status = refusal(capability, WRITE, attributes, credential)
    if status:
        raise NFS3Error(nfsstat3(status))
    return _answer(await server.backend.write(capability.name, offset, data, stable))


def _answer(result: WriteResult) -> Results:
    """
    Encode C{WRITE3resok} without weak cache consistency data, as for READ.
    """
    return [_resok(0, 0, 0, result.count, result.committed, result.verifier)]
