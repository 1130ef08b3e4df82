"""
Tests of L{pnfs.mds.datafiles} for files with a stale mirror, and one that is moving.
"""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.defer import Deferred

from pnfs.values import Placement, SetAttributes
from tests.mds.faulty import Faulty, MirroredCase, pattern


class StaleTests(MirroredCase):
    """
    A file whose second mirror has missed something.
    """

    def setUp(self) -> None:
        """
        Both mirrors have the same bytes; then one of them is stale.
        """
        super().setUp()
        self.data_ = pattern(100_000)
        self.put(0, self.data_)
        placement = self.placement()
        self.good = self.byUUID(placement.columns[0][0])
        self.stale = self.byUUID(placement.columns[0][1])
        self.store(attrs.evolve(placement, stale=(self.stale.uuid,)))
        self.before = len(self.stale.calls)

    def store(self, placement: Placement) -> None:
        """
        This is where the file is.
        """
        self.now(self.tree.storePlacement(self.inode, placement))

    def told(self) -> list[str]:
        """
        What the stale mirror has been asked since.
        """
        return self.stale.calls[self.before :]

    def peek(self, ds: Faulty) -> Any:
        """
        The data file there.
        """
        return ds.inner.peek(self.placement().name)

    def test_untouched(self) -> None:
        """
        Reading, writing, truncating, punching, looking for holes, COMMIT and GETATTR
        do without the stale mirror, and what it has is not believed.
        """
        self.now(self.stale.inner.setattr(self.placement().name, SetAttributes(size=7)))
        self.put(10, b"new")
        self.refresh()
        self.assertEqual(self.inode.size, 100_000)
        self.assertEqual(
            self.get(0, 20)[0], self.data_[:10] + b"new" + self.data_[13:20]
        )
        self.now(self.data.commit(self.export, self.inode, 0, 0))
        self.now(self.data.truncate(self.export, self.inode, 80_000))
        self.now(self.data.deallocate(self.export, self.inode, 0, 65536))
        self.now(self.data.allocate(self.export, self.inode, 0, 4096))
        self.assertEqual(self.now(self.data.seek(self.export, self.inode, 0, True)), 0)
        self.now(self.data.readSegments(self.export, self.inode, 0, 1000))
        self.now(self.data.advise(self.export, self.inode, 0, 1000, 1))
        self.now(self.tree.setattr(self.inode, SetAttributes(mode=0o600)))
        self.now(self.data.applyOwner(self.export, self.inode))
        self.assertEqual(self.told(), [])
        self.assertEqual(self.peek(self.good).size, 80_000)
        self.assertEqual(self.peek(self.stale).size, 7)

    def test_away(self) -> None:
        """
        While its data server is down nobody waits for a stale mirror: writing, size
        and truncation go on.
        """
        self.stale.down = True
        self.probe()
        self.assertEqual(self.put(0, b"abc").count, 3)
        self.refresh()
        self.now(self.data.truncate(self.export, self.inode, 50))
        self.now(self.data.commit(self.export, self.inode, 0, 0))
        self.assertEqual(self.get(0, 3)[0], b"abc")

    def test_alone(self) -> None:
        """
        What is stale is not read even if nothing else is left.
        """
        self.good.down = True
        self.probe()
        self.fails(self.data.read(self.export, self.inode, 0, 10), Exception)
        self.assertEqual([c for c in self.told() if c == "read"], [])

    def test_fenced(self) -> None:
        """
        A fence reaches the stale mirror too: nobody may write there with an old
        layout while it is repaired.
        """
        self.now(self.data.fence(self.export, self.inode))
        placement = self.placement()
        self.assertEqual(placement.stale, (self.stale.uuid,))
        self.assertEqual(self.peek(self.stale).epoch, placement.epoch)
        self.assertEqual(self.peek(self.good).epoch, placement.epoch)

    def test_removed(self) -> None:
        """
        With the file its data files go everywhere: those of stale mirrors, and those
        where it was being moved to.
        """
        placement = self.placement()
        (third,) = [ds for ds in self.ds if ds not in (self.good, self.stale)]
        self.now(third.inner.create(placement.name, 0, 0, 0o600, 1))
        placement = attrs.evolve(
            placement,
            next=attrs.evolve(placement, columns=((third.uuid,),), stale=()),
        )
        self.store(placement)
        self.now(self.tree.enqueueRemoval(placement, False))
        self.data.forget(self.export, placement)
        self.assertEqual(self.objects(), [0, 0, 0])
        self.assertEqual(self.now(self.tree.pendingRemovals()), [])

    def test_turn(self) -> None:
        """
        A writer who has waited for a repair to end writes to the repaired mirror,
        although it was stale when he came.
        """
        key = (self.export.id, self.inode.handle)
        self.now(self.data._turns.take(key))
        writing = self.begin(self.write(0, b"both"))
        self.assertNoResult(writing)
        self.store(attrs.evolve(self.placement(), stale=()))
        self.data._turns.give(key)
        self.assertEqual(self.successResultOf(writing).count, 4)
        for ds in (self.good, self.stale):
            found = self.now(ds.inner.read(self.placement().name, 0, 4))
            self.assertEqual(b"".join(map(bytes, found.pieces)), b"both")

    def test_together(self) -> None:
        """
        A fence while a mirror becomes stale: neither change of the placement is lost.
        """
        self.store(attrs.evolve(self.placement(), stale=()))
        before = self.placement().epoch
        held = self.slow()
        first = self.begin(self.data.fence(self.export, self.inode))
        second = self.begin(
            self.data._placing.change(
                self.export,
                self.inode,
                lambda old: attrs.evolve(old, stale=(self.stale.uuid,)),
            )
        )
        self.assertNoResult(second)
        held.callback(None)
        self.successResultOf(first)
        self.successResultOf(second)
        placement = self.placement()
        self.assertEqual(
            (placement.epoch, placement.stale), (before + 1, (self.stale.uuid,))
        )

    def slow(self) -> Any:
        """
        Have the next placement wait before it is stored. @return: to be fired.
        """
        held: Deferred[None] = Deferred()
        store = self.tree.storePlacement

        async def slowly(inode: Any, placement: Placement) -> None:
            del self.tree.storePlacement  # type: ignore[method-assign]
            await held
            await store(inode, placement)

        self.tree.storePlacement = slowly  # type: ignore[method-assign]
        return held

    def test_nothing(self) -> None:
        """
        A file without data files has no placement that could change.
        """
        other = self.make(b"g")

        def change(old: Placement) -> Placement:
            raise AssertionError("there is none")

        self.assertIsNone(
            self.now(self.data._placing.change(self.export, other, change))
        )
