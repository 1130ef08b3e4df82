"""
Data servers with disks of their own, as far as that can be had on one machine: control
groups, in each of which a process reads and writes so many bytes per second of a disk
at most.
"""

from __future__ import annotations

import os
from typing import Iterator

from benchmarks.wire import BenchmarkError

_NAME = "pnfs-bench-%d"


class NoLimits(BenchmarkError):
    """
    This machine cannot limit what a process reads and writes.
    """


class DiskLimits:
    """
    Limits of some processes. As root only, with control groups of either version.
    """

    def __init__(self, folder: str, rate: int) -> None:
        """
        @param folder: lies on the disk.
        @param rate: bytes per second that each process reads, and writes.
        @raise NoLimits: they cannot be limited.
        """
        disk = _disk(folder)
        self._groups: list[str] = []
        path, version = _hierarchy()
        self._path = path
        self._settings = (
            {"io.max": f"{disk} rbps={rate} wbps={rate}"}
            if version == 2
            else {
                f"blkio.throttle.{what}_bps_device": f"{disk} {rate}"
                for what in ("read", "write")
            }
        )
        if version == 2:
            _write(os.path.join(path, "cgroup.subtree_control"), "+io")

    def add(self, pid: int) -> None:
        """
        Limit a process.
        """
        group = os.path.join(self._path, _NAME % pid)
        try:
            os.mkdir(group)
        except OSError as error:
            raise NoLimits(f"{group}: {error.strerror}") from error
        self._groups.append(group)
        for name, value in self._settings.items():
            _write(os.path.join(group, name), value)
        _write(os.path.join(group, "cgroup.procs"), str(pid))

    def stop(self) -> None:
        """
        Clean up. The processes have ended.
        """
        for group in self._groups:
            os.rmdir(group)
        self._groups.clear()


def _write(path: str, value: str) -> None:
    try:
        with open(path, "w") as file:
            file.write(value)
    except OSError as error:
        raise NoLimits(f"{path}: {error.strerror}") from error


def _hierarchy() -> tuple[str, int]:
    """
    Where the control groups are that limit disks, and their version.
    """
    for path, kind, options in _mounts():
        if kind == "cgroup" and "blkio" in options:
            return path, 1
        if kind == "cgroup2":
            with open(os.path.join(path, "cgroup.controllers")) as file:
                if "io" in file.read().split():
                    return path, 2
    raise NoLimits("no control groups that limit disks")


def _mounts() -> Iterator[tuple[str, str, list[str]]]:
    with open("/proc/self/mounts") as file:
        for line in file:
            _, path, kind, options, *_ = line.split()
            yield path, kind, options.split(",")


def _disk(folder: str) -> str:
    """
    The disk a folder lies on, as MAJOR:MINOR; not its partition.
    """
    number = os.stat(folder).st_dev
    device = f"/sys/dev/block/{os.major(number)}:{os.minor(number)}"
    if not os.path.exists(device):
        raise NoLimits(f"{folder} does not lie on a disk of its own")
    device = os.path.realpath(device)
    if os.path.exists(os.path.join(device, "partition")):
        device = os.path.dirname(device)
    with open(os.path.join(device, "dev")) as file:
        return file.read().strip()
