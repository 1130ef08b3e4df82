"""
The statuses an operation may end with (RFC 8881, section 15.2), in few words.
"""

from __future__ import annotations

from pnfs.nfs4.status import nfsstat4

_ALWAYS = (
    "DEADSESSION DELAY FHEXPIRED MOVED NOFILEHANDLE OP_NOT_IN_SESSION REP_TOO_BIG "
    "REP_TOO_BIG_TO_CACHE REQ_TOO_BIG RETRY_UNCACHED_REP SERVERFAULT STALE TOO_MANY_OPS"
)


def errorsOf(names: str = "") -> frozenset[nfsstat4]:
    """
    @param names: statuses without C{NFS4ERR_}, beside those that any operation on
        the current filehandle may end with.
    """
    return frozenset(
        nfsstat4[f"NFS4ERR_{name}"] for name in (_ALWAYS + " " + names).split()
    )
