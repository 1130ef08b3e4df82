# -*- test-case-name: tests.client.test_errors -*-
"""
What the client's failures mean to a person.
"""

from __future__ import annotations

import errno
import os

from pnfs.backends.errors import BackendError, Unreachable
from pnfs.nfs4.slots import SessionLost
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.rpc.errors import CallFailed, RPCRefused
from pnfs.xdr.errors import XDRError

FAILURES = (NFSError, BackendError, CallFailed, SessionLost, XDRError)
"""Everything that talking to a server can end with."""

STATE_LOST = frozenset(
    {
        nfsstat4.NFS4ERR_BAD_STATEID,
        nfsstat4.NFS4ERR_STALE_STATEID,
        nfsstat4.NFS4ERR_OLD_STATEID,
        nfsstat4.NFS4ERR_EXPIRED,
        nfsstat4.NFS4ERR_ADMIN_REVOKED,
        nfsstat4.NFS4ERR_DELEG_REVOKED,
    }
)
"""The server does not know a stateid (any more)."""

_ERRNO = {
    nfsstat4.NFS4ERR_PERM: errno.EPERM,
    nfsstat4.NFS4ERR_NOENT: errno.ENOENT,
    nfsstat4.NFS4ERR_IO: errno.EIO,
    nfsstat4.NFS4ERR_ACCESS: errno.EACCES,
    nfsstat4.NFS4ERR_EXIST: errno.EEXIST,
    nfsstat4.NFS4ERR_NOTDIR: errno.ENOTDIR,
    nfsstat4.NFS4ERR_ISDIR: errno.EISDIR,
    nfsstat4.NFS4ERR_INVAL: errno.EINVAL,
    nfsstat4.NFS4ERR_FBIG: errno.EFBIG,
    nfsstat4.NFS4ERR_NOSPC: errno.ENOSPC,
    nfsstat4.NFS4ERR_ROFS: errno.EROFS,
    nfsstat4.NFS4ERR_NAMETOOLONG: errno.ENAMETOOLONG,
    nfsstat4.NFS4ERR_NOTEMPTY: errno.ENOTEMPTY,
    nfsstat4.NFS4ERR_DQUOT: errno.EDQUOT,
    nfsstat4.NFS4ERR_STALE: errno.ESTALE,
    nfsstat4.NFS4ERR_SYMLINK: errno.ELOOP,
    nfsstat4.NFS4ERR_LOCKED: errno.EAGAIN,
    nfsstat4.NFS4ERR_SHARE_DENIED: errno.EBUSY,
}


def explain(error: Exception) -> str:
    """
    A failure in a few words.
    """
    if isinstance(error, NFSError):
        code = _ERRNO.get(nfsstat4(error.status)) if _known(error.status) else None
        if code is not None:
            return os.strerror(code)
        if error.status in (nfsstat4.NFS4ERR_DELAY, nfsstat4.NFS4ERR_GRACE):
            return f"the server keeps us waiting ({nfsstat4(error.status).name})"
        return f"the server says {error}"
    if isinstance(error, Unreachable):
        return f"no answer from the server ({error})"
    if isinstance(error, RPCRefused):
        return f"no NFS server of this version answers there ({error})"
    if isinstance(error, XDRError):
        return f"the server's answer makes no sense ({error})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _known(status: int) -> bool:
    return status in nfsstat4._value2member_map_
