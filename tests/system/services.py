"""
Servers as an operator starts them: a folder with a key and TOML files, and twistd.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request
from typing import Sequence

from tests.system.cluster import environment
from tests.system.processes import Process, answers, waitUntil

TWISTD = [
    sys.executable,
    os.path.join(os.path.dirname(sys.executable), "twistd"),
    "--nodaemon",
    "--pidfile=",
]


def freePort() -> int:
    """
    A TCP port of the loopback that nobody listens at.
    """
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Folder:
    """
    Configuration files of a small site.

    @ivar path: where everything is.
    @ivar mds: port of the metadata server; C{metrics}: of its metrics.
    @ivar ds: ports of the data servers.
    """

    def __init__(self, dataServers: int = 2, more: Sequence[str] = ()) -> None:
        """
        @param more: folders to find Python packages in.
        """
        self.path = tempfile.mkdtemp(prefix="pnfs-services-")
        self._more = list(more)
        self._processes: list[Process] = []
        self.mds, self.metrics = freePort(), freePort()
        self.ds = [freePort() for _ in range(dataServers)]
        self.write("key", "k" * 32)
        os.chmod(self.at("key"), 0o600)
        for name in ("state", "tree"):
            os.mkdir(self.at(name))
        for number in range(dataServers):
            os.mkdir(self.at(f"ds{number}"))
            os.mkdir(self.at(f"data{number}"))

    def at(self, name: str) -> str:
        """
        The path of something in the folder.
        """
        return os.path.join(self.path, name)

    def write(self, name: str, text: str) -> str:
        """
        Write a file. @return: its path.
        """
        with open(self.at(name), "w", encoding="utf-8") as stream:
            stream.write(text)
        return self.at(name)

    def mdsText(self, export: str = "", lease: int = 20) -> str:
        """
        A metadata server's configuration.

        @param export: further lines of the export.
        """
        servers = "".join(
            f'[[data_server]]\nname = "ds{n}"\naddress = "127.0.0.1:{port}"\n'
            for n, port in enumerate(self.ds)
        )
        return (
            f'listen = ["127.0.0.1:{self.mds}"]\nstate = "{self.at("state")}"\n'
            f'key = "{self.at("key")}"\nlease = {lease}\ngrace = 1\n'
            f'metrics = "127.0.0.1:{self.metrics}"\n'
            f'{servers}[[export]]\npath = "/export"\nroot = "{self.at("tree")}"\n'
            f'stripe_unit = 65536\nsquash = "none"\n{export}'
        )

    def dsText(self, number: int) -> str:
        """
        A data server's configuration.
        """
        return (
            f'name = "ds{number}"\nlisten = ["127.0.0.1:{self.ds[number]}"]\n'
            f'state = "{self.at(f"ds{number}")}"\nkey = "{self.at("key")}"\n'
            f'data = "{self.at(f"data{number}")}"\n'
        )

    def environment(self) -> dict[str, str]:
        """
        For Python programs.
        """
        base = environment()
        paths = [*self._more, base["PYTHONPATH"]]
        return {**base, "PYTHONPATH": os.pathsep.join(paths)}

    def start(self, service: str, name: str, text: str) -> Process:
        """
        Start C{pnfs-mds} or C{pnfs-ds}.
        """
        config = self.write(f"{name}.toml", text)
        process = Process.start(
            [*TWISTD, service, "--config", config],
            self.at(f"{name}.errors"),
            self.environment(),
            self.path,
        )
        self._processes.append(process)
        return process

    def startDataServer(self, number: int) -> Process:
        """
        Start a data server and wait until it answers.
        """
        process = self.start("pnfs-ds", f"ds{number}", self.dsText(number))
        self.await_(process, self.ds[number])
        return process

    def startMetadataServer(self, export: str = "") -> Process:
        """
        Start the metadata server and wait until it answers.
        """
        process = self.start("pnfs-mds", "mds", self.mdsText(export))
        self.await_(process, self.mds)
        return process

    def startAll(self, export: str = "") -> Process:
        """
        Start everything and wait until the metadata server reaches all data
        servers. @return: its process.
        """
        for number in range(len(self.ds)):
            self.startDataServer(number)
        process = self.startMetadataServer(export)
        self.awaitUp(len(self.ds))
        return process

    def awaitUp(self, count: int) -> None:
        """
        Wait until so many data servers are up.
        """
        waitUntil(
            lambda: self._up() == count,
            20,
            f"{count} data servers up",
        )

    def _up(self) -> int:
        return sum(
            line.startswith("pnfs_data_server_up{") and line.endswith(" 1.0")
            for line in self.readMetrics().splitlines()
        )

    def await_(self, process: Process, port: int) -> None:
        """
        Wait until a process listens.
        """
        waitUntil(
            lambda: answers("127.0.0.1", port) or process.child.poll() is not None,
            30,
            f"port {port}\n{process.report()}",
        )
        assert process.child.poll() is None, process.report()

    def readMetrics(self) -> str:
        """
        What the metadata server counts.
        """
        url = f"http://127.0.0.1:{self.metrics}/metrics"
        with urllib.request.urlopen(url, timeout=10) as response:
            text: str = response.read().decode()
        return text

    def run(self, service: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """
        Run a service that is expected to end at once.
        """
        return subprocess.run(
            [*TWISTD, service, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            env=self.environment(),
            cwd=self.path,
        )

    def remove(self) -> None:
        """
        End everything and remove the folder.
        """
        for process in self._processes:
            process.kill()
        shutil.rmtree(self.path, ignore_errors=True)
