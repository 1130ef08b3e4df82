"""
Tests of L{pnfs.mds.inspection}: is everything of one file where it should be?
"""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.defer import Deferred

import pnfs.mds.inspection
import pnfs.mds.comparing
from pnfs.backends.errors import Unreachable
from pnfs.mds.inspection import Inspection, neededBytes
from pnfs.values import Placement, SetAttributes
from tests.mds.faulty import pattern
from tests.mds.test_repairs import FLEX, RepairsCase

SIZE = 90_000


class InspectionCase(RepairsCase):
    """
    A file C{f} with two mirrors.

    @ivar told: bytes compared.
    """

    def setUp(self) -> None:
        """
        All is well.
        """
        super().setUp()
        self.patch(pnfs.mds.comparing, "UNIT", 4096)
        self.patch(pnfs.mds.inspection, "STEP", 32768)
        self.data = pattern(SIZE)
        self.fh, self.stateid = self.put(b"f", self.data)
        self.mds.repairs.automatic = False
        self.inspection = Inspection(
            self.mds.context, self.mds._servers, self.mds.context.data
        )
        self.told = 0
        self.rest(3)

    def numbers(self) -> list[int]:
        """
        Of the data servers of the file.
        """
        return [self.number(uuid) for uuid in self.placement(b"f").columns[0]]

    def begin(self, repair: bool = False) -> Deferred[Any]:
        """
        Begin to look at the file.
        """

        async def told(count: int) -> None:
            self.told += count

        return Deferred.fromCoroutine(
            self.inspection.inspect(self.export, self.inode(b"f"), repair, told)
        )

    def inspect(self, repair: bool = False) -> Any:
        """
        Look at the file.
        """
        done = self.begin(repair)
        self.rest(1)
        return self.successResultOf(done)

    def damage(self, number: int, data: bytes = b"?") -> None:
        """
        Some bytes are others at a data server.
        """
        name = self.placement(b"f").name
        self.now(self.backends[number].write(name, 50_000, memoryview(data), 0))

    def cut(self, number: int, size: int) -> None:
        """
        The data file is shorter at a data server.
        """
        changes = SetAttributes(size=size)
        name = self.placement(b"f").name
        self.now(self.backends[number].setattr(name, changes))

    def wipe(self, number: int) -> None:
        """
        The data file is gone at a data server.
        """
        self.now(self.backends[number].remove(self.placement(b"f").name))

    def assertRepairable(self, number: int) -> None:
        """
        One mirror is found to be wrong, and is repaired from what is right.
        """
        uuid = self.backends[number].uuid
        self.assertEqual(self.inspect()[1], [])
        self.assertEqual(self.placement(b"f").stale, ())
        self.assertEqual(self.inspect(True)[1], [uuid])
        self.assertEqual(self.placement(b"f").stale, (uuid,))
        self.mds.repairs.begin(uuid)
        self.rest()
        self.assertEqual(self.placement(b"f").stale, ())
        self.assertEqual(set(self.copies(b"f")), {self.data})
        self.assertIsNone(self.inspect(True))


class InspectionTests(InspectionCase):
    """
    L{Inspection} of two mirrors.
    """

    def test_well(self) -> None:
        """
        Nothing is wrong, no layout is recalled; all bytes have been compared.
        """
        self.mounted.layout(self.fh, self.stateid, FLEX)
        self.assertIsNone(self.inspect(True))
        self.assertEqual(self.told, SIZE)
        self.assertEqual(self.mds.context.recaller.counts.get("returned", 0), 0)
        self.assertIsNone(self.inode(b"f").state.recall)

    def test_missing(self) -> None:
        """
        A data file that is gone is found, and made anew from the other mirror: which
        one is right is known.
        """
        number = self.numbers()[0]
        self.wipe(number)
        self.assertEqual(self.inspect()[0], f"ds{number} has no data file")
        self.assertRepairable(number)

    def test_short(self) -> None:
        """
        So is one that is too short, although what is missing were zeros.
        """
        number = self.numbers()[1]
        self.cut(number, 70_000)
        self.assertEqual(self.inspect()[0], f"ds{number} has 70000 of {SIZE} bytes")
        self.assertRepairable(number)

    def test_bothMissing(self) -> None:
        """
        If no mirror has it there is nothing to repair it from.
        """
        for number in self.numbers():
            self.wipe(number)
        text, repaired = self.inspect(True)
        self.assertEqual(text.count("has no data file"), 2)
        self.assertEqual((repaired, self.placement(b"f").stale), ([], ()))

    def test_differs(self) -> None:
        """
        Of two mirrors that differ nobody knows which one is right: both stay.
        """
        number = self.numbers()[1]
        self.damage(number)
        text, repaired = self.inspect(True)
        self.assertEqual(
            text,
            f"ds{number} differs in 4096 bytes at 49152; "
            "nobody knows which copy is right",
        )
        self.assertEqual((repaired, self.placement(b"f").stale), ([], ()))

    def test_writing(self) -> None:
        """
        What a client is just writing is no difference: it is looked at again when its
        layout has been returned.
        """
        layout, _ = self.mounted.layout(self.fh, self.stateid, FLEX)
        self.damage(self.numbers()[0])
        looking = self.begin(True)
        self.rest(1)
        self.assertNoResult(looking)
        self.damage(self.numbers()[1])
        self.giveBack(self.fh, layout)
        self.rest(1)
        self.assertIsNone(self.successResultOf(looking))

    def test_truncating(self) -> None:
        """
        Nor is a data file that is shorter since the file is just becoming so.
        """
        name = self.placement(b"f").name
        tree = self.export.backend
        setattr_ = tree.setattr
        held: Deferred[None] = Deferred()

        async def slowly(*args: Any) -> Any:
            await held
            return await setattr_(*args)

        self.patch(tree, "setattr", slowly)
        data = self.mds.context.data
        cutting = Deferred.fromCoroutine(
            data.truncate(self.export, self.inode(b"f"), 100)
        )
        self.assertEqual(self.backends[self.numbers()[0]].peek(name).size, 100)
        looking = self.begin(True)
        self.rest(1)
        self.assertNoResult(looking)
        held.callback(None)
        self.rest(1)
        self.successResultOf(cutting)
        self.assertIsNone(self.successResultOf(looking))

    def test_silent(self) -> None:
        """
        A data server that does not answer has lost nothing, as far as is known.
        """
        self.killDataServer(self.numbers()[0])
        self.rest(3)
        done = self.begin(True)
        self.rest(1)
        self.failureResultOf(done, Unreachable)
        self.assertEqual(self.placement(b"f").stale, ())

    def test_underRepair(self) -> None:
        """
        A file with a mirror that is to be repaired is left to the repair, and one that
        is on its way to other data servers to that.
        """
        self.lose(b"f", self.placement(b"f").columns[0][1])
        self.failureResultOf(self.begin(True), Unreachable)

    def test_hole(self) -> None:
        """
        A file that ends with a hole is as long as it is.
        """
        self.now(self.mds.context.data.truncate(self.export, self.inode(b"f"), 10**9))
        self.assertIsNone(self.inspect(True))


class ManyMirrorsTests(InspectionCase):
    """
    L{Inspection} of three mirrors.
    """

    mirrors = 3

    def test_oneDiffers(self) -> None:
        """
        Of three mirrors the one is wrong that is not as the two others, which are the
        same.
        """
        number = self.numbers()[2]
        self.damage(number)
        self.assertIn(f"ds{number} is not as the others are", self.inspect()[0])
        self.assertRepairable(number)

    def test_firstDiffers(self) -> None:
        """
        Also if that is the one that the others are compared with.
        """
        number = self.numbers()[0]
        self.damage(number)
        self.assertRepairable(number)

    def test_allDiffer(self) -> None:
        """
        If all three are different nobody knows.
        """
        for index, number in enumerate(self.numbers()):
            self.damage(number, b"%d" % index)
        text, repaired = self.inspect(True)
        self.assertIn("nobody knows", text)
        self.assertEqual((repaired, self.placement(b"f").stale), ([], ()))


class StripedTests(InspectionCase):
    """
    L{Inspection} of stripes without mirrors.
    """

    layout = "files"
    mirrors = 1

    def test_short(self) -> None:
        """
        Each data file must go as far as its last stripe, and what is lost is told.
        """
        self.now(self.mds.context.data.refresh(self.export, self.inode(b"f")))
        self.assertIsNone(self.inspect())
        placement = self.placement(b"f")
        number = self.number(placement.columns[1][0])
        self.cut(number, 80_000)
        text, repaired = self.inspect(True)
        self.assertEqual(
            (text, repaired), (f"ds{number} has 80000 of {SIZE} bytes", [])
        )
        last = self.number(placement.columns[2][0])
        self.cut(number, SIZE)
        self.cut(last, 0)
        self.assertIsNone(self.inspect())


class NeededBytesTests(RepairsCase):
    """
    L{neededBytes}.
    """

    def needed(self, size: int, **more: Any) -> list[int]:
        """
        For a file of that size in three columns.
        """
        columns = tuple((bytes([n]) * 16,) for n in range(3))
        placement = Placement("files", 100, columns, b"00", 1)
        return neededBytes(attrs.evolve(placement, **more), size)

    def test_stripes(self) -> None:
        """
        Up to the last byte that lies there.
        """
        self.assertEqual(self.needed(0), [0, 0, 0])
        self.assertEqual(self.needed(50), [50, 0, 0])
        self.assertEqual(self.needed(150), [100, 150, 0])
        self.assertEqual(self.needed(300), [100, 200, 300])
        self.assertEqual(self.needed(650), [650, 500, 600])
        self.assertEqual(self.needed(1000), [1000, 800, 900])

    def test_chunks(self) -> None:
        """
        The same.
        """
        self.assertEqual(self.needed(150, chunk=200), [150, 0, 0])
        self.assertEqual(self.needed(450, chunk=200), [200, 400, 450])
        self.assertEqual(self.needed(950, chunk=200), [200, 400, 950])
