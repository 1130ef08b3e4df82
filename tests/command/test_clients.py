"""
Tests of C{pnfs clients}, C{layouts}, C{opens}, C{top} and C{why}: the command line;
with a server in L{tests.system.test_administration}.
"""

from __future__ import annotations

from typing import Any

from pnfs.command.top import rates, show
from tests.command.test_ds import CommandLine


class ClientCommandLineTests(CommandLine):
    """
    What the words mean.
    """

    def test_help(self) -> None:
        """
        Each explains itself, with an example.
        """
        for name in ("clients", "layouts", "opens", "top", "why"):
            status, text, _ = self.run_(name, "--help")
            self.assertEqual(status, 0)
            for words in (f"Example: pnfs {name}", "--json", "--socket", "--config"):
                self.assertIn(words, text)

    def test_usage(self) -> None:
        """
        A wrong command line ends with status 2, a missing server with 1.
        """
        for words in (["why"], ["clients", "--limit", "x"], ["top", "--interval", "0"]):
            self.assertEqual(self.run_(*words)[0], 2)
        for name in ("clients", "layouts", "opens", "top"):
            status, _, err = self.run_(name, "--socket", "/nowhere/socket")
            self.assertEqual((status, err.count("\n")), (1, 1))

    def test_rates(self) -> None:
        """
        Figures are per second.
        """
        before: dict[str, Any] = {
            "seconds": 10.0,
            "compounds": 100,
            "operations": {"READ": 10, "OPEN": 5},
            "failed": 0,
            "read_bytes": 0,
            "written_bytes": 0,
            "clients": 1,
            "layouts": 2,
            "recalls": 0,
            "data_servers": 3,
            "data_servers_up": 2,
        }
        now = before | {
            "seconds": 12.0,
            "compounds": 300,
            "operations": {"READ": 30, "OPEN": 5, "LOOKUP": 2},
            "read_bytes": 4 << 20,
        }
        found = rates(before, now)
        self.assertEqual(found["operations"], {"READ": 10.0, "LOOKUP": 1.0})
        text = show(found)
        for words in ("100 requests/s", "2.0 MiB/s read", "2 of 3", "READ"):
            self.assertIn(words, text)
