"""
Tests of L{pnfs.namespace.modes}.
"""

from __future__ import annotations

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from pnfs.namespace.access import permissions
from pnfs.namespace.acl import evaluate, inherit
from pnfs.namespace.modes import created, isTrivial, modeOf, ofMode, withMode
from pnfs.values import ACL, Credential, FileType
from tests.namespace.test_acl import (
    A,
    EVERYONE,
    GROUP,
    MEMBER,
    OTHER,
    OWNER,
    OWNING,
    R,
    W,
    X,
    acl,
    acls,
    allow,
    deny,
    directory,
    inode,
    user,
    users,
)

_modes = strategies.integers(0, 0o777)


class ModeTests(SynchronousTestCase):
    """
    A mode and the list that goes with it (RFC 8881, sections 6.3.2 and 6.4.1).
    """

    @given(_modes, users, strategies.booleans())
    def test_shown(self, mode: int, credential: Credential, isDir: bool) -> None:
        """
        The list shown of an object without one grants what the mode does.
        """
        ftype = FileType.DIR if isDir else FileType.REG
        plain = inode(mode=mode, ftype=ftype)
        listed = inode(ofMode(mode, isDir), mode, ftype=ftype)
        self.assertEqual(
            permissions(plain, credential), permissions(listed, credential)
        )
        assert listed.acl is not None
        self.assertEqual(modeOf(listed.acl), mode)
        self.assertTrue(isTrivial(listed.acl, mode, isDir))

    def test_writing(self) -> None:
        """
        The write bit needs both rights (write mode bit needs WRITE_DATA and
        APPEND_DATA: chimera #1154).
        """
        for mask, mode in ((W, 0), (A, 0), (W | A, 0o222), (R | W | A | X, 0o777)):
            self.assertEqual(modeOf(acl(allow(EVERYONE, mask))), mode)

    def test_classes(self) -> None:
        """
        Only the three classes count, in order; named users do not.
        """
        self.assertEqual(
            modeOf(
                acl(
                    allow(12, 0x27),
                    deny(GROUP, R),
                    allow(OWNER, W | A),
                    allow(EVERYONE, R),
                    deny(OWNER, R),
                )
            ),
            0o604,
        )
        self.assertEqual(modeOf(acl(allow(EVERYONE, R, 0x0B))), 0)

    @given(acls, _modes)
    def test_chmod(self, before: ACL, mode: int) -> None:
        """
        After a chmod the mode is that; once more changes nothing.
        """
        after = withMode(before, mode)
        self.assertEqual(modeOf(after), mode)
        self.assertEqual(withMode(after, mode), after)
        self.assertEqual(
            [ace for ace in before.aces if ace.flag & 8 and ace.mask],
            [ace for ace in after.aces if ace.flag & 8 and ace in before.aces],
        )

    @given(acls, _modes, users)
    def test_chmodGivesNothing(
        self, before: ACL, mode: int, credential: Credential
    ) -> None:
        """
        No chmod gives a caller a right that neither the list nor the mode had for
        that caller's class or everyone.
        """
        after = withMode(before, mode)
        had = evaluate(inode(before), credential)[0]
        has = evaluate(inode(after), credential)[0]
        classes = mode & 7
        if credential.uid == 10:
            classes |= mode >> 6
        if 20 in credential.groups:
            classes |= mode >> 3
        given_ = (R if classes & 4 else 0) | (W | A if classes & 2 else 0)
        given_ |= X if classes & 1 else 0
        self.assertFalse(has & ~had & ~given_ & 0x1F01FF)

    def test_groupLimits(self) -> None:
        """
        chmod g-w takes writing away from those who are named, too, and leaves what
        has nothing to do with the mode.
        """
        before = acl(allow(12, R | W | A | 0x20000), allow(21, X, 0x40))
        after = withMode(before, 0o640)
        self.assertEqual(permissions(inode(after), OTHER), 4)
        self.assertIn(allow(12, R | 0x20000), after.aces)
        self.assertEqual(permissions(inode(after), user(50, 21)), 0)
        self.assertEqual(permissions(inode(after), MEMBER), 4)

    def test_namedDenial(self) -> None:
        """
        Who was denied by name stays so when the mode opens the file to all; the
        owner gets what the mode says.
        """
        before = acl(deny(12, R), deny(10, R), allow(EVERYONE, R))
        after = withMode(before, 0o644)
        self.assertEqual(permissions(inode(after), OTHER), 0)
        self.assertEqual(permissions(inode(after), OWNING), 6)

    def test_inheritedStays(self) -> None:
        """
        What a directory's children inherit does not change with its mode.
        """
        before = acl(allow(12, R | W | A, 3), allow(EVERYONE, R, 3))
        after = withMode(before, 0o700)
        self.assertEqual(permissions(directory(after), OTHER), 0)
        child = inherit(after, True)
        self.assertEqual(
            {(ace.who, ace.mask) for ace in child.aces}, {(12, 7), (EVERYONE, 1)}
        )

    def test_protected(self) -> None:
        """
        A client that maintains inheritance by itself is told that a chmod has been
        there (RFC 8881, section 6.4.3.2).
        """
        self.assertEqual(withMode(acl(flags=1), 0).flags, 3)
        self.assertEqual(withMode(acl(flags=4), 0).flags, 0)


class CreatedTests(SynchronousTestCase):
    """
    Inherited lists of objects whose creator leaves the umask to the server (RFC
    8275).
    """

    def test_umask(self) -> None:
        """
        A shared folder stays shared though its users have a umask of 022; who is not
        mentioned gets what the umask leaves.
        """
        inherited = acl(allow(12, R | W | A), allow(21, R | W | A, 0x40))
        made = created(inherited, 0o666, 0o022)
        self.assertEqual(permissions(inode(made), OTHER), 6)
        self.assertEqual(permissions(inode(made), user(50, 21)), 6)
        self.assertEqual(permissions(inode(made), user(50)), 4)
        self.assertEqual(modeOf(made), 0o644)

    def test_mode(self) -> None:
        """
        A private file stays private whatever is inherited.
        """
        inherited = acl(allow(12, R | W | A), allow(EVERYONE, R | W | A))
        made = created(inherited, 0o600, 0o022)
        self.assertEqual(permissions(inode(made), OTHER), 0)
        self.assertEqual(permissions(inode(made), OWNING), 6)
        self.assertEqual(modeOf(made), 0o600)

    def test_classes(self) -> None:
        """
        What is inherited for a class is what it gets, not more.
        """
        inherited = acl(allow(EVERYONE, R), allow(GROUP, R | X))
        made = created(inherited, 0o777, 0)
        self.assertEqual(permissions(inode(made), MEMBER), 5)
        self.assertEqual(permissions(inode(made), OTHER), 4)
        self.assertEqual(permissions(inode(made), OWNING), 7)

    def test_childrenToo(self) -> None:
        """
        mkdir -m 700 in a shared folder: what is made in there inherits all the same.
        """
        inherited = inherit(acl(allow(12, R | W | A, 3)), True)
        made = created(inherited, 0o700, 0o022)
        self.assertEqual(permissions(directory(made), OTHER), 0)
        below = created(inherit(made, False), 0o666, 0o022)
        self.assertEqual(permissions(inode(below), OTHER), 6)

    @given(acls, _modes, _modes, users)
    def test_noMore(
        self, inherited: ACL, mode: int, umask: int, credential: Credential
    ) -> None:
        """
        Nobody can do with a new file what neither the inherited list nor mode and
        umask allow.
        """
        made = created(inherited, mode, umask)
        has = permissions(inode(made), credential)
        listed = permissions(inode(inherited), credential)
        plain = permissions(inode(mode=mode & ~umask | 0), credential)
        if credential.uid == 10 or 20 in credential.groups:
            plain |= mode & ~umask & 7 | (mode & ~umask) >> 3 & 7
        self.assertFalse(has & ~(listed | plain))
