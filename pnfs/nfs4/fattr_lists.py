# -*- test-case-name: tests.nfs4.ops.test_acl -*-
"""
Mode and access control list in agreement, of old objects and of new ones (RFC 8881,
section 6.4).
"""

from __future__ import annotations

from typing import Optional

import attrs

from pnfs.namespace.acl import INHERIT_ONLY, INHERITANCE, inherit
from pnfs.namespace.modes import created, isTrivial, modeOf, withMode
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.values import ACL, MODE_ONLY, FileType, Inode, SetAttributes

_RECORDED = frozenset({FileType.REG, FileType.DIR})


@attrs.frozen
class NewAttributes(SetAttributes):
    """
    What the creator of an object wants it to have, who lets the server apply the
    file mode creation mask (RFC 8275).

    @ivar umask: the bits to take out of C{mode} if no access control list is
        inherited.
    """

    umask: int = 0


def checkList(ftype: int, acl: ACL) -> None:
    """
    Can an object of this type have that access control list?

    @raise NFSError: ATTRNOTSUPP; INVAL: what is no directory has nothing to be
        inherited from.
    """
    if ftype not in _RECORDED:
        raise NFSError(nfsstat4.NFS4ERR_ATTRNOTSUPP)
    if ftype != FileType.DIR:
        if any(ace.flag & INHERITANCE for ace in acl.aces):
            raise NFSError(nfsstat4.NFS4ERR_INVAL)


def agreeing(inode: Inode, changes: SetAttributes, chmod: bool) -> SetAttributes:
    """
    Mode and access control list in agreement (RFC 8881, section 6.4.1): a mode
    changes the list, a list the permission bits of the mode; if both are given the
    mode comes first. Of a list setuid, setgid and sticky know nothing.

    @param chmod: the client has asked for the mode.
    """
    acl = changes.acl
    mode = inode.mode if changes.mode is None else changes.mode
    directory = inode.ftype == FileType.DIR
    if acl is not None:
        mode = mode & ~0o777 | modeOf(acl)
    elif chmod and inode.acl is not None:
        acl = withMode(inode.acl, mode)
    else:
        return changes
    if isTrivial(acl, mode, directory):
        acl = MODE_ONLY
    return attrs.evolve(changes, mode=mode, acl=acl)


def initial(
    directory: Inode, ftype: int, changes: SetAttributes, default: int
) -> tuple[int, Optional[ACL]]:
    """
    Mode and access control list of a new object (RFC 8881, section 6.4.3): what the
    creator says, and otherwise what there is to inherit.

    @param changes: what the creator says.
    @param default: the mode if nobody says anything.
    @raise NFSError: see L{checkList}.
    """
    mode, acl = changes.mode, changes.acl
    if acl is None and directory.acl is None:
        if mode is None:
            return default, None
        if changes.__class__ is NewAttributes:
            mode &= ~changes.umask
        return mode, None
    return _initialByLists(directory, ftype, changes, default)


def _initialByLists(
    directory: Inode, ftype: int, changes: SetAttributes, default: int
) -> tuple[int, Optional[ACL]]:
    acl, mode = changes.acl, changes.mode
    isDirectory = ftype == FileType.DIR
    umask = changes.umask if isinstance(changes, NewAttributes) else None
    if acl is not None:
        checkList(ftype, acl)
    else:
        assert directory.acl is not None
        acl = inherit(directory.acl, isDirectory)
        if not acl.aces or ftype == FileType.LNK:
            return (default if mode is None else mode & ~(umask or 0)), None
        if umask is not None:
            assert mode is not None
            acl = created(acl, mode, umask)
        elif mode is not None:
            acl = withMode(acl, mode)
        elif all(ace.flag & INHERIT_ONLY for ace in acl.aces):
            acl = created(acl, default, 0)
    mode = (mode or 0) & ~0o777 | modeOf(acl)
    if ftype not in _RECORDED or isTrivial(acl, mode, isDirectory):
        return mode, None
    return mode, acl
