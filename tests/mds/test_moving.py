"""
Tests of L{pnfs.mds.moving}: one file goes to other data servers, or to other stripes.
"""

from __future__ import annotations

from typing import Any, Callable, Iterator, Sequence

import attrs
from twisted.internet.defer import Deferred

import pnfs.mds.transfer
from pnfs.backends.errors import IOFailed, NoSpace, Unreachable
from pnfs.layouts.striping import pieces
from pnfs.mds.moving import Interfered
from pnfs.values import Placement, SetAttributes
from tests.contracts.data import readBytes
from tests.mds.faulty import UNIT, DataFilesCase, Faulty, pattern

SIZE = 9 * UNIT + 777


class MovingCase(DataFilesCase):
    """
    A file in two stripes on the first two of five data servers.

    @ivar expected: what is in it.
    @ivar told: bytes copied.
    """

    count = 5
    stripeCount = 2

    def setUp(self) -> None:
        """
        Everything is large enough to be copied ahead.
        """
        super().setUp()
        self.patch(pnfs.mds.transfer, "SMALL", 1024)
        self.patch(pnfs.mds.transfer, "STEP", 2 * UNIT)
        self.patch(pnfs.mds.comparing, "UNIT", 4096)
        self.patch(pnfs.mds.transfer, "LITTLE", UNIT)
        # The first data server comes first.
        self.data._placing._sequence = self.count - 1
        self.expected = bytearray(pattern(SIZE))
        self.put(0, bytes(self.expected))
        self.refresh()
        self.told = 0

    async def tell(self, count: int) -> None:
        """
        So many bytes have been copied.
        """
        self.told += count

    def shape(self, *columns: Sequence[Faulty], unit: int = UNIT) -> Placement:
        """
        The file on these data servers.
        """
        return attrs.evolve(
            self.placement(),
            columns=tuple(tuple(ds.uuid for ds in column) for column in columns),
            stripeUnit=unit if len(columns) > 1 else 0,
        )

    def stripes(self, *numbers: int, unit: int = UNIT) -> Placement:
        """
        The file in stripes on data servers of these numbers.
        """
        return self.shape(*([self.ds[n]] for n in numbers), unit=unit)

    def change(self, offset: int, data: bytes) -> None:
        """
        Write through the metadata server.
        """
        self.put(offset, data)
        self.expect(offset, data)

    def direct(self, offset: int, data: bytes) -> None:
        """
        Write as a client with a layout does.
        """
        placement = self.placement().live
        for column, at, part in pieces(placement, offset, len(data)):
            piece = memoryview(data)[at - offset : at - offset + part]
            for uuid in placement.columns[column]:
                self.now(self.byUUID(uuid).inner.write(placement.name, at, piece, 0))
        self.expect(offset, data)

    def expect(self, offset: int, data: bytes) -> None:
        """
        It is in the file now.
        """
        self.expected[len(self.expected) :] = bytes(
            max(0, offset + len(data) - len(self.expected))
        )
        self.expected[offset : offset + len(data)] = data

    async def going(
        self, target: Placement, idle: Callable[[], bool] = lambda: False
    ) -> None:
        """
        Move the file, as L{pnfs.mds.mover.Mover} does.
        """
        moving = self.data.moving
        placement = await self.tree.loadPlacement(self.inode)
        assert placement is not None
        made = await moving.begin(self.export, self.inode, placement, target)
        ready = await moving.ahead(self.export, self.inode, made, self.tell, idle=idle)
        await self.data.fence(self.export, self.inode)
        await moving.finish(self.export, self.inode, ready, self.tell)
        await moving.tidy(self.export, self.inode, lambda: True)

    def move(self, target: Placement) -> None:
        """
        As L{going}, at once.
        """
        self.now(self.going(target))
        self.assertAt(target)

    def tidy(self) -> None:
        """
        Nobody is at work.
        """
        self.now(self.data.moving.tidy(self.export, self.inode, lambda: True))

    def assertRight(self) -> None:
        """
        Every mirror of every piece is right, and every data file is as long as the
        file.
        """
        placement = self.placement()
        content = bytes(self.expected)
        self.assertEqual(self.get(0, 10 * SIZE)[0], content)
        for column, at, part in pieces(placement, 0, len(content)):
            for uuid in placement.columns[column]:
                found = self.now(self.byUUID(uuid).inner.read(placement.name, at, part))
                self.assertEqual(
                    readBytes(found).ljust(part, b"\0"), content[at : at + part]
                )

    def assertAt(self, target: Placement) -> None:
        """
        The file is there, only there, and right.
        """
        self.refresh()
        placement = self.placement()
        self.assertEqual(placement.columns, target.columns)
        self.assertEqual(placement.stripeUnit, target.stripeUnit)
        self.assertIsNone(placement.next)
        self.assertRight()
        self.assertNothingElse()

    def assertNothingElse(self) -> None:
        """
        There are no other data files, no other bytes in them, and nobody waits.
        """
        placement = self.placement()
        self.assertIsNone(placement.next)
        for ds in self.ds:
            found = ds.inner.peek(placement.name)
            self.assertEqual(found is not None, ds.uuid in placement.dataServers)
            if found is None:
                continue
            self.assertEqual(found.size, len(self.expected))
            for column, at, part in pieces(placement, 0, found.size):
                if ds.uuid not in placement.columns[column]:
                    read = self.now(ds.inner.read(placement.name, at, part))
                    self.assertEqual(readBytes(read), bytes(part))
        self.assertEqual(len(self.data._turns), 0)


class MovingTests(MovingCase):
    """
    L{pnfs.mds.moving.Moving}.
    """

    def test_server(self) -> None:
        """
        One of two stripes goes to another data server; the other stays untouched.
        """
        other = self.ds[1].inner.peek(self.placement().name)
        assert other is not None
        self.ds[1].calls.clear()
        self.move(self.stripes(2, 1))
        self.assertEqual(self.told, 5 * UNIT)
        self.assertNotIn("copy", self.ds[1].calls)

    def test_wider(self) -> None:
        """
        From two stripes to four: each new data server gets its share, and the old ones
        give back the space of what they had of it.
        """
        self.move(self.stripes(0, 1, 2, 3))
        self.assertEqual(self.told, 4 * UNIT)
        used = [ds.inner.peek(self.placement().name) for ds in self.ds[:2]]
        self.assertEqual([a.used // UNIT for a in used if a], [3, 3])

    def test_narrower(self) -> None:
        """
        From two stripes to one: what is lacking is put beside what is there.
        """
        self.move(self.shape([self.ds[1]]))
        self.assertEqual(self.told, 5 * UNIT)

    def test_shapes(self) -> None:
        """
        From any shape to any other one: other numbers of stripes, other units, other
        orders, with writers between.
        """
        for number, (servers, unit) in enumerate(
            [
                ((0, 1, 2), UNIT),
                ((2, 1, 0), UNIT),
                ((2, 1, 0), 2 * UNIT),
                ((4, 3, 2, 1, 0), UNIT),
                ((0,), 0),
                ((0, 3), 3 * UNIT),
                ((3, 0), 2 * UNIT),
                ((1, 2), 2 * UNIT),
            ]
        ):
            self.move(self.stripes(*servers, unit=unit))
            self.change(number * UNIT + 5, pattern(UNIT, number))

    def test_mirrors(self) -> None:
        """
        A file gets a mirror, and loses one again.
        """
        self.move(self.shape([self.ds[0]]))
        self.move(self.shape([self.ds[0], self.ds[2]]))
        self.move(self.shape([self.ds[0], self.ds[2], self.ds[3]]))
        self.move(self.shape([self.ds[3]]))

    def test_chunks(self) -> None:
        """
        A file in chunks moves chunk by chunk, onto data servers that have others of its
        chunks as well.
        """
        self.move(self.shape([self.ds[0]]))
        chunked = attrs.evolve(
            self.shape([self.ds[0]], [self.ds[1]], [self.ds[2]], unit=0), chunk=4 * UNIT
        )
        self.move(chunked)
        a, b, c = (column[0] for column in chunked.columns)
        self.move(attrs.evolve(chunked, columns=((b,), (b,), (a,))))

    def test_again(self) -> None:
        """
        Who is there already is not moved, and nothing is copied.
        """
        self.move(self.stripes(0, 1))
        self.assertEqual(self.told, 0)

    def test_empty(self) -> None:
        """
        An empty file moves as well.
        """
        self.now(self.data.truncate(self.export, self.inode, 0))
        self.expected.clear()
        self.move(self.stripes(2, 3, 4))

    def test_attributes(self) -> None:
        """
        The new data files have owner, mode and the fence of the old ones.
        """
        self.now(self.tree.setattr(self.inode, SetAttributes(mode=0o600, uid=5, gid=6)))
        self.now(self.data.applyOwner(self.export, self.inode))
        self.move(self.stripes(3, 4))
        placement = self.placement()
        for ds in self.ds[3:]:
            found = ds.inner.peek(placement.name)
            assert found is not None
            self.assertEqual(
                (found.uid, found.gid, found.mode, found.epoch),
                (5, 6, 0o600, placement.epoch),
            )

    def test_time(self) -> None:
        """
        To users the file has not been modified, whatever is copied or given back.
        """
        mtime = self.inode.mtime
        for servers in ((0, 1, 2), (2, 0), (3, 4)):
            self.clock.advance(100)
            self.move(self.stripes(*servers))
            self.assertEqual(self.inode.mtime, mtime)

    def test_newest(self) -> None:
        """
        The mirror that was written last takes its time along when it goes.
        """
        self.move(self.shape(self.ds[:2]))
        name = self.placement().name
        for ds in self.ds[:2]:
            self.clock.advance(100)
            self.now(ds.write(name, 0, memoryview(b"as it was"), 0))
        self.expected[:9] = b"as it was"
        newest = self.now(self.ds[1].getattr(name)).mtime
        self.clock.advance(100)
        self.move(self.shape([self.ds[0]]))
        self.refresh()
        self.assertEqual(self.inode.mtime, newest)

    def test_uncommitted(self) -> None:
        """
        What a client has written and not committed, and never will, is durable in every
        mirror when one more has a copy of it.
        """
        self.move(self.shape([self.ds[0], self.ds[1]]))
        name = self.placement().name
        mirrors = self.ds[:2]
        for ds in mirrors:
            self.now(ds.write(name, 0, memoryview(b"uncommitted"), 0))
            ds.calls.clear()
        self.expected[:11] = b"uncommitted"
        self.move(self.shape(self.ds[:3]))
        for ds in mirrors:
            self.assertTrue({"commit", "setattr"} & set(ds.calls), ds.calls)

    def test_asksLittle(self) -> None:
        """
        A data file that has just been made is not asked where it has data, nor committed
        before it is filled; and the source is asked once where it has data.
        """
        self.move(self.shape([self.ds[0]]))
        source, filled = self.ds[0], self.ds[4]
        source.calls.clear()
        filled.calls.clear()
        self.move(self.shape([filled]))
        before = filled.calls[: filled.calls.index("copy")]
        self.assertEqual(before, ["create", "getattr", "setattr"])
        self.assertEqual(
            [source.calls.count(call) for call in ("seek", "track")], [1, 1]
        )

    def test_asksLittleOfMirrors(self) -> None:
        """
        When one of two mirrors goes elsewhere, the other one is not told how old the
        file is, the new one not twice which handles are good; and if nobody has the
        file open, it is asked once what has changed meanwhile.
        """
        kept, left, filled = self.ds[0], self.ds[1], self.ds[4]
        for idle, asked in ((False, 2), (True, 1)):
            self.move(self.shape([kept, left]))
            for ds in (kept, left, filled):
                ds.calls.clear()
            target = self.shape([kept, filled])
            self.now(self.going(target, lambda: idle))
            self.assertAt(target)
            self.assertNotIn("setattr", kept.calls)
            # Once more when it is tidied up.
            fences = [ds.calls.count("fence") for ds in (kept, left, filled)]
            self.assertEqual(fences, [2, 2, 1])
            changes = kept.calls.count("changes") + left.calls.count("changes")
            self.assertEqual(changes, asked)

    def test_fenced(self) -> None:
        """
        A handle from before the move is worth nothing at the old data servers when the
        file is elsewhere; also one from after the clients had lost theirs, if a data
        file in use gets holes.
        """
        for servers, epochs in [((0, 2), 1), ((3, 2), 1), ((3,), 1), ((4, 3), 2)]:
            epoch = self.placement().epoch
            self.move(self.stripes(*servers))
            for number in servers:
                found = self.ds[number].inner.peek(self.placement().name)
                assert found is not None
                self.assertEqual(found.epoch, epoch + epochs, servers)

    def test_lostData(self) -> None:
        """
        What is found where the file goes, from whatever time, does not get into it.
        """
        name = self.placement().name
        for ds in self.ds[2:]:
            self.now(ds.inner.create(name, 0, 0, 0o600, 1))
            junk = memoryview(pattern(2 * SIZE, 99))
            self.now(ds.inner.write(name, 0, junk, 0))
        self.now(self.data.truncate(self.export, self.inode, 5 * UNIT))
        self.now(self.data.truncate(self.export, self.inode, SIZE))
        self.expected[5 * UNIT :] = bytes(SIZE - 5 * UNIT)
        self.now(self.going(self.stripes(2, 0, 3)))
        self.refresh()
        self.assertRight()
        self.assertEqual(self.placement(), attrs.evolve(self.placement(), next=None))

    # -- with clients at work ------------------------------------------------------

    def steps(self, target: Placement) -> Iterator[None]:
        """
        Move the file, stopping where clients may do something.
        """
        moving = self.data.moving
        made = self.now(moving.begin(self.export, self.inode, self.placement(), target))
        yield
        ready = self.now(moving.ahead(self.export, self.inode, made, self.tell))
        yield
        self.now(self.data.fence(self.export, self.inode))
        yield
        self.now(moving.finish(self.export, self.inode, ready, self.tell))
        yield
        self.now(moving.tidy(self.export, self.inode, lambda: True))
        self.assertAt(target)

    def test_written(self) -> None:
        """
        Whatever is written, cut off, appended or punched between two steps is in the
        file in the end, whether the metadata server knows of it or not.
        """
        for number, servers in enumerate([(0, 1, 2), (2, 0), (3, 4, 1), (4,)]):
            for step, _ in enumerate(self.steps(self.stripes(*servers))):
                self.clock.advance(1)
                self.change(1000 * step + number, pattern(3 * UNIT, step))
                end = len(self.expected) - UNIT - 100
                self.now(self.data.truncate(self.export, self.inode, end))
                del self.expected[end:]
                if step < 2:
                    self.direct(end + 10 * step, pattern(2 * UNIT, number))
                    self.refresh()
                self.now(self.data.deallocate(self.export, self.inode, 99, UNIT))
                self.expect(99, bytes(UNIT))
                self.assertRight()

    def test_cutOffWhileCopied(self) -> None:
        """
        A file that is cut off while a piece of it is being copied onto a data server in
        use does not become longer again.
        """
        target = self.stripes(0, 2, 1)
        moving = self.data.moving
        made = self.now(moving.begin(self.export, self.inode, self.placement(), target))
        held = self.ds[1].hold("copy")
        ahead = self.begin(moving.ahead(self.export, self.inode, made, self.tell))
        cut = self.begin(self.data.truncate(self.export, self.inode, 10))
        self.assertNoResult(cut)
        held.callback(None)
        self.successResultOf(ahead)
        self.successResultOf(cut)
        del self.expected[10:]
        self.refresh()
        self.assertEqual(self.inode.size, 10)
        self.tidy()
        self.assertRight()

    def test_copiedInVain(self) -> None:
        """
        If the data file that has been copied to is made anew, all is copied again.
        """
        target = self.stripes(4)
        moving = self.data.moving
        made = self.now(moving.begin(self.export, self.inode, self.placement(), target))
        ready = self.now(moving.ahead(self.export, self.inode, made, self.tell))
        self.assertIn(self.ds[4].uuid, ready)
        self.now(self.ds[4].inner.remove(self.placement().name))
        self.now(self.data.fence(self.export, self.inode))
        self.now(moving.finish(self.export, self.inode, ready, self.tell))
        self.assertRight()
        self.tidy()
        self.assertAt(target)

    def test_writersWait(self) -> None:
        """
        Who writes through the metadata server while the rest is copied writes to where
        the file is then.
        """
        held = self.ds[3].hold("commit")
        moving = self.begin(self.going(self.stripes(3, 4)))
        self.assertNoResult(moving)
        held.callback(None)
        self.successResultOf(moving)
        self.change(5, b"after")
        self.assertAt(self.stripes(3, 4))

    def test_readAcross(self) -> None:
        """
        Who reads while the file goes elsewhere is not told what is left at the old
        place: nothing, or zeros.
        """
        for target in (self.stripes(0, 1, 2, 3), self.stripes(4, 3)):
            first = self.byUUID(self.placement().columns[0][0])
            for read in (
                lambda: self.data.read(self.export, self.inode, 0, SIZE),
                lambda: self.data.readSegments(self.export, self.inode, 0, SIZE),
                lambda: self.data.seek(self.export, self.inode, 0, True),
            ):
                held: Deferred[None] = Deferred()
                first.held.update(read=held, readSegments=held, seek=held)
                reading = self.begin(read())
                self.assertNoResult(reading)
                back = self.stripes(
                    *(
                        self.ds.index(self.byUUID(c[0]))
                        for c in self.placement().columns
                    )
                )
                first.held.clear()
                self.move(target)
                held.callback(None)
                self.failureResultOf(reading, Unreachable)
                self.move(back)
            self.move(target)

    # -- what goes wrong -----------------------------------------------------------

    def test_elsewhere(self) -> None:
        """
        Two who move a file at the same time are not both right.
        """
        moving = self.data.moving
        seen = self.placement()
        self.now(moving.begin(self.export, self.inode, seen, self.stripes(2, 1)))
        self.fails(
            moving.begin(self.export, self.inode, seen, self.stripes(3, 1)), Interfered
        )
        self.now(moving.begin(self.export, self.inode, seen, self.stripes(2, 1)))
        self.tidy()
        self.assertAt(self.stripes(0, 1))

    def test_stale(self) -> None:
        """
        A mirror that becomes stale during a move may be the one that was copied from:
        the file stays where it is, and a second attempt works.
        """
        self.move(self.shape([self.ds[0], self.ds[1]]))
        moving = self.data.moving
        target = self.shape([self.ds[2], self.ds[1]])
        made = self.now(moving.begin(self.export, self.inode, self.placement(), target))
        ready = self.now(moving.ahead(self.export, self.inode, made, self.tell))
        held = self.ds[2].hold("after checksums")
        self.direct(0, b"new")
        finish = self.begin(moving.finish(self.export, self.inode, ready, self.tell))

        def lose(old: Placement) -> Placement:
            return attrs.evolve(old, stale=(self.ds[0].uuid,), epoch=old.epoch + 1)

        placing = self.data._placing
        self.now(placing.change(self.export, self.inode, lose))
        held.callback(None)
        self.failureResultOf(finish, Interfered)
        self.assertEqual(self.placement().stale, (self.ds[0].uuid,))
        self.tidy()
        self.change(0, b"without")
        self.move(target)

    def test_lastGood(self) -> None:
        """
        The mirror that was to be the only one becomes stale before the move is done:
        the other one, which is the last good copy, is not taken away.
        """
        both = self.shape([self.ds[0], self.ds[1]])
        self.move(both)
        moving, placing = self.data.moving, self.data._placing
        alone = self.shape([self.ds[0]])
        made = self.now(moving.begin(self.export, self.inode, self.placement(), alone))
        ready = self.now(moving.ahead(self.export, self.inode, made, self.tell))

        def lose(old: Placement) -> Placement:
            return attrs.evolve(old, stale=(self.ds[0].uuid,), epoch=old.epoch + 1)

        self.now(placing.change(self.export, self.inode, lose))
        self.fails(moving.finish(self.export, self.inode, ready, self.tell), Interfered)
        self.assertEqual(self.placement().columns, both.columns)
        self.change(0, b"without")
        self.tidy()
        self.move(self.shape([self.ds[1]]))

    def test_full(self) -> None:
        """
        Where there is no room the file does not go; nothing is left there.
        """
        self.ds[3].failing["copy"] = self.ds[3].failing["write"] = NoSpace("full")
        self.fails(self.going(self.stripes(2, 3)), NoSpace)
        self.tidy()
        self.assertAt(self.stripes(0, 1))

    def test_damaged(self) -> None:
        """
        Where other bytes arrive than were sent the file does not go.
        """

        async def badly(name: bytes, offset: int, data: memoryview, stable: int) -> Any:
            wrong = memoryview(b"?" * len(data))
            return await self.ds[2].inner.write(name, offset, wrong, stable)

        async def copyBadly(*args: Any) -> Any:
            result = await self.ds[2].inner.copy(*args)
            await badly(args[0], args[1], memoryview(b"!"), 0)
            return result

        self.patch(self.ds[2], "write", badly)
        self.patch(self.ds[2], "copy", copyBadly)
        self.fails(self.going(self.stripes(2, 1)), IOFailed)
        self.tidy()
        self.assertAt(self.stripes(0, 1))

    def test_silentAfterwards(self) -> None:
        """
        If the old data server dies after the switch, what it has is taken away when it
        answers again; until then the placement says that there is something.
        """
        self.ds[0].failing["remove"] = Unreachable("gone")
        self.fails(self.going(self.stripes(2, 1)), Unreachable)
        placement = self.placement()
        self.assertEqual(placement.columns, self.stripes(2, 1).columns)
        self.assertIn(self.ds[0].uuid, placement.everywhere)
        self.ds[0].failing.clear()
        self.probe()
        self.tidy()
        self.assertAt(self.stripes(2, 1))

    def test_everyStep(self) -> None:
        """
        Whatever call to whatever data server is the last one before everything dies:
        the file reads right, tidying up leaves nothing else behind, and the next
        attempt brings it to where it is to be.
        """
        self.now(self.data.truncate(self.export, self.inode, 4 * UNIT + 5))
        del self.expected[4 * UNIT + 5 :]
        for back, target in (
            (self.stripes(0, 1), self.stripes(0, 1, 2)),
            (self.stripes(0, 1, 2), self.stripes(2, 0)),
            (self.stripes(2, 0), self.shape([self.ds[3], self.ds[4]])),
        ):
            if self.placement().columns != back.columns:
                self.move(back)
            self.crashEverywhere(back, target)

    def crashEverywhere(self, back: Placement, target: Placement) -> None:
        """
        Die at the first call, at the second one, and so on.
        """
        for number in range(10_000):
            left = [number]
            for ds in self.ds:
                ds.gate = _mortal(left)
            self.patch(self.tree, "storePlacement", self.storing(left))
            running = self.begin(self.going(target))
            done: list[Any] = []
            running.addBoth(done.append)
            for ds in self.ds:
                ds.gate = None
            left[0] = 1 << 60
            self.now(self.servers.stop())
            self.boot()
            self.refresh()
            self.assertRight()
            self.tidy()
            self.assertRight()
            self.assertNothingElse()
            self.move(target)
            self.move(back)
            if done == [None]:
                break
        else:
            self.fail("it never ends")
        self.assertGreater(number, 10)

    def storing(self, left: list[int]) -> Any:
        """
        As the backend's C{storePlacement}; the end may come before it or after it.
        """
        gate = _mortal(left)

        async def store(inode: Any, placement: Placement) -> None:
            gate("before")
            await type(self.tree).storePlacement(self.tree, inode, placement)
            gate("after")

        return store


def _mortal(left: list[int]) -> Callable[[str], None]:
    """
    After so many calls nothing answers.
    """

    def gate(name: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Unreachable("dead")

    return gate
