"""
Tests of L{pnfs.mds.repair}: a stale mirror of one file is brought up to date.
"""

from __future__ import annotations

from typing import Any, Sequence

import attrs
from twisted.internet.defer import Deferred

import pnfs.mds.comparing
import pnfs.mds.copying
import pnfs.mds.transfer
from pnfs.backends.ds.tracking import Tracking
from pnfs.backends.errors import IOFailed, NoSpace, Unreachable, Unsupported
from pnfs.mds.copying import CALLS, ORDERS
from pnfs.mds.lacking import Source
from pnfs.mds.ranges import Range
from pnfs.values import CheckedCopy, ReadResult, SetAttributes
from tests.contracts.data import readBytes
from tests.mds.faulty import Faulty, MirroredCase, pattern

SIZE = 300_000


class RepairCase(MirroredCase):
    """
    A file with two mirrors, the second of which has missed something.

    @ivar told: bytes copied.
    """

    def setUp(self) -> None:
        """
        The stale mirror has old bytes, and more of them than there are now.
        """
        super().setUp()
        self.patch(pnfs.mds.transfer, "SMALL", 1024)
        self.patch(pnfs.mds.transfer, "STEP", 65536)
        self.patch(pnfs.mds.comparing, "UNIT", 4096)
        for module in (pnfs.mds.transfer, pnfs.mds.comparing):
            self.patch(module, "MUCH", 65536)
        self.put(0, pattern(SIZE + 5000, 7))
        placement = self.placement()
        self.good = self.byUUID(placement.columns[0][0])
        self.stale = self.byUUID(placement.columns[0][1])
        self.store(attrs.evolve(placement, stale=(self.stale.uuid,)))
        self.now(self.data.truncate(self.export, self.inode, SIZE))
        self.put(100_000, pattern(100_000, 3))
        self.expected = self.get(0, SIZE)[0]
        self.told = 0

    def store(self, placement: Any) -> None:
        """
        This is where the file is.
        """
        self.now(self.tree.storePlacement(self.inode, placement))

    async def tell(self, count: int) -> None:
        """
        So many bytes have been copied.
        """
        self.told += count

    def ahead(self) -> Any:
        """
        Copy while clients go on.
        """
        return self.data.repair.ahead(
            self.export, self.inode, self.stale.uuid, self.tell
        )

    def aheadNow(self) -> list[Source]:
        """
        As L{ahead}: what is left.
        """
        return self.now(self.ahead())  # type: ignore[no-any-return]

    def finish(self, seen: Sequence[Source] = ()) -> Any:
        """
        Copy the rest.
        """
        return self.data.repair.finish(
            self.export, self.inode, self.stale.uuid, list(seen), self.tell
        )

    def has(self, ds: Faulty) -> bytes:
        """
        All that a data server has of the file.
        """
        result: ReadResult = self.now(
            ds.inner.read(self.placement().name, 0, 10 * SIZE)
        )
        return readBytes(result)

    def assertRepaired(self) -> None:
        """
        Both mirrors have what the file has, and both count.
        """
        self.assertEqual(self.placement().stale, ())
        self.expected = self.get(0, 10 * SIZE)[0]
        self.assertEqual(self.has(self.good), self.expected)
        self.assertEqual(self.has(self.stale), self.expected)


class FileRepairTests(RepairCase):
    """
    L{pnfs.mds.repair.FileRepair}.
    """

    def test_whole(self) -> None:
        """
        What was written and cut off without the mirror is on it afterwards, and it is
        read from and written to again.
        """
        self.assertTrue(self.now(self.finish()))
        self.assertRepaired()
        self.put(5, b"both")
        self.assertRepaired()

    def test_twice(self) -> None:
        """
        A mirror that is good already is not copied to.
        """
        self.now(self.finish())
        told = self.told
        self.assertFalse(self.now(self.finish()))
        self.assertEqual(self.told, told)

    def test_differing(self) -> None:
        """
        Only what differs is copied: the bytes missed, rounded up to what is compared.
        """
        self.now(self.finish())
        self.assertRepaired()
        self.assertLessEqual(self.told, 100_000 + 2 * 4096)

    def test_allDiffers(self) -> None:
        """
        Of a mirror that has nothing right at the beginning no more is compared before
        it is copied, only afterwards.
        """
        self.patch(pnfs.mds.transfer, "STEP", 2 * SIZE)
        self.patch(pnfs.mds.comparing, "HEAD", 8192)
        self.put(0, pattern(SIZE, 5))
        compared: list[int] = []
        checksums = self.good.checksums  # type: ignore[attr-defined]

        async def noted(name: bytes, offset: int, count: int, unit: int) -> Any:
            compared.append(count)
            return await checksums(name, offset, count, unit)

        self.patch(self.good, "checksums", noted)
        self.now(self.finish())
        self.assertRepaired()
        self.assertEqual(self.told, SIZE)
        self.assertEqual(compared, [8192, SIZE])

    def test_allDiffersWithoutSeek(self) -> None:
        """
        What is copied is compared also if nobody can tell where there are holes.
        """
        self.patch(pnfs.mds.transfer, "STEP", 2 * SIZE)
        self.patch(pnfs.mds.comparing, "HEAD", 8192)
        self.put(0, pattern(SIZE, 5))
        for ds in self.pair():
            ds.failing["seek"] = Unsupported("no")
        self.assertDamageSeen()

    def test_holesBehind(self) -> None:
        """
        But if there are holes behind that, they are holes afterwards.
        """
        self.patch(pnfs.mds.transfer, "STEP", 2 * SIZE)
        self.patch(pnfs.mds.comparing, "HEAD", 8192)
        self.put(0, pattern(65536, 5))
        self.now(self.data.deallocate(self.export, self.inode, 65536, 131072))
        self.now(self.finish())
        self.assertRepaired()
        self.assertEqual(self.told, 200_704)
        used = [ds.inner.peek(self.placement().name).used for ds in self.pair()]
        self.assertEqual(used[0], used[1])

    def test_holesCopied(self) -> None:
        """
        On a data server that cannot make holes they are zeros.
        """
        self.put(0, pattern(65536, 5))
        self.now(self.data.deallocate(self.export, self.inode, 65536, 131072))
        self.stale.failing["deallocate"] = Unsupported("no")
        self.now(self.finish())
        self.assertRepaired()

    def test_ahead(self) -> None:
        """
        What was copied while nobody wrote is not copied again while everybody waits,
        although a fence came between; nor is it if there is nobody to tell of changes.
        """
        seen = self.aheadNow()
        told = self.told
        self.assertEqual(self.placement().stale, (self.stale.uuid,))
        self.now(self.data.fence(self.export, self.inode))
        self.now(self.finish(seen))
        self.assertEqual(self.told, told)
        self.assertRepaired()

    def test_shorter(self) -> None:
        """
        A mirror that has nothing behind some point needs not be compared there before
        it is copied.
        """
        self.patch(pnfs.mds.transfer, "STEP", 4 * 65536)
        name = self.placement().name
        for size in (65536, SIZE):
            self.now(self.stale.setattr(name, SetAttributes(size=size)))
        asked: list[tuple[str, int, int]] = []
        for call in ("checksums", "copy"):
            self.patch(self.stale, call, self.recording(call, asked))
        self.now(self.finish())
        self.assertRepaired()
        first = [kind for kind, *_ in asked].index("copy")
        self.assertEqual(asked[:first], [("checksums", 0, 65536)])

    def recording(self, call: str, asked: list[tuple[str, int, int]]) -> Any:
        """
        What the stale mirror is asked to do.
        """
        inner = getattr(self.stale, call)

        async def recorded(name: bytes, offset: int, *args: Any) -> Any:
            asked.append((call, offset, args[0 if call == "checksums" else 2]))
            return await inner(name, offset, *args)

        return recorded

    def test_long(self) -> None:
        """
        While much is copied the data server is asked now and then for what changes, or
        it would forget that somebody wants to know.
        """
        self.patch(pnfs.mds.transfer, "STEP", 1024)
        self.patch(pnfs.mds.transfer, "PARTS", SIZE)
        times = []
        inner = self.good.changes  # type: ignore[attr-defined]

        async def changes(*args: Any) -> Any:
            times.append(1)
            return await inner(*args)

        self.patch(self.good, "changes", changes)
        self.aheadNow()
        steps = SIZE // 1024
        # And in the end for what is left to be copied.
        self.assertEqual(len(times), steps // (8 * pnfs.mds.transfer.SCRAPS) + 1)

    def test_forgotten(self) -> None:
        """
        If the data server that is copied from has restarted, and does not know what
        has been written meanwhile, everything is compared again.
        """
        seen = self.aheadNow()
        self.put(200_000, b"late")
        self.put(0, b"early")

        async def unknown(name: bytes, token: bytes) -> None:
            return None

        self.patch(self.good, "changes", unknown)
        self.now(self.finish(seen))
        self.assertRepaired()

    def test_cannotTell(self) -> None:
        """
        Data servers that tell neither checksums nor changes copy everything.
        """
        for ds in self.ds:
            ds.failing["checksums"] = Unsupported("no")
            ds.failing["track"] = Unsupported("no")
        seen = self.aheadNow()
        self.put(0, b"late")
        self.now(self.finish(seen))
        self.assertRepaired()
        self.assertEqual(self.told, 2 * SIZE)

    def checked(self, unequal: bool) -> tuple[list[Range], list[Range]]:
        """
        Repair where the mirror itself compares what it copies, all but the last byte of
        each piece.

        @param unequal: it finds that the first byte it has copied differs.
        @return: what was copied; what was compared by order.
        """
        copied: list[Range] = []

        async def copyChecked(
            name: bytes, offset: int, source: Any, _: int, count: int
        ) -> CheckedCopy:
            data = readBytes(await self.good.inner.read(name, offset, count))
            data += bytes(count - len(data))
            result = await self.stale.inner.write(name, offset, memoryview(data), 0)
            copied.append((offset, count))
            told = [(offset, 1)] if unequal and len(copied) == 1 else []
            return CheckedCopy(result, count - 1, told)

        asked: list[tuple[str, int, int]] = []
        self.patch(self.stale, "copyChecked", copyChecked)
        self.patch(self.stale, "checksums", self.recording("checksums", asked))
        self.now(self.finish(self.aheadNow()))
        self.assertRepaired()
        return copied, [(offset, count) for _, offset, count in asked]

    def test_checked(self) -> None:
        """
        What a data server has compared itself, as it copied it, is not compared again
        by order, but for the rest.
        """
        copied, asked = self.checked(False)
        self.assertEqual(
            [each for each in asked if each[1] == 1],
            [(offset + count - 1, 1) for offset, count in copied],
        )
        self.assertEqual(self.times(asked, copied[0][0]), 1)

    def test_checkedUnequal(self) -> None:
        """
        Where it finds that the source has been changed meanwhile, all is done once more.
        """
        copied, asked = self.checked(True)
        self.assertEqual(self.times(asked, copied[0][0]), 2)

    def times(self, asked: Sequence[Range], position: int) -> int:
        """
        How often a byte has been compared.
        """
        return sum(at <= position < at + count for at, count in asked)

    def test_damaged(self) -> None:
        """
        A mirror that is not what was copied there does not count.
        """
        self.assertDamageSeen()

    def assertDamageSeen(self) -> None:
        """
        What is copied wrongly is found to be wrong.
        """
        copy = self.stale.copy  # type: ignore[attr-defined]

        async def badly(*args: Any) -> Any:
            result = await copy(*args)
            await self.stale.inner.write(args[0], args[1], memoryview(b"?"), 0)
            return result

        self.patch(self.stale, "copy", badly)
        self.patch(self.stale, "write", self.badWrite)
        self.fails(self.finish(), IOFailed)
        self.assertEqual(self.placement().stale, (self.stale.uuid,))

    async def badWrite(
        self, name: bytes, offset: int, data: memoryview, stable: int
    ) -> Any:
        """
        What is written is not what was to be written.
        """
        return await self.stale.inner.write(
            name, offset, memoryview(b"?" * len(data)), stable
        )

    def test_writtenMeanwhile(self) -> None:
        """
        A file that is written after it has been copied is copied again.
        """
        seen = self.aheadNow()
        self.clock.advance(1)
        self.put(200_000, b"late")
        self.now(self.finish(seen))
        self.assertRepaired()

    def test_shorterAndLongerAgain(self) -> None:
        """
        A file that is made shorter while it is copied, and then longer, has a hole where
        it was cut off: also on the mirror, which had bytes there when it was longer.
        """
        ds: Any = self.good
        self.patch(ds.inner, "_tracking", Tracking(granule=4096))
        changes = ds.changes
        calls: list[bytes] = []

        async def slowly(name: bytes, token: bytes) -> Any:
            calls.append(name)
            if len(calls) == 1:
                await self.data.truncate(self.export, self.inode, 20_000)
            return await changes(name, token)

        self.patch(ds, "changes", slowly)
        seen = self.aheadNow()
        self.put(200_000, b"end")
        self.now(self.finish(seen))
        self.assertRepaired()
        self.assertEqual(self.get(20_000, 180_000)[0], bytes(180_000))

    def test_writtenThroughLayout(self) -> None:
        """
        So is one that a client writes with a layout, of which the metadata server
        hears nothing.
        """
        seen = self.aheadNow()
        self.clock.advance(1)
        name = self.placement().name
        self.now(self.good.inner.write(name, 7, memoryview(b"direct"), 0))
        self.now(self.finish(seen))
        self.assertRepaired()
        self.assertEqual(self.get(7, 6)[0], b"direct")

    def test_grows(self) -> None:
        """
        No byte is missing of a file to which a client appends with a layout, whenever
        it does: also between any two questions to the data server that is copied from.
        """
        self.patch(pnfs.mds.transfer, "LITTLE", 0)
        name = self.placement().name
        end = SIZE

        def appending(call: Any) -> Any:
            async def wrapped(*args: Any) -> Any:
                nonlocal end
                late = pattern(5000, end)
                await self.good.inner.write(name, end, memoryview(late), 0)
                end += len(late)
                return await call(*args)

            return wrapped

        for call in ("getattr", "track", "changes", "checksums"):
            with self.subTest(call):
                patch = self.patch(self.good, call, appending(getattr(self.good, call)))
                seen = self.aheadNow()
                patch.restore()
                self.now(self.finish(seen))
                self.assertEqual(len(self.has(self.stale)), end)
                self.assertEqual(self.has(self.stale), self.has(self.good))
                placement = self.placement()
                self.store(attrs.evolve(placement, stale=(self.stale.uuid,)))

    def test_busy(self) -> None:
        """
        A file that is written all the time is copied ahead a few times only.
        """
        self.patch(pnfs.mds.transfer, "LITTLE", 0)
        inner = self.good.track  # type: ignore[attr-defined]
        times = []

        async def track(*args: Any) -> Any:
            found = await inner(*args)
            times.append(1)
            await self.write(0, b"%d" % len(times))
            return found

        self.patch(self.good, "track", track)
        seen = self.aheadNow()
        self.assertEqual(len(times), pnfs.mds.transfer.PASSES)
        self.patch(self.good, "track", inner)
        self.now(self.finish(seen))
        self.assertRepaired()

    def test_small(self) -> None:
        """
        A small file is copied at once.
        """
        self.patch(pnfs.mds.transfer, "SMALL", SIZE)
        self.assertEqual(self.now(self.ahead()), [])
        self.assertEqual(self.told, 0)

    def test_wiped(self) -> None:
        """
        A data server that has lost the data file gets all of it, with owner and mode,
        and no older layout is good there.
        """
        self.now(self.stale.inner.remove(self.placement().name))
        self.now(self.data.fence(self.export, self.inode))
        self.now(self.finish())
        self.assertRepaired()
        found = self.stale.inner.peek(self.placement().name)
        assert found is not None
        self.assertEqual(
            (found.uid, found.gid, found.mode, found.epoch), (1000, 100, 0o640, 2)
        )

    def test_fresh(self) -> None:
        """
        A data file of which nothing is there is filled with the data there is, holes
        stay holes, and each byte is read once to be compared, at the end.
        """
        self.now(self.data.deallocate(self.export, self.inode, 0, 131072))
        self.now(self.stale.inner.remove(self.placement().name))
        before = self.good.calls.count("checksums"), self.told
        self.now(self.finish())
        self.assertRepaired()
        asked = self.good.calls.count("checksums") - before[0]
        self.assertEqual(asked, self.stale.calls.count("checksums"))
        self.assertLessEqual(asked, SIZE // 65536 + 1)
        self.assertEqual(self.told, SIZE - 131072)
        used = [ds.inner.peek(self.placement().name).used for ds in self.pair()]
        self.assertEqual(used[0], used[1])

    def test_freshHoles(self) -> None:
        """
        So it is with very many holes; then both are compared first.
        """
        size = 1 << 20
        self.now(self.data.truncate(self.export, self.inode, 0))
        self.now(self.data.truncate(self.export, self.inode, size))
        for at in range(0, size, 32768):
            self.put(at, b"data")
        self.now(self.stale.inner.remove(self.placement().name))
        self.patch(pnfs.mds.transfer, "STEP", size)
        self.now(self.finish())
        self.assertRepaired()
        used = [ds.inner.peek(self.placement().name).used for ds in self.pair()]
        self.assertEqual(used[0], used[1])

    def pair(self) -> tuple[Any, Any]:
        """
        Both data servers.
        """
        return self.good, self.stale

    def withhold(self) -> tuple[list[int], Any]:
        """
        Orders to copy are not carried out until they fail.

        @return: bytes that are to be copied by each, and what ends that.
        """
        counts: list[int] = []
        orders: list[Deferred[Any]] = []

        def never(*args: Any) -> Deferred[Any]:
            counts.append(args[-1])
            orders.append(Deferred())
            return orders[-1]

        self.now(self.stale.inner.remove(self.placement().name))
        patch = self.patch(self.stale, "copy", never)
        repair = self.begin(self.finish())
        self.assertNoResult(repair)
        repair.addErrback(lambda failure: failure.trap(IOFailed))

        def end() -> None:
            while orders:
                orders.pop().errback(IOFailed("over"))

        self.addCleanup(end)
        return counts, patch

    def test_besideClients(self) -> None:
        """
        However much is being repaired, a copy that a client wants begins at once.
        """
        self.patch(pnfs.mds.transfer, "STEPS", 1000)
        self.patch(pnfs.mds.transfer, "STEP", 4096)
        self.patch(pnfs.mds.transfer, "LONG_STEP", 4096)
        orders, slow = self.withhold()
        self.assertEqual(len(orders), CALLS)
        slow.restore()
        other = self.make(b"other")
        copied = self.now(
            self.data.copy(self.export, other, 0, self.export, self.inode, 0, 5000)
        )
        self.assertEqual(copied.count, 5000)

    def test_largeOrders(self) -> None:
        """
        A data server is given few orders to read much at a time.
        """
        self.patch(pnfs.mds.transfer, "STEPS", 1000)
        self.patch(pnfs.mds.copying, "MUCH", 4096)
        self.patch(pnfs.mds.transfer, "STEP", 4096)
        orders, _ = self.withhold()
        self.assertEqual(len(orders), ORDERS)

    def test_longFile(self) -> None:
        """
        Of a long file more is copied at a time, up to a limit.
        """
        for longest, expected in ((1 << 20, 36864), (20480, 20480), (4096, 4096)):
            self.patch(pnfs.mds.transfer, "STEP", 4096)
            self.patch(pnfs.mds.transfer, "LONG_STEP", longest)
            orders, patch = self.withhold()
            self.assertEqual(set(orders), {expected})
            patch.restore()
            self.doCleanups()

    def test_holesAskedOnce(self) -> None:
        """
        Where a file has data is asked for once, and not for each step.
        """
        self.patch(pnfs.mds.transfer, "LONG_STEP", 65536)
        self.now(self.stale.inner.remove(self.placement().name))
        self.good.calls.clear()
        self.now(self.finish())
        self.assertRepaired()
        self.assertEqual(self.good.calls.count("seek"), 1)

    def test_owner(self) -> None:
        """
        Owner and mode that have changed meanwhile are on the mirror afterwards.
        """
        changes = SetAttributes(mode=0o600, uid=5, gid=6)
        self.now(self.tree.setattr(self.inode, changes))
        self.now(self.data.applyOwner(self.export, self.inode))
        self.now(self.finish())
        found = self.stale.inner.peek(self.placement().name)
        assert found is not None
        self.assertEqual((found.uid, found.gid, found.mode), (5, 6, 0o600))

    def test_time(self) -> None:
        """
        To users the file has not been modified by a repair.
        """
        mtime = self.inode.mtime
        self.clock.advance(1000)
        self.now(self.finish())
        self.refresh()
        self.assertEqual(self.inode.mtime, mtime)

    def test_holes(self) -> None:
        """
        What was punched is zeros on the mirror, and takes no space.
        """
        self.now(self.data.deallocate(self.export, self.inode, 0, 131072))
        self.now(self.finish())
        self.assertRepaired()
        self.assertEqual(self.get(0, 131072)[0], bytes(131072))

    def test_writersWait(self) -> None:
        """
        Who writes through the metadata server while the rest is copied writes to both
        mirrors then.
        """
        held = self.stale.hold("commit")
        finishing = self.begin(self.finish())
        writing = self.begin(self.write(50, b"waits"))
        self.assertNoResult(writing)
        held.callback(None)
        self.successResultOf(finishing)
        self.assertEqual(self.successResultOf(writing).count, 5)
        self.assertRepaired()
        self.assertEqual(self.get(50, 5)[0], b"waits")

    def test_fails(self) -> None:
        """
        Whatever fails at either data server, the file is as it was and its mirror is
        stale; later it is repaired.
        """
        for ds, call, error in (
            (self.stale, "create", Unreachable("gone")),
            (self.stale, "setattr", Unreachable("gone")),
            (self.stale, "commit", Unreachable("gone")),
            (self.stale, "create", NoSpace("full")),
            (self.good, "getattr", Unreachable("gone")),
        ):
            ds.failing[call] = error
            self.fails(self.finish(), type(error))
            self.assertEqual(self.placement().stale, (self.stale.uuid,))
            self.assertEqual(len(self.data._turns), 0)
            ds.failing.clear()
            self.probe()
            self.assertEqual(self.get(0, SIZE)[0], self.expected)
        self.now(self.finish())
        self.assertRepaired()

    def test_uncommitted(self) -> None:
        """
        What a client has written and not committed, and never will, is on both mirrors
        or on none, whichever data server loses power after the repair.
        """
        name = self.placement().name
        self.good.calls.clear()
        self.now(self.good.write(name, 0, memoryview(b"uncommitted"), 0))
        self.now(self.finish())
        calls = self.good.calls
        self.assertLess(calls.index("write"), calls.index("commit"))
        self.assertLess(calls.index("commit"), calls.index("checksums"))

    def test_restartedEqual(self) -> None:
        """
        A repair that was interrupted has left bytes that nobody has committed. If the
        data server loses them when they have just been found equal, the mirror does
        not count.
        """
        name = self.placement().name
        ds = self.stale.inner
        self.now(ds.write(name, 0, memoryview(self.has(self.good)), 0))
        checksums = self.stale.checksums  # type: ignore[attr-defined]

        async def lost(*args: Any) -> Any:
            found = await checksums(*args)
            await ds.write(name, 0, memoryview(bytes(5000)), 0)
            ds.verifier = b"another!"
            return found

        patch = self.patch(self.stale, "checksums", lost)
        self.fails(self.finish(), Unreachable)
        self.assertEqual(self.placement().stale, (self.stale.uuid,))
        patch.restore()
        self.now(self.finish())
        self.assertRepaired()

    def test_restarted(self) -> None:
        """
        A mirror whose data server restarts between the copy and its COMMIT does not
        count: what it got may be lost.
        """
        called: list[str] = []

        def gate(name: str) -> None:
            if "copy" in called and name == "commit":
                self.stale.inner.verifier = b"another!"
            called.append(name)

        self.stale.gate = gate
        self.fails(self.finish(), Unreachable)
        self.stale.gate = None
        self.assertEqual(self.placement().stale, (self.stale.uuid,))
        self.now(self.finish())
        self.assertRepaired()

    def test_notStored(self) -> None:
        """
        If the placement cannot be stored the mirror stays stale.
        """

        async def refuse(inode: Any, placement: Any) -> None:
            raise NoSpace("the metadata's disk is full")

        store = self.tree.storePlacement
        self.tree.storePlacement = refuse  # type: ignore[method-assign]
        self.fails(self.finish(), NoSpace)
        self.tree.storePlacement = store  # type: ignore[method-assign]
        self.assertEqual(self.placement().stale, (self.stale.uuid,))

    def test_truncatedMeanwhile(self) -> None:
        """
        A file that has become shorter since it was copied is short everywhere.
        """
        seen = self.aheadNow()
        self.clock.advance(1)
        self.now(self.data.truncate(self.export, self.inode, 1000))
        self.now(self.finish(seen))
        self.assertRepaired()
        self.assertEqual(self.sizes().count(1000), 2)

    def test_noSource(self) -> None:
        """
        Without a mirror that is right nothing is copied, and what the stale one has is
        not believed.
        """
        self.good.down = True
        self.probe()
        self.fails(self.finish(), Unreachable)
        self.assertEqual(self.placement().stale, (self.stale.uuid,))
        self.assertEqual(self.told, 0)

    def test_gone(self) -> None:
        """
        A file that never had data files needs no repair.
        """
        self.inode = self.make(b"g")
        self.assertEqual(self.now(self.ahead()), [])
        self.assertFalse(self.now(self.finish()))


class ManyMirrorsTests(RepairCase):
    """
    Three mirrors, two of them stale.
    """

    mirrors = 3

    def test_both(self) -> None:
        """
        Each is repaired from the one that is right, never from the other.
        """
        placement = self.placement()
        (third,) = [ds for ds in self.ds if ds not in (self.good, self.stale)]
        self.store(attrs.evolve(placement, stale=(third.uuid, self.stale.uuid)))
        self.put(0, b"again")
        self.now(self.finish())
        self.assertEqual(self.placement().stale, (third.uuid,))
        self.assertEqual(self.has(self.stale)[:5], b"again")
        self.now(
            self.data.repair.finish(self.export, self.inode, third.uuid, [], self.tell)
        )
        self.assertRepaired()
        self.assertEqual(self.has(third), self.has(self.good))

    def test_unequal(self) -> None:
        """
        Of two that count, and differ in length behind what anybody has been told is
        safe, the longer one is copied: the file is as long as that.
        """
        placement = self.placement()
        (third,) = [ds for ds in self.ds if ds not in (self.good, self.stale)]
        first, *_ = [u for u in placement.columns[0] if u != self.stale.uuid]
        shorter, longer = self.good, third
        if first == third.uuid:
            shorter, longer = longer, shorter
        self.now(longer.inner.write(placement.name, SIZE, memoryview(b"unpromised"), 2))
        self.now(self.finish(self.aheadNow()))
        self.assertEqual(self.has(self.stale), self.has(longer))
        self.assertNotEqual(self.has(shorter), self.has(longer))
