"""
The servers that are measured: our site, and nfs-ganesha if it is installed.

Metadata is in memory (tmpfs) at both, data on disk at both: ours in the same file
system as Ganesha's.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any, Optional

from benchmarks.limits import DiskLimits
from benchmarks.wire import BenchmarkError
from pnfs.admin.client import SOCKET

_MEMORY = "/dev/shm"


def memoryFolder(prefix: str) -> str:
    """
    A new folder in memory, or in the temporary directory where there is no tmpfs.
    """
    where = _MEMORY if os.path.isdir(_MEMORY) else None
    return tempfile.mkdtemp(prefix=prefix, dir=where)


class OurSite:
    """
    One metadata server and some data servers.

    @ivar host: of the metadata server; C{port}, C{export}: likewise.
    @ivar mds: its process; C{pids}: all processes.
    @ivar control: the path of its control socket.
    """

    def __init__(
        self, dataServers: int, layout: str = "files", mirrors: int = 1
    ) -> None:
        self._limits: Optional[DiskLimits] = None
        self._memory = memoryFolder("pnfs-bench-")
        self._disk = tempfile.mkdtemp(prefix="pnfs-bench-")
        for number in range(dataServers):
            # The site puts a folder there per server: that one lies on disk.
            name = f"ds{number + 1}"
            os.makedirs(os.path.join(self._disk, name))
            os.symlink(os.path.join(self._disk, name), os.path.join(self._memory, name))
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.site",
                self._memory,
                str(dataServers),
                layout,
                str(mirrors),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.stop()
            raise BenchmarkError("our site did not start")
        told: dict[str, Any] = json.loads(line)
        self.host: str = told["mds"]["host"]
        self.port: int = told["mds"]["port"]
        self.export: str = told["export"]
        self.mds: int = told["mds"]["pid"]
        self.control = os.path.join(self._memory, "mds", SOCKET)
        self.pids = [self.mds, *[ds["pid"] for ds in told["data_servers"]]]

    def slow(self, rate: int) -> None:
        """
        From now on each data server has a disk that reads and writes so many bytes per
        second, and nothing of it in memory.

        @raise NoLimits: not on this machine.
        """
        self._limits = DiskLimits(self._disk, rate)
        for pid in self.pids[1:]:
            self._limits.add(pid)
        os.sync()
        for folder, _, names in os.walk(self._disk):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def stop(self) -> None:
        """
        End it and remove what it has written.
        """
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)
        if self._limits is not None:
            self._limits.stop()
        shutil.rmtree(self._memory, ignore_errors=True)
        shutil.rmtree(self._disk, ignore_errors=True)


class Ganesha:
    """
    C{ganesha.nfsd} with two exports of its VFS backend, C{/meta} and C{/disk}.
    """

    host = "127.0.0.1"
    export = "/meta"
    disk = "/disk"

    def __init__(self) -> None:
        with socket.socket() as sock:
            sock.bind((self.host, 0))
            self.port: int = sock.getsockname()[1]
        self._memory = memoryFolder("ganesha-bench-")
        self._disk = tempfile.mkdtemp(prefix="ganesha-bench-")
        self._folder = tempfile.mkdtemp(prefix="ganesha-bench-")
        os.makedirs("/var/run/ganesha", exist_ok=True)
        configuration = os.path.join(self._folder, "ganesha.conf")
        with open(configuration, "w", encoding="ascii") as stream:
            stream.write(self._configuration())
        self._log = os.path.join(self._folder, "log")
        self._process = subprocess.Popen(
            [
                "ganesha.nfsd",
                "-F",
                f"-f{configuration}",
                f"-L{self._log}",
                f"-p{os.path.join(self._folder, 'pid')}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.pids = [self._process.pid]
        self._wait()

    def _configuration(self) -> str:
        exports = "".join(
            f"EXPORT {{ Export_Id = {number}; Path = {path}; Pseudo = {pseudo}; "
            "FSAL { Name = VFS; } }\n"
            for number, path, pseudo in (
                (1, self._memory, self.export),
                (2, self._disk, self.disk),
            )
        )
        return (
            f"NFS_CORE_PARAM {{ Protocols = 4; NFS_Port = {self.port}; "
            "Bind_addr = 127.0.0.1; Enable_NLM = false; Enable_RQUOTA = false; "
            "Enable_UDP = false; fsid_device = true; }\n"
            "NFSV4 { Minor_Versions = 1,2; Graceless = true; Lease_Lifetime = 60; "
            f"RecoveryBackend = fs; RecoveryRoot = {self._folder}; }}\n"
            "EXPORT_DEFAULTS { Access_Type = RW; Squash = No_Root_Squash; "
            "SecType = sys; Protocols = 4; Transports = TCP; }\n"
            f"{exports}LOG {{ Default_Log_Level = EVENT; }}\n"
        )

    def _wait(self) -> None:
        until = time.monotonic() + 30
        while time.monotonic() < until and self._process.poll() is None:
            if os.path.exists(self._log):
                with open(self._log, encoding="utf-8", errors="replace") as stream:
                    if "NFS SERVER INITIALIZED" in stream.read():
                        return
            time.sleep(0.1)
        self.stop()
        raise BenchmarkError("nfs-ganesha did not start")

    def stop(self) -> None:
        """
        End it and remove what it has written.
        """
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for folder in (self._memory, self._disk, self._folder):
            shutil.rmtree(folder, ignore_errors=True)


def startGanesha() -> Optional[Ganesha]:
    """
    Ganesha, or None if it is not installed or must not be started by this user.
    """
    if shutil.which("ganesha.nfsd") is None or os.geteuid() != 0:
        return None
    return Ganesha()
