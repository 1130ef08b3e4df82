"""
Tests of L{pnfs.admin.client}; with a server in L{tests.system.test_administration}.
"""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from pnfs.admin.client import ControlClient, ControlFailed, findSocket


class FindTests(SynchronousTestCase):
    """
    Which server is meant.
    """

    def write(self, text: str) -> str:
        """
        A configuration file.
        """
        folder = self.mktemp()
        os.mkdir(folder)
        path = os.path.join(folder, "mds.toml")
        with open(path, "w") as stream:
            stream.write(text)
        return path

    def test_order(self) -> None:
        """
        The options go before the environment.
        """
        config = self.write('state = "/var/lib/pnfs"\n')
        other = self.write('state = "/x"\n[admin]\nsocket = "/run/pnfs.sock"\n')
        socket = "/var/lib/pnfs/control.sock"
        self.assertEqual(findSocket("/a", config, {"PNFS_MDS": other}), "/a")
        self.assertEqual(findSocket(None, config, {"PNFS_MDS": other}), socket)
        self.assertEqual(findSocket(None, None, {"PNFS_MDS": other}), "/run/pnfs.sock")
        self.assertEqual(findSocket(None, None, {"PNFS_MDS": "/b"}), "/b")
        folder = os.path.dirname(config)
        self.assertEqual(findSocket(None, None, {"PNFS_MDS": folder}), socket)

    def test_wrong(self) -> None:
        """
        What cannot be is said in one line that says what to do.
        """
        for path, words in (
            ("/nowhere/mds.toml", "--config"),
            (self.write("state = "), "TOML"),
            (self.write("x = 1\n"), "state: is missing"),
            (self.write("admin = 1\n"), "state: is missing"),
        ):
            error = self.assertRaises(ControlFailed, findSocket, None, path, {})
            self.assertIn(words, str(error))
            self.assertNotIn("\n", str(error))

    def test_nobody(self) -> None:
        """
        Nobody answers there.
        """
        error = self.assertRaises(ControlFailed, ControlClient, "/nowhere/socket")
        self.assertIn("does the metadata server run?", str(error))
