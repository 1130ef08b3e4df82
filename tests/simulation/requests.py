"""
Operations that L{pnfs.nfs4.requests} does not have.
"""

from __future__ import annotations

import struct

from pnfs.nfs4.ops.lock import LOCK4args, exist_lock_owner4, open_to_lock_owner4
from pnfs.nfs4.requests import WANT_NO_DELEG, opaque
from pnfs.nfs4.types import state_owner4
from pnfs.xdr.codec import codecFor

SIZE = 1 << 4
_ALL = 0xFFFFFFFFFFFFFFFF
_WRITE_LT = 2

_lock = codecFor(LOCK4args).encode

__all__ = ["exist_lock_owner4"]


def _open(owner: bytes, share: int, deny: int, claim: bytes) -> bytes:
    return b"".join(
        (
            struct.pack(">IIIIQ", 18, 0, share | WANT_NO_DELEG, deny, 0),
            opaque(owner),
            bytes(4),
            claim,
        )
    )


def openRequest(owner: bytes, share: int, deny: int) -> bytes:
    """
    OPEN of the current filehandle.
    """
    return _open(owner, share, deny, struct.pack(">I", 4))


def reclaimOpen(owner: bytes, share: int, deny: int) -> bytes:
    """
    OPEN of the current filehandle as before the server's restart, without a
    delegation.
    """
    return _open(owner, share, deny, struct.pack(">II", 1, 0))


def lockRequest(stateid: bytes, owner: bytes, reclaim: bool) -> bytes:
    """
    LOCK of the whole file, exclusively, for a new lock owner.
    """
    return struct.pack(">I", 12) + _lock(
        LOCK4args(
            _WRITE_LT,
            reclaim,
            0,
            _ALL,
            (1, open_to_lock_owner4(0, stateid, 0, state_owner4(0, owner))),
        )
    )


def unlockRequest(stateid: bytes) -> bytes:
    """
    LOCKU of the whole file.
    """
    return struct.pack(">III16sQQ", 14, _WRITE_LT, 0, stateid, 0, _ALL)


def rename(old: bytes, new: bytes) -> bytes:
    """
    RENAME from the saved directory to the current one.
    """
    return struct.pack(">I", 29) + opaque(old) + opaque(new)


def link(name: bytes) -> bytes:
    """
    LINK of the saved file into the current directory.
    """
    return struct.pack(">I", 11) + opaque(name)


def openWanting(owner: bytes, share: int, want: int) -> bytes:
    """
    OPEN of the current filehandle.

    @param want: C{OPEN4_SHARE_ACCESS_WANT_*}.
    """
    return b"".join(
        (
            struct.pack(">IIIIQ", 18, 0, share | want, 0, 0),
            opaque(owner),
            struct.pack(">II", 0, 4),
        )
    )


def reclaimDelegation(owner: bytes, share: int, write: bool) -> bytes:
    """
    OPEN of the current filehandle as before the server's restart, with the delegation
    that came with it.
    """
    return b"".join(
        (
            struct.pack(">IIIIQ", 18, 0, share, 0, 0),
            opaque(owner),
            struct.pack(">III", 0, 1, 2 if write else 1),
        )
    )


def delegreturn(stateid: bytes) -> bytes:
    """
    DELEGRETURN.
    """
    return struct.pack(">I16s", 8, stateid)
