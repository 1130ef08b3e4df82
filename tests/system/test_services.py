"""
C{twistd pnfs-mds} and C{twistd pnfs-ds} as real processes: starting, refusing to
start, stopping.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
import subprocess
from typing import Callable

from twisted.trial.unittest import TestCase

from pnfs.nfs4 import requests
from pnfs.rpc.message import callHeader
from tests.system.processes import answers, waitUntil
from tests.system.services import Folder

ENDED = (0, -signal.SIGTERM)
"""twistd ends itself by the signal again, once everything is stopped."""

Edit = Callable[[str], str]


def replaced(old: str, new: str) -> Edit:
    """
    An edit of a configuration file.
    """

    def edit(text: str) -> str:
        assert old in text, old
        return text.replace(old, new, 1)

    return edit


class RefusedTests(TestCase):
    """
    A bad configuration: status 1 and one line that names file, key and remedy,
    before any port opens.
    """

    def setUp(self) -> None:
        """
        A good configuration to spoil.
        """
        self.folder = Folder()
        self.addCleanup(self.folder.remove)

    def refused(self, service: str, text: str, *words: str) -> None:
        """
        It does not start, and says why in these words.
        """
        config = self.folder.write("bad.toml", text)
        ended = self.folder.run(service, "--config", config)
        lines = ended.stderr.splitlines()
        self.assertEqual((ended.returncode, len(lines)), (1, 1), ended)
        for word in ("bad.toml", *words):
            self.assertIn(word, lines[0])
        self.assertNotIn("serving at", ended.stdout)

    def test_metadataServer(self) -> None:
        """
        One of each kind of mistake in a metadata server's file: each also of those
        that only show when the server is put together.
        """
        folder = self.folder
        good = folder.mdsText()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            used = f"127.0.0.1:{taken.getsockname()[1]}"
            for edit, words in (
                (replaced("lease", "leese"), ("leese", "no known key", "lease")),
                (replaced(folder.at("tree"), "/nowhere/x"), ("root", "make it")),
                (replaced(f"127.0.0.1:{folder.mds}", used), ("listen", used)),
                (replaced(f"127.0.0.1:{folder.metrics}", used), ("metrics", used)),
                (lambda t: t + 'layout = "blocks"\n', ("layout", "blocks", "files")),
                (lambda t: t + 'metadata = "ftp"\n', ("metadata", "ftp", "xattr")),
                (
                    lambda t: t.replace(folder.at("tree"), "/proc/self"),
                    ("root", "/proc/self"),
                ),
            ):
                self.refused("pnfs-mds", edit(good), *words)

    def test_dataServer(self) -> None:
        """
        The same for a data server's file.
        """
        good = self.folder.dsText(0)
        os.chmod(self.folder.at("key"), 0o644)
        self.refused("pnfs-ds", good, "key", "chmod 600")
        os.chmod(self.folder.at("key"), 0o600)
        for edit, words in (
            (replaced("data =", "deta ="), ("data", "missing")),
            (lambda t: t + 'backend = "tape"\n', ("backend", "tape", "local")),
            (lambda t: t + "[limits]\nio = 1\n", ("limits.io", "64KiB")),
        ):
            self.refused("pnfs-ds", edit(good), *words)

    def test_noFile(self) -> None:
        """
        So is a file that is not there.
        """
        for service in ("pnfs-mds", "pnfs-ds"):
            ended = self.folder.run(service, "--config", "/nowhere.toml")
            self.assertEqual(ended.returncode, 1)
            self.assertEqual(len(ended.stderr.splitlines()), 1, ended.stderr)
            self.assertIn("/nowhere.toml", ended.stderr)
            self.assertIn("--config", ended.stderr)

    def test_help(self) -> None:
        """
        C{--help} says what the service is and what its options mean.
        """
        for service, words in (
            ("pnfs-mds", ("metadata server", "--config", "--listen", "--lease")),
            ("pnfs-ds", ("data server", "--config", "--data")),
        ):
            ended = self.folder.run(service, "--help")
            self.assertEqual(ended.returncode, 0, ended.stderr)
            for word in (*words, "docs/operating.md"):
                self.assertIn(word, ended.stdout)


class RunningTests(TestCase):
    """
    Servers that run.
    """

    def setUp(self) -> None:
        """
        A site, not started yet.
        """
        self.folder = Folder()
        self.addCleanup(self.folder.remove)

    def null(self, port: int) -> bytes:
        """
        Have a server answer NULL.
        """
        with socket.create_connection(("127.0.0.1", port), 5) as sock:
            sock.settimeout(10)
            sock.sendall(callHeader(5, 100003, 4, 0, bytes(16), 0))
            return sock.recv(100)

    def test_site(self) -> None:
        """
        Both kinds start, answer and count; SIGTERM ends them without
        a traceback, and what was written is still there after a restart.
        """
        folder = self.folder
        mds = folder.startAll()
        for port in (folder.mds, *folder.ds):
            self.assertEqual(struct.unpack_from(">II", self.null(port), 4), (5, 1))
        url = f"pnfs://127.0.0.1:{folder.mds}/export/f"
        program = [
            sys.executable,
            "-c",
            "import sys; from pnfs.command.main import main; sys.exit(main())",
        ]
        source = folder.write("source", "some bytes\n" * 50_000)
        env = folder.environment()
        subprocess.run([*program, "cp", source, url], env=env, check=True, timeout=60)
        text = folder.readMetrics()
        for line in ("pnfs_operations_total{", "pnfs_compound_seconds_bucket{"):
            self.assertIn(line, text)
        mds.signal(signal.SIGTERM)
        self.assertIn(mds.wait(20), ENDED, mds.report())
        self.assertNotIn("Traceback", mds.report())
        folder.startMetadataServer()
        folder.awaitUp(2)
        copied = subprocess.run(
            [*program, "cat", url], env=env, check=True, timeout=60, capture_output=True
        )
        with open(source, "rb") as stream:
            self.assertEqual(copied.stdout, stream.read())

    def test_dataServerDown(self) -> None:
        """
        A metadata server starts without one of its data servers, says so, and
        serves files on the other; the other one is used when it comes.
        """
        folder = self.folder
        folder.startDataServer(0)
        mds = folder.startMetadataServer()
        folder.awaitUp(1)
        waitUntil(lambda: "ds1" in mds.report(), 20, "a word about ds1")
        self.assertIn(f"127.0.0.1:{folder.ds[1]}", mds.report())
        url = f"pnfs://127.0.0.1:{folder.mds}/export/f"
        program = [
            sys.executable,
            "-c",
            "import sys; from pnfs.command.main import main; sys.exit(main())",
        ]
        source = folder.write("source", "some bytes\n" * 50_000)
        env = folder.environment()
        subprocess.run([*program, "cp", source, url], env=env, check=True, timeout=60)
        self.assertEqual(os.listdir(folder.at("data1")), [])
        folder.startDataServer(1)
        folder.awaitUp(2)

    def test_drains(self) -> None:
        """
        A stopping data server still answers what it has taken, and nobody can
        connect any more.
        """
        folder = self.folder
        process = folder.startDataServer(0)
        with socket.create_connection(("127.0.0.1", folder.ds[0]), 5) as sock:
            sock.settimeout(10)
            body = struct.pack(">III", 0, 1, 1)
            body += requests.exchangeId(b"verifier", b"me", 0)
            sock.sendall(callHeader(5, 100003, 4, 1, bytes(16), len(body)) + body)
            self.assertEqual(struct.unpack_from(">II", sock.recv(4096), 4), (5, 1))
            process.signal(signal.SIGTERM)
            self.assertEqual(sock.recv(1), b"")
        self.assertIn(process.wait(20), ENDED, process.report())
        self.assertFalse(answers("127.0.0.1", folder.ds[0]))

    def test_secondOnSameState(self) -> None:
        """
        A second metadata server on the same folders is refused in one line (locks are
        those of one instance, and documented so: chimera #1112).
        """
        folder = self.folder
        folder.startMetadataServer()
        text = folder.mdsText().replace(f":{folder.mds}", ":0", 1)
        text = text.replace(f":{folder.metrics}", ":0", 1)
        ended = folder.run("pnfs-mds", "--config", folder.write("two.toml", text))
        self.assertEqual(ended.returncode, 1, ended)
        self.assertEqual(len(ended.stderr.splitlines()), 1, ended.stderr)
        self.assertIn("another server", ended.stderr)
