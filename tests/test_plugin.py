"""
Tests for L{pnfs.plugin}.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

from twisted.python.filepath import FilePath
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

import pnfs
from pnfs.backends.errors import BadConfiguration
from pnfs.layouts.files import FilesLayoutDriver
from pnfs.layouts.flexfiles import FlexFilesLayoutDriver
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


class Broken:
    """
    No layout driver at all.
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


class ThirdPartyTests(SynchronousTestCase):
    """
    A layout driver in a package of its own works without a change to ours.
    """

    def test_example(self) -> None:
        """
        With the example package installed, its driver is found by name, pins a
        directory to a data server, and stripes everything else.
        """
        package = FilePath(self.mktemp())
        shutil.copytree(
            CHECKOUT.descendant(["examples", "pnfs-pinned"]).path, package.path
        )
        path = os.pathsep.join([CHECKOUT.path, os.path.abspath(package.path)])
        found = subprocess.run(
            [sys.executable, "-c", _PLACE],
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            check=True,
        )
        self.assertEqual(
            json.loads(found.stdout),
            {
                "known": ["files", "flexfiles", "pinned"],
                "layoutType": 1,
                "pinned": [2],
                "free": [1, 2, 3],
                "layout": "pinned",
            },
        )
