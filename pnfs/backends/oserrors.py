# -*- test-case-name: tests.backends.test_oserrors -*-
"""
From the operating system's errors to those of L{pnfs.backends.errors}: the only
such table.
"""

from __future__ import annotations

import errno
import os

from pnfs.backends import errors

_BY_NUMBER: dict[int, type[errors.BackendError]] = {
    errno.ENOENT: errors.NoSuchName,
    errno.ESTALE: errors.NoSuchObject,
    errno.EEXIST: errors.NameExists,
    errno.ENOTEMPTY: errors.DirectoryNotEmpty,
    errno.ENOTDIR: errors.NotDirectory,
    errno.EISDIR: errors.IsDirectory,
    errno.ENAMETOOLONG: errors.NameTooLong,
    errno.EINVAL: errors.InvalidArgument,
    errno.ELOOP: errors.InvalidArgument,
    errno.EXDEV: errors.CrossDevice,
    errno.EMLINK: errors.TooManyLinks,
    errno.EPERM: errors.PermissionRefused,
    errno.EACCES: errors.PermissionRefused,
    errno.EROFS: errors.ReadOnly,
    errno.ENOSPC: errors.NoSpace,
    errno.EDQUOT: errors.QuotaExceeded,
    errno.EFBIG: errors.TooBig,
    errno.ENODATA: errors.NoSuchAttribute,
    errno.E2BIG: errors.AttributeTooBig,
    errno.ENOSYS: errors.Unsupported,
    errno.EOPNOTSUPP: errors.Unsupported,
}


def translate(error: OSError) -> errors.BackendError:
    """
    The backend's error for one of the operating system.

    @param error: what a system call raised.
    @return: to be raised C{from} it; L{errors.IOFailed} for what has no name here.
    """
    number = error.errno if error.errno is not None else errno.EIO
    return _BY_NUMBER.get(number, errors.IOFailed)(os.strerror(number))
