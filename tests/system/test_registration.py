"""
Data servers that register themselves: real processes, none of which knows of the others
but by the metadata server's address and the cluster key.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.system.cluster import PNFS, storedBytes
from tests.system.processes import Process, waitUntil
from tests.system.services import Folder, freePort


class RegistrationTests(SynchronousTestCase):
    """
    A metadata server whose file names no data server, and two data servers.
    """

    def setUp(self) -> None:
        """
        Start them.
        """
        self.folder = Folder(2)
        self.addCleanup(self.folder.remove)
        text = re.sub(
            r"\[\[data_server\]\]\n(?:(?!\[).*\n)*", "", self.folder.mdsText()
        )
        self.assertNotIn("data_server", text)
        self.mds = self.folder.start("pnfs-mds", "mds", "register = true\n" + text)
        self.folder.await_(self.mds, self.folder.mds)

    def start(self, number: int, more: str = "") -> Process:
        """
        Start a data server and wait until it answers.
        """
        servers = f'metadata_servers = ["127.0.0.1:{self.folder.mds}"]\n'
        text = servers + more + self.folder.dsText(number)
        process = self.folder.start("pnfs-ds", f"ds{number}", text)
        self.folder.await_(process, self.folder.ds[number])
        return process

    def pnfs(self, *words: str) -> str:
        """
        Run C{pnfs}. @return: what it has printed.
        """
        done = subprocess.run(
            [*PNFS, *words],
            env=self.folder.environment() | {"PNFS_MDS": self.folder.at("mds.toml")},
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def servers(self) -> dict[str, Any]:
        """
        What C{pnfs ds list} tells, by name; of those that answer.
        """
        told = json.loads(self.pnfs("ds", "list", "--json"))
        return {member["name"]: member for member in told if member["answers"]}

    def url(self, name: str) -> str:
        """
        Of a file.
        """
        return f"pnfs://127.0.0.1:{self.folder.mds}/export/{name}"

    def test_registered(self) -> None:
        """
        Nobody has added them: they are listed, and a file is put on both. One that
        comes back at another port is found there, and the file is still whole; who has
        another key, or somebody else's name, is told so and not used.
        """
        self.start(0, 'class = "nvme"\n')
        second = self.start(1)
        waitUntil(lambda: len(self.servers()) == 2, 30, "both registered")
        told = self.servers()
        self.assertEqual((told["ds0"]["class"], told["ds1"]["class"]), ("nvme", ""))
        content = os.urandom(4 << 20)
        local = self.folder.at("local")
        with open(local, "wb") as stream:
            stream.write(content)
        self.pnfs("cp", local, self.url("f"))
        for number in range(2):
            self.assertGreater(storedBytes(self.folder.at(f"data{number}")), 1 << 20)
        second.kill()
        self.folder.ds[1] = freePort()
        self.start(1)
        here = f"127.0.0.1:{self.folder.ds[1]}"
        waitUntil(
            lambda: self.servers().get("ds1", {}).get("address") == here, 30, here
        )
        self.pnfs("cp", self.url("f"), local + ".back")
        with open(local + ".back", "rb") as stream:
            self.assertTrue(stream.read() == content)
        self.assertEqual(told["ds1"]["uuid"], self.servers()["ds1"]["uuid"])
        self.stranger()

    def stranger(self) -> None:
        """
        Two that may not come, and the lines that say why, in both logs.
        """
        folder = self.folder
        for name in ("other-key", "data", "state2"):
            if name == "other-key":
                folder.write(name, "x" * 32)
                os.chmod(folder.at(name), 0o600)
            else:
                os.mkdir(folder.at(name))
        text = (
            f'metadata_servers = ["127.0.0.1:{folder.mds}"]\n'
            f'name = "ds0"\nlisten = ["127.0.0.1:{freePort()}"]\n'
            f'state = "{folder.at("state2")}"\ndata = "{folder.at("data")}"\n'
        )
        for key, words in (
            ("other-key", "another cluster key"),
            ("key", "give one of them another name"),
        ):
            stranger = folder.start(
                "pnfs-ds", "stranger", f'{text}key = "{folder.at(key)}"\n'
            )
            for process in (stranger, self.mds):
                waitUntil(lambda: words in process.report(), 30, words)
            self.assertEqual(set(self.servers()), {"ds0", "ds1"})
            stranger.kill()
