"""
Tests of L{pnfs.command.ds} and L{pnfs.command.administer}: the command line; with a
server in L{tests.system.test_administration}.
"""

from __future__ import annotations

import contextlib
import io

from twisted.trial.unittest import SynchronousTestCase

from pnfs.command.administer import size, table
from pnfs.command.main import main

ACTIONS = (
    "add",
    "list",
    "show",
    "assign",
    "class",
    "drain",
    "disable",
    "kill",
    "enable",
)


class CommandLine(SynchronousTestCase):
    """
    Runs C{pnfs}.
    """

    def run_(self, *words: str) -> tuple[int, str, str]:
        """
        Status, output and errors of a command line.
        """
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = main(words)
            except SystemExit as end:
                status = int(end.code or 0)
        return status, out.getvalue(), err.getvalue()


class CommandLineTests(CommandLine):
    """
    C{pnfs ds}.
    """

    def test_help(self) -> None:
        """
        Each action explains itself, with an example, and can answer in JSON.
        """
        for action in (*ACTIONS, "remove"):
            status, text, _ = self.run_("ds", action, "--help")
            self.assertEqual(status, 0)
            for words in (
                f"Example: pnfs ds {action}",
                "--json",
                "--socket",
                "--config",
            ):
                self.assertIn(words, text)

    def test_usage(self) -> None:
        """
        A wrong command line ends with status 2.
        """
        for words in ([], ["nope"], ["add", "ds1"], ["show"], ["class", "ds1"]):
            self.assertEqual(self.run_("ds", *words)[0], 2)

    def test_noServer(self) -> None:
        """
        Without a server it fails with status 1 and one line.
        """
        status, out, err = self.run_("ds", "list", "--socket", "/nowhere/socket")
        self.assertEqual((status, out, err.count("\n")), (1, "", 1))
        self.assertTrue(err.startswith("pnfs ds list: /nowhere/socket: "), err)

    def test_words(self) -> None:
        """
        Sizes and tables can be read by people.
        """
        self.assertEqual(
            [size(n) for n in (None, 0, 1023, 1024, 3 << 29, 5 << 50)],
            ["-", "0 B", "1023 B", "1.0 KiB", "1.5 GiB", "5120.0 TiB"],
        )
        self.assertEqual(table([["A", "B"], ["long", "x"]]), "A     B\nlong  x")
