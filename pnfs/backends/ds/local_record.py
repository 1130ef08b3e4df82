# -*- test-case-name: tests.backends.ds.test_local -*-
"""
What a data file says about itself: one small extended attribute.

The record is of fixed size, far below the 128 bytes that CPython reads in one
call. Format, big endian::

    4s  magic "pDS1"
    I   uid
    I   gid
    I   mode (permission bits)
    Q   fence epoch
"""

from __future__ import annotations

import errno
import os
import struct
from typing import Optional, Union

import attrs

TRUSTED = "trusted.pnfsd.object"
"""Where the record is if the process may write there: users cannot see it."""

USER = "user.pnfsd.object"
"""Where it is otherwise."""

_FORMAT = struct.Struct(">4sIIIQ")
_MAGIC = b"pDS1"
_ABSENT = {errno.ENODATA, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES}


@attrs.frozen
class ObjectRecord:
    """
    Owner and fence epoch of a data file.

    @ivar mode: permission bits, without the file type.
    """

    uid: int
    gid: int
    mode: int
    epoch: int

    def encode(self) -> bytes:
        """
        The bytes of the extended attribute.
        """
        return _FORMAT.pack(_MAGIC, self.uid, self.gid, self.mode, self.epoch)


def decodeRecord(value: bytes) -> Optional[ObjectRecord]:
    """
    @return: the record, or None if these bytes are none.
    """
    if len(value) != _FORMAT.size:
        return None
    magic, uid, gid, mode, epoch = _FORMAT.unpack(value)
    if magic != _MAGIC:
        return None
    return ObjectRecord(uid, gid, mode, epoch)


def loadRecord(fd: int, attribute: str) -> Optional[ObjectRecord]:
    """
    @return: the record of an open file, or None if it has none (a crash came
        between the making of the file and that of the record).
    """
    try:
        return decodeRecord(os.getxattr(fd, attribute))
    except OSError as error:
        if error.errno == errno.ENODATA:
            return None
        raise


def storeRecord(fd: int, attribute: str, record: ObjectRecord) -> None:
    """
    Write the record of an open file; the caller flushes.
    """
    os.setxattr(fd, attribute, record.encode())


def usableAttribute(target: Union[int, str]) -> Optional[str]:
    """
    Find out by trying which of the two names can be written here.

    @param target: a file or directory that may carry a trial value for a moment.
    @return: L{TRUSTED}, L{USER}, or None if neither.
    """
    for attribute in (TRUSTED, USER):
        if canUse(target, attribute):
            return attribute
    return None


def canUse(target: Union[int, str], attribute: str) -> bool:
    """
    Can an attribute of this name be written and read back here?
    """
    trial = attribute + ".trial"
    value = b"\0" * _FORMAT.size
    try:
        os.setxattr(target, trial, value)
        same = os.getxattr(target, trial) == value
        os.removexattr(target, trial)
    except OSError as error:
        if error.errno in _ABSENT:
            return False
        raise
    return same
