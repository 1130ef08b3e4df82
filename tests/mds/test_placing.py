"""
Tests of L{pnfs.mds.placing}: an empty file is placed anew. How new files are placed
is tested in L{tests.mds.test_datafiles}.
"""

from __future__ import annotations

from typing import Any

from pnfs.backends.errors import Unreachable
from pnfs.values import Placement
from tests.mds.faulty import UNIT, DataFilesCase, pattern


class MoveTests(DataFilesCase):
    """
    A file is to be placed like another one.
    """

    def setUp(self) -> None:
        """
        Both have data files, with columns in another order.
        """
        super().setUp()
        self.source = self.make(b"source")
        self.like = self.now(self.data.ensure(self.export, self.source))
        self.old: Placement = self.now(self.data.ensure(self.export, self.inode))
        self.assertNotEqual(self.old.columns, self.like.columns)
        self.free = True

    def misplaced(self) -> bool:
        """
        Would it be better elsewhere?
        """
        return bool(
            self.now(
                self.data.misplaced(self.export, self.inode, self.export, self.source)
            )
        )

    def move(self) -> Any:
        """
        @return: a coroutine.
        """
        return self.data.move(
            self.export, self.inode, self.export, self.source, lambda: self.free
        )

    def test_move(self) -> None:
        """
        It lies like the other one then, durably, and what was granted for the old
        places is worthless at all data servers.
        """
        self.assertTrue(self.misplaced())
        self.now(self.move())
        placement = self.placement()
        self.assertEqual(placement.columns, self.like.columns)
        self.assertEqual(placement.epoch, self.old.epoch + 1)
        for ds in self.ds:
            found = ds.inner.peek(placement.name)
            assert found is not None
            self.assertEqual(found.epoch, placement.epoch)
        self.assertFalse(self.misplaced())
        self.put(0, pattern(4 * UNIT))
        self.assertEqual(self.get(0, 4 * UNIT)[0], pattern(4 * UNIT))

    def test_writeWaits(self) -> None:
        """
        A write that comes while it is moved goes to its new places.
        """
        held = self.ds[0].hold("getattr")
        moving = self.begin(self.move())
        writing = self.begin(self.write(0, pattern(3 * UNIT)))
        self.assertNoResult(writing)
        held.callback(None)
        self.successResultOf(moving)
        self.assertEqual(self.successResultOf(writing).count, 3 * UNIT)
        self.assertEqual(self.placement().columns, self.like.columns)
        self.assertEqual(self.get(0, 3 * UNIT)[0], pattern(3 * UNIT))

    def test_layoutWaits(self) -> None:
        """
        Likewise a client that wants its layout.
        """
        held = self.ds[0].hold("getattr")
        moving = self.begin(self.move())
        ensuring = self.begin(self.data.ensure(self.export, self.inode))
        self.assertNoResult(ensuring)
        held.callback(None)
        self.successResultOf(moving)
        self.assertEqual(self.successResultOf(ensuring), self.placement())

    def stays(self) -> None:
        """
        It lies where it lay.
        """
        self.assertEqual(self.placement(), self.old)

    def test_written(self) -> None:
        """
        A file with bytes in it stays, also if only a data server knows of them.
        """
        column = self.column(1)
        self.now(column.inner.write(self.old.name, UNIT, memoryview(b"x"), 0))
        self.now(self.move())
        self.stays()
        self.put(0, b"x")
        self.assertFalse(self.misplaced())

    def test_layoutHeld(self) -> None:
        """
        One of which somebody has got a layout meanwhile stays.
        """
        self.free = False
        self.now(self.move())
        self.stays()

    def test_down(self) -> None:
        """
        With a data server down it stays, and is not wanted elsewhere as soon as that
        is known.
        """
        self.ds[2].down = True
        self.fails(self.move(), Unreachable)
        self.stays()
        self.assertFalse(self.misplaced())
        self.now(self.move())
        self.stays()
