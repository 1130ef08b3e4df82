"""
Tests of L{pnfs.mds.dataservers}; with data files on them in
L{tests.mds.test_datafiles}, over connections in L{tests.mds.test_service}.
"""

from __future__ import annotations

import json
import os
from typing import Any

from twisted.logger import formatEvent, globalLogPublisher

from pnfs.backends.errors import BadConfiguration, IOFailed, Unreachable
from pnfs.mds.fences import FenceLog, Fences
from tests.mds.faulty import DataFilesCase


class DataServersTests(DataFilesCase):
    """
    Who answers, and what is kept about them.
    """

    def saved(self) -> dict[str, Any]:
        """
        The file in the state folder.
        """
        with open(os.path.join(self.folder, "data-servers.json")) as stream:
            found: dict[str, Any] = json.load(stream)
        return found

    def waiting(self) -> Fences:
        """
        Fences that the next start would find.
        """
        return FenceLog(self.folder).load()

    def test_oldFences(self) -> None:
        """
        Fences that an earlier version has left are carried out, and not twice.
        """
        name = self.now(self.data.ensure(self.export, self.inode)).name
        self.now(self.servers.stop())
        saved = self.saved()
        saved["ds1"]["fences"] = {name.decode(): 7}
        with open(os.path.join(self.folder, "data-servers.json"), "w") as stream:
            json.dump(saved, stream)
        self.ds[1].down = True
        self.boot()
        self.assertEqual(self.waiting(), {self.ds[1].uuid: {name: 7}})
        self.assertEqual(self.saved()["ds1"]["fences"], {})
        self.ds[1].down = False
        self.probe()
        found = self.ds[1].inner.peek(name)
        assert found is not None
        self.assertEqual(found.epoch, 7)
        self.assertEqual(self.waiting(), {})

    def test_manyFences(self) -> None:
        """
        A data server that is lost with a thousand files is back with all of them
        fenced; to note one does not take longer the more there are.
        """
        uuid = self.ds[1].uuid
        names = [b"%08x" % n for n in range(1000)]
        for name in names:
            self.now(self.ds[1].inner.create(name, 0, 0, 0o600, 1))
        self.ds[1].down = True
        self.probe()
        before = os.stat(os.path.join(self.folder, "data-servers.json")).st_ino
        for name in names:
            self.now(self.servers.fence(uuid, name, 2))
        self.assertEqual(
            os.stat(os.path.join(self.folder, "data-servers.json")).st_ino, before
        )
        self.assertEqual(len(self.waiting()[uuid]), 1000)
        self.ds[1].down = False
        self.probe()
        self.assertEqual({self.ds[1].inner.peek(name).epoch for name in names}, {2})
        self.assertEqual(self.waiting(), {})

    def test_bound(self) -> None:
        """
        The name of each is bound to the identity it answered with.
        """
        self.assertEqual(
            {name: record["uuid"] for name, record in self.saved().items()},
            {f"ds{n}": (bytes([n + 1]) * 16).hex() for n in range(3)},
        )

    def test_knownWhileDown(self) -> None:
        """
        After a restart placements resolve though a data server is down.
        """
        self.ds[1].down = True
        self.boot()
        uuid = self.ds[1].uuid
        self.assertEqual(self.servers.byUUID(uuid).config.name, "ds1")
        (described,) = self.servers.describe([uuid])
        self.assertFalse(described.available)
        self.assertFalse(self.servers.up(uuid))
        self.export.dataServers = ["ds0", "ds1", "nobody"]
        self.assertEqual(len(self.servers.serving(self.export)), 2)
        self.assertFalse(self.servers.unknown(self.export))

    def test_nobody(self) -> None:
        """
        An identity that is not configured (any more) is unreachable, not a defect.
        """
        self.assertRaises(Unreachable, self.servers.byUUID, b"x" * 16)
        self.assertFalse(self.servers.up(b"x" * 16))

    def test_damaged(self) -> None:
        """
        A damaged file is named in one line, and not overwritten.
        """
        path = os.path.join(self.folder, "data-servers.json")
        for text in (
            "",
            "[]",
            "{",
            '{"a": 1}',
            '{"a": {"uuid": "xyz", "fences": {}}}',
            '{"a": {"uuid": "", "fences": {"00": "x"}}}',
        ):
            with open(path, "w") as stream:
                stream.write(text)
            error = self.assertRaises(BadConfiguration, self.boot)
            self.assertIn(path, str(error))
            self.assertNotIn("\n", str(error))

    def test_saidOnce(self) -> None:
        """
        One that stays down is mentioned once; when the reason changes, again.
        """
        said: list[str] = []

        def hear(event: Any) -> None:
            said.append(str(formatEvent(event)))

        globalLogPublisher.addObserver(hear)
        self.addCleanup(globalLogPublisher.removeObserver, hear)
        self.ds[0].down = True
        for _ in range(10):
            self.probe()
        self.assertEqual(len(said), 1, said)
        self.assertIn("ds0 (192.0.2.1:2050) does not answer: down", said[0])
        self.ds[0].down = False
        self.ds[0].failing["statfs"] = IOFailed("bad disk")
        for _ in range(10):
            self.probe()
        self.assertEqual(len(said), 2, said)
        del self.ds[0].failing["statfs"]
        self.probe()
        self.assertIn("ds0 answers", said[-1])

    def test_onUp(self) -> None:
        """
        Whoever wants to know is told of each that begins to answer.
        """
        told: list[str] = []
        self.servers.onUp = lambda member: told.append(member.config.name)
        self.ds[2].down = True
        self.probe()
        self.ds[2].down = False
        self.probe()
        self.probe()
        self.assertEqual(told, ["ds2"])

    def test_fenceFails(self) -> None:
        """
        One where a fence cannot be set is out of use until it can be: else a
        client that was shut out might go on writing there.
        """
        self.now(self.data.ensure(self.export, self.inode))
        self.ds[0].failing["fence"] = IOFailed("bad disk")
        self.now(self.data.fence(self.export, self.inode))
        self.assertFalse(self.servers.up(self.ds[0].uuid))
        self.probe()
        self.assertFalse(self.servers.up(self.ds[0].uuid))
        name = self.placement().name
        self.assertEqual(self.waiting(), {self.ds[0].uuid: {name: 2}})
        del self.ds[0].failing["fence"]
        self.probe()
        self.assertTrue(self.servers.up(self.ds[0].uuid))
        self.assertEqual(self.waiting(), {})

    def test_fenceTwice(self) -> None:
        """
        A further fence while the first is being caught up on is not lost.
        """
        self.now(self.data.ensure(self.export, self.inode))
        self.ds[0].down = True
        self.now(self.data.fence(self.export, self.inode))
        self.ds[0].down = False
        held = self.ds[0].hold("fence")
        self.probe()
        self.now(self.data.fence(self.export, self.inode))
        held.callback(None)
        self.assertTrue(self.servers.up(self.ds[0].uuid))
        found = self.ds[0].inner.peek(self.placement().name)
        assert found is not None
        self.assertEqual(found.epoch, 3)
        self.assertEqual(self.waiting(), {})
