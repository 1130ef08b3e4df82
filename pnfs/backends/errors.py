"""
What a backend raises. They name what went wrong, not a protocol's number for it:
C{pnfs.nfs4.status} and C{pnfs.nfs3.status} hold the tables.
"""

from __future__ import annotations


class BackendError(Exception):
    """
    The base of all errors of metadata and data backends.
    """


class NoSuchObject(BackendError):
    """
    The handle or object name names nothing (any more).
    """


class NoSuchName(BackendError):
    """
    The directory has no entry of that name.
    """


class NameExists(BackendError):
    """
    The directory has an entry of that name already.
    """


class NotDirectory(BackendError):
    """
    A directory is needed, and this is none.
    """


class IsDirectory(BackendError):
    """
    This is a directory where none may be.
    """


class DirectoryNotEmpty(BackendError):
    """
    The directory still has entries.
    """


class InvalidName(BackendError):
    """
    A name that no entry can have (C{.}, C{..}, empty, with C{/} or NUL).
    """


class NameTooLong(BackendError):
    """
    A name of more than 255 bytes.
    """


class InvalidArgument(BackendError):
    """
    The operation makes no sense on this object or with this value.
    """


class CrossDevice(BackendError):
    """
    The two ends lie in different file systems.
    """


class TooManyLinks(BackendError):
    """
    The object can have no further name.
    """


class PermissionRefused(BackendError):
    """
    The operating system does not let this process do it.
    """


class ReadOnly(BackendError):
    """
    The file system is mounted read-only.
    """


class NoSpace(BackendError):
    """
    The storage is full.
    """


class QuotaExceeded(BackendError):
    """
    The owner's share of the storage is used up.
    """


class NoSuchAttribute(BackendError):
    """
    The object has no extended attribute of that name.
    """


class AttributeTooBig(BackendError):
    """
    The value of an extended attribute is larger than can be kept.
    """


class TooBig(BackendError):
    """
    The file would be larger than the storage can hold.
    """


class Fenced(BackendError):
    """
    The handle's fence epoch is older than the object's.
    """


class IOFailed(BackendError):
    """
    The storage failed.
    """


class Unreachable(BackendError):
    """
    No answer in time from another server; repeating is safe.
    """


class PartnerFailed(BackendError):
    """
    The data server to copy from does not answer whoever copies, or refuses.
    """


class Unsupported(BackendError):
    """
    This backend cannot do that.
    """


class BadConfiguration(Exception):
    """
    A service cannot start like this. The text is one line that names file, key
    and remedy.
    """
