"""
Tests of L{pnfs.mds.commands.clients}.
"""

from __future__ import annotations

from pnfs.nfs4 import requests
from tests.mds.commands.test_ds import SiteCommandCase
from tests.mds.test_service import FILES
from tests.nfs4.ops.files import lockNew


class ClientCommandTests(SiteCommandCase):
    """
    C{pnfs clients}, C{layouts}, C{opens}, C{top}.
    """

    def setUp(self) -> None:
        """
        A client with a layout of a file that it has open.
        """
        super().setUp()
        self.mounted = self.mount()
        self.fh, self.stateid = self.mounted.create(b"f")
        self.mounted.layout(self.fh, self.stateid, FILES)

    def test_clients(self) -> None:
        """
        Who is connected, from where, and how much it holds.
        """
        (found,) = self.command("clients.list")
        self.assertEqual(found["addresses"], ["192.0.2.9"])
        self.assertEqual((found["owner"], found["asked"]), ("me", ["files"]))
        self.assertEqual((found["opens"], found["layouts"]), (1, 1))
        self.assertEqual(found["locks"], 0)
        self.assertFalse(found["silent"])
        self.clock.advance(95)
        (found,) = self.command("clients.list", client="192.0.2.9")
        self.assertTrue(found["silent"])
        self.assertGreater(found["seconds"], 94)

    def test_locks(self) -> None:
        """
        A client is shown with the lock owners that it has, and its opens with theirs.
        """
        for owner in (b"one", b"two"):
            lock = lockNew(self.stateid, 1, 0, 10, owner)
            self.mounted.run(requests.putfh(self.fh), lock)
        for command in ("clients.list", "opens.list"):
            (found,) = self.command(command)
            self.assertEqual(found["locks"], 2, command)

    def test_held(self) -> None:
        """
        What clients hold: where the file is, and how far they may go.
        """
        (layout,) = self.command("layouts.list")
        (opened,) = self.command("opens.list", client="192.0.2.9")
        for found in (layout, opened):
            self.assertEqual((found["export"], found["folder"]), ("/export", ""))
            self.assertEqual(found["access"], "read and write")
        self.assertEqual(layout["fileid"], opened["fileid"])
        self.assertEqual(sorted(layout["data_servers"]), ["ds0", "ds1"])
        self.assertEqual((layout["type"], layout["recall"]), ("files", ""))

    def test_limited(self) -> None:
        """
        No more is told than is wanted.
        """
        self.mounted.create(b"g")
        self.assertEqual(len(self.command("opens.list")), 2)
        self.assertEqual(len(self.command("opens.list", limit=1)), 1)
        for limit in (0, -1, "1", 1 << 40):
            self.assertIn("limit", self.refused("opens.list", limit=limit))

    def test_nobody(self) -> None:
        """
        An address where no client is.
        """
        for name in ("clients.list", "layouts.list", "opens.list"):
            line = self.refused(name, client="192.0.2.77")
            self.assertIn("pnfs clients", line)

    def test_top(self) -> None:
        """
        Counters grow by what is done between two looks.
        """
        before = self.command("server.top")
        self.mounted.create(b"g")
        after = self.command("server.top")
        self.assertEqual(after["operations"]["OPEN"], before["operations"]["OPEN"] + 1)
        self.assertEqual((after["clients"], after["layouts"]), (1, 1))
        self.assertEqual((after["data_servers"], after["data_servers_up"]), (2, 2))
