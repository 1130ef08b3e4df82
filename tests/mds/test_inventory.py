"""
Tests of L{pnfs.mds.inventory}.
"""

from __future__ import annotations

import json
import os

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import BackendError
from pnfs.config import DataServerConfig
from pnfs.mds.inventory import Inventory, Record, seeded
from pnfs.values import DSState

ONE = DataServerConfig("one", ("192.0.2.1", 2050), (("192.0.2.1", 2050),))
TWO = DataServerConfig("two", ("ds2.example", 2050), (("2001:db8::2", 2050),), "nfs3")


class InventoryTests(SynchronousTestCase):
    """
    What is kept.
    """

    def setUp(self) -> None:
        """
        A state folder.
        """
        self.folder = self.mktemp()
        os.mkdir(self.folder)
        self.inventory = Inventory(self.folder)

    def test_kept(self) -> None:
        """
        Everything is there again after a restart.
        """
        records = [
            Record(
                "one",
                b"1" * 16,
                attrs.evolve(ONE, label="nvme"),
                ONE,
                DSState.DRAINING,
                ("/home", "/scratch"),
                fences={b"00ff": 3},
            ),
            Record("two", b"", TWO),
            Record("three", seed=attrs.evolve(ONE, name="three"), removed=True),
            Record("four", b"4" * 16, removed=True),
            Record("five", b"5" * 16, told=attrs.evolve(ONE, name="five")),
        ]
        self.assertEqual(self.inventory.load(), [])
        self.inventory.save(records)
        self.assertEqual(Inventory(self.folder).load(), records)

    def test_earlier(self) -> None:
        """
        A file of a version that knew identities and fences only is understood.
        """
        with open(self.inventory.file, "w") as stream:
            json.dump({"one": {"uuid": "31" * 16, "fences": {"00": 2}}}, stream)
        records = self.inventory.load()
        self.assertFalse(records[0].served)
        (record,) = seeded(records, [ONE])
        self.assertEqual(
            (record.uuid, record.config, record.fences, record.state),
            (b"1" * 16, ONE, {b"00": 2}, DSState.ACTIVE),
        )

    def test_notWritable(self) -> None:
        """
        If it cannot be kept, that is said; what was kept stays.
        """
        self.inventory.save([Record("one", config=ONE)])
        os.mkdir(self.inventory.file + ".new")
        self.assertRaises(BackendError, self.inventory.save, [])
        self.assertEqual(len(self.inventory.load()), 1)


class SeedTests(SynchronousTestCase):
    """
    The configuration file and what was done at run time.
    """

    def test_runTimeStands(self) -> None:
        """
        What was changed at run time stands as long as the file says the same.
        """
        (record,) = seeded([], [ONE])
        moved = attrs.evolve(ONE, address=("192.0.2.9", 1))
        record = attrs.evolve(record, config=moved, state=DSState.DISABLED)
        self.assertEqual(seeded([record], [ONE]), [record])

    def test_fileHasLastWord(self) -> None:
        """
        When the file says something else, that counts; identity and state stay.
        """
        (record,) = seeded([], [ONE])
        record = attrs.evolve(record, uuid=b"1" * 16, state=DSState.DRAINING)
        other = attrs.evolve(ONE, address=("192.0.2.9", 1))
        (found,) = seeded([record], [other])
        self.assertEqual(found, attrs.evolve(record, config=other, seed=other))

    def test_stays(self) -> None:
        """
        One that was added at run time stays, and so does one that the file does not
        name any more.
        """
        added = Record("two", b"2" * 16, TWO)
        (record,) = seeded([], [ONE])
        self.assertEqual(
            seeded([record, added], []), [attrs.evolve(record, seed=None), added]
        )

    def test_removed(self) -> None:
        """
        One that was removed stays out until the file says something else of it, and
        is forgotten when the file does not name it any more.
        """
        out = Record("one", seed=ONE, removed=True)
        (found,) = seeded([out], [ONE])
        self.assertFalse(found.served)
        (found,) = seeded([out], [attrs.evolve(ONE, label="ssd")])
        self.assertTrue(found.served)
        self.assertEqual(seeded([out], []), [])
