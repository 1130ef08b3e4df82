"""
Tests of L{pnfs.command.main} and of C{pnfs key}.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from pnfs.command.main import COMMANDS, main
from tests.system.cluster import environment


class MainTests(SynchronousTestCase):
    """
    The command line.
    """

    def help(self, *words: str) -> str:
        """
        What C{--help} prints.
        """
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            error = self.assertRaises(SystemExit, main, [*words, "--help"])
        self.assertEqual(error.code, 0)
        return out.getvalue()

    def test_help(self) -> None:
        """
        Every command is listed, and explains itself.
        """
        text = self.help()
        for name, summary in COMMANDS.items():
            self.assertIn(name, text)
            self.assertIn(f"usage: pnfs {name}", self.help(name))
        self.assertIn("--json", self.help("file", "show"))

    def test_unknown(self) -> None:
        """
        What is no command is refused with status 2.
        """
        for words in ([], ["nope"], ["ls"], ["ls", "local"]):
            with contextlib.redirect_stderr(io.StringIO()):
                error = self.assertRaises(SystemExit, main, words)
            self.assertEqual(error.code, 2)

    def test_bothLocal(self) -> None:
        """
        C{cp} is for remote files.
        """
        with contextlib.redirect_stderr(io.StringIO()) as err:
            self.assertEqual(main(["cp", "a", "b"]), 2)
        self.assertIn("remote", err.getvalue())

    def test_reactorLate(self) -> None:
        """
        No module of the program chooses a reactor when it is imported.
        """
        code = "import sys; from pnfs.command.main import *\n" + "".join(
            f"makeParser({name!r})\n" for name in COMMANDS
        )
        code += "assert 'twisted.internet.reactor' not in sys.modules"
        subprocess.run([sys.executable, "-c", code], env=environment(), check=True)


class KeyTests(SynchronousTestCase):
    """
    C{pnfs key new}.
    """

    def test_new(self) -> None:
        """
        32 random bytes that only the owner can read.
        """
        names = [self.mktemp(), self.mktemp()]
        for name in names:
            self.assertEqual(main(["key", "new", name]), 0)
            self.assertEqual(stat.S_IMODE(os.stat(name).st_mode), 0o600)
        keys = []
        for name in names:
            with open(name, "rb") as file:
                keys.append(file.read())
        self.assertEqual([len(key) for key in keys], [32, 32])
        self.assertNotEqual(*keys)

    def test_never(self) -> None:
        """
        A key that is there is not overwritten.
        """
        name = self.mktemp()
        main(["key", "new", name])
        with open(name, "rb") as file:
            before = file.read()
        with contextlib.redirect_stderr(io.StringIO()) as err:
            self.assertEqual(main(["key", "new", name]), 1)
        self.assertIn("File exists", err.getvalue())
        with open(name, "rb") as file:
            self.assertEqual(file.read(), before)
