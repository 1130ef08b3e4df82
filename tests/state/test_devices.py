"""
Tests for L{pnfs.state.devices}.
"""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pnfs.layouts.files import FilesLayoutDriver
from pnfs.layouts.flexfiles import FlexFilesLayoutDriver
from pnfs.state import devices
from pnfs.state.devices import DeviceTable, NoSuchServer
from tests.layouts.test_files import servers

ONE, TWO = b"\1" * 16, b"\2" * 16


class DeviceTests(SynchronousTestCase):
    """
    Device IDs stand for data servers.
    """

    def setUp(self) -> None:
        self.driver = FilesLayoutDriver()
        self.table = DeviceTable(servers(2))

    def test_sameAfterRestart(self) -> None:
        """
        Clients keep their devices when the metadata server restarts.
        """
        first = self.table.deviceid(self.driver, (ONE, TWO))
        second = DeviceTable(servers(2)).deviceid(FilesLayoutDriver(), (ONE, TWO))
        self.assertEqual(first, second)
        self.assertEqual(len(first), 16)

    def test_distinct(self) -> None:
        """
        Another order, another set and another driver are other devices.
        """
        found = {
            self.table.deviceid(driver, uuids)
            for driver, uuids in (
                (self.driver, (ONE, TWO)),
                (self.driver, (TWO, ONE)),
                (self.driver, (ONE,)),
                (FlexFilesLayoutDriver(), (ONE,)),
            )
        }
        self.assertEqual(len(found), 4)

    def test_movesWithAddress(self) -> None:
        """
        When a data server gets another address, clients are told of another
        device; the old one keeps its meaning.
        """
        before = self.table.deviceid(self.driver, (ONE,))
        generation = self.table.generation
        one, two = servers(2)
        moved = attrs.evolve(one, addresses=(("10.9.9.9", 2049),))
        self.table.setServers([moved, two])
        after = self.table.deviceid(self.driver, (ONE,))
        self.assertNotEqual(before, after)
        self.assertGreater(self.table.generation, generation)
        for deviceid, server in ((before, one), (after, moved)):
            device = self.table.lookup(deviceid)
            assert device is not None
            self.assertEqual(device.servers, (server,))
            self.assertEqual(self.table.body(device), self.driver.device([server]))

    def test_retired(self) -> None:
        """
        What names a data server as it was is found, and forgotten; its device ID is
        not given out again, also not when the data server is back.
        """
        before = self.table.deviceid(self.driver, (ONE, TWO))
        alone = self.table.deviceid(self.driver, (TWO,))
        one, two = servers(2)
        moved = attrs.evolve(one, addresses=(("10.9.9.9", 2049),))
        self.assertEqual(self.table.setServers([moved, two]), {ONE})
        outdated = self.table.outdated({ONE})
        self.assertEqual([device.deviceid for device in outdated], [before])
        self.table.setServers([one, two])
        self.assertEqual(self.table.outdated({ONE}), [])
        self.assertEqual(self.table.retire(outdated), [])
        self.assertEqual(self.table.setServers([two]), {ONE})
        self.assertEqual(self.table.retire(outdated), outdated)
        self.assertEqual(self.table.retire(outdated), [])
        self.assertIsNone(self.table.lookup(before))
        self.assertIsNotNone(self.table.lookup(alone))
        self.assertEqual(self.table.setServers([one, two]), set())
        again = self.table.deviceid(self.driver, (ONE, TWO))
        self.assertNotEqual(again, before)
        self.assertEqual(self.table.deviceid(self.driver, (ONE, TWO)), again)
        self.assertEqual(self.table.deviceid(self.driver, (TWO,)), alone)

    def test_spentBounded(self) -> None:
        """
        Not more is remembered of those that are gone than there is room for.
        """
        self.patch(devices, "DEVICES_LIMIT", 2)
        for n in range(5):
            one, two = servers(2)
            self.table.setServers([attrs.evolve(one, readSize=65536 * (n + 1)), two])
            self.table.deviceid(self.driver, (ONE,))
            self.table.setServers([two])
            self.table.retire(self.table.outdated({ONE}))
        self.assertEqual(len(self.table._spent), 2)

    def test_staysWithSpace(self) -> None:
        """
        A data server that fills up or goes down for a while is the same device.
        """
        before = self.table.deviceid(self.driver, (ONE,))
        generation = self.table.generation
        one, two = servers(2)
        self.table.setServers([attrs.evolve(one, available=False, spaceFree=1), two])
        self.assertEqual(self.table.deviceid(self.driver, (ONE,)), before)
        self.assertEqual(self.table.generation, generation)

    def test_unknown(self) -> None:
        """
        A data server that is not configured has no device, and a device ID that
        was never given out no meaning.
        """
        self.assertRaises(NoSuchServer, self.table.deviceid, self.driver, (b"x" * 16,))
        self.assertIsNone(self.table.lookup(bytes(16)))

    def test_layoutTypes(self) -> None:
        """
        The layout types that clients may ask for are those of the drivers.
        """
        self.assertFalse(self.table.knows(1))
        self.table.addDriver(self.driver)
        self.assertTrue(self.table.knows(1))
        self.assertFalse(self.table.knows(4))

    def test_bounded(self) -> None:
        """
        The memory for devices is bounded; what was forgotten is made anew.
        """
        self.patch(devices, "DEVICES_LIMIT", 2)
        first = self.table.deviceid(self.driver, (ONE,))
        self.table.deviceid(self.driver, (TWO,))
        self.table.deviceid(self.driver, (ONE, TWO))
        self.assertEqual(len(self.table), 2)
        self.assertIsNone(self.table.lookup(first))
        self.assertEqual(self.table.deviceid(self.driver, (ONE,)), first)
        self.assertIsNotNone(self.table.lookup(first))
