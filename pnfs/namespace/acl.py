# -*- test-case-name: tests.namespace.test_acl -*-
"""
Access control lists: what they grant, and the mode they amount to (RFC 8881,
section 6).

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

_EVERYBODY = READ_ATTRIBUTES | READ_ACL | SYNCHRONIZE
_OWNERS = READ_ATTRIBUTES | WRITE_ATTRIBUTES | READ_ACL | WRITE_ACL
_AUTH_NONE = 0
_STICKY = 0o1000
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
    return allowed | _OWNERS if uid == inode.uid else allowed


def appendOnly(acl: ACL) -> bool:
    """
    May there be somebody who may write at the end of the file only?
    """
    for ace in acl.aces:
        if ace.flag & INHERIT_ONLY:
            continue
        bits = ace.mask & (WRITE_DATA | APPEND_DATA)
        if bits == (APPEND_DATA if ace.type == ALLOW else WRITE_DATA):
            return True
    return False


# -- modes ---------------------------------------------------------------------


def modeOf(acl: ACL) -> int:
    """
    The nine permission bits that a list amounts to (RFC 8881, section 6.3.2).
    Writing needs both rights to write.
    """
    mode = 0
    for who, shift in ((_OWNER, 6), (_GROUP, 3), (_EVERYONE, 0)):
        allowed, left = 0, RWX
        for ace in acl.aces:
            if ace.who in (who, _EVERYONE) and not ace.flag & INHERIT_ONLY:
                if ace.type == ALLOW:
                    allowed |= ace.mask & left
                left &= ~ace.mask
        mode |= _bits(allowed) << shift
    return mode


def _bits(mask: int) -> int:
    bits = 4 if mask & READ_DATA else 0
    if mask & WRITE_DATA and mask & APPEND_DATA:
        bits |= 2
    return bits | 1 if mask & EXECUTE else bits


def _mask(bits: int) -> int:
    mask = READ_DATA if bits & 4 else 0
    if bits & 2:
        mask |= WRITE_DATA | APPEND_DATA
    return mask | EXECUTE if bits & 1 else mask


def ofMode(mode: int, directory: bool) -> ACL:
    """
    The list that says what a mode says: what is shown of an object without one. In
    a sticky directory nobody but its owner may take away what others have put there.
    """
    user, group, other = (_mask(mode >> shift & 7) for shift in (6, 3, 0))
    aces = []
    missing = (group | other) & ~user
    if missing:
        aces.append(ACE(DENY, 0, missing, _OWNER))
    child = DELETE_CHILD if directory else 0
    shared = 0 if mode & _STICKY else child
    aces.append(
        ACE(
            ALLOW,
            0,
            user | _EVERYBODY | _OWNERS | (child if user & WRITE_DATA else 0),
            _OWNER,
        )
    )
    aces.append(
        ACE(
            ALLOW, 0, group | _EVERYBODY | (shared if group & WRITE_DATA else 0), _GROUP
        )
    )
    missing = other & ~group
    if missing:
        aces.append(ACE(DENY, 0, missing, _GROUP))
    aces.append(
        ACE(
            ALLOW,
            0,
            other | _EVERYBODY | (shared if other & WRITE_DATA else 0),
            _EVERYONE,
        )
    )
    return ACL(tuple(aces))


def isTrivial(acl: ACL, mode: int, directory: bool) -> bool:
    """
    Does the list say no more than the mode does?
    """
    return acl == ofMode(mode, directory)


def withMode(acl: ACL, mode: int) -> ACL:
    """
    A list after a chmod (RFC 8881, section 6.4.1.1): it amounts to that mode, and
    nobody who is named in it gets more than the group bits give. What has nothing
    to do with the mode, and what is only there to be inherited, stays.

    The new rights of C{OWNER@} come first, so that the owner gets what chmod said;
    those of C{GROUP@} and C{EVERYONE@} come last, so that what others are denied
    by name stays denied.
    """
    user, group, other = (_mask(mode >> shift & 7) for shift in (6, 3, 0))
    kept: list[ACE] = []
    deniedToAll = 0
    for ace in acl.aces:
        if ace.flag & INHERIT_ONLY:
            kept.append(ace)
            continue
        mask = ace.mask
        if ace.who in (_OWNER, _GROUP, _EVERYONE):
            limit = {_OWNER: user, _GROUP: group, _EVERYONE: other}[ace.who]
            mask &= ~RWX
            if ace.type == ALLOW and not limit & WRITE_DATA:
                mask &= ~DELETE_CHILD
            if ace.type == DENY and ace.who == _EVERYONE:
                deniedToAll |= ace.mask
        elif ace.type == ALLOW:
            mask &= ~(RWX & ~group) & ~(deniedToAll & RWX)
            if not group & WRITE_DATA:
                mask &= ~DELETE_CHILD
        flag = ace.flag
        if mask != ace.mask and flag & INHERITABLE:
            # What children inherit is not what the mode is about.
            kept.append(ACE(ace.type, flag | INHERIT_ONLY, ace.mask, ace.who))
            flag &= ~INHERITANCE
        if mask:
            kept.append(ACE(ace.type, flag, mask, ace.who))
    others = group | other
    for ace in kept:
        if ace.type == ALLOW and not ace.flag & INHERIT_ONLY:
            others |= ace.mask & RWX
    result: list[ACE] = []
    for ace in (
        ACE(DENY, 0, others & ~user, _OWNER),
        ACE(ALLOW, 0, user, _OWNER),
        *kept,
        ACE(ALLOW, 0, group, _GROUP),
        ACE(DENY, 0, other & ~group, _GROUP),
        ACE(ALLOW, 0, other, _EVERYONE),
    ):
        _append(result, ace)
    flags = acl.flags & ~DEFAULTED
    return ACL(tuple(result), flags | PROTECTED if flags & AUTO_INHERIT else flags)


def _append(aces: list[ACE], ace: ACE) -> None:
    """
    Put an entry at the end, or into an equal one where that makes no difference, so
    that a list does not grow with every chmod.
    """
    if not ace.mask:
        return
    for index in range(len(aces) - 1, -1, -1):
        other = aces[index]
        if (other.type, other.flag, other.who) == (ace.type, ace.flag, ace.who):
            if not ace.flag & INHERIT_ONLY:
                aces[index] = ACE(ace.type, ace.flag, ace.mask | other.mask, ace.who)
                return
        if other.type != ace.type and other.mask & ace.mask:
            break
    aces.append(ace)


# -- new objects -----------------------------------------------------------------


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
