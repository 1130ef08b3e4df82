# -*- test-case-name: tests.nfs4.ops.test_lock -*-
"""
What LOCK, LOCKT and LOCKU share (RFC 8881, section 18.10).
"""

from __future__ import annotations

from typing import Annotated

import attrs

from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import length4, offset4, state_owner4, uint32_t
from pnfs.state.errors import LockDenied
from pnfs.xdr.codec import Custom, Fixed, codecFor
from pnfs.xdr.errors import XDRError

READ_LT = 1
WRITE_LT = 2
READW_LT = 3
WRITEW_LT = 4

_u32 = codecFor(Annotated[int, Fixed("I")])


def _decodeLockType(buf: object, pos: int) -> tuple[int, int]:
    kind, pos = _u32.decode(buf, pos)
    if not READ_LT <= kind <= WRITEW_LT:
        raise XDRError("nfs_lock_type4")
    return kind, pos


nfs_lock_type4 = Annotated[int, Custom(_decodeLockType, _u32.encode)]


@attrs.define
class LOCK4denied:
    """
    A lock that is in the way.

    @ivar locktype: READ_LT or WRITE_LT.
    @ivar owner: who holds it.
    """

    offset: offset4
    length: length4
    locktype: uint32_t
    owner: state_owner4


_encodeDenied = codecFor(LOCK4denied).encode


def isExclusive(locktype: int) -> bool:
    """
    Does a type ask for a write lock?
    """
    return locktype in (WRITE_LT, WRITEW_LT)


def isBlocking(locktype: int) -> bool:
    """
    Does somebody wait for it? It is answered at once like the others; the client
    asks again (RFC 8881, section 9.6).
    """
    return locktype >= READW_LT


def deniedError(denied: LockDenied) -> NFSError:
    """
    The error that names the lock in the way.
    """
    offset, length, locktype, clientid, owner = denied.holder
    return NFSError(
        nfsstat4.NFS4ERR_DENIED,
        _encodeDenied(
            LOCK4denied(offset, length, locktype, state_owner4(clientid, owner))
        ),
    )
