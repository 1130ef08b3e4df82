"""
Tests of L{pnfs.namespace.acl}, and of L{pnfs.namespace.access} with lists.
"""

from __future__ import annotations

from typing import Any, Optional

import attrs
from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from pnfs.namespace import acl as lists
from pnfs.namespace.access import mayAdd, mayDelete, permissions
from pnfs.namespace.acl import (
    ALLOW,
    DENY,
    appendOnly,
    evaluate,
    inherit,
    rights,
)
from pnfs.namespace.modes import ofMode
from pnfs.values import ACE, ACL, Credential, FileType, Inode, Who

OWNER, GROUP, EVERYONE = Who.OWNER, Who.GROUP, Who.EVERYONE
R, W, A, X = 1, 2, 4, 0x20


def inode(
    acl: Optional[ACL] = None,
    mode: int = 0,
    uid: int = 10,
    gid: int = 20,
    ftype: int = FileType.REG,
) -> Inode:
    """
    An object with a list.
    """
    made = Inode(b"h", 1, ftype, mode, 1, uid, gid, 0, 0, 0, 0, 0, 0, 0)
    made.acl = acl
    return made


def directory(acl: Optional[ACL] = None, mode: int = 0, **more: Any) -> Inode:
    """
    A directory with a list.
    """
    return inode(acl, mode, ftype=FileType.DIR, **more)


def user(uid: int, *groups: int, flavor: int = 1) -> Credential:
    """
    A caller.
    """
    groups = groups or (99,)
    return Credential(uid, groups[0], frozenset(groups), flavor)


def allow(who: int, mask: int, flag: int = 0) -> ACE:
    """
    An entry that allows.
    """
    return ACE(ALLOW, flag, mask, who)


def deny(who: int, mask: int, flag: int = 0) -> ACE:
    """
    An entry that denies.
    """
    return ACE(DENY, flag, mask, who)


def acl(*aces: ACE, flags: int = 0) -> ACL:
    """
    A list.
    """
    return ACL(aces, flags)


OWNING, MEMBER, OTHER = user(10, 99), user(11, 20), user(12, 99)

masks = strategies.integers(0, 0x1F01FF).map(lambda mask: mask & 0x1F01FF)
whos = strategies.sampled_from([*Who, 0, 10, 11, 12, 20, 21, 99])
aces_ = strategies.builds(
    ACE,
    strategies.sampled_from([ALLOW, DENY]),
    strategies.integers(0, 15) | strategies.just(0x40) | strategies.just(0),
    masks,
    whos,
)
acls = strategies.lists(aces_, max_size=6).map(lambda aces: ACL(tuple(aces)))
users = strategies.builds(
    lambda uid, groups, flavor: user(uid, *groups, flavor=flavor),
    strategies.sampled_from([1, 10, 11, 12]),
    strategies.lists(strategies.sampled_from([20, 21, 99]), max_size=2),
    strategies.sampled_from([0, 1, 6]),
)


def naive(aces: tuple[ACE, ...], credential: Credential, bit: int) -> Optional[bool]:
    """
    The rule of RFC 8881, section 6.2.1, for one right of an object of user 10, group
    20, as simply as it can be said.
    """
    for ace in aces:
        if ace.flag & 8 or not ace.mask & bit:
            continue
        who = ace.who
        matches = {
            Who.OWNER: credential.uid == 10,
            Who.GROUP: 20 in credential.groups,
            Who.EVERYONE: True,
            Who.NETWORK: True,
            Who.ANONYMOUS: credential.flavor == 0,
            Who.AUTHENTICATED: credential.flavor != 0,
        }
        if who < 0:
            matched = matches.get(Who(who), False)
        elif ace.flag & 0x40:
            matched = who in credential.groups
        else:
            matched = who == credential.uid
        if matched:
            return ace.type == ALLOW
    return None


class EvaluateTests(SynchronousTestCase):
    """
    What a list grants to whom.
    """

    @given(acls, users)
    def test_model(self, given_: ACL, credential: Credential) -> None:
        """
        Every right of every caller is decided by the first entry that names both.
        """
        allowed, denied = evaluate(inode(given_), credential, 0x1F01FF)
        for shift in range(21):
            bit = 1 << shift
            verdict = naive(given_.aces, credential, bit)
            if not 0x1F01FF & bit:
                verdict = None
            self.assertEqual(bool(allowed & bit), verdict is True)
            self.assertEqual(bool(denied & bit), verdict is False)

    def test_order(self) -> None:
        """
        A denial after a permission changes nothing, one before it does.
        """
        first = acl(allow(12, R), deny(EVERYONE, R))
        last = acl(deny(EVERYONE, R), allow(12, R))
        self.assertEqual(permissions(inode(first), OTHER), 4)
        self.assertEqual(permissions(inode(last), OTHER), 0)

    def test_identities(self) -> None:
        """
        Users and groups of the same number are not mixed up, and special names mean
        what they say (special whos kept, never turned into EVERYONE@: chimera
        #1155, #1156; ANONYMOUS@ evaluated: chimera #1406).
        """
        unknown = user(65534, 65534, flavor=0)
        for ace, yes, no in (
            (allow(20, R), user(20), MEMBER),
            (allow(20, R, 0x40), MEMBER, user(20)),
            (allow(OWNER, R), OWNING, MEMBER),
            (allow(GROUP, R), MEMBER, OWNING),
            (allow(Who.ANONYMOUS, R), unknown, OTHER),
            (allow(Who.AUTHENTICATED, R), OTHER, unknown),
        ):
            self.assertEqual(permissions(inode(acl(ace)), yes), 4, ace)
            self.assertEqual(permissions(inode(acl(ace)), no), 0, ace)
        for who in (Who.EVERYONE, Who.NETWORK):
            self.assertEqual(permissions(inode(acl(allow(who, R))), unknown), 4)
        for who in lists.UNKNOWABLE:
            self.assertEqual(permissions(inode(acl(allow(who, R))), OWNING), 0)

    def test_empty(self) -> None:
        """
        An empty list grants nothing, except that the owner can repair it.
        """
        empty = inode(acl())
        self.assertEqual(rights(empty, OTHER), lists.READ_ATTRIBUTES | 0x100000)
        self.assertEqual(permissions(empty, OWNING), 0)
        repair = lists.READ_ACL | lists.WRITE_ACL | lists.WRITE_ATTRIBUTES
        self.assertEqual(rights(empty, OWNING) & repair, repair)

    def test_superuser(self) -> None:
        """
        Root does everything, but executes only what somebody may execute.
        """
        root = user(0)
        none = acl(deny(EVERYONE, 0x1F01FF), allow(12, X, 8))
        self.assertEqual(permissions(inode(none), root), 6)
        self.assertEqual(permissions(inode(acl(allow(12, X))), root), 7)
        self.assertEqual(permissions(directory(none), root), 7)

    def test_appendOnly(self) -> None:
        """
        It is noticed where somebody may write at the end only.
        """
        for aces, expected in (
            ([allow(12, W | A)], False),
            ([allow(12, A)], True),
            ([deny(12, W), allow(EVERYONE, W | A)], True),
            ([deny(12, W | A), allow(EVERYONE, R)], False),
            ([allow(12, A, 0x0B)], False),
            ([allow(OWNER, A)], False),
            ([deny(12, W), allow(11, R | W), allow(OWNER, W | A)], False),
            ([deny(12, W), allow(20, A | W, 0x40)], True),
            ([allow(12, A | W), deny(EVERYONE, W)], False),
        ):
            self.assertEqual(appendOnly(acl(*aces)), expected, aces)


class DeleteTests(SynchronousTestCase):
    """
    Who may take names away (RFC 8881, section 6.2.1.3.2).
    """

    def test_child(self) -> None:
        """
        The directory's right is enough, and so is the object's, even if the other
        denies it.
        """
        plain = inode(mode=0o644)
        given_ = directory(acl(allow(12, lists.DELETE_CHILD | X)))
        self.assertTrue(mayDelete(given_, plain, OTHER))
        self.assertFalse(mayDelete(given_, plain, MEMBER))
        closed = directory(acl(deny(12, lists.DELETE_CHILD), allow(EVERYONE, X | W)))
        own = inode(acl(allow(12, lists.DELETE)))
        self.assertFalse(mayDelete(closed, plain, OTHER))
        self.assertTrue(mayDelete(closed, plain, MEMBER))
        self.assertTrue(mayDelete(closed, own, OTHER))
        self.assertTrue(mayDelete(directory(mode=0o755), own, OTHER))
        self.assertFalse(mayDelete(directory(mode=0o700), own, OTHER))

    def test_neither(self) -> None:
        """
        Where neither speaks of it, adding files is what counts; in a sticky
        directory, for the owners only.
        """
        given_ = acl(allow(EVERYONE, X | W))
        plain = inode(mode=0o644)
        self.assertTrue(mayDelete(directory(given_), plain, OTHER))
        sticky = directory(given_, 0o1777)
        self.assertFalse(mayDelete(sticky, plain, OTHER))
        self.assertTrue(mayDelete(sticky, plain, OWNING))
        self.assertTrue(mayDelete(sticky, inode(uid=12), OTHER))
        denied = inode(acl(deny(12, lists.DELETE)))
        self.assertFalse(mayDelete(directory(given_), denied, OTHER))
        self.assertTrue(mayDelete(directory(given_), denied, user(0)))

    def test_stickyShown(self) -> None:
        """
        What is shown of /tmp, given back as a list, still protects its files.
        """
        shown = directory(ofMode(0o1777, True), 0o1777)
        self.assertFalse(mayDelete(shown, inode(uid=11), OTHER))
        self.assertTrue(mayDelete(shown, inode(uid=12), OTHER))

    def test_add(self) -> None:
        """
        Files and directories are different rights.
        """
        files = directory(acl(allow(12, lists.ADD_FILE | X)))
        folders = directory(acl(allow(12, lists.ADD_SUBDIRECTORY | X)))
        self.assertEqual([mayAdd(files, OTHER, d) for d in (False, True)], [1, 0])
        self.assertEqual([mayAdd(folders, OTHER, d) for d in (False, True)], [0, 1])
        self.assertFalse(mayAdd(directory(acl(allow(12, 6))), OTHER, False))


class InheritTests(SynchronousTestCase):
    """
    What new objects get (RFC 8881, section 6.4.3.1).
    """

    def test_flags(self) -> None:
        """
        Files and directories take what is for them, and directories hand it on
        unless it is not to be propagated.
        """
        for flag, file, folder in (
            (0, None, None),
            (1, 0, 9),
            (2, None, 2),
            (3, 0, 3),
            (3 | 8, 0, 3),
            (1 | 8, 0, 9),
            (3 | 4, 0, 0),
            (1 | 4, 0, None),
            (2 | 4 | 8, None, 0),
            (0x43, 0x40, 0x43),
            (0x83, 0, 3),
        ):
            parent = acl(allow(12, R, flag))
            for isDir, expected in ((False, file), (True, folder)):
                aces = inherit(parent, isDir).aces
                wanted = [] if expected is None else [allow(12, R, expected)]
                self.assertEqual(list(aces), wanted, (flag, isDir))

    def test_automatic(self) -> None:
        """
        Where clients maintain inheritance, what is inherited is marked.
        """
        parent = acl(allow(12, R, 3), flags=1)
        self.assertEqual(inherit(parent, False), acl(allow(12, R, 0x80), flags=1))
        self.assertEqual(inherit(parent, True), acl(allow(12, R, 0x83), flags=1))


class CostTests(SynchronousTestCase):
    """
    Objects without a list.
    """

    def test_untouched(self) -> None:
        """
        They are judged by their mode, whatever a list would have said.
        """
        plain = inode(mode=0o640)
        listed = attrs.evolve(plain, acl=acl(allow(12, R)))
        self.assertEqual(permissions(plain, OTHER), 0)
        self.assertEqual(permissions(listed, OTHER), 4)
