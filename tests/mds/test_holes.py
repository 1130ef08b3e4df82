"""
Tests of L{pnfs.mds.holes}: holes of files that lie on several data servers.
"""

from __future__ import annotations

import random
from typing import Any, Optional

from pnfs.backends.errors import NoSpace, Unreachable, Unsupported
from pnfs.layouts.flexfiles import FlexFilesLayoutDriver
from pnfs.layouts.striping import CHUNKS_LIMIT
from pnfs.mds import holes
from tests.contracts.holes import segmentsBytes
from tests.mds.faulty import UNIT, ChunksCase, DataFilesCase, pattern


class HolesCase(DataFilesCase):
    """
    Questions about holes.
    """

    def seek(self, offset: int, hole: bool) -> Optional[int]:
        """
        Where the next data or hole is.
        """
        found: Optional[int] = self.now(
            self.data.seek(self.export, self.inode, offset, hole)
        )
        return found

    def segments(self, offset: int, count: int) -> tuple[Any, bytes, bool]:
        """
        Read: where data is, all bytes, eof.
        """
        result = self.now(
            self.data.readSegments(self.export, self.inode, offset, count)
        )
        return (*segmentsBytes(result), result.eof)

    def allocate(self, offset: int, length: int) -> Any:
        """
        Reserve space. @return: a coroutine.
        """
        return self.data.allocate(self.export, self.inode, offset, length)

    def deallocate(self, offset: int, length: int) -> Any:
        """
        Make a hole. @return: a coroutine.
        """
        return self.data.deallocate(self.export, self.inode, offset, length)

    def calls(self, name: str) -> int:
        """
        How often the data servers were asked.
        """
        return sum(ds.calls.count(name) for ds in self.ds)


class _EveryPlacement(HolesCase):
    """
    What holds wherever the bytes are.
    """

    def test_random(self) -> None:
        """
        Whatever is written, punched, reserved and cut off, the file has the bytes
        that a local one would have, and its holes are where that one's could be.
        """
        random_ = random.Random(7)
        model = bytearray()
        for step in range(150):
            offset = random_.randrange(12 * UNIT)
            length = random_.choice([1, 100, UNIT, 3 * UNIT, 7 * UNIT])
            end = offset + length
            what = random_.choice(["write", "punch", "punch", "allocate", "truncate"])
            if what == "write":
                data = pattern(min(length, 2 * UNIT), step)
                self.put(offset, data)
                model.extend(bytes(max(0, offset + len(data) - len(model))))
                model[offset : offset + len(data)] = data
            elif what == "punch":
                self.now(self.deallocate(offset, length))
                stop = min(end, len(model))
                model[offset:stop] = bytes(max(0, stop - offset))
            elif what == "allocate":
                self.now(self.allocate(offset, length))
                model.extend(bytes(max(0, end - len(model))))
            elif step % 3 == 0:
                self.now(self.data.truncate(self.export, self.inode, offset))
                del model[offset:]
                model.extend(bytes(offset - len(model)))
            self.assertEqual(self.inode.size, len(model), (step, what))
            self.check(bytes(model), random_)

    def check(self, model: bytes, random_: random.Random) -> None:
        """
        The file is like the model.
        """
        size = len(model)
        start, count = random_.randrange(14 * UNIT), random_.choice([9, UNIT, 9 * UNIT])
        expected = model[start : start + count]
        where, data, eof = self.segments(start, count)
        self.assertTrue(data == expected)
        self.assertEqual(eof, start + count >= size)
        self.assertTrue(self.get(start, count)[0] == expected)
        if start >= size:
            return
        hole, found = self.seek(start, True), self.seek(start, False)
        assert hole is not None
        self.assertTrue(start <= hole <= size)
        self.assertFalse(any(model[start : found if found is not None else size]))
        if hole < size:
            # A hole is nothing but zeros up to the data that follows it.
            after = self.seek(hole, False)
            self.assertNotEqual(after, hole)
            self.assertFalse(any(model[hole : size if after is None else after]))

    def test_unplaced(self) -> None:
        """
        A file without data files that was given a size is one hole.
        """
        self.now(self.data.truncate(self.export, self.inode, 5 * UNIT))
        self.assertEqual((self.seek(7, True), self.seek(7, False)), (7, None))
        self.assertEqual(self.segments(UNIT, 10), ([], bytes(10), False))
        change = self.inode.change
        self.clock.advance(1)
        self.now(self.deallocate(0, UNIT))
        self.assertGreater(self.inode.change, change)
        self.assertEqual(self.inode.size, 5 * UNIT)
        self.assertFalse(self.inode.hasPlacement)
        advised = self.data.advise(self.export, self.inode, 0, 0, 1)
        self.assertEqual(self.now(advised), 0)

    def test_end(self) -> None:
        """
        Behind the end there is neither data nor hole, and nobody is asked.
        """
        self.put(0, b"abc")
        self.assertEqual((self.seek(3, True), self.seek(1 << 63, False)), (None, None))
        self.assertEqual(self.segments(3, 10), ([], b"", True))
        self.assertEqual(self.calls("seek"), 0)

    def test_space(self) -> None:
        """
        Reserved space counts as used, and a hole gives it back.
        """
        self.now(self.allocate(0, 6 * UNIT))
        self.assertEqual(self.inode.used, 6 * UNIT)
        self.assertEqual(self.inode.size, 6 * UNIT)
        change = self.inode.change
        self.clock.advance(1)
        self.now(self.deallocate(2 * UNIT, 3 * UNIT))
        self.assertEqual((self.inode.used, self.inode.size), (3 * UNIT, 6 * UNIT))
        self.assertGreater(self.inode.change, change)

    def test_reservedIsThere(self) -> None:
        """
        What has been reserved can be written when the storage is full.
        """
        self.now(self.allocate(0, 3 * UNIT))
        for ds in self.ds:
            ds.inner.capacity = 0
        self.assertEqual(self.put(0, pattern(3 * UNIT)).count, 3 * UNIT)
        self.assertEqual(self.get(0, 3 * UNIT)[0], pattern(3 * UNIT))

    def test_noRoom(self) -> None:
        """
        More than there can be is refused at once, and takes nothing.
        """
        self.put(0, b"abc")
        self.fails(self.allocate(0, 1 << 62), NoSpace)
        self.assertEqual(self.calls("allocate"), 0)
        self.assertEqual(self.inode.size, 3)

    def test_failed(self) -> None:
        """
        If one data server has no space the file does not grow, then or later.
        """
        self.put(0, b"abc")
        self.byUUID(self.placement().dataServers[1]).failing["allocate"] = NoSpace("no")
        self.fails(self.allocate(0, 5 * UNIT), NoSpace)
        self.refresh()
        self.assertEqual(self.inode.size, 3)

    def test_pieces(self) -> None:
        """
        What takes long is done in pieces, so that no data server seems to be down:
        what lies in the file piece by piece, and what may be behind it at once.
        """
        self.patch(holes, "_PIECE", 2 * UNIT)
        data = pattern(5 * UNIT)
        self.put(0, data)
        self.now(self.deallocate(10, 1 << 62))
        servers = len(self.placement().dataServers)
        self.assertEqual(self.calls("deallocate"), 4 * servers)
        self.assertTrue(self.get(0, 6 * UNIT)[0] == data[:10] + bytes(5 * UNIT - 10))
        self.now(self.allocate(10, 5 * UNIT))
        self.assertTrue(self.get(0, 6 * UNIT)[0] == data[:10] + bytes(5 * UNIT))

    def test_behindKnownEnd(self) -> None:
        """
        What a client has written through a layout, without having told it yet, is in
        the hole, too.
        """
        self.put(0, pattern(UNIT))
        column = self.column(0).inner
        at = UNIT * len(self.placement().columns)
        self.now(column.write(self.placement().name, at, memoryview(b"new"), 0))
        self.now(self.deallocate(10, 1 << 62))
        self.assertEqual(self.inode.size, at + 3)
        expected = pattern(UNIT)[:10] + bytes(at + 3 - 10)
        self.assertTrue(self.get(0, 9 * UNIT)[0] == expected)

    def test_unsupported(self) -> None:
        """
        A data server that cannot is no reason for an error of ours.
        """
        self.put(0, b"abc")
        self.byUUID(self.placement().dataServers[0]).failing["allocate"] = Unsupported()
        self.fails(self.allocate(0, 10), Unsupported)

    def test_downHole(self) -> None:
        """
        A hole is made on all data servers or the client is to come again.
        """
        self.put(0, pattern(3 * UNIT))
        self.byUUID(self.placement().dataServers[1]).down = True
        self.fails(self.deallocate(0, 3 * UNIT), Unreachable)

    def test_advise(self) -> None:
        """
        A hint matters if it does so everywhere.
        """
        self.put(0, b"abc")

        async def told(*args: Any) -> int:
            return 0b110

        for ds in self.ds:
            ds.advise = told  # type: ignore[attr-defined]
        advised = self.data.advise(self.export, self.inode, 0, 0, 0b11)
        self.assertEqual(self.now(advised), 0b10)


class ChunksTests(_EveryPlacement, ChunksCase):
    """
    Chunks of two mirrors each, on four data servers.
    """

    def test_space(self) -> None:
        """
        Reserved space counts as used, once, and a hole gives it back.
        """
        self.now(self.allocate(0, 6 * UNIT))
        self.assertEqual(self.inode.used, 6 * UNIT)
        self.assertEqual([sorted(self.holding(n)) for n in range(4)].count([]), 0)
        self.now(self.deallocate(0, 6 * UNIT))
        self.assertEqual((self.inode.used, self.inode.size), (0, 6 * UNIT))

    def holding(self, number: int) -> set[int]:
        """
        The columns that a data server has.
        """
        uuid = self.ds[number].uuid
        columns = self.placement().columns
        return {n for n, column in enumerate(columns) if uuid in column}

    def test_seekData(self) -> None:
        """
        Data far away is found with few questions, whatever lies between.
        """
        self.now(self.data.truncate(self.export, self.inode, 1 << 40))
        far = (1 << 39) + 3 * UNIT
        self.put(far, b"there")
        self.assertEqual(self.seek(5, False), far)
        self.assertLess(self.calls("seek"), 2 * CHUNKS_LIMIT + 9)
        self.assertEqual(self.seek(far + UNIT, False), None)

    def test_behindKnownEnd(self) -> None:
        """
        What a client has written through a layout, without having told it yet, is in
        the hole, too.
        """
        self.put(0, pattern(UNIT))
        for uuid in self.placement().columns[0]:
            ds = self.byUUID(uuid).inner
            self.now(ds.write(self.placement().name, UNIT, memoryview(b"new"), 0))
        self.now(self.deallocate(10, 1 << 62))
        self.assertEqual(self.inode.size, UNIT + 3)
        expected = pattern(UNIT)[:10] + bytes(UNIT + 3 - 10)
        self.assertTrue(self.get(0, 9 * UNIT)[0] == expected)

    def test_pieces(self) -> None:
        """
        What takes long is done in pieces within a chunk, too.
        """
        self.patch(holes, "_PIECE", UNIT)
        self.now(self.allocate(10, 5 * UNIT))
        # Five borders, two of them between chunks, and two mirrors of each piece.
        self.assertEqual(self.calls("allocate"), 2 * 6)
        self.assertEqual(self.inode.size, 5 * UNIT + 10)


class StripedHolesTests(_EveryPlacement):
    """
    Three columns of one data server each.
    """

    def test_seekData(self) -> None:
        """
        Data is found in whichever column has it first; a file with little data is
        not searched unit by unit.
        """
        self.now(self.data.truncate(self.export, self.inode, 1 << 40))
        far = (1 << 39) + UNIT
        self.put(far, b"there")
        self.assertEqual(self.seek(5, False), far // UNIT * UNIT)
        self.assertLess(self.calls("seek"), 10)
        self.assertEqual(self.seek(far + UNIT, False), None)

    def test_seekDataHere(self) -> None:
        """
        Data in the stripe unit that was asked for costs one question.
        """
        self.put(0, pattern(9 * UNIT))
        self.assertEqual(self.seek(4 * UNIT + 9, False), 4 * UNIT + 9)
        self.assertEqual(self.calls("seek"), 1)

    def test_seekHole(self) -> None:
        """
        That a column has holes where others have their bytes is no hole.
        """
        self.put(0, pattern(9 * UNIT))
        self.assertEqual(self.seek(0, True), 9 * UNIT)
        self.now(self.deallocate(7 * UNIT, UNIT))
        self.assertEqual(self.seek(3, True), 7 * UNIT)
        self.assertEqual(self.seek(7 * UNIT + 1, True), 7 * UNIT + 1)
        self.assertEqual(self.seek(8 * UNIT, True), 9 * UNIT)

    def test_ragged(self) -> None:
        """
        A column whose object is shorter than the file, as nothing was written there
        yet, has a hole up to the end.
        """
        self.put(0, pattern(UNIT))
        self.put(2 * UNIT, pattern(UNIT))
        self.assertEqual(self.seek(0, True), UNIT)
        self.assertEqual(self.seek(UNIT, False), 2 * UNIT)
        where, data, eof = self.segments(0, 3 * UNIT)
        self.assertEqual(where, [(0, UNIT), (2 * UNIT, UNIT)])
        self.assertTrue(data == pattern(UNIT) + bytes(UNIT) + pattern(UNIT))
        self.assertTrue(eof)

    def test_raggedBit(self) -> None:
        """
        A few bytes that a column lacks are sent as zeros, not as a hole.
        """
        self.put(0, pattern(UNIT - 5))
        self.put(UNIT, pattern(UNIT))
        where, data, _ = self.segments(0, 2 * UNIT)
        self.assertEqual(where, [(0, 2 * UNIT)])
        self.assertTrue(data == pattern(UNIT - 5) + bytes(5) + pattern(UNIT))

    def test_dense(self) -> None:
        """
        Without holes the range is one segment, whatever its stripes.
        """
        data = pattern(7 * UNIT)
        self.put(0, data)
        self.assertTrue(
            self.segments(5, 6 * UNIT) == ([(5, 6 * UNIT)], data[5:][: 6 * UNIT], False)
        )

    def test_ownUnits(self) -> None:
        """
        Each column reserves its own stripe units, not those of the others.
        """
        self.now(self.allocate(UNIT // 2, 6 * UNIT))
        name = self.placement().name
        used = [ds.inner.peek(name).used for ds in self.ds]  # type: ignore[union-attr]
        self.assertEqual(sorted(used), [2 * UNIT, 2 * UNIT, 3 * UNIT])
        self.assertEqual(self.calls("allocate"), 3)

    def test_preallocatedElsewhere(self) -> None:
        """
        Data that an object has in another column's unit is not the file's.
        """
        self.put(0, pattern(4 * UNIT))
        self.now(self.deallocate(UNIT, 2 * UNIT))
        name = self.placement().name
        column = self.column(1).inner
        self.now(column.write(name, 2 * UNIT, memoryview(b"not ours"), 0))
        self.assertEqual(self.seek(UNIT, False), 3 * UNIT)


class MirroredHolesTests(_EveryPlacement):
    """
    Two copies.
    """

    driver = FlexFilesLayoutDriver
    stripeCount = 1
    mirrors = 2

    def test_otherMirror(self) -> None:
        """
        With one mirror down the other is asked.
        """
        self.put(0, pattern(UNIT))
        self.put(3 * UNIT, b"abc")
        self.column(0).down = True
        self.assertEqual(self.seek(0, True), UNIT)
        self.assertEqual(self.segments(UNIT, 2 * UNIT + 3)[0], [(3 * UNIT, 3)])

    def test_bothReserve(self) -> None:
        """
        Both mirrors reserve the space, and both lose it.
        """
        self.now(self.allocate(0, 2 * UNIT))
        self.assertEqual(self.calls("allocate"), 2)
        name = self.placement().name
        found = [ds.inner.peek(name) for ds in self.ds]
        self.assertEqual(
            [(a.used, a.size) for a in found if a is not None],
            [(2 * UNIT, 2 * UNIT)] * 2,
        )
        self.now(self.deallocate(0, UNIT))
        found = [ds.inner.peek(name) for ds in self.ds]
        self.assertEqual([a.used for a in found if a is not None], [UNIT] * 2)


del _EveryPlacement
