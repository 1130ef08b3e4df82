"""
Tests of L{pnfs.namespace.access}, L{pnfs.namespace.names} and
L{pnfs.namespace.identity}.
"""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import InvalidArgument, InvalidName, NameTooLong
from pnfs.namespace.access import checkAccess, mayDelete, permissions
from pnfs.namespace.identity import BadOwner, Identities, localIdentities
from pnfs.namespace.names import checkName
from pnfs.values import ROOT, Credential, FileType, Inode


def inode(mode: int, uid: int = 10, gid: int = 20, ftype: int = FileType.REG) -> Inode:
    """
    An object with that mode.
    """
    return Inode(b"h", 1, ftype, mode, 1, uid, gid, 0, 0, 0, 0, 0, 0, 1)


OWNER = Credential(10, 99, frozenset({99}))
MEMBER = Credential(11, 99, frozenset({99, 20}))
OTHER = Credential(12, 98, frozenset({98}))


class AccessTests(SynchronousTestCase):
    """
    Mode bits decide.
    """

    @given(st.integers(0, 0o7777))
    def test_classes(self, mode: int) -> None:
        """
        Owner, group and others each have their own three bits, and only those: an
        owner without rights does not gain from the group's.
        """
        for credential, shift in ((OWNER, 6), (MEMBER, 3), (OTHER, 0)):
            bits = mode >> shift & 7
            self.assertEqual(permissions(inode(mode), credential), bits)
            for mask in range(8):
                self.assertEqual(
                    checkAccess(inode(mode), credential, mask), not mask & ~bits
                )

    def test_superuser(self) -> None:
        """
        The superuser may do all, but executes no file that nobody may.
        """
        self.assertEqual(permissions(inode(0), ROOT), 6)
        self.assertEqual(permissions(inode(0o001), ROOT), 7)
        self.assertEqual(permissions(inode(0, ftype=FileType.DIR), ROOT), 7)

    def test_delete(self) -> None:
        """
        Deleting takes writing and searching; in a sticky directory, being the
        owner of the file or of the directory, too.
        """
        victim = inode(0, uid=12)
        for mode, credential, expected in (
            (0o777, OTHER, True),
            (0o776, OTHER, False),
            (0o775, OTHER, False),
            (0o1777, OWNER, True),
            (0o1777, OTHER, True),
            (0o1777, MEMBER, False),
            (0o1777, ROOT, True),
        ):
            found = mayDelete(inode(mode, ftype=FileType.DIR), victim, credential)
            self.assertEqual(found, expected, (oct(mode), credential))


class NameTests(SynchronousTestCase):
    """
    Which names are names.
    """

    def test_good(self) -> None:
        """
        Anything in UTF-8 of up to 255 bytes.
        """
        for name in (b"a", b"...", b" ", "äöü".encode(), b"n" * 255, b"a\\b"):
            checkName(name)

    def test_bad(self) -> None:
        """
        Each kind has its error.
        """
        for kind, names in (
            (InvalidArgument, (b"", b"\xff", b"\xc3\x28", b"\xed\xa0\x80")),
            (InvalidName, (b".", b"..", b"a/b", b"a\0b")),
            (NameTooLong, (b"n" * 256,)),
        ):
            for name in names:
                self.assertRaises(kind, checkName, name)


class IdentityTests(SynchronousTestCase):
    """
    Owner strings.
    """

    def test_numbers(self) -> None:
        """
        Decimal numbers are always taken, but not what merely looks like one.
        """
        known = Identities()
        self.assertEqual(known.uid(b"0"), 0)
        self.assertEqual(known.gid(b"4294967294"), 0xFFFFFFFE)
        for bad in (b"4294967295", b"9" * 400, b"007", b"+1", "١".encode(), b"1 "):
            self.assertRaises(BadOwner, known.uid, bad)

    def test_names(self) -> None:
        """
        Known names, with any domain or the one configured.
        """
        known = Identities({"ann": 7}, {"staff": 8})
        self.assertEqual(known.uid(b"ann"), 7)
        self.assertEqual(known.uid(b"ann@anywhere"), 7)
        self.assertEqual(known.gid(b"staff@anywhere"), 8)
        self.assertRaises(BadOwner, known.uid, b"staff")
        strict = Identities({"ann": 7}, {}, "Example.org")
        self.assertEqual(strict.uid(b"ann@example.ORG"), 7)
        self.assertRaises(BadOwner, strict.uid, b"ann@example.com")

    def test_files(self) -> None:
        """
        The host's own tables are read; lines that are none are passed over.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "passwd").write_text("root:x:0:0::/:/bin/sh\n+nis\nann:x:7:7\n")
        known = localIdentities(folder=str(folder))
        self.assertEqual((known.uid(b"root"), known.uid(b"ann@x")), (0, 7))
        self.assertEqual(known.gid(b"nogroup"), 65534)
        self.assertRaises(BadOwner, known.uid, b"+nis")
