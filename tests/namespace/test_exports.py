"""
Tests of L{pnfs.namespace.exports} and L{pnfs.namespace.pseudofs}.
"""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pnfs.backends.errors import (
    BadConfiguration,
    NoSuchName,
    NoSuchObject,
    ReadOnly,
    Unreachable,
)
from pnfs.interfaces import IMetadataBackend
from pnfs.namespace.exports import Export, ExportTable, exportId
from pnfs.namespace.pseudofs import PseudoBackend
from pnfs.values import (
    ANONYMOUS,
    NOBODY,
    ROOT,
    Credential,
    FileType,
    Inode,
    NewObject,
    Placement,
    SetAttributes,
)


def directory(handle: bytes) -> Inode:
    """
    A directory for fake backends.
    """
    return Inode(handle, 2, FileType.DIR, 0o755, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1)


@attrs.define(eq=False)
class FakeBackend:
    """
    A backend of which only the root is asked.
    """

    root: Any


class ExportTests(SynchronousTestCase):
    """
    One export.
    """

    def test_id(self) -> None:
        """
        Ids depend on the path alone: the same in every start, whatever else is exported
        (bind the export id to the export's name: chimera #1110).
        """
        self.assertEqual(exportId("/srv/a"), exportId("/srv/a"))
        self.assertNotEqual(exportId("/srv/a"), exportId("/srv/b"))
        self.assertEqual(Export("/srv/a", None).id, exportId("/srv/a"))
        self.assertEqual(Export("/srv/a", None).id, 0x991262F1)

    def test_squash(self) -> None:
        """
        The superuser and the superuser's group are nobody; others are themselves
        (default root_squash: chimera #1480).
        """
        export = Export("/a", None)
        squashed = export.effective(ROOT)
        self.assertEqual(
            (squashed.uid, squashed.gid, squashed.groups),
            (NOBODY, NOBODY, frozenset({NOBODY})),
        )
        self.assertIdentical(export.effective(ROOT), squashed)
        self.assertIdentical(export.effective(ANONYMOUS), ANONYMOUS)
        some = Credential(5, 6, frozenset({0, 6}))
        self.assertEqual(export.effective(some).groups, {NOBODY, 6})
        self.assertIdentical(Export("/a", None, rootSquash=False).effective(ROOT), ROOT)

    def test_notReady(self) -> None:
        """
        Before its backend has started, an export asks for patience.
        """
        self.assertRaises(Unreachable, Export("/a", object()).root)


class ExportTableTests(SynchronousTestCase):
    """
    All exports of a server.
    """

    def wait(self, coroutine: Any) -> Any:
        """
        The result of a coroutine that does not wait.
        """
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def test_tree(self) -> None:
        """
        Exports hang in a tree of directories made of their paths.
        """
        one = Export("/srv/one", FakeBackend(directory(b"1")))
        two = Export("/srv/deep/two", FakeBackend(directory(b"2")))
        table = ExportTable([one, two], 99)
        top = table.root
        srv = self.wait(top.backend.lookup(top.root(), b"srv"))
        self.assertEqual(srv.nlink, 4)
        self.assertEqual(top.enter(srv), (top, srv))
        covered = self.wait(top.backend.lookup(srv, b"one"))
        self.assertEqual(top.enter(covered), (one, one.root()))
        self.assertEqual(self.wait(one.above(one.root())), (top, srv))
        self.assertEqual(one.mountedOn(one.root()), covered.fileid)
        self.assertIdentical(self.wait(top.above(top.root())), None)
        self.assertEqual(self.wait(top.above(srv)), (top, top.root()))
        self.assertEqual(table.byPath, {"/srv/one": one, "/srv/deep/two": two})

    def test_slash(self) -> None:
        """
        One export may be the whole name space.
        """
        export = Export("/", FakeBackend(directory(b"1")))
        table = ExportTable([export])
        self.assertIdentical(table.root, export)
        self.assertIdentical(self.wait(export.above(export.root())), None)
        self.assertEqual(export.mountedOn(export.root()), 2)

    def test_refused(self) -> None:
        """
        What cannot work is refused at start, in words.
        """
        for paths in (
            ["/a", "/a/b"],
            ["/", "/a"],
            ["/a", "/a"],
            ["a"],
            [""],
            ["/a/"],
            ["/a//b"],
            ["/a/../b"],
            ["/" + "n" * 256],
        ):
            error = self.assertRaises(
                BadConfiguration, ExportTable, [Export(p, None) for p in paths]
            )
            self.assertIn("export", str(error))
        ExportTable([Export("/a", None), Export("/ab", None), Export("/a-b", None)])

    def test_none(self) -> None:
        """
        A server without exports has an empty root.
        """
        table = ExportTable([])
        entries, last = self.wait(table.root.backend.readdir(table.root.root(), 0, 9))
        self.assertEqual((entries, last), ([], True))

    def test_remember(self) -> None:
        """
        The table of filehandles is bounded.
        """
        table = ExportTable([])
        for number in range(70000):
            table.remember(b"%d" % number, table.root, b"h")
        self.assertLess(len(table.handles), 65537)


class PseudoBackendTests(SynchronousTestCase):
    """
    The file system above the exports.
    """

    def setUp(self) -> None:
        self.backend = PseudoBackend(1234)
        for path in ((b"a", b"b"), (b"a", b"c"), (b"d",)):
            self.backend.add(path)

    def wait(self, coroutine: Any) -> Any:
        """
        The result of a coroutine that does not wait.
        """
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def fails(self, kind: Any, coroutine: Any) -> None:
        """
        It raises this.
        """
        self.failureResultOf(Deferred.fromCoroutine(coroutine), kind)

    def test_interface(self) -> None:
        """
        It is a metadata backend like others.
        """
        self.assertTrue(verifyObject(IMetadataBackend, self.backend))

    def test_walk(self) -> None:
        """
        Names, handles and parents agree, and are the same after a restart.
        """
        root = self.backend.root
        a = self.wait(self.backend.lookup(root, b"a"))
        b = self.wait(self.backend.lookup(a, b"b"))
        self.assertIdentical(self.backend.cachedChild(root, b"a"), a)
        self.assertIdentical(self.wait(self.backend.parent(b)), a)
        self.assertIdentical(self.wait(self.backend.parent(root)), root)
        self.assertIdentical(self.wait(self.backend.byHandle(b.handle)), b)
        again = PseudoBackend(5678)
        self.assertEqual(again.add((b"a", b"b")).handle, b.handle)
        self.assertNotEqual(again.root.change, root.change)
        self.fails(NoSuchName, self.backend.lookup(root, b"x"))
        self.fails(NoSuchObject, self.backend.byHandle(b"x"))

    def test_readdir(self) -> None:
        """
        In pieces, each entry once.
        """
        a = self.wait(self.backend.lookup(self.backend.root, b"a"))
        first, last = self.wait(self.backend.readdir(a, 0, 1))
        self.assertEqual((first[0].name, last), (b"b", False))
        second, last = self.wait(self.backend.readdir(a, first[0].cookie, 5))
        self.assertEqual(([e.name for e in second], last), ([b"c"], True))
        self.assertEqual(
            self.wait(self.backend.readdir(a, second[0].cookie, 5)), ([], True)
        )

    def test_readOnly(self) -> None:
        """
        Nobody changes anything.
        """
        backend, root = self.backend, self.backend.root
        placement = Placement("files", 0, ((b"u" * 16,),), b"aa")
        new = NewObject(FileType.DIR, 0o755, 0, 0)
        for attempt in (
            backend.create(root, b"x", new),
            backend.link(root, root, b"x"),
            backend.remove(root, b"a", False),
            backend.rename(root, b"a", root, b"x", False),
            backend.setattr(root, SetAttributes(mode=0)),
            backend.storePlacement(root, placement),
            backend.storeDataAttributes(root, 0, 0, None, None),
            backend.enqueueRemoval(placement, False),
            backend.readlink(root),
        ):
            self.fails(ReadOnly, attempt)
