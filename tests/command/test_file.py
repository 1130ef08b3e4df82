"""
Tests of L{pnfs.command.file}: the command line, and what it prints; with a server in
L{tests.mds.commands.test_file}.
"""

from __future__ import annotations

from typing import Any

import pnfs.command.administer
from tests.command import test_ds, test_mirror

SETTINGS = {
    "mirrors": {"value": 2, "from": "/export/a"},
    "stripe_count": {"value": 0, "from": "export /export"},
    "class": {"value": "", "from": "export /export"},
    "data_servers": {"value": ["ds1", "ds2"], "from": "/export"},
}
DIRECTORY = {
    "path": "/export/a",
    "directory": True,
    "settings": SETTINGS,
    "placement": None,
}
PLACEMENT = {
    "layout": "flexfiles",
    "stripe_unit": 0,
    "chunk": 0,
    "columns": [[{"name": "ds1", "stale": False}, {"name": "ds2", "stale": True}]],
    "object": "ab12",
    "epoch": 1,
}


class FileCommandLineTests(test_ds.CommandLine):
    """
    C{pnfs file} with a path.
    """

    def setUp(self) -> None:
        """
        A server that answers.
        """
        self.client = test_mirror._Client()
        self.client.calls = []
        self.client.answer = DIRECTORY
        self.patch(pnfs.command.administer, "connect", lambda args: self.client)

    def test_set(self) -> None:
        """
        What is said reaches the server, and nothing else; what counts now is shown,
        and where it has been said.
        """
        status, out, _ = self.run_(
            *"file set /export/a --mirrors 2 --stripe-count 0 --stripe-unit 1MiB".split(),
            *"--class nvme --data-server ds1 --data-server ds2 --policy p".split(),
            *"--layout files --chunk 0".split(),
        )
        self.assertEqual(status, 0)
        wanted: dict[str, Any] = {
            "path": "/export/a",
            "clear": False,
            "mirrors": 2,
            "stripe_count": 0,
            "stripe_unit": 1 << 20,
            "chunk": 0,
            "class": "nvme",
            "placement": "p",
            "layout": "files",
            "data_servers": ["ds1", "ds2"],
        }
        self.assertEqual(self.client.calls, [("file.set", wanted)])
        self.assertEqual(
            out.splitlines(),
            [
                "path          /export/a",
                "new files",
                "  mirrors       2              (/export/a)",
                "  stripe_count  all            (export /export)",
                "  class         any            (export /export)",
                "  data_servers  ds1, ds2       (/export)",
            ],
        )

    def test_clear(self) -> None:
        """
        Likewise that nothing is said any more.
        """
        self.run_("file", "set", "/export/a", "--clear")
        wanted = {"path": "/export/a", "clear": True}
        self.assertEqual(self.client.calls, [("file.set", wanted)])

    def test_wrong(self) -> None:
        """
        What cannot be meant is said before the server is asked.
        """
        for option, value in (
            ("--mirrors", "0"),
            ("--mirrors", "two"),
            ("--stripe-count", "-1"),
            ("--stripe-unit", "big"),
            ("--stripe-unit", "0"),
            ("--chunk", "1K"),
        ):
            status, _, error = self.run_("file", "set", "/export/a", option, value)
            self.assertEqual(status, 2)
            self.assertIn(option, error)
        self.assertEqual(self.client.calls, [])

    def test_show(self) -> None:
        """
        Of a file: which data servers have it, and which copy is stale.
        """
        self.client.answer = DIRECTORY | {"directory": False, "placement": PLACEMENT}
        status, out, _ = self.run_("file", "show", "/export/a/f")
        self.assertEqual(status, 0)
        self.assertEqual(self.client.calls, [("file.show", {"path": "/export/a/f"})])
        self.assertIn("layout        flexfiles", out)
        self.assertIn("stripe 0      ds1, ds2 (stale)", out)
        self.assertIn("object        ab12", out)

    def test_showEmpty(self) -> None:
        """
        Of a file without bytes: that it has none, and where they will go.
        """
        self.client.answer = DIRECTORY | {"directory": False}
        _, out, _ = self.run_("file", "show", "/export/a/f")
        self.assertIn("none yet", out)
        self.assertIn("mirrors       2", out)

    def test_help(self) -> None:
        """
        Each action explains itself, with an example.
        """
        for action in ("show", "set"):
            status, text, _ = self.run_("file", action, "--help")
            self.assertEqual(status, 0)
            self.assertIn(f"Example: pnfs file {action}", text)
            self.assertIn("--json", text)
