"""
Tests of L{pnfs.mds.degrade}: files are written without a mirror that is lost.
"""

from __future__ import annotations

from typing import Any, Callable

from twisted.internet.defer import Deferred

from pnfs.backends.errors import IOFailed, Unreachable
from pnfs.mds.health import Health
from pnfs.values import Placement, SetAttributes
from tests.contracts.data import readBytes
from tests.mds.faulty import Faulty, MirroredCase, pattern


class DegradeCase(MirroredCase):
    """
    A mirrored file, and a site that goes on without mirrors.

    @ivar first: the data server of its first mirror; C{second}: of the next one;
        C{others}: of those after that.
    @ivar marked: (UUID, epoch) of mirrors that have become stale.
    """

    def setUp(self) -> None:
        """
        Both mirrors have the same bytes.
        """
        super().setUp()
        self.attach()
        self.bytes = pattern(100_000)
        self.put(0, self.bytes)
        (mirrors,) = self.placement().columns
        self.first, self.second, *self.others = [self.byUUID(u) for u in mirrors]

    def attach(self) -> None:
        """
        Look after the data servers.
        """
        self.marked: list[tuple[bytes, int]] = []
        self.health = Health(self.servers, self.clock, 5.0)
        self.servers.onUp = self.health.answers
        self.data.degrading.enabled = True
        self.data.degrading.listeners.append(
            lambda export, inode, placement, uuid: self.marked.append(
                (uuid, placement.epoch)
            )
        )

    def lose(self, ds: Faulty) -> None:
        """
        A data server is condemned.
        """
        ds.down = True
        self.health.kill(self.servers.byUUID(ds.uuid))
        self.health.enable(self.servers.byUUID(ds.uuid))

    def back(self, ds: Faulty) -> None:
        """
        It answers again.
        """
        ds.down = False
        self.probe()
        self.assertEqual(self.servers.condemned, frozenset())

    def held(self, ds: Faulty, count: int = 4) -> bytes:
        """
        The first bytes of the data file there.
        """
        return readBytes(self.now(ds.inner.read(self.placement().name, 0, count)))


class WritingTests(DegradeCase):
    """
    Whatever changes a file marks the lost mirror first.
    """

    def test_write(self) -> None:
        """
        A write succeeds without the lost mirror, which is stale then, also when it is
        back: what it has is not read until it has been repaired.
        """
        self.lose(self.second)
        self.assertEqual(self.put(0, b"new!").count, 4)
        self.assertEqual(self.placement().stale, (self.second.uuid,))
        self.assertEqual(self.marked, [(self.second.uuid, 2)])
        self.back(self.second)
        self.lose(self.first)
        self.fails(self.data.read(self.export, self.inode, 0, 4), Unreachable)
        self.assertEqual(self.held(self.second), self.bytes[:4])
        self.back(self.first)
        self.assertEqual(self.get(0, 4)[0], b"new!")

    def test_durableFirst(self) -> None:
        """
        Before anything is written without the mirror it is stored that it is stale:
        a crash in between must not leave two mirrors that both claim to be right.
        """
        self.lose(self.second)
        calls = self.first.calls
        before = len(calls)
        stored: Deferred[None] = Deferred()
        store = self.tree.storePlacement

        async def slowly(inode: Any, placement: Placement) -> None:
            await stored
            await store(inode, placement)

        self.patch(self.tree, "storePlacement", slowly)
        writing = self.begin(self.write(0, b"new!"))
        self.assertNoResult(writing)
        self.assertEqual(calls[before:], [])
        stored.callback(None)
        self.assertEqual(self.successResultOf(writing).count, 4)

    def test_everyChange(self) -> None:
        """
        So do a layout for writing, truncation, a hole, reserved space, COMMIT, and
        owner, mode and times; a layout for reading, reading, looking for holes and
        asking for the size do not.
        """
        self.lose(self.second)
        data, export = self.data, self.export
        inode = self.inode
        for harmless in (
            data.ensure(export, inode),
            data.read(export, inode, 0, 10),
            data.seek(export, inode, 0, True),
            data.refresh(export, inode),
        ):
            self.now(harmless)
            self.assertEqual(self.placement().stale, ())
        changes: tuple[Callable[[], Any], ...] = (
            lambda: data.ensure(export, inode, True),
            lambda: data.truncate(export, inode, 5000),
            lambda: data.deallocate(export, inode, 0, 4096),
            lambda: data.allocate(export, inode, 0, 4096),
            lambda: data.commit(export, inode, 0, 0),
            lambda: data.applyOwner(export, inode),
            lambda: data.applyTimes(export, inode),
        )
        healthy = self.placement()
        for change in changes:
            self.now(self.tree.storePlacement(inode, healthy))
            self.now(change())
            self.assertEqual(self.placement().stale, (self.second.uuid,))

    def test_fenced(self) -> None:
        """
        With the mark comes a new epoch: handles of before write nowhere any more, not
        even at the lost data server once it is back.
        """
        self.lose(self.second)
        self.now(self.data.truncate(self.export, self.inode, 10))
        name = self.placement().name
        found = self.first.inner.peek(name)
        assert found is not None
        self.assertEqual(found.epoch, 2)
        self.back(self.second)
        found = self.second.inner.peek(name)
        assert found is not None
        self.assertEqual(found.epoch, 2)

    def test_fencedAfterRestart(self) -> None:
        """
        Also if the metadata server has been restarted before that.
        """
        self.lose(self.second)
        self.put(0, b"new!")
        self.now(self.servers.stop())
        self.boot()
        self.attach()
        self.back(self.second)
        found = self.second.inner.peek(self.placement().name)
        assert found is not None
        self.assertEqual(found.epoch, 2)
        self.assertEqual(self.placement().stale, (self.second.uuid,))
        self.assertEqual(self.get(0, 4)[0], b"new!")

    def test_once(self) -> None:
        """
        Writers that come together mark it once.
        """
        self.lose(self.second)
        self.put(0, b"1")
        self.put(1, b"2")
        self.assertEqual(len(self.marked), 1)
        self.assertEqual(self.placement().epoch, 2)


class LostOneByOneTests(DegradeCase):
    """
    Of three mirrors two are lost.
    """

    mirrors = 3

    def test_whileMarking(self) -> None:
        """
        Who is to write while the second one is marked, and loses the third one
        meanwhile, is given the first one only when both are stale.
        """
        (third,) = self.others
        self.lose(self.second)
        fenced = self.first.hold("fence")
        ensured = self.begin(self.data.ensure(self.export, self.inode, True))
        self.assertNoResult(ensured)
        self.lose(third)
        fenced.callback(None)
        placement = self.successResultOf(ensured)
        stale = {self.second.uuid, third.uuid}
        self.assertEqual(set(placement.stale), stale)
        self.assertEqual(set(self.placement().stale), stale)

    def test_afterwards(self) -> None:
        """
        What was to be written to when nothing was lost is not written to without the
        one that is lost now, and counts; who reads is sent to the others.
        """
        placement = self.now(self.data.ensure(self.export, self.inode, True))
        self.lose(self.second)
        with self.assertRaises(Unreachable):
            self.data.usable(placement, True)
        self.assertNotIn(self.second.uuid, self.data.usable(placement).live.dataServers)
        placement = self.now(self.data.ensure(self.export, self.inode, True))
        self.assertNotIn(
            self.second.uuid, self.data.usable(placement, True).live.dataServers
        )


class LastCopyTests(DegradeCase):
    """
    One mirror that has everything is always left.
    """

    def test_bothLost(self) -> None:
        """
        With both lost nothing is marked; writers wait until one is back, and go on
        with that.
        """
        self.lose(self.first)
        self.lose(self.second)
        self.fails(self.write(0, b"x"), Unreachable)
        self.assertEqual(self.placement().stale, ())
        self.back_(self.second)
        self.put(0, b"new!")
        self.assertEqual(self.placement().stale, (self.first.uuid,))
        self.assertEqual(self.held(self.second), b"new!")

    def back_(self, ds: Faulty) -> None:
        """
        One of them answers.
        """
        ds.down = False
        self.probe()

    def test_staleIsNoCopy(self) -> None:
        """
        A mirror that is stale does not count: what is left may not be given up.
        """
        self.lose(self.second)
        self.put(0, b"new!")
        self.back(self.second)
        self.lose(self.first)
        self.fails(self.write(0, b"x"), Unreachable)
        self.assertEqual(self.placement().stale, (self.second.uuid,))

    def test_silent(self) -> None:
        """
        Nor does one that does not answer just now: maybe it is lost as well.
        """
        self.first.down = True
        self.probe()
        self.lose(self.second)
        self.fails(self.write(0, b"x"), Unreachable)
        self.assertEqual(self.placement().stale, ())

    def test_notWanted(self) -> None:
        """
        Where it is not configured writers wait for all mirrors.
        """
        self.data.degrading.enabled = False
        self.lose(self.second)
        self.fails(self.write(0, b"x"), Unreachable)
        self.assertEqual(self.placement().stale, ())

    def test_elsewhere(self) -> None:
        """
        A data server that a file has no mirror on cannot have a stale one of it.
        """
        (third,) = {ds.uuid for ds in self.ds}.difference(self.placement().dataServers)
        before = self.placement()
        found = self.now(self.data.degrading.markStale(self.export, self.inode, third))
        self.assertEqual((found, self.placement()), (before, before))
        self.assertEqual(self.marked, [])

    def test_unplaced(self) -> None:
        """
        A file without data files has nothing to lose.
        """
        other = self.make(b"g")
        degrading = self.data.degrading
        self.assertIsNone(
            self.now(degrading.markStale(self.export, other, self.first.uuid))
        )
        self.lose(self.second)
        self.now(self.data.truncate(self.export, other, 10))
        self.assertEqual(self.marked, [])


class DiskTests(DegradeCase):
    """
    A data server answers, but its disk does not work.
    """

    def test_write(self) -> None:
        """
        A mirror that cannot be written is given up for this file; the client comes
        again and succeeds. The data server goes on with others.
        """
        self.second.failing["write"] = IOFailed("disk")
        self.fails(self.write(0, b"new!"), Unreachable)
        self.assertEqual(self.placement().stale, (self.second.uuid,))
        self.put(0, b"new!")
        self.assertEqual(self.servers.condemned, frozenset())

    def test_both(self) -> None:
        """
        If none can be written that is what the client is told, and one is kept.
        """
        self.first.failing["write"] = self.second.failing["write"] = IOFailed("disk")
        self.fails(self.write(0, b"new!"), Unreachable)
        self.fails(self.write(0, b"new!"), IOFailed)
        self.assertEqual(len(self.placement().stale), 1)

    def test_notWanted(self) -> None:
        """
        Where it is not configured the client is told.
        """
        self.data.degrading.enabled = False
        self.second.failing["write"] = IOFailed("disk")
        self.fails(self.write(0, b"new!"), IOFailed)
        self.assertEqual(self.placement().stale, ())
