# -*- test-case-name: tests.namespace.test_access -*-
"""
Who may do what: mode bits, owner and groups.

Credentials are those after root squash
(L{pnfs.namespace.exports.Export.effective}); uid 0 is the superuser.
"""

from __future__ import annotations

from pnfs.values import Credential, FileType, Inode

READ = 4
WRITE = 2
EXECUTE = 1
"""On a directory: search."""

STICKY = 0o1000

_DIR = FileType.DIR


def permissions(inode: Inode, credential: Credential) -> int:
    """
    The C{READ}, C{WRITE} and C{EXECUTE} bits a caller has. The superuser has all,
    but executes no file that nobody may execute.
    """
    uid = credential.uid
    if uid == 0:
        return 7 if inode.mode & 0o111 or inode.ftype == _DIR else 6
    if uid == inode.uid:
        return inode.mode >> 6 & 7
    if inode.gid in credential.groups:
        return inode.mode >> 3 & 7
    return inode.mode & 7


def checkAccess(inode: Inode, credential: Credential, mask: int) -> bool:
    """
    May the caller do all that the mask says?

    @param mask: C{READ}, C{WRITE}, C{EXECUTE} bits.
    """
    return permissions(inode, credential) & mask == mask


def mayDelete(directory: Inode, inode: Inode, credential: Credential) -> bool:
    """
    May the caller take the name of an object out of its directory? In a sticky
    directory only the owner of either may.
    """
    if permissions(directory, credential) & 3 != 3:
        return False
    return (
        not directory.mode & STICKY
        or credential.uid == 0
        or credential.uid == directory.uid
        or credential.uid == inode.uid
    )
