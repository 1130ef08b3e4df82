"""
Tests for L{pnfs.plugin}.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

from twisted.python.filepath import FilePath
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

import pnfs
from pnfs.backends.errors import BadConfiguration
from pnfs.layouts.files import FilesLayoutDriver
from pnfs.layouts.flexfiles import FlexFilesLayoutDriver
from pnfs.placement.weighted import WeightedPolicy
from pnfs.plugin import (
    DriverMaker,
    IDriverMaker,
    Kind,
    knownMakers,
    loadDriver,
    loadFactory,
)

CHECKOUT = FilePath(pnfs.__file__).parent().parent()

_PLACE = """
import json
from pnfs.interfaces import ILayoutDriver
from pnfs.plugin import Kind, knownMakers, loadDriver
from pnfs.values import DataServer, PlaceRequest

driver = loadDriver(Kind.LAYOUT, "pinned")
servers = [DataServer(bytes([n]) * 16, "ds%d" % n, ()) for n in (1, 2, 3)]

def place(*path):
    request = PlaceRequest(65536, 0, 1, b"ab", 0, path)
    return [column[0][0] for column in driver.place(request, servers).columns]

print(json.dumps({
    "known": sorted(knownMakers(Kind.LAYOUT)),
    "layoutType": driver.layoutType,
    "pinned": place(b"home", b"on-ds2", b"deep"),
    "free": place(b"home"),
    "layout": driver.place(PlaceRequest(65536, 0, 1, b"ab", 0), servers).layout,
}))
"""


_ORDER = """
import json
from pnfs.plugin import Kind, knownMakers, loadDriver
from pnfs.values import DataServer, PlaceRequest

policy = loadDriver(Kind.PLACEMENT, "racks", {})
names = ["r1-a", "r1-b", "r1-c", "r2-a"]
servers = [DataServer(bytes([n]) * 16, name, ()) for n, name in enumerate(names)]
found = [
    policy.order(PlaceRequest(0, 0, 2, b"ab", number), servers)[:2]
    for number in range(20)
]
print(json.dumps({
    "known": sorted(knownMakers(Kind.PLACEMENT)),
    "racks": sorted({server.name[:2] for file in found for server in file}),
    "split": all(a.name[:2] != b.name[:2] for a, b in found),
}))
"""


class Broken:
    """
    No layout driver at all.
    """


class MisnamedPolicy(WeightedPolicy):
    """
    A placement policy that calls itself C{weighted}.
    """


class Misnamed(FilesLayoutDriver):
    """
    A layout driver that calls itself C{files}.
    """


class PluginTests(SynchronousTestCase):
    """
    Drivers and backends are found by name.
    """

    def test_readme(self) -> None:
        """
        The README claims the layouts that the package brings, no more and no less
        (claim in docs exactly the layout types served: chimera #1424, #1427).
        """
        rows = iter(CHECKOUT.child("README.md").getContent().decode().splitlines())
        claimed = [next(row for row in rows if row.startswith("| Layouts |"))]
        for row in rows:
            if not row.startswith("| |"):
                break
            claimed.append(row)
        names = {row.split("|")[2].strip() for row in claimed}
        brought = {
            name
            for name, maker in knownMakers(Kind.LAYOUT).items()
            if maker.dottedPath.startswith("pnfs.")
        }
        self.assertEqual(names - {"yours"}, brought)

    def test_bundledLayouts(self) -> None:
        """
        The layout drivers of the package are found like anybody's.
        """
        for name, cls in (
            ("files", FilesLayoutDriver),
            ("flexfiles", FlexFilesLayoutDriver),
        ):
            self.assertIsInstance(loadDriver(Kind.LAYOUT, name), cls)

    def test_bundledBackends(self) -> None:
        """
        The bundled backends have names, and those names lead to classes.
        """
        self.assertLessEqual({"memory", "xattr"}, set(knownMakers(Kind.METADATA)))
        self.assertLessEqual(
            {"memory", "local", "proxied"}, set(knownMakers(Kind.DATA))
        )
        for kind in Kind:
            for maker in knownMakers(kind).values():
                verifyObject(IDriverMaker, maker)
        for kind, name in ((Kind.METADATA, "xattr"), (Kind.DATA, "local")):
            self.assertTrue(callable(loadFactory(kind, name)))

    def test_backend(self) -> None:
        """
        A backend is made with what the service gives it. Its attributes need not be
        there before it has started; its methods must.
        """
        path = "pnfs.backends.metadata.memory.MemoryMetadataBackend"
        maker = DriverMaker("plain", path, Kind.METADATA)
        made = loadDriver(
            Kind.METADATA, "plain", lambda: 0, entropy=bytes, makers=[maker]
        )
        self.assertFalse(hasattr(made, "root"))
        maker = DriverMaker("plain", "tests.test_plugin.Broken", Kind.METADATA)
        error = self.assertRaises(
            BadConfiguration, loadDriver, Kind.METADATA, "plain", makers=[maker]
        )
        self.assertIn("is none", str(error))

    def test_unknown(self) -> None:
        """
        Who mistypes a name is told which there are.
        """
        error = self.assertRaises(BadConfiguration, loadDriver, Kind.LAYOUT, "flies")
        self.assertIn("'flies'", str(error))
        self.assertIn("files, flexfiles", str(error))

    def test_twoOfOneName(self) -> None:
        """
        Two plugins of one name are refused rather than chosen from by chance; one
        that is found twice is no trouble.
        """
        one = DriverMaker("same", "tests.test_plugin.Broken", Kind.LAYOUT)
        two = DriverMaker("same", "tests.test_plugin.Misnamed", Kind.LAYOUT)
        other = DriverMaker("same", "tests.test_plugin.Misnamed", Kind.DATA)
        error = self.assertRaises(
            BadConfiguration, loadDriver, Kind.LAYOUT, "same", makers=[one, two]
        )
        self.assertIn("tests.test_plugin.Broken and", str(error))
        self.assertEqual(
            set(knownMakers(Kind.LAYOUT, [one, one, other]).values()), {one}
        )

    def test_broken(self) -> None:
        """
        What cannot be imported, is no driver, or goes by another name is refused
        at start.
        """
        for path, text in (
            ("tests.test_plugin.Nothing", "cannot be imported"),
            ("nowhere.Driver", "cannot be imported"),
            ("tests.test_plugin.Broken", "is none"),
            ("tests.test_plugin.Misnamed", "calls itself 'files'"),
        ):
            maker = DriverMaker("x", path, Kind.LAYOUT)
            error = self.assertRaises(
                BadConfiguration, loadDriver, Kind.LAYOUT, "x", makers=[maker]
            )
            self.assertIn(text, str(error))
            self.assertNotIn("\n", str(error))

    def test_brokenPolicy(self) -> None:
        """
        A placement policy likewise; and one that is not content with its options.
        """
        for path, options, text in (
            ("tests.test_plugin.Nothing", {}, "cannot be imported"),
            ("tests.test_plugin.MisnamedPolicy", {}, "calls itself 'weighted'"),
            ("pnfs.placement.weighted.WeightedPolicy", {"a": 1}, "remove a"),
        ):
            maker = DriverMaker("x", path, Kind.PLACEMENT)
            error = self.assertRaises(
                BadConfiguration,
                loadDriver,
                Kind.PLACEMENT,
                "x",
                options,
                makers=[maker],
            )
            self.assertIn(text, str(error))
            self.assertNotIn("\n", str(error))


class ThirdPartyTests(SynchronousTestCase):
    """
    A layout driver or a placement policy in a package of its own works without a
    change to ours.
    """

    def withExample(self, name: str, program: str) -> Any:
        """
        What a program prints with an example package installed.
        """
        package = FilePath(self.mktemp())
        shutil.copytree(CHECKOUT.descendant(["examples", name]).path, package.path)
        path = os.pathsep.join([CHECKOUT.path, os.path.abspath(package.path)])
        found = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            check=True,
        )
        return json.loads(found.stdout)

    def test_example(self) -> None:
        """
        With the example package installed, its driver is found by name, pins a
        directory to a data server, and stripes everything else.
        """
        self.assertEqual(
            self.withExample("pnfs-pinned", _PLACE),
            {
                "known": ["files", "flexfiles", "pinned"],
                "layoutType": 1,
                "pinned": [2],
                "free": [1, 2, 3],
                "layout": "pinned",
            },
        )

    def test_policy(self) -> None:
        """
        With the other example package installed, its placement policy is found by
        name, and puts the copies of each file into different racks.
        """
        self.assertEqual(
            self.withExample("pnfs-racks", _ORDER),
            {
                "known": ["pinned", "racks", "round-robin", "weighted"],
                "racks": ["r1", "r2"],
                "split": True,
            },
        )
