"""
Tests of L{pnfs.mds.commands.scrub}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from pnfs.admin.control import Refused, Request
from tests.mds.test_scrub import ScrubCase


class ScrubCommandsTests(ScrubCase):
    """
    C{scrub.*}.
    """

    def setUp(self) -> None:
        """
        Somebody listens.
        """
        super().setUp()
        self.progress: list[Any] = []
        self.connected = True

    def begin(self, command: str, /, **args: Any) -> Deferred[Any]:
        """
        Have a command begun.
        """
        request = Request(command, args, self.progress.append, lambda: self.connected)
        return Deferred.fromCoroutine(self.mds.administration.commands.run(request))

    def command(self, command: str, /, **args: Any) -> Any:
        """
        Have it carried out.
        """
        done = self.begin(command, **args)
        self.rest(1)
        return self.successResultOf(done)

    def refused(self, command: str, /, **args: Any) -> str:
        """
        It is refused. @return: why.
        """
        line = str(self.failureResultOf(self.begin(command, **args), Refused).value)
        self.assertNotIn("\n", line)
        return line

    def test_start(self) -> None:
        """
        A scrub begins and goes on by itself; nobody has to wait.
        """
        found = self.command("scrub.status")
        self.assertEqual((found["running"], found["began"]), (False, None))
        found = self.command("scrub.start")
        self.assertTrue(found["running"])
        self.assertEqual(found["limit"], 100 << 20)
        self.rest(100)
        found = self.command("scrub.status")
        self.assertEqual((found["files"], found["total"]), (6, 6))
        self.assertEqual((found["running"], found["phase"]), (False, "done"))
        self.assertGreater(found["ended"], found["began"])

    def test_wait(self) -> None:
        """
        Who waits is told how far it is; it goes on when he does not any more.
        """
        done = self.begin("scrub.start", wait=True, limit=1000)
        self.rest(12)
        self.assertNoResult(done)
        self.assertGreater(self.progress[-1]["files"], 0)
        self.connected = False
        self.rest(2)
        self.assertTrue(self.successResultOf(done)["running"])
        self.rest(150)
        self.assertFalse(self.scrub.running)

    def test_stop(self) -> None:
        """
        What was stopped goes on with what it was told before, and with more.
        """
        self.command("scrub.start", limit=1000, repair=True)
        self.rest(12)
        found = self.command("scrub.stop")
        self.assertFalse(found["running"])
        self.assertIn("pnfs scrub start", self.refused("scrub.stop"))
        self.command("scrub.start", limit=0, remove_orphans=True)
        self.assertGreaterEqual(self.found.files, found["files"])
        self.assertTrue(self.found.repair and self.found.removeOrphans)
        self.rest(100)
        self.assertEqual(self.found.files, 6)

    def test_again(self) -> None:
        """
        Or a new one begins.
        """
        self.command("scrub.start", limit=1000)
        self.rest(12)
        self.command("scrub.stop")
        self.command("scrub.start", again=True, limit=1)
        self.assertEqual((self.found.files, self.found.limit), (0, 1))

    def test_report(self) -> None:
        """
        The report names files and data files.
        """
        number = self.wipe(b"f1")
        name = self.leave(b"nobody")
        self.command("scrub.start")
        self.rest(100)
        found = self.command("scrub.report")
        (problem,) = found["problems"]
        self.assertEqual(problem["path"], "/export/f1")
        self.assertEqual(problem["problem"], f"ds{number} has no data file")
        self.assertFalse(problem["repaired"])
        (orphan,) = found["orphan_files"]
        self.assertEqual(orphan["data_server"], "ds0")
        self.assertEqual(orphan["name"], name.decode("ascii"))
        self.assertEqual((orphan["size"], orphan["removed"]), (0, False))

    def test_refused(self) -> None:
        """
        There is one at a time, and none as long as nobody knows all files.
        """
        self.command("scrub.start", limit=1)
        self.assertIn("is under way", self.refused("scrub.start"))
        self.now(self.scrub.halt())
        self.mds.index.whole.clear()
        self.assertIn("the index of files", self.refused("scrub.start"))
        self.assertIn("no argument", self.refused("scrub.start", what=1))
