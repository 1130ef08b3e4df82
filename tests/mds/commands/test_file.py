"""
Tests of L{pnfs.mds.commands.file}, L{pnfs.mds.commands.paths} and
L{pnfs.mds.settings}: what is said of new files below directories.
"""

from __future__ import annotations

from typing import Any

import attrs
from twisted.logger import globalLogPublisher

from pnfs.config import MDSConfig
from pnfs.values import FileType, NewObject, Placement, PlacementSettings
from tests.mds.commands.test_ds import SiteCommandCase


class FileCommandCase(SiteCommandCase):
    """
    A site of four data servers, two of them of class C{nvme}, with directories C{/a}
    and C{/a/b}.
    """

    def setUp(self) -> None:
        """
        Make the directories.
        """
        super().setUp()
        for number in (2, 3):
            self.command(
                "ds.add",
                name=f"ds{number}",
                address=self.at(number),
                **{"class": "nvme"},
            )
        (self.export,) = self.mds.context.exports.byPath.values()
        self.tree = self.export.backend
        self.above = self.mkdir(self.tree.root, b"a")
        self.below = self.mkdir(self.above, b"b")

    def mkdir(self, directory: Any, name: bytes) -> Any:
        """
        Make a directory.
        """
        what = NewObject(FileType.DIR, 0o755, 0, 0)
        return self.now(self.tree.create(directory, name, what))

    def make(self, directory: Any, name: bytes) -> Any:
        """
        Make a file.
        """
        what = NewObject(FileType.REG, 0o644, 0, 0)
        return self.now(self.tree.create(directory, name, what))

    def place(self, inode: Any) -> Placement:
        """
        A file gets bytes.
        """
        placement: Placement = self.now(self.mds._data.ensure(self.export, inode, True))
        return placement

    def names(self, placement: Placement) -> list[str]:
        """
        The data servers of a file.
        """
        servers = self.mds._servers
        return sorted(servers.byUUID(u).record.name for u in placement.dataServers)

    def set(self, path: str, **args: Any) -> Any:
        """
        C{pnfs file set}.
        """
        return self.command("file.set", path=path, **args)

    def inForce(self, path: str) -> dict[str, tuple[Any, str]]:
        """
        What counts for new files, and where it has been said.
        """
        found = self.command("file.show", path=path)["settings"]
        return {key: (said["value"], said["from"]) for key, said in found.items()}


class StripedTests(FileCommandCase):
    """
    An export with files layouts.
    """

    def test_shape(self) -> None:
        """
        New files below a directory are striped as has been said of it, others as the
        export says; files that have bytes stay as they are.
        """
        old = self.make(self.below, b"old")
        before = self.place(old)
        self.assertEqual(len(before.columns), 4)
        self.set("/export/a", stripe_count=2, stripe_unit=1 << 20)
        found = self.place(self.make(self.below, b"new"))
        self.assertEqual((len(found.columns), found.stripeUnit), (2, 1 << 20))
        found = self.place(self.make(self.tree.root, b"elsewhere"))
        self.assertEqual((len(found.columns), found.stripeUnit), (4, 65536))
        self.assertEqual(self.place(old), before)

    def test_class(self) -> None:
        """
        A class of storage, with all data servers that are of it; and which ones that
        are counts when a file gets its bytes.
        """
        self.set("/export/a", **{"class": "nvme"})
        self.assertEqual(
            self.names(self.place(self.make(self.below, b"f"))), ["ds2", "ds3"]
        )
        self.command("ds.class", name="ds0", **{"class": "nvme"})
        self.assertEqual(
            self.names(self.place(self.make(self.below, b"g"))), ["ds0", "ds2", "ds3"]
        )

    def test_nearest(self) -> None:
        """
        What is said of a directory goes before what is said above, each thing by
        itself; C{any} takes back what is said above.
        """
        self.set("/export", stripe_unit=131072)
        self.set("/export/a", stripe_count=2, **{"class": "nvme"})
        self.set("/export/a/b", **{"class": "any"})
        self.assertEqual(
            self.inForce("/export/a/b"),
            {
                "mirrors": (1, "export /export"),
                "stripe_count": (2, "/export/a"),
                "stripe_unit": (131072, "/export"),
                "chunk": (self.export.chunk, "export /export"),
                "class": ("", "/export/a/b"),
                "placement": ("round-robin", "export /export"),
                "layout": ("files", "export /export"),
                "data_servers": ([], "export /export"),
            },
        )
        found = {
            name
            for number in range(4)
            for name in self.names(self.place(self.make(self.below, b"%d" % number)))
        }
        self.assertEqual(found, {"ds0", "ds1", "ds2", "ds3"})
        self.assertEqual(
            self.names(self.place(self.make(self.above, b"f"))), ["ds2", "ds3"]
        )

    def test_pinned(self) -> None:
        """
        Certain data servers; C{any} again means all.
        """
        self.set("/export/a", data_servers=["ds1", "ds3"])
        self.assertEqual(
            self.names(self.place(self.make(self.below, b"f"))), ["ds1", "ds3"]
        )
        self.set("/export/a/b", data_servers=["any"])
        self.assertEqual(len(self.names(self.place(self.make(self.below, b"g")))), 4)

    def test_policy(self) -> None:
        """
        Another placement policy.
        """
        self.set("/export/a", placement="weighted", stripe_count=1)
        for backend in self.backends[:3]:
            backend.capacity = 0
        self.clock.pump([1.0] * 10)
        found = [
            self.names(self.place(self.make(self.below, b"%d" % n))) for n in range(4)
        ]
        self.assertEqual(found, [["ds3"]] * 4)

    def test_moved(self) -> None:
        """
        What has been said goes with the directory where that goes; and a file that
        has no bytes yet is as is said where it is.
        """
        self.set("/export/a/b", stripe_count=1)
        self.set("/export/a", data_servers=["ds0", "ds1"])
        self.now(self.tree.rename(self.above, b"b", self.tree.root, b"c", False))
        self.assertEqual(self.inForce("/export/c")["stripe_count"], (1, "/export/c"))
        self.assertEqual(self.inForce("/export/c")["data_servers"][0], [])
        file = self.make(self.below, b"f")
        self.now(self.tree.rename(self.below, b"f", self.above, b"f", False))
        self.assertEqual(self.names(self.place(file)), ["ds0", "ds1"])

    def test_clear(self) -> None:
        """
        What has been said is forgotten, then what is said along with that counts.
        """
        self.set("/export/a", stripe_count=2, **{"class": "nvme"})
        self.set("/export/a", stripe_count=1)
        self.assertEqual(self.inForce("/export/a")["class"], ("nvme", "/export/a"))
        self.set("/export/a", clear=True, stripe_unit=131072)
        said = self.now(self.tree.loadSettings(self.above))
        self.assertEqual(said, PlacementSettings(stripeUnit=131072))
        self.set("/export/a", clear=True)
        self.assertIsNone(self.now(self.tree.loadSettings(self.above)))
        self.set("/export/a", clear=True)

    def test_copied(self) -> None:
        """
        A file that is copied to where a class of storage is wanted is not put beside
        its source on other storage.
        """
        self.set("/export/a", stripe_count=2, **{"class": "nvme"})
        self.set("/export", stripe_count=2, data_servers=["ds0", "ds1"])
        self.set("/export/a", data_servers=["any"])
        source, target = self.make(self.tree.root, b"f"), self.make(self.above, b"f")
        self.place(source)
        self.assertEqual(self.names(self.place(target)), ["ds2", "ds3"])
        data = self.mds._data
        self.assertFalse(
            self.now(data.misplaced(self.export, target, self.export, source))
        )
        self.set("/export/a", **{"class": "any"})
        self.assertTrue(
            self.now(data.misplaced(self.export, target, self.export, source))
        )

    def test_refused(self) -> None:
        """
        What cannot be is refused at once, in one line that says why and what to do
        instead, and nothing has changed.
        """
        self.make(self.above, b"f")
        self.set("/export/a", stripe_count=2)
        path = "/export/a"
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"path": path, "mirrors": 2}, "the files layout has no mirrors"),
            ({"path": path, "mirrors": 5}, "5 mirrors need as many data servers"),
            ({"path": path, "stripe_count": 5}, "there are 4; say fewer, or 0 for all"),
            (
                {"path": path, "stripe_count": 3, "class": "nvme"},
                "3 stripes need as many data servers of class nvme, and there are 2",
            ),
            ({"path": path, "class": "tape"}, "'pnfs ds class NAME tape'"),
            ({"path": path, "class": "N V"}, "class: 'N V'"),
            ({"path": path, "data_servers": ["ds9"]}, "there are ds0, ds1, ds2, ds3"),
            ({"path": path, "stripe_unit": 1000}, "64KiB"),
            ({"path": path, "chunk": 1}, "chunk: write a multiple of 64KiB"),
            ({"path": path, "chunk": 1 << 30}, "files layouts have no chunks"),
            ({"path": path, "placement": "best"}, "known: pinned, round-robin"),
            ({"path": path, "placement": "pinned"}, "needs to know what goes where"),
            ({"path": path, "layout": "none"}, "known: files, flexfiles"),
            (
                {"path": path, "layout": "flexfiles"},
                "clients of /export are offered files layouts, not flexfiles",
            ),
            ({"path": path}, "or --clear"),
            ({"path": "/export/a/f", "mirrors": 1}, "say it of /export/a"),
            ({"path": "/export/x", "mirrors": 1}, "there is no 'x' in it"),
            ({"path": "/other", "mirrors": 1}, "is in no export; there are /export"),
            ({"path": path, "stripe_count": 999}, "from -1 to 256"),
        ]
        for args, words in wrong:
            self.assertIn(words, self.refused("file.set", **args))
        said = self.now(self.tree.loadSettings(self.above))
        self.assertEqual(said, PlacementSettings(stripeCount=2))

    def test_notInstalled(self) -> None:
        """
        Where a policy is wanted that has been taken away since, new files are placed
        as the export says, and the log names it.
        """
        gone = PlacementSettings(policy="gone", layout="lost")
        self.now(self.tree.storeSettings(self.above, gone))
        said: list[str] = []

        def observe(event: Any) -> None:
            if event["log_namespace"] == "pnfs.mds.settings":
                said.append(str(event["error"]))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        self.assertEqual(len(self.place(self.make(self.above, b"f")).columns), 4)
        self.assertEqual(len(said), 2)
        self.assertIn("'lost'", said[0])
        self.assertIn("'gone'", said[1])

    def test_show(self) -> None:
        """
        Of a file with bytes it is told where they are.
        """
        inode = self.make(self.below, b"f")
        self.assertIsNone(self.command("file.show", path="/export/a/b/f")["placement"])
        placement = self.place(inode)
        told = self.command("file.show", path="/export/a/b/f")
        self.assertEqual(told["directory"], False)
        self.assertEqual(told["placement"]["object"], placement.name.decode())
        self.assertEqual(
            [[copy["name"] for copy in c] for c in told["placement"]["columns"]],
            [["ds1"], ["ds2"], ["ds3"], ["ds0"]],
        )


class MirroredTests(FileCommandCase):
    """
    An export with flexible files, two copies of each.
    """

    layout = "flexfiles"
    mirrors = 2

    def configuration(self) -> MDSConfig:
        """
        See L{SiteCommandCase.configuration}.
        """
        config = super().configuration()
        (export,) = config.exports
        return attrs.evolve(
            config, exports=(attrs.evolve(export, stripeCount=1, chunk=1 << 30),)
        )

    def test_mirrors(self) -> None:
        """
        More or fewer copies than the export says; not more than there are data
        servers, of the class if one is named.
        """
        self.set("/export/a", mirrors=3)
        self.set("/export/a/b", mirrors=1)
        self.assertEqual(len(self.names(self.place(self.make(self.above, b"f")))), 3)
        self.assertEqual(len(self.names(self.place(self.make(self.below, b"f")))), 1)
        self.assertEqual(
            len(self.names(self.place(self.make(self.tree.root, b"f")))), 2
        )
        self.assertIn(
            "3 mirrors need as many data servers of class nvme, and there are 2",
            self.refused("file.set", path="/export/a", **{"class": "nvme"}),
        )
        self.assertIn(
            "flexible files are not striped",
            self.refused("file.set", path="/export/a", stripe_count=2),
        )

    def test_chunks(self) -> None:
        """
        Other chunks than the export says, or none.
        """
        self.assertEqual(self.place(self.make(self.above, b"f")).chunk, 1 << 30)
        self.set("/export/a", chunk=1 << 20)
        self.set("/export/a/b", chunk=0)
        self.assertEqual(self.place(self.make(self.above, b"g")).chunk, 1 << 20)
        self.assertEqual(self.place(self.make(self.below, b"g")).chunk, 0)

    def test_lastCopy(self) -> None:
        """
        No data server is taken out of use that has the last copy of a file: because the
        file has no other one, or what has it is out of use already; though the export
        has two copies of each.
        """
        self.clock.pump([0.1] * 50)
        self.place(self.make(self.tree.root, b"f"))
        first, second = [
            name
            for name in ("ds0", "ds1", "ds2", "ds3")
            if self.command("ds.show", name=name)["files"]
        ]
        self.assertEqual(self.command("ds.show", name=first)["alone"], 0)
        self.command("ds.disable", name=first)
        self.assertEqual(self.command("ds.show", name=second)["alone"], 1)
        self.assertIn(
            f"a file has no other copy than that on {second}",
            self.refused("ds.disable", name=second),
        )
        self.command("ds.enable", name=first)
        self.clock.pump([0.1] * 50)
        self.command("ds.disable", name=second)
        self.command("ds.enable", name=second)
        self.clock.pump([0.1] * 50)
        self.set("/export/a", mirrors=1, data_servers=["ds3"])
        for number in range(2):
            self.place(self.make(self.above, b"%d" % number))
        self.assertIn(
            "2 files have no other copy than that on ds3; after 'pnfs ds drain ds3'",
            self.refused("ds.kill", name="ds3"),
        )
        self.command("ds.kill", name="ds3", force=True)
