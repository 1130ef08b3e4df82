"""
A foreign NFS server, nfs-ganesha, that speaks NFSv3 and NFSv4.1 in a network of a
test, and a gateway's backend in the test's own process that uses it.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from typing import Any, Coroutine, Iterator, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.epollreactor import EPollReactor
from twisted.trial.unittest import SkipTest

from pnfs.backends.errors import BackendError
from pnfs.config import DSConfig, LimitsConfig, UpstreamConfig
from pnfs.ds.backends import proxied
from tests.contracts.data import DataServerBackendContract
from tests.system.namespace import Network
from tests.system.processes import Process, waitUntil

_T = TypeVar("_T")

PORT = 12048
MOUNT_PORT = 12047

_CONFIGURATION = """
NFS_CORE_PARAM {{
    NFS_Port = {port}; MNT_Port = {mountPort}; Protocols = 3, 4;
    Enable_NLM = false; Enable_RQUOTA = false;
}}
NFSv4 {{
    Graceless = true; RecoveryBackend = fs; RecoveryRoot = {recovery};
    Minor_Versions = 1, 2;
}}
EXPORT {{
    Export_Id = 1; Path = {tree}; Pseudo = /export; Protocols = 3, 4;
    Access_Type = RW; Squash = No_Root_Squash; SecType = sys; Transports = TCP;
    FSAL {{ Name = VFS; }}
}}
"""

# NFSv3 needs a port mapper. Both put sockets below /run: they get their own.
_SCRIPT = """
mount -t tmpfs run /run && mkdir /run/ganesha
rpcbind -f &
until rpcinfo -p 127.0.0.1 >/dev/null 2>&1; do sleep 0.1; done
exec ganesha.nfsd -F -f "$0/ganesha.conf" -L "$0/log" -p "$0/pid"
"""


def requireForeign() -> None:
    """
    @raise SkipTest: a program is not installed.
    """
    for program, package in (
        ("ganesha.nfsd", "nfs-ganesha nfs-ganesha-vfs"),
        ("rpcbind", "rpcbind"),
        ("rpcinfo", "rpcbind"),
    ):
        if shutil.which(program) is None:
            raise SkipTest(f"system test: needs {program} (Debian: {package})")


@attrs.define
class Foreign:
    """
    The server; its export is C{/export} for NFSv4 and C{tree} for NFSv3.

    @ivar tree: the exported folder, a tmpfs.
    """

    directory: str
    _network: Network
    _process: Process

    @property
    def tree(self) -> str:
        """
        Where the exported files are.
        """
        return os.path.join(self.directory, "tree")

    @classmethod
    def start(cls, network: Network) -> "Foreign":
        """
        Start it and wait until it serves.
        """
        requireForeign()
        directory = tempfile.mkdtemp(prefix="pnfs-foreign-")
        for name in ("tree", "recovery"):
            os.mkdir(os.path.join(directory, name))
        tree = os.path.join(directory, "tree")
        subprocess.run(["mount", "-t", "tmpfs", "foreign", tree], check=True)
        with open(os.path.join(directory, "ganesha.conf"), "w") as text:
            text.write(
                _CONFIGURATION.format(
                    tree=tree,
                    recovery=os.path.join(directory, "recovery"),
                    port=PORT,
                    mountPort=MOUNT_PORT,
                )
            )
        self = cls(directory, network, cls._launch(network, directory))
        try:
            self.waitUntilServing()
        except BaseException:
            self.stop()
            raise
        return self

    @staticmethod
    def _launch(network: Network, directory: str) -> Process:
        return network.start(
            ["sh", "-c", _SCRIPT, directory], os.path.join(directory, "errors")
        )

    def waitUntilServing(self) -> None:
        """
        @raise tests.system.processes.Late: it does not.
        """
        waitUntil(
            lambda: f":{PORT} " in self._network.run(["ss", "-Hltn"])
            or self._process.child.poll() is not None,
            30,
            f"nfs-ganesha: {self._process.report()}",
        )
        assert self._process.child.poll() is None, self._process.report()

    def crash(self) -> None:
        """
        C{kill -9}.
        """
        self._process.kill()

    def restart(self) -> None:
        """
        After L{crash}.
        """
        self._process = self._launch(self._network, self.directory)
        self.waitUntilServing()

    def stop(self) -> None:
        """
        End it; everything it kept is gone.
        """
        self._process.kill()
        subprocess.run(["umount", "-l", self.tree])
        shutil.rmtree(self.directory, ignore_errors=True)


@contextmanager
def inside(network: Network) -> Iterator[None]:
    """
    Sockets that this thread makes are in a network.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{network.name}", os.O_RDONLY)
    try:
        if libc.setns(there, 0x40000000):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            if libc.setns(home, 0x40000000):
                raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(home)
        os.close(there)


class Gateway:
    """
    A backend in front of the server, run by a reactor of its own.

    @ivar backend: not started.
    """

    def __init__(self, state: str, protocol: str, path: str, mountPort: int) -> None:
        self._reactor: Any = EPollReactor()
        self.backend = proxied(
            DSConfig(
                name="gateway",
                listen=(),
                state=state,
                key=bytes(32),
                backend="proxied",
                data=None,
                metrics=None,
                limits=LimitsConfig(),
                upstream=UpstreamConfig(("127.0.0.1", PORT), protocol, path, mountPort),
            ),
            self._reactor,
        )

    def wait(self, coroutine: Coroutine[Any, Any, _T]) -> "Deferred[_T]":
        """
        Run to the end.
        """
        running = Deferred.fromCoroutine(coroutine)
        end = time.monotonic() + 60
        while not running.called and time.monotonic() < end:
            self._reactor.iterate(0.05)
        return running


class ForeignContract(DataServerBackendContract):
    """
    The contract of data backends, over real sockets to a real server. Each test has
    a folder of its own.

    @ivar foreign: the server; C{network}: where it is.
    @ivar protocol: and C{mountPort}: how to speak to it.
    """

    foreign: Foreign
    network: Network
    protocol: str
    mountPort: int

    def makeBackend(self) -> Any:
        """
        See the contract.
        """
        self._inside = inside(self.network)
        self._inside.__enter__()
        self.addCleanup(self._inside.__exit__, None, None, None)
        folder = f"{time.monotonic_ns()}"
        os.mkdir(os.path.join(self.foreign.tree, folder))
        state = self.mktemp()
        os.mkdir(state)
        export = self.foreign.tree if self.protocol == "nfs3" else "/export"
        self.gateway = Gateway(
            state, self.protocol, f"{export}/{folder}", self.mountPort
        )
        return self.gateway.backend

    def run_(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """
        See the contract.
        """
        return self.successResultOf(self.gateway.wait(coroutine))

    def fails(
        self, coroutine: Coroutine[Any, Any, Any], *kinds: type[BackendError]
    ) -> None:
        """
        See the contract.
        """
        self.failureResultOf(self.gateway.wait(coroutine), *kinds)

    def test_now(self) -> None:
        """
        Nothing is read without asking the server.
        """
        self.put(0, b"abc")
        self.assertIsNone(self.backend.readNow(b"0123abcd", 0, 3))
