# -*- test-case-name: tests.nfs3.procs.test_read -*-
"""
READ (RFC 1813, section 3.3.6).

::

    struct READ3args { nfs_fh3 file; offset3 offset; count3 count; };

Attributes are left out of the answer, as they would cost a system call per READ,
and a client does not look at those of a data server.
"""

from __future__ import annotations

import struct
from typing import Any, Coroutine, Union

from pnfs.namespace.filehandles import READ, BadHandle, Capability
from pnfs.nfs3.dataserver import DataServer3, refusal
from pnfs.nfs3.status import NFS3Error, nfsstat3
from pnfs.nfs3.types import NFS3_FHSIZE
from pnfs.rpc.errors import GarbageArgs
from pnfs.rpc.message import Buffer
from pnfs.rpc.program import Call, Results
from pnfs.values import Credential, ReadResult
from pnfs.xdr.codec import PAD

_length = struct.Struct(">I").unpack_from
_rest = struct.Struct(">QI").unpack_from
_resok = struct.Struct(">5I").pack


def read(
    server: DataServer3, call: Call, buf: Buffer, pos: int
) -> Union[Results, Coroutine[Any, Any, Results]]:
    """
    Answer at once what need not wait for a device.
    """
    try:
        (length,) = _length(buf, pos)
        pos += 4
        offset, count = _rest(buf, pos + (length + 3 & ~3))
    except struct.error:
        raise GarbageArgs() from None
    if length > NFS3_FHSIZE:
        raise BadHandle()
    capability = server.decode(bytes(buf[pos : pos + length]))
    name = capability.name
    if not name:
        raise NFS3Error(nfsstat3.NFS3ERR_INVAL)
    if count > server.readSize:
        count = server.readSize
    backend = server.backend
    attributes = backend.peek(name)
    if attributes is None:
        return _readLater(server, call.credential, capability, offset, count)
    status = refusal(capability, READ, attributes, call.credential)
    if status:
        raise NFS3Error(nfsstat3(status))
    result = backend.readNow(name, offset, count)
    if result is None:
        return _readLater(server, call.credential, capability, offset, count)
    return _answer(result)


async def _readLater(
    server: DataServer3,
    credential: Credential,
    capability: Capability,
    offset: int,
    count: int,
) -> Results:
    """
    Ask for what is not in memory, and look at it, then read.
    """
    attributes = server.backend.peek(capability.name)
    if attributes is None:
        attributes = await server.backend.getattr(capability.name)
    status = refusal(capability, READ, attributes, credential)
    if status:
        raise NFS3Error(nfsstat3(status))
    return _answer(await server.backend.read(capability.name, offset, count))


def _answer(result: ReadResult) -> Results:
    """
    Encode C{READ3resok}.
    """
    count = result.count
    head = _resok(0, 0, count, result.eof, count)
    if count & 3:
        return [head, *result.pieces, PAD[count & 3]]
    return [head, *result.pieces]
