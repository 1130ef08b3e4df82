# -*- test-case-name: tests.nfs4.ops.test_access -*-
"""
ACCESS (RFC 8881, section 18.1).
"""

from __future__ import annotations

import struct
from typing import Any

from pnfs.namespace.access import EXECUTE, READ, WRITE, permissions
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import hotOperation
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.values import FileType

ACCESS4_READ = 0x01
ACCESS4_LOOKUP = 0x02
ACCESS4_MODIFY = 0x04
ACCESS4_EXTEND = 0x08
ACCESS4_DELETE = 0x10
ACCESS4_EXECUTE = 0x20

_unpack = struct.Struct(">I").unpack_from
_pack = struct.Struct(">IIII").pack
_DIR = FileType.DIR
_CHANGES = ACCESS4_MODIFY | ACCESS4_EXTEND | ACCESS4_DELETE


def _ofDirectory(allowed: int) -> int:
    bits = 0
    if allowed & READ:
        bits |= ACCESS4_READ
    if allowed & EXECUTE:
        bits |= ACCESS4_LOOKUP
        if allowed & WRITE:
            bits |= _CHANGES
    return bits


def _ofOther(allowed: int) -> int:
    bits = 0
    if allowed & READ:
        bits |= ACCESS4_READ
    if allowed & WRITE:
        bits |= ACCESS4_MODIFY | ACCESS4_EXTEND
    if allowed & EXECUTE:
        bits |= ACCESS4_EXECUTE
    return bits


_ON_DIRECTORY = tuple(_ofDirectory(allowed) for allowed in range(8))
_ON_OTHER = tuple(_ofOther(allowed) for allowed in range(8))
"""Answers by L{permissions}; the last one is all that the type knows."""


@hotOperation(3, "ACCESS", errors=errorsOf("ACCESS BADXDR INVAL IO"))
def access(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    Tell which of the rights asked about the caller has. Only rights that mean
    something for the type of the object are answered: C{DELETE} asks whether
    entries of a directory may go.
    """
    (asked,) = _unpack(buf, pos)
    inode = ctx.inode
    if inode is None:
        raise NFSError(nfsstat4.NFS4ERR_NOFILEHANDLE)
    export = ctx.export
    table = _ON_DIRECTORY if inode.ftype == _DIR else _ON_OTHER
    supported = asked & table[7]
    granted = supported & table[permissions(inode, export.effective(ctx.credential))]
    if export.readOnly:
        granted &= ~_CHANGES
    ctx.out.append(_pack(3, 0, supported, granted))
    return pos + 4
