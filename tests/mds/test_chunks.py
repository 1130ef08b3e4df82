"""
Tests of L{pnfs.mds.chunks}: large mirrored files lie on many data servers.
"""

from __future__ import annotations

from typing import Any, Sequence

import attrs
from twisted.trial.unittest import SynchronousTestCase

import pnfs.mds.transfer
from pnfs.backends.errors import CrossDevice, IOFailed, NoSpace, Unreachable
from pnfs.layouts.striping import CHUNKS_LIMIT
from pnfs.mds.chunks import nextColumns, withColumns
from pnfs.mds.health import Health
from pnfs.nfs4 import requests
from pnfs.values import DataServer, Placement
from tests.contracts.data import readBytes
from tests.mds.faulty import UNIT, ChunksCase, pattern
from tests.mds.test_service import Mounted
from tests.mds.world import SiteCase

CHUNK = 2 * UNIT


def placement(*columns: bytes, stale: bytes = b"") -> Placement:
    """
    Of a file in chunks on data servers that have a letter each.
    """
    return Placement(
        "flexfiles",
        0,
        tuple(tuple(each * 16 for each in _letters(column)) for column in columns),
        b"00",
        chunk=CHUNK,
        stale=tuple(each * 16 for each in _letters(stale)),
    )


def _letters(text: bytes) -> list[bytes]:
    return [bytes([letter]) for letter in text]


def servers(letters: bytes) -> list[DataServer]:
    """
    Data servers.
    """
    return [DataServer(each * 16, each.decode(), ()) for each in _letters(letters)]


class NextColumnsTests(SynchronousTestCase):
    """
    The data servers of the next chunks.
    """

    def columns(self, old: Placement, count: int, *choices: bytes) -> list[bytes]:
        """
        Their letters.
        """
        found = nextColumns(
            old, count, lambda servers: servers, [servers(each) for each in choices]
        )
        return [bytes([uuid[0] for uuid in column]) for column in found]

    def test_spread(self) -> None:
        """
        All data servers get the same share, and never has one two chunks running if
        others can have the next.
        """
        self.assertEqual(
            self.columns(placement(b"AB"), 3, b"ABCD"), [b"CD", b"AB", b"CD"]
        )
        self.assertEqual(
            self.columns(placement(b"AB"), 5, b"ABC"),
            [b"CA", b"BC", b"AB", b"CA", b"BC"],
        )

    def test_policy(self) -> None:
        """
        Where there is a choice the placement policy has it; if it allows none of the
        data servers the others are asked for, and at last the chunk before is followed.
        """

        def order(some: Sequence[DataServer]) -> Sequence[DataServer]:
            if all(server.name == "Z" for server in some):
                raise ValueError("not Z")
            return [s for s in reversed(some) if s.name != "Z"]

        for letters, expected in ((b"ABCZ", b"C"), (b"AZ", b"A"), (b"Z", b"A")):
            (found,) = nextColumns(placement(b"A"), 1, order, [servers(letters)])
            self.assertEqual(found, (expected * 16,))

    def test_few(self) -> None:
        """
        If too few data servers can be used the chunk goes where the one before is.
        """
        self.assertEqual(self.columns(placement(b"CD", b"AB"), 2, b"C"), [b"AB"] * 2)
        self.assertEqual(self.columns(placement(b"AB"), 1), [b"AB"])

    def test_preferred(self) -> None:
        """
        Data servers with room come first; if these are too few, others do.
        """
        self.assertEqual(self.columns(placement(b"AB"), 1, b"AB", b"ABCD"), [b"AB"])
        self.assertEqual(self.columns(placement(b"AB"), 1, b"C", b"ABCD"), [b"CD"])

    def test_stale(self) -> None:
        """
        A data server that misses something of the file gets no further chunk of it.
        """
        stale = placement(b"AB", b"CD", stale=b"A")
        self.assertEqual(self.columns(stale, 2, b"ABCD"), [b"BC", b"DB"])

    def test_moving(self) -> None:
        """
        Nor does one where the file has been or will be: what it has there may be taken
        away at any time by who moves the file.
        """
        moving = attrs.evolve(placement(b"AB"), next=placement(b"AC"))
        self.assertEqual(self.columns(moving, 1, b"ABCDE"), [b"DE"])
        self.assertEqual(self.columns(moving, 1, b"ABCD"), [b"DB"])
        self.assertEqual(self.columns(moving, 1, b"ABC"), [b"AB"])


class WithColumnsTests(SynchronousTestCase):
    """
    Placements with more columns.
    """

    def test_unlessChanged(self) -> None:
        """
        Only the placement for which they were chosen gets them, and none all of whose
        mirrors are stale by now.
        """
        old = placement(b"AB")
        more = placement(b"CD").columns
        self.assertEqual(withColumns(old, old, more), placement(b"AB", b"CD"))
        for other in (placement(b"AC"), placement(b"AB", stale=b"CD")):
            self.assertIs(withColumns(other, old, more), other)
        degraded = placement(b"AB", stale=b"C")
        self.assertEqual(
            withColumns(degraded, old, more), placement(b"AB", b"CD", stale=b"C")
        )

    def test_moving(self) -> None:
        """
        A file that is being moved grows in both places, if it keeps its chunks.
        """
        target = placement(b"EF")
        moving = attrs.evolve(placement(b"AB"), next=target)
        more = placement(b"CD").columns
        found = withColumns(moving, moving, more)
        self.assertEqual(found.next, placement(b"EF", b"CD"))
        striped = attrs.evolve(target, chunk=0)
        moving = attrs.evolve(moving, next=striped)
        self.assertEqual(withColumns(moving, moving, more).next, striped)

    def test_movedThereMeanwhile(self) -> None:
        """
        What is being copied to a data server that had nothing of the file would be
        written over: others are to be chosen.
        """
        old = placement(b"AB")
        for target in (b"AC", b"DC"):
            moving = attrs.evolve(old, next=placement(target))
            self.assertIs(withColumns(moving, old, placement(b"CE").columns), moving)
        moving = attrs.evolve(old, next=placement(b"AC"))
        found = withColumns(moving, old, placement(b"BA").columns)
        self.assertEqual(found.columns, placement(b"AB", b"BA").columns)


class GrowingCase(ChunksCase):
    """
    A file on four data servers, each chunk on two of them.
    """

    def letters(self) -> list[tuple[int, ...]]:
        """
        The numbers of the data servers of each chunk.
        """
        numbers = {ds.uuid: number for number, ds in enumerate(self.ds)}
        return [
            tuple(numbers[uuid] for uuid in column)
            for column in self.placement().columns
        ]

    def whole(self) -> bytes:
        """
        All that is in the file.
        """
        return self.get(0, 64 * CHUNK)[0]

    def has(self, number: int) -> bytes:
        """
        All that a data server has of the file.
        """
        ds = self.ds[number].inner
        found = self.now(ds.read(self.placement().name, 0, 1 << 30))
        return readBytes(found)


class GrowingTests(GrowingCase):
    """
    Files grow.
    """

    def test_write(self) -> None:
        """
        What is written through the metadata server lies chunk by chunk on all data
        servers, with every byte where it is in the file, and is read back.
        """
        data = pattern(3 * CHUNK + 5)
        self.put(0, data)
        first, second, third, fourth = map(set, self.letters())
        self.assertEqual(first | second, {0, 1, 2, 3})
        self.assertEqual((third, fourth), (first, second))
        self.assertTrue(self.whole() == data)
        self.refresh()
        self.assertEqual(self.sizes(), [len(data)] * 4)
        self.assertEqual(self.inode.used, 7 * UNIT)
        number = min(first)
        mine = data[:CHUNK] + bytes(CHUNK) + data[2 * CHUNK : 3 * CHUNK] + bytes(5)
        self.assertTrue(self.has(number) == mine)

    def test_oneChunk(self) -> None:
        """
        A small file has one chunk, and nothing on other data servers.
        """
        self.put(0, pattern(CHUNK))
        self.assertEqual(len(self.letters()), 1)
        self.assertEqual(sorted(self.objects()), [0, 0, 1, 1])

    def test_appended(self) -> None:
        """
        Who writes across the border of the last chunk does not notice it.
        """
        data = pattern(CHUNK + 100)
        self.put(0, data[: CHUNK - 10])
        self.put(CHUNK - 10, data[CHUNK - 10 :])
        self.assertTrue(self.whole() == data)

    def test_gap(self) -> None:
        """
        What is skipped is a hole, in chunks that are there.
        """
        self.put(0, b"begin")
        self.put(3 * CHUNK, b"end")
        self.assertEqual(len(self.letters()), 4)
        self.assertTrue(self.whole() == b"begin" + bytes(3 * CHUNK - 5) + b"end")

    def test_layout(self) -> None:
        """
        For a layout to write with there are as many chunks as it takes, before it is
        given; for one to read with none is added.
        """
        placement = self.now(self.data.ensure(self.export, self.inode, True, 1))
        self.assertEqual(len(placement.columns), 1)
        wanted = self.data.ensure(self.export, self.inode, True, 2 * CHUNK + 1)
        self.assertEqual(self.now(wanted), self.placement())
        self.assertEqual(len(self.letters()), 3)
        placement = self.now(self.data.ensure(self.export, self.inode))
        self.assertEqual(len(placement.columns), 3)

    def test_truncate(self) -> None:
        """
        A file that is made larger has all its chunks; one that is made smaller keeps
        them, and nothing of what was there comes back.
        """
        data = pattern(3 * CHUNK)
        self.put(0, data)
        self.now(self.data.truncate(self.export, self.inode, CHUNK + 7))
        self.assertEqual(self.sizes(), [CHUNK + 7] * 4)
        self.assertEqual(len(self.letters()), 3)
        self.now(self.data.truncate(self.export, self.inode, 5 * CHUNK + 1))
        self.assertEqual(len(self.letters()), 6)
        self.assertEqual(self.sizes(), [5 * CHUNK + 1] * 4)
        self.assertTrue(self.whole() == data[: CHUNK + 7] + bytes(4 * CHUNK - 6))

    def test_largeFromTheStart(self) -> None:
        """
        A file that was given a size before it had any data files has as many chunks
        as that takes.
        """
        self.now(self.data.truncate(self.export, self.inode, 4 * CHUNK))
        self.now(self.data.ensure(self.export, self.inode))
        self.assertEqual(len(self.letters()), 4)
        self.assertEqual(self.sizes(), [4 * CHUNK] * 4)

    def test_limit(self) -> None:
        """
        However large a file is said to be, its placement stays small; what is
        written far away is read back.
        """
        self.put(0, b"begin")
        self.now(self.data.truncate(self.export, self.inode, 1 << 60))
        self.assertEqual(len(self.letters()), CHUNKS_LIMIT)
        data = pattern(2 * CHUNK)
        self.put((1 << 59) + 9, data)
        self.assertTrue(self.get((1 << 59) + 9, len(data))[0] == data)
        self.assertEqual(len(self.letters()), CHUNKS_LIMIT)

    def test_afterRestart(self) -> None:
        """
        A metadata server that has been killed finds all chunks again.
        """
        data = pattern(3 * CHUNK)
        self.put(0, data, 2)
        self.boot()
        self.assertTrue(self.whole() == data)

    def test_otherChunk(self) -> None:
        """
        Files keep the chunks that they have when the export gets others, or none; and
        those without keep lying in one place.
        """
        self.put(0, pattern(CHUNK))
        self.export.chunk = 0
        self.put(CHUNK, b"more")
        self.assertEqual(len(self.letters()), 2)
        self.inode = self.make(b"whole")
        self.put(0, pattern(CHUNK + 1))
        self.export.chunk = CHUNK
        self.put(2 * CHUNK, b"more")
        self.assertEqual(len(self.letters()), 1)

    def test_dataFilesFirst(self) -> None:
        """
        No placement names a data file that is not there yet; several who write there
        wait for the same one.
        """
        self.put(0, pattern(CHUNK))
        (first,) = self.letters()
        other = next(n for n in range(4) if n not in first)
        held = self.ds[other].hold("create")
        writes = [self.begin(self.write(CHUNK + n, b"x")) for n in range(3)]
        for write in writes:
            self.assertNoResult(write)
        self.assertEqual(len(self.letters()), 1)
        held.callback(None)
        for write in writes:
            self.successResultOf(write)
        self.assertEqual(len(self.letters()), 2)
        self.assertEqual(self.ds[other].calls.count("create"), 1)

    def test_full(self) -> None:
        """
        A data server that is full is passed over, and nothing is left there.
        """
        self.put(0, pattern(CHUNK))
        (first,) = self.letters()
        full = next(n for n in range(4) if n not in first)
        self.ds[full].failing["create"] = NoSpace("full")
        self.put(CHUNK, b"x")
        self.assertNotIn(full, self.letters()[1])
        self.assertEqual(self.objects()[full], 0)

    def test_silent(self) -> None:
        """
        With only the data servers of the last chunk left that chunk's mirrors get the
        next one, too.
        """
        self.put(0, pattern(CHUNK))
        (first,) = self.letters()
        for number in range(4):
            self.ds[number].down = number not in first
        self.put(CHUNK, b"x")
        self.assertEqual([set(each) for each in self.letters()], [set(first)] * 2)

    def test_failed(self) -> None:
        """
        If a data file cannot be made the writer hears that, the file stays as it was,
        and nothing is left behind.
        """
        self.put(0, pattern(CHUNK))
        (first,) = self.letters()
        a, b = [n for n in range(4) if n not in first]
        self.ds[b].failing["create"] = IOFailed("bad disk")
        self.fails(self.write(CHUNK, b"x"), IOFailed)
        self.assertEqual(self.letters(), [first])
        self.assertEqual((self.objects()[a], self.objects()[b]), (0, 0))
        del self.ds[b].failing["create"]
        self.put(CHUNK, b"x")
        self.assertEqual(len(self.letters()), 2)

    def test_fencedMeanwhile(self) -> None:
        """
        Handles from before a fence are worthless at the new data servers, too.
        """
        self.put(0, pattern(CHUNK))
        (first,) = self.letters()
        other = next(n for n in range(4) if n not in first)
        held = self.ds[other].hold("create")
        writing = self.begin(self.write(CHUNK, b"x"))
        self.now(self.data.fence(self.export, self.inode))
        held.callback(None)
        self.successResultOf(writing)
        placement = self.placement()
        self.assertEqual((placement.epoch, len(placement.columns)), (2, 2))
        for ds in self.ds:
            found = ds.inner.peek(placement.name)
            assert found is not None
            self.assertEqual(found.epoch, 2)

    def moving(self, *numbers: int) -> None:
        """
        The file is to be moved to data servers.
        """
        target = tuple(self.ds[number].uuid for number in numbers)

        def change(old: Placement) -> Placement:
            return attrs.evolve(
                old,
                next=attrs.evolve(old, columns=(target,) * len(old.columns), epoch=1),
            )

        self.now(self.data.moving.placing.change(self.export, self.inode, change))

    def test_movedMeanwhile(self) -> None:
        """
        A chunk that was to be where the file is being moved since goes elsewhere; the
        data file that was made there stays.
        """
        self.put(0, pattern(CHUNK))
        (first,) = self.letters()
        a, b = [n for n in range(4) if n not in first]
        held = self.ds[a].hold("create")
        writing = self.begin(self.write(CHUNK, b"x"))
        self.moving(first[0], a)
        held.callback(None)
        self.successResultOf(writing)
        self.assertNotIn(a, self.letters()[1])
        self.assertEqual(self.objects()[a], 1)
        self.assertEqual(self.objects()[b], 1 if b in self.letters()[1] else 0)

    def test_failedWhileMoved(self) -> None:
        """
        A chunk that could not be made takes nothing away where the file is being moved
        since.
        """
        self.put(0, pattern(CHUNK))
        (first,) = self.letters()
        a, b = [n for n in range(4) if n not in first]
        held = self.ds[b].hold("create")
        self.ds[b].failing["create"] = IOFailed("bad disk")
        writing = self.begin(self.write(CHUNK, b"x"))
        self.moving(first[0], a)
        held.callback(None)
        self.failureResultOf(writing, IOFailed)
        self.assertEqual((self.objects()[a], self.objects()[b]), (1, 0))

    def test_removedWhileOpen(self) -> None:
        """
        A file that has lost its last name while it is open grows all the same, and all
        of its data files are deleted, after a restart, too.
        """
        self.put(0, pattern(CHUNK))
        self.now(self.tree.enqueueRemoval(self.placement(), True))
        self.now(self.tree.remove(self.tree.root, b"f", True))
        self.put(CHUNK, b"x")
        self.now(self.tree.finishRemoval(self.placement(), False))
        (due,) = self.now(self.tree.pendingRemovals())
        self.assertEqual(set(due.everywhere), {ds.uuid for ds in self.ds})


class CopyingTests(GrowingCase):
    """
    Copies and clones.
    """

    def copy(self, inode: Any, offset: int, sourceOffset: int, count: int) -> None:
        """
        Copy from C{f}.
        """
        done = 0
        while done < count:
            result = self.now(
                self.data.copy(
                    self.export,
                    inode,
                    offset + done,
                    self.export,
                    self.inode,
                    sourceOffset + done,
                    count - done,
                )
            )
            self.assertGreater(result.count, 0)
            done += result.count

    def test_copy(self) -> None:
        """
        A copy has the same bytes, whole or shifted, and whatever the chunks are.
        """
        data = pattern(3 * CHUNK + 77)
        self.put(0, data)
        source = self.inode
        for number, (chunk, offset, start, count) in enumerate(
            [
                (CHUNK, 0, 0, len(data)),
                (CHUNK, 5, 100, 2 * CHUNK),
                (UNIT, UNIT + 3, 0, 2 * CHUNK),
                (0, 0, UNIT, 2 * CHUNK),
            ]
        ):
            self.export.chunk = chunk
            other = self.make(b"g%d" % number)
            self.copy(other, offset, start, count)
            self.inode = other
            found = self.whole()
            self.inode = source
            self.assertTrue(found == bytes(offset) + data[start : start + count])

    def test_clone(self) -> None:
        """
        A new file shares the bytes of all chunks; one whose chunks lie elsewhere
        cannot.
        """
        data = pattern(3 * CHUNK)
        self.put(0, data)
        source = self.inode
        other = self.make(b"g")

        def clone(to: Any, offset: int) -> Any:
            return self.data.clone(
                self.export, to, offset, self.export, source, 0, 3 * CHUNK
            )

        self.now(clone(other, 0))
        self.inode = other
        self.assertTrue(self.whole() == data)
        self.fails(clone(other, CHUNK), CrossDevice)


class DegradedTests(GrowingCase):
    """
    A data server is lost while a file grows.
    """

    def setUp(self) -> None:
        """
        Files go on without it.
        """
        super().setUp()
        self.patch(pnfs.mds.transfer, "SMALL", 1024)
        self.health = Health(self.servers, self.clock, 5.0)
        self.servers.onUp = self.health.answers
        self.data.degrading.enabled = True

    def lose(self, number: int) -> None:
        """
        A data server is condemned.
        """
        self.ds[number].down = True
        self.health.kill(self.servers.byUUID(self.ds[number].uuid))
        self.health.enable(self.servers.byUUID(self.ds[number].uuid))

    def repair(self, number: int) -> None:
        """
        It answers again, and is given what it has missed.
        """
        self.ds[number].down = False
        self.probe()
        uuid = self.ds[number].uuid

        async def told(count: int) -> None:
            pass

        repair = self.data.repair
        ready = self.now(repair.ahead(self.export, self.inode, uuid, told))
        done = repair.finish(self.export, self.inode, uuid, ready, told)
        self.assertTrue(self.now(done))

    def assertMirrored(self, data: bytes) -> None:
        """
        Each mirror of each chunk has its bytes, and comparing them finds nothing.
        """
        self.assertEqual(self.placement().stale, ())
        self.assertTrue(self.whole() == data)
        for number, column in enumerate(self.letters()):
            part = slice(number * CHUNK, (number + 1) * CHUNK)
            for ds in column:
                self.assertTrue(self.has(ds)[part] == data[part], (number, ds))
        compared = self.data.repair.compare(self.export, self.inode)
        self.assertEqual(self.now(compared), {})

    def test_lost(self) -> None:
        """
        The file goes on without a lost mirror of any of its chunks, is given further
        ones elsewhere, and the mirror catches up with all chunks that it has.
        """
        data = bytearray(pattern(4 * CHUNK))
        self.put(0, bytes(data))
        lost = self.letters()[1][0]
        self.lose(lost)
        more = pattern(2 * CHUNK, 9)
        self.put(3 * CHUNK - 50, more)
        data[3 * CHUNK - 50 :] = more
        self.assertEqual(self.placement().stale, (self.ds[lost].uuid,))
        self.assertNotIn(lost, self.letters()[4])
        self.assertTrue(self.whole() == data)
        self.repair(lost)
        self.assertMirrored(bytes(data))

    def test_lastCopy(self) -> None:
        """
        That a data server has the only good copy of one chunk is enough not to go on
        without it.
        """
        self.put(0, pattern(2 * CHUNK))
        first, second = self.letters()
        self.lose(second[0])
        self.put(CHUNK, b"x")
        self.lose(second[1])
        self.fails(self.write(CHUNK, b"y"), Unreachable)
        self.assertEqual(self.placement().stale, (self.ds[second[0]].uuid,))

    def test_allButTwo(self) -> None:
        """
        With too few data servers for another chunk the last one's mirrors get it, the
        lost one of them when it is repaired.
        """
        data = pattern(CHUNK)
        self.put(0, data)
        (first,) = self.letters()
        for number in range(4):
            if number != first[0]:
                self.lose(number)
        self.put(CHUNK, b"more")
        self.assertEqual(self.letters(), [first, first])
        self.repair(first[1])
        self.assertMirrored(data + b"more")

    def test_compare(self) -> None:
        """
        A mirror of a later chunk with wrong bytes is found.
        """
        self.put(0, pattern(3 * CHUNK))
        bad = self.ds[self.letters()[2][1]]
        place = 2 * CHUNK + 17
        self.now(bad.inner.write(self.placement().name, place, memoryview(b"?"), 0))
        found = self.now(self.data.repair.compare(self.export, self.inode))
        self.assertEqual(list(found), [bad.uuid])
        ((offset, length),) = found[bad.uuid]
        self.assertTrue(offset <= place < offset + length)


class RemovedTests(SiteCase):
    """
    A whole site.
    """

    layout = "flexfiles"
    count = 4
    chunk = CHUNK

    def test_removedWhileOpen(self) -> None:
        """
        A file that has lost its name while it is open is given further chunks, and when
        it is closed nothing of it is left on any data server.
        """
        client = self.client()
        mounted = Mounted(self, client)
        self.now(client.connect())
        fh, stateid = mounted.create(b"f")
        mounted.write(fh, stateid, 0, b"one")
        gone = mounted.run(
            requests.PUTROOTFH, requests.lookup(b"export"), requests.remove(b"f")
        )
        for number in (24, 15, 28):
            gone.operation(number)
        mounted.write(fh, stateid, 3 * CHUNK, b"four")
        self.assertEqual(self.objects(), [1] * 4)
        closed = mounted.run(requests.putfh(fh), requests.close(stateid))
        closed.operation(22)
        closed.operation(4)
        self.clock.pump([1] * 3)
        self.assertEqual(self.objects(), [0] * 4)

    def objects(self) -> list[int]:
        """
        How many data files each data server has.
        """
        return [len(self.now(ds.list(b"", 10))) for ds in self.backends]
