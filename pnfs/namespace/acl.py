# -*- test-case-name: tests.namespace.test_acl -*-
"""
Access control lists: what they grant, and what is inherited of them (RFC 8881,
section 6). What they have to do with modes is in L{pnfs.namespace.modes}.

Not known here is how a caller logged in, so C{INTERACTIVE@}, C{DIALUP@}, C{BATCH@}
and C{SERVICE@} are nobody; they may be kept in a list to allow, not to deny.
"""

from __future__ import annotations

from pnfs.values import ACE, ACL, Credential, FileType, Inode, Who

ALLOW = 0
DENY = 1

FILE_INHERIT = 0x01
DIRECTORY_INHERIT = 0x02
NO_PROPAGATE = 0x04
INHERIT_ONLY = 0x08
GROUP_FLAG = 0x40
INHERITED = 0x80
INHERITABLE = FILE_INHERIT | DIRECTORY_INHERIT
INHERITANCE = INHERITABLE | NO_PROPAGATE | INHERIT_ONLY

READ_DATA = 0x01
WRITE_DATA = 0x02
APPEND_DATA = 0x04
EXECUTE = 0x20
DELETE_CHILD = 0x40
READ_ATTRIBUTES = 0x80
WRITE_ATTRIBUTES = 0x100
DELETE = 0x10000
READ_ACL = 0x20000
WRITE_ACL = 0x40000
WRITE_OWNER = 0x80000
SYNCHRONIZE = 0x100000

LIST_DIRECTORY = READ_DATA
ADD_FILE = WRITE_DATA
ADD_SUBDIRECTORY = APPEND_DATA

AUTO_INHERIT = 0x01
PROTECTED = 0x02
DEFAULTED = 0x04

ACES_LIMIT = 1024
"""The most entries of a list that is kept."""

UNKNOWABLE = frozenset({Who.INTERACTIVE, Who.DIALUP, Who.BATCH, Who.SERVICE})

RWX = READ_DATA | WRITE_DATA | APPEND_DATA | EXECUTE
"""What the permission bits of a mode are about."""

OWNERS = READ_ATTRIBUTES | WRITE_ATTRIBUTES | READ_ACL | WRITE_ACL
"""What an owner can always do."""

_AUTH_NONE = 0
_DIR = FileType.DIR
_OWNER = int(Who.OWNER)
_GROUP = int(Who.GROUP)
_EVERYONE = int(Who.EVERYONE)


def concerns(ace: ACE, inode: Inode, credential: Credential) -> bool:
    """
    Is the caller among those that an entry names?

    @param credential: after root squash.
    """
    who = ace.who
    if who >= 0:
        if ace.flag & GROUP_FLAG:
            return who in credential.groups
        return who == credential.uid
    if who == _EVERYONE or who == Who.NETWORK:
        return True
    if who == _OWNER:
        return credential.uid == inode.uid
    if who == _GROUP:
        return inode.gid in credential.groups
    if who == Who.ANONYMOUS:
        return credential.flavor == _AUTH_NONE
    if who == Who.AUTHENTICATED:
        return credential.flavor != _AUTH_NONE
    return False


def evaluate(
    inode: Inode, credential: Credential, wanted: int = 0xFFFFFFFF
) -> tuple[int, int]:
    """
    What an object's list says about rights: the first entry that names the caller
    and a right decides about it (RFC 8881, section 6.2.1).

    @return: those of C{wanted} that are allowed, and those that are denied. The
        rest is not mentioned, which mostly means denied.
    """
    allowed = denied = 0
    acl = inode.acl
    assert acl is not None
    for ace in acl.aces:
        bits = ace.mask & wanted
        if bits and not ace.flag & INHERIT_ONLY and concerns(ace, inode, credential):
            wanted &= ~bits
            if ace.type == ALLOW:
                allowed |= bits
            else:
                denied |= bits
            if not wanted:
                break
    return allowed, denied


def rights(inode: Inode, credential: Credential) -> int:
    """
    All that the caller may do with an object that has a list, as C{acemask4}. The
    superuser may all but execute what nobody may. The owner may always read and
    change the list and the attributes, or nobody could repair them; and attributes
    are no secret, since clients cannot do without.
    """
    acl = inode.acl
    assert acl is not None
    uid = credential.uid
    if uid == 0:
        everything = 0xFFFFFFFF
        if inode.ftype != _DIR and not any(
            ace.type == ALLOW and ace.mask & EXECUTE and not ace.flag & INHERIT_ONLY
            for ace in acl.aces
        ):
            everything &= ~EXECUTE
        return everything
    allowed, _ = evaluate(inode, credential)
    allowed |= READ_ATTRIBUTES | SYNCHRONIZE
    return allowed | OWNERS if uid == inode.uid else allowed


def appendOnly(acl: ACL) -> bool:
    """
    May there be somebody who may write at the end of the file only? The owner is not
    held to that.
    """
    denied = False
    for ace in acl.aces:
        if ace.flag & INHERIT_ONLY or ace.who == _OWNER:
            continue
        bits = ace.mask & (WRITE_DATA | APPEND_DATA)
        if ace.type == DENY:
            denied = denied or bits == WRITE_DATA
        elif bits == APPEND_DATA or denied and bits & APPEND_DATA:
            return True
    return False


def inherit(acl: ACL, directory: bool) -> ACL:
    """
    What a new object gets of its directory's list (RFC 8881, section 6.4.3.1);
    without entries if there is nothing to inherit.

    @param directory: the new object is one.
    """
    automatic = acl.flags & AUTO_INHERIT
    mark = INHERITED if automatic else 0
    aces = []
    for ace in acl.aces:
        flag = ace.flag & ~(INHERITANCE | INHERITED) | mark
        if not directory:
            if ace.flag & FILE_INHERIT:
                aces.append(ACE(ace.type, flag, ace.mask, ace.who))
        elif ace.flag & NO_PROPAGATE:
            if ace.flag & DIRECTORY_INHERIT:
                aces.append(ACE(ace.type, flag, ace.mask, ace.who))
        elif ace.flag & INHERITABLE:
            flag |= ace.flag & INHERITABLE
            if not ace.flag & DIRECTORY_INHERIT:
                flag |= INHERIT_ONLY
            aces.append(ACE(ace.type, flag, ace.mask, ace.who))
    return ACL(tuple(aces), automatic)
