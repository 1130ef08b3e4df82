"""
Tests of L{pnfs.backends.metadata.xattr}.
"""

from __future__ import annotations

import os
import random
import time
from typing import Any, Optional

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from pnfs.backends import errors
from pnfs.backends.metadata.xattr import XattrMetadataBackend
from pnfs.values import FileType, SetAttributes, SetXattr
from tests.contracts.metadata import (
    OPEN_ACL,
    MetadataContract,
    MetadataFixture,
    newObject,
    placement,
)


class XattrCase(MetadataFixture):
    """
    A backend on a new folder.
    """

    privileged: Optional[bool] = False
    folder: str = ""
    options: dict[str, Any] = {}

    def make(self) -> Any:
        if self.privileged and os.geteuid() != 0:
            raise SkipTest("needs root")
        self.folder = self.mktemp()  # type: ignore[attr-defined]
        os.makedirs(self.path("tree"))
        self.clock = Clock()
        self.addCleanup(self._stop)  # type: ignore[attr-defined]
        return self.reopen()

    def setUp(self) -> None:
        super().setUp()
        # Compared with what the kernel writes; stands still until C{second}.
        self.wall = time.time_ns()

    def path(self, *names: str) -> str:
        """
        A path in this test's folder.
        """
        return os.path.join(self.folder, *names)

    def reopen(self) -> Any:
        chance = random.Random(1)
        return XattrMetadataBackend(
            self.path("tree"),
            self.path("state"),
            self.clock,
            self.now,
            chance.randbytes,
            privileged=self.privileged,
            **self.options,
        )

    def _stop(self) -> None:
        if self.backend._rootFD >= 0:
            self.get(self.backend.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])  # type: ignore[attr-defined]

    def second(self) -> None:
        """
        A second passes.
        """
        self.wall = time.time_ns()
        self.clock.advance(1.0)


class TreeXattrs(XattrCase):
    """
    Attributes of users in the tree itself.
    """

    def test_administrator(self) -> None:
        """
        C{getfattr} in the tree shows what clients have set, and clients see what is
        set there.
        """
        file = self.create(b"a")
        self.get(self.backend.setxattr(file, b"x", b"1", SetXattr.EITHER))
        self.assertEqual(os.getxattr(self.path("tree", "a"), "user.x"), b"1")  # type: ignore[attr-defined]
        os.setxattr(self.path("tree", "a"), "user.y", b"2")
        self.assertEqual(self.get(self.backend.getxattr(file, b"y")), b"2")
        names = sorted(self.get(self.backend.listxattrs(file)))
        self.assertEqual(names, [b"x", b"y"])  # type: ignore[attr-defined]

    def test_stoppedBetween(self) -> None:
        """
        A server killed after writing a list and before the mode shows the mode that
        goes with the list.
        """
        file = self.create(b"a", mode=0o4600)
        fd = os.open(self.path("tree", "a"), os.O_RDONLY)
        self.backend._storeACL(fd, OPEN_ACL)
        os.close(fd)
        self.restart()
        file = self.get(self.backend.lookup(self.root, b"a"))
        self.assertEqual((file.acl, file.mode), (OPEN_ACL, 0o4666))  # type: ignore[attr-defined]

    def test_damagedList(self) -> None:
        """
        A list that cannot be read does not open the file to anybody.
        """
        self.create(b"a", acl=OPEN_ACL, mode=0o666)
        name = self.backend._namespace + "pnfsd.acl"
        os.setxattr(self.path("tree", "a"), name, b"nonsense")
        self.restart()
        self.fails(errors.IOFailed, self.backend.lookup(self.root, b"a"))


class XattrMetadataTests(TreeXattrs, MetadataContract, SynchronousTestCase):
    """
    With privileges: kernel handles, real owners, C{trusted.} records.
    """

    privileged = True

    def test_treeTellsTheTruth(self) -> None:
        """
        An administrator sees owners and modes with C{ls -l}.
        """
        self.create(b"a", mode=0o640)
        status = os.stat(self.path("tree", "a"))
        self.assertEqual(
            (status.st_uid, status.st_gid, status.st_mode & 0o7777), (1000, 1001, 0o640)
        )

    def test_devices(self) -> None:
        """
        Device nodes can be made.
        """
        node = self.create(b"null", ftype=FileType.CHR, rdev=(1, 3))
        self.assertEqual(node.rdev, (1, 3))
        self.second()
        self.get(self.backend.setattr(node, SetAttributes(uid=4)))
        self.assertEqual(node.uid, 4)

    def test_chownLink(self) -> None:
        """
        A symbolic link itself can be given away.
        """
        link = self.create(b"l", ftype=FileType.LNK, target=b"/etc/passwd")
        self.get(self.backend.setattr(link, SetAttributes(uid=4, gid=5)))
        self.assertEqual((link.uid, link.gid), (4, 5))
        self.assertEqual(os.stat("/etc/passwd").st_uid, 0)


class UnprivilegedTests(TreeXattrs, MetadataContract, SynchronousTestCase):
    """
    Without: handle index, C{user.} records, recorded owners.
    """

    privileged = False

    def test_opensUnderneath(self) -> None:
        """
        The server can open what its users may not.
        """
        self.create(b"a", mode=0)
        self.assertEqual(os.stat(self.path("tree", "a")).st_mode & 0o7777, 0o600)

    def test_devicesRefused(self) -> None:
        """
        Devices cannot be made, and nothing is left of the attempt.
        """
        what = newObject(FileType.BLK, rdev=(1, 1))
        self.fails(
            errors.PermissionRefused, self.backend.create(self.root, b"sda", what)
        )
        self.assertEqual(os.listdir(self.path("tree")), [])

    def test_deepAfterRestart(self) -> None:
        """
        A handle deep in the tree works at once after a restart, after renames of
        directories above it and with another name than the first one.
        """
        directory = self.root
        for n in range(30):
            directory = self.mkdir(b"d%d" % n, directory)
        file = self.create(b"a", directory)
        self.get(self.backend.link(file, directory, b"b"))
        self.get(self.backend.remove(directory, b"a", False))
        self.get(self.backend.rename(self.root, b"d0", self.root, b"moved", False))
        self.restart()
        again = self.get(self.backend.byHandle(file.handle))
        self.assertEqual((again.fileid, again.nlink), (file.fileid, 1))
        self.get(self.backend.setattr(again, SetAttributes(mode=0o600)))


class SmallCacheTests(XattrCase, MetadataContract, SynchronousTestCase):
    """
    The contract with a cache that holds hardly anything.
    """

    privileged = None
    options = {"cacheLimit": 8, "directoryLimit": 1}

    def test_bounded(self) -> None:
        """
        Memory does not grow with the tree; what is in use stays.
        """
        below = self.mkdir(b"d")
        pinned = self.create(b"pinned", below)
        pinned.state = object()
        for n in range(100):
            self.create(b"n%d" % n, below)
            self.second()
        self.assertLess(len(self.backend._inodes), 12)
        self.assertIs(self.get(self.backend.byHandle(pinned.handle)), pinned)
        part, last = self.get(self.backend.readdir(below, 0, 200))
        self.assertEqual((len(part), last), (101, True))
        for entry in part:
            self.assertEqual(
                self.get(self.backend.byHandle(entry.inode.handle)).nlink, 1
            )

    def test_droppedIsFoundAgain(self) -> None:
        """
        An object dropped from memory while a request waits is changed all the same.
        """
        old = self.create(b"old")
        for n in range(20):
            self.second()
            self.create(b"n%d" % n)
        self.assertIsNone(self.backend.cached(old.handle))
        self.get(self.backend.setattr(old, SetAttributes(mode=0o600)))
        self.assertEqual(self.get(self.backend.byHandle(old.handle)).mode, 0o600)


class SmallUnprivilegedCacheTests(SmallCacheTests):
    """
    The same with the handle index.
    """

    privileged = False


class ForeignChangeTests(XattrCase, SynchronousTestCase):
    """
    The tree is changed behind the server's back.
    """

    privileged = None

    def test_renamed(self) -> None:
        """
        A file renamed directly keeps its handle; the old name is gone in a second.
        """
        file = self.create(b"a")
        os.rename(self.path("tree", "a"), self.path("tree", "b"))
        self.second()
        self.assertIsNone(self.backend.cachedChild(self.root, b"a"))
        self.fails(errors.NoSuchName, self.backend.lookup(self.root, b"a"))
        self.assertIs(self.get(self.backend.lookup(self.root, b"b")), file)
        self.assertEqual(self.names(self.root), [b"b"])

    def test_replaced(self) -> None:
        """
        A name that means another file now is never taken for the old one.
        """
        file = self.create(b"a")
        self.names(self.root)
        with open(self.path("tree", "new"), "w"):
            pass
        os.rename(self.path("tree", "new"), self.path("tree", "a"))
        removed = self.get(self.backend.remove(self.root, b"a", False))
        self.assertIsNot(removed.inode, file)
        self.second()
        self.fails(errors.NoSuchObject, self.backend.byHandle(file.handle))

    def test_removed(self) -> None:
        """
        What is removed directly is gone within a second.
        """
        file = self.create(b"a")
        self.names(self.root)
        os.unlink(self.path("tree", "a"))
        self.second()
        self.assertIsNone(self.backend.cached(file.handle))
        self.fails(errors.NoSuchObject, self.backend.byHandle(file.handle))
        self.assertEqual(self.names(self.root), [])

    def test_added(self) -> None:
        """
        A new name is found at once, and listed within a second, even if the
        server changes the directory meanwhile.
        """
        self.create(b"a")
        self.names(self.root)
        os.mkdir(self.path("tree", "direct"))
        self.assertEqual(
            self.get(self.backend.lookup(self.root, b"direct")).ftype, FileType.DIR
        )
        self.create(b"b")
        self.assertEqual(sorted(self.names(self.root)), [b"a", b"b", b"direct"])

    def test_linked(self) -> None:
        """
        A file that got another name directly does not lose its bytes with the
        first.
        """
        file = self.create(b"a")
        self.get(self.backend.storePlacement(file, placement()))
        os.link(self.path("tree", "a"), self.path("tree", "b"))
        self.assertFalse(self.get(self.backend.remove(self.root, b"a", False)).gone)
        self.assertEqual(
            self.get(self.backend.loadPlacement(file)).name, placement().name
        )

    def test_touched(self) -> None:
        """
        Attributes set directly are seen within a second, and change moves.
        """
        below = self.mkdir(b"d")
        change = below.change
        below.encoded["x"] = b"old"
        os.utime(self.path("tree", "d"), ns=(1, 2))
        self.second()
        again = self.get(self.backend.byHandle(below.handle))
        self.assertIs(again, below)
        self.assertEqual((below.mtime, below.encoded), (2, {}))
        self.assertGreater(below.change, change)

    def test_directoryMoved(self) -> None:
        """
        A directory moved directly is still reached, and nothing is created at
        its old place.
        """
        one = self.mkdir(b"one")
        self.create(b"a", one)
        os.rename(self.path("tree", "one"), self.path("tree", "two"))
        os.mkdir(self.path("tree", "one"))
        self.create(b"b", one)
        self.assertEqual(
            sorted(os.listdir(self.path("tree", "two"))), [b"a".decode(), "b"]
        )
        self.assertEqual(os.listdir(self.path("tree", "one")), [])


class StartTests(XattrCase, SynchronousTestCase):
    """
    What cannot work is refused at start, in one line.
    """

    privileged = None

    def refused(self, backend: Any) -> str:
        """
        The line.
        """
        result = Deferred.fromCoroutine(backend.start())
        text = str(self.failureResultOf(result, errors.BadConfiguration).value)
        self.assertNotIn("\n", text)
        return text

    def other(self, tree: str, state: str, privileged: Any = None) -> Any:
        """
        Another backend.
        """
        return XattrMetadataBackend(
            tree, state, self.clock, self.now, os.urandom, privileged=privileged
        )

    def test_absent(self) -> None:
        """
        The tree must exist.
        """
        text = self.refused(self.other(self.path("absent"), self.path("s2")))
        self.assertIn("absent", text)

    def test_noAttributes(self) -> None:
        """
        A file system that keeps no records of ours cannot hold a tree.
        """
        self.assertIn("/proc", self.refused(self.other("/proc", self.path("s2"))))

    def test_stateInTree(self) -> None:
        """
        Clients must not see the server's own files.
        """
        text = self.refused(self.other(self.path("tree"), self.path("tree", "s")))
        self.assertIn("inside the tree", text)

    def test_twice(self) -> None:
        """
        Two servers cannot share a state folder by accident.
        """
        text = self.refused(self.other(self.path("tree"), self.path("state")))
        self.assertIn("in use", text)

    def test_namespaceKept(self) -> None:
        """
        A tree whose records this process cannot see is not shown as empty files.
        """
        self.get(self.backend.stop())
        path = self.path("state", "recovery", "identity-namespace")
        with open(path, "w") as stored:
            stored.write(b"security.".hex())
        self.assertIn("namespace", self.refused(self.reopen()))

    def test_refusedHoldsNothing(self) -> None:
        """
        After a refused start the next one is not in its way.
        """
        os.mkdir(self.path("later"))
        self.refused(self.other("/proc", self.path("s2")))
        backend = self.other(self.path("later"), self.path("s2"))
        self.get(backend.start())
        self.get(backend.stop())
