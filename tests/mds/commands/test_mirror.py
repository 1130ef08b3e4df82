"""
Tests of L{pnfs.mds.commands.mirror}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

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
        found = self.command("mirror.repair", name=self.name, limit=1 << 20)
        self.assertEqual(self.server(found)["stale"], 0)
        self.assertEqual(self.server(found)["files"], 1)
        self.assertFalse(found["running"])
        self.assertGreater(len(self.progress), 1)
        self.assertEqual(self.mds.repairs.limit, 1 << 20)
        self.assertEqual(len(set(self.copies(b"f"))), 1)

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
