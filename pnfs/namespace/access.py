# -*- test-case-name: tests.namespace.test_access -*-
"""
Who may do what: mode bits, owner and groups, or the access control list of the few
objects that have one (L{pnfs.namespace.acl}).

Credentials are those after root squash
(L{pnfs.namespace.exports.Export.effective}); uid 0 is the superuser.
"""

from __future__ import annotations

from pnfs.namespace import acl
from pnfs.values import Credential, FileType, Inode

READ = 4
WRITE = 2
EXECUTE = 1
"""On a directory: search."""

STICKY = 0o1000

_DIR = FileType.DIR

_BY_RIGHTS = tuple(
    (READ if mask & acl.READ_DATA else 0)
    | (WRITE if mask & acl.WRITE_DATA else 0)
    | (EXECUTE if mask & acl.EXECUTE else 0)
    for mask in range(acl.RWX + 1)
)


def permissions(inode: Inode, credential: Credential) -> int:
    """
    The C{READ}, C{WRITE} and C{EXECUTE} bits a caller has. The superuser has all,
    but executes no file that nobody may execute. To write a directory is to make
    files there.
    """
    if inode.acl is not None:
        return _BY_RIGHTS[acl.rights(inode, credential) & acl.RWX]
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
    if directory.acl is not None or inode.acl is not None:
        return _mayDeleteByLists(directory, inode, credential)
    if permissions(directory, credential) & 3 != 3:
        return False
    return (
        not directory.mode & STICKY
        or credential.uid == 0
        or credential.uid == directory.uid
        or credential.uid == inode.uid
    )


def _mayDeleteByLists(directory: Inode, inode: Inode, credential: Credential) -> bool:
    """
    L{mayDelete} where a list has a say (RFC 8881, section 6.2.1.3.2): it is enough
    if the directory's allows to delete what is in it, or the object's to delete it.
    If neither speaks of that, who may add files may delete them.
    """
    if credential.uid == 0:
        return True
    allowed = permissions(directory, credential)
    if not allowed & EXECUTE:
        return False
    owner = credential.uid in (directory.uid, inode.uid)
    adding = bool(allowed & WRITE) and (owner or not directory.mode & STICKY)
    mayChild = notChild = mayThis = notThis = 0
    if directory.acl is not None:
        mayChild, notChild = acl.evaluate(directory, credential, acl.DELETE_CHILD)
    elif adding:
        return True
    if inode.acl is not None:
        mayThis, notThis = acl.evaluate(inode, credential, acl.DELETE)
    if mayChild or mayThis:
        return True
    return adding and not notChild and not notThis


def mayAdd(directory: Inode, credential: Credential, subdirectory: bool) -> bool:
    """
    May the caller put a new name into a directory?

    @param subdirectory: that of a directory.
    """
    if directory.acl is None:
        return permissions(directory, credential) & 3 == 3
    wanted = acl.EXECUTE | (acl.ADD_SUBDIRECTORY if subdirectory else acl.ADD_FILE)
    return acl.rights(directory, credential) & wanted == wanted


def mayReadACL(inode: Inode, credential: Credential) -> bool:
    """
    May the caller see the access control list? One that says what the mode says is
    no secret.
    """
    return inode.acl is None or bool(acl.rights(inode, credential) & acl.READ_ACL)


def mayAppend(inode: Inode, credential: Credential) -> bool:
    """
    Does a file's access control list allow to write at its end?
    """
    return bool(acl.rights(inode, credential) & acl.APPEND_DATA)
