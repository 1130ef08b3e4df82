# -*- test-case-name: tests.namespace.test_modes -*-
"""
Modes and access control lists: what each amounts to as the other, and what becomes
of a list when a mode is given (RFC 8881, sections 6.3.2 and 6.4; RFC 8275).
"""

from __future__ import annotations

from pnfs.namespace.acl import (
    ALLOW,
    APPEND_DATA,
    AUTO_INHERIT,
    DEFAULTED,
    DELETE_CHILD,
    DENY,
    EXECUTE,
    INHERIT_ONLY,
    INHERITABLE,
    INHERITANCE,
    OWNERS,
    PROTECTED,
    READ_ACL,
    READ_ATTRIBUTES,
    READ_DATA,
    RWX,
    SYNCHRONIZE,
    WRITE_DATA,
)
from pnfs.values import ACE, ACL, Who

_EVERYBODY = READ_ATTRIBUTES | READ_ACL | SYNCHRONIZE
_STICKY = 0o1000
_OWNER = int(Who.OWNER)
_GROUP = int(Who.GROUP)
_EVERYONE = int(Who.EVERYONE)


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
            user | _EVERYBODY | OWNERS | (child if user & WRITE_DATA else 0),
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


def created(acl: ACL, mode: int, umask: int) -> ACL:
    """
    What a new object has inherited, cut down to the mode that its creator wants; the
    umask is passed over (RFC 8275, section 4). Nobody gets more than what is
    inherited, as with the default lists of POSIX. The classes of which nothing is
    inherited get what mode and umask give them.
    """
    user, group, other = (_mask(mode >> shift & 7) for shift in (6, 3, 0))
    limits = {_OWNER: user, _EVERYONE: other}
    aces: list[ACE] = []
    told = set()
    for ace in acl.aces:
        flag, mask = ace.flag, ace.mask
        if not flag & INHERIT_ONLY:
            told.add(ace.who)
            if ace.type == ALLOW:
                mask &= ~(RWX & ~limits.get(ace.who, group))
                if mask != ace.mask and flag & INHERITABLE:
                    aces.append(ACE(ace.type, flag | INHERIT_ONLY, ace.mask, ace.who))
                    flag &= ~INHERITANCE
        if mask:
            aces.append(ACE(ace.type, flag, mask, ace.who))
    if _EVERYONE in told:
        told.add(_GROUP)
    kept = mode & ~umask
    for ace in ofMode(kept, False).aces:
        if ace.who not in told:
            _append(aces, ace)
    return ACL(tuple(aces), acl.flags)
