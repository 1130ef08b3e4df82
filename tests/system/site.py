"""
A cluster as an administrator sets it up: a key, a TOML file per service, twistd.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from typing import Any, Mapping, Sequence, Union

import attrs

from tests.system.cluster import PNFS, Cluster, environment
from tests.system.namespace import SERVER, SUBNET, Network
from tests.system.processes import Process, waitUntil

Value = Union[str, int, bool, Sequence[Any], Mapping[str, Any]]

MDS_PORT = 12049
DS_PORT = 12050


def _value(value: Value) -> str:
    # JSON's strings, numbers and booleans are TOML's too.
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{key} = {_value(item)}" for key, item in value.items())
        return f"{{ {pairs} }}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value)


def _toml(table: Mapping[str, Value]) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in table.items())


@attrs.define
class Site:
    """
    What to configure; then L{start}.

    @ivar export: further keys of the export C{/export}.
    @ivar dataServers: further keys of each C{[[data_server]]} of the metadata server.
    @ivar services: further lines of each data server's own file.
    @ivar metadata: further keys of the metadata server.
    """

    export: Mapping[str, Value]
    dataServers: Sequence[Mapping[str, Value]]
    services: Sequence[str] = ()
    metadata: Mapping[str, Value] = attrs.Factory(dict)
    _directory: str = ""
    _processes: list[Process] = attrs.field(factory=list)

    def start(self, network: Network) -> Cluster:
        """
        Make folders, key and files, start everything in a network, the data servers
        at 10.77.0.2 and up, and wait until all answer.
        """
        self._directory = tempfile.mkdtemp(prefix="pnfs-site-")
        key = self._path("key")
        subprocess.run([*PNFS, "key", "new", key], env=environment(), check=True)
        try:
            servers = [
                self._startDataServer(network, number, key)
                for number in range(len(self.dataServers))
            ]
            mds = self._startMetadataServer(network)
            for process, port in [(mds, MDS_PORT)] + [
                (process, DS_PORT + number) for number, process in enumerate(servers)
            ]:
                waitUntil(
                    lambda: f":{port} " in network.run(["ss", "-Hltn"])
                    or process.child.poll() is not None,
                    60,
                    f"port {port}\n{process.report()}",
                )
                assert process.child.poll() is None, process.report()
        except BaseException:
            for process in self._processes:
                process.kill()
            raise
        ready = {
            "mds": {
                "host": SERVER,
                "port": MDS_PORT,
                "pid": mds.pid,
                "metrics": "http://127.0.0.1:9049/metrics",
            },
            "data_servers": [
                {
                    "name": f"ds{number}",
                    "host": f"{SUBNET}.{2 + number}",
                    "port": DS_PORT + number,
                    "pid": process.pid,
                    "dir": self._path(f"ds{number}-data"),
                }
                for number, process in enumerate(servers)
            ],
        }
        return Cluster(ready, self._directory, network, self._processes)

    def log(self) -> list[str]:
        """
        What the metadata server has logged so far.
        """
        return list(self._processes[len(self.dataServers)].lines)

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)

    def _folder(self, name: str) -> str:
        os.makedirs(self._path(name), exist_ok=True)
        return self._path(name)

    def _startDataServer(self, network: Network, number: int, key: str) -> Process:
        text = _toml(
            {
                "name": f"ds{number}",
                "listen": [f"{SUBNET}.{2 + number}:{DS_PORT + number}"],
                "state": self._folder(f"ds{number}-state"),
                "key": key,
            }
        )
        data = self._folder(f"ds{number}-data")
        if number < len(self.services):
            text += self.services[number]
        else:
            text += _toml({"data": data})
        return self._launch(network, "pnfs-ds", f"ds{number}", text)

    def reload(self, export: Mapping[str, Value]) -> None:
        """
        Have the export be otherwise while everything runs; it counts when this
        returns.
        """
        self.export = export
        with open(self._path("mds.toml"), "w") as file:
            file.write(self._metadataServer())
        mds = self._processes[-1]

        def reloads() -> int:
            return sum("has been read again" in line for line in mds.lines)

        before = reloads()
        mds.signal(signal.SIGHUP)
        waitUntil(lambda: reloads() > before, 30, f"a reload\n{mds.report()}")

    def _startMetadataServer(self, network: Network) -> Process:
        return self._launch(network, "pnfs-mds", "mds", self._metadataServer())

    def _metadataServer(self) -> str:
        text = _toml(
            {
                "listen": [f"{SERVER}:{MDS_PORT}"],
                "state": self._folder("mds-state"),
                "key": self._path("key"),
                "lease": 30,
                "metrics": "127.0.0.1:9049",
                **self.metadata,
            }
        )
        for number, further in enumerate(self.dataServers):
            address = f"{SUBNET}.{2 + number}:{DS_PORT + number}"
            told = {"name": f"ds{number}", "address": address, **further}
            text += "\n[[data_server]]\n" + _toml(told)
        tree: dict[str, Value] = {"path": "/export", "root": self._folder("meta")}
        text += "\n[[export]]\n" + _toml(
            {**tree, "squash": "none", **self.export},
        )
        return text

    def _launch(
        self, network: Network, service: str, name: str, configuration: str
    ) -> Process:
        path = self._path(f"{name}.toml")
        with open(path, "w") as file:
            file.write(configuration)
        twistd = os.path.join(os.path.dirname(sys.executable), "twistd")
        process = network.start(
            [sys.executable, twistd, "--nodaemon", "--pidfile=", service]
            + ["--config", path],
            self._path(f"{name}.errors"),
            environment(),
            self._directory,
        )
        self._processes.append(process)
        return process
