"""
C{pnfs ds} as an administrator uses it: a demo site that runs, and programs.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.system.cluster import PNFS, Cluster, environment, storedBytes
from tests.system.processes import Process, answers, waitUntil
from tests.system.services import TWISTD, freePort


class AdministrationCase(SynchronousTestCase):
    """
    Real servers on the loopback; no root needed.
    """

    def setUp(self) -> None:
        """
        A site of two data servers.
        """
        self.cluster = Cluster.start(None, "--data-servers", "2")
        self.addCleanup(self.cluster.stop)
        self.folder = os.path.join(self.cluster.directory, "data")

    def pnfs(self, *words: str, status: int = 0) -> str:
        """
        Run C{pnfs}. @return: what it has printed, or its complaint.
        """
        done = subprocess.run(
            [*PNFS, *words],
            env=environment({"PNFS_MDS": self.folder}),
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stderr if status else done.stdout


class DataServerTests(AdministrationCase):
    """
    C{pnfs ds}, and what else there is to be asked.
    """

    def ds(self, *words: str) -> Any:
        """
        C{pnfs ds … --json}.
        """
        return json.loads(self.pnfs("ds", *words, "--json"))

    def startFresh(self) -> tuple[str, str]:
        """
        Start one more data server with the site's key. @return: its address, and the
        folder with its data.
        """
        port = freePort()
        paths = {
            name: os.path.join(self.folder, f"x{name}") for name in ("data", "state")
        }
        for path in paths.values():
            os.mkdir(path)
        file = os.path.join(self.folder, "x.toml")
        with open(file, "w") as stream:
            stream.write(
                f'listen = ["127.0.0.1:{port}"]\nkey = "{self.folder}/cluster.key"\n'
                f'data = "{paths["data"]}"\nstate = "{paths["state"]}"\n'
            )
        server = Process.start(
            [*TWISTD, "pnfs-ds", "--config", file],
            os.path.join(self.cluster.directory, "x.errors"),
            environment(),
        )
        self.addCleanup(server.kill)
        waitUntil(lambda: answers("127.0.0.1", port), 30, "the new data server")
        return f"127.0.0.1:{port}", paths["data"]

    def copy(self, name: str, size: int = 8 << 20) -> None:
        """
        Write a file through layouts, and read it back.
        """
        content = os.urandom(size)
        local = os.path.join(self.folder, name)
        with open(local, "wb") as stream:
            stream.write(content)
        self.pnfs("cp", local, self.url(name))
        self.back(name)

    def url(self, name: str) -> str:
        """
        Of a file.
        """
        return f"pnfs://127.0.0.1:{self.cluster.mds.port}/export/{name}"

    def back(self, name: str) -> None:
        """
        Read a file that has been written.
        """
        local = os.path.join(self.folder, name)
        self.pnfs("cp", self.url(name), local + ".back")
        with open(local, "rb") as stream, open(local + ".back", "rb") as back:
            self.assertTrue(stream.read() == back.read())
        os.unlink(local + ".back")

    def test_added(self) -> None:
        """
        A fresh data server is added to a site that runs: new files go there too. It
        is known after the metadata server was killed; drained, it has nothing any more,
        gets no more, and can be removed.
        """
        socket = os.path.join(self.folder, "mds", "control.sock")
        self.assertEqual(stat.S_IMODE(os.stat(socket).st_mode), 0o600)
        names = [member["name"] for member in self.ds("list")]
        self.assertEqual(names, ["ds1", "ds2"])
        address, data = self.startFresh()
        before = storedBytes(data)
        told = self.ds("add", "new", address, "--class", "nvme")
        self.assertEqual((told["state"], told["class"]), ("active", "nvme"))
        self.copy("a")
        added = storedBytes(data)
        self.assertGreaterEqual(added - before, 2 << 20)
        self.cluster.restart(self.cluster.crash(self.cluster.mds))
        waitUntil(
            lambda: all(m["answers"] for m in self.ds("list")), 30, "all data servers"
        )
        told = self.ds("show", "new")
        self.assertEqual((told["address"], told["files"]), (address, 1))
        self.assertIn("drain new", self.pnfs("ds", "remove", "new", status=1))
        job = self.ds("drain", "new")
        self.assertEqual((job["state"], job["files"]), ("done", 1))
        self.assertLess(storedBytes(data), 1 << 20)
        self.copy("b")
        self.assertLess(storedBytes(data), 1 << 20)
        waitUntil(
            lambda: self.ds("show", "new")["alone"] is not None,
            30,
            "the index of files",
        )
        self.ds("remove", "new")
        self.back("a")

    def test_large(self) -> None:
        """
        A file that is large enough to be copied past the page cache is the same where
        it comes to, to its last bytes, which are no whole page.
        """
        address, data = self.startFresh()
        self.pnfs("file", "set", "/export", "--stripe-count", "1")
        self.copy("large", (160 << 20) + 12345)
        self.ds("add", "new", address)
        self.pnfs("file", "move", "/export/large", "--to", "new")
        self.assertGreater(storedBytes(data), 160 << 20)
        self.back("large")

    def test_clients(self) -> None:
        """
        Of a site without clients there is nothing to tell, and that is told.
        """
        self.assertEqual(json.loads(self.pnfs("clients", "--json")), [])
        self.assertEqual(len(self.pnfs("layouts").splitlines()), 1)
        self.assertEqual(len(self.pnfs("opens").splitlines()), 1)
        self.assertIn("! No client", self.pnfs("why", "--client", "127.0.0.1"))
        self.assertIn(
            "0 clients", self.pnfs("top", "--count", "1", "--interval", "0.1")
        )

    def test_words(self) -> None:
        """
        People are told in words, and mistakes in one line.
        """
        text = self.pnfs("ds", "list")
        self.assertEqual(len(text.splitlines()), 3)
        self.assertIn("active", text)
        self.assertIn("identity", self.pnfs("ds", "show", "ds1"))
        line = self.pnfs("ds", "show", "nobody", status=1)
        self.assertEqual(line.count("\n"), 1)
        self.assertIn("there are ds1, ds2", line)
        line = self.pnfs("ds", "add", "x", "127.0.0.1:1", status=1)
        self.assertIn("start pnfs-ds there", line)


class FileTests(AdministrationCase):
    """
    C{pnfs file set} and C{show} with a path.
    """

    def url(self, path: str) -> str:
        """
        Of a file in the export.
        """
        mds = self.cluster.mds
        return f"pnfs://{mds.host}:{mds.port}/export/{path}"

    def test_newFiles(self) -> None:
        """
        What is said of a directory holds for new files below it, also after the
        metadata server was killed, and is forgotten with C{--clear}; what cannot be
        is refused.
        """
        self.pnfs("mkdir", self.url("fast"), self.url("fast/deep"))
        self.pnfs("ds", "class", "ds2", "nvme")
        told = self.pnfs("file", "set", "/export/fast", "--class", "nvme")
        self.assertIn("class         nvme           (/export/fast)", told)
        self.cluster.restart(self.cluster.crash(self.cluster.mds))

        def servers(path: str) -> list[str]:
            self.pnfs("cp", __file__, self.url(path))
            found = json.loads(self.pnfs("file", "show", f"/export/{path}", "--json"))
            return [copy["name"] for c in found["placement"]["columns"] for copy in c]

        self.assertEqual(servers("fast/deep/one"), ["ds2"])
        self.assertEqual(len(servers("two")), 2)
        line = self.pnfs(
            *("file", "set", "/export/fast", "--stripe-count", "2"), status=1
        )
        self.assertIn("2 stripes need as many data servers of class nvme", line)
        self.pnfs("file", "set", "/export/fast", "--clear")
        self.assertEqual(len(servers("fast/three")), 2)
