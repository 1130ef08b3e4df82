"""
Tests of L{pnfs.mds.datafiles} and L{pnfs.mds.removals}, on data servers that fail.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Callable, Iterator

import attrs
from zope.interface.verify import verifyObject

from twisted.internet.defer import Deferred

from pnfs.backends.errors import (
    IOFailed,
    NoSpace,
    Unreachable,
)
from pnfs.interfaces import IFileData
from pnfs.mds.removals import RETRY_SECONDS
from pnfs.namespace.filehandles import READ, WRITE
from pnfs.values import (
    ACE,
    ACL,
    MODE_ONLY,
    FSStatistics,
    IOMode,
    SetAttributes,
    Stable,
)
from tests.mds.faulty import UNIT, DataFilesCase, MirroredCase, pattern


class MakingTests(DataFilesCase):
    """
    Data files are made when first needed.
    """

    def test_interface(self) -> None:
        """
        It is what operations expect.
        """
        verifyObject(IFileData, self.data)

    def test_ensure(self) -> None:
        """
        An object per column, with the file's owner and mode; the second time
        nothing is asked of any data server.
        """
        placement = self.now(self.data.ensure(self.export, self.inode))
        self.assertEqual(self.objects(), [1, 1, 1])
        found = self.ds[0].inner.peek(placement.name)
        assert found is not None
        self.assertEqual((found.uid, found.gid, found.mode), (1000, 100, 0o640))
        before = [list(ds.calls) for ds in self.ds]
        self.assertEqual(self.now(self.data.ensure(self.export, self.inode)), placement)
        self.assertEqual([ds.calls for ds in self.ds], before)

    def test_together(self) -> None:
        """
        Two clients that want the layout of a new file get the same one.
        """
        held = self.ds[1].hold("create")
        first = self.begin(self.data.ensure(self.export, self.inode))
        second = self.begin(self.data.ensure(self.export, self.inode))
        self.assertNoResult(second)
        held.callback(None)
        self.assertEqual(self.successResultOf(first), self.successResultOf(second))
        self.assertEqual([ds.calls.count("create") for ds in self.ds], [1, 1, 1])

    def test_chmodMeanwhile(self) -> None:
        """
        A file made private while its data files are being made is private at the
        data servers, too.
        """
        held = self.ds[1].hold("create")
        making = self.begin(self.data.ensure(self.export, self.inode))
        self.now(self.tree.setattr(self.inode, SetAttributes(mode=0o600, uid=7)))
        self.assertFalse(self.inode.hasPlacement)
        held.callback(None)
        placement = self.successResultOf(making)
        for ds in self.ds:
            found = ds.inner.peek(placement.name)
            assert found is not None
            self.assertEqual((found.mode, found.uid), (0o600, 7))

    def test_withoutOne(self) -> None:
        """
        While a data server is down new files lie on the others, and nothing is
        left of the attempt before it was noticed.
        """
        self.ds[1].down = True
        placement = self.now(self.data.ensure(self.export, self.inode))
        self.assertEqual(set(placement.dataServers), {self.ds[0].uuid, self.ds[2].uuid})
        self.assertEqual(self.objects(), [1, 0, 1])

    def test_none(self) -> None:
        """
        With all of them down the client is to come again, and succeeds then.
        """
        for ds in self.ds:
            ds.down = True
        self.fails(self.data.ensure(self.export, self.inode), Unreachable)
        self.assertFalse(self.inode.hasPlacement)
        for ds in self.ds:
            ds.down = False
        self.fails(self.data.ensure(self.export, self.inode), Unreachable)
        self.probe()
        self.now(self.data.ensure(self.export, self.inode))

    def test_full(self) -> None:
        """
        A full data server is passed over; when all are full, that is said.
        """
        self.ds[0].failing["create"] = NoSpace("full")
        placement = self.now(self.data.ensure(self.export, self.inode))
        self.assertNotIn(self.ds[0].uuid, placement.dataServers)
        for ds in self.ds:
            ds.failing["create"] = NoSpace("full")
        other = self.make(b"g")
        self.fails(self.data.ensure(self.export, other), NoSpace)
        self.assertFalse(other.hasPlacement)

    def test_reserve(self) -> None:
        """
        New files go where there is room; to the others only if there are too few
        of these, and until they are full indeed.
        """
        space = FSStatistics(100 << 30, 5 << 30, 2 << 30, 9, 9, 9)
        members = self.data._servers.members
        for member in members:
            member.space = space
        for reserve, short in (
            (None, attrs.evolve(space, spaceAvailable=1 << 30)),
            (None, attrs.evolve(space, spaceTotal=1000, spaceAvailable=50)),
            (3 << 30, attrs.evolve(space, spaceAvailable=3 << 30)),
        ):
            self.data._servers.reserve = reserve
            for member in members:
                member.space = attrs.evolve(space, spaceAvailable=4 << 30)
            members[1].space = short
            inode = self.make(b"f%d" % len(self.tree._inodes))
            placement = self.now(self.data.ensure(self.export, inode))
            self.assertEqual(len(placement.dataServers), 2)
            self.assertNotIn(members[1].uuid, placement.dataServers)
        for member in members:
            member.space = attrs.evolve(space, spaceAvailable=0)
        placement = self.now(self.data.ensure(self.export, self.inode))
        self.assertEqual(len(placement.dataServers), 3)

    def test_sized(self) -> None:
        """
        A file that was given a size before it had data files reads as zeros, and
        its data files have that size.
        """
        self.now(self.data.truncate(self.export, self.inode, 100_000))
        self.assertEqual(self.get(0, 200_000), (bytes(100_000), True))
        self.now(self.data.ensure(self.export, self.inode))
        self.assertEqual(self.sizes(), [100_000] * 3)

    def test_mint(self) -> None:
        """
        A layout for reading gives a handle that cannot write.
        """
        placement = self.now(self.data.ensure(self.export, self.inode))
        decode = self.capabilities.decode
        read = decode(self.data.mint(placement, IOMode.READ))
        write = decode(self.data.mint(placement, IOMode.RW))
        self.assertEqual((read.rights, write.rights), (READ, READ | WRITE))
        self.assertEqual((read.name, read.epoch), (placement.name, 1))


class StripedTests(DataFilesCase):
    """
    A file striped over three data servers, read and written through the MDS.
    """

    def test_readBack(self) -> None:
        """
        Bytes go to their columns and come back in order.
        """
        data = pattern(5 * UNIT + 77)
        result = self.put(1234, data)
        self.assertEqual(result.count, len(data))
        self.assertEqual(self.inode.size, 1234 + len(data))
        self.assertEqual(self.get(0, 1 << 20), (bytes(1234) + data, True))
        self.assertEqual(
            self.get(UNIT - 5, 10)[0], (bytes(1234) + data)[UNIT - 5 :][:10]
        )
        stored = self.now(self.column(1).inner.read(self.placement().name, UNIT, 9))
        self.assertEqual(b"".join(map(bytes, stored.pieces)), data[UNIT - 1234 :][:9])

    def test_ends(self) -> None:
        """
        Reading behind the end, or nothing, asks nobody.
        """
        self.put(0, b"abc")
        before = [list(ds.calls) for ds in self.ds]
        self.assertEqual(self.get(3, 10), (b"", True))
        self.assertEqual(self.get(1 << 63, 10), (b"", True))
        self.assertEqual(self.get(0, 0), (b"", False))
        self.assertEqual(before, [ds.calls for ds in self.ds])

    def test_ragged(self) -> None:
        """
        What the MDS wrote ends in one column; before a client gets a layout the
        other columns know the size too, or they would say eof in the middle.
        """
        self.put(0, b"x" * (UNIT + 10))
        self.assertEqual(sorted(self.sizes()), [0, UNIT, UNIT + 10])
        self.now(self.data.ensure(self.export, self.inode))
        self.assertEqual(self.sizes(), [UNIT + 10] * 3)

    def test_sequentialWrites(self) -> None:
        """
        Writing on and on through the MDS asks no data server for the size.
        """
        for number in range(10):
            self.put(number * UNIT, b"y" * UNIT)
        self.assertEqual([ds.calls.count("getattr") for ds in self.ds], [0, 0, 0])

    def test_downRead(self) -> None:
        """
        Of a file with a column down, what lies elsewhere can still be read.
        """
        self.put(0, pattern(3 * UNIT))
        self.column(1).down = True
        self.assertEqual(self.get(0, UNIT)[0], pattern(UNIT))
        self.fails(self.data.read(self.export, self.inode, UNIT, 10), Unreachable)
        self.assertEqual(self.get(2 * UNIT, 10)[0], pattern(3 * UNIT)[2 * UNIT :][:10])

    def test_downWrite(self) -> None:
        """
        A write that finds the second column down tells how far it has come; the
        rest is to be tried again.
        """
        self.put(0, b"a")
        self.column(1).down = True
        self.assertEqual(self.put(0, pattern(2 * UNIT)).count, UNIT)
        self.assertEqual(self.inode.size, UNIT)
        self.fails(self.write(UNIT, b"x"), Unreachable)
        self.assertEqual(self.inode.size, UNIT)

    def test_downIsRemembered(self) -> None:
        """
        One that did not answer is not asked again until a probe finds it.
        """
        self.put(0, b"a")
        column = self.column(0)
        column.down = True
        self.fails(self.write(0, b"x"), Unreachable)
        calls = len(column.calls)
        self.fails(self.write(0, b"x"), Unreachable)
        self.assertEqual(len(column.calls), calls)
        column.down = False
        self.probe()
        self.put(0, b"x")

    def test_full(self) -> None:
        """
        A full column ends a write early, then fails it, and the size does not
        count what was not written.
        """
        self.put(0, b"a")
        self.column(1).failing["write"] = NoSpace("full")
        self.assertEqual(self.put(0, pattern(3 * UNIT)).count, UNIT)
        self.fails(self.write(UNIT, b"x"), NoSpace)
        self.assertEqual(self.inode.size, UNIT)

    def test_missing(self) -> None:
        """
        A data file that is lost is an I/O error; the file itself is not stale.
        """
        self.put(0, b"abc")
        self.now(self.column(0).inner.remove(self.placement().name))
        self.fails(self.data.read(self.export, self.inode, 0, 3), IOFailed)
        self.fails(self.write(0, b"x"), IOFailed)

    def test_verifierOfAll(self) -> None:
        """
        Writes to any column and the COMMIT after them tell one verifier.
        """
        verifiers = {self.put(n * UNIT, b"x").verifier for n in range(3)}
        verifiers.add(self.now(self.data.commit(self.export, self.inode, 0, 0)))
        self.assertEqual(len(verifiers), 1)

    def test_verifierUnheard(self) -> None:
        """
        Also just after a start of the MDS, when no data server has told its own yet:
        else clients would send everything again for nothing.
        """
        self.put(0, b"x")
        for ds in self.ds:
            ds.shy = True
        verifiers = {self.put(n * UNIT, b"y").verifier for n in range(3)}
        verifiers.add(self.now(self.data.commit(self.export, self.inode, 0, 0)))
        self.assertEqual(len(verifiers), 1)

    def test_restart(self) -> None:
        """
        A data server that restarts makes clients write again.
        """
        before = self.put(0, b"x").verifier
        self.column(0).inner.verifier = b"restart!"
        after = self.now(self.data.commit(self.export, self.inode, 0, 0))
        self.assertNotEqual(after, before)

    def test_restartMeanwhile(self) -> None:
        """
        So does one that restarts between its answer and that of a slower one: what
        it had taken is lost, and its new verifier must not vouch for it.
        """
        self.put(0, pattern(2 * UNIT))
        slow = self.column(1).hold("write")
        writing = self.begin(self.write(0, pattern(2 * UNIT, 7)))
        self.column(0).inner.verifier = b"restart!"
        slow.callback(None)
        told = self.successResultOf(writing).verifier
        commit = self.now(self.data.commit(self.export, self.inode, 0, 0))
        self.assertNotEqual(told, commit)

    def test_restartWithinWrite(self) -> None:
        """
        A write whose parts at one data server fell on both sides of its restart
        cannot be committed.
        """
        self.put(0, pattern(4 * UNIT))
        first = self.column(0)
        slow = first.hold("write")
        writing = self.begin(self.write(0, pattern(4 * UNIT, 7)))
        first.inner.verifier = b"restart!"
        slow.callback(None)
        told = self.successResultOf(writing).verifier
        self.assertNotEqual(
            told, self.now(self.data.commit(self.export, self.inode, 0, 0))
        )

    def test_commitExtends(self) -> None:
        """
        After COMMIT every column has the size.
        """
        self.put(0, b"x" * 10)
        self.now(self.data.commit(self.export, self.inode, 0, 0))
        self.assertEqual(self.sizes(), [10] * 3)

    def test_stable(self) -> None:
        """
        A stable write stays one.
        """
        self.assertEqual(
            self.put(0, b"x", Stable.FILE_SYNC).committed, Stable.FILE_SYNC
        )


class SizeTests(DataFilesCase):
    """
    The size of a file, whoever changes it.
    """

    def grow(self, column: int, size: int) -> None:
        """
        A client with a layout writes to a data server, up to a size.
        """
        name = self.placement().name
        self.now(self.column(column).inner.write(name, size - 1, memoryview(b"x"), 0))

    def test_refresh(self) -> None:
        """
        What a client wrote to the data servers is seen by everybody, in every
        column.
        """
        self.now(self.data.ensure(self.export, self.inode))
        self.clock.advance(10)
        self.grow(1, 70_000)
        change = self.inode.change
        self.refresh()
        self.assertEqual((self.inode.size, self.sizes()), (70_000, [70_000] * 3))
        self.assertGreater(self.inode.change, change)
        self.assertEqual(self.inode.mtime, self.wallTime())

    def test_everyWrite(self) -> None:
        """
        Each write moves the change attribute, though it writes what is there and the
        next comes in a microsecond (change must advance on every modification: pynfs
        WRT18).
        """
        seen = [self.inode.change]
        for _ in range(5):
            self.clock.advance(1e-6)
            self.put(0, b"text")
            seen.append(self.inode.change)
        self.assertEqual(seen, sorted(set(seen)))

    def test_refreshQuiet(self) -> None:
        """
        When nobody wrote, asking changes nothing: caches stay valid.
        """
        self.put(0, b"x" * (3 * UNIT))
        self.refresh()
        self.clock.advance(1)
        self.refresh()
        change, ctime = self.inode.change, self.inode.ctime
        self.clock.advance(10)
        self.refresh()
        self.assertEqual((self.inode.change, self.inode.ctime), (change, ctime))

    def test_sizeAlone(self) -> None:
        """
        The size alone is asked for without recording it, or making shorter data files
        longer.
        """
        self.now(self.data.ensure(self.export, self.inode))
        self.grow(1, 70_000)
        sizes = self.sizes()
        self.assertEqual(self.now(self.data.size(self.export, self.inode)), 70_000)
        self.assertEqual((self.inode.size, self.sizes()), (0, sizes))
        self.refresh()
        self.put(0, b"x")
        self.assertEqual(self.now(self.data.size(self.export, self.inode)), 70_000)

    def test_sizeOfNothing(self) -> None:
        """
        Nobody is asked for the size of a file that has no data.
        """
        self.assertEqual(self.now(self.data.size(self.export, self.inode)), 0)

    def test_sizeAndTruncate(self) -> None:
        """
        It is asked for before a truncation or after it: not the one is told when the
        other is so.
        """
        self.put(0, b"x" * 1000)
        held = self.ds[0].hold("setattr")
        cutting = self.begin(self.data.truncate(self.export, self.inode, 10))
        asking = self.begin(self.data.size(self.export, self.inode))
        self.assertNoResult(asking)
        held.callback(None)
        self.successResultOf(cutting)
        self.assertEqual(self.successResultOf(asking), 10)

    def test_refreshShared(self) -> None:
        """
        Many who ask at a time share one round after the one under way.
        """
        self.now(self.data.ensure(self.export, self.inode))
        held = self.ds[0].hold("getattr")
        asking = [
            self.begin(self.data.refresh(self.export, self.inode)) for _ in range(5)
        ]
        self.grow(2, 5)
        held.callback(None)
        for one in asking:
            self.successResultOf(one)
        self.assertEqual(self.ds[0].calls.count("getattr"), 2)
        self.assertEqual(self.inode.size, 5)

    def test_refreshDown(self) -> None:
        """
        A column that does not answer makes asking fail; nothing is stored.
        """
        self.put(0, b"abc")
        self.column(0).down = True
        self.fails(self.data.refresh(self.export, self.inode), Unreachable)
        self.assertEqual(self.inode.size, 3)
        self.column(0).down = False
        self.probe()
        self.refresh()

    def test_space(self) -> None:
        """
        A hole takes no space, and one that is filled does: that is told when a write
        is durable, also if no COMMIT comes.
        """
        for stable in (Stable.FILE_SYNC, Stable.UNSTABLE):
            with self.subTest(stable=stable):
                for offset in (0, 40 * UNIT, 20 * UNIT):
                    self.put(offset, pattern(UNIT), stable)
                if stable is Stable.UNSTABLE:
                    self.now(self.data.commit(self.export, self.inode, 0, 0))
                name = self.placement().name
                stored = [ds.inner.peek(name) for ds in self.ds]
                used = sum(each.used for each in stored if each is not None)
                self.assertEqual(self.inode.used, used)
                self.assertLess(used, self.inode.size)
                self.now(self.data.truncate(self.export, self.inode, 0))
                self.now(self.data.refresh(self.export, self.inode))

    def test_writesStoreInTurn(self) -> None:
        """
        Of two writes at a time the one that ends later does not take back the size
        that the other one has stored, however slow the metadata are.
        """
        self.now(self.data.ensure(self.export, self.inode))
        store = self.tree.storeDataAttributes
        slow: list[Deferred[None]] = [Deferred()]

        async def later(*arguments: Any) -> None:
            if slow:
                await slow.pop()
            await store(*arguments)

        self.patch(self.tree, "storeDataAttributes", later)
        held = slow[0]
        first = self.begin(
            self.data.write(self.export, self.inode, 0, memoryview(b"a"), 0)
        )
        second = self.begin(
            self.data.write(self.export, self.inode, 5, memoryview(b"b"), 0)
        )
        held.callback(None)
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertEqual(self.inode.size, 6)

    def test_refreshAndWrite(self) -> None:
        """
        A write during the question is not forgotten by its answer.
        """
        self.put(0, b"x" * 10)
        held = self.ds[0].hold("after getattr")
        asking = self.begin(self.data.refresh(self.export, self.inode))
        writing = self.begin(self.write(10, b"y" * 90))
        held.callback(None)
        self.successResultOf(asking)
        self.successResultOf(writing)
        self.assertEqual(self.inode.size, 100)
        self.assertEqual(self.get(0, 200)[0], b"x" * 10 + b"y" * 90)

    def test_refreshAndTruncate(self) -> None:
        """
        An answer from before a truncation does not bring the old size back.
        """
        self.put(0, b"x" * 1000)
        held = self.ds[0].hold("after getattr")
        asking = self.begin(self.data.refresh(self.export, self.inode))
        cutting = self.begin(self.data.truncate(self.export, self.inode, 10))
        self.assertNoResult(cutting)
        held.callback(None)
        self.successResultOf(asking)
        self.successResultOf(cutting)
        self.refresh()
        self.assertEqual((self.inode.size, self.sizes()), (10, [10] * 3))

    def test_writeAndTruncate(self) -> None:
        """
        A write and a truncation at the same time: as if one came after the other.
        """
        self.put(0, b"x" * 10)
        slow = self.column(0).hold("after write")
        writing = self.begin(self.write(0, b"y" * 1000))
        cutting = self.begin(self.data.truncate(self.export, self.inode, 5))
        self.assertNoResult(cutting)
        slow.callback(None)
        self.successResultOf(writing)
        self.successResultOf(cutting)
        self.assertEqual((self.inode.size, self.get(0, 100)), (5, (b"y" * 5, True)))

    def test_truncate(self) -> None:
        """
        What is cut off is zero when the file grows again, in every column.
        """
        self.put(0, pattern(3 * UNIT))
        self.now(self.data.truncate(self.export, self.inode, 10))
        self.assertEqual((self.inode.size, self.sizes()), (10, [10] * 3))
        self.now(self.data.truncate(self.export, self.inode, 3 * UNIT))
        self.assertEqual(
            self.get(0, 1 << 20), (pattern(10) + bytes(3 * UNIT - 10), True)
        )

    def test_truncateDown(self) -> None:
        """
        With a data server down nothing is cut off anywhere.
        """
        self.put(0, pattern(3 * UNIT))
        self.column(2).down = True
        self.fails(self.data.read(self.export, self.inode, 2 * UNIT, 1), Unreachable)
        self.fails(self.data.truncate(self.export, self.inode, 10), Unreachable)
        self.assertEqual(self.inode.size, 3 * UNIT)
        self.assertEqual(self.get(0, UNIT)[0], pattern(UNIT))

    def test_owner(self) -> None:
        """
        chown and chmod reach the data servers, the later one wins.
        """
        self.put(0, b"x")
        slow = self.ds[0].hold("setattr")
        first = self.begin(self.data.applyOwner(self.export, self.inode))
        self.now(self.tree.setattr(self.inode, SetAttributes(mode=0o600, uid=7)))
        second = self.begin(self.data.applyOwner(self.export, self.inode))
        slow.callback(None)
        self.successResultOf(first)
        self.successResultOf(second)
        for ds in self.ds:
            found = ds.inner.peek(self.placement().name)
            assert found is not None
            self.assertEqual((found.mode, found.uid), (0o600, 7))

    def test_listed(self) -> None:
        """
        Data files of a file with an access control list are open to who has a
        handle, also those made later; without it they get the file's mode.
        """
        given = ACL((ACE(0, 0, 6, 1001),))
        self.now(self.tree.setattr(self.inode, SetAttributes(acl=given, mode=0)))
        self.put(0, b"x")

        def modes() -> set[int]:
            name = self.placement().name
            found = [ds.inner.peek(name) for ds in self.ds]
            return {attributes.mode for attributes in found if attributes is not None}

        self.assertEqual(modes(), {0o666})
        changes = SetAttributes(acl=MODE_ONLY, mode=0o600)
        self.now(self.tree.setattr(self.inode, changes))
        self.now(self.data.applyOwner(self.export, self.inode))
        self.assertEqual(modes(), {0o600})

    def test_times(self) -> None:
        """
        A modification time that a client has set (C{cp -p}) is not replaced by that
        of its last write.
        """
        self.put(0, b"x" * (3 * UNIT))
        self.refresh()
        self.now(self.tree.setattr(self.inode, SetAttributes(mtime=10**18)))
        self.now(self.data.applyTimes(self.export, self.inode))
        self.clock.advance(5)
        self.refresh()
        self.assertEqual(self.inode.mtime, 10**18)
        self.grow(0, 3 * UNIT)
        self.refresh()
        self.assertEqual(self.inode.mtime, self.wallTime())


class MirrorTests(MirroredCase):
    """
    A file of two copies.
    """

    def test_both(self) -> None:
        """
        Both copies hold every byte.
        """
        self.put(0, b"hello")
        placement = self.placement()
        self.assertEqual(len(placement.columns[0]), 2)
        for uuid in placement.columns[0]:
            found = self.now(self.byUUID(uuid).inner.read(placement.name, 0, 9))
            self.assertEqual(bytes(found.pieces[0]), b"hello")

    def test_readOther(self) -> None:
        """
        Any one copy is enough for reading: whether a data server is down, has lost
        its file, or has been taken out.
        """
        self.put(0, b"hello")
        first, second = (self.byUUID(u) for u in self.placement().columns[0])
        first.down = True
        self.assertEqual(self.get(0, 10), (b"hello", True))
        first.down = False
        self.probe()
        first.failing["read"] = IOFailed("bad sector")
        self.assertEqual(self.get(0, 10), (b"hello", True))
        self.now(first.inner.remove(self.placement().name))
        self.assertEqual(self.get(0, 10), (b"hello", True))
        self.now(self.servers.discard(self.servers.byUUID(first.uuid)))
        self.assertEqual(self.get(0, 10), (b"hello", True))
        self.now(self.servers.discard(self.servers.byUUID(second.uuid)))
        self.fails(self.data.read(self.export, self.inode, 0, 5), Unreachable)

    def test_writeNeedsAll(self) -> None:
        """
        A write that one copy did not take has not happened: it is to be repeated.
        """
        self.put(0, b"hello")
        second = self.byUUID(self.placement().columns[0][1])
        second.down = True
        self.fails(self.write(5, b" world"), Unreachable)
        self.assertEqual(self.inode.size, 5)
        second.down = False
        self.probe()
        self.put(5, b" world")
        self.assertEqual(self.get(0, 20)[0], b"hello world")

    def test_refreshOne(self) -> None:
        """
        The size is known from one copy; the other is brought up to it later.
        """
        self.put(0, b"hello")
        first, second = (self.byUUID(u) for u in self.placement().columns[0])
        self.now(first.inner.extend(self.placement().name, 50))
        second.down = True
        self.refresh()
        self.assertEqual(self.inode.size, 50)
        second.down = False
        self.probe()
        self.refresh()
        self.assertEqual(
            [ds.inner.peek(self.placement().name).size for ds in (first, second)],
            [50, 50],
        )

    def test_tooFew(self) -> None:
        """
        With two of three down no new mirrored file can be made for now.
        """
        self.ds[0].down = self.ds[1].down = True
        self.fails(self.data.ensure(self.export, self.inode), Unreachable)
        self.assertEqual(self.objects(), [0, 0, 0])

    def test_noted(self) -> None:
        """
        Whatever changes the bytes of several mirrors is noted before a data server
        hears of it, until all have answered: writing, truncation, holes, space.
        """
        self.put(0, pattern(100_000))
        under: list[str] = []

        @contextmanager
        def noted(export: Any, inode: Any, placement: Any) -> Iterator[None]:
            under.append(placement.name)
            yield
            under.pop()

        self.data.noted = noted
        export, inode, data = self.export, self.inode, self.data
        second = self.byUUID(self.placement().columns[0][1])
        changes: dict[str, Callable[[], Any]] = {
            "write": lambda: self.write(0, b"again"),
            "setattr": lambda: data.truncate(export, inode, 50_000),
            "deallocate": lambda: data.deallocate(export, inode, 0, 4096),
            "allocate": lambda: data.allocate(export, inode, 0, 4096),
        }
        for name, change in changes.items():
            held = second.hold(name)
            running = self.begin(change())
            self.assertEqual(under, [self.placement().name], name)
            held.callback(None)
            self.successResultOf(running)
            self.assertEqual(under, [], name)


class FenceTests(DataFilesCase):
    """
    Handles given out before become worthless.
    """

    def epochs(self) -> list[int]:
        """
        The file's epoch at each data server.
        """
        found = [ds.inner.peek(self.placement().name) for ds in self.ds]
        return [attributes.epoch if attributes else 0 for attributes in found]

    def test_fence(self) -> None:
        """
        The epoch rises at all data servers and in new handles.
        """
        old = self.data.mint(
            self.now(self.data.ensure(self.export, self.inode)), IOMode.RW
        )
        self.now(self.data.fence(self.export, self.inode))
        self.assertEqual(self.epochs(), [2, 2, 2])
        new = self.data.mint(self.placement(), IOMode.RW)
        self.assertEqual(self.capabilities.decode(old).epoch, 1)
        self.assertEqual(self.capabilities.decode(new).epoch, 2)

    def test_nothing(self) -> None:
        """
        A file without data files needs no fence.
        """
        self.now(self.data.fence(self.export, self.inode))
        self.assertIsNone(self.placement())

    def test_down(self) -> None:
        """
        One that is down is fenced before anything else when it answers again, even
        if the MDS was restarted in between.
        """
        self.now(self.data.ensure(self.export, self.inode))
        self.ds[1].down = True
        self.now(self.data.fence(self.export, self.inode))
        self.assertEqual(self.epochs(), [2, 1, 2])
        self.boot()
        self.ds[1].down = False
        self.ds[1].calls.clear()
        self.probe()
        self.assertEqual(self.epochs(), [2, 2, 2])
        calls = self.ds[1].calls
        self.assertEqual(calls[: calls.index("fence")], ["start", "statfs"])
        self.boot()
        self.ds[1].calls.clear()
        self.probe()
        self.assertNotIn("fence", self.ds[1].calls)

    def test_downIsQuick(self) -> None:
        """
        The client that waits does not wait for one that is known to be down.
        """
        self.now(self.data.ensure(self.export, self.inode))
        self.ds[1].down = True
        self.probe()
        self.ds[1].hold("fence")
        self.now(self.data.fence(self.export, self.inode))

    def test_gone(self) -> None:
        """
        An object that is not there needs no fence.
        """
        self.now(self.data.ensure(self.export, self.inode))
        self.now(self.ds[1].inner.remove(self.placement().name))
        self.now(self.data.fence(self.export, self.inode))


class RemovalTests(DataFilesCase):
    """
    Data files go away in the background.
    """

    def removed(self) -> None:
        """
        The file's last name goes.
        """
        placement = self.now(self.data.ensure(self.export, self.inode))
        self.now(self.tree.enqueueRemoval(placement, False))
        self.data.forget(self.export, placement)

    def pending(self) -> int:
        """
        How many are in the durable queue.
        """
        return len(self.now(self.tree.pendingRemovals()))

    def test_removed(self) -> None:
        """
        All data files go, and the queue is empty.
        """
        self.removed()
        self.assertEqual((self.objects(), self.pending()), ([0, 0, 0], 0))

    def test_down(self) -> None:
        """
        What a data server that is down still has goes when it is back; one timer
        is enough for all.
        """
        self.now(self.data.ensure(self.export, self.inode))
        others = [self.make(b"%d" % n) for n in range(50)]
        placements = [
            self.now(self.data.ensure(self.export, inode)) for inode in others
        ]
        self.ds[1].down = True
        timers = len(self.clock.getDelayedCalls())
        for placement in placements:
            self.now(self.tree.enqueueRemoval(placement, False))
            self.data.forget(self.export, placement)
        self.assertEqual(len(self.clock.getDelayedCalls()), timers + 1)
        self.assertEqual((self.objects(), self.pending()), ([1, 51, 1], 50))
        self.assertEqual(len(self.data.removals), 50)
        self.clock.advance(RETRY_SECONDS)
        self.ds[1].down = False
        self.probe()
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual((self.objects(), self.pending()), ([1, 1, 1], 0))
        self.assertEqual(len(self.data.removals), 0)

    def test_gone(self) -> None:
        """
        Data files that are gone already are no problem.
        """
        placement = self.now(self.data.ensure(self.export, self.inode))
        self.now(self.ds[0].inner.remove(placement.name))
        self.removed_(placement)

    def removed_(self, placement: object) -> None:
        """
        Remove, and look whether that was all.
        """
        self.now(self.tree.enqueueRemoval(placement, False))
        self.data.forget(self.export, placement)
        self.assertEqual(self.pending(), 0)

    def test_stop(self) -> None:
        """
        A server that stops leaves no timer, and the rest to its next start.
        """
        self.now(self.data.ensure(self.export, self.inode))
        self.ds[1].down = True
        self.removed()
        self.data.stop()
        self.now(self.servers.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.pending(), 1)
