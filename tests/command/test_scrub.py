"""
Tests of L{pnfs.command.scrub}: the command line, and what it prints; with a server in
L{tests.mds.commands.test_scrub}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pnfs.command.scrub import _progress
from tests.command import test_ds, test_mirror

STATUS = {
    "running": True,
    "phase": "compare",
    "began": 1_700_000_000,
    "ended": None,
    "repair": False,
    "remove_orphans": False,
    "limit": 100 << 20,
    "interval": 0.0,
    "files": 40,
    "total": 100,
    "bytes": 5 << 20,
    "busy": 2,
    "wrong": 1,
    "repaired": 0,
    "suspects": 3,
    "orphans": 1,
    "removed": 0,
    "foreign": 0,
    "silent": [],
}
FOUND = {
    "problems": [
        {"path": "/export/f", "handle": "00", "problem": "is gone", "repaired": True},
        {"path": None, "handle": "07", "problem": "differs", "repaired": False},
    ],
    "orphan_files": [
        {"data_server": "ds1", "name": "00ab", "size": 2048, "removed": False},
        {"data_server": "ds2", "name": "00cd", "size": None, "removed": True},
    ],
}


class CommandLineTests(SynchronousTestCase):
    """
    C{pnfs scrub}.
    """

    run_ = test_ds.CommandLineTests.run_
    answer = test_mirror.CommandLineTests.answer

    def test_help(self) -> None:
        """
        Each action explains itself, with an example, and can answer in JSON.
        """
        for action in ("start", "stop", "status", "report"):
            status, text, _ = self.run_("scrub", action, "--help")
            self.assertEqual(status, 0)
            for words in (f"Example: pnfs scrub {action}", "--json", "--socket"):
                self.assertIn(words, text)

    def test_start(self) -> None:
        """
        Options reach the server; a limit that is no size is refused.
        """
        client = self.answer(STATUS)
        status, _, _ = self.run_(
            "scrub", "start", "--repair", "--limit", "200MiB/s", "--again"
        )
        self.assertEqual(status, 0)
        wanted: dict[str, Any] = {
            "repair": True,
            "remove_orphans": False,
            "again": True,
            "wait": False,
            "limit": 200 << 20,
        }
        self.assertEqual(client.calls, [("scrub.start", wanted)])
        status, _, error = self.run_("scrub", "start", "--limit", "much")
        self.assertEqual(status, 2)
        self.assertIn("--limit", error)

    def test_wait(self) -> None:
        """
        Who waits learns from the exit status whether all is well.
        """
        self.answer(STATUS)
        self.assertEqual(self.run_("scrub", "start", "--wait")[0], 1)
        self.answer(STATUS | {"wrong": 0, "removed": 1})
        self.assertEqual(self.run_("scrub", "start", "--wait")[0], 0)
        self.assertEqual(
            _progress(STATUS),
            "[########............] comparing files: 40 of 100 files, 5.0 MiB compared, "
            "1 wrong",
        )

    def test_status(self) -> None:
        """
        How far it is.
        """
        self.answer(STATUS | {"silent": ["ds3"], "foreign": 9})
        status, out, _ = self.run_("scrub", "status")
        self.assertEqual(status, 0)
        for words in (
            "under way: comparing files",
            "40 of 100, 5.0 MiB compared",
            "wrong      1, of which 0 given to repair",
            "not seen   2",
            "orphans    1 data files",
            "foreign    9",
            "silent     ds3",
        ):
            self.assertIn(words, out)
        self.answer(STATUS | {"running": False})
        self.assertIn("stopped", self.run_("scrub", "status")[1])
        ended = {"running": False, "phase": "done"}
        self.answer(STATUS | ended | {"ended": 1_700_000_100})
        self.assertIn("ended 20", self.run_("scrub", "status")[1])
        self.answer(STATUS | ended | {"began": None})
        self.assertIn("no scrub yet", self.run_("scrub", "status")[1])

    def test_report(self) -> None:
        """
        One line for each finding, and the exit status says that there are any.
        """
        self.answer(STATUS | {"wrong": 5} | FOUND)
        status, out, _ = self.run_("scrub", "report")
        self.assertEqual(status, 1)
        self.assertEqual(
            out.splitlines()[:5],
            [
                "/export/f: is gone (given to repair)",
                "a file of handle 07: differs",
                "and 3 more",
                "ds1: 00ab belongs to nothing, 2.0 KiB",
                "ds2: 00cd belongs to nothing, -, removed",
            ],
        )
        nothing = {"wrong": 0, "orphans": 0, "problems": [], "orphan_files": []}
        self.answer(STATUS | nothing)
        self.assertEqual(self.run_("scrub", "report")[0], 0)
