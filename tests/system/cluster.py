"""
A whole cluster of real processes, started by C{pnfs demo --keep --json}.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from typing import Any, Mapping, Optional, Sequence

import attrs

from tests.system.namespace import SERVER, Network
from tests.system.processes import Process, answers, waitUntil

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

PNFS = [
    sys.executable,
    "-c",
    "import sys; from pnfs.command.main import main; sys.exit(main())",
]
"""The program C{pnfs} of this checkout, whether or not it is installed."""

_SAMPLE = re.compile(r"^pnfs_operations_total\{(.*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_FETCH = (
    "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())"
)


def environment(changes: Optional[Mapping[str, str]] = None) -> dict[str, str]:
    """
    The environment for programs of this checkout.
    """
    return {**os.environ, "PYTHONPATH": CHECKOUT, **(changes or {})}


def storedBytes(directory: str) -> int:
    """
    Space that the files below a folder really take; holes do not count.
    """
    os.sync()
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            total += os.lstat(os.path.join(folder, name)).st_blocks * 512
    return total


@attrs.frozen
class Server:
    """
    One server of the cluster, as the ready line tells.

    @ivar directory: where a data server keeps its files, else C{""}.
    """

    name: str
    host: str
    port: int
    pid: int
    directory: str = ""


@attrs.frozen
class Crashed:
    """
    How to start again what was killed.
    """

    server: Server
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: str


@attrs.define(eq=False)
class Cluster:
    """
    A metadata server and its data servers, running.

    @ivar ready: the ready line.
    @ivar directory: everything they keep.
    """

    ready: Mapping[str, Any]
    directory: str
    _network: Optional[Network]
    _processes: list[Process]

    @classmethod
    def start(cls, network: Optional[Network], *options: str) -> "Cluster":
        """
        Start and wait until all servers answer.

        @param network: where; None: on the loopback of this machine.
        @param options: further options of C{pnfs demo}.
        """
        directory = tempfile.mkdtemp(prefix="pnfs-cluster-")
        data = os.path.join(directory, "data")
        os.mkdir(data)
        command = [*PNFS, "demo", "--keep", "--json", "--size", "0", "--dir", data]
        if network is None:
            launch = Process.start
        else:
            launch = network.start
            command += ["--host", "0.0.0.0", "--advertise", SERVER]
        demo = launch([*command, *options], f"{directory}/errors", environment())
        try:
            line = demo.expect(lambda seen: '"ready"' in seen, 60, "ready line")
        except BaseException:
            demo.kill()
            shutil.rmtree(directory, ignore_errors=True)
            raise
        return cls(json.loads(line), directory, network, [demo])

    @property
    def mds(self) -> Server:
        """
        The metadata server.
        """
        told = self.ready["mds"]
        return Server("mds", told["host"], told["port"], told["pid"])

    @property
    def dataServers(self) -> list[Server]:
        """
        The data servers, in order.
        """
        return [
            Server(told["name"], told["host"], told["port"], told["pid"], told["dir"])
            for told in self.ready["data_servers"]
        ]

    def guestEnvironment(self) -> dict[str, str]:
        """
        What scripts of guests need to know.
        """
        return {"PORT": str(self.mds.port), "PYTHON": sys.executable}

    def operations(self) -> Counter[str]:
        """
        How often the metadata server has done each operation since its start,
        whatever the outcome.
        """
        counts: Counter[str] = Counter()
        for labels, value in _SAMPLE.findall(self._metrics()):
            counts[dict(_LABEL.findall(labels))["operation"]] += int(float(value))
        return counts

    def refused(self, operation: str, status: str) -> int:
        """
        How often it has answered an operation with a status since its start.
        """
        return sum(
            int(float(value))
            for labels, value in _SAMPLE.findall(self._metrics())
            if dict(_LABEL.findall(labels))
            == {"operation": operation, "status": status}
        )

    def recalled(self) -> int:
        """
        How many layouts the metadata server has recalled since its start, however that
        ended.
        """
        return sum(
            int(float(count))
            for count in re.findall(
                r"^pnfs_recalls_total\{.*\} (\S+)$", self._metrics(), re.MULTILINE
            )
        )

    def held(self, what: str) -> int:
        """
        How many of something the metadata server's clients hold now: C{stateids},
        C{layouts}, C{delegations}.
        """
        found = re.search(rf"^pnfs_{what} (\S+)$", self._metrics(), re.MULTILINE)
        assert found is not None, what
        return int(float(found[1]))

    def _metrics(self) -> str:
        fetch = [sys.executable, "-c", _FETCH, self.ready["mds"]["metrics"]]
        if self._network is not None:
            return self._network.run(fetch)
        return subprocess.run(
            fetch, check=True, capture_output=True, text=True, timeout=30
        ).stdout

    def crash(self, server: Server) -> Crashed:
        """
        C{kill -9}, and wait until it is gone.
        """
        process = f"/proc/{server.pid}"
        with open(f"{process}/cmdline", "rb") as file:
            command = [os.fsdecode(part) for part in file.read().split(b"\0")[:-1]]
        with open(f"{process}/environ", "rb") as file:
            pairs = [part.partition(b"=") for part in file.read().split(b"\0") if part]
        crashed = Crashed(
            server,
            command,
            {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs},
            os.readlink(f"{process}/cwd"),
        )
        os.kill(server.pid, signal.SIGKILL)
        waitUntil(lambda: not self._accepts(server), 10, f"end of {server.name}")
        return crashed

    def restart(self, crashed: Crashed) -> Server:
        """
        Start it again with the same command, and wait until it answers.

        @return: it, with its new process id.
        """
        launch = Process.start if self._network is None else self._network.start
        process = launch(
            crashed.command,
            f"{self.directory}/{crashed.server.name}-again",
            dict(crashed.environment),
            crashed.folder,
        )
        self._processes.append(process)
        waitUntil(
            lambda: self._accepts(crashed.server) or process.child.poll() is not None,
            30,
            f"{crashed.server.name} again\n{process.report()}",
        )
        if process.child.poll() is not None:
            raise AssertionError(f"{crashed.server.name} ended\n{process.report()}")
        return attrs.evolve(crashed.server, pid=process.pid)

    def _accepts(self, server: Server) -> bool:
        if self._network is None:
            return answers("127.0.0.1", server.port)
        listening = self._network.run(["ss", "-Hltn"])
        return re.search(rf":{server.port}\s", listening) is not None

    def stop(self) -> None:
        """
        Ask for the end as Ctrl-C does, then insist.

        @raise AssertionError: a server goes on.
        @raise tests.system.processes.Late: the demo goes on.
        """
        try:
            for process in self._processes:
                process.signal(signal.SIGINT)
            for process in self._processes:
                process.wait(30)
            alive = [s.name for s in [self.mds, *self.dataServers] if self._accepts(s)]
            assert not alive, f"still running: {alive}\n{self._processes[0].report()}"
        finally:
            for process in self._processes:
                process.kill()
            shutil.rmtree(self.directory, ignore_errors=True)
