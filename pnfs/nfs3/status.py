# -*- test-case-name: tests.nfs3.test_server -*-
"""
C{nfsstat3} and the only table from exceptions to it.
"""

from __future__ import annotations

import enum
from typing import Optional

from pnfs.backends import errors
from pnfs.namespace.filehandles import BadHandle


class nfsstat3(enum.IntEnum):
    """
    Status of a procedure (RFC 1813, section 2.6).
    """

    NFS3_OK = 0
    NFS3ERR_PERM = 1
    NFS3ERR_NOENT = 2
    NFS3ERR_IO = 5
    NFS3ERR_NXIO = 6
    NFS3ERR_ACCES = 13
    NFS3ERR_EXIST = 17
    NFS3ERR_XDEV = 18
    NFS3ERR_NODEV = 19
    NFS3ERR_NOTDIR = 20
    NFS3ERR_ISDIR = 21
    NFS3ERR_INVAL = 22
    NFS3ERR_FBIG = 27
    NFS3ERR_NOSPC = 28
    NFS3ERR_ROFS = 30
    NFS3ERR_MLINK = 31
    NFS3ERR_NAMETOOLONG = 63
    NFS3ERR_NOTEMPTY = 66
    NFS3ERR_DQUOT = 69
    NFS3ERR_STALE = 70
    NFS3ERR_REMOTE = 71
    NFS3ERR_BADHANDLE = 10001
    NFS3ERR_NOT_SYNC = 10002
    NFS3ERR_BAD_COOKIE = 10003
    NFS3ERR_NOTSUPP = 10004
    NFS3ERR_TOOSMALL = 10005
    NFS3ERR_SERVERFAULT = 10006
    NFS3ERR_BADTYPE = 10007
    NFS3ERR_JUKEBOX = 10008


class NFS3Error(Exception):
    """
    A procedure ends with this status.

    @ivar status: a L{nfsstat3}.
    """

    def __init__(self, status: nfsstat3) -> None:
        super().__init__(status.name)
        self.status = status


_TABLE: dict[type[Exception], nfsstat3] = {
    BadHandle: nfsstat3.NFS3ERR_BADHANDLE,
    errors.NoSuchObject: nfsstat3.NFS3ERR_STALE,
    errors.NoSuchName: nfsstat3.NFS3ERR_NOENT,
    errors.NameExists: nfsstat3.NFS3ERR_EXIST,
    errors.NotDirectory: nfsstat3.NFS3ERR_NOTDIR,
    errors.IsDirectory: nfsstat3.NFS3ERR_ISDIR,
    errors.DirectoryNotEmpty: nfsstat3.NFS3ERR_NOTEMPTY,
    errors.InvalidName: nfsstat3.NFS3ERR_ACCES,
    errors.NameTooLong: nfsstat3.NFS3ERR_NAMETOOLONG,
    errors.InvalidArgument: nfsstat3.NFS3ERR_INVAL,
    errors.CrossDevice: nfsstat3.NFS3ERR_XDEV,
    errors.TooManyLinks: nfsstat3.NFS3ERR_MLINK,
    # The server itself may not: nothing the user's permissions would change.
    errors.PermissionRefused: nfsstat3.NFS3ERR_IO,
    errors.ReadOnly: nfsstat3.NFS3ERR_ROFS,
    # NFSv3 has no extended attributes; who asks for one is a defect of ours.
    errors.NoSuchAttribute: nfsstat3.NFS3ERR_INVAL,
    errors.AttributeTooBig: nfsstat3.NFS3ERR_INVAL,
    errors.NoSpace: nfsstat3.NFS3ERR_NOSPC,
    errors.QuotaExceeded: nfsstat3.NFS3ERR_DQUOT,
    errors.TooBig: nfsstat3.NFS3ERR_FBIG,
    errors.NoSuchAttribute: nfsstat3.NFS3ERR_NOENT,
    errors.AttributeTooBig: nfsstat3.NFS3ERR_FBIG,
    errors.Fenced: nfsstat3.NFS3ERR_STALE,
    errors.IOFailed: nfsstat3.NFS3ERR_IO,
    errors.Unreachable: nfsstat3.NFS3ERR_JUKEBOX,
    errors.PartnerFailed: nfsstat3.NFS3ERR_IO,
    errors.Unsupported: nfsstat3.NFS3ERR_NOTSUPP,
}

FAILURES: tuple[type[Exception], ...] = (NFS3Error, *_TABLE)
"""Exceptions that have a status. What is not among them is a defect."""


def statusOf(error: Exception) -> nfsstat3:
    """
    The status for one of L{FAILURES}.
    """
    if isinstance(error, NFS3Error):
        return error.status
    found: Optional[nfsstat3] = None
    for kind in type(error).__mro__:
        found = _TABLE.get(kind)
        if found is not None:
            return found
    raise error
