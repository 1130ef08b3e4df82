"""
Tests of L{pnfs.mds.verification}: mirrors are compared in a whole site.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from pnfs.mds.verification import Verification, Verified
from tests.mds.faulty import pattern
from tests.mds.test_repairs import FLEX, RepairsCase


class VerificationTests(RepairsCase):
    """
    L{Verification}.
    """

    def setUp(self) -> None:
        """
        Some files.
        """
        super().setUp()
        self.files = {name: self.put(name, pattern(9000)) for name in (b"f", b"g")}
        self.wanted = True

    def start(self) -> Deferred[Any]:
        """
        Begin to compare.
        """
        verification = Verification(
            self.mds.context, self.mds._servers, self.mds.context.data
        )
        return Deferred.fromCoroutine(verification.run(lambda: self.wanted))

    def verify(self) -> Verified:
        """
        Compare.
        """
        found = self.start()
        self.rest(3)
        return self.successResultOf(found)  # type: ignore[no-any-return]

    def damage(self, name: bytes) -> int:
        """
        One byte of the second mirror is another one. @return: the data server.
        """
        placement = self.placement(name)
        number = self.number(placement.columns[0][1])
        backend = self.backends[number]
        self.now(backend.write(placement.name, 5000, memoryview(b"?"), 0))
        return number

    def test_same(self) -> None:
        """
        Where all is well nothing is reported, and no layout is recalled.
        """
        self.mounted.layout(*self.files[b"f"], FLEX)
        self.assertEqual(self.verify(), Verified(files=2))
        self.assertEqual(self.placement(b"f").epoch, 1)

    def test_differs(self) -> None:
        """
        A file whose mirrors differ is named, with the data server and the place.
        """
        number = self.damage(b"g")
        found = self.verify()
        self.assertEqual((found.files, found.wrong), (2, 1))
        self.assertEqual(
            found.problems, [f"/export/g: ds{number} differs in 9000 bytes at 0"]
        )

    def test_missing(self) -> None:
        """
        So is one of which a data server has lost the data file.
        """
        placement = self.placement(b"f")
        number = self.number(placement.columns[0][1])
        self.now(self.backends[number].remove(placement.name))
        found = self.verify()
        self.assertEqual(found.wrong, 1)
        self.assertIn("/export/f: data file ", found.problems[0])

    def test_stale(self) -> None:
        """
        What is to be repaired is not compared.
        """
        self.mds.repairs.automatic = False
        self.damage(b"g")
        self.lose(b"g", self.placement(b"g").columns[0][1])
        found = self.verify()
        self.assertEqual((found.files, found.stale, found.wrong), (2, 1, 0))

    def test_writing(self) -> None:
        """
        A client that is about to write to both mirrors, and has done so at one of
        them, has not made them wrong: the file is looked at again when the client has
        returned its layout.
        """
        fh, stateid = self.files[b"f"]
        layout, _ = self.mounted.layout(fh, stateid, FLEX)
        number = self.damage(b"f")
        found = self.start()
        self.rest(3)
        self.assertNoResult(found)
        placement = self.placement(b"f")
        for ds in self.backends:
            if ds.uuid in placement.dataServers:
                self.now(ds.write(placement.name, 5000, memoryview(b"?"), 0))
        self.giveBack(fh, layout)
        self.rest(3)
        self.assertEqual(self.successResultOf(found), Verified(files=2))
        self.assertIsInstance(number, int)

    def test_nobodyListens(self) -> None:
        """
        It ends when nobody wants to know any more.
        """
        self.wanted = False
        self.assertEqual(self.verify(), Verified())
