# -*- test-case-name: tests.nfs3.procs.test_fs -*-
"""
FSSTAT, FSINFO and PATHCONF (RFC 1813, sections 3.3.18 to 3.3.20): about the
whole data server, under any of its filehandles.
"""

from __future__ import annotations

import struct

from pnfs.namespace.filehandles import Capability
from pnfs.nfs3.dataserver import DataServer3
from pnfs.nfs3.types import MAX_FILE_SIZE
from pnfs.rpc.message import Buffer
from pnfs.rpc.program import Call, Results

FSF3_HOMOGENEOUS = 0x0008
FSF3_CANSETTIME = 0x0010

_BLOCK = 4096
_LINK_LIMIT = 1
_NAME_LIMIT = 80
_packStat = struct.Struct(">6QI").pack
_packInfo = struct.Struct(">7IQ3I").pack
_packConf = struct.Struct(">6I").pack


async def fsstat(server: DataServer3, call: Call, buf: Buffer, pos: int) -> Results:
    """
    Space and files; C{invarsec} 0: they may change at any moment.
    """
    capability, _ = server.handle(buf, pos)
    head = await _head(server, capability)
    space = await server.backend.statfs()
    body = _packStat(
        space.spaceTotal,
        space.spaceFree,
        space.spaceAvailable,
        space.filesTotal,
        space.filesFree,
        space.filesAvailable,
        0,
    )
    return [head + body]


async def fsinfo(server: DataServer3, call: Call, buf: Buffer, pos: int) -> Results:
    """
    Sizes of READ and WRITE.
    """
    capability, _ = server.handle(buf, pos)
    head = await _head(server, capability)
    body = _packInfo(
        server.readSize,
        server.readSize,
        _BLOCK,
        server.writeSize,
        server.writeSize,
        _BLOCK,
        _BLOCK,
        MAX_FILE_SIZE,
        0,
        1,
        FSF3_HOMOGENEOUS | FSF3_CANSETTIME,
    )
    return [head + body]


async def pathconf(server: DataServer3, call: Call, buf: Buffer, pos: int) -> Results:
    """
    Names: objects have one each, in hexadecimal; too long ones are refused.
    """
    capability, _ = server.handle(buf, pos)
    head = await _head(server, capability)
    return [head + _packConf(_LINK_LIMIT, _NAME_LIMIT, 1, 1, 0, 1)]


async def _head(server: DataServer3, capability: Capability) -> bytes:
    """
    Status OK and C{post_op_attr} of what the handle names.
    """
    if not capability.name:
        return b"\0\0\0\0\0\0\0\1" + server.folderFattr()
    attributes = await server.look(capability)
    return b"\0\0\0\0\0\0\0\1" + server.fattr(capability.name, attributes)
