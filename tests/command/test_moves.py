"""
Tests of the commands that move data: the command line, and what it prints; with a
server in L{tests.mds.commands.test_moves}.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import Any

import pnfs.command.administer
import pnfs.command.main
import pnfs.command.moves
from pnfs.admin.client import ControlFailed
from pnfs.command.moves import progress
from tests.command.test_ds import CommandLine

JOB = {
    "id": 7,
    "what": "drain ds1",
    "state": "running",
    "files": 5,
    "total": 20,
    "bytes": 3 << 20,
    "failed": 0,
    "problem": "",
    "limit": 0,
    "seconds": 6.0,
    "rate": 1 << 19,
    "left": 300,
}
DONE = JOB | {"state": "done", "files": 20, "left": None}
FAILED = DONE | {"state": "failed", "failed": 2, "problem": "no room; 'pnfs ds add'"}


class _Client:
    """
    Answers one request after the other.

    @ivar calls: what was asked for.
    """

    def __init__(self, *answers: Any) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.answers = list(answers)

    def call(self, command: str, values: Any, tell: Any) -> Any:
        """
        Carry out a command.
        """
        self.calls.append((command, values))
        if command == "jobs.wait":
            tell(JOB)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def close(self) -> None:
        """
        Nothing to close.
        """


class _Terminal(io.StringIO):
    """
    Shows what is written.
    """

    def isatty(self) -> bool:
        """
        It is one.
        """
        return True


class CommandLineTests(CommandLine):
    """
    C{pnfs file move}, C{restripe}, C{mirror add}, C{mirror remove}, C{ds drain} and
    C{jobs}.
    """

    def answers(self, *answers: Any) -> _Client:
        """
        The server answers so.
        """
        client = _Client(*answers)
        self.patch(pnfs.command.administer, "connect", lambda args: client)
        return client

    def test_help(self) -> None:
        """
        Each explains itself, with an example.
        """
        for words in (
            ["file", "move"],
            ["restripe"],
            ["mirror", "add"],
            ["mirror", "remove"],
            ["ds", "drain"],
            ["rebalance"],
            ["jobs"],
        ):
            status, text, _ = self.run_(*words, "--help")
            self.assertEqual(status, 0)
            self.assertIn("Example: pnfs " + " ".join(words), text)
            self.assertIn("--json", text)

    def test_requests(self) -> None:
        """
        What is asked of the server is what the words say.
        """
        for words, command, values in (
            (
                ["file", "move", "/e/a", "/e/b", "--to", "ds1,ds2", "--from", "ds3"],
                "file.move",
                {"paths": ["/e/a", "/e/b"], "to": ["ds1", "ds2"], "from": "ds3"},
            ),
            (
                ["restripe", "/e", "--stripe-count", "4", "--stripe-unit", "1MiB"],
                "restripe",
                {"paths": ["/e"], "count": 4, "unit": 1 << 20},
            ),
            (
                ["restripe", "/e", "--chunk", "1GiB"],
                "restripe",
                {"paths": ["/e"], "count": 0, "unit": 0, "chunk": 1 << 30},
            ),
            (
                ["mirror", "add", "/e", "--copies", "3", "--limit", "2MiB/s"],
                "mirror.add",
                {"paths": ["/e"], "copies": 3, "to": "", "limit": 2 << 20},
            ),
            (
                ["mirror", "remove", "/e", "--from", "ds1"],
                "mirror.remove",
                {"paths": ["/e"], "copies": 1, "from": "ds1"},
            ),
            (["rebalance"], "rebalance", {"within": 5}),
            (
                ["ds", "drain", "ds1", "--force"],
                "ds.drain",
                {"name": "ds1", "force": True},
            ),
        ):
            client = self.answers({"job": JOB} if words[0] == "ds" else JOB, DONE)
            status, out, err = self.run_(*words)
            self.assertEqual((status, err), (0, ""))
            self.assertEqual(
                client.calls, [(command, values), ("jobs.wait", {"id": 7})]
            )
            self.assertIn("job 7, drain ds1: done; 20 files moved, 3.0 MiB", out)

    def test_background(self) -> None:
        """
        Who does not want to wait is told the number of the job.
        """
        client = self.answers({"job": JOB})
        status, out, _ = self.run_("ds", "drain", "ds1", "--background")
        self.assertEqual((status, len(client.calls)), (0, 1))
        self.assertEqual(out, "job 7, drain ds1: running\n")

    def test_interrupted(self) -> None:
        """
        Ctrl-C says that the job goes on, and how to call it off.
        """
        self.answers(JOB, KeyboardInterrupt())
        status, out, err = self.run_("restripe", "/e", "--stripe-count", "2")
        self.assertEqual((status, out), (130, ""))
        self.assertIn("'pnfs jobs cancel 7'", err)
        self.answers(KeyboardInterrupt())
        self.assertEqual(self.run_("restripe", "/e", "--stripe-count", "2")[0], 130)

    def test_failed(self) -> None:
        """
        What was not done is told, with status 1; so is what was refused.
        """
        self.answers(JOB, FAILED)
        status, out, _ = self.run_("mirror", "add", "/e")
        self.assertEqual(status, 1)
        self.assertIn("2 files were not moved: no room; 'pnfs ds add'", out)
        self.answers(ControlFailed("no"))
        status, out, err = self.run_("mirror", "add", "/e")
        self.assertEqual((status, out, err), (1, "", "pnfs mirror add: no\n"))

    def test_json(self) -> None:
        """
        With C{--json} the job is told as the server does.
        """
        self.answers(JOB, DONE)
        status, out, _ = self.run_("mirror", "add", "/e", "--json")
        self.assertEqual((status, json.loads(out)), (0, DONE))

    def test_progress(self) -> None:
        """
        A terminal shows a bar; what is not known is left out.
        """
        self.answers(JOB, DONE)
        terminal = _Terminal()
        self.patch(sys, "stderr", terminal)
        with self.redirected():
            pnfs.command.main.main(["restripe", "/e", "--stripe-count", "2"])
        self.assertIn("[#####...............] 5 files of 20", terminal.getvalue())
        self.assertIn("5 min left", terminal.getvalue())
        self.assertEqual(
            progress(JOB | {"total": None, "left": None, "failed": 1, "problem": "x"}),
            "5 files, 3.0 MiB copied, 512.0 KiB/s; 1 failed: x",
        )

    def redirected(self) -> Any:
        """
        Nobody sees the output.
        """
        return contextlib.redirect_stdout(io.StringIO())

    def test_dryRun(self) -> None:
        """
        C{rebalance --dry-run} tells how full data servers are and would be.
        """
        server = {"name": "ds1", "total": 1 << 30, "used": 1 << 29, "then": 1 << 28}
        client = self.answers({"files": 3, "bytes": 5 << 20, "servers": [server]})
        status, out, _ = self.run_("rebalance", "--dry-run", "--within", "2")
        self.assertEqual(status, 0)
        self.assertEqual(client.calls, [("rebalance", {"within": 2, "dry": True})])
        self.assertIn("ds1   1.0 GiB  50 %  25 %", out)
        self.assertIn("3 files would be moved, 5.0 MiB", out)

    def test_jobs(self) -> None:
        """
        C{jobs} lists, calls off and waits.
        """
        client = self.answers([JOB, FAILED])
        status, out, _ = self.run_("jobs")
        self.assertEqual((status, client.calls), (0, [("jobs.list", {})]))
        self.assertIn("7   running  5 of 20", out)
        self.assertIn("job 7: 2 files were not moved", out)
        client = self.answers(DONE | {"state": "cancelled"})
        self.assertEqual(self.run_("jobs", "cancel", "7")[0], 0)
        self.assertEqual(client.calls, [("jobs.cancel", {"id": 7})])
        self.answers(FAILED)
        self.assertEqual(self.run_("jobs", "wait", "7")[0], 1)
        self.assertEqual(self.run_("jobs", "wait")[0], 2)
