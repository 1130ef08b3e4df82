# -*- test-case-name: tests.admin.test_site -*-
"""
A whole site on this machine: one C{pnfs-mds} and some C{pnfs-ds} as processes of
their own, configured and started as an operator would.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import sys
import tempfile
from typing import Any, Optional, Sequence

import attrs
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import Agent, readBody

import pnfs

READY_SECONDS = 30.0
STOP_SECONDS = 10.0
_POLL_SECONDS = 0.1

_log = Logger()


@attrs.frozen
class SiteOptions:
    """
    What a site shall be like.

    @ivar directory: keeps everything; None: a temporary folder, removed at the end.
    @ivar host: where all servers listen; port: of the metadata server, 0 for any.
    @ivar advertise: numeric addresses that clients are given, in turn.
    """

    directory: Optional[str] = None
    host: str = "127.0.0.1"
    port: int = 0
    advertise: Sequence[str] = ()
    dataServers: int = 3
    layout: str = "files"
    mirrors: int = 1
    metadata: str = "xattr"
    lease: float = 90.0


class SiteFailed(Exception):
    """
    The site did not come up; the text says why.
    """


class _Server(ProcessProtocol):
    """
    One server's process.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.ended: Deferred[None] = Deferred()
        self.running = False
        self.said = b""

    def connectionMade(self) -> None:
        self.running = True

    def errReceived(self, data: bytes) -> None:
        self.said = (self.said + data)[-4096:]

    def processEnded(self, reason: Failure) -> None:
        self.running = False
        if not isinstance(reason.value, ProcessDone):
            _log.info("{name} ended: {reason}", name=self.name, reason=reason.value)
        self.ended.callback(None)

    @property
    def pid(self) -> int:
        """
        Its process ID.
        """
        assert self.transport is not None
        pid: int = self.transport.pid
        return pid

    def signal(self, name: str) -> None:
        """
        Send a signal if it still runs.
        """
        if self.running:
            assert self.transport is not None
            try:
                self.transport.signalProcess(name)
            except ProcessExitedAlready:
                # A Ctrl-C goes to it and to us: it was quicker, and we are to
                # hear of its end in a moment.
                pass


def freePort(host: str) -> int:
    """
    A TCP port that nobody listens at, if possible below those that outgoing
    connections are given (Linux: from 32768), one of which might take it before the
    server does.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for wanted in (*(20000 + secrets.randbelow(12000) for _ in range(20)), 0):
        with socket.socket(family) as sock:
            try:
                sock.bind((host, wanted))
            except OSError:
                if not wanted:
                    raise
                continue
            port: int = sock.getsockname()[1]
            return port
    raise AssertionError("the last one always binds or raises")


def _quoted(text: str) -> str:
    """
    A TOML string: JSON's are.
    """
    return json.dumps(text, ensure_ascii=False)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _twistd() -> list[str]:
    """
    The program that runs the servers.
    """
    beside = os.path.join(os.path.dirname(sys.executable), "twistd")
    if os.path.exists(beside):
        return [sys.executable, beside]
    found = shutil.which("twistd")
    if found is None:
        raise SiteFailed("twistd is not installed beside this Python; install Twisted")
    return [found]


class Site:
    """
    The processes of a site.

    @ivar directory: keeps everything.
    @ivar host: where the metadata server is reached; port: its port.
    @ivar metricsURL: of the metadata server.
    """

    def __init__(self, reactor: Any, options: SiteOptions) -> None:
        self._reactor = reactor
        self.options = options
        self._temporary = options.directory is None
        self.directory = ""
        self._servers: list[_Server] = []
        self._told: list[dict[str, Any]] = []
        self.host = self._reachable(0)
        self.port = 0
        self.metricsURL = ""

    def _reachable(self, index: int) -> str:
        """
        The address that clients are given for a server.
        """
        options = self.options
        if options.advertise:
            return options.advertise[index % len(options.advertise)]
        if options.host in ("0.0.0.0", "::"):
            return "127.0.0.1" if options.host == "0.0.0.0" else "::1"
        return options.host

    # -- files -----------------------------------------------------------------

    def _folder(self, *names: str) -> str:
        path = os.path.join(self.directory, *names)
        os.makedirs(path, mode=0o755, exist_ok=True)
        return path

    def _write(self, name: str, text: str) -> str:
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        return path

    def configure(self) -> None:
        """
        Make folders, key and configuration files.

        @raise SiteFailed: that is not possible.
        """
        try:
            if self._temporary:
                self.directory = tempfile.mkdtemp(prefix="pnfs-demo-")
            else:
                self.directory = os.path.abspath(str(self.options.directory))
                os.makedirs(self.directory, exist_ok=True)
            self._configure()
        except OSError as error:
            raise SiteFailed(f"{error.filename}: {error.strerror}") from None

    def _configure(self) -> None:
        options = self.options
        key = os.path.join(self.directory, "cluster.key")
        if not os.path.exists(key):
            descriptor = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(secrets.token_bytes(32))
        self.port = options.port or freePort(options.host)
        metrics = freePort("127.0.0.1")
        self.metricsURL = f"http://127.0.0.1:{metrics}/metrics"
        tables = []
        for index in range(options.dataServers):
            name = f"ds{index + 1}"
            port = freePort(options.host)
            data = self._folder(name, "data")
            host = self._reachable(index)
            self._write(
                f"{name}.toml",
                f'name = "{name}"\n'
                f'listen = ["{_address(options.host, port)}"]\n'
                f"state = {_quoted(self._folder(name, 'state'))}\n"
                f"key = {_quoted(key)}\n"
                f'backend = "local"\n'
                f"data = {_quoted(data)}\n",
            )
            tables.append(
                "[[data_server]]\n"
                f'name = "{name}"\n'
                f'address = "{_address(self._local(), port)}"\n'
                f'advertise = ["{_address(host, port)}"]\n\n'
            )
            self._told.append({"name": name, "host": host, "port": port, "dir": data})
        root = ""
        if options.metadata == "xattr":
            tree = self._folder("metadata")
            os.chmod(tree, 0o777 | 0o1000)
            root = f"root = {_quoted(tree)}\n"
        self._write(
            "mds.toml",
            f'listen = ["{_address(options.host, self.port)}"]\n'
            f"state = {_quoted(self._folder('mds'))}\n"
            f"key = {_quoted(key)}\n"
            f"lease = {options.lease}\n"
            f'metrics = "127.0.0.1:{metrics}"\n\n'
            + "".join(tables)
            + '[[export]]\npath = "/export"\n'
            + root
            + f'metadata = "{options.metadata}"\n'
            f'layout = "{options.layout}"\n'
            f"mirrors = {options.mirrors}\n"
            'squash = "none"\n',
        )

    def _local(self) -> str:
        """
        Where this machine reaches its own servers.
        """
        if self.options.host in ("0.0.0.0", "::"):
            return "127.0.0.1" if self.options.host == "0.0.0.0" else "::1"
        return self.options.host

    # -- processes ---------------------------------------------------------------

    async def start(self) -> None:
        """
        Start all servers and wait until they answer.

        @raise SiteFailed: one of them does not.
        """
        self.configure()
        for told in self._told:
            told["pid"] = self._spawn("pnfs-ds", told["name"])
        self._spawn("pnfs-mds", "mds")
        await self._wait()

    def _spawn(self, service: str, name: str) -> int:
        server = _Server(name)
        source = os.path.dirname(os.path.dirname(os.path.abspath(pnfs.__file__)))
        paths = [source, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        command = [
            *_twistd(),
            "--nodaemon",
            "--pidfile=",
            f"--logfile={os.path.join(self.directory, name)}.log",
            service,
            f"--config={os.path.join(self.directory, name)}.toml",
        ]
        self._reactor.spawnProcess(
            server,
            command[0],
            command,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            path=self.directory,
        )
        self._servers.append(server)
        return server.pid

    async def _wait(self) -> None:
        until = self._reactor.seconds() + READY_SECONDS
        while True:
            for server in self._servers:
                if not server.running:
                    said = server.said.decode("utf-8", "replace").strip()
                    lines = said.splitlines() or [f"see {server.name}.log"]
                    raise SiteFailed(f"{server.name} did not start: {lines[-1]}")
            if await self._ready():
                return
            if self._reactor.seconds() > until:
                raise SiteFailed(
                    f"the servers did not answer in {READY_SECONDS:.0f} s; "
                    f"see the logs in {self.directory}"
                )
            await self._pause(_POLL_SECONDS)

    async def _pause(self, seconds: float) -> None:
        waiter: Deferred[None] = Deferred()
        self._reactor.callLater(seconds, waiter.callback, None)
        await waiter

    async def _ready(self) -> bool:
        """
        Does the metadata server answer, and reach all data servers?
        """
        try:
            text = await self.metrics()
        except Exception as error:
            _log.debug("not yet: {error}", error=error)
            return False
        up = re.findall(r"^pnfs_data_server_up\{[^}]*\} 1\.0$", text, re.MULTILINE)
        return len(up) == len(self._told)

    async def metrics(self) -> str:
        """
        What the metadata server counts.
        """
        agent = Agent(self._reactor, connectTimeout=5)  # type: ignore[no-untyped-call]
        response = await agent.request(b"GET", self.metricsURL.encode("ascii"))
        body: bytes = await readBody(response)
        return body.decode("utf-8")

    def describe(self) -> dict[str, Any]:
        """
        The event C{ready} of C{pnfs demo --json}.
        """
        return {
            "event": "ready",
            "mds": {
                "host": self.host,
                "port": self.port,
                "pid": self._servers[-1].pid,
                "metrics": self.metricsURL,
            },
            "export": "/export",
            "data_servers": [
                {key: told[key] for key in ("name", "host", "port", "pid", "dir")}
                for told in self._told
            ],
            "layout": self.options.layout,
            "mirrors": self.options.mirrors,
        }

    async def stop(self) -> None:
        """
        Stop all servers, the metadata server first, and remove a temporary folder.
        """
        for server in reversed(self._servers):
            server.signal("TERM")
        late = self._reactor.callLater(STOP_SECONDS, self._kill)
        await DeferredList(
            [s.ended if s.running else succeed(None) for s in self._servers]
        )
        if late.active():
            late.cancel()
        if self._temporary and self.directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _kill(self) -> None:
        for server in self._servers:
            server.signal("KILL")


def parseOperations(metrics: str) -> dict[str, int]:
    """
    How often each operation has been asked for, from a server's metrics.
    """
    counts: dict[str, int] = {}
    pattern = re.compile(
        r'^pnfs_operations_total\{operation="(\w+)",status="\w+"\} (\S+)$', re.MULTILINE
    )
    for name, value in pattern.findall(metrics):
        counts[name] = counts.get(name, 0) + int(float(value))
    return counts
