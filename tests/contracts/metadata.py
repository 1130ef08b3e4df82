"""
What every L{IMetadataBackend} and L{IRecoveryStore} must do.
"""

from __future__ import annotations

from typing import Any, Coroutine, Optional

from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from pnfs.backends import errors
from pnfs.interfaces import IMetadataBackend, IRecoveryStore
from pnfs.values import (
    ACE,
    ACL,
    MODE_ONLY,
    NOW,
    FileType,
    NewObject,
    Placement,
    PlacementSettings,
    SetAttributes,
    SetXattr,
    Who,
)

UID, GID = 1000, 1001

OPEN_ACL = ACL(
    (
        ACE(1, 0x48, 2, 4000000000),
        ACE(0, 0x83, 0x1F01FF, 77),
        ACE(0, 0, 7, Who.EVERYONE),
    ),
    3,
)
"""Amounts to mode 0666."""

OTHER_ACL = ACL((ACE(0, 0, 1, Who.GROUP), ACE(0, 0, 2, Who.NETWORK)))
"""Amounts to mode 0040."""


def newObject(
    ftype: FileType = FileType.REG, mode: int = 0o644, **more: Any
) -> NewObject:
    """
    A new object of user 1000, group 1001.
    """
    return NewObject(ftype, mode, more.pop("uid", UID), more.pop("gid", GID), **more)


def placement(name: bytes = b"0123456789abcdef", **more: Any) -> Placement:
    """
    Four stripes.
    """
    columns = tuple((bytes([n]) * 16,) for n in range(1, 5))
    return Placement("files", 1 << 20, columns, name, **more)


class MetadataFixture:
    """
    A started backend and short ways to call it. Provide L{make}.
    """

    backend: Any
    wall: int

    def make(self) -> Any:
        """
        A new backend that has not been started, on new storage; C{self.now} gives
        it the time.
        """
        raise NotImplementedError

    def reopen(self) -> Optional[Any]:
        """
        Another backend on the storage of C{self.backend}, which has been stopped;
        None if it keeps nothing.
        """
        return None

    def now(self) -> int:
        """
        Wall time.
        """
        return self.wall

    def setUp(self) -> None:
        self.wall = 1_700_000_000_000_000_000
        self.backend = self.make()
        self.get(self.backend.start())
        self.root = self.backend.root

    def get(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """
        The result of a call that must not wait.
        """
        return self.successResultOf(Deferred.fromCoroutine(coroutine))  # type: ignore[attr-defined]

    def fails(
        self, error: type[Exception], coroutine: Coroutine[Any, Any, Any]
    ) -> None:
        """
        The call fails so.
        """
        self.failureResultOf(Deferred.fromCoroutine(coroutine), error)  # type: ignore[attr-defined]

    def create(self, name: bytes, directory: Any = None, **more: Any) -> Any:
        """
        A new object.
        """
        directory = directory or self.root
        return self.get(self.backend.create(directory, name, newObject(**more)))

    def mkdir(self, name: bytes, directory: Any = None) -> Any:
        """
        A new directory.
        """
        return self.create(name, directory, ftype=FileType.DIR, mode=0o755)

    def names(self, directory: Any, limit: int = 1000) -> list[bytes]:
        """
        All names by a complete walk.
        """
        found, cookie, last = [], 0, False
        while not last:
            part, last = self.get(self.backend.readdir(directory, cookie, limit))
            found += [entry.name for entry in part]
            cookie = part[-1].cookie if part else cookie
        return found

    def restart(self) -> bool:
        """
        Stop the server and start another; False if it would know nothing.
        """
        self.get(self.backend.stop())
        again = self.reopen()
        if again is None:
            self.get(self.backend.start())
            return False
        self.backend = again
        self.get(again.start())
        self.root = again.root
        return True


class MetadataContract(MetadataFixture):
    """
    Mix into a L{SynchronousTestCase}; provide L{make}.
    """

    # -- shape

    def test_interface(self) -> None:
        """
        Every method and attribute is there.
        """
        verifyObject(IMetadataBackend, self.backend)
        verifyObject(IRecoveryStore, self.backend.recovery)
        self.assertEqual(len(self.backend.fsid), 2)
        self.assertEqual(self.root.ftype, FileType.DIR)

    # -- names

    def test_createdIsFound(self) -> None:
        """
        A new file is there by name and by handle, with the owner it was given.
        """
        made = self.create(b"a", mode=0o640)
        self.assertIs(self.get(self.backend.lookup(self.root, b"a")), made)
        self.assertIs(self.get(self.backend.byHandle(made.handle)), made)
        self.assertIs(self.backend.cached(made.handle), made)
        self.assertIs(self.backend.cachedChild(self.root, b"a"), made)
        self.assertEqual(
            (made.ftype, made.mode, made.uid, made.gid, made.nlink, made.size),
            (FileType.REG, 0o640, UID, GID, 1, 0),
        )
        self.assertTrue(1 <= len(made.handle) <= 40)
        self.assertFalse(made.hasPlacement)

    def test_modes(self) -> None:
        """
        Any permission bits can be given, those that shut out the owner included,
        whatever the umask.
        """
        for mode in (0, 0o777, 0o4755, 0o2755, 0o1777, 0o222):
            made = self.create(b"f%o" % mode, mode=mode)
            self.assertEqual(made.mode, mode)
            made = self.create(b"d%o" % mode, ftype=FileType.DIR, mode=mode)
            self.assertEqual(made.mode, mode)
            self.create(b"inside", made)

    def test_existing(self) -> None:
        """
        A name is given once.
        """
        self.create(b"a")
        for ftype in (FileType.REG, FileType.DIR, FileType.FIFO):
            what = newObject(ftype)
            self.fails(errors.NameExists, self.backend.create(self.root, b"a", what))

    def test_absent(self) -> None:
        """
        What is not there is not found.
        """
        self.fails(errors.NoSuchName, self.backend.lookup(self.root, b"a"))
        self.assertIsNone(self.backend.cachedChild(self.root, b"a"))
        self.fails(errors.NoSuchName, self.backend.remove(self.root, b"a", False))
        self.fails(errors.NoSuchObject, self.backend.byHandle(b"\x01nonsense"))
        self.assertIsNone(self.backend.cached(b"\x01nonsense"))

    def test_badNames(self) -> None:
        """
        Names that no entry can have are refused everywhere.
        """
        file = self.create(b"a")
        for name, error in (
            (b"", errors.InvalidName),
            (b".", errors.InvalidName),
            (b"..", errors.InvalidName),
            (b"a/b", errors.InvalidName),
            (b"a\0", errors.InvalidName),
            (b"a" * 256, errors.NameTooLong),
        ):
            self.fails(error, self.backend.lookup(self.root, name))
            self.fails(error, self.backend.create(self.root, name, newObject()))
            self.fails(error, self.backend.link(file, self.root, name))
            self.fails(error, self.backend.remove(self.root, name, False))
            for names in ((b"a", name), (name, b"b")):
                old, new = names
                self.fails(
                    error, self.backend.rename(self.root, old, self.root, new, False)
                )
        self.create(b"\xff" * 255)
        self.assertEqual(sorted(self.names(self.root)), [b"a", b"\xff" * 255])

    def test_notDirectory(self) -> None:
        """
        A file has no entries.
        """
        file = self.create(b"a")
        self.fails(errors.NotDirectory, self.backend.lookup(file, b"b"))
        self.fails(errors.NotDirectory, self.backend.create(file, b"b", newObject()))
        self.fails(errors.NotDirectory, self.backend.readdir(file, 0, 10))
        self.fails(errors.NotDirectory, self.backend.parent(file))

    def test_parent(self) -> None:
        """
        C{..} leads up, and stops at the root.
        """
        one = self.mkdir(b"one")
        two = self.mkdir(b"two", one)
        self.assertIs(self.get(self.backend.parent(two)), one)
        self.assertIs(self.get(self.backend.parent(one)), self.root)
        self.assertIs(self.get(self.backend.parent(self.root)), self.root)

    def test_pathOf(self) -> None:
        """
        Data files can be placed by the directory they are in.
        """
        two = self.mkdir(b"two", self.mkdir(b"one"))
        file = self.create(b"f", two)
        self.assertEqual(self.backend.pathOf(file), (b"one", b"two"))
        self.assertEqual(self.backend.pathOf(self.create(b"g")), ())
        self.get(self.backend.rename(two, b"f", self.root, b"h", False))
        self.assertEqual(self.backend.pathOf(file), ())

    def test_otherTypes(self) -> None:
        """
        Links, pipes and sockets are what they were made as.
        """
        link = self.create(b"link", ftype=FileType.LNK, target=b"\xffsome/where")
        self.assertEqual(self.get(self.backend.readlink(link)), b"\xffsome/where")
        self.assertEqual(link.size, 11)
        fifo = self.create(b"fifo", ftype=FileType.FIFO, mode=0o622)
        sock = self.create(b"sock", ftype=FileType.SOCK, mode=0o600)
        self.assertEqual(
            (link.ftype, fifo.ftype, sock.ftype, fifo.mode),
            (FileType.LNK, FileType.FIFO, FileType.SOCK, 0o622),
        )
        self.fails(errors.InvalidArgument, self.backend.readlink(fifo))
        self.get(self.backend.setattr(fifo, SetAttributes(mode=0o600, mtime=5)))
        self.assertEqual((fifo.mode, fifo.mtime), (0o600, 5))
        for name in (b"link", b"fifo", b"sock"):
            self.assertTrue(self.get(self.backend.remove(self.root, name, False)).gone)
        self.assertEqual(self.names(self.root), [])

    def test_setgidDirectory(self) -> None:
        """
        In a setgid directory files take its group, and directories the bit too.
        """
        shared = self.create(b"s", ftype=FileType.DIR, mode=0o2775, gid=77)
        file = self.create(b"f", shared)
        below = self.mkdir(b"d", shared)
        self.assertEqual((file.gid, file.mode), (77, 0o644))
        self.assertEqual((below.gid, below.mode), (77, 0o2755))

    def test_exclusiveVerifier(self) -> None:
        """
        A retry of an exclusive create is recognised, after a restart too.
        """
        file = self.create(b"a", verifier=b"verifier")
        plain = self.create(b"b")
        self.assertEqual(self.get(self.backend.createVerifier(file)), b"verifier")
        self.assertEqual(self.get(self.backend.createVerifier(plain)), b"")
        if self.restart():
            file = self.get(self.backend.lookup(self.root, b"a"))
            self.assertEqual(self.get(self.backend.createVerifier(file)), b"verifier")

    # -- what is said of new files
    def test_settings(self) -> None:
        """
        What is said of new files below a directory is what is asked for, may be
        changed and taken back, and is seen by no client.
        """
        below = self.mkdir(b"d")
        load, store = self.backend.loadSettings, self.backend.storeSettings
        self.assertIsNone(self.get(load(below)))
        for said in (
            PlacementSettings(mirrors=2, label=""),
            PlacementSettings(3, 0, 1 << 16, "nvme", "x", "files", ("a", "b"), 0),
            PlacementSettings(dataServers=()),
        ):
            self.get(store(below, said))
            self.assertEqual(self.get(load(below)), said)
        self.assertIsNone(self.get(load(self.root)))
        self.assertEqual(list(self.get(self.backend.listxattrs(below))), [])
        for name in (b"pnfsd.policy", b"policy"):
            self.fails(errors.NoSuchAttribute, self.backend.getxattr(below, name))
        self.get(store(below, None))
        self.get(store(below, None))
        self.assertIsNone(self.get(load(below)))

    def test_settingsElsewhere(self) -> None:
        """
        Nothing is said of what is below a file.
        """
        file = self.create(b"a")
        said = PlacementSettings(mirrors=2)
        self.fails(errors.NotDirectory, self.backend.storeSettings(file, said))
        self.fails(errors.NotDirectory, self.backend.loadSettings(file))

    def test_settingsStay(self) -> None:
        """
        What is said outlives a restart, and goes with the directory where that goes.
        """
        below = self.mkdir(b"d")
        said = PlacementSettings(stripeCount=4, layout="x")
        self.get(self.backend.storeSettings(below, said))
        self.get(self.backend.rename(self.root, b"d", self.root, b"e", False))
        self.assertEqual(self.get(self.backend.loadSettings(below)), said)
        if self.restart():
            below = self.get(self.backend.lookup(self.root, b"e"))
            self.assertEqual(self.get(self.backend.loadSettings(below)), said)

    def test_directoryOf(self) -> None:
        """
        The way up from a file, also after somebody has moved it or a directory above.
        """
        top = self.mkdir(b"d")
        deep = self.mkdir(b"e", top)
        file = self.create(b"a", deep)

        def above(inode: Any) -> Any:
            return self.get(self.backend.directoryOf(inode))

        self.assertEqual(
            [above(file), above(deep), above(top), above(self.root)],
            [deep, top, self.root, None],
        )
        self.get(self.backend.rename(top, b"e", self.root, b"f", False))
        self.assertIs(above(deep), self.root)
        self.get(self.backend.rename(deep, b"a", top, b"b", False))
        self.assertIs(above(file), top)
        handles = file.handle, top.handle, self.root.handle
        if self.restart():
            for handle, wanted in zip(handles, handles[1:]):
                again = self.get(self.backend.byHandle(handle))
                self.assertEqual(above(again).handle, wanted)
            self.assertEqual(
                self.backend.pathOf(self.get(self.backend.byHandle(handles[0]))),
                (b"d",),
            )

    # -- extended attributes of users

    def test_xattrs(self) -> None:
        """
        What is set is read back, with any bytes in name and value, and each change
        is seen by those who cache the object.
        """
        set_ = self.backend.setxattr
        for inode in (self.create(b"a"), self.mkdir(b"d")):
            self.assertEqual(list(self.get(self.backend.listxattrs(inode))), [])
            values = {b"a": b"", b"\xff.b": b"\0\xff" * 300, b"user.c": b"c"}
            for name, value in values.items():
                change, generation = inode.change, inode.generation
                inode.encoded["plan"] = b"cached"
                self.get(set_(inode, name, value, SetXattr.EITHER))
                self.assertGreater(inode.change, change)
                self.assertGreater(inode.generation, generation)
                self.assertEqual(inode.encoded, {})
            for name, value in values.items():
                self.assertEqual(self.get(self.backend.getxattr(inode, name)), value)
            self.assertEqual(set(self.get(self.backend.listxattrs(inode))), set(values))
            change = inode.change
            self.get(self.backend.removexattr(inode, b"a"))
            self.assertGreater(inode.change, change)
            self.fails(errors.NoSuchAttribute, self.backend.getxattr(inode, b"a"))
            self.fails(errors.NoSuchAttribute, self.backend.removexattr(inode, b"a"))

    def test_xattrOptions(self) -> None:
        """
        To create and to replace are different wishes.
        """
        file = self.create(b"a")
        set_ = self.backend.setxattr
        self.fails(errors.NoSuchAttribute, set_(file, b"x", b"1", SetXattr.REPLACE))
        self.get(set_(file, b"x", b"2", SetXattr.CREATE))
        self.fails(errors.NameExists, set_(file, b"x", b"3", SetXattr.CREATE))
        self.get(set_(file, b"x", b"4", SetXattr.REPLACE))
        self.get(set_(file, b"x", b"5", SetXattr.EITHER))
        self.assertEqual(self.get(self.backend.getxattr(file, b"x")), b"5")

    def test_xattrLimits(self) -> None:
        """
        What is too long is refused, not cut.
        """
        file = self.create(b"a")
        set_ = self.backend.setxattr
        for name, value, error in (
            (b"", b"", errors.InvalidArgument),
            (b"a\0b", b"", errors.InvalidArgument),
            (b"n" * 251, b"", errors.NameTooLong),
            (b"n", b"v" * 65537, errors.AttributeTooBig),
        ):
            self.fails(error, set_(file, name, value, SetXattr.EITHER))
        self.get(set_(file, b"n" * 250, b"v", SetXattr.EITHER))
        self.assertEqual(self.get(self.backend.listxattrs(file)), [b"n" * 250])

    def test_xattrTypes(self) -> None:
        """
        As on Linux, links and pipes have none.
        """
        link = self.create(b"link", ftype=FileType.LNK, target=b"x")
        fifo = self.create(b"fifo", ftype=FileType.FIFO)
        for inode in (link, fifo):
            self.assertEqual(list(self.get(self.backend.listxattrs(inode))), [])
            self.fails(errors.NoSuchAttribute, self.backend.getxattr(inode, b"x"))
            self.fails(
                errors.PermissionRefused,
                self.backend.setxattr(inode, b"x", b"", SetXattr.EITHER),
            )
            self.fails(errors.PermissionRefused, self.backend.removexattr(inode, b"x"))

    def test_xattrsStay(self) -> None:
        """
        They belong to the object: another name, a restart, and data files make no
        difference, and none of the backend's own is ever among them.
        """
        file = self.create(b"a", verifier=b"verifier", acl=OPEN_ACL, mode=0o666)
        self.get(self.backend.setxattr(file, b"x", b"1", SetXattr.EITHER))
        self.get(self.backend.storePlacement(file, placement()))
        self.get(self.backend.storeDataAttributes(file, 5, 512, 7, 8))
        self.get(self.backend.link(file, self.root, b"b"))
        self.get(self.backend.rename(self.root, b"a", self.root, b"c", False))
        self.assertEqual(self.get(self.backend.listxattrs(file)), [b"x"])
        if self.restart():
            file = self.get(self.backend.lookup(self.root, b"b"))
            self.assertEqual(self.get(self.backend.getxattr(file, b"x")), b"1")
            self.assertEqual(self.get(self.backend.listxattrs(file)), [b"x"])
            self.assertEqual(self.get(self.backend.loadPlacement(file)), placement())

    def test_recordsAreSafe(self) -> None:
        """
        Nobody reads or overwrites the backend's own records by their names.
        """
        file = self.create(b"a", mode=0o604)
        self.get(self.backend.storePlacement(file, placement()))
        set_ = self.backend.setxattr
        names = [b"pnfsd." + n for n in (b"dsfile", b"acl", b"owner", b"user.x")]
        for name in names:
            self.fails(errors.NoSuchAttribute, self.backend.getxattr(file, name))
            self.fails(errors.NoSuchAttribute, self.backend.removexattr(file, name))
            self.get(set_(file, name, b"mine: " + name, SetXattr.CREATE))
        if self.restart():
            file = self.get(self.backend.lookup(self.root, b"a"))
        self.assertEqual((file.mode, file.uid, file.acl), (0o604, UID, None))
        self.assertEqual(self.get(self.backend.loadPlacement(file)), placement())
        self.assertEqual(set(self.get(self.backend.listxattrs(file))), set(names))
        for name in names:
            value = self.get(self.backend.getxattr(file, name))
            self.assertEqual(value, b"mine: " + name)

    # -- access control lists

    def test_acl(self) -> None:
        """
        A list is kept as it was given, with the mode that goes with it, until it is
        taken away; over a restart, too.
        """
        made = {
            b"a": self.create(b"a", acl=OPEN_ACL, mode=0o4666),
            b"d": self.create(b"d", ftype=FileType.DIR, acl=OPEN_ACL, mode=0o1666),
            b"p": self.create(b"p"),
        }
        self.assertEqual(made[b"a"].acl, OPEN_ACL)
        self.assertIsNone(made[b"p"].acl)
        inode = made[b"p"]
        change = inode.change
        inode.encoded["plan"] = b"cached"
        self.get(self.backend.setattr(inode, SetAttributes(acl=OTHER_ACL, mode=0o2040)))
        self.assertGreater(inode.change, change)
        self.assertEqual(inode.encoded, {})
        wanted = {b"a": (OPEN_ACL, 0o4666), b"d": (OPEN_ACL, 0o1666)}
        wanted[b"p"] = (OTHER_ACL, 0o2040)
        for again in (False, True):
            if again and not self.restart():
                return
            for name, (acl, mode) in wanted.items():
                inode = self.get(self.backend.lookup(self.root, name))
                self.assertEqual((inode.acl, inode.mode), (acl, mode), name)
            inode = self.get(self.backend.lookup(self.root, b"a"))
            self.get(
                self.backend.setattr(inode, SetAttributes(acl=MODE_ONLY, mode=0o600))
            )
            wanted[b"a"] = (None, 0o600)
            self.assertEqual((inode.acl, inode.mode), (None, 0o600))

    def test_aclStays(self) -> None:
        """
        Other changes leave the list alone.
        """
        file = self.create(b"a", acl=OPEN_ACL, mode=0o666)
        self.get(self.backend.setattr(file, SetAttributes(size=9, mtime=5)))
        self.get(self.backend.storeDataAttributes(file, 5, 512, 7, 8))
        self.get(self.backend.setattr(file, SetAttributes(mode=0o1666)))
        self.assertEqual((file.acl, file.mode), (OPEN_ACL, 0o1666))

    def test_aclTypes(self) -> None:
        """
        Only files and directories have one.
        """
        fifo = self.create(b"fifo", ftype=FileType.FIFO)
        self.fails(
            errors.Unsupported,
            self.backend.setattr(fifo, SetAttributes(acl=OPEN_ACL, mode=0o666)),
        )

    # -- hard links

    def test_link(self) -> None:
        """
        Two names are one file until the last is gone.
        """
        file = self.create(b"a")
        below = self.mkdir(b"d")
        before = (file.change, below.change)
        self.get(self.backend.link(file, below, b"b"))
        self.assertEqual(file.nlink, 2)
        self.assertTrue(file.change > before[0] and below.change > before[1])
        self.assertIs(self.get(self.backend.lookup(below, b"b")), file)
        self.fails(errors.NameExists, self.backend.link(file, below, b"b"))
        self.fails(errors.IsDirectory, self.backend.link(below, below, b"c"))
        removed = self.get(self.backend.remove(self.root, b"a", False))
        self.assertFalse(removed.gone)
        self.assertIs(removed.inode, file)
        self.assertEqual(file.nlink, 1)
        self.assertIs(self.get(self.backend.byHandle(file.handle)), file)
        self.assertTrue(self.get(self.backend.remove(below, b"b", False)).gone)
        self.fails(errors.NoSuchObject, self.backend.byHandle(file.handle))

    # -- removal

    def test_remove(self) -> None:
        """
        What is removed is gone by name and by handle.
        """
        file = self.create(b"a")
        change = self.root.change
        removed = self.get(self.backend.remove(self.root, b"a", False))
        self.assertEqual((removed.gone, removed.inode, file.nlink), (True, file, 0))
        self.assertGreater(self.root.change, change)
        self.fails(errors.NoSuchName, self.backend.lookup(self.root, b"a"))
        self.fails(errors.NoSuchObject, self.backend.byHandle(file.handle))
        self.assertIsNone(self.backend.cached(file.handle))
        self.fails(
            errors.NoSuchObject, self.backend.setattr(file, SetAttributes(mode=0))
        )
        again = self.create(b"a")
        self.assertNotEqual(again.handle, file.handle)

    def test_removeDirectory(self) -> None:
        """
        Only an empty directory can be removed.
        """
        links = self.root.nlink
        below = self.mkdir(b"d")
        self.create(b"a", below)
        self.fails(
            errors.DirectoryNotEmpty, self.backend.remove(self.root, b"d", False)
        )
        self.get(self.backend.remove(below, b"a", False))
        self.assertTrue(self.get(self.backend.remove(self.root, b"d", False)).gone)
        self.assertEqual(self.root.nlink, links)
        self.fails(errors.NoSuchObject, self.backend.create(below, b"x", newObject()))

    def test_keep(self) -> None:
        """
        A file that is open stays usable by its handle until it is closed.
        """
        file = self.create(b"a")
        self.get(self.backend.storePlacement(file, placement()))
        removed = self.get(self.backend.remove(self.root, b"a", True))
        self.assertTrue(removed.gone)
        self.fails(errors.NoSuchName, self.backend.lookup(self.root, b"a"))
        self.assertIs(self.get(self.backend.byHandle(file.handle)), file)
        self.assertIs(self.backend.cached(file.handle), file)
        self.get(self.backend.setattr(file, SetAttributes(mode=0o600)))
        self.get(self.backend.storeDataAttributes(file, 7, 512, 1, None))
        self.assertEqual((file.mode, file.size, file.nlink), (0o600, 7, 0))
        self.assertEqual(self.get(self.backend.loadPlacement(file)), placement())
        self.fails(errors.NoSuchObject, self.backend.link(file, self.root, b"b"))
        self.get(self.backend.release(file))
        self.fails(errors.NoSuchObject, self.backend.byHandle(file.handle))

    # -- rename

    def test_rename(self) -> None:
        """
        A renamed file keeps its identity; both directories and it have changed.
        """
        one, two = self.mkdir(b"one"), self.mkdir(b"two")
        file = self.create(b"a", one)
        before = one.change, two.change, file.change
        self.assertIsNone(self.get(self.backend.rename(one, b"a", two, b"b", False)))
        self.assertTrue(
            all(x > y for x, y in zip((one.change, two.change, file.change), before))
        )
        self.fails(errors.NoSuchName, self.backend.lookup(one, b"a"))
        self.assertIs(self.get(self.backend.lookup(two, b"b")), file)
        self.assertEqual((self.names(one), self.names(two)), ([], [b"b"]))

    def test_renameReplaces(self) -> None:
        """
        What had the new name is gone, unless it has another or is open.
        """
        for keep, linked in ((False, False), (True, False), (False, True)):
            file, victim = self.create(b"a"), self.create(b"b")
            self.names(self.root)
            if linked:
                self.get(self.backend.link(victim, self.root, b"other"))
            change = victim.change
            removed = self.get(
                self.backend.rename(self.root, b"a", self.root, b"b", keep)
            )
            self.assertIs(removed.inode, victim)
            self.assertEqual(removed.gone, not linked)
            self.assertGreater(victim.change, change)
            self.assertIs(self.get(self.backend.lookup(self.root, b"b")), file)
            found, _ = self.get(self.backend.readdir(self.root, 0, 9))
            self.assertIs({e.name: e.inode for e in found}[b"b"], file)
            if keep or linked:
                self.assertIs(self.get(self.backend.byHandle(victim.handle)), victim)
            else:
                self.fails(errors.NoSuchObject, self.backend.byHandle(victim.handle))
            if keep:
                self.get(self.backend.release(victim))
            self.get(self.backend.remove(self.root, b"b", False))

    def test_renameOntoItself(self) -> None:
        """
        Nothing happens if both names are one object.
        """
        file = self.create(b"a")
        self.get(self.backend.link(file, self.root, b"b"))
        change = self.root.change
        for names in ((b"a", b"a"), (b"a", b"b")):
            old, new = names
            self.assertIsNone(
                self.get(self.backend.rename(self.root, old, self.root, new, False))
            )
        self.assertEqual(self.root.change, change)
        self.assertEqual(sorted(self.names(self.root)), [b"a", b"b"])

    def test_renameRefused(self) -> None:
        """
        Directories replace only empty directories, never files, and do not move
        into themselves.
        """
        one, two = self.mkdir(b"one"), self.mkdir(b"two")
        self.create(b"full", two)
        below = self.mkdir(b"below", one)
        self.create(b"file")

        def rename(old: bytes, new: bytes, target: Any = None) -> Any:
            return self.backend.rename(self.root, old, target or self.root, new, False)

        self.fails(errors.NoSuchName, rename(b"absent", b"x"))
        self.fails(errors.DirectoryNotEmpty, rename(b"one", b"two"))
        self.fails(errors.NameExists, rename(b"one", b"file"))
        self.fails(errors.NameExists, rename(b"file", b"two"))
        self.fails(errors.InvalidArgument, rename(b"one", b"x", below))
        self.fails(errors.InvalidArgument, rename(b"one", b"x", one))
        self.assertEqual(sorted(self.names(self.root)), [b"file", b"one", b"two"])

    def test_renameDirectory(self) -> None:
        """
        A directory takes its contents and its C{..} along.
        """
        one, two = self.mkdir(b"one"), self.mkdir(b"two")
        moving = self.mkdir(b"m", one)
        file = self.create(b"f", moving)
        empty = self.mkdir(b"empty", two)
        links = one.nlink
        removed = self.get(self.backend.rename(one, b"m", two, b"empty", False))
        self.assertEqual((removed.inode, removed.gone), (empty, True))
        self.assertIs(self.get(self.backend.parent(moving)), two)
        self.assertIs(self.get(self.backend.lookup(moving, b"f")), file)
        self.assertLessEqual(one.nlink, links)

    # -- reading directories

    def test_readdirPages(self) -> None:
        """
        A directory read in pages has each name once, with cookies that are valid
        on the wire.
        """
        wanted = {b"n%d" % n for n in range(100)}
        for name in wanted:
            self.create(name)
        for limit in (1, 7, 100, 1000):
            found = self.names(self.root, limit)
            self.assertEqual((set(found), len(found)), (wanted, 100))
        part, last = self.get(self.backend.readdir(self.root, 0, 100))
        self.assertTrue(last)
        self.assertTrue(all(3 <= entry.cookie < 1 << 63 for entry in part))
        for entry in part:
            known = self.get(self.backend.lookup(self.root, entry.name))
            self.assertIs(entry.inode, known)
        self.assertEqual(
            self.get(self.backend.readdir(self.root, part[-1].cookie, 9)), ([], True)
        )
        self.assertEqual(
            self.get(self.backend.readdir(self.mkdir(b"e"), 0, 9)), ([], True)
        )

    def test_readdirUnderChange(self) -> None:
        """
        What stays during a walk is given exactly once, whatever comes and goes
        (C{rm -r} of a big directory; RFC 8881, section 18.23).
        """
        staying = {b"stay%d" % n for n in range(60)}
        for name in staying:
            self.create(name)
        for n in range(60):
            self.create(b"go%d" % n)
        seen: list[bytes] = []
        cookie, last, turn = 0, False, 0
        while not last:
            part, last = self.get(self.backend.readdir(self.root, cookie, 7))
            seen += [entry.name for entry in part]
            cookie = part[-1].cookie if part else cookie
            for n in range(5 * turn, 5 * turn + 5):
                if n < 60:
                    self.get(self.backend.remove(self.root, b"go%d" % n, False))
                    self.create(b"new%d" % n)
            turn += 1
            if turn == 3:
                for n in range(100):
                    self.create(b"many%d" % n)
        kept = [name for name in seen if name in staying]
        self.assertEqual((set(kept), len(kept)), (staying, 60))
        self.assertEqual(len(set(seen)), len(seen))

    # -- attributes

    def test_setattr(self) -> None:
        """
        chmod, chown, touch and truncate take effect and move change and ctime.
        """
        file = self.create(b"a")
        for changes, expected in (
            (SetAttributes(mode=0o4711), {"mode": 0o4711}),
            (SetAttributes(mode=0), {"mode": 0}),
            (SetAttributes(uid=5, gid=6), {"uid": 5, "gid": 6}),
            (SetAttributes(mtime=123_456_789), {"mtime": 123_456_789}),
            (SetAttributes(atime=NOW), {"atime": self.wall, "mtime": 123_456_789}),
            (SetAttributes(size=1 << 40), {"size": 1 << 40, "mtime": self.wall}),
            (SetAttributes(size=3, mtime=9), {"size": 3, "mtime": 9}),
            (SetAttributes(atime=77), {"atime": 77, "mtime": 9, "size": 3}),
        ):
            change, generation = file.change, file.generation
            file.encoded["key"] = b"old"
            self.get(self.backend.setattr(file, changes))
            for name, value in expected.items():
                self.assertEqual(getattr(file, name), value, changes)
            self.assertGreater(file.change, change)
            self.assertGreater(file.generation, generation)
            self.assertEqual(file.encoded, {})

    def test_setattrNothing(self) -> None:
        """
        To change nothing changes nothing.
        """
        file = self.create(b"a")
        change = file.change
        self.get(self.backend.setattr(file, SetAttributes()))
        self.assertEqual(file.change, change)

    def test_setattrDirectory(self) -> None:
        """
        A directory has owner, mode and times, but its size is not to be set.
        """
        below = self.mkdir(b"d")
        self.create(b"f", below)
        changes = SetAttributes(mode=0o1777, uid=7, gid=8, atime=1, mtime=2)
        self.get(self.backend.setattr(below, changes))
        self.assertEqual(
            (below.mode, below.uid, below.gid, below.atime, below.mtime),
            (0o1777, 7, 8, 1, 2),
        )
        self.fails(
            errors.IsDirectory, self.backend.setattr(below, SetAttributes(size=1))
        )
        link = self.create(b"l", ftype=FileType.LNK, target=b"x")
        self.fails(
            errors.InvalidArgument, self.backend.setattr(link, SetAttributes(size=1))
        )

    def test_chownClearsSetuid(self) -> None:
        """
        A program given to somebody else does not run as them.
        """
        file = self.create(b"a", mode=0o4755)
        self.get(self.backend.setattr(file, SetAttributes(uid=5)))
        self.assertEqual(file.mode, 0o755)

    def test_createWithTimes(self) -> None:
        """
        Times given at creation are there.
        """
        file = self.create(b"a", atime=5, mtime=6)
        self.assertEqual((file.atime, file.mtime), (5, 6))

    def test_changeGrows(self) -> None:
        """
        However fast changes come, each moves the change attribute (change must advance
        on every modification: pynfs SATT15).
        """
        seen = [self.root.change]
        for n in range(50):
            self.create(b"n%d" % n)
            seen.append(self.root.change)
        self.assertEqual(seen, sorted(set(seen)))
        file = self.create(b"file")
        seen = [file.change]
        for n in range(50):
            self.get(self.backend.setattr(file, SetAttributes(size=n % 2)))
            seen.append(file.change)
        self.assertEqual(seen, sorted(set(seen)))

    # -- data files

    def test_placement(self) -> None:
        """
        Where a file's bytes are is remembered, and can be changed.
        """
        file = self.create(b"a")
        self.assertIsNone(self.get(self.backend.loadPlacement(file)))
        self.get(self.backend.storePlacement(file, placement()))
        self.assertTrue(file.hasPlacement)
        self.assertEqual(self.get(self.backend.loadPlacement(file)), placement())
        self.get(self.backend.storePlacement(file, placement(epoch=2)))
        self.assertEqual(self.get(self.backend.loadPlacement(file)).epoch, 2)
        below = self.mkdir(b"d")
        self.fails(
            errors.InvalidArgument, self.backend.storePlacement(below, placement())
        )

    def test_dataAttributes(self) -> None:
        """
        What the data servers said is what users see; the same again is no change.
        """
        file = self.create(b"a")
        change = file.change
        self.get(self.backend.storeDataAttributes(file, 1 << 50, 4096, 11, None))
        self.assertEqual((file.size, file.used, file.mtime), (1 << 50, 4096, 11))
        self.assertGreater(file.change, change)
        change = file.change
        self.get(self.backend.storeDataAttributes(file, 1 << 50, 4096, 11, None))
        self.get(self.backend.storeDataAttributes(file, 1 << 50, 4096, None, None))
        self.assertEqual(file.change, change)
        self.get(self.backend.storeDataAttributes(file, 1 << 50, 4096, 11, 12))
        self.assertEqual(file.atime, 12)
        self.assertGreater(file.change, change)

    def test_restartKeepsAll(self) -> None:
        """
        After a restart every handle still works and means what it meant; the
        change attribute has not gone back.
        """
        below = self.mkdir(b"d")
        file = self.create(b"a", below, mode=0o4640)
        link = self.create(b"l", ftype=FileType.LNK, target=b"there")
        self.get(self.backend.storePlacement(file, placement()))
        self.get(self.backend.storeDataAttributes(file, 99, 512, 11, 12))
        self.get(self.backend.link(file, self.root, b"second"))
        self.get(self.backend.rename(below, b"a", self.root, b"moved", False))
        fsid, before = self.backend.fsid, (below, file, link, self.root)
        if not self.restart():
            return
        self.assertEqual(self.backend.fsid, fsid)
        for old in before:
            new = self.get(self.backend.byHandle(old.handle))
            self.assertIsNot(new, old)
            for name in ("fileid", "ftype", "mode", "nlink", "uid", "gid", "size"):
                self.assertEqual(getattr(new, name), getattr(old, name), name)
            for name in ("used", "mtime", "ctime", "hasPlacement"):
                self.assertEqual(getattr(new, name), getattr(old, name), name)
            self.assertGreaterEqual(new.change, old.change)
        again = self.get(self.backend.lookup(self.root, b"moved"))
        self.assertIs(again, self.get(self.backend.lookup(self.root, b"second")))
        self.assertEqual(again.handle, file.handle)
        self.assertEqual(self.get(self.backend.loadPlacement(again)), placement())
        change = again.change
        self.get(self.backend.setattr(again, SetAttributes(mode=0o600)))
        self.assertGreater(again.change, change)

    def test_restartDuringWalk(self) -> None:
        """
        A client that reads a big directory over a restart misses nothing.
        """
        wanted = {b"n%d" % n for n in range(40)}
        for name in wanted:
            self.create(name)
        first, _ = self.get(self.backend.readdir(self.root, 0, 20))
        if not self.restart():
            return
        rest, last = self.get(self.backend.readdir(self.root, first[-1].cookie, 100))
        self.assertTrue(last)
        self.assertEqual([len(first), len(rest)], [20, 20])
        self.assertEqual({entry.name for entry in [*first, *rest]}, wanted)
        self.assertTrue(all(entry.inode is not None for entry in rest))

    # -- removal queue

    def test_removalQueue(self) -> None:
        """
        Data files of removed files are remembered until they are deleted; those
        of files still open only later.
        """
        due, open_ = placement(b"aa"), placement(b"bb")
        self.get(self.backend.enqueueRemoval(due, False))
        self.get(self.backend.enqueueRemoval(open_, True))
        self.assertEqual(list(self.get(self.backend.pendingRemovals())), [due])
        self.get(self.backend.finishRemoval(open_, False))
        self.assertEqual(list(self.get(self.backend.pendingRemovals())), [due, open_])
        self.get(self.backend.finishRemoval(due, True))
        self.assertEqual(list(self.get(self.backend.pendingRemovals())), [open_])

    def test_removalQueueAfterRestart(self) -> None:
        """
        A crash loses no removal, and a file that was open then is due.
        """
        for name, orphan in ((b"aa", False), (b"bb", True), (b"cc", False)):
            self.get(self.backend.enqueueRemoval(placement(name), orphan))
        self.get(self.backend.finishRemoval(placement(b"cc"), True))
        if self.restart():
            pending = self.get(self.backend.pendingRemovals())
            self.assertEqual([p.name for p in pending], [b"aa", b"bb"])

    def test_removalThatDidNotHappen(self) -> None:
        """
        A crash between queueing and removing does not cost the file its bytes.
        """
        file, gone = self.create(b"a"), self.create(b"b")
        for node, name in ((file, b"aa"), (gone, b"bb")):
            self.get(self.backend.storePlacement(node, placement(name)))
            self.get(self.backend.loadPlacement(node))
            self.get(self.backend.enqueueRemoval(placement(name), False))
        self.get(self.backend.remove(self.root, b"b", False))
        if self.restart():
            pending = self.get(self.backend.pendingRemovals())
            self.assertEqual([p.name for p in pending], [b"bb"])

    # -- the rest

    def test_statfs(self) -> None:
        """
        C{df} shows something sensible.
        """
        space = self.get(self.backend.statfs())
        self.assertTrue(
            space.spaceTotal >= space.spaceFree >= space.spaceAvailable >= 0
        )
        self.assertTrue(space.filesTotal >= space.filesFree >= 0)


class RecoveryContract:
    """
    Mix into a L{SynchronousTestCase}; provide L{makeStore} and L{again}.
    """

    def makeStore(self) -> Any:
        """
        A new, empty store.
        """
        raise NotImplementedError

    def again(self, store: Any) -> Any:
        """
        The same store as another process would see it.
        """
        raise NotImplementedError

    def setUp(self) -> None:
        self.store = self.makeStore()

    def check(self) -> Any:
        """
        The test case, for its assertions.
        """
        return self

    def test_interface(self) -> None:
        """
        Every method is there.
        """
        verifyObject(IRecoveryStore, self.store)

    def test_epochsGrow(self) -> None:
        """
        No two starts have the same number.
        """
        first = self.store.beginEpoch()
        second = self.again(self.store).beginEpoch()
        third = self.again(self.store).beginEpoch()
        self.check().assertTrue(1 <= first < second < third < 1 << 32)

    def test_whoMayReclaim(self) -> None:
        """
        Those who had state when the server went down may reclaim it; newcomers and
        those who had gone may not (persist client records: chimera #389, #398).
        """
        self.store.beginEpoch()
        for owner in (b"one", b"two\n", b""):
            self.store.addClient(owner)
        self.store.removeClients([b"one", b"never"])
        self.store.removeClients([])
        self.check().assertEqual(self.store.clients(), {b"two\n": False, b"": False})
        store = self.again(self.store)
        store.beginEpoch()
        store.addClient(b"new")
        store.addClient(b"")
        self.check().assertEqual(
            store.clients(), {b"two\n": True, b"": True, b"new": False}
        )
        store.removeClients({b"two\n"})
        store = self.again(store)
        store.beginEpoch()
        self.check().assertEqual(store.clients(), {b"": True, b"new": True})

    def test_promisedLease(self) -> None:
        """
        The next start knows on which lease clients rely.
        """
        self.check().assertEqual(self.store.promisedLease(), 0.0)
        for seconds in (90.0, 1.5):
            self.store.promiseLease(seconds)
            self.check().assertEqual(self.store.promisedLease(), seconds)
            self.store = self.again(self.store)
            self.check().assertEqual(self.store.promisedLease(), seconds)

    def test_identity(self) -> None:
        """
        The server is the same after a restart.
        """
        made = self.store.identity("server", lambda: b"\x01" * 16)
        self.check().assertEqual(made, b"\x01" * 16)
        self.check().assertEqual(
            self.again(self.store).identity("server", lambda: b"\x02" * 16), made
        )
