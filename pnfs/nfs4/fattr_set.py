# -*- test-case-name: tests.nfs4.ops.test_setattr -*-
"""
Decoding the attributes that a client sets, and who may set them.
"""

from __future__ import annotations

import struct
from typing import Any, Callable, Optional

import attrs

from pnfs.namespace import acl as lists
from pnfs.namespace.access import WRITE, checkAccess
from pnfs.namespace.identity import BadOwner, Identities
from pnfs.nfs4.acl import decodeACL, decodeDACL
from pnfs.nfs4.fattr import (
    DELEGATED_TIMES,
    FATTR4_ACL,
    FATTR4_DACL,
    FATTR4_MODE,
    FATTR4_MODE_UMASK,
    FATTR4_OWNER,
    FATTR4_OWNER_GROUP,
    FATTR4_SIZE,
    FATTR4_TIME_ACCESS_SET,
    FATTR4_TIME_DELEG_ACCESS,
    FATTR4_TIME_DELEG_MODIFY,
    FATTR4_TIME_MODIFY_SET,
    MAXFILESIZE,
    SETTABLE,
    supported,
)
from pnfs.nfs4.fattr_lists import NewAttributes
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import NFS4_OPAQUE_LIMIT, fattr4
from pnfs.values import ACL, NOW, Credential, FileType, Inode, SetAttributes
from pnfs.xdr.errors import XDRError

_U32 = struct.Struct(">I").unpack_from
_U64 = struct.Struct(">Q").unpack_from
_TIME = struct.Struct(">qI").unpack_from

_JUST_MODE = 1 << FATTR4_MODE
"""What most creators and all of chmod give; there are 4096 of them."""
_modes: dict[bytes, SetAttributes] = {}
_MODE_UMASK = 1 << FATTR4_MODE_UMASK
_LISTS = 1 << FATTR4_ACL | 1 << FATTR4_DACL
_MODES = 1 << FATTR4_MODE | _MODE_UMASK

_SETUID = 0o4000
_SETGID = 0o2000
_GROUP_EXECUTE = 0o010

SET_TO_SERVER_TIME4 = 0
SET_TO_CLIENT_TIME4 = 1


class _Values:
    """
    Reads C{attr_vals} from its beginning.
    """

    def __init__(self, values: bytes) -> None:
        self._values = values
        self._pos = 0

    def u32(self) -> int:
        (value,) = _U32(self._values, self._pos)
        self._pos += 4
        return int(value)

    def u64(self) -> int:
        (value,) = _U64(self._values, self._pos)
        self._pos += 8
        return int(value)

    def string(self) -> bytes:
        length = self.u32()
        if length > NFS4_OPAQUE_LIMIT:
            raise XDRError("an owner string that long")
        text = self._values[self._pos : self._pos + length]
        self._pos += length + (-length & 3)
        if self._pos > len(self._values):
            raise XDRError("truncated")
        return text

    def acl(
        self, decode: Callable[[bytes, int, Identities], tuple[ACL, int]], known: Any
    ) -> ACL:
        found, self._pos = decode(self._values, self._pos, known)
        return found

    def settime(self) -> int:
        how = self.u32()
        if how == SET_TO_SERVER_TIME4:
            return NOW
        if how != SET_TO_CLIENT_TIME4:
            raise XDRError("time_how4")
        return self.time()

    def time(self) -> int:
        seconds, nanoseconds = _TIME(self._values, self._pos)
        self._pos += 12
        if nanoseconds >= 1000000000:
            raise NFSError(nfsstat4.NFS4ERR_INVAL)
        return int(seconds * 1000000000 + nanoseconds)

    def end(self) -> None:
        if self._pos != len(self._values):
            raise XDRError("values without an attribute")


def _mode(mode: int, limit: int = 0o7777) -> int:
    if mode > limit:
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    return mode


def decodeSettable(
    attributes: fattr4, credential: Optional[Credential], export: Any, minor: int
) -> tuple[SetAttributes, int]:
    """
    What a client wants an object to have.

    @param credential: of who makes a new object, after root squash: then an owner
        and a group that this one may not give are refused. None for SETATTR.
    @return: the changes, L{NewAttributes} if there is a C{mode_umask} among them, and
        the bitmap of what they come from.
    @raise NFSError: ATTRNOTSUPP; INVAL for read-only attributes and for values
        that make no sense; BADOWNER; PERM.
    @raise XDRError: malformed.
    """
    mask = attributes.attrmask
    if mask == _JUST_MODE:
        known = _modes.get(attributes.attr_vals)
        if known is not None:
            return known, mask
    if not mask and not attributes.attr_vals:
        return SetAttributes(), 0
    if mask & ~SETTABLE or mask & _MODE_UMASK:
        if mask & ~supported(minor, export):
            raise NFSError(nfsstat4.NFS4ERR_ATTRNOTSUPP)
        # Read-only, or of new objects only (RFC 8275, section 4).
        if mask & ~SETTABLE or credential is None:
            raise NFSError(nfsstat4.NFS4ERR_INVAL)
    if mask & _MODES == _MODES or mask & _LISTS == _LISTS:
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    values = _Values(attributes.attr_vals)
    found: dict[str, Any] = {}
    try:
        if mask >> FATTR4_SIZE & 1:
            found["size"] = values.u64()
        if mask >> FATTR4_ACL & 1:
            found["acl"] = values.acl(decodeACL, export.identities)
        if mask >> FATTR4_MODE & 1:
            found["mode"] = _mode(values.u32())
        if mask >> FATTR4_OWNER & 1:
            found["uid"] = export.identities.uid(values.string())
        if mask >> FATTR4_OWNER_GROUP & 1:
            found["gid"] = export.identities.gid(values.string())
        if mask >> FATTR4_TIME_ACCESS_SET & 1:
            found["atime"] = values.settime()
        if mask >> FATTR4_TIME_MODIFY_SET & 1:
            found["mtime"] = values.settime()
        if mask >> FATTR4_DACL & 1:
            found["acl"] = values.acl(decodeDACL, export.identities)
        if mask & _MODE_UMASK:
            found["mode"] = _mode(values.u32())
            found["umask"] = _mode(values.u32(), 0o777)
    except struct.error:
        raise XDRError("truncated") from None
    except BadOwner:
        raise NFSError(nfsstat4.NFS4ERR_BADOWNER) from None
    values.end()
    if found.get("size", 0) > MAXFILESIZE:
        raise NFSError(nfsstat4.NFS4ERR_FBIG)
    changes = (NewAttributes if mask & _MODE_UMASK else SetAttributes)(**found)
    if credential is not None:
        _checkCreator(changes, credential)
    if mask == _JUST_MODE:
        _modes[attributes.attr_vals] = changes
    return changes, mask


def decodeDelegatedTimes(
    attributes: fattr4, inode: Inode, now: int
) -> tuple[SetAttributes, int]:
    """
    The times that the holder of a delegation has kept, if that is all it sets. One
    that lies in the future becomes the present, and one before what is known is
    left out: time does not go back (RFC 9754, section 5).

    @param now: the time of day in nanoseconds.
    @return: the changes, and the bitmap of what was said; 0: it sets something else.
    @raise NFSError: INVAL: it sets other attributes as well.
    @raise XDRError: malformed.
    """
    mask = attributes.attrmask
    if not mask & DELEGATED_TIMES:
        return SetAttributes(), 0
    if mask & ~DELEGATED_TIMES:
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    values = _Values(attributes.attr_vals)
    atime = mtime = None
    try:
        if mask >> FATTR4_TIME_DELEG_ACCESS & 1:
            atime = min(values.time(), now)
        if mask >> FATTR4_TIME_DELEG_MODIFY & 1:
            mtime = min(values.time(), now)
    except struct.error:
        raise XDRError("truncated") from None
    values.end()
    if atime is not None and atime <= inode.atime:
        atime = None
    if mtime is not None and mtime <= inode.mtime:
        mtime = None
    return SetAttributes(atime=atime, mtime=mtime), mask


def _checkCreator(changes: SetAttributes, credential: Credential) -> None:
    """
    Only the superuser makes objects that belong to others.
    """
    if credential.uid and (
        (changes.uid is not None and changes.uid != credential.uid)
        or (changes.gid is not None and changes.gid not in credential.groups)
    ):
        raise NFSError(nfsstat4.NFS4ERR_PERM)


def permitted(
    inode: Inode, changes: SetAttributes, credential: Credential
) -> SetAttributes:
    """
    May the caller make these changes (POSIX chmod, chown and utimes)? The size is
    not looked at; that needs a stateid or the right to write. An access control list
    may allow others than the owner (RFC 8881, section 6.2.1.3.1).

    @return: the changes, with C{mode} adjusted where setuid and setgid must go.
    @raise NFSError: PERM or ACCESS.
    """
    superuser = credential.uid == 0
    owner = superuser or credential.uid == inode.uid
    mode, uid, gid = changes.mode, changes.uid, changes.gid
    listed = 0 if inode.acl is None else lists.rights(inode, credential)
    if not owner and not listed & lists.WRITE_ACL:
        if mode is not None or changes.acl is not None:
            raise NFSError(nfsstat4.NFS4ERR_PERM)
    if not owner and not listed & lists.WRITE_OWNER:
        if uid is not None or gid is not None:
            raise NFSError(nfsstat4.NFS4ERR_PERM)
    if not superuser and (
        (uid not in (None, inode.uid) and (owner or uid != credential.uid))
        or (gid is not None and gid != inode.gid and gid not in credential.groups)
    ):
        raise NFSError(nfsstat4.NFS4ERR_PERM)
    times = (changes.atime, changes.mtime)
    if not owner and not listed & lists.WRITE_ATTRIBUTES and times != (None, None):
        if any(time not in (None, NOW) for time in times):
            raise NFSError(nfsstat4.NFS4ERR_PERM)
        if not checkAccess(inode, credential, WRITE):
            raise NFSError(nfsstat4.NFS4ERR_ACCESS)
    wanted = mode
    if wanted is not None and wanted & _SETGID and not superuser:
        if (inode.gid if gid is None else gid) not in credential.groups:
            wanted &= ~_SETGID
    chown = uid is not None or gid is not None
    truncates = changes.size is not None and not superuser
    if inode.ftype != FileType.DIR and (chown or (truncates and mode is None)):
        # Whoever gets the file, or what is in it now, was not meant to run as
        # its former owner.
        before = inode.mode if wanted is None else wanted
        after = before & ~_SETUID
        if before & _GROUP_EXECUTE:
            after &= ~_SETGID
        if wanted is not None or after != before:
            wanted = after
    return changes if wanted == mode else attrs.evolve(changes, mode=wanted)
