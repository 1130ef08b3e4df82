"""
Tests of L{pnfs.mds.orphans}: data files that belong to no file.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from pnfs.backends.errors import BackendError, Unreachable
from pnfs.mds.orphans import Orphans
from pnfs.mds.scrubstate import Orphan
from pnfs.namespace.filehandles import objectName
from tests.mds.test_repairs import RepairsCase


class OrphansTests(RepairsCase):
    """
    L{Orphans} of a site with a file C{f}.
    """

    def setUp(self) -> None:
        """
        The index knows everything.
        """
        super().setUp()
        self.put(b"f", b"data")
        self.rest(3)
        self.orphans = Orphans(
            self.mds._servers, self.mds.index, lambda: self.mds.context.exports
        )
        self.uuid, self.other = self.placement(b"f").columns[0]

    def soon(self, coroutine: Any) -> Any:
        """
        What does not take long.
        """
        done = Deferred.fromCoroutine(coroutine)
        self.rest(1)
        return self.successResultOf(done)

    def leave(self, name: bytes, uuid: bytes) -> None:
        """
        There is a data file.
        """
        ds = self.backends[self.number(uuid)]
        self.now(ds.create(name, 0, 0, 0o600, 1))
        self.now(ds.write(name, 0, memoryview(b"left"), 2))

    def suspects(self, uuid: bytes) -> list[bytes]:
        """
        The first look.
        """
        return [each.name for each in self.soon(self.orphans.suspects(uuid))]

    def confirmed(self, name: bytes, remove: bool = False) -> bool:
        """
        The second look.
        """
        suspect = Orphan(self.uuid, name)
        found = self.soon(self.orphans.confirmed(suspect, remove))
        self.assertEqual(suspect.removed, remove and found)
        return found  # type: ignore[no-any-return]

    def nobody(self) -> bytes:
        """
        The name of data files of a file that there is not.
        """
        return objectName(self.export.id, b"nobody")

    def has(self, name: bytes, uuid: bytes) -> bool:
        """
        A data file is there.
        """
        return self.backends[self.number(uuid)].peek(name) is not None

    def test_none(self) -> None:
        """
        What belongs to files is no orphan.
        """
        for ds in self.backends:
            self.assertEqual(self.suspects(ds.uuid), [])

    def test_orphan(self) -> None:
        """
        What belongs to nothing is seen, and removed if that is wanted.
        """
        name = self.nobody()
        self.leave(name, self.uuid)
        self.assertEqual(self.suspects(self.uuid), [name])
        self.assertEqual(self.suspects(self.other), [])
        self.assertTrue(self.confirmed(name))
        self.assertTrue(self.has(name, self.uuid))
        self.assertTrue(self.confirmed(name, True))
        self.assertFalse(self.has(name, self.uuid))
        self.assertFalse(self.confirmed(name, True))

    def test_elsewhere(self) -> None:
        """
        So is the data file of a file that is on other data servers only.
        """
        (third,) = {ds.uuid for ds in self.backends} - {self.uuid, self.other}
        name = self.placement(b"f").name
        self.leave(name, third)
        self.assertEqual(self.suspects(third), [name])
        suspect = Orphan(third, name)
        self.assertTrue(self.soon(self.orphans.confirmed(suspect, True)))
        self.assertEqual(
            [self.has(name, uuid) for uuid in (self.uuid, self.other, third)],
            [True, True, False],
        )

    def test_placedMeanwhile(self) -> None:
        """
        What has come to belong to a file between the looks stays.
        """
        name = self.placement(b"f").name
        self.assertFalse(self.confirmed(name, True))
        self.assertTrue(self.has(name, self.uuid))

    def test_notPlacedYet(self) -> None:
        """
        So does what a file may be about to get, however long that takes.
        """
        self.mounted.create(b"g")
        name = objectName(self.export.id, self.inode(b"g").handle)
        self.leave(name, self.uuid)
        self.assertEqual(self.suspects(self.uuid), [name])
        self.assertFalse(self.confirmed(name, True))
        self.assertTrue(self.has(name, self.uuid))

    def test_foreign(self) -> None:
        """
        What belongs to an export that is not served here is left alone.
        """
        for name in (objectName(self.export.id + 1, b"x"), b"abc"):
            self.leave(name, self.uuid)
        self.assertEqual(self.suspects(self.uuid), [])
        self.assertEqual(self.orphans.foreign, 2)

    def test_indexNotWhole(self) -> None:
        """
        As long as the index may lack files nothing counts as an orphan.
        """
        self.mds.index.whole.clear()
        name = self.nobody()
        self.leave(name, self.uuid)
        for coroutine in (
            self.orphans.suspects(self.uuid),
            self.orphans.confirmed(Orphan(self.uuid, name), True),
        ):
            self.fails(coroutine, BackendError)
        self.assertTrue(self.has(name, self.uuid))

    def test_silent(self) -> None:
        """
        A data server that does not answer is said not to.
        """
        self.killDataServer(self.number(self.uuid))
        self.rest(12)
        self.fails(self.orphans.suspects(self.uuid), Unreachable)
