"""
The disk of a data server is replaced while a Linux client has mirrored files there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess

from tests.system.cluster import PNFS, environment, storedBytes
from tests.system.linuxcase import LinuxTestCase
from tests.system.processes import waitUntil
from tests.system.site import Site

_FILES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest", "files.py")

_CLIENT = """
    mount_export 4.2 "$PORT"
    result pnfs "$(pnfs_of_mount)"
    await_host write
    "$PYTHON" /job/files.py write /mnt 6
    echo written
    await_host first
    "$PYTHON" /job/files.py verify /mnt 6 first
    echo first read
    await_host second
    "$PYTHON" /job/files.py verify /mnt 6 second
    echo second read
"""


class ReplacedTests(LinuxTestCase):
    """
    Two mirrors on three data servers.
    """

    environment: dict[str, str]

    def test_replaced(self) -> None:
        """
        As C{docs/operating.md} says: C{pnfs ds kill}, a new disk, C{pnfs ds enable
        --empty}, and the data server is filled again, which C{pnfs mirror verify}
        confirms. Then each of the others dies in turn: everything reads right.
        """
        cluster = self.site(
            Site(
                {"layout": "flexfiles", "mirrors": 2},
                [{}, {}, {}],
                metadata={"failure_seconds": 3},
            )
        )
        self.environment = environment(
            {"PNFS_MDS": os.path.join(cluster.directory, "mds.toml")}
        )
        guest = self.guest(cluster, _CLIENT)
        shutil.copy(_FILES, guest.directory)
        guest.tell("write")
        guest.expect("written")
        lost, *others = cluster.dataServers
        before = storedBytes(lost.directory)
        self.assertGreater(before, 3 << 20)

        self.pnfs("ds", "kill", lost.name)
        crashed = cluster.crash(lost)
        shutil.rmtree(lost.directory)
        os.mkdir(lost.directory)
        cluster.restart(crashed)
        waitUntil(
            lambda: "--empty" in self.pnfs("ds", "show", lost.name),
            30,
            "a stranger at its address",
        )
        self.assertLess(storedBytes(lost.directory), 1 << 16)
        self.pnfs("ds", "enable", "--empty", lost.name)
        self.waitFor(lost.name)
        self.pnfs("mirror", "repair", lost.name)
        self.assertIn("0 wrong", self.pnfs("mirror", "verify"))
        self.assertGreaterEqual(storedBytes(lost.directory), before)

        for other, word in zip(others, ("first", "second")):
            dead = cluster.crash(other)
            waitUntil(
                lambda: self.state(other.name) == "lost", 30, f"loss of {other.name}"
            )
            guest.tell(word)
            guest.expect(f"{word} read", 200)
            cluster.restart(dead)
            self.waitFor(other.name)
            # What the client might have written meanwhile counts as missed.
            self.pnfs("mirror", "repair", other.name)
        guest.finish(200)
        self.assertEqual(
            guest.results(),
            {"pnfs": "LAYOUT_FLEX_FILES", "first": "", "second": ""},
            guest.output,
        )

    def pnfs(self, *words: str) -> str:
        """
        The program. @return: what it prints.
        """
        done = subprocess.run(
            [*PNFS, *words], env=self.environment, capture_output=True, text=True
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def state(self, name: str) -> str:
        """
        Of a data server.
        """
        for each in json.loads(self.pnfs("ds", "list", "--json")):
            if each["name"] == name:
                return str(each["state"])
        raise AssertionError(name)

    def waitFor(self, name: str) -> None:
        """
        Until a data server is used again.
        """
        waitUntil(
            lambda: self.state(name) in ("active", "repairing"), 30, f"{name} again"
        )
