"""
Tests of L{pnfs.command.mirror}: the command line, and what it prints; with a server in
L{tests.mds.commands.test_mirror}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import pnfs.command.administer
from tests.command import test_ds

STATUS = {
    "running": True,
    "automatic": True,
    "limit": 200 << 20,
    "servers": [
        {
            "name": "ds0",
            "answers": True,
            "stale": 3,
            "files": 2,
            "bytes": 5 << 20,
            "failed": 1,
            "problem": "it is full",
            "repairing": True,
            "left_bytes": 3 << 20,
            "rate": 1 << 20,
            "seconds": 75,
        },
        {
            "name": "ds1",
            "answers": False,
            "stale": 0,
            "files": 0,
            "bytes": 0,
            "failed": 0,
            "problem": "",
            "repairing": False,
            "left_bytes": None,
            "rate": 0,
            "seconds": None,
        },
    ],
}


class _Client:
    """
    Answers.

    @ivar calls: what was asked for.
    """

    calls: list[tuple[str, Any]] = []
    answer: Any = None

    def call(self, command: str, values: Any, tell: Any) -> Any:
        """
        Carry out a command.
        """
        self.calls.append((command, values))
        tell(STATUS)
        return self.answer

    def close(self) -> None:
        """
        Nothing to close.
        """


class CommandLineTests(SynchronousTestCase):
    """
    C{pnfs mirror}.
    """

    run_ = test_ds.CommandLineTests.run_

    def answer(self, result: Any) -> _Client:
        """
        The server answers with this.
        """
        client = _Client()
        client.calls = []
        client.answer = result
        self.patch(pnfs.command.administer, "connect", lambda args: client)
        return client

    def test_help(self) -> None:
        """
        Each action explains itself, with an example, and can answer in JSON.
        """
        for action in ("status", "repair", "stop", "verify"):
            status, text, _ = self.run_("mirror", action, "--help")
            self.assertEqual(status, 0)
            for words in (f"Example: pnfs mirror {action}", "--json", "--socket"):
                self.assertIn(words, text)

    def test_status(self) -> None:
        """
        What is left, what was done, and why something failed.
        """
        client = self.answer(STATUS)
        status, out, _ = self.run_("mirror", "status")
        self.assertEqual(status, 0)
        self.assertEqual(client.calls, [("mirror.status", {})])
        self.assertEqual(
            out.splitlines(),
            [
                "NAME          STALE  LEFT     REPAIRED  COPIED   RATE       ETA   FAILED",
                "ds0           3      3.0 MiB  2         5.0 MiB  1.0 MiB/s  75 s  1",
                "ds1 (silent)  0      -        0         0 B      -          -     0",
                "ds0: it is full",
                "repair: automatic, at most 200.0 MiB in a second; under way",
            ],
        )

    def test_repair(self) -> None:
        """
        Options reach the server; a limit that is no size is refused.
        """
        client = self.answer(STATUS)
        self.run_("mirror", "repair", "ds0", "--full", "--limit", "200MiB/s")
        self.assertEqual(
            client.calls,
            [("mirror.repair", {"name": "ds0", "full": True, "limit": 200 << 20})],
        )
        status, _, err = self.run_("mirror", "repair", "--limit", "much")
        self.assertEqual((status, err.count("\n")), (2, 1))

    def test_verify(self) -> None:
        """
        Where copies differ the exit status is 1, in JSON as well.
        """
        found = {"files": 9, "stale": 1, "wrong": 2, "problems": ["/e/f: differs"]}
        self.answer(found)
        status, out, _ = self.run_("mirror", "verify")
        self.assertEqual(status, 1)
        self.assertEqual(
            out.splitlines(),
            [
                "/e/f: differs",
                "and 1 more",
                "9 files compared, 1 of them with a stale copy that was left out; 2 wrong",
            ],
        )
        self.assertEqual(self.run_("mirror", "verify", "--json")[0], 1)
        self.answer({**found, "wrong": 0, "problems": []})
        self.assertEqual(self.run_("mirror", "verify")[0], 0)
