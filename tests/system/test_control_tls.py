"""
The control channel over TLS, as an administrator uses it: servers that run, programs,
and certificates made as the documentation says.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from typing import Any, Optional

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from pnfs.admin.client import ControlClient, ControlFailed
from pnfs.admin.tlsclient import TLSServer
from tests.admin.certificates import Authority
from tests.system.cluster import CHECKOUT, PNFS
from tests.system.processes import Process, waitUntil
from tests.system.services import Folder, freePort

HOST = "127.0.0.1"


class ControlTLSTests(SynchronousTestCase):
    """
    A metadata server with a data server.
    """

    def setUp(self) -> None:
        """
        Configure it.
        """
        self.folder = Folder(1)
        self.addCleanup(self.folder.remove)
        os.mkdir(self.folder.at("ca"))
        self.authority = Authority(self.folder.at("ca"))
        self.mine = self.authority.make("alice")
        self.port = freePort()

    def admin(self, certificate: str, key: str, clients: str) -> str:
        """
        The C{[admin]} of the metadata server's file.
        """
        return (
            f'[admin]\nlisten = "{HOST}:{self.port}"\ncertificate = "{certificate}"\n'
            f'key = "{key}"\nclients = "{clients}"\n'
        )

    def start(self, *files: str) -> Process:
        """
        Start everything.
        """
        self.folder.startDataServer(0)
        mds = self.folder.start(
            "pnfs-mds", "mds", self.folder.mdsText() + self.admin(*files)
        )
        self.folder.await_(mds, self.folder.mds)
        return mds

    def pnfs(self, pair: tuple[str, str], ca: str, *words: str) -> Any:
        """
        Run C{pnfs}. @return: status, output, errors.
        """
        options = ["--server", f"tls://{HOST}:{self.port}", "--ca", ca]
        options += ["--certificate", pair[0], "--key", pair[1]]
        done = subprocess.run(
            [*PNFS, *words, *options],
            env=self.folder.environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout, done.stderr

    def client(self, pair: tuple[str, str], ca: Optional[str] = None) -> ControlClient:
        """
        A connection.
        """
        where = TLSServer(HOST, self.port, *pair, ca or self.authority.file)
        client = ControlClient(where)
        self.addCleanup(client.close)
        return client

    def test_commands(self) -> None:
        """
        Commands do from elsewhere what they do here; who has no certificate of the
        right authority, or meets another server, is told so in one line. A reload
        takes over other authorities, and refuses files that are no good.
        """
        server = self.authority.make("mds", HOST)
        ours = self.authority.file
        self.clients = self.folder.at("clients.pem")
        shutil.copy(ours, self.clients)
        mds = self.start(*server, self.clients)
        status, out, err = self.pnfs(self.mine, ours, "ds", "list", "--json")
        self.assertEqual(status, 0, err)
        self.assertEqual([member["name"] for member in json.loads(out)], ["ds0"])
        waitUntil(lambda: "CN=alice from 127.0.0.1" in mds.report(), 10, "the log")
        os.mkdir(self.folder.at("other"))
        other = Authority(self.folder.at("other"), "other")
        bob = other.make("bob")
        for pair, ca, words in (
            (bob, ours, "of an authority that it accepts"),
            (self.mine, other.file, "is not whom the certificate is for"),
            (self.authority.make("old", days=-1), ours, "still valid"),
        ):
            status, out, err = self.pnfs(pair, ca, "ds", "list")
            self.assertEqual((status, out), (1, ""))
            self.assertIn(words, err)
            self.assertEqual(err.count("\n"), 1, err)
        first = self.client(self.mine)
        self.reload(mds, other.file, "has been read again")
        self.assertEqual(len(first.call("ds.list", {})), 1)
        self.assertRaises(ControlFailed, self.client, self.mine)
        self.assertEqual(len(self.client(bob).call("ds.list", {})), 1)
        self.reload(mds, self.folder.at("key"), "admin.clients")
        self.assertEqual(len(self.client(bob).call("ds.list", {})), 1)

    def reload(self, mds: Process, clients: str, words: str) -> None:
        """
        Write other authorities into the very file, and have it read again.
        """
        shutil.copy(clients, self.clients)
        before = len(mds.lines)
        mds.signal(signal.SIGHUP)
        waitUntil(
            lambda: any(
                words in line or "stays as it was" in line
                for line in mds.lines[before:]
            ),
            30,
            f"{words}\n{mds.report()}",
        )

    def test_refused(self) -> None:
        """
        Files that are no good keep the server from starting: one line that names file,
        key and remedy, before any port is open.
        """
        server = self.authority.make("mds", HOST)
        key = self.authority.make("else")[1]
        self.folder.startDataServer(0)
        config = self.folder.write(
            "mds.toml",
            self.folder.mdsText() + self.admin(server[0], key, self.authority.file),
        )
        done = self.folder.run("pnfs-mds", "--config", config)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn(f"{config}: admin.key: {key} does not belong", done.stderr)
        self.assertFalse(os.path.exists(self.folder.at("state/control.sock")))

    def test_documented(self) -> None:
        """
        Certificates that are made with openssl as the documentation says do.
        """
        if shutil.which("openssl") is None:
            raise SkipTest("system test: needs the program openssl")
        with open(os.path.join(CHECKOUT, "docs", "operating.md")) as stream:
            text = stream.read()
        found = re.search(
            r"((?:    (?:    )?[^\n]*openssl[^\n]*\n|        -[^\n]*\n)+)", text
        )
        assert found is not None
        commands = found[1].replace("10.0.0.10", HOST)
        where = self.folder.at("openssl")
        os.mkdir(where)
        subprocess.run(
            ["bash", "-ec", commands], cwd=where, check=True, capture_output=True
        )
        at = {name: os.path.join(where, name) for name in os.listdir(where)}
        self.start(at["mds.pem"], at["mds.key"], at["admins.pem"])
        client = self.client((at["alice.pem"], at["alice.key"]), at["admins.pem"])
        self.assertEqual(len(client.call("ds.list", {})), 1)

    def test_nothingElse(self) -> None:
        """
        Who speaks no TLS there gets nothing.
        """
        server = self.authority.make("mds", HOST)
        self.start(*server, self.authority.file)
        with socket.create_connection((HOST, self.port), 10) as plain:
            plain.sendall(b'{"command": "ds.list", "args": {}}\n')
            self.assertNotIn(b"result", plain.recv(1000))
