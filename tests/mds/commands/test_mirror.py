"""
Tests of L{pnfs.mds.commands.mirror}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

import pnfs.mds.transfer
import tests.mds.world
from pnfs.admin.control import Refused, Request
from tests.mds.faulty import pattern
from tests.mds.test_repairs import RepairsCase


class MirrorCommandsTests(RepairsCase):
    """
    C{mirror.*} of a site with three data servers.
    """

    def setUp(self) -> None:
        """
        A file with two mirrors.
        """
        super().setUp()
        self.put(b"f", pattern(100_000))
        self.rest(3)
        self.uuid = self.placement(b"f").columns[0][1]
        self.name = f"ds{self.number(self.uuid)}"
        self.progress: list[Any] = []
        self.connected = True

    def begin(self, command: str, /, **args: Any) -> Deferred[Any]:
        """
        Have a command begun.
        """
        request = Request(command, args, self.progress.append, lambda: self.connected)
        commands = self.mds.administration.commands
        return Deferred.fromCoroutine(commands.run(request))

    def command(self, command: str, /, **args: Any) -> Any:
        """
        Have it carried out.
        """
        done = self.begin(command, **args)
        self.rest()
        return self.successResultOf(done)

    def refused(self, command: str, /, **args: Any) -> str:
        """
        It is refused. @return: why.
        """
        line = str(self.failureResultOf(self.begin(command, **args), Refused).value)
        self.assertNotIn("\n", line)
        return line

    def server(self, found: Any) -> Any:
        """
        What a result says of the data server.
        """
        return next(s for s in found["servers"] if s["name"] == self.name)

    def stale(self) -> None:
        """
        The second mirror misses something, and is not repaired by itself.
        """
        self.mds.repairs.automatic = False
        self.lose(b"f", self.uuid)
        fh = self.mds.context.filehandles.encode(self.export, self.inode(b"f"))
        self.mounted.write(fh, bytes(16), 0, b"new", 2)

    def test_status(self) -> None:
        """
        What is stale is counted by data server.
        """
        self.stale()
        found = self.command("mirror.status")
        self.assertEqual(sum(s["stale"] for s in found["servers"]), 1)
        self.assertEqual(self.server(found)["stale"], 1)
        self.assertFalse(found["running"])
        self.assertFalse(found["automatic"])

    def test_repair(self) -> None:
        """
        It is repaired when that is said, with progress, and an end.
        """
        self.stale()
        found = self.command("mirror.repair", name=self.name, limit=64 << 10)
        self.assertEqual(self.server(found)["stale"], 0)
        self.assertEqual(self.server(found)["files"], 1)
        self.assertFalse(found["running"])
        self.assertGreater(len(self.progress), 1)
        self.assertEqual(self.mds.repairs.limit, 64 << 10)
        self.assertEqual(len(set(self.copies(b"f"))), 1)

    def test_progress(self) -> None:
        """
        While it is repaired a data server is C{repairing}, and it is told how much is
        left and how long that is going to take; what was done in all goes on counting.
        """
        for each in b"ghijklmnopqrstuvw":
            self.put(bytes([each]), pattern(50_000))
        self.rest(2)
        names = [n for n in b"ghijklmnopqrstuvw" if self.uuid in self.on(bytes([n]))]
        self.mds.repairs.automatic = False
        for each in names:
            name = bytes([each])
            self.lose(name, self.uuid)
            fh = self.mds.context.filehandles.encode(self.export, self.inode(name))
            self.mounted.write(fh, bytes(16), 0, bytes(50_000), 2)
        count = len(names)
        self.assertEqual(self.states()[self.name], "active")
        done = self.begin("mirror.repair", name=self.name, limit=50_000)
        self.rest(count // 2)
        told = self.server(self.progress[-1])
        self.assertTrue(told["repairing"])
        self.assertEqual(self.states()[self.name], "repairing")
        self.assertTrue(0 < told["stale"] <= count)
        self.assertTrue(0 < told["left_bytes"] <= 50_000 * count)
        self.assertTrue(20_000 < told["rate"] <= 100_000)
        self.assertTrue(0 < told["seconds"] < 2 * count + 5)
        self.rest(2 * count + 8)
        self.assertEqual(self.server(self.successResultOf(done))["stale"], 0)
        self.assertEqual(self.states()[self.name], "active")
        repairs = self.mds.repairs
        repairs.begin(self.uuid)
        self.rest()
        self.assertEqual(repairs.found[self.uuid].files, 0)
        self.assertEqual(repairs.total(self.uuid).files, count)

    def on(self, name: bytes) -> Any:
        """
        The data servers of a file.
        """
        return self.placement(name).dataServers

    def states(self) -> dict[str, str]:
        """
        Of all data servers.
        """
        return {each["name"]: each["state"] for each in self.command("ds.list")}

    def test_counted(self) -> None:
        """
        For metrics stale mirrors are counted whenever somebody asks.
        """
        self.stale()
        self.mds.repairs.counted()
        self.rest(1)
        self.assertEqual(self.mds.repairs.counted()[self.uuid], 1)

    def test_repairAll(self) -> None:
        """
        Without a name all data servers are looked at.
        """
        self.stale()
        found = self.command("mirror.repair")
        self.assertEqual([s["stale"] for s in found["servers"]], [0, 0, 0])
        self.assertEqual(self.placement(b"f").stale, ())

    def test_goesAway(self) -> None:
        """
        Whoever has asked may go: the repair goes on. C{mirror.stop} ends it, and leaves
        nothing half done.
        """
        self.patch(pnfs.mds.transfer, "SMALL", 1000)
        self.stale()
        done = self.begin("mirror.repair", name=self.name, limit=10_000)
        self.rest(2)
        self.connected = False
        self.rest(1)
        self.assertTrue(self.successResultOf(done)["running"])
        self.assertFalse(self.command("mirror.stop")["running"])
        self.assertEqual(self.placement(b"f").stale, (self.uuid,))
        self.connected = True
        self.command("mirror.repair", limit=0)
        self.assertEqual(self.placement(b"f").stale, ())

    def test_full(self) -> None:
        """
        A data server that has lost its files gets all of them again.
        """
        self.put(b"other", b"o")
        backend = self.backends[self.number(self.uuid)]
        names = self.now(backend.list(b"", 1000))
        for name in names:
            self.now(backend.remove(name))
        found = self.command("mirror.repair", name=self.name, full=True)
        self.assertEqual(self.server(found)["files"], len(names))
        self.assertEqual(self.now(backend.list(b"", 1000)), names)
        self.assertEqual(self.copies(b"f"), [pattern(100_000)] * 2)
        self.assertEqual(self.command("mirror.verify")["wrong"], 0)

    def test_verify(self) -> None:
        """
        All files with mirrors are compared.
        """
        found = self.command("mirror.verify")
        self.assertEqual(found, {"files": 1, "stale": 0, "wrong": 0, "problems": []})

    def test_refused(self) -> None:
        """
        What cannot be is refused, and it is said what to do instead.
        """
        self.assertIn("nope", self.refused("mirror.repair", name="nope"))
        self.assertIn("name the data server", self.refused("mirror.repair", full=True))
        self.killDataServer(self.number(self.uuid))
        self.rest(12)
        self.assertIn("does not answer", self.refused("mirror.repair", name=self.name))
        self.command("ds.disable", name=self.name, force=True)
        self.assertIn("ds enable", self.refused("mirror.repair", name=self.name))

    def test_otherKey(self) -> None:
        """
        A data server of another cluster, which has another key, gets nothing.
        """
        self.stale()
        number = self.number(self.uuid)
        self.killDataServer(number)
        self.patch(tests.mds.world, "KEY", b"X" * 32)
        self.startDataServer(number)
        self.rest(12)
        self.assertIn("cluster key", self.refused("mirror.repair", name=self.name))
        self.assertEqual(self.placement(b"f").stale, (self.uuid,))
