# -*- test-case-name: tests.nfs3.test_client -*-
"""
From a path to the first filehandle: the MOUNT protocol (RFC 1813, appendix I), and
the port mapper that knows where it is spoken (RFC 1833, section 3).
"""

from __future__ import annotations

import struct
from typing import Any, Optional

from pnfs.nfs3.client import opaque, statusError
from pnfs.nfs3.results import mountres3_ok
from pnfs.xdr.codec import codecFor
from pnfs.xdr.errors import XDRError

PORTMAP_PROGRAM = 100000
PORTMAP_PORT = 111
MOUNT_PROGRAM = 100005
MOUNT_V3 = 3

_TCP = 6
_u32 = struct.Struct(">I")
_mapping = struct.Struct(">IIII").pack
_mounted = codecFor(mountres3_ok)


async def portOf(
    rpc: Any, program: int, version: int, timeout: Optional[float] = None
) -> int:
    """
    Ask a port mapper (PMAPPROC_GETPORT) for a program's TCP port.

    @param rpc: L{pnfs.rpc.client.RPCClient} of the port mapper.
    @return: 0 if the program is not registered.
    @raise pnfs.rpc.errors.CallFailed: no answer. @raise XDRError: a strange one.
    """
    buf, pos = await rpc.call(
        PORTMAP_PROGRAM, 2, 3, [_mapping(program, version, _TCP, 0)], timeout=timeout
    )
    try:
        (port,) = _u32.unpack_from(buf, pos)
    except struct.error:
        raise XDRError("truncated") from None
    if port > 65535:
        raise XDRError(f"port {port}")
    return int(port)


async def mount(
    rpc: Any, path: bytes, credential: bytes, timeout: Optional[float] = None
) -> mountres3_ok:
    """
    MNT: the filehandle of an exported folder.

    @param rpc: L{pnfs.rpc.client.RPCClient} of the mount program.
    @raise pnfs.nfs3.status.NFS3Error: it is not exported to us; C{mountstat3} has
        the numbers of C{nfsstat3}.
    """
    buf, pos = await rpc.call(
        MOUNT_PROGRAM,
        MOUNT_V3,
        1,
        [opaque(path)],
        credential=credential,
        timeout=timeout,
    )
    try:
        (status,) = _u32.unpack_from(buf, pos)
    except struct.error:
        raise XDRError("truncated") from None
    if status:
        raise statusError(status)
    found: mountres3_ok = _mounted.decode(buf, pos + 4)[0]
    return found
