# -*- test-case-name: tests.nfs4.dsops.test_capability -*-
"""
What the current filehandle of a data server allows, and PUTFH that sets it.

A stateid in READ or WRITE is accepted as it is: the filehandle is what authorises
(RFC 8881, section 13.9.1, leaves checking it to the servers' own arrangement).
"""

from __future__ import annotations

import struct
from typing import Any

from pnfs.namespace.filehandles import CONTROL, WRITE, BadHandle, Capability
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import hotOperation, okHeader
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import NFS4_FHSIZE
from pnfs.values import ObjectAttributes
from pnfs.xdr.codec import PAD
from pnfs.xdr.errors import XDRError

_length = struct.Struct(">I").unpack_from
_packLength = struct.Struct(">I").pack
_PUTFH_OK = okHeader(22)
_GETFH_OK = okHeader(10)
_PUTROOTFH_OK = okHeader(24)

NFS4ERR_ACCESS = nfsstat4.NFS4ERR_ACCESS
_NO_RIGHTS = Capability(0, 0, b"")


@hotOperation(
    22,
    "PUTFH",
    errors=frozenset({nfsstat4.NFS4ERR_BADHANDLE, nfsstat4.NFS4ERR_BADXDR}),
)
def putfh(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    Make a capability the current filehandle.
    """
    length: int = _length(buf, pos)[0]
    pos += 4
    end = pos + length
    if length > NFS4_FHSIZE or end > len(buf):
        raise XDRError("filehandle")
    fh = bytes(buf[pos:end])
    ctx.capability = ctx.server.filehandles.decode(fh)
    ctx.fh = fh
    ctx.stateid = None
    ctx.out.append(_PUTFH_OK)
    return end + (-length & 3)


@hotOperation(24, "PUTROOTFH")
def putrootfh(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    A data server has no name space to show: a handle without any right.
    """
    ctx.fh = b"\0"
    ctx.capability = _NO_RIGHTS
    ctx.out.append(_PUTROOTFH_OK)
    return pos


@hotOperation(10, "GETFH", errors=frozenset({nfsstat4.NFS4ERR_NOFILEHANDLE}))
def getfh(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    The current filehandle.
    """
    fh = ctx.requireFH()
    ctx.out.append(_GETFH_OK + _packLength(len(fh)) + fh + PAD[len(fh) & 3])
    return pos


def requireObject(ctx: CompoundContext) -> bytes:
    """
    The name of the object that the current filehandle is a capability for.

    @raise NFSError: NOFILEHANDLE, ISDIR, ACCESS.
    """
    capability = ctx.capability
    if capability is None:
        raise NFSError(nfsstat4.NFS4ERR_NOFILEHANDLE)
    name: bytes = capability.name
    if not name:
        raise NFSError(nfsstat4.NFS4ERR_ISDIR if capability.rights else NFS4ERR_ACCESS)
    return name


def requireControl(ctx: CompoundContext) -> Capability:
    """
    The capability, which must be a control handle.

    @raise NFSError: NOFILEHANDLE, ACCESS.
    """
    capability = ctx.capability
    if capability is None:
        raise NFSError(nfsstat4.NFS4ERR_NOFILEHANDLE)
    if not capability.rights & CONTROL:
        raise NFSError(NFS4ERR_ACCESS)
    return capability  # type: ignore[no-any-return]


def requireControlRoot(ctx: CompoundContext) -> None:
    """
    The control handle must be that of the data server itself.

    @raise NFSError: NOFILEHANDLE, ACCESS, NOTDIR.
    """
    if requireControl(ctx).name:
        raise NFSError(nfsstat4.NFS4ERR_NOTDIR)


def requireControlObject(ctx: CompoundContext) -> bytes:
    """
    The control handle must be that of an object. @return: its name.

    @raise NFSError: NOFILEHANDLE, ACCESS, ISDIR.
    """
    name = requireControl(ctx).name
    if not name:
        raise NFSError(nfsstat4.NFS4ERR_ISDIR)
    return name


def admit(ctx: CompoundContext, right: int, attributes: ObjectAttributes) -> None:
    """
    May the caller read or write the object under the current capability?

    The rights and the fence epoch of the handle come first, then owner and mode
    against the credential, as tight coupling promises (RFC 8435, section 2.2): of
    whom the handle says that the caller is to be taken for. The owner is not held to
    the mode, and root neither: the metadata server has checked them at OPEN.

    @param right: READ or WRITE of L{pnfs.namespace.filehandles}.
    @raise NFSError: ACCESS, PNFS_NO_LAYOUT.
    """
    capability = ctx.capability
    if capability.rights & CONTROL:
        return
    if not capability.rights & right:
        raise NFSError(NFS4ERR_ACCESS)
    if capability.epoch < attributes.epoch:
        raise NFSError(nfsstat4.NFS4ERR_PNFS_NO_LAYOUT)
    credential = ctx.credential
    if capability.squash is not None:
        credential = capability.squash.effective(credential)
    if not mayAccess(credential, attributes, right):
        raise NFSError(NFS4ERR_ACCESS)


def mayAccess(credential: Any, attributes: ObjectAttributes, right: int) -> bool:
    """
    Owner and mode of a data file against a credential.
    """
    uid = credential.uid
    if uid == attributes.uid or uid == 0:
        return True
    # Who may execute may read, as at the metadata server.
    bits = 2 if right == WRITE else 5
    if attributes.gid in credential.groups:
        return bool(attributes.mode & bits << 3)
    return bool(attributes.mode & bits)


__all__ = [
    "BadHandle",
    "admit",
    "getfh",
    "mayAccess",
    "putfh",
    "putrootfh",
    "requireControl",
    "requireControlObject",
    "requireControlRoot",
    "requireObject",
]
