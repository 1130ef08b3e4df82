"""
A layout driver of a third party: a package of its own, installed beside ours, found
by twistd and used by a running site.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.system.cluster import CHECKOUT, PNFS
from tests.system.services import Folder


class PinnedTests(SynchronousTestCase):
    """
    C{examples/pnfs-pinned}: directories pinned to data servers.
    """

    def setUp(self) -> None:
        """
        Install it as pip would, into a folder of its own.
        """
        site = os.path.abspath(self.mktemp())
        source = os.path.abspath(self.mktemp())
        shutil.copytree(os.path.join(CHECKOUT, "examples", "pnfs-pinned"), source)
        installed = subprocess.run(
            [sys.executable, "-m", "pip", "--disable-pip-version-check", "install"]
            + ["-q", "--no-deps", "--no-build-isolation", "--target", site, source],
            capture_output=True,
            text=True,
            timeout=120,
        )
        if installed.returncode:
            # Without setuptools in this environment: a wheel is no more than this.
            for name in ("pnfs_pinned", "twisted"):
                shutil.copytree(os.path.join(source, name), os.path.join(site, name))
        self.folder = Folder(3, more=[site])
        self.addCleanup(self.folder.remove)

    def objects(self) -> list[int]:
        """
        How many data files each data server has.
        """
        return [
            sum(
                name != "uuid" and len(name) > 12
                for _, _, names in os.walk(self.folder.at(f"data{n}"))
                for name in names
            )
            for n in range(3)
        ]

    def copy(self, path: str) -> bytes:
        """
        Copy a file into the export, and read it back.
        """
        url = f"pnfs://127.0.0.1:{self.folder.mds}/export/{path}"
        environment = self.folder.environment()
        source = self.folder.write("source", "some bytes\n" * 50_000)
        subprocess.run([*PNFS, "cp", source, url], env=environment, check=True)
        return subprocess.run(
            [*PNFS, "cat", url], env=environment, check=True, capture_output=True
        ).stdout

    def test_pinned(self) -> None:
        """
        A file in C{on-ds1} lies on ds1 alone, others are striped over all; both
        come back as they were.
        """
        os.mkdir(self.folder.at("tree/on-ds1"))
        self.folder.startAll('layout = "pinned"\n')
        expected = b"some bytes\n" * 50_000
        self.assertTrue(self.copy("on-ds1/f") == expected)
        self.assertEqual(self.objects(), [0, 1, 0])
        self.assertTrue(self.copy("g") == expected)
        self.assertEqual(self.objects(), [1, 2, 1])

    def test_notInstalled(self) -> None:
        """
        Without the package the name is refused, and those known are told.
        """
        bare = Folder(1)
        self.addCleanup(bare.remove)
        text = bare.mdsText('layout = "pinned"\n')
        ended = bare.run("pnfs-mds", "--config", bare.write("mds.toml", text))
        self.assertEqual(ended.returncode, 1)
        self.assertIn("'pinned'; known: files, flexfiles", ended.stderr)
