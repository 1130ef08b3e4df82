# -*- test-case-name: tests.nfs4.ops.test_access -*-
"""
ACCESS (RFC 8881, section 18.1; RFC 8276, section 8.5).
"""

from __future__ import annotations

import struct
from typing import Any

from pnfs.namespace import acl
from pnfs.namespace.access import EXECUTE, READ, STICKY, WRITE, permissions
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import hotOperation
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.values import Credential, FileType, Inode

ACCESS4_READ = 0x01
ACCESS4_LOOKUP = 0x02
ACCESS4_MODIFY = 0x04
ACCESS4_EXTEND = 0x08
ACCESS4_DELETE = 0x10
ACCESS4_EXECUTE = 0x20
ACCESS4_XAREAD = 0x40
ACCESS4_XAWRITE = 0x80
ACCESS4_XALIST = 0x100

_unpack = struct.Struct(">I").unpack_from
_pack = struct.Struct(">IIII").pack
_DIR = FileType.DIR
_REG = FileType.REG
_XATTRS = ACCESS4_XAREAD | ACCESS4_XAWRITE | ACCESS4_XALIST
_ENTRIES = ACCESS4_MODIFY | ACCESS4_EXTEND | ACCESS4_DELETE
_CHANGES = _ENTRIES | ACCESS4_XAWRITE


def _ofDirectory(allowed: int) -> int:
    bits = 0
    if allowed & READ:
        bits |= ACCESS4_READ
    if allowed & EXECUTE:
        bits |= ACCESS4_LOOKUP
        if allowed & WRITE:
            bits |= _ENTRIES
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


def _ofList(inode: Inode, credential: Credential) -> int:
    """
    What an access control list gives.
    """
    mask = acl.rights(inode, credential)
    bits = ACCESS4_READ if mask & acl.READ_DATA else 0
    if inode.ftype != _DIR:
        if mask & acl.WRITE_DATA:
            bits |= ACCESS4_MODIFY | ACCESS4_EXTEND
        elif mask & acl.APPEND_DATA:
            bits |= ACCESS4_EXTEND
        return bits | ACCESS4_EXECUTE if mask & acl.EXECUTE else bits
    if mask & acl.EXECUTE:
        bits |= ACCESS4_LOOKUP
        if mask & (acl.ADD_FILE | acl.ADD_SUBDIRECTORY):
            bits |= ACCESS4_EXTEND
        if mask & (acl.ADD_FILE | acl.DELETE_CHILD):
            bits |= ACCESS4_MODIFY
        if mask & acl.DELETE_CHILD or _mayDeleteUnspoken(inode, credential, mask):
            bits |= ACCESS4_DELETE
    return bits


def _mayDeleteUnspoken(inode: Inode, credential: Credential, mask: int) -> bool:
    _, denied = acl.evaluate(inode, credential, acl.DELETE_CHILD)
    return bool(mask & acl.ADD_FILE and not denied)


def _ofXattrs(inode: Inode, credential: Credential) -> int:
    """
    The rights to extended attributes: those of reading and writing data.
    """
    allowed = permissions(inode, credential)
    bits = ACCESS4_XAREAD | ACCESS4_XALIST if allowed & READ else 0
    if allowed & WRITE and (
        inode.ftype != _DIR
        or not inode.mode & STICKY
        or credential.uid in (0, inode.uid)
    ):
        bits |= ACCESS4_XAWRITE
    return bits


@hotOperation(3, "ACCESS", errors=errorsOf("ACCESS BADXDR INVAL IO"))
def access(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    Tell which of the rights asked about the caller has. Only rights that mean
    something for the type of the object are answered: C{DELETE} asks whether
    entries of a directory may go. The rights to extended attributes are known in
    NFSv4.2 only, where there can be some.
    """
    (asked,) = _unpack(buf, pos)
    inode = ctx.inode
    if inode is None:
        raise NFSError(nfsstat4.NFS4ERR_NOFILEHANDLE)
    export = ctx.export
    credential = export.effective(ctx.credential)
    table = _ON_DIRECTORY if inode.ftype == _DIR else _ON_OTHER
    supported = asked & table[7]
    if inode.acl is None:
        granted = supported & table[permissions(inode, credential)]
    else:
        granted = supported & _ofList(inode, credential)
    if (
        asked & _XATTRS
        and ctx.minor >= 2
        and (inode.ftype == _REG or inode.ftype == _DIR)
        and export.backend.xattrs
    ):
        supported |= asked & _XATTRS
        granted |= asked & _ofXattrs(inode, credential)
    if export.readOnly:
        granted &= ~_CHANGES
    ctx.out.append(_pack(3, 0, supported, granted))
    return pos + 4
